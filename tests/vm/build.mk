# SPDX-License-Identifier: MIT
# The virtual machine: what it is made of, and running it.

VM := tests/vm
# Relative paths that a person gives start where that person stands, which
# with `make -C` isn't here.
RUN_ENV = STAND='$(or $(PWD),$(CURDIR))' TEXT='$(TEXT)' MODEL='$(MODEL)' \
	EXACT='$(EXACT)' ATTENTION='$(ATTENTION)' OUT='$(OUT)' BACKEND='$(BACKEND)' SUBMIT='$(SUBMIT)'
export BUILD DAMF_CACHE

.PHONY: deps qemu module image fetch-model run shell bench-device

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

# The model all-MiniLM-L6-v2: build/models/all-MiniLM-L6-v2.
fetch-model: deps
	@$(VM)/fetch-model.sh

# Sets everything up and embeds a text on the device and on the CPU, with DAMF
# attention and with exact:
# make run TEXT=file MODEL=dir EXACT=dir ATTENTION=mhsa|fold OUT=dir
#          BACKEND=device|sim|cpu SUBMIT=uring|ioctl
run:
	@DEPS='$(DEPS)' $(RUN_ENV) $(VM)/run.sh

# A prompt in the guest.
shell: qemu image
	@$(RUN_ENV) $(VM)/shell.sh

# The engine of the device in the guest beside the same kernels here:
# make bench-device [MODEL=DIR] [BENCH="--threads N --rounds N ..."]
bench-device: qemu image fetch-model
	@$(VM)/bench_device.py --damf $(BUILD)/damf \
		--model '$(or $(MODEL),$(BUILD)/models/all-MiniLM-L6-v2)' $(BENCH)

# Many processes at once, for the guest.
GUEST_TESTS += $(BUILD)/tests/damf-stress

$(BUILD)/tests/damf-stress: tests/vm/stress.c $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) $(CFLAGS) -o $@ $< $(RT_LDFLAGS) $(LDFLAGS) $(LIBDAMF_A) $(RT_LIBS)
guest-tests: $(BUILD)/tests/damf-stress
