#!/bin/bash
# SPDX-License-Identifier: MIT
# The accelerator goes away in the middle of an embedding run: by device_del,
# which asks the guest first, and without notice. The run has to end with the
# numbers of the CPU, and the kernel log has to stay clean.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

MODEL=$BUILD_DIR/models/all-MiniLM-L6-v2
TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-removal.XXXXXX")
trap 'rm -rf "$TMP"' EXIT

# The guest tells by a file on the share when the device has run something.
write_guest_script()
{
	cat >"$TMP/in/run.sh" <<-'SH'
		damf embed --model /mnt/model --backend auto --format npy --json \
			--output /mnt/out/out.npy /mnt/in/text.txt >/mnt/out/out.json &
		until grep -q damf /proc/interrupts && [ "$(awk '/damf/ { n += $2 + $3 } END { print n }' \
			/proc/interrupts)" -gt 2 ]; do
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
	"$VM_DIR/vm-run" --timeout 400 --qmp "$TMP/qmp" --share "in=$TMP/in" \
		--share "model=$MODEL" --share-rw "out=$TMP/out" "${options[@]}" -- \
		sh /mnt/in/run.sh &
	while [ ! -e "$TMP/out/busy" ] && kill -0 $! 2>/dev/null; do
		sleep 0.05
	done
	try "$name: QEMU removes the device" "$VM_DIR/qmp.py" "$TMP/qmp" "$@"
	wait $! || status=$?
	result "$name: the run ends well and the kernel log is clean" "$status"
	try "$name: the numbers are the CPU's" cmp "$TMP/out/out.npy" "$TMP/expected.npy"
}

mkdir "$TMP/in" "$TMP/out"
cut -f 1,2 "$VM_DIR/sentences.tsv" | tr '\t' '\n' >"$TMP/in/text.txt"
write_guest_script
"$BUILD_DIR/damf" embed --model "$MODEL" --backend cpu --format npy \
	--output "$TMP/expected.npy" "$TMP/in/text.txt"
remove_during 'device_del' -- device_del '{"id": "damf0"}'
remove_during 'without notice' --native-hotplug -- qom-set \
	'{"path": "damf0", "property": "removed", "value": true}'
tap_end
