# SPDX-License-Identifier: MIT
# Tests of the tokenizer.

TOKENIZER_TESTS := test_tokenizer test_tokenizer_files test_tokenizer_memory \
	test_tokenizer_parts
TOKENIZER_OBJS := $(patsubst %,$(BUILD)/obj/tests/unit/%.o, \
	$(TOKENIZER_TESTS) tokenizer_fixture tok_dump)

# A build with sanitizers lies inside the plain one, which has the models.
TOKENIZER_BUILD := $(abspath $(if $(SAN),$(BUILD)/..,$(BUILD)))
TOKENIZER_MODEL := $(TOKENIZER_BUILD)/models/all-MiniLM-L6-v2
TOKENIZER_VENV := $(TOKENIZER_BUILD)/venv-tokenizers

UNIT_TESTS += $(TOKENIZER_TESTS:%=$(BUILD)/tests/unit/%)

$(TOKENIZER_OBJS): $(BUILD)/obj/%.o: %.c tests/unit/tokenizer.mk
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) -Itests/unit -DTOKENIZER_MODEL_DIR='"$(TOKENIZER_MODEL)"' \
		$(CFLAGS) -MMD -MP -c -o $@ $<

$(TOKENIZER_TESTS:%=$(BUILD)/tests/unit/%): $(BUILD)/tests/unit/%: \
		$(BUILD)/obj/tests/unit/%.o $(BUILD)/obj/tests/unit/tokenizer_fixture.o $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS) -lcmocka

$(BUILD)/tests/unit/test_tokenizer_memory: \
	LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

# A short run of the fuzz target, with inputs that it makes itself.
UNIT_TESTS += $(BUILD)/tests/unit/fuzz_tokenizer

$(BUILD)/tests/unit/fuzz_tokenizer: tests/fuzz/fuzz_tokenizer.c $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) -DFUZZ_STANDALONE $(CFLAGS) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS)

# make fuzz-tokenizer [FUZZ_SECONDS=N]: a long one, led by coverage; needs clang.
FUZZ_SECONDS ?= 60
TOKENIZER_CORPUS := $(BUILD)/fuzz/tokenizer

.PHONY: fuzz-tokenizer
fuzz-tokenizer:
	@mkdir -p $(TOKENIZER_CORPUS)
	clang $(DAMF_CFLAGS) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $(BUILD)/fuzz/fuzz_tokenizer tests/fuzz/fuzz_tokenizer.c \
		$(wildcard runtime/tokenizer/*.c) -ljansson
	$(BUILD)/fuzz/fuzz_tokenizer -max_total_time=$(FUZZ_SECONDS) -max_len=2048 \
		-artifact_prefix=$(BUILD)/fuzz/ $(TOKENIZER_CORPUS)

# For tokenizer_parity.py.
unit-tests: $(BUILD)/tests/tok_dump

$(BUILD)/tests/tok_dump: $(BUILD)/obj/tests/unit/tok_dump.o $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS)

# make tokenizer-parity: compare with the package tokenizers, in an environment
# of its own, over every code point and, with DAMF_DATA=DIR, GLUE's sentences.
.PHONY: tokenizer-parity
tokenizer-parity: $(BUILD)/tests/tok_dump $(TOKENIZER_VENV)/bin/python
	$(TOKENIZER_VENV)/bin/python tests/unit/tokenizer_parity.py \
		$< $(TOKENIZER_MODEL)

$(TOKENIZER_VENV)/bin/python:
	$(PYTHON) -m venv $(TOKENIZER_VENV)
	$(TOKENIZER_VENV)/bin/pip install -q 'tokenizers>=0.23,<0.24' || \
		{ rm -rf $(TOKENIZER_VENV); exit 1; }

-include $(TOKENIZER_OBJS:.o=.d)
