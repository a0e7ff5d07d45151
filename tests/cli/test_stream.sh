#!/bin/bash
# SPDX-License-Identifier: MIT
# The damf command on more lines than it holds at once: the same results, in
# order, in constant memory, as soon as they are there. Put in place by make.
# Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
SAN=@SAN@
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"

"$PYTHON" "$TOP/tests/cli/tiny_model.py" model || exit 1
"$PYTHON" "$TOP/tests/cli/tiny_model.py" labelled 2 || exit 1
RUN=(--model model --backend cpu)
CLASSIFY=(classify --model labelled --backend cpu)

# 2,100 lines of different lengths; the last has no line feed
"$PYTHON" -c 'print("\n".join("b" + " a" * (i * 7 % 23) + " c" * (i % 5) for i in range(2100)), end="")' >text
split -l 100 text part-
paste text text | sed 's/\t/ z\t/' >pairs.tsv
split -l 100 pairs.tsv pair-

# in_parts PREFIX ARGUMENT...: what damf prints of each part of a text, one behind the other
in_parts()
{
	local part prefix=$1

	shift
	for part in "$prefix"*; do
		"$DAMF" "$@" "$part" 2>err || return
	done
}

# ---- the same as in parts ----
in_parts part- "${CLASSIFY[@]}" >expected
"$DAMF" "${CLASSIFY[@]}" text >out 2>err
check 'classify: as in parts' cmp expected out
"$DAMF" "${CLASSIFY[@]}" - <text >out 2>err
check 'from standard input' cmp expected out
check 'a line for a line' test "$(wc -l <out)" = 2100
in_parts pair- "${CLASSIFY[@]}" --pairs >expected
"$DAMF" "${CLASSIFY[@]}" --pairs pairs.tsv >out 2>err
check 'pairs: as in parts' cmp expected out
in_parts pair- similarity "${RUN[@]}" --columns 1,2 | grep -v '^#' | cut -f 2 >expected
"$DAMF" similarity "${RUN[@]}" --columns 1,2 pairs.tsv >out 2>err
check 'similarity: as in parts' cmp expected <(grep -v '^#' out | cut -f 2)
check 'and numbers of the lines' cmp <(seq 2100) <(grep -v '^#' out | cut -f 1)
check 'and of all pairs' grep -q -x '# 2100 pairs' out
in_parts part- embed "${RUN[@]}" --format jsonl >expected
"$DAMF" embed "${RUN[@]}" --format jsonl text >out 2>err
check 'embed: as in parts' cmp <(cut -d, -f 2- expected) <(cut -d, -f 2- out)
check 'and numbers of the lines' cmp <(seq 2100) <(cut -d ' ' -f 2 out | tr -d ,)
"$DAMF" embed "${RUN[@]}" --output rows.npy --stats stats.json text 2>err
check 'the stats are of all' with_json stats.json 'd["sentences"] == 2100 and d["seconds"] > 0'
"$DAMF" embed "${RUN[@]}" --format npy - <text 2>err | cat >piped.npy
check 'npy by a pipe' cmp rows.npy piped.npy
check 'has the count in its head' grep -q -a 'shape.: (2100, 24)' piped.npy
check 'and holds what jsonl has' "$PYTHON" -c 'import json, struct
data = open("rows.npy", "rb").read()[128:]
rows = [json.loads(line)["embedding"] for line in open("out")]
assert data == b"".join(struct.pack("<24f", *row) for row in rows)'
TMPDIR=/nowhere expect 1 'cannot keep results in a temporary file: No such file' 'no place for rows' \
	embed "${RUN[@]}" --format npy text
check 'is needed for npy by a pipe only' env TMPDIR=/nowhere "$DAMF" embed "${RUN[@]}" --output o.npy text
in_parts part- tokenize --model model >expected
"$DAMF" tokenize --model model text >out 2>err
check 'tokenize: as in parts' cmp expected out

# ---- lines that lie across what is read at once ----
"$PYTHON" -c 'print("a " * 40000 + "\r\nb\r\n\r\n" + "c " * 700000 + "\r\nd")' >long
expect 0 '1 empty line, the first is line 3' 'long lines' embed "${RUN[@]}" --format jsonl long
check 'come back as they are' "$PYTHON" -c 'import json
texts = [json.loads(line)["text"] for line in open("out")]
assert texts == ["a " * 40000, "b", "", "c " * 700000, "d"]'
expect 0 '1 empty line, the first is line 3' 'long lines, tokenized' tokenize --model model --json long
check 'have all their tokens' test "$(grep -o 'full": [0-9]*' out | tr -dc '0-9\n' | tr '\n' ' ')" = '40002 3 2 700002 3 '

# ---- errors in the middle ----
sed '1200s/^/\xff/' text >bad
expect 3 'bad:1200: byte 1 of the line (0xff) is not UTF-8' 'a bad line' "${CLASSIFY[@]}" bad
"$DAMF" "${CLASSIFY[@]}" text 2>err | head -n 1199 >expected
check 'the lines before it have results' cmp expected out
expect 3 'bad:1200' 'a bad line, tokenized' tokenize --model model bad
check 'the lines before it have ids' cmp out <("$DAMF" tokenize --model model <(head -n 1199 text))
expect 3 'bad:1200' 'a bad line, into a file' embed "${RUN[@]}" --output none.npy bad
check 'leaves none' test ! -e none.npy
sed '700s/\t/ /' pairs.tsv >bad.tsv
expect 3 'line 700: there is no tab' 'a pair without a tab' "${CLASSIFY[@]}" --pairs bad.tsv
check 'the pairs before it have results' test "$(wc -l <out)" = 699
expect 3 'line 700: there is no column 2' 'a column that is missing' \
	similarity "${RUN[@]}" --columns 1,2 bad.tsv
check 'the lines before it have results, too' test "$(wc -l <out)" = 699

# ---- pipes ----
for c in embed tokenize; do
	check "$c: results come before the text ends" \
		"$PYTHON" "$TOP/tests/cli/stream.py" prompt "$DAMF" model "$c"
	check 'no more is read while nobody takes results' \
		"$PYTHON" "$TOP/tests/cli/stream.py" pressure "$DAMF" model "$c"
	if [ -n "$SAN" ]; then
		N=$((N + 1))
		echo "ok $N - $c: constant memory # SKIP sanitizers keep what was freed"
	else
		check "$c: constant memory" \
			"$PYTHON" "$TOP/tests/cli/stream.py" memory "$DAMF" model "$c"
		sed 's/^/# /' check.out
	fi
done
echo "1..$N"
exit "$FAILED"
