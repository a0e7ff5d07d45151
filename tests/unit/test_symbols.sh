#!/bin/sh
# SPDX-License-Identifier: MIT
# What the shared library exports is what its public header declares, no more
# and no less, each with a version; and the header stands on its own.
# Put in place by make, which fills in the paths. Prints TAP.
top=@TOP@
build=@BUILD@
header=$top/runtime/include/damf.h
library=$build/libdamf.so.0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0
failed=0

# ok NAME STATUS
ok()
{
	n=$((n + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

echo "1..4"
${CC:-gcc} -E -P "$header" | grep -oE '\bdamf_[a-z0-9_]+ *\(' | tr -d ' (' |
	sort -u >"$work/declared"
nm -D --defined-only "$library" | awk '$2 == "T" && $3 ~ /@@LIBDAMF_/ { sub(/@.*/, "", $3); print $3 }' |
	sort -u >"$work/exported"
[ -s "$work/declared" ] && diff -u "$work/declared" "$work/exported" | sed 's/^/# /' >"$work/diff"
cat "$work/diff"
[ -s "$work/declared" ] && ! [ -s "$work/diff" ]
ok "exports are what damf.h declares" $?

! nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /@@LIBDAMF_/' | grep .
ok "every export has a version" $?

echo '#include "damf.h"' >"$work/header.c"
${CC:-gcc} -std=c99 -pedantic -Wall -Wextra -Werror -I"$top/runtime/include" \
	-fsyntax-only "$work/header.c" 2>&1 | sed 's/^/# /' >"$work/c99"
cat "$work/c99"
! [ -s "$work/c99" ]
ok "damf.h is C99" $?

if ! command -v "${CXX:-g++}" >/dev/null; then
	n=$((n + 1))
	echo "ok $n - damf.h is C++17 # SKIP no C++ compiler"
	exit "$failed"
fi
${CXX:-g++} -std=c++17 -pedantic -Wall -Wextra -Werror -I"$top/runtime/include" \
	-fsyntax-only -x c++ "$work/header.c" 2>&1 | sed 's/^/# /' >"$work/cxx"
cat "$work/cxx"
! [ -s "$work/cxx" ]
ok "damf.h is C++17" $?
exit "$failed"
