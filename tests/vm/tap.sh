# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Results in the form that tests/check.sh counts (TAP). Sourced.

TAP_COUNT=0
TAP_FAILED=0

# result NAME STATUS: reports one test, which passed if STATUS is 0.
result()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	if [ "$2" = 0 ]; then
		echo "ok $TAP_COUNT $1"
	else
		echo "not ok $TAP_COUNT $1"
		TAP_FAILED=1
	fi
}

# try NAME COMMAND...: reports whether COMMAND succeeds.
try()
{
	local name=$1 status=0

	shift
	"$@" || status=$?
	result "$name" "$status"
}

skip()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT $1 # SKIP $2"
}

tap_end()
{
	echo "1..$TAP_COUNT"
	exit "$TAP_FAILED"
}
