# SPDX-License-Identifier: MIT
# The device in plain C, for the runtime and the tests. QEMU's build compiles
# the same files by meson.

CORE_SRCS := $(sort $(wildcard qemu-device/core/*.c))
CORE_OBJS := $(CORE_SRCS:qemu-device/core/%.c=$(BUILD)/core/%.o)
CORE_INCLUDES := -Iuapi -Iruntime/kernels -Iqemu-device/core
CORE_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -fPIC \
	-fvisibility=hidden -ffp-contract=off $(SAN_FLAGS) $(CORE_INCLUDES)

.PHONY: core
core: $(BUILD)/libdamf-core.a
all: core

$(CORE_OBJS): $(BUILD)/core/%.o: qemu-device/core/%.c qemu-device/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libdamf-core.a: $(CORE_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

-include $(CORE_OBJS:.o=.d)
