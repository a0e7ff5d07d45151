# SPDX-License-Identifier: MIT
# The reference, and the tests of it.

REFERENCE_SRCS := $(filter-out tests/reference/test_%,$(wildcard tests/reference/*.c))
REFERENCE_OBJS := $(REFERENCE_SRCS:%.c=$(BUILD)/obj/%.o)
REFERENCE_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/reference/test_*.c))
REFERENCE_TEST_OBJS := $(REFERENCE_TESTS:$(BUILD)/%=$(BUILD)/obj/%.o)
REFERENCE_A := $(BUILD)/tests/libreference.a

UNIT_TESTS += $(REFERENCE_TESTS)

# Its own flags: nothing of the runtime is in reach but the layout of jobs.
$(REFERENCE_OBJS) $(REFERENCE_TEST_OBJS): $(BUILD)/obj/%.o: %.c tests/reference/build.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(DAMF_WARN) -ffp-contract=off $(SAN_FLAGS) \
		-Iuapi $(CFLAGS) -MMD -MP -c -o $@ $<

$(REFERENCE_A): $(REFERENCE_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(REFERENCE_TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(REFERENCE_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lm -lcmocka

-include $(REFERENCE_OBJS:.o=.d) $(REFERENCE_TEST_OBJS:.o=.d)
