# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Packages of a suite that the host doesn't follow, by an apt configuration
# of our own: the system's sources, lists and package state stay as they are.
# Sourced after lib.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror that the host's own apt uses for the main archive.
apt_mirror()
{
	local uris

	# shellcheck disable=SC2016 # the $ are apt's
	uris=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null | sort -u)
	awk -v suite="$(debian_codename)" '
		$2 ~ /security/ { next }
		$1 == suite { print $2; found = 1; exit }
		!first { first = $2 }
		END { if (!found) print first }
	' <<<"$uris"
}

# apt_private SUITE TYPE TOOL ARGUMENTS...: runs apt-get or apt-cache (TOOL)
# with SUITE's index of TYPE (deb or deb-src) and nothing else.
apt_private()
{
	local dir=$CACHE_DIR/apt/$1-$2 tool=$3

	shift 3
	"$tool" -c "$dir/apt.conf" "$@"
}

# apt_setup SUITE TYPE: writes the configuration and fetches the index,
# once in six hours at most.
apt_setup()
{
	local suite=$1 type=$2 dir=$CACHE_DIR/apt/$1-$2 mirror

	[ -r "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring"
	mirror=$(apt_mirror)
	[ -n "$mirror" ] || die "apt has no sources: name a Debian mirror in /etc/apt"
	mkdir -p "$dir"/{lists/partial,archives/partial,sources.list.d,preferences.d}
	printf '%s [signed-by=%s] %s %s main\n' "$type" "$KEYRING" "$mirror" "$suite" \
		>"$dir/sources.list"
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-CONF
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "$dir/sources.list.d";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "$dir/preferences.d";
		Dir::State::Lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::State::extended_states "$dir/extended_states";
		Dir::Cache "$dir";
		Dir::Cache::archives "$dir/archives";
		Acquire::Languages "none";
		APT::Sandbox::User "";
	CONF
	if [ -z "$(find "$dir/updated" -mmin -360 2>/dev/null)" ]; then
		progress "reading the package lists of $suite"
		quietly "$dir/update.log" apt_private "$suite" "$type" apt-get -q update
		touch "$dir/updated"
	fi
}

# apt_version SUITE PACKAGE: the version that SUITE has.
apt_version()
{
	apt_private "$1" deb apt-cache show --no-all-versions "$2" 2>/dev/null |
		sed -n 's/^Version: //p' | sed -n 1p
}

# apt_unpack SUITE DIRECTORY PACKAGE...: downloads packages and unpacks them
# into DIRECTORY without installing them.
apt_unpack()
{
	local suite=$1 into=$2 debs deb

	shift 2
	debs=$(mktemp -d "$CACHE_DIR/debs.XXXXXX")
	(
		cd "$debs" || exit
		quietly "$debs/download.log" apt_private "$suite" deb apt-get -q download "$@"
	)
	mkdir -p "$into"
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$into"
	done
	rm -rf "$debs"
}
