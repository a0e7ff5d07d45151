# SPDX-License-Identifier: MIT
# The float64 reference, and the test of it.

REFERENCE_SRCS := $(filter-out tests/reference/test_%,$(wildcard tests/reference/*.c))
REFERENCE_OBJS := $(REFERENCE_SRCS:%.c=$(BUILD)/obj/%.o)
REFERENCE_TEST_OBJ := $(BUILD)/obj/tests/reference/test_reference.o
REFERENCE_A := $(BUILD)/tests/libreference.a

UNIT_TESTS += $(BUILD)/tests/reference/test_reference

# Its own flags: nothing of the runtime is in reach but the layout of jobs.
$(REFERENCE_OBJS) $(REFERENCE_TEST_OBJ): $(BUILD)/obj/%.o: %.c tests/reference/build.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(DAMF_WARN) -ffp-contract=off $(SAN_FLAGS) \
		-Iuapi $(CFLAGS) -MMD -MP -c -o $@ $<

$(REFERENCE_A): $(REFERENCE_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/tests/reference/test_reference: $(REFERENCE_TEST_OBJ) $(REFERENCE_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lm -lcmocka

-include $(REFERENCE_OBJS:.o=.d) $(REFERENCE_TEST_OBJ:.o=.d)
