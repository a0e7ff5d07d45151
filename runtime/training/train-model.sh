#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes damf-minilm from the exact model and text that the user has:
#
#   [TRAIN_FLAGS=FLAGS] train-model.sh PYTHON TEACHER GLUE WORDNET OUT DAMF STEPS
#
# Each part is left out where its result is there already, and the long one
# goes on from its checkpoint: after an interruption, run it again.
set -euo pipefail

PYTHON=$1 TEACHER=$2 GLUE=$3 WORDNET=$4 OUT=$5 DAMF=$6 STEPS=$7
export PYTHONPATH=${0%/*}
read -ra FLAGS <<<"${TRAIN_FLAGS:-}"

die()
{
	echo "train-model: $1" >&2
	exit 1
}

train()
{
	"$PYTHON" -W ignore -m damftrain "$@"
}

# A result appears when it is whole.
whole()
{
	local result=$1

	shift
	[ -s "$result" ] && return
	"$@" >"$result.part" || { rm -f "$result.part"; exit 1; }
	mv "$result.part" "$result"
}

[ -n "$GLUE" ] || die "GLUE=DIR says where the GLUE directories are, as distributed"
[ -d "$GLUE" ] || die "$GLUE: no such directory; GLUE=DIR takes GLUE directories as distributed"
[ -r "$WORDNET" ] || die "$WORDNET: no such file; it is in Debian's dict-wn, WORDNET=FILE names another place"
[ -e "$OUT/damf-minilm" ] && die "$OUT/damf-minilm is there already; to make it anew move it and $OUT/minilm away"

mkdir -p "$OUT"
whole "$OUT/wordnet.txt" "$PYTHON" -m damftrain.wordnet "$WORDNET"
[ -s "$OUT/glue.txt" ] || train glue-text --glue "$GLUE" --output "$OUT/glue.txt"
[ -s "$OUT/text.npz" ] || train pack --teacher "$TEACHER" --text "$OUT/glue.txt" \
	--text "$OUT/wordnet.txt" --join 0.12 --output "$OUT/text.npz"
[ -s "$OUT/minilm/student.safetensors" ] || train distill --teacher "$TEACHER" \
	--text "$OUT/text.npz" --variant square+band1 --int8-from 0.75 --steps "$STEPS" \
	--output "$OUT/minilm" "${FLAGS[@]}"
rm -rf "$OUT/exported" "$OUT/damf-minilm.part"
train export --teacher "$TEACHER" --student "$OUT/minilm" --output "$OUT/exported"
"$DAMF" convert --model "$OUT/exported" --output "$OUT/damf-minilm.part" --dtype int8 >"$OUT/convert.txt"
mv "$OUT/damf-minilm.part" "$OUT/damf-minilm"
rm -rf "$OUT/exported"
train evaluate --model "$OUT/damf-minilm" --glue "$GLUE" --task STS-B --damf "$DAMF"
