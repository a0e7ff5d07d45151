#!/bin/bash
# SPDX-License-Identifier: MIT
# The damf command on odd files: what can't be written, what is not to be
# overwritten, streams that are closed, lines of other systems. Put in place
# by make. Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"

"$PYTHON" "$TOP/tests/cli/tiny_model.py" model || exit 1
"$PYTHON" "$TOP/tests/cli/tiny_model.py" labelled 2 || exit 1
printf 'a b c\nthe cat, a mat.\n' >text
printf 'a b\ta c\t1\nb\tz\t2\n' >pairs.tsv
RUN=(--model model --backend cpu)

# fails_on_full NAME ARGUMENT...: a full disk behind standard output is an error
fails_on_full()
{
	local name=$1 got=0 good=0

	shift
	"$DAMF" "$@" >/dev/full 2>err </dev/null || got=$?
	[ "$got" = 1 ] && grep -q 'cannot write to standard output' err || good=1
	ok "$good" "$name to a full disk (exit $got)"
}

# fails_when_closed NAME ARGUMENT...: so is a closed one, and no file gets it
fails_when_closed()
{
	local name=$1 got=0 good=0

	shift
	"$DAMF" "$@" >&- 2>err </dev/null || got=$?
	[ "$got" = 1 ] || good=1
	ok "$good" "$name to a closed standard output (exit $got)"
}

# ---- standard streams ----
"$PYTHON" -c 'print("a b c d\n" * 3000, end="")' >many
for run in fails_on_full fails_when_closed; do
	$run 'help' --help
	$run 'embed --help' embed --help
	$run 'version' --version
	$run 'info' info
	$run 'info --json' info --json
	$run 'embed' embed "${RUN[@]}" text
	$run 'embed, more than a buffer' embed "${RUN[@]}" --format npy many
	$run 'similarity' similarity "${RUN[@]}" --columns 1,2,3 pairs.tsv
	$run 'similarity --json' similarity "${RUN[@]}" --columns 1,2,3 --json pairs.tsv
	$run 'classify' classify --model labelled --backend cpu text
	$run 'tokenize' tokenize --model model many
	$run 'bench' bench --model model --length 8 --repeat 1
	$run 'convert' convert --model model --output "converted-$run"
done
"$DAMF" embed "${RUN[@]}" --output good.npy text 2>/dev/null
"$DAMF" embed "${RUN[@]}" --output closed.npy --json text >&- 2>/dev/null
check 'what is printed gets into no file' cmp good.npy closed.npy
got=0
"$DAMF" embed "${RUN[@]}" - <&- >out 2>told || got=$?
check 'a closed standard input is an error' grep -q 'standard input: cannot read it' told
check 'of the text' test "$got" = 3

# ---- outputs ----
expect 1 '.: cannot write it: Is a directory' 'a directory as output' embed "${RUN[@]}" --output . text
expect 1 'cannot write it' 'a full disk' embed "${RUN[@]}" --output /dev/full text
expect 0 '' 'a device' embed "${RUN[@]}" --output /dev/null text
check 'stays one' test -c /dev/null
expect 1 '/nowhere/stats: cannot write it' 'statistics that can not be written' \
	embed "${RUN[@]}" --output early.npy --stats /nowhere/stats text
check 'are told before the results are there' test ! -e early.npy
cp text copy
expect 2 'that is the file of the text' 'output onto the text' embed "${RUN[@]}" --output ./copy copy
expect 2 'that is the file of the text' 'statistics onto the text' embed "${RUN[@]}" --stats copy copy
ln -s copy link
expect 2 'that is the file of the text' 'by a link, too' embed "${RUN[@]}" --output link copy
check 'the text is still there' cmp text copy
expect 2 '--output goes there already' 'results and statistics in one file' \
	embed "${RUN[@]}" --output both --stats both text
echo old >target
chmod 600 target
ln -s target arrow
expect 0 '' 'output by a link' embed "${RUN[@]}" --output arrow --format npy text
check 'the link stays' test -L arrow
check 'its target has the results' cmp good.npy target
check 'and its permissions' test "$(stat -c %a target)" = 600
(umask 027; "$DAMF" embed "${RUN[@]}" --output fresh.npy text 2>/dev/null)
check 'a new file has those of the umask' test "$(stat -c %a fresh.npy)" = 640
mkfifo pipe
timeout 20 cat pipe >piped.npy &
"$DAMF" embed "${RUN[@]}" --output pipe --format npy text 2>/dev/null
wait
check 'a pipe as output' cmp good.npy piped.npy
# The limit is the command's alone: what this prints may go to a file, too.
printf '%s\n' '#!/bin/bash' 'ulimit -f 1' "exec '$DAMF' \"\$@\"" >limited.sh
chmod +x limited.sh
DAMF=./limited.sh expect 1 'File too large' 'a limit of the size of files' \
	convert --model model --output limited
check 'leaves no model' test ! -e limited/config.json
check 'and the next attempt goes well' "$DAMF" convert --model model --output limited
mkdir empty && cd empty || exit 1
mkfifo in
"$DAMF" embed --model ../model --backend cpu --output out.npy in 2>/dev/null &
victim=$!
exec 7>in
kill -9 "$victim"
wait "$victim" 2>/dev/null
exec 7>&-
rm in
cd .. || exit 1
check 'who is killed leaves nothing' test -z "$(ls empty)"
# as a user who may not write there
chmod 755 . && chmod -R a+rX model
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" = 0 ] && "${user[@]}" "$DAMF" --version >/dev/null 2>&1; then
	mkdir theirs && echo keep >theirs/read-only && chmod 777 theirs && chmod 444 theirs/read-only
	"${user[@]}" "$DAMF" embed "${RUN[@]}" --output theirs/read-only text 2>told
	check 'a file that is read-only is not replaced' grep -q keep theirs/read-only
	check 'and it is told why' grep -q 'read-only: cannot write it: Permission denied' told
	chmod 700 model
	"${user[@]}" "$DAMF" embed "${RUN[@]}" text >out 2>told
	check 'a model that may not be read is no missing one' grep -q 'config.json: cannot open it: Permission denied' told
	chmod 755 model
fi

# ---- text ----
sed 's/$/\r/' text >crlf
printf 'a\n\r\nb' >blank
"$DAMF" embed "${RUN[@]}" --format jsonl crlf >crlf.jsonl 2>err
"$DAMF" embed "${RUN[@]}" --format jsonl text >lf.jsonl 2>err
check 'lines that end with CR LF are the same lines' cmp crlf.jsonl lf.jsonl
expect 0 '1 empty line, the first is line 2' 'an empty one is told' embed "${RUN[@]}" blank
expect 0 '1 empty line, the first is line 2' 'by tokenize too' tokenize --model model blank
printf 'a\tb\t1\r\n\r\nc\td\t2\r\n' >crlf.tsv
expect 0 '' 'similarity with CR LF' similarity "${RUN[@]}" --columns 1,2,3 --json crlf.tsv
check 'skips the empty line' with_json out '[p["line"] for p in d["pairs"]] == [1, 3]'
printf 'a\0b c\n' >zero
expect 0 '' 'a zero byte is text' embed "${RUN[@]}" --format jsonl zero
check 'and comes back' with_json out 'd["text"] == "a\0b c" and d["tokens"] == 5'
"$PYTHON" -c 'print("a" * 99 + " " + "b " * 2000000)' >long
expect 0 'the first is in line 1: 32 of 2000101 tokens used' 'a line of 4 MB' embed "${RUN[@]}" long
expect 3 'cannot read it: Is a directory' 'a directory as text' embed "${RUN[@]}" model
printf 'x\ty\t1\n\n%s\tb\t2\n' "$(printf 'a %.0s' {1..40})" >cut.tsv
expect 0 'the first is in line 3: 32 of 42 tokens used' 'a pair that is cut' \
	similarity "${RUN[@]}" --columns 1,2,3 cut.tsv
printf 'a\tb\t\033[2J\n' >escape.tsv
expect 3 'the score "?[2J" is not a number' 'what a text holds stays off the terminal' \
	similarity "${RUN[@]}" --columns 1,2,3 escape.tsv

# ---- options ----
expect 2 '--columns : it must be a number' 'an empty column' similarity "${RUN[@]}" --columns 1,,3 pairs.tsv
expect 2 'three columns at most' 'four columns' similarity "${RUN[@]}" --columns 1,2,3,1 pairs.tsv
expect 0 '' 'the last --columns counts' similarity "${RUN[@]}" --columns 7,8 --columns 1,2,3 pairs.tsv
expect 3 'standard input: it holds no pairs' 'no pairs on standard input' similarity "${RUN[@]}" --columns 1,2
expect 2 '-x: unknown option' 'a letter that is no option' embed --json -xq text
expect 2 '--json=1: no such option, or it takes no value' 'a value too many' embed --json=1 text
expect 2 'at most the --max-length of 8' 'bench measures no texts that are cut' \
	bench --model model --length 16 --max-length 8
expect 0 '' 'bench takes its length from --max-length' bench --model model --max-length 8 --repeat 1 --json
check 'and says so' with_json out 'd["length"] == 8'
expect 1 '/nowhere/at/all: cannot make the directory' 'convert to where it can not be' \
	convert --model model --output /nowhere/at/all
expect 1 'text: cannot make the directory: Not a directory' 'convert onto a file' convert --model model --output text
expect 3 'no such model directory' 'convert of nothing' convert --model nowhere --output x
echo "1..$N"
exit "$FAILED"
