#!/bin/bash
# SPDX-License-Identifier: MIT
# Fetches the stock Debian kernel that the guest boots, with its modules and
# the headers to build ours against, and unpacks them without installing.
# Prints the directory: release, vmlinuz, headers/ and lib/modules/ are in it.
# With --tools, prints the directory of checkpatch.pl, kernel-doc and the
# selftest headers of the same version instead.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

# Debian 12 itself has no kernel with DRM accel that suits us; its backports
# have one that is built with Debian 12's own compiler.
case $(debian_codename) in
bookworm) SUITE=bookworm-backports ;;
*) SUITE=$(debian_codename) ;;
esac

# The headers' paths lead to /usr and /lib of an installed system.
mend_paths()
{
	local root=$1 release=$2 arch

	arch=$root/usr/src/linux-headers-$release
	sed -i "s|^include /usr/src/|include $root/usr/src/|" "$arch/Makefile"
	ln -sfn "$arch" "$root/lib/modules/$release/build"
	ln -sfn "$root/usr/src/linux-headers-${release%-amd64}-common" \
		"$root/lib/modules/$release/source"
	ln -sfn "usr/src/linux-headers-$release" "$root/headers"
	ln -sfn "boot/vmlinuz-$release" "$root/vmlinuz"
	echo "$release" >"$root/release"
}

fetch_kernel()
{
	local release=$1 into=$2 root=$2

	progress "fetching the kernel $release and its headers"
	rm -rf "$root"
	mkdir -p "$root"
	apt_unpack "$SUITE" "$root" "linux-image-$release" "linux-headers-$release" \
		"linux-headers-${release%-amd64}-common" "linux-kbuild-${release%-amd64}"
	# From Debian 13 on the modules are below usr/lib.
	[ -d "$root/lib/modules" ] || ln -s usr/lib "$root/lib"
	mend_paths "$root" "$release"
	PATH=$PATH:/sbin:/usr/sbin depmod -b "$root" "$release"
	touch "$into/complete"
}

# Only a few files of the kernel's source are wanted.
fetch_tools()
{
	local version=$1 into=$2 tmp

	tmp=$(mktemp -d "$CACHE_DIR/kernel/tools.XXXXXX")
	progress "fetching checkpatch and the selftest headers of Linux $version"
	apt_unpack "$SUITE" "$tmp" "linux-source-$version"
	mkdir -p "$into"
	progress "unpacking checkpatch and the selftest headers"
	tar -C "$into" --strip-components=1 --wildcards \
		-xf "$tmp/usr/src/linux-source-$version.tar.xz" \
		'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/kernel-doc*' \
		'*/tools/testing/selftests/kselftest*' '*/tools/testing/selftests/lib.mk'
	rm -rf "$tmp"
	touch "$into/complete"
}

mkdir -p "$CACHE_DIR/kernel"
lock kernel
# Looked up once: a point release makes nobody fetch anew. Removing this
# file asks for the newest.
current=$CACHE_DIR/kernel/current-$SUITE
if [ ! -s "$current" ]; then
	apt_setup "$SUITE" deb
	apt_private "$SUITE" deb apt-cache depends linux-image-amd64 |
		sed -n 's/^ *Depends: linux-image-\(.*-amd64\)$/\1/p' >"$current"
fi
release=$(cat "$current")
[ -n "$release" ] || die "the suite $SUITE has no linux-image-amd64"
root=$CACHE_DIR/kernel/$release
if [ "${1:-}" = --tools ]; then
	version=$(cut -d. -f1,2 <<<"$release")
	root=$CACHE_DIR/kernel/tools-$version
	if [ ! -e "$root/complete" ]; then
		apt_setup "$SUITE" deb
		fetch_tools "$version" "$root"
	fi
elif [ ! -e "$root/complete" ]; then
	apt_setup "$SUITE" deb
	fetch_kernel "$release" "$root"
fi
progress_end
echo "$root"
