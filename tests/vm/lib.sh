# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# What the scripts here share: where things lie, messages, locks, hashes.
# Sourced, never run.

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP_DIR=$(cd "$VM_DIR/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in
/*) BUILD_DIR=$BUILD ;;
*) BUILD_DIR=$TOP_DIR/$BUILD ;;
esac

# What takes long to make is kept outside the checkout, so that a second
# checkout, or one after `make clean`, starts warm.
CACHE_DIR=${DAMF_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/damf}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

say()
{
	printf '%s\n' "$*" >&2
}

# progress TEXT: one line that is rewritten on a terminal. In a log every
# call is a line, so callers there report at most every few seconds.
progress()
{
	if [ -t 2 ]; then
		printf '\r\033[K%s%s' "${DAMF_STEP:-}" "$*" >&2
	else
		printf '%s%s\n' "${DAMF_STEP:-}" "$*" >&2
	fi
}

progress_end()
{
	if [ -t 2 ]; then
		printf '\r\033[K' >&2
	fi
}

# lock NAME: holds a lock of the cache until the script ends, so that two
# checkouts don't build the same thing at once.
lock()
{
	mkdir -p "$CACHE_DIR/lock"
	exec {DAMF_LOCK_FD}>"$CACHE_DIR/lock/$1"
	if ! flock -n "$DAMF_LOCK_FD"; then
		progress "waiting for another build of $1"
		flock "$DAMF_LOCK_FD"
	fi
}

# key TEXT...: a short name for what goes into a build.
key()
{
	printf '%s\n' "$@" | sha256sum | cut -c1-16
}

# quietly LOG COMMAND...: output goes to LOG, and its end to the terminal
# when the command fails.
quietly()
{
	local log=$1

	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "failed: $* (all of it is in $log)"
	fi
}

debian_codename()
{
	# shellcheck disable=SC1091
	[ -r /etc/os-release ] && . /etc/os-release
	case "${ID:-}:${VERSION_CODENAME:-}" in
	debian:bookworm | debian:trixie) echo "$VERSION_CODENAME" ;;
	*) die "this needs Debian 12 (bookworm) or 13 (trixie), found ${PRETTY_NAME:-an unknown system}" ;;
	esac
}
