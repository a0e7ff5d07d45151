# SPDX-License-Identifier: MIT
# The virtual machine: what it is made of, and running it.

VM := tests/vm
export BUILD DAMF_CACHE

.PHONY: deps qemu module image fetch-model run shell

# Names the Debian packages that are missing and installs them
# (DEPS=check only names them).
deps:
	@DEPS='$(DEPS)' $(VM)/deps.sh

# QEMU with the device: build/qemu/qemu-system-x86_64.
qemu: deps
	@$(VM)/qemu-build.sh

# damf.ko for the kernel of the guest: build/module/damf.ko.
module: deps
	@$(VM)/module.sh

# The guest's initramfs: build/vm/initramfs.cpio.
image: all module
	@$(VM)/image.sh
