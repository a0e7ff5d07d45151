#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds damf.ko for the guest's kernel: build/module/damf.ko. With --check,
# sparse runs over every file too and any message at all is a failure.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

KERNEL=$("$VM_DIR/kernel.sh")
OUT=$BUILD_DIR/module

# kbuild writes beside the sources, so it gets a copy of them.
copy_sources()
{
	mkdir -p "$1"
	rsync -rc "$TOP_DIR/Kbuild" "$TOP_DIR/driver" "$TOP_DIR/uapi" "$1/"
}

# `make check CHECK=...` means something else to kbuild, for which CHECK is the
# checker.
unset MAKEFLAGS MAKEOVERRIDES CHECK

# BTF would need pahole, and nothing here reads it.
kbuild()
{
	make -C "$KERNEL/headers" M="$1" W=1 CONFIG_DEBUG_INFO_BTF_MODULES= \
		-j"${JOBS:-$(nproc)}" "${@:2}" modules
}

[ -e "$TOP_DIR/Kbuild" ] || die "$TOP_DIR/Kbuild is missing: there is no module to build"
if [ "${1:-}" = --check ]; then
	rm -rf "$OUT-check"
	copy_sources "$OUT-check"
	status=0
	kbuild "$OUT-check" C=2 CF=-Wsparse-error >"$OUT-check/log" 2>&1 || status=$?
	if grep -E 'warning:|error:|WARNING:|ERROR:' "$OUT-check/log" || [ "$status" != 0 ]; then
		tail -n 20 "$OUT-check/log" >&2
		exit 1
	fi
	exit 0
fi
progress "building the module"
copy_sources "$OUT"
quietly "$BUILD_DIR/log/module.log" kbuild "$OUT"
grep -E 'warning:|WARNING:' "$BUILD_DIR/log/module.log" >&2 || true
progress_end
