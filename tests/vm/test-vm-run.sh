#!/bin/bash
# SPDX-License-Identifier: MIT
# What vm-run and check-log.sh promise: output and status of the command, the
# time limit, and that a kernel log with something grave in it fails a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-vm-run.XXXXXX")
trap 'rm -rf "$TMP"' EXIT

# expect STATUS COMMAND...
expect()
{
	local want=$1 got=0

	shift
	"$@" >"$TMP/out" 2>"$TMP/err" || got=$?
	[ "$got" = "$want" ] && return
	echo "# status $got, expected $want: $*"
	sed 's/^/# /' "$TMP/out" "$TMP/err"
	return 1
}

vm()
{
	"$VM_DIR/vm-run" --no-device --no-module "$@"
}

# shell LINE: types LINE at the guest's prompt once that is seen in out, where
# expect puts it: what comes earlier is lost.
shell()
{
	{
		timeout 60 sh -c "until grep -q 'damf-vm:' '$TMP/out'; do sleep 0.2; done"
		printf '%s\n' "$1"
	} | timeout 90 "$VM_DIR/vm-run" --no-device --no-module --shell
}

# check_log STATUS TEXT [REGEX...]
check_log()
{
	printf '<6>[    0.1] fine\n%b\n' "$2" >"$TMP/log"
	expect "$1" "$VM_DIR/check-log.sh" "$TMP/log" "${@:3}"
}

try 'log: information is fine' check_log 0 '<6>[ 1.0] damf 0000:01:00.0: ready'
try 'log: a warning is not' check_log 1 '<4>[ 1.0] damf 0000:01:00.0: late'
try 'log: unless it is expected' check_log 0 '<4>[ 1.0] damf 0000:01:00.0: late' 'damf .*: late'
try 'log: a trace at any level is not' check_log 1 '<6>[ 1.0] Call Trace:'
try 'log: the taint lines are known' check_log 0 \
	'<4>[ 1.0] damf: loading out-of-tree module taints kernel.'
try 'log: an empty one is none' expect 1 "$VM_DIR/check-log.sh" /dev/null

mkdir "$TMP/share"
echo 'from the host' >"$TMP/share/file"
try 'vm-run: the status of the command' expect 3 vm --share "s=$TMP/share" -- \
	sh -c 'cat /mnt/s/file; echo two >&2; echo no 2>/dev/null >/mnt/s/new; exit 3'
try 'vm-run: its output' grep -q -x 'from the host' "$TMP/out"
try 'vm-run: its errors apart' grep -q -x two "$TMP/err"
try 'vm-run: a share is read-only' test ! -e "$TMP/share/new"
try 'vm-run: a warning in the kernel log' expect 126 vm -- \
	sh -c 'echo "<4>something odd" >/dev/kmsg'
try 'vm-run: a panic' expect 125 vm -- sh -c 'echo c >/proc/sysrq-trigger'
try 'vm-run: the time limit' expect 124 vm --timeout 8 -- sleep 100
try 'vm-run: a shell that ends' expect 0 shell exit
try 'vm-run: a shell that ends badly' expect 5 shell 'exit 5'
try 'vm-run: a shell that powers off' expect 0 shell 'poweroff -f'
try 'vm-run: a shell that restarts' expect 0 shell 'reboot -f'
try 'vm-run: a shell that panics' expect 125 shell 'echo c >/proc/sysrq-trigger'
try 'vm-run: an unknown option' expect 1 vm --nonsense -- true
try 'vm-run: a share that is not there' expect 1 vm --share "s=$TMP/nowhere" -- true
tap_end
