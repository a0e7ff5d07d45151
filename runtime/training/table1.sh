#!/bin/bash
# SPDX-License-Identifier: MIT
# Fills Table I on the GLUE directories that the user has:
#
#   table1.sh PYTHON TEACHER GLUE OUT STEPS ROW...
#
# A ROW is NAME=VARIANT, or NAME=VARIANT:START where START is the variant that
# is distilled first, in STEPS steps. Cells and students that are there stay.
set -euo pipefail

PYTHON=$1 TEACHER=$2 GLUE=$3 OUT=$4 STEPS=$5
shift 5
export PYTHONPATH=${0%/*}
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

[ -n "$GLUE" ] || die "GLUE=DIR says where the GLUE directories are, as distributed"
[ -s "$OUT/text.npz" ] || die "$OUT/text.npz: no such file; train-model makes it, or damftrain pack of any text"

for row; do
	start=${row##*:}
	if [ "$start" = "$row" ]; then
		rows+=(--row "$row")
		continue
	fi
	[ -s "$OUT/start/$start/student.safetensors" ] || train distill --teacher "$TEACHER" \
		--text "$OUT/text.npz" --variant "$start" --steps "$STEPS" --output "$OUT/start/$start"
	rows+=(--row "${row%:*}:$OUT/start/$start")
done
train table1 --teacher "$TEACHER" --text "$OUT/text.npz" --glue "$GLUE" "${rows[@]}" \
	--output "$OUT/table1.jsonl"
