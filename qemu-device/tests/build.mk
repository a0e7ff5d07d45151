# SPDX-License-Identifier: MIT
# Tests of the device in QEMU, without a guest: build/tests/qtest.

QTEST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard qemu-device/tests/*.c))
QTEST_PROGRAM := $(BUILD)/tests/qtest

QEMU_TESTS += $(QTEST_PROGRAM)

$(QTEST_OBJS): $(BUILD)/obj/%.o: %.c qemu-device/tests/build.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(DAMF_WARN) $(SAN_FLAGS) -Iuapi $(CFLAGS) \
		-MMD -MP -c -o $@ $<

$(QTEST_PROGRAM): $(QTEST_OBJS)
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lcmocka

-include $(QTEST_OBJS:.o=.d)
