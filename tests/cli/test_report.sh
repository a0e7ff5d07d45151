#!/bin/bash
# SPDX-License-Identifier: MIT
# damf report: the paper's figures and what is counted beside them, shapes of
# one's own, plots, and an error for each bad input. Put in place by make.
# Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"
RUN=(report --backend sim)

# ---- usage ----
expect 2 '--heads 7: the heads must divide the width' 'heads that do not divide' "${RUN[@]}" --heads 7
expect 2 '--attention soft: it must be mhsa, shift, fold' 'attention' "${RUN[@]}" --attention soft
expect 2 '--dtype f16: it must be f32, bf16 or int8' 'dtype' "${RUN[@]}" --dtype f16
expect 2 '--length 0: it must be a number' 'no tokens' "${RUN[@]}" --length 0
expect 2 '--length 32769: sim takes at most 32768' 'too many tokens' "${RUN[@]}" --length 32769
expect 2 '--hidden 16400: sim takes at most 16384' 'too wide' "${RUN[@]}" --hidden 16400 --heads 2
expect 2 '--heads 257: sim takes at most 256' 'too many heads' "${RUN[@]}" --hidden 257 --heads 257
expect 2 '--longest 16: it must be a number from 32' 'no sweep' "${RUN[@]}" --longest 16
expect 2 '--plots: it is for the whole report' 'plots of one shape' "${RUN[@]}" --length 8 --plots .
expect 2 '--rst and --json: one of them' 'two forms' "${RUN[@]}" --rst --json
expect 2 '"more": there is no such argument' 'an argument' "${RUN[@]}" more
expect 4 'DAMF accelerator' 'no device' report --backend device:/dev/null

# ---- one shape: what a page and a pencil give ----
for b in sim cpu; do
	"$DAMF" report --backend $b --length 5 --hidden 12 --heads 3 --attention mhsa \
		--dtype f32 --json >$b.json 2>err
	check "$b: operations of exact attention" with_json $b.json \
		"d[0]['static_macs'] == 4 * 5 * 12 * 12 and d[0]['dynamic_macs'] == 2 * 25 * 12"
	check "$b: exponentials, divisions, parameters" with_json $b.json \
		"(d[0]['exponentials'], d[0]['divisions'], d[0]['parameters']) == (75, 15, 576)"
	check "$b: bytes" with_json $b.json \
		"d[0]['read_weights'] == 4 * 576 and d[0]['write_activations'] == 240 and d[0]['spills'] == 0"
done
check 'a shape is one result' with_json sim.json 'len(d) == 1'
"$DAMF" "${RUN[@]}" --length 1024 --attention mhsa --dtype f32 --json >long.json 2>err
# Q, K, V, O, each written and read: more than the scratchpad; scores are not
check 'a long text spills what it puts aside' with_json long.json \
	"d[0]['spills'] == 2 * 4 * 4 * 1024 * 768"
"$DAMF" "${RUN[@]}" --length 64 --dtype f32 >shape.txt 2>err
check 'a shape as text' grep -q '^mhsa  *f32  *64 ' shape.txt

# ---- the whole ----
"$DAMF" "${RUN[@]}" --longest 64 --json >report.json 2>err
check 'no word on stderr' test ! -s err
check 'keys, types and the figures of the paper' \
	"$PYTHON" "$TOP/tests/cli/check_report.py" report.json 2
"$DAMF" "${RUN[@]}" --longest 32 >report.txt 2>err
for words in '284' '426' '2.05' '2.21' '2.712'; do
	check "the text has $words" grep -q -F "$words" report.txt
done
"$DAMF" "${RUN[@]}" --longest 32 --rst >report.rst 2>err
check 'the page shows the plots' test "$(grep -c '^.. image:: report-' report.rst)" = 3
if command -v gnuplot >/dev/null; then
	"$DAMF" "${RUN[@]}" --longest 64 --plots "it's plots" >out 2>err
	for p in macs bytes time; do
		check "plot of $p" grep -q '</svg>' "it's plots/report-$p.svg"
	done
else
	N=$((N + 1))
	echo "ok $N - plots # SKIP gnuplot is not installed"
fi
no_gnuplot()
{
	mkdir empty
	PATH=$PWD/empty "$DAMF" "${RUN[@]}" --longest 32 --plots plots >out 2>err
	test $? = 1 && test "$(cat err)" = 'damf: --plots: gnuplot is not installed (Debian: gnuplot-nox)'
}
check 'no gnuplot' no_gnuplot
expect 1 'nowhere/plots: cannot make it' 'plots nowhere' "${RUN[@]}" --longest 32 --plots nowhere/plots
check_full()
{
	"$DAMF" "${RUN[@]}" --longest 32 >/dev/full 2>err
	test $? = 1
}
check 'a full disk is an error' check_full

echo "1..$N"
exit "$FAILED"
