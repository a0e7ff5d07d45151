#!/bin/bash
# SPDX-License-Identifier: MIT
# damf bench attention, gemm and model: figures, what --dump writes computed
# once more, and an error for each bad input. Put in place by make. Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"
recompute=("$PYTHON" "$TOP/tests/cli/check_bench.py")

# ---- usage ----
expect 0 '' 'bench --help' bench --help
check 'bench --help tells the kinds' grep -q 'attention|gemm|model|tokenizer' out
expect 2 'bench "mill": it must be attention, gemm, model or tokenizer' 'unknown kind' bench mill
for k in attention gemm model tokenizer; do
	expect 0 '' "$k --help" bench $k --help
	expect 2 '--frob: unknown option' "$k: unknown option" bench $k --frob
	expect 2 'its value is missing' "$k: a value is missing" bench $k --repeat
done
for k in attention gemm model; do
	expect 2 '"more": there is no such argument' "$k: an argument" bench $k more
done
for k in model tokenizer; do
	expect 2 'give --model DIR' "$k: no model" bench $k
done
expect 2 '"more": one file at most' 'tokenizer: two files' bench tokenizer --model model text more
expect 2 '--attention soft: it must be mhsa, fold' 'attention' bench attention --attention soft
expect 2 '--hidden 10: it must be a multiple of the 4 heads' 'heads that do not divide' \
	bench attention --hidden 10 --heads 4
expect 2 '--range 0: it must be a number above 0' 'no range' bench attention --range 0
expect 2 '--bound x: it must be a number above 0' 'no bound' bench attention --bound x
expect 2 '--length 0: it must be a number' 'no tokens' bench gemm --length 0
expect 2 '--act relu: it must be none or gelu' 'act' bench gemm --act relu
expect 2 '--cold 0: it must be a number' 'no layers' bench gemm --cold 0
expect 2 '--xtype: leave it out, or use --dtype int8' 'xtype without int8' bench gemm --xtype int16
DAMF_ISA=z80 expect 2 'z80' 'an instruction set that is none' bench gemm
printf x >file
expect 1 'file/' 'a file in the place of a directory' bench gemm --length 1 --repeat 1 --dump file
expect 1 'none/such' 'a directory that cannot be made' bench gemm --length 1 --repeat 1 --dump none/such

# ---- attention: what was timed is that layer ----
SMALL=(--length 9 --hidden 12 --heads 3 --repeat 2)
bench_attention() # NAME TOLERANCE ARGUMENT...
{
	"$DAMF" bench attention "${SMALL[@]}" --dump "dump-$1" --json "${@:3}" >json 2>err
	check "attention $1: figures" with_json json \
		'd["runs"] == 2 and 0 < d["min_ms"] <= d["median_ms"] <= d["max_ms"] and d["threads"] >= 1'
	check "attention $1: recomputed" "${recompute[@]}" "dump-$1" "$2"
}
bench_attention mhsa 1e-5
check 'attention mhsa: MACs' with_json json 'd["macs"] == 4 * 9 * 144 + 2 * 81 * 12'
check 'attention mhsa: bytes of four matrices of one panel' with_json json \
	'd["weight_bytes"] == 4 * 12 * 32 * 4'
bench_attention fold 1e-5 --attention fold
bench_attention softfold 1e-3 --attention softfold
bench_attention narrow 1e-4 --attention softfold --range 0.3 --bound 1e-6
bench_attention cold 1e-5 --attention fold --cold 3
check 'attention cold: MACs are of one layer' with_json json \
	"d['cold'] == 3 and d['macs'] == $("$DAMF" bench attention "${SMALL[@]}" --attention fold --json |
		"$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["macs"])')"
bench_attention threads 1e-5 --threads 3
bench_attention int8 0.05 --dtype int8
bench_attention int16 1e-3 --dtype int8 --xtype int16
bench_attention bf16 1e-5 --attention fold --dtype bf16
for mode in shift foldshift; do
	expect 0 '' "attention $mode" bench attention "${SMALL[@]}" --attention $mode
done
check 'what was changed is found' bash -c "sed 's/\x3f/\x3e/g' dump-mhsa/y.npy >y && cmp -s y dump-mhsa/y.npy;
	[ \$? = 1 ] && mv y dump-mhsa/y.npy && ! '$PYTHON' '$TOP/tests/cli/check_bench.py' dump-mhsa 1e-5"

# ---- gemm ----
for act in none gelu; do
	"$DAMF" bench gemm --length 5 --in 20 --out 35 --act $act --repeat 2 --dump "gemm-$act" --json >json 2>err
	check "gemm, act $act: recomputed" "${recompute[@]}" "gemm-$act" 1e-5
done
check 'gemm: MACs, bytes of two panels' with_json json \
	'd["macs"] == 5 * 20 * 35 and d["weight_bytes"] == 2 * 20 * 32 * 4'
"$DAMF" bench gemm --length 5 --in 20 --out 35 --dtype int8 --dump gemm-int8 --repeat 2 >out 2>err
check 'gemm int8: recomputed' "${recompute[@]}" gemm-int8 0.02
check 'gemm as text' grep -q '^median .* MB of weights' out
"$DAMF" bench gemm --length 4 --in 8 --out 8 --json >json 2>err
check 'half a second of runs' with_json json 'd["runs"] > 100'

# ---- model ----
"$PYTHON" "$TOP/tests/cli/tiny_model.py" model || exit 1
printf 'a b c\n\nthe cat, a mat.\n' >text
expect 0 '' 'model' bench model --model model --length 16 --repeat 3 --json
check 'model: figures' with_json out \
	'd["runs"] == 3 and 0 < d["min_ms"] <= d["median_ms"] and (d["length"], d["tokens"]) == (16, 16)'
macs=$("$PYTHON" -c 'import json; print(json.load(open("out"))["macs"])')
expect 0 '' 'model without its name' bench --model model --length 16 --repeat 3 --json
check 'model without its name: the same MACs' with_json out "d['macs'] == $macs"
expect 0 '' 'lines of a file' bench model --model model --text text --repeat 2 --json
check 'lines of a file: texts and tokens' with_json out \
	'0 < d["engine_ms"] <= d["max_ms"] and d["texts"] == 3 and "length" not in d and d["tokens"] == 5 + 2 + 14'
expect 3 'none: cannot open it' 'no file' bench model --model model --text none
: >empty
expect 3 'empty: there is no text in it' 'an empty file' bench model --model model --text empty
expect 2 '--length: --text has texts of its own' 'length and text' bench model --model model --text text --length 8
for i in $(seq 300); do printf 'line %s\n' "$i"; done >long
"$DAMF" bench model --model model --text long --repeat 1 --json >one 2>err
"$DAMF" bench model --model model --text long --repeat 3 --json >three 2>err
check 'figures are of one run' with_json one \
	"(d['macs'], d['tokens']) == tuple(json.load(open('three'))[k] for k in ('macs', 'tokens'))"

# ---- tokenizer ----
expect 0 '' 'tokenizer' bench tokenizer --model model text --repeat 3 --json
check 'tokenizer: lines and tokens' with_json out \
	'(d["lines"], d["tokens"], d["runs"]) == (3, 5 + 2 + 14, 3) and d["lines_per_second"] > 0'
expect 0 '' 'tokenizer, lines cut' bench tokenizer --model model --max-length 4 text --repeat 1 --json
check 'tokenizer, lines cut: tokens' with_json out 'd["tokens"] == 4 + 2 + 4'
expect 3 'none: cannot open it' 'tokenizer: no file' bench tokenizer --model model none
expect 3 'empty: there is no text in it' 'tokenizer: an empty file' bench tokenizer --model model empty
expect 3 'nowhere' 'tokenizer: no model there' bench tokenizer --model nowhere text
echo "1..$N"
exit "$FAILED"
