#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes the guest's initramfs, build/vm/initramfs.cpio: busybox, our init, the
# kernel modules, damf.ko, the tools and test programs with the libraries that
# they need. It isn't compressed: an emulated processor is slow to unpack it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Stock modules that the guest wants besides those that damf.ko needs.
STOCK_MODULES=(9pnet_virtio 9p virtio-rng vgem)
KERNEL=$("$VM_DIR/kernel.sh")
RELEASE=$(cat "$KERNEL/release")
ROOT=$BUILD_DIR/vm/root
MODULE=$BUILD_DIR/module/damf.ko

PATH=$PATH:/sbin:/usr/sbin

# add_library FILE: into the image at the place where it is here.
add_library()
{
	[ -e "$ROOT$1" ] || install -D "$1" "$ROOT$1"
}

# add_program FILE [NAME]: with its libraries, to /usr/local/bin.
add_program()
{
	local library

	install -D "$1" "$ROOT/usr/local/bin/${2:-$(basename "$1")}"
	while read -r library; do
		add_library "$library"
	done < <(ldd "$1" 2>/dev/null | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | sort -u)
}

# add_module NAME: with what it needs, before it in the order of loading.
add_module()
{
	local file name

	while read -r _ file _; do
		name=$(basename "$file")
		name=${name%%.ko*}
		name=${name//-/_}
		[ ! -e "$ROOT/lib/modules/$name.ko" ] || continue
		case $file in
		*.xz) xz -dc "$file" ;;
		*.zst) zstd -dcq "$file" ;;
		*) cat "$file" ;;
		esac >"$ROOT/lib/modules/$name.ko"
		echo "$name" >>"$ROOT/lib/modules/order"
	done < <(modprobe -d "$KERNEL" -S "$RELEASE" --show-depends "$1" | grep '^insmod ')
}

add_modules()
{
	local name needs

	mkdir -p "$ROOT/lib/modules"
	: >"$ROOT/lib/modules/order"
	for name in "${STOCK_MODULES[@]}"; do
		add_module "$name"
	done
	[ -e "$MODULE" ] || return 0
	needs=$(modinfo -F depends "$MODULE")
	for name in ${needs//,/ }; do
		add_module "$name"
	done
	cp "$MODULE" "$ROOT/lib/modules/damf.ko"
	echo damf >>"$ROOT/lib/modules/order"
}

test_programs()
{
	make -C "$TOP_DIR" -s --no-print-directory BUILD="$BUILD_DIR" \
		print-GUEST_TESTS print-KSELFTESTS
}

add_base()
{
	mkdir -p "$ROOT"/{bin,etc,sbin,usr/bin,usr/local/bin}
	install -D /bin/busybox "$ROOT/bin/busybox"
	install "$VM_DIR/guest/init" "$ROOT/init"
	install -m 644 "$VM_DIR/guest/profile" "$ROOT/etc/profile"
	ln -s busybox "$ROOT/bin/sh"
	# An ordinary user, for the tests of permissions.
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'user:x:1000:1000:user:/tmp:/bin/sh' \
		>"$ROOT/etc/passwd"
	printf '%s\n' 'root:x:0:' 'render:x:105:' 'user:x:1000:' >"$ROOT/etc/group"
}

progress "making the guest image"
rm -rf "$ROOT"
add_base
add_modules
# The tools, and every test program of the guest that has been built.
for program in "$BUILD_DIR/damf" $(test_programs); do
	if [ -x "$program" ]; then
		add_program "$program"
	fi
done
(cd "$ROOT" && find . -print0 | LC_ALL=C sort -z |
	cpio --quiet -0 -o -H newc -R 0:0 >"$BUILD_DIR/vm/initramfs.cpio.new")
mv "$BUILD_DIR/vm/initramfs.cpio.new" "$BUILD_DIR/vm/initramfs.cpio"
ln -sfn "$KERNEL/vmlinuz" "$BUILD_DIR/vm/vmlinuz"
progress_end
