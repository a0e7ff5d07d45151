#!/bin/bash
# SPDX-License-Identifier: MIT
# make install, and a program that knows of the library by pkg-config alone:
# in C99 and C++17, shared and static. Put in place by make. Prints TAP.
set -u
TOP=@TOP@
DAMF=@BUILD@/damf
SAN=@SAN@
# shellcheck source=/dev/null
. "$TOP/tests/cli/lib.sh"

if [ -n "$SAN" ]; then
	echo "1..0 # SKIP a library with sanitizers is not for others"
	exit 0
fi
PREFIX=$WORK/usr
check 'make install' make -C "$TOP" -s --no-print-directory BUILD=@BUILD@ PREFIX=/opt/damf \
	DESTDIR="$WORK/staged" install
check 'a staged pkg-config file has the prefix' \
	grep -q -x 'prefix=/opt/damf' staged/opt/damf/lib/pkgconfig/libdamf.pc
check 'another prefix' make -C "$TOP" -s --no-print-directory BUILD=@BUILD@ PREFIX="$PREFIX" install
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig LD_LIBRARY_PATH=$PREFIX/lib
check 'the version' test "$(pkg-config --modversion libdamf)" = "$("$DAMF" --version | cut -d' ' -f2)"
"$PYTHON" "$TOP/tests/cli/tiny_model.py" model || exit 1
cat >program.c <<'EOF'
#include <damf.h>
#include <damf_hw.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct damf_session_options opt = { sizeof(opt) };
	struct damf_text text = { "a b", 3, NULL, 0 };
	struct damf_session *session;
	struct damf_model *model;
	struct damf_error err;
	float out[24];

	opt.backend = "sim";
	if (argc != 2 || damf_model_open(argv[1], NULL, &model, &err) ||
	    damf_session_create(model, &opt, &session, &err) ||
	    damf_session_run(session, &text, 1, out, NULL, &err))
		return 1;
	printf("%s %d %g\n", damf_version(), DAMF_OP_EMBED, (double)out[0]);
	damf_session_free(session);
	damf_model_unref(model);
	return 0;
}
EOF
read -r -a cflags <<<"$(pkg-config --cflags libdamf)"
read -r -a libs <<<"$(pkg-config --libs libdamf)"
read -r -a all <<<"$(pkg-config --libs --static libdamf)"
warnings=(-Wall -Wextra -Werror -Wno-missing-field-initializers)
check 'C99, shared' "${CC:-gcc}" -std=c99 -pedantic "${warnings[@]}" "${cflags[@]}" -o shared \
	program.c "${libs[@]}"
check 'runs' ./shared model
# the archive: no shared object beside it
rm -f "$PREFIX"/lib/libdamf.so*
check 'C99, static' "${CC:-gcc}" -std=c99 -pedantic "${warnings[@]}" "${cflags[@]}" -o static \
	program.c "${all[@]}"
check 'runs without the shared object' ./static model
if command -v "${CXX:-g++}" >/dev/null; then
	check 'C++17' "${CXX:-g++}" -std=c++17 -pedantic "${warnings[@]}" "${cflags[@]}" -o cxx \
		-x c++ program.c -x none "${all[@]}"
fi
check 'the installed command runs' "$PREFIX/bin/damf" tokenize --model model - </dev/null
echo "1..$N"
exit "$FAILED"
