#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds QEMU with the device of this checkout: build/qemu/qemu-system-x86_64.
# The configured and compiled tree is cached by what it was made of; after
# that, only the device is compiled. `--base` stops at QEMU without it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

OPTIONS=(
	--target-list=x86_64-softmmu --without-default-features --enable-system
	--enable-tcg --enable-virtfs --enable-attr
	--disable-debug-info --disable-download --disable-docs --disable-werror
	--disable-install-blobs --disable-tools --disable-guest-agent
)

# QEMU wants a newer meson than Debian 12 has. The one of its backports is
# pure Python: it is unpacked and shown to a Python environment of our own.
python_with_meson()
{
	local env=$CACHE_DIR/meson

	if /usr/bin/python3 -c 'import mesonbuild.coredata as c; v = c.version.split(".")
raise SystemExit((int(v[0]), int(v[1])) < (1, 5))' 2>/dev/null; then
		echo /usr/bin/python3
		return
	fi
	if [ ! -e "$env/complete" ]; then
		apt_setup "$(debian_codename)-backports" deb
		apt_unpack "$(debian_codename)-backports" "$env/root" meson
		/usr/bin/python3 -m venv --without-pip --system-site-packages "$env/python"
		mv "$env/root/usr/lib/python3/dist-packages"/* \
			"$env"/python/lib/python3*/site-packages/
		touch "$env/complete"
	fi
	echo "$env/python/bin/python3"
}

# Copies the device into QEMU's tree. Files that are the same keep their
# time, so that nothing is compiled without need.
copy_device()
{
	local to=$1/hw/damf pair

	[ -d "$TOP_DIR/qemu-device/hw/damf" ] ||
		die "$TOP_DIR/qemu-device/hw/damf is missing: there is no device to build"
	rsync -rc --delete --exclude=/core --exclude=/kernels --exclude=/uapi \
		--exclude=/sources.list "$TOP_DIR/qemu-device/hw/damf/" "$to/"
	for pair in qemu-device/core:core runtime/kernels:kernels uapi:uapi; do
		rsync -rc --delete "$TOP_DIR/${pair%:*}/" "$to/${pair#*:}/"
	done
	# What is compiled; a change makes ninja configure again.
	(cd "$to" && ls core/*.c kernels/*.c) >"$to/sources.list.new"
	rsync -c "$to/sources.list.new" "$to/sources.list"
	rm "$to/sources.list.new"
}

# Passes on ninja's "[812/1560] ..." as progress.
show_ninja()
{
	local line last=0

	while IFS= read -r line; do
		case $line in
		\[*/*\]*) ;;
		*) continue ;;
		esac
		if [ -t 2 ] || [ $((SECONDS - last)) -ge 10 ]; then
			last=$SECONDS
			line=${line%%]*}
			progress "building QEMU: ${line#[}"
		fi
	done
}

run_ninja()
{
	local log=$1/damf-build.log

	if ! ninja -C "$1" -j"${JOBS:-$(nproc)}" qemu-system-x86_64 2>&1 |
		tee "$log" | show_ninja; then
		progress_end
		grep -A 20 -m 3 -E 'FAILED|error:' "$log" >&2 || tail -n 20 "$log" >&2
		die "QEMU did not build (all of it is in $log)"
	fi
}

base=
[ "${1:-}" != --base ] || base=1
src=$("$VM_DIR/qemu-source.sh")
lock qemu
build=$CACHE_DIR/qemu/build-$(key "$src" "${OPTIONS[@]}")
if [ ! -e "$build/build.ninja" ]; then
	python=$(python_with_meson)
	progress "configuring QEMU"
	mkdir -p "$build"
	(
		cd "$build"
		quietly "$build/damf-configure.log" "$src/configure" --python="$python" "${OPTIONS[@]}"
	)
fi
if [ -z "$base" ]; then
	copy_device "$src"
fi
run_ninja "$build"
if [ -z "$base" ]; then
	mkdir -p "$BUILD_DIR/qemu"
	cp --remove-destination -u "$build/qemu-system-x86_64" "$BUILD_DIR/qemu/"
fi
progress_end
