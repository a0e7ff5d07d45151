# SPDX-License-Identifier: MIT
# Training: Python with torch, safetensors, tokenizers and numpy. No other
# target needs it.
#
# make check-training [PYTHON=python3 with those packages]

TRAINING := runtime/training
TRAINING_INTEGERS := $(BUILD)/training/integers

$(TRAINING_INTEGERS): $(TRAINING)/tests/integers.c $(BUILD)/libdamf-kernels.a
	@mkdir -p $(@D)
	$(CC) $(DAMF_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm -lpthread

.PHONY: check-training training-packages
training-packages:
	@$(PYTHON) -c 'import torch, safetensors, tokenizers, numpy' || { \
		echo "training: needs the Python packages of $(TRAINING)/requirements.txt; give PYTHON= one that has them" >&2; \
		exit 1; }

check-training: training-packages $(TRAINING_INTEGERS) $(BUILD)/damf
	@DAMF=$(abspath $(BUILD)/damf) INTEGERS=$(abspath $(TRAINING_INTEGERS)) \
		PYTHONPATH=$(TRAINING) $(PYTHON) -W ignore -m unittest discover -s $(TRAINING)/tests
