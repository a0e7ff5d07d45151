#!/bin/bash
# SPDX-License-Identifier: MIT
# Fills Table I on the GLUE directories that the user has:
#
#   [TRAIN_FLAGS=FLAGS] table1.sh PYTHON TEACHER GLUE OUT STEPS FEWER JOBS ROW...
#
# A ROW is a name (exact, exact4, mixed, or any variant), or NAME=VARIANT, or
# NAME=VARIANT:START where START is the variant that is distilled first, in STEPS
# steps. mixed is searched for each task and spends FEWER times fewer multiply-adds
# than exact attention at 128 tokens; again is the exact model, tuned on. JOBS
# processes distill students and fill cells. What is there already stays.
set -euo pipefail

PYTHON=$1 TEACHER=$2 GLUE=$3 OUT=$4 STEPS=$5 FEWER=$6 JOBS=$7
shift 7
export PYTHONPATH=${0%/*}
read -ra FLAGS <<<"${TRAIN_FLAGS:-}"
rows=() missing=() pids=() threads=()

die()
{
	echo "table1: $1" >&2
	exit 1
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

# A student is to be distilled unless it is there, and once however many rows begin with it.
need()
{
	case $1 in
	*[!a-z0-9+]*) die "$1: is not the name of a variant" ;;
	esac
	[ ! -s "$OUT/start/$1/student.safetensors" ] || return 0
	[ -s "$OUT/text.npz" ] || die "$OUT/text.npz: no such file; train-model makes it, or damftrain pack of any text"
	case " ${missing[*]} " in
	*" $1 "*) ;;
	*) missing+=("$1") ;;
	esac
}

# Becomes the process that makes the student of a variant; what it says has its name before it.
distill()
{
	exec env "${threads[@]}" "$PYTHON" -W ignore -m damftrain distill --teacher "$TEACHER" \
		--text "$OUT/text.npz" --steps "$STEPS" --output "$OUT/start/$1" --variant "$1" "${FLAGS[@]}" \
		> >(sed -u "s/^/$1: /" >&2) 2>&1
}

# Waits until fewer than so many students are being made; an error in any ends all. wait -n
# would miss those that end together.
fewer_than()
{
	local pid left
	while [ "${#pids[@]}" -ge "$1" ]; do
		left=()
		for pid in "${pids[@]}"; do
			if kill -0 "$pid" 2>/dev/null; then
				left+=("$pid")
			else
				wait "$pid"
			fi
		done
		pids=("${left[@]}")
		[ "${#pids[@]}" -lt "$1" ] || sleep 0.2
	done
}

# All students that aren't there, JOBS at a time, each with its part of the cores.
distill_all()
{
	local at_once=$((JOBS < ${#missing[@]} ? JOBS : ${#missing[@]})) cores start
	cores=$(nproc)
	trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	[ "$at_once" -le 1 ] || threads=("OMP_NUM_THREADS=$(((cores + at_once - 1) / at_once))")
	for start in "${missing[@]}"; do
		fewer_than "$at_once"
		distill "$start" &
		pids+=($!)
	done
	fewer_than 1
	trap - EXIT INT TERM
}

case $JOBS in
0* | *[!0-9]*) die "$JOBS: is not a number of processes" ;;
esac
[ -n "$GLUE" ] || die "GLUE=DIR says where the GLUE directories are, as distributed"
for word; do
	row=$(row_of "$word")
	start=${row##*:}
	if [ "$start" = "$row" ]; then
		rows+=(--row "$row")
		continue
	fi
	need "$start"
	rows+=(--row "${row%:*}:$OUT/start/$start")
done
distill_all
exec "$PYTHON" -W ignore -m damftrain table1 --teacher "$TEACHER" --glue "$GLUE" "${rows[@]}" \
	--fewer "$FEWER" --jobs "$JOBS" --output "$OUT/table1.jsonl" "${FLAGS[@]}"
