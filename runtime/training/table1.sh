#!/bin/bash
# SPDX-License-Identifier: MIT
# Fills Table I on the GLUE directories that the user has:
#
#   [TRAIN_FLAGS=FLAGS] [JOBS=N] table1.sh PYTHON TEACHER GLUE OUT STEPS FEWER ROW...
#
# A ROW is a name (exact, exact4, mixed, or any variant), or NAME=VARIANT, or
# NAME=VARIANT:START where START is the variant that is distilled first, in STEPS
# steps. mixed is searched for each task and spends FEWER times fewer multiply-adds
# than exact attention at 128 tokens; again is the exact model, tuned on. JOBS
# processes distill students and fill cells. What is there already stays.
set -euo pipefail

PYTHON=$1 TEACHER=$2 GLUE=$3 OUT=$4 STEPS=$5 FEWER=$6 JOBS=${JOBS:-1}
shift 6
export PYTHONPATH=${0%/*}
read -ra FLAGS <<<"${TRAIN_FLAGS:-}"
rows=() starts=() pids=()

die()
{
	echo "table1: $1" >&2
	exit 1
}

train()
{
	"$PYTHON" -W ignore -m damftrain "$@"
}

# What a name stands for; shift and foldshift begin with the student of fold, mixed and
# again with the task's exact model.
row_of()
{
	case $1 in
	*=*) echo "$1" ;;
	exact) echo exact=mhsa ;;
	exact[1-9]) echo "$1=mhsa+layers${1#exact}:mhsa+layers${1#exact}" ;;
	mixed | again) echo "$1=$1" ;;
	shift* | foldshift*) echo "$1=$1:fold${1#*shift}" ;;
	*) echo "$1=$1:$1" ;;
	esac
}

# Becomes the process that makes the student of a variant; what it says has its name before it.
distill()
{
	[ -s "$OUT/text.npz" ] || die "$OUT/text.npz: no such file; train-model makes it, or damftrain pack of any text"
	exec "$PYTHON" -W ignore -m damftrain distill --teacher "$TEACHER" --text "$OUT/text.npz" --steps "$STEPS" \
		--output "$OUT/start/$1" --variant "$1" "${FLAGS[@]}" 2> >(sed -u "s/^/$1: /" >&2)
}

# All students that aren't there, JOBS at a time, each with its part of the cores. An
# error ends all, and so does a signal. wait -n would miss those that end together.
distill_all()
{
	local cores pid start
	cores=$(nproc)
	trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	for start; do
		[ ! -s "$OUT/start/$start/student.safetensors" ] || continue
		if [ "${#pids[@]}" -eq "$JOBS" ]; then
			wait "${pids[0]}"
			pids=("${pids[@]:1}")
		fi
		OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(((cores + JOBS - 1) / JOBS))} distill "$start" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	trap - EXIT INT TERM
}

case $JOBS in
'' | 0 | *[!0-9]*) die "JOBS=$JOBS: is to be a number of processes" ;;
esac
[ -n "$GLUE" ] || die "GLUE=DIR says where the GLUE directories are, as distributed"
for word; do
	row=$(row_of "$word")
	start=${row##*:}
	if [ "$start" = "$row" ]; then
		rows+=(--row "$row")
		continue
	fi
	case " ${starts[*]} " in *" $start "*) ;; *) starts+=("$start") ;; esac
	rows+=(--row "${row%:*}:$OUT/start/$start")
done
distill_all "${starts[@]}"
train table1 --teacher "$TEACHER" --glue "$GLUE" "${rows[@]}" \
	--fewer "$FEWER" --jobs "$JOBS" --output "$OUT/table1.jsonl" "${FLAGS[@]}"
