#!/bin/bash
# SPDX-License-Identifier: MIT
# `make run`: sets up whatever is missing, embeds a text on the device in the
# guest and on the CPU of the host, and compares. Settings come by environment:
# TEXT, MODEL, EXACT (the model that stands beside it), ATTENTION (of MODEL, as
# damf has it), SUBMIT (uring or ioctl), BACKEND (device, sim or cpu, in the
# guest), OUT, and STAND, the directory that relative paths start from.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/text.sh"

STEPS=9
READY=$TOP_DIR/models/damf-minilm

# from_stand PATH: PATH as the person who typed it meant it.
from_stand()
{
	case $1 in
	/*) echo "$1" ;;
	*) echo "${STAND:-$PWD}/$1" ;;
	esac
}

# model_of NAME VALUE: the directory of a setting.
model_of()
{
	local dir

	dir=$(from_stand "$2")
	[ -r "$dir/config.json" ] || die "$1=$dir has no config.json: give a Hugging Face directory"
	echo "$dir"
}

# MODELS are embedded, into PLACES. DAMF stands beside the exact model; one that
# the user names stands alone unless EXACT says what it is to be held against.
choose_models()
{
	local fetched=$BUILD_DIR/models/all-MiniLM-L6-v2

	FETCH=1 DEV_RHO=''
	if [ -n "${EXACT:-}" ]; then
		EXACT=$(model_of EXACT "$EXACT")
	elif [ -z "${MODEL:-}" ] && [ "$ATTENTION" != mhsa ]; then
		EXACT=$fetched
	fi
	if [ -n "${MODEL:-}" ]; then
		MODEL=$(model_of MODEL "$MODEL")
		FETCH=''
	elif [ -n "$ATTENTION" ]; then
		MODEL=$fetched
	else
		MODEL=$READY
		[ "$EXACT" != "$fetched" ] || DEV_RHO=$(dev_rho)
	fi
}

# What models/README.md says of the ready model, and of the exact one.
dev_rho()
{
	sed -n 's/.*STS-B: rho \([0-9.]*\), exact \([0-9.]*\).*/\1,\2/p' "$TOP_DIR/models/README.md"
}

check_settings()
{
	SUBMIT=${SUBMIT:-uring}
	BACKEND=${BACKEND:-device}
	case ${ATTENTION:=} in
	'' | mhsa | fold | shift | foldshift | softfold) ;;
	*) die "ATTENTION=$ATTENTION: it is mhsa, fold, shift, foldshift or softfold" ;;
	esac
	case $SUBMIT in uring | ioctl) ;; *) die "SUBMIT=$SUBMIT: it is uring or ioctl" ;; esac
	case $BACKEND in device | sim | cpu) ;; *) die "BACKEND=$BACKEND: it is device, sim or cpu" ;; esac
	TEXT=$(from_stand "${TEXT:-$VM_DIR/sentences.tsv}")
	OUT=$(from_stand "${OUT:-$BUILD_DIR/run}")
	[ -r "$TEXT" ] || die "cannot read TEXT=$TEXT: give a file with one sentence, or two with a tab between, on each line"
	choose_models
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
	if [ -n "$FETCH" ]; then
		"$VM_DIR/fetch-model.sh"
	fi
}

# embed_here MODEL ATTENTION PLACE
embed_here()
{
	"$BUILD_DIR/damf" embed --model "$1" ${2:+--attention "$2"} --backend cpu --format npy \
		--output "$3/cpu.npy" "$TMP/in/text.txt"
	cp "$1/config.json" "$3/"
}

# count NAME MODEL TEXT OPTION...: what the device's model in this process counts.
count()
{
	"$BUILD_DIR/damf" embed --model "$2" "${@:4}" --backend sim --format npy \
		--output "$TMP/counted.npy" --stats "$TMP/counts/$1.json" "$TMP/in/$3.txt"
}

dtype_of()
{
	sed -n 's/.*"dtype": "\([a-z0-9]*\)".*/\1/p' "$1/device.json"
}

# What DAMF saves isn't what its type saves: the exact model in that type counts,
# too, and both count on a long text, where attention weighs more.
count_exact()
{
	local type same=()

	type=$(dtype_of "$OUT")
	if [ "$type" != "$(dtype_of "$OUT/exact")" ] && [ "$(dtype_of "$OUT/exact")" = f32 ]; then
		same=(--dtype "$type")
		count exact-text "$EXACT" text "${same[@]}"
	fi
	printf '%0126d\n' 0 | tr 0 . >"$TMP/in/long.txt"
	count exact-long "$EXACT" long "${same[@]}"
	count run-long "$MODEL" long ${ATTENTION:+--attention "$ATTENTION"}
}

embed_on_cpu()
{
	progress "embedding on the CPU of this machine"
	quietly "$BUILD_DIR/log/run-cpu.log" embed_here "$MODEL" "$ATTENTION" "$OUT"
	if [ -n "${EXACT:-}" ]; then
		mkdir -p "$OUT/exact"
		quietly "$BUILD_DIR/log/run-exact.log" embed_here "$EXACT" '' "$OUT/exact"
	fi
	progress_end
}

embed_in_guest()
{
	local shares=(--share "in=$TMP/in" --share "model=$MODEL" --share-rw "out=$TMP/out")

	progress "booting the guest and embedding on the device"
	cat >"$TMP/in/run.sh" <<-SH
		set -e
		cd /tmp
		embed()
		{
			model=/mnt/\$1 out=/mnt/out/\$1
			shift
			mkdir \$out
			damf embed --model \$model "\$@" --format npy --backend $BACKEND \
				--submit $SUBMIT --json --output \$out/device.npy /mnt/in/text.txt \
				>\$out/device.json
			DAMF_ISA=generic damf embed --model \$model "\$@" --format npy \
				--backend cpu --output \$out/guest-cpu.npy /mnt/in/three.txt
		}
		embed model ${ATTENTION:+--attention $ATTENTION}
		${EXACT:+embed exact}
	SH
	[ -z "${EXACT:-}" ] || shares+=(--share "exact=$EXACT")
	"$VM_DIR/vm-run" --timeout 600 "${shares[@]}" --log "$OUT/kernel.log" -- \
		sh /mnt/in/run.sh 2>"$TMP/guest.err" || {
		cat "$TMP/guest.err" >&2
		die "the run in the guest failed"
	}
	cp "$TMP/out/model"/* "$OUT/"
	[ -z "${EXACT:-}" ] || cp "$TMP/out/exact"/* "$OUT/exact/"
	progress_end
}

report()
{
	local beside=()

	if [ -n "${EXACT:-}" ]; then
		quietly "$BUILD_DIR/log/run-counts.log" count_exact
		beside=(--exact "$OUT/exact" --counts "$TMP/counts" --dev-rho "$DEV_RHO")
	fi
	say ''
	"$VM_DIR/report.py" --text "$TEXT" --run "$OUT" "${beside[@]}" \
		--guest-rows "$(paste -s -d , "$TMP/in/rows")" --backend "$BACKEND" --submit "$SUBMIT"
}

check_settings
set_up
TMP=$(mktemp -d "${TMPDIR:-/tmp}/damf-run.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
mkdir "$TMP/in" "$TMP/out" "$TMP/counts"
split_text "$TEXT" "$TMP/in"
step 8 "embeddings of the CPU here" embed_on_cpu
step 9 "embeddings of the device in the guest" embed_in_guest
report
