#!/bin/bash
# SPDX-License-Identifier: MIT
# `make run`: sets up whatever is missing, embeds a text on the device in the
# guest and on the CPU of the host, and compares. Settings come by environment:
# TEXT, MODEL, ATTENTION (as damf has it), SUBMIT (uring or ioctl), BACKEND
# (device, sim or cpu, in the guest), OUT, and STAND, the directory that
# relative paths start from.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/text.sh"

STEPS=9

# from_stand PATH: PATH as the person who typed it meant it.
from_stand()
{
	case $1 in
	/*) echo "$1" ;;
	*) echo "${STAND:-$PWD}/$1" ;;
	esac
}

check_settings()
{
	ATTENTION=${ATTENTION:-mhsa}
	SUBMIT=${SUBMIT:-uring}
	BACKEND=${BACKEND:-device}
	case $ATTENTION in
	mhsa | fold | shift | foldshift | softfold) ;;
	*) die "ATTENTION=$ATTENTION: it is mhsa, fold, shift, foldshift or softfold" ;;
	esac
	case $SUBMIT in uring | ioctl) ;; *) die "SUBMIT=$SUBMIT: it is uring or ioctl" ;; esac
	case $BACKEND in device | sim | cpu) ;; *) die "BACKEND=$BACKEND: it is device, sim or cpu" ;; esac
	TEXT=$(from_stand "${TEXT:-$VM_DIR/sentences.tsv}")
	OUT=$(from_stand "${OUT:-$BUILD_DIR/run}")
	[ -r "$TEXT" ] || die "cannot read TEXT=$TEXT: give a file with one sentence, or two with a tab between, on each line"
	if [ -n "${MODEL:-}" ]; then
		MODEL=$(from_stand "$MODEL")
		[ -r "$MODEL/config.json" ] || die "MODEL=$MODEL has no config.json: give a Hugging Face directory"
	fi
	mkdir -p "$OUT" 2>/dev/null || die "cannot make the directory OUT=$OUT"
	[ -w "$OUT" ] || die "cannot write to OUT=$OUT"
}

# step NUMBER WHAT COMMAND...
step()
{
	local what=$2 start=$SECONDS

	DAMF_STEP="[$1/$STEPS] "
	export DAMF_STEP
	shift 2
	"$@"
	say "$DAMF_STEP$what ($((SECONDS - start)) s)"
}

build_runtime()
{
	progress "building the runtime"
	quietly "$BUILD_DIR/log/runtime.log" make -C "$TOP_DIR" --no-print-directory \
		-j"${JOBS:-$(nproc)}" BUILD="$BUILD" all
	progress_end
}

set_up()
{
	say "setting up (each step is quick the next time)"
	step 1 'packages' "$VM_DIR/deps.sh"
	step 2 'QEMU with the device' "$VM_DIR/qemu-build.sh"
	step 3 'kernel of the guest' "$VM_DIR/kernel.sh" >/dev/null
	step 4 'module' "$VM_DIR/module.sh"
	step 5 'runtime' build_runtime
	step 6 'model' fetch_model
	step 7 'guest image' "$VM_DIR/image.sh"
}

fetch_model()
{
	if [ -z "${MODEL:-}" ]; then
		"$VM_DIR/fetch-model.sh"
		MODEL=$BUILD_DIR/models/all-MiniLM-L6-v2
	fi
}

embed_on_cpu()
{
	progress "embedding on the CPU of this machine"
	quietly "$BUILD_DIR/log/run-cpu.log" "$BUILD_DIR/damf" embed --model "$MODEL" \
		--attention "$ATTENTION" --backend cpu --format npy --output "$OUT/cpu.npy" \
		"$TMP/in/text.txt"
	progress_end
}

embed_in_guest()
{
	progress "booting the guest and embedding on the device"
	cat >"$TMP/in/run.sh" <<-SH
		set -e
		cd /tmp
		model="--model /mnt/model --attention $ATTENTION --format npy"
		damf embed \$model --backend $BACKEND --submit $SUBMIT --json \\
			--output /mnt/out/device.npy /mnt/in/text.txt >/mnt/out/device.json
		DAMF_ISA=generic damf embed \$model --backend cpu \\
			--output /mnt/out/guest-cpu.npy /mnt/in/three.txt
	SH
	"$VM_DIR/vm-run" --timeout 600 --share "in=$TMP/in" --share "model=$MODEL" \
		--share-rw "out=$TMP/out" --log "$OUT/kernel.log" -- sh /mnt/in/run.sh \
		2>"$TMP/guest.err" || {
		cat "$TMP/guest.err" >&2
		die "the run in the guest failed"
	}
	cp "$TMP/out/device.npy" "$TMP/out/device.json" "$OUT/"
	progress_end
}

check_settings
set_up
TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-run.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
mkdir "$TMP/in" "$TMP/out"
split_text "$TEXT" "$TMP/in"
step 8 "embeddings of the CPU here" embed_on_cpu
step 9 "embeddings of the device in the guest" embed_in_guest
say ''
"$VM_DIR/report.py" --text "$TEXT" --device "$OUT/device.npy" --cpu "$OUT/cpu.npy" \
	--guest-cpu "$TMP/out/guest-cpu.npy" --guest-rows "$(paste -s -d , "$TMP/in/rows")" \
	--stats "$OUT/device.json" --backend "$BACKEND" --submit "$SUBMIT"
