#!/bin/bash
# SPDX-License-Identifier: MIT
# check-log.sh FILE [REGEX...]: fails if the kernel log in FILE (as of
# dmesg -r) has a line that is grave, or one of level warning and above that
# isn't known, and prints those lines. A REGEX names lines that are expected.
set -euo pipefail

# Grave at any level.
GRAVE='WARNING:|BUG:|Oops|general protection fault|Call Trace|Kernel panic'
GRAVE+='|possible (circular|recursive|irq)|inconsistent lock state|suspicious RCU'
GRAVE+='|INFO: task .* blocked|INFO: rcu|[Ss]oft lockup|[Hh]ard LOCKUP'
GRAVE+='|UBSAN|KASAN|KCSAN|KFENCE|refcount_t|Bad page|list_(add|del) corruption'
GRAVE+='|scheduling while atomic|sleeping function called|memory leak'
GRAVE+='|DMAR: .*fault|page allocation failure|segfault at|traps: |Out of memory'
GRAVE+='|swiotlb buffer is full|unable to handle'

# What stock Debian says at level warning on this machine, some of it only if
# the host is slow to give it time, and the two lines on a module that is built
# out of the tree and not signed.
KNOWN=(
	'tsc: Unable to calibrate against PIT'
	'APIC calibration not consistent with PM-Timer'
	'hrtimer: interrupt took'
	'hpet: Lost [0-9]+ RTC interrupts'
	'clocksource: Long readout interval'
	'mtrr: your CPUs had inconsistent'
	'amd_pstate: the _CPC object is not present'
	'damf: loading out-of-tree module taints kernel'
	'damf: module verification failed: signature and/or required key missing'
)

log=$1
shift
[ -s "$log" ] || {
	echo "the kernel log is empty" >&2
	exit 1
}
allowed=$(printf '%s\n' "${KNOWN[@]}" "$@")
# Levels 0 to 4, of the kernel and of who writes to /dev/kmsg.
bad=$(grep -E "^<([0-4]|[89]|1[0-2])>|$GRAVE" "$log" | grep -v -E -f <(printf '%s\n' "$allowed") || true)
if [ -n "$bad" ]; then
	{
		echo "unexpected lines in the kernel log:"
		printf '%s\n' "$bad"
	} >&2
	exit 1
fi
