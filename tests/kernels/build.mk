# SPDX-License-Identifier: MIT
# Tests of the compute kernels, and a tool that goes over all arguments.

KERNEL_TEST_DIR := tests/kernels
KERNEL_TEST_NAMES := $(basename $(notdir $(wildcard $(KERNEL_TEST_DIR)/test_*.c)))
KERNEL_TEST_SRCS := $(wildcard $(KERNEL_TEST_DIR)/*.c)
ifeq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
KERNEL_TEST_SRCS := $(filter-out %_avx2.c %_avx512.c,$(KERNEL_TEST_SRCS))
endif
KERNEL_TEST_OBJS := $(KERNEL_TEST_SRCS:%.c=$(BUILD)/obj/%.o)
KERNEL_TEST_SHARED := $(filter-out $(BUILD)/obj/$(KERNEL_TEST_DIR)/test_% \
	$(addprefix $(BUILD)/obj/$(KERNEL_TEST_DIR)/,accuracy.o integers.o golden.o),$(KERNEL_TEST_OBJS))
KERNEL_TESTS := $(KERNEL_TEST_NAMES:%=$(BUILD)/tests/kernels/%)
KERNEL_ACCURACY := $(BUILD)/tests/kernels/accuracy
KERNEL_INTEGERS := $(BUILD)/tests/kernels/integers

UNIT_TESTS += $(KERNEL_TESTS) $(BUILD)/tests/kernels/test_objects $(BUILD)/tests/kernels/golden

# As the kernels are compiled: vec_*.c has the same source inside.
$(BUILD)/obj/$(KERNEL_TEST_DIR)/%_avx2.o: KERNEL_ISA := -march=x86-64-v3
$(BUILD)/obj/$(KERNEL_TEST_DIR)/%_avx512.o: KERNEL_ISA := -march=x86-64-v4

$(KERNEL_TEST_OBJS): $(BUILD)/obj/%.o: %.c $(KERNEL_TEST_DIR)/build.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) $(KERNEL_ISA) -I$(KERNEL_TEST_DIR) $(CFLAGS) -MMD -MP -c -o $@ $<

$(KERNEL_TESTS) $(KERNEL_ACCURACY) $(KERNEL_INTEGERS): $(BUILD)/tests/kernels/%: \
		$(BUILD)/obj/$(KERNEL_TEST_DIR)/%.o $(KERNEL_TEST_SHARED) \
		$(BUILD)/libdamf-kernels.a $(BUILD)/tests/libreference.a
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lcmocka -lm -lpthread

$(BUILD)/tests/kernels/test_objects: $(KERNEL_TEST_DIR)/test_objects.sh $(BUILD)/libdamf-kernels.a
	@mkdir -p $(@D)
	sed 's|@BUILD@|$(abspath $(BUILD))|' $< >$@
	@chmod +x $@

# The bits of all kernels: the file that they are held against, and a run by
# qemu-user of what a cross compiler makes of them.
GOLDEN_FILE := $(KERNEL_TEST_DIR)/golden.txt
$(BUILD)/obj/$(KERNEL_TEST_DIR)/golden.o: KERNEL_ISA := -DGOLDEN_FILE='"$(abspath $(GOLDEN_FILE))"'
$(BUILD)/tests/kernels/golden: $(BUILD)/obj/$(KERNEL_TEST_DIR)/golden.o $(KERNEL_TEST_SHARED) \
		$(BUILD)/libdamf-kernels.a $(BUILD)/tests/libreference.a
	@mkdir -p $(@D)
	$(CC) -o $@ $(SAN_FLAGS) $(LDFLAGS) $^ -lm -lpthread

.PHONY: kernel-golden check-neon
kernel-golden: $(BUILD)/tests/kernels/golden
	$< --print >$(GOLDEN_FILE)

NEON_CC := aarch64-linux-gnu-gcc
check-neon:
	@command -v $(NEON_CC) >/dev/null && command -v qemu-aarch64 >/dev/null || \
		{ echo 'check-neon: needs a cross compiler and an emulator:' \
		'apt install gcc-aarch64-linux-gnu qemu-user'; exit 1; }
	@mkdir -p $(BUILD)/neon/include
	cp /usr/include/cmocka.h $(BUILD)/neon/include/
	$(MAKE) BUILD=$(BUILD)/neon CC=$(NEON_CC) CFLAGS=-I$(BUILD)/neon/include LDFLAGS=-static \
		$(BUILD)/neon/tests/kernels/golden
	qemu-aarch64 $(BUILD)/neon/tests/kernels/golden >$(BUILD)/neon/golden.tap; \
		status=$$?; cat $(BUILD)/neon/golden.tap; exit $$status
	@grep -q '^ok .* by neon$$' $(BUILD)/neon/golden.tap || \
		{ echo 'check-neon: the NEON kernels were not run' >&2; exit 1; }

# The errors of exp, GELU and tanh over all 2^32 arguments: some minutes.
.PHONY: kernel-accuracy
kernel-accuracy: $(KERNEL_ACCURACY)
	$(KERNEL_ACCURACY)

# shift and foldshift by the kernels, the definition and the reference, on LAYERS layers.
LAYERS ?= 1000000
.PHONY: kernel-integers
kernel-integers: $(KERNEL_INTEGERS)
	$(KERNEL_INTEGERS) $(LAYERS)

-include $(KERNEL_TEST_OBJS:.o=.d)
