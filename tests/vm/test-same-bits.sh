#!/bin/bash
# SPDX-License-Identifier: MIT
# The same text on the device in the guest (by io_uring and by ioctl), on the
# guest's CPU, on the device model in this process and on the CPU here: every
# embedding has to be the same to the bit. With DAMF_DATA (a directory with
# glue/STS-B/dev.tsv) on 200 of its sentences, else on our own 60; the modes and
# types beside mhsa and fold in f32 on three of them. The models of models/ on
# all of it, as they are used: embeddings of one, labels of the other.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

MODEL=$BUILD_DIR/models/all-MiniLM-L6-v2
READY=$TOP_DIR/models
# attention and type
KINDS=('shift f32' 'foldshift f32' 'softfold f32' 'mhsa bf16' 'fold bf16' 'shift bf16'
	'foldshift bf16' 'softfold bf16' 'mhsa int8' 'fold int8'
	'shift int8' 'foldshift int8' 'softfold int8')
TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-bits.XXXXXX")
trap 'rm -rf "$TMP"' EXIT

make_text()
{
	local sts=${DAMF_DATA:-}/glue/STS-B/dev.tsv

	if [ -n "${DAMF_DATA:-}" ]; then
		[ -r "$sts" ] || die "DAMF_DATA=$DAMF_DATA has no glue/STS-B/dev.tsv"
		sed -n 2,201p "$sts" | cut -f 8
	else
		cut -f 1,2 "$VM_DIR/sentences.tsv" | tr '\t' '\n'
	fi >"$TMP/in/text.txt"
	head -n 3 "$TMP/in/text.txt" >"$TMP/in/three.txt"
}

# embed_here BACKEND ATTENTION TEXT [TYPE]
embed_here()
{
	"$BUILD_DIR/damf" embed --model "$MODEL" --backend "$1" --attention "$2" \
		--dtype "${4:-f32}" --format npy --output "$TMP/out/$3-$1-$2${4:+-$4}.npy" \
		"$TMP/in/$3.txt"
}

# ready_here BACKEND: what the models of models/ say of the text.
ready_here()
{
	"$BUILD_DIR/damf" embed --model "$READY/damf-minilm" --backend "$1" --format npy \
		--output "$TMP/out/ready-$1.npy" "$TMP/in/text.txt" &&
		"$BUILD_DIR/damf" classify --model "$READY/damf-sst2" --backend "$1" \
			"$TMP/in/text.txt" >"$TMP/out/labels-$1.txt"
}

write_guest_script()
{
	cat >"$TMP/in/run.sh" <<-'SH'
		set -e
		for attention in mhsa fold; do
			embed="damf embed --model /mnt/model --format npy --attention $attention"
			for submit in uring ioctl; do
				$embed --backend device --submit $submit \
					--output /mnt/out/text-$submit-$attention.npy /mnt/in/text.txt
			done
			$embed --backend cpu --output /mnt/out/three-guest-$attention.npy /mnt/in/three.txt
		done
		while read -r attention dtype; do
			for backend in device cpu; do
				damf embed --model /mnt/model --format npy --attention $attention \
					--dtype $dtype --backend $backend --output \
					/mnt/out/three-guest-$backend-$attention-$dtype.npy /mnt/in/three.txt
			done
		done </mnt/in/kinds
		for backend in device cpu; do
			damf embed --model /mnt/ready/damf-minilm --backend $backend --format npy \
				--output /mnt/out/ready-guest-$backend.npy /mnt/in/text.txt
			damf classify --model /mnt/ready/damf-sst2 --backend $backend \
				/mnt/in/text.txt >/mnt/out/labels-guest-$backend.txt
		done
	SH
}

# same A B [SUFFIX]: both are there and hold the same bytes.
same()
{
	local suffix=${3:-npy}

	[ -s "$TMP/out/$1.$suffix" ] && cmp "$TMP/out/$1.$suffix" "$TMP/out/$2.$suffix"
}

mkdir "$TMP/in" "$TMP/out"
make_text
printf '%s\n' "${KINDS[@]}" >"$TMP/in/kinds"
write_guest_script
try 'the guest embeds by io_uring, by ioctl and on its CPU' \
	"$VM_DIR/vm-run" --timeout 600 --share "in=$TMP/in" --share "model=$MODEL" \
	--share "ready=$READY" --share-rw "out=$TMP/out" -- sh /mnt/in/run.sh
for attention in mhsa fold; do
	for backend in cpu sim; do
		try "$attention: $backend here" embed_here "$backend" "$attention" text
	done
	embed_here cpu "$attention" three
	try "$attention: sim as cpu" same "text-sim-$attention" "text-cpu-$attention"
	try "$attention: device by io_uring as cpu" same "text-uring-$attention" "text-cpu-$attention"
	try "$attention: device by ioctl as cpu" same "text-ioctl-$attention" "text-cpu-$attention"
	try "$attention: cpu of the guest as cpu here" \
		same "three-guest-$attention" "three-cpu-$attention"
done
for kind in "${KINDS[@]}"; do
	read -r attention dtype <<<"$kind"
	for backend in cpu sim; do
		try "$kind: $backend here" embed_here "$backend" "$attention" three "$dtype"
	done
	try "$kind: sim as cpu" same "three-sim-$attention-$dtype" "three-cpu-$attention-$dtype"
	try "$kind: device as cpu" \
		same "three-guest-device-$attention-$dtype" "three-cpu-$attention-$dtype"
	try "$kind: cpu of the guest as cpu here" \
		same "three-guest-cpu-$attention-$dtype" "three-cpu-$attention-$dtype"
done
for backend in cpu sim; do
	try "ready models: $backend here" ready_here "$backend"
done
for other in sim guest-device guest-cpu; do
	try "damf-minilm: $other as cpu" same "ready-$other" ready-cpu
	try "damf-sst2: $other as cpu" same "labels-$other" labels-cpu txt
done
tap_end
