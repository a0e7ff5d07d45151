# SPDX-License-Identifier: MIT
# Tests of the device core, by hand through a fake host. `make check` runs
# them plain and under ASan and UBSan.

CORE_TEST_DIR := tests/core
CORE_TEST_NAMES := $(basename $(notdir $(wildcard $(CORE_TEST_DIR)/test_*.c)))
CORE_TEST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(CORE_TEST_DIR)/*.c))
CORE_TEST_SHARED := $(filter-out $(BUILD)/obj/$(CORE_TEST_DIR)/test_%,$(CORE_TEST_OBJS))
CORE_TESTS := $(CORE_TEST_NAMES:%=$(BUILD)/tests/core/%)
CORE_LIBS := $(BUILD)/libdamf-core.a $(BUILD)/libdamf-kernels.a

UNIT_TESTS += $(CORE_TESTS)
THREAD_TESTS += $(BUILD)/tests/core/test_threads

.PHONY: core-tests
core-tests: $(CORE_TESTS)
	@for t in $(CORE_TESTS); do $$t || exit 1; done

$(CORE_TEST_OBJS): $(BUILD)/obj/%.o: %.c $(CORE_TEST_DIR)/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) -I$(CORE_TEST_DIR) $(CFLAGS) -MMD -MP -c -o $@ $<

$(CORE_TESTS): $(BUILD)/tests/core/%: $(BUILD)/obj/$(CORE_TEST_DIR)/%.o $(CORE_TEST_SHARED) $(CORE_LIBS)
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lcmocka -lm -lpthread

-include $(CORE_TEST_OBJS:.o=.d)

# make fuzz-core, then build/tests/fuzz/fuzz_core [-max_total_time=60] CORPUS
FUZZ_CC ?= clang
CORE_FUZZ_SRCS := tests/fuzz/fuzz_core.c $(addprefix $(CORE_TEST_DIR)/,hostile.c fake.c jobs.c \
	jobs_data.c jobs_attention.c)

.PHONY: fuzz-core
fuzz-core: $(BUILD)/tests/fuzz/fuzz_core

$(BUILD)/tests/fuzz/fuzz_core: $(CORE_FUZZ_SRCS) $(CORE_SRCS) $(BUILD)/libdamf-kernels.a
	@mkdir -p $(@D)
	$(FUZZ_CC) $(filter-out $(SAN_FLAGS),$(CORE_CFLAGS)) -I$(CORE_TEST_DIR) \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-o $@ $^ -lcmocka -lm -lpthread
