#!/bin/bash
# SPDX-License-Identifier: MIT
# The accelerator goes away in the middle of an embedding run: by device_del,
# which asks the guest first, and without notice. The run has to go on where
# it was, on the CPU, end with the numbers of the CPU, and leave a clean log.
#
# The model is a tiny one and a batch is one short text: so the run takes seconds
# on the device, and what is left of it not minutes on the guest's CPU, which is
# emulated.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

TEXTS=6000
TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-removal.XXXXXX")
trap 'rm -rf "$TMP"' EXIT

# The guest tells by a file on the share when the device has run something.
write_guest_script()
{
	cat >"$TMP/in/run.sh" <<-'SH'
		damf embed --model /mnt/in/model --backend auto --batch 1 --format npy --json \
			--output /mnt/out/out.npy /mnt/in/text.txt >/mnt/out/out.json &
		until grep -q damf /proc/interrupts && [ "$(awk '/damf/ { n += $2 + $3 } END { print n }' \
			/proc/interrupts)" -gt 500 ]; do
			kill -0 $! || break
			usleep 20000
		done
		echo busy >/mnt/out/busy
		wait $!
	SH
}

# remove_during NAME VM-RUN-OPTIONS -- QMP-ARGUMENTS
remove_during()
{
	local name=$1 options=() status=0

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -f "$TMP"/out/*
	"$VM_DIR/vm-run" --timeout 200 --qmp "$TMP/qmp" --share "in=$TMP/in" \
		--share-rw "out=$TMP/out" "${options[@]}" -- \
		sh /mnt/in/run.sh &
	while [ ! -e "$TMP/out/busy" ] && kill -0 $! 2>/dev/null; do
		sleep 0.05
	done
	try "$name: QEMU removes the device" "$VM_DIR/qmp.py" "$TMP/qmp" "$@"
	wait $! || status=$?
	result "$name: the run ends well and the kernel log is clean" "$status"
	try "$name: it was on its way" grep -q '"failovers": *1,' "$TMP/out/out.json"
	try "$name: the numbers are the CPU's" cmp "$TMP/out/out.npy" "$TMP/expected.npy"
}

mkdir "$TMP/in" "$TMP/out"
/usr/bin/python3 "$TOP_DIR/tests/cli/tiny_model.py" "$TMP/in/model"
awk -v n="$TEXTS" 'BEGIN { for (i = 0; i < n; i++)
	printf "%c %c\n", 97 + i % 26, 97 + int(i / 26) % 26 }' >"$TMP/in/text.txt"
write_guest_script
"$BUILD_DIR/damf" embed --model "$TMP/in/model" --backend cpu --format npy \
	--output "$TMP/expected.npy" "$TMP/in/text.txt"
remove_during 'device_del' -- device_del '{"id": "damf0"}'
remove_during 'without notice' --native-hotplug -- qom-set \
	'{"path": "damf0", "property": "removed", "value": true}'
tap_end
