#!/bin/bash
# SPDX-License-Identifier: MIT
# The damf command: what it prints, its exit codes, one clear error for each
# bad input, and no partial output. Put in place by make. Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"

"$PYTHON" "$TOP/tests/cli/tiny_model.py" model || exit 1
"$PYTHON" "$TOP/tests/cli/tiny_model.py" labelled 2 || exit 1
printf 'a b c\n\nthe cat, a mat.\n' >text
RUN=(--model model --backend cpu)

# ---- usage ----
expect 2 'no command' 'no command'
expect 2 '"fly" is not a command' 'unknown command' fly
for c in info embed similarity classify tokenize convert bench; do
	expect 0 '' "$c --help" "$c" --help
	expect 2 '--frob: unknown option' "$c: unknown option" "$c" --frob
	expect 2 'its value is missing' "$c: a value is missing" "$c" --model
done
for c in embed classify tokenize convert bench; do
	expect 2 'give --model DIR' "$c: no model" "$c"
done
expect 2 '--attention soft: it must be mhsa, fold, shift, foldshift or softfold' 'attention' embed "${RUN[@]}" --attention soft text
expect 2 '--dtype f16: it must be f32, bf16 or int8' 'dtype' embed "${RUN[@]}" --dtype f16 text
expect 2 '--xtype f32: it must be int8 or int16' 'xtype' embed "${RUN[@]}" --xtype f32 text
expect 3 'leave --xtype out, or use --dtype int8' 'xtype without int8' embed "${RUN[@]}" --xtype int16 text
expect 2 '--backend gpu: it must be auto' 'backend' embed --model model --backend gpu text
expect 2 '--submit smoke: it must be uring or ioctl' 'submit' embed "${RUN[@]}" --submit smoke text
expect 2 '--format csv' 'format' embed "${RUN[@]}" --format csv text
expect 2 '--batch 0' 'batch' embed "${RUN[@]}" --batch 0 text
expect 2 'it must be 3 to 32' 'a length beyond the positions' embed "${RUN[@]}" --max-length 33 text
expect 2 '"more": one file at most' 'two files' embed "${RUN[@]}" text more
expect 2 '--output' '--json without a file' embed "${RUN[@]}" --json text

# ---- bad input ----
expect 3 'nowhere: there is no such model directory' 'no model directory' embed --model nowhere text
expect 3 'text: it is a file' 'the model is a file' embed --model text text
expect 3 'none: cannot open it' 'no text file' embed "${RUN[@]}" none
expect 4 'DAMF accelerator' 'no device' embed --model model --backend device:/dev/null text
printf 'fine\nbad \xff\n' >latin
expect 3 'latin:2: byte 5 of the line (0xff) is not UTF-8' 'not UTF-8' embed "${RUN[@]}" latin
cp -r model broken
sed -i 's/"gelu"/"gelu_new"/' broken/config.json
expect 3 'hidden_act' 'hidden_act' embed --model broken text
sed 's/"bert"/"roberta"/' model/config.json >broken/config.json
expect 3 'model_type "roberta" is not supported' 'another architecture' embed --model broken text
cp model/config.json broken/
truncate -s -100 broken/model.safetensors
expect 3 'cut short' 'safetensors cut short' embed --model broken text
printf '\377\377\377\377\377\377\377\177{}' >broken/model.safetensors
expect 3 'more than the 16777216 allowed' 'huge header' embed --model broken text
rm broken/model.safetensors
expect 3 'no model.safetensors' 'no weights' embed --model broken text
sed 's/"intermediate_size": 32/"intermediate_size": 64/' model/config.json >broken/config.json
cp model/model.safetensors broken/
expect 3 'has shape [32, 24], config.json calls for [64, 24]' 'wrong shape' embed --model broken text
expect 1 '/nowhere/out.npy: cannot write it' 'output not writable' embed "${RUN[@]}" --output /nowhere/out.npy text
check 'no partial output after an error' test ! -e out.npy
"$DAMF" embed "${RUN[@]}" --output out.npy latin 2>/dev/null
check 'nothing is left of an output that failed' sh -c '! ls | grep "^out.npy"'
echo old >out.npy
"$DAMF" embed "${RUN[@]}" --output out.npy latin 2>/dev/null
check 'an old output stays when the new one fails' grep -q old out.npy

# ---- embed ----
expect 0 '1 empty line, the first is line 2' 'embed to npy, an empty line is told' \
	embed "${RUN[@]}" --output out.npy --stats stats.json text
check 'npy: header and size' "$PYTHON" -c '
b = open("out.npy", "rb").read()
assert b[:8] == b"\x93NUMPY\x01\x00" and b"(3, 24)" in b[:128] and len(b) == 128 + 3 * 24 * 4'
check 'stats' with_json stats.json 'd["backend"] == "cpu" and d["sentences"] == 3 and d["macs"] > 0 and d["jobs"] == 11'
"$DAMF" embed --model model --backend sim --output sim.npy text 2>/dev/null
check 'sim gives the same bits' cmp out.npy sim.npy
"$DAMF" embed "${RUN[@]}" --output - --format npy text >stdout.npy 2>/dev/null
"$DAMF" embed "${RUN[@]}" --format npy --batch 1 --threads 1 - <text >stdin.npy 2>/dev/null
check 'standard output gets the same' cmp out.npy stdout.npy
check 'and from standard input, in batches of one' cmp out.npy stdin.npy
expect 0 '' 'jsonl' embed "${RUN[@]}" --format jsonl --output rows.jsonl text
check 'jsonl: a line a text' "$PYTHON" -c '
import json
rows = [json.loads(line) for line in open("rows.jsonl")]
assert [r["text"] for r in rows] == open("text").read().split("\n")[:3]
assert all(len(r["embedding"]) == 24 for r in rows) and rows[1]["tokens"] == 2'
"$PYTHON" -c 'print("a " * 40); print("b"); print("c " * 31)' >long
expect 0 '2 texts were longer' 'truncation is told once' embed "${RUN[@]}" --output long.npy long
expect 0 'accuracy falls' 'fold on a plain model warns' embed "${RUN[@]}" --attention fold --output fold.npy text
: >empty
expect 0 '' 'an empty file' embed "${RUN[@]}" --output empty.npy empty
check 'gives no rows' grep -q -a "(0, 24)" empty.npy

# ---- convert ----
expect 0 'was not trained for fold' 'convert' convert --model model --output converted
check 'tells of each head' test "$(grep -c -E '^ +[01] +[01] ' out)" = 4
expect 1 'there is a model already' 'convert twice' convert --model model --output converted
expect 2 'packed already' 'convert a packed one' convert --model converted --output again
"$DAMF" embed --model converted --backend cpu --output converted.npy text 2>/dev/null
check 'the converted model gives the same bits' cmp fold.npy converted.npy
"$DAMF" embed --model converted --backend sim --output converted-sim.npy text 2>/dev/null
check 'and from sim' cmp fold.npy converted-sim.npy
"$DAMF" embed --model converted --attention mhsa --backend cpu --output exact.npy text 2>/dev/null
check 'mhsa of the converted model is that of the original' cmp out.npy exact.npy
expect 0 '' 'convert to the plain form' convert --model model --output plain --form plain
expect 0 '' 'and on to the packed one' convert --model plain --output packed --json
check 'which is the same file' cmp converted/model.safetensors packed/model.safetensors
check 'report as JSON' with_json out 'd["form"] == "packed" and d["dtype"] == "f32" and len(d["heads"]) == 4 and 0 < d["heads"][0]["share"] < 1 and d["parameters_after"] < d["parameters_before"]'
for mode in fold shift foldshift softfold; do
	"$DAMF" convert --model model --output "mode-$mode" --mode "$mode" >/dev/null 2>&1
	"$DAMF" embed --model "mode-$mode" --backend cpu --output "$mode-file.npy" text 2>/dev/null
	"$DAMF" embed "${RUN[@]}" --attention "$mode" --output "$mode-fly.npy" text 2>/dev/null
	check "$mode: converted, and on the fly" cmp "$mode-file.npy" "$mode-fly.npy"
	"$DAMF" embed --model plain --attention "$mode" --backend cpu --output "$mode-plain.npy" text 2>/dev/null
	check "$mode: of a plain directory" cmp "$mode-file.npy" "$mode-plain.npy"
done
for dtype in bf16 int8; do
	"$DAMF" convert --model model --output "type-$dtype" --mode mhsa --dtype "$dtype" >/dev/null 2>&1
	"$DAMF" embed --model "type-$dtype" --backend cpu --output "$dtype-file.npy" text 2>/dev/null
	"$DAMF" embed "${RUN[@]}" --dtype "$dtype" --output "$dtype-fly.npy" text 2>/dev/null
	check "$dtype: converted, and on the fly" cmp "$dtype-file.npy" "$dtype-fly.npy"
	check "$dtype: other numbers than f32" sh -c "test -s $dtype-file.npy && ! cmp -s out.npy $dtype-file.npy"
done
expect 0 '' 'info of a converted model' info --model type-int8 --json
check 'tells mode, type and form' with_json out '(lambda m: (m["attention"]["value"], m["dtype"], m["xtype"], m["form"], m["rank"]) == ("mhsa", "int8", "int8", "packed", 0) and m["numerics"] > 1)(d["model"])'
expect 0 '' 'rank and --drop-exact' convert --model model --output rank --rank 12 --drop-exact --json
check 'a rank of the whole width is exact' with_json out 'max(h["largest_error"] for h in d["heads"]) < 1e-6 and d["rank"] == 12'
expect 3 'layer 0 has no query and key' 'mhsa where they were dropped' embed --model rank --attention mhsa --backend cpu text
expect 3 'rank 12, and softfold takes rank 1' 'softfold of a rank above 1' embed --model rank --attention softfold --backend cpu text
expect 3 'its matrices are int8: for f32' 'another type of an int8 model' embed --model type-int8 --dtype f32 --backend cpu text
expect 2 'rank 12 at most' 'a rank beyond the width of a head' convert --model model --output x --rank 13
expect 2 'rank 2 with order 2' 'a rank and an order' convert --model model --output x --rank 2 --order 2
expect 2 'rank 2 with shift' 'a rank with shift' convert --model model --output x --rank 2 --mode shift
expect 2 '--order 5: it must be a number from 1 to 4' 'an order too high' convert --model model --output x --order 5
expect 2 'int8 with the plain form' 'a type in the plain form' convert --model model --output x --form plain --dtype int8
expect 2 '--form zip: it must be packed or plain' 'form' convert --model model --output x --form zip
check 'nothing is left of what was refused' test ! -e x
sed 's/"damf.version":"2"/"damf.version":"1"/' converted/model.safetensors >type-int8/model.safetensors
expect 3 'is "1", this library knows 2' 'a directory of version 1' embed --model type-int8 --backend cpu text
head -c 9000 converted/model.safetensors >type-int8/model.safetensors
expect 3 'cut short' 'a packed file cut short' embed --model type-int8 --backend cpu text

# ---- heads that differ ----
"$PYTHON" "$TOP/tests/cli/mixed_model.py" plain whole
"$PYTHON" "$TOP/tests/cli/mixed_model.py" plain part yes
"$PYTHON" "$TOP/tests/cli/mixed_model.py" plain astray yes yes
for model in whole part; do
	"$DAMF" convert --model "$model" --output "$model-int8" --dtype int8 >/dev/null 2>&1
	for backend in cpu sim; do
		"$DAMF" embed --model "$model" --backend "$backend" --output "$model-$backend.npy" \
			--stats "$model-$backend.json" text 2>/dev/null
	done
	"$DAMF" embed --model "$model-int8" --backend cpu --output "$model-int8.npy" text 2>/dev/null
done
check 'mixed: query and key of the exact head alone give the same bits' cmp whole-cpu.npy part-cpu.npy
check 'mixed: and from sim' cmp whole-cpu.npy part-sim.npy
check 'mixed: and as int8' cmp whole-int8.npy part-int8.npy
check 'mixed: other bits than fold' sh -c 'test -s part-cpu.npy && ! cmp -s part-cpu.npy fold.npy'
# two layers, query and key, of width 24, without 12 columns
check 'mixed: what is not there is not computed' "$PYTHON" -c '
import json
whole, part = (json.load(open(f"{name}-cpu.json")) for name in ("whole", "part"))
assert whole["macs"] - part["macs"] == 2 * 2 * whole["tokens"] * 24 * 12'
"$DAMF" embed --model whole --attention mhsa --backend cpu --output whole-mhsa.npy text 2>/dev/null
check 'mixed: mhsa of all heads where query and key are whole' cmp out.npy whole-mhsa.npy
expect 3 'layer 0 has query and key of some heads only' 'mixed: mhsa of all heads where they are not' embed --model part --attention mhsa --backend cpu text
expect 3 'layer 0: heads[1].qk_col is not allowed' 'mixed: columns that are not there' embed --model astray --backend cpu text

# ---- similarity ----
printf '\xef\xbb\xbfx\ta\tb\tscore\n1\ta b\ta b\t5\n2\ta b\tz, z.\t1\n3\tc\tc d\t3\n' >pairs.tsv
"$DAMF" similarity "${RUN[@]}" --columns 2,3,4 --header --json pairs.tsv >pairs.json 2>err
check 'similarity' with_json pairs.json 'len(d["pairs"]) == 3 and abs(d["pairs"][0]["cosine"] - 1) < 1e-6 and -1 <= d["spearman"] <= 1'
"$DAMF" similarity "${RUN[@]}" --columns 2,3 --header --json pairs.tsv >pairs.json 2>err
check 'similarity without a score' with_json pairs.json 'd["spearman"] is None and len(d["pairs"]) == 3'
expect 3 'line 1: the score "score" is not a number' 'a header as a score' similarity "${RUN[@]}" --columns 2,3,4 pairs.tsv
expect 3 'line 1: there is no column 9' 'no such column' similarity "${RUN[@]}" --columns 2,9 pairs.tsv
expect 2 'the columns of two sentences' 'one column' similarity "${RUN[@]}" --columns 2 pairs.tsv
expect 2 'give --columns' 'no columns' similarity "${RUN[@]}" pairs.tsv
expect 3 'holds no pairs' 'no pairs' similarity "${RUN[@]}" --columns 1,2 empty

# ---- the others ----
"$DAMF" tokenize --model model text >ids 2>/dev/null
check 'tokenize' "$PYTHON" -c '
rows = open("ids").read().split("\n")
assert rows[0] == "2 5 6 7 3" and rows[1] == "2 3" and rows[3] == "", rows'
expect 0 '2 lines were cut' 'tokenize with a limit' tokenize --model model --max-length 3 text
expect 2 'at least 3' 'tokenize: a limit too small' tokenize --model model --max-length 2 text
printf 'a[SEP]b\n' | "$DAMF" tokenize --model model - >ids
check 'special tokens in the text are parsed' grep -q -x '2 5 3 6 3' ids
expect 0 '' 'info' info --model model --json
check 'info: pooling is the default' with_json out 'd["model"]["pooling"]["value"] == "mean" and "default" in d["model"]["pooling"]["from"] and d["backends"]["cpu"]["usable"]'
expect 3 'no such model directory' 'info: no model' info --model nowhere
expect 0 '' 'classify' classify --model labelled --backend cpu --json text
check 'classify: probabilities' "$PYTHON" -c '
import json
for line in open("out"):
    p = json.loads(line)["probabilities"]
    assert set(p) == {"label0", "label1"} and abs(sum(p.values()) - 1) < 1e-5'
"$DAMF" convert --model labelled --output labelled8 --mode softfold --dtype int8 --xtype int16 >/dev/null 2>&1
"$DAMF" classify --model labelled8 --backend cpu text >labels 2>/dev/null
"$DAMF" classify --model labelled8 --backend sim text >labels-sim 2>/dev/null
"$DAMF" classify --model labelled --attention softfold --dtype int8 --xtype int16 --backend cpu text >labels-fly 2>/dev/null
check 'classify: of a converted model' test "$(wc -l <labels)" = 3
check 'classify: sim gives the same' cmp labels labels-sim
check 'classify: and so does the original' cmp labels labels-fly
expect 3 'no classifier' 'classify: no classifier' classify --model model --backend cpu text
expect 3 'line 1: there is no tab' 'classify: no pair' classify --model labelled --pairs text
expect 2 '--list-tokens 0: it must be a number' 'bench: lists of nothing' bench --model model --list-tokens 0
expect 0 '' 'bench' bench --model model --length 16 --repeat 3 --json
check 'bench: figures' with_json out 'd["runs"] == 3 and 0 < d["min_ms"] <= d["median_ms"] <= d["max_ms"] and 0 < d["engine_ms"] <= d["max_ms"]'
echo "1..$N"
exit "$FAILED"
