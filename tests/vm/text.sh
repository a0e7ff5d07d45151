# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The text of `make run`, taken apart as report.py takes it apart. Sourced.

# is_pairs FILE: whether every line that isn't blank has a tab.
is_pairs()
{
	LC_ALL=C awk '!/^[[:space:]]*$/ && !/\t/ { plain = 1 } END { exit plain }' "$1"
}

# split_text FILE DIRECTORY: the sentences alone, one a line, to text.txt; the
# three shortest, for the guest's CPU, to three.txt, and their line numbers to
# rows. That CPU's instructions are emulated one by one, the fused ones the
# slowest (so it gets the generic kernels, too).
split_text()
{
	local pairs=0

	! is_pairs "$1" || pairs=1
	LC_ALL=C awk -F '\t' -v pairs="$pairs" '
		/^[[:space:]]*$/ { next }
		{ sub(/\r$/, "") }
		pairs { print $1; print $2; next }
		{ print }
	' "$1" >"$2/text.txt"
	[ -s "$2/text.txt" ] || die "$1 holds no sentence"
	# Whoever stops reading early ends the one that writes, and so the script.
	awk '{ print length($0), NR }' "$2/text.txt" | sort -n | sed -n 1,3p |
		cut -d ' ' -f 2 | sort -n >"$2/rows"
	awk 'NR == FNR { take[$1]; next } FNR in take' "$2/rows" "$2/text.txt" >"$2/three.txt"
}
