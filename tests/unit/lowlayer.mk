# SPDX-License-Identifier: MIT
# Tests of the low layer of libdamf.

LOWLAYER_OBJS := $(addprefix $(BUILD)/obj/tests/unit/,lowlayer.o lowlayer_backend.o \
	lowlayer_threads.o)
LOWLAYER_TEST_OBJS := $(LOWLAYER_OBJS) $(addprefix $(BUILD)/obj/tests/unit/,test_lowlayer.o \
	lowlayer_device.o lowlayer_apart.o)
LOWLAYER_DRIVER_OBJS := $(LOWLAYER_OBJS) $(addprefix $(BUILD)/obj/tests/unit/, \
	test_lowlayer_driver.o lowlayer_driver.o fakedrv.o fakedrv_uring.o)
LOWLAYER_ALL_OBJS := $(sort $(LOWLAYER_TEST_OBJS) $(LOWLAYER_DRIVER_OBJS))

UNIT_TESTS += $(addprefix $(BUILD)/tests/unit/,test_lowlayer test_lowlayer_driver test_symbols)
THREAD_TESTS += $(addprefix $(BUILD)/tests/unit/,test_lowlayer test_lowlayer_driver)
GUEST_TESTS += $(BUILD)/tests/unit/test_lowlayer

$(LOWLAYER_ALL_OBJS): $(BUILD)/obj/%.o: %.c tests/unit/lowlayer.mk
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) -Itests/unit $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/test_lowlayer: $(LOWLAYER_TEST_OBJS) $(LIBDAMF_A)
$(BUILD)/tests/unit/test_lowlayer_driver: $(LOWLAYER_DRIVER_OBJS) $(LIBDAMF_A)
$(addprefix $(BUILD)/tests/unit/,test_lowlayer test_lowlayer_driver):
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS) -lcmocka -ldl

# The exports of the shared library against its header.
$(BUILD)/tests/unit/test_symbols: tests/unit/test_symbols.sh $(LIBDAMF_SO)
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' $< >$@
	@chmod +x $@

-include $(LOWLAYER_ALL_OBJS:.o=.d)
