#!/bin/bash
# SPDX-License-Identifier: MIT
# Fetches QEMU as Debian 13 has it, with Debian's patches, and hooks the
# directory hw/damf into its build. Prints the path of the tree.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

SUITE=trixie

# The three lines that make QEMU's build enter hw/damf, which is empty until
# qemu-build.sh copies the device in.
hook_device()
{
	local src=$1

	mkdir -p "$src/hw/damf"
	touch "$src/hw/damf/"{Kconfig,meson.build,trace-events}
	sed -i '0,/^source /s//source damf\/Kconfig\n&/' "$src/hw/Kconfig"
	sed -i "0,/^subdir(/s//subdir('damf')\n&/" "$src/hw/meson.build"
	sed -i "0,/^ *'hw\/display',/s//    'hw\/damf',\n&/" "$src/meson.build"
	if ! grep -q 'damf/Kconfig' "$src/hw/Kconfig" ||
		! grep -q "subdir('damf')" "$src/hw/meson.build" ||
		! grep -q "'hw/damf'" "$src/meson.build"; then
		die "could not hook hw/damf into $src: QEMU's build files have changed"
	fi
}

fetch()
{
	local version=$1 into=$2 tmp

	tmp=$(mktemp -d "$CACHE_DIR/qemu/fetch.XXXXXX")
	progress "fetching the source of QEMU $version"
	(
		cd "$tmp"
		quietly "$tmp/download.log" \
			apt_private "$SUITE" deb-src apt-get -q source --download-only "qemu=$version"
	)
	progress "unpacking the source of QEMU $version"
	quietly "$CACHE_DIR/qemu/unpack.log" \
		dpkg-source --no-check -x "$tmp"/qemu_*.dsc "$tmp/src"
	hook_device "$tmp/src"
	mv "$tmp/src" "$into"
	rm -rf "$tmp"
}

mkdir -p "$CACHE_DIR/qemu"
lock qemu
# The version is looked up once: a point release makes nobody build anew.
# Removing this file asks for the newest.
if [ ! -s "$CACHE_DIR/qemu/version" ]; then
	apt_setup "$SUITE" deb-src
	apt_private "$SUITE" deb-src apt-cache showsrc --only-source qemu |
		sed -n 's/^Version: //p' | sort -V | tail -n 1 >"$CACHE_DIR/qemu/version"
fi
version=$(cat "$CACHE_DIR/qemu/version")
[ -n "$version" ] || die "the suite $SUITE has no source of QEMU"
src=$CACHE_DIR/qemu/src-${version//[^0-9a-z.]/_}
if [ ! -d "$src" ]; then
	[ -d "$CACHE_DIR/apt/$SUITE-deb-src" ] || apt_setup "$SUITE" deb-src
	fetch "$version" "$src"
fi
progress_end
echo "$src"
