# SPDX-License-Identifier: MIT
# The conformance suite: build/tests/conformance.

CONF_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/conformance/*.c))
CONF_PROGRAM := $(BUILD)/tests/conformance

GUEST_TESTS += $(CONF_PROGRAM)

.PHONY: conformance
conformance: $(CONF_PROGRAM)

$(CONF_OBJS): $(BUILD)/obj/%.o: %.c tests/conformance/build.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(DAMF_WARN) -ffp-contract=off $(SAN_FLAGS) \
		-Iruntime/include -Iuapi $(CFLAGS) -MMD -MP -c -o $@ $<

$(CONF_PROGRAM): $(CONF_OBJS) $(BUILD)/tests/libreference.a $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS) -lcmocka

-include $(CONF_OBJS:.o=.d)
