#!/bin/bash
# SPDX-License-Identifier: MIT
# Sixteen processes submit at once for a minute while one is killed each
# second: no wrong result, nothing left behind in the driver, a clean log.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-stress.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
mkdir "$TMP/in" "$TMP/out"
# What the driver holds is told before and after; it may take a moment until
# the last closed file is gone.
cat >"$TMP/in/run.sh" <<-'SH'
	counts=$(echo /sys/kernel/debug/accel/*/counts)
	cat "$counts" >/mnt/out/before
	damf-stress ${1:-60} 16
	status=$?
	for i in 1 2 3 4 5 6 7 8 9 10; do
		cat "$counts" >/mnt/out/after
		cmp -s /mnt/out/before /mnt/out/after && break
		sleep 0.5
	done
	exit $status
SH
try 'every list has the right result and the kernel log is clean' \
	"$VM_DIR/vm-run" --timeout 300 --share "in=$TMP/in" --share-rw "out=$TMP/out" -- \
	sh /mnt/in/run.sh "${1:-60}"
try 'the driver holds no more than before' diff "$TMP/out/before" "$TMP/out/after"
try 'and it did tell what it holds' test -s "$TMP/out/before"
tap_end
