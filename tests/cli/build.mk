# SPDX-License-Identifier: MIT
# Tests of the damf command as scripts use it.

CLI_TESTS := $(addprefix $(BUILD)/tests/cli/,test_damf test_damf_io test_stream \
	test_install test_models test_report test_bench)
UNIT_TESTS += $(CLI_TESTS)

$(CLI_TESTS): $(BUILD)/tests/cli/%: tests/cli/%.sh tests/cli/lib.sh tests/cli/tiny_model.py \
		tests/cli/mixed_model.py $(BUILD)/damf $(LIBDAMF_SO)
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' \
		-e 's|@SAN@|$(SAN)|' $< >$@
	@chmod +x $@

# make safetensors-parity: open what damf convert writes with the package
# safetensors, in an environment of its own.
.PHONY: safetensors-parity
safetensors-parity: $(BUILD)/damf $(BUILD)/venv-safetensors/bin/python
	$(BUILD)/venv-safetensors/bin/python -B tests/cli/safetensors_parity.py $<

$(BUILD)/venv-safetensors/bin/python:
	$(PYTHON) -m venv $(BUILD)/venv-safetensors
	$(BUILD)/venv-safetensors/bin/pip install -q 'safetensors>=0.5,<0.8' 'numpy>=1.26,<3' || \
		{ rm -rf $(BUILD)/venv-safetensors; exit 1; }

# make accuracy DAMF_DATA=DIR [MODEL=DIR]: Spearman's rho on STS-B of every mode and type.
.PHONY: accuracy
accuracy: $(BUILD)/damf
	$(PYTHON) -B tests/cli/accuracy.py $< $(or $(MODEL),$(BUILD)/models/all-MiniLM-L6-v2)

# make bits TEXT=FILE [MODEL=DIR]: hashes of the embeddings of its lines on every
# instruction set, number of threads, batch and compiler.
.PHONY: bits
bits: $(BUILD)/damf
	$(MAKE) BUILD=$(BUILD)/clang CC=clang $(BUILD)/clang/damf
	$(PYTHON) -B tests/cli/bits.py --other $(BUILD)/clang/damf $< \
		$(or $(MODEL),$(BUILD)/models/all-MiniLM-L6-v2) $(TEXT)
