#!/bin/bash
# SPDX-License-Identifier: MIT
# Fills Table I on the GLUE directories that the user has:
#
#   [TRAIN_FLAGS=FLAGS] [JOBS=N] table1.sh PYTHON TEACHER GLUE OUT STEPS FEWER ROW...
#
# A ROW is a name (exact, exact4, mixed, or any variant), or NAME=VARIANT, or
# NAME=VARIANT:START where START is the variant that is distilled first, in STEPS
# steps. mixed is searched for each task and spends FEWER times fewer multiply-adds
# than exact attention at 128 tokens; again is the exact model, tuned on. Cells are
# filled by JOBS processes. Cells, searches and students that are there stay.
set -euo pipefail

PYTHON=$1 TEACHER=$2 GLUE=$3 OUT=$4 STEPS=$5 FEWER=$6
shift 6
export PYTHONPATH=${0%/*}
read -ra FLAGS <<<"${TRAIN_FLAGS:-}"
rows=()

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

# The student of a variant.
distilled()
{
	[ -s "$OUT/start/$1/student.safetensors" ] && return
	[ -s "$OUT/text.npz" ] || die "$OUT/text.npz: no such file; train-model makes it, or damftrain pack of any text"
	train distill --teacher "$TEACHER" \
		--text "$OUT/text.npz" --steps "$STEPS" --output "$OUT/start/$1" --variant "$1" "${FLAGS[@]}"
}

[ -n "$GLUE" ] || die "GLUE=DIR says where the GLUE directories are, as distributed"
for word; do
	row=$(row_of "$word")
	start=${row##*:}
	if [ "$start" = "$row" ]; then
		rows+=(--row "$row")
		continue
	fi
	distilled "$start"
	rows+=(--row "${row%:*}:$OUT/start/$start")
done
train table1 --teacher "$TEACHER" --glue "$GLUE" "${rows[@]}" \
	--fewer "$FEWER" --jobs "${JOBS:-1}" --output "$OUT/table1.jsonl" "${FLAGS[@]}"
