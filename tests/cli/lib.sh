# SPDX-License-Identifier: MIT
# Tests of the damf command: TAP, and a directory to work in that goes at the
# end. TOP and DAMF are set by who reads this in.
# shellcheck shell=bash disable=SC2154,SC2034
PYTHON=${PYTHON:-/usr/bin/python3}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/damf-cli.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
N=0 FAILED=0

ok()
{
	N=$((N + 1))
	if [ "$1" = 0 ]; then
		echo "ok $N - $2"
	else
		FAILED=1
		echo "not ok $N - $2"
		sed 's/^/# /' err out check.out 2>/dev/null | head -n 20
	fi
}

# expect STATUS WORDS NAME ARGUMENT...: the exit code, and words that stderr
# has; if there is an error it is one line.
expect()
{
	local status=$1 words=$2 name=$3 got=0 good=0

	shift 3
	"$DAMF" "$@" >out 2>err </dev/null || got=$?
	[ "$got" = "$status" ] || good=1
	[ -z "$words" ] || grep -q -F -e "$words" err || good=1
	[ "$status" = 0 ] || [ "$(grep -c -v 'note:' err)" = 1 ] || good=1
	ok "$good" "$name (exit $got)"
}

# check NAME COMMAND...
check()
{
	local name=$1 good=0

	shift
	"$@" >check.out 2>err || good=1
	ok "$good" "$name"
}

# with_json FILE PYTHON-EXPRESSION: of the object d
with_json()
{
	"$PYTHON" -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$1" "$2"
}
