#!/bin/bash
# SPDX-License-Identifier: MIT
# The models that ship. Put in place by make. Prints TAP. With DAMF_DATA (a
# directory with glue/) their figures are checked, too.
set -u
TOP=@TOP@
# shellcheck disable=SC2034
DAMF=@BUILD@/damf
SAN=@SAN@
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"

MODELS=$TOP/models
cut -f 1,2 "$TOP/tests/vm/sentences.tsv" | tr '\t' '\n' | sed -n 1,16p >text.txt
for backend in cpu sim; do
	expect 0 '' "embeddings by $backend" embed --model "$MODELS/damf-minilm" \
		--backend $backend --format npy --output $backend.npy text.txt
	expect 0 '' "labels by $backend" classify --model "$MODELS/damf-sst2" \
		--backend $backend text.txt
	mv out $backend.labels
done
check 'embeddings have the same bits' cmp cpu.npy sim.npy
check 'labels are the same' cmp cpu.labels sim.labels
printf '%s\t%s\n' 'A man is playing a guitar.' 'A man plays the guitar.' \
	'A man is playing a guitar.' 'The stock market fell sharply today.' >pairs.tsv
expect 0 '' 'similarity' similarity --model "$MODELS/damf-minilm" --columns 1,2 --json pairs.tsv
check 'the same meaning is near, another far' with_json out \
	'd["pairs"][0]["cosine"] > 0.9 and d["pairs"][1]["cosine"] < 0.2'
printf '%s\n' 'a moving and wonderful film' 'a dull, lifeless mess' >reviews.txt
expect 0 '' 'classify' classify --model "$MODELS/damf-sst2" reviews.txt
check 'praise and blame are told apart' test "$(cut -f 1 out | tr '\n' ' ')" = 'positive negative '
expect 0 '' 'neither warns of attention that was not trained' info --model "$MODELS/damf-sst2"
check 'no warning' test ! -s err

GLUE=${DAMF_DATA:-}/glue
if [ -n "${DAMF_DATA:-}" ] && [ -z "$SAN" ]; then
	expect 0 '' 'STS-B' similarity --model "$MODELS/damf-minilm" --columns 8,9,10 --header \
		--json "$GLUE/STS-B/dev.tsv"
	check 'rho is the one that is claimed' with_json out 'round(d["spearman"], 4) == 0.8640'
	sed -n '2,$p' "$GLUE/SST-2/dev.tsv" | cut -f 1 >sst.txt
	expect 0 '' 'SST-2' classify --model "$MODELS/damf-sst2" sst.txt
	sed -n '2,$p' "$GLUE/SST-2/dev.tsv" | cut -f 2 | sed 's/1/positive/; s/0/negative/' >labels
	check 'accuracy is the one that is claimed' test \
		"$(paste labels <(cut -f 1 out) | awk '$1 == $2' | wc -l)" = 779
fi
echo "1..$N"
exit "$FAILED"
