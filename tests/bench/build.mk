# SPDX-License-Identifier: MIT
# damf beside ONNX Runtime, PyTorch, tokenizers (PyPI), OpenBLAS and oneDNN (Debian).
#
# make bench [BENCH_ROWS="1 2..."] [BENCH_GLUE=DIR] [BENCH_ROUNDS=N] [BENCH_PYTHON=python3 with the packages]
#            [BENCH_OUT=DIR]	results.json and plots, default build/bench
# make bench-page		the same into Documentation, and into its page
# make roofline [ROOFLINE=FILE]	products beside what one core can do at most

BENCH := tests/bench
BENCH_ROWS ?=
BENCH_GLUE ?=
BENCH_ROUNDS ?= 5
BENCH_VENV := $(BUILD)/venv-bench
BENCH_PYTHON ?= $(BENCH_VENV)/bin/python
BENCH_OUT ?= $(BUILD)/bench
BENCH_TOOLS := $(BUILD)/bench/gemm $(BUILD)/bench/machine

.PHONY: bench bench-page bench-packages
# What a page says was typed.
BENCH_COMMAND := make bench$(if $(BENCH_ROWS), BENCH_ROWS="$(BENCH_ROWS)")$(if $(BENCH_GLUE), BENCH_GLUE=DIR)

bench-packages:
	@DEPS='$(DEPS)' DEPS_MORE='libopenblas-dev libdnnl-dev time' tests/vm/deps.sh

$(BENCH_VENV)/packages: $(BENCH)/requirements.txt
	@rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install -q --disable-pip-version-check -r $< || { \
		rm -rf $(BENCH_VENV); \
		echo "make bench: the packages of $< can't be installed: is there a way to PyPI?" >&2; \
		exit 1; }
	@touch $@

$(BUILD)/bench/gemm: BENCH_LIBS := -lopenblas -ldnnl -lm
# What the machine can do at most takes its own instructions.
$(BUILD)/bench/machine: BENCH_FLAGS := -march=native -ffp-contract=fast
$(BENCH_TOOLS): $(BUILD)/bench/%: $(BENCH)/%.c | bench-packages
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O3 -Wall -Wextra -Werror $(BENCH_FLAGS) -o $@ $< $(BENCH_LIBS)

bench: $(BUILD)/damf $(BENCH_TOOLS) $(if $(filter $(BENCH_VENV)/%,$(BENCH_PYTHON)),$(BENCH_VENV)/packages) \
		$(BUILD)/models/all-MiniLM-L6-v2
	@mkdir -p $(BENCH_OUT)
	@PYTHONPATH=runtime/training $(BENCH_PYTHON) -B $(BENCH)/bench.py $(BUILD)/damf $(BUILD)/bench \
		$(BUILD)/models/all-MiniLM-L6-v2 models/damf-minilm --rounds $(BENCH_ROUNDS) \
		$(if $(BENCH_GLUE),--glue '$(BENCH_GLUE)') --json $(BENCH_OUT)/results.json \
		--plots $(BENCH_OUT) --command '$(BENCH_COMMAND)' $(if $(BENCH_ROWS),--rows $(BENCH_ROWS))

bench-page:
	@$(MAKE) bench BENCH_OUT=Documentation/benchmarks
	@$(PYTHON) -B $(BENCH)/page.py Documentation/benchmarks/results.json Documentation/benchmarks.rst

# Products beside the machine's roofs: a table, and a plot of Documentation/kernels.rst.
ROOFLINE ?= $(BUILD)/roofline.svg
.PHONY: roofline
roofline: $(BUILD)/damf $(BUILD)/bench/machine
	@PYTHONPATH=runtime/training $(PYTHON) -B $(BENCH)/roofline.py $^ $(ROOFLINE)
