# SPDX-License-Identifier: MIT
# The compute kernels: one source, compiled once for each instruction set.
# QEMU's build does the same by meson (qemu-device/hw/damf/meson.build).

KERNEL_DIR := runtime/kernels
KERNEL_SRCS := $(sort $(wildcard $(KERNEL_DIR)/*.c))
ifeq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
KERNEL_SRCS := $(filter-out %_avx2.c %_avxvnni.c %_avx512.c %_avx512vnni.c,$(KERNEL_SRCS))
endif
KERNEL_OBJS := $(KERNEL_SRCS:$(KERNEL_DIR)/%.c=$(BUILD)/kernels/%.o)

# Contraction would fuse what is not written as fused; errno and traps would
# keep square roots and selects from being instructions. What is vectors is
# written as vectors, and gcc 12 gets some of it wrong when it looks for more.
# Sanitizers at -O3 take gcc 40 s for each instruction set, at -O1 a tenth.
KERNEL_CFLAGS := -std=c11 -D_GNU_SOURCE $(if $(SAN),-O1,-O3) -g -Wall -Wextra -Werror -fPIC \
	-fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-trapping-math \
	-fno-tree-slp-vectorize -fno-lto $(SAN_FLAGS) -I$(KERNEL_DIR)

$(BUILD)/kernels/%_avx2.o: KERNEL_ISA := -march=x86-64-v3
$(BUILD)/kernels/%_avxvnni.o: KERNEL_ISA := -march=x86-64-v3 -mavxvnni
$(BUILD)/kernels/%_avx512.o: KERNEL_ISA := -march=x86-64-v4
$(BUILD)/kernels/%_avx512vnni.o: KERNEL_ISA := -march=x86-64-v4 -mavx512vnni

.PHONY: kernels
kernels: $(BUILD)/libdamf-kernels.a
all: kernels

$(KERNEL_OBJS): $(BUILD)/kernels/%.o: $(KERNEL_DIR)/%.c $(KERNEL_DIR)/build.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) $(KERNEL_ISA) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libdamf-kernels.a: $(KERNEL_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

-include $(KERNEL_OBJS:.o=.d)
