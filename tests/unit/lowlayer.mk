# SPDX-License-Identifier: MIT
# Tests of the low layer of libdamf.

LOWLAYER_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,tests/unit/test_lowlayer.c \
	$(wildcard tests/unit/lowlayer*.c))

UNIT_TESTS += $(BUILD)/tests/unit/test_lowlayer
GUEST_TESTS += $(BUILD)/tests/unit/test_lowlayer

$(LOWLAYER_OBJS): $(BUILD)/obj/%.o: %.c tests/unit/lowlayer.mk
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) -Itests/unit $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/test_lowlayer: $(LOWLAYER_OBJS) $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $(LOWLAYER_OBJS) $(LIBDAMF_A) $(RT_LIBS) -lcmocka

-include $(LOWLAYER_OBJS:.o=.d)

# The exports of the shared library against its header.
UNIT_TESTS += $(BUILD)/tests/unit/test_symbols

$(BUILD)/tests/unit/test_symbols: tests/unit/test_symbols.sh $(LIBDAMF_SO)
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' $< >$@
	@chmod +x $@
