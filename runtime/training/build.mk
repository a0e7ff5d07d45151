# SPDX-License-Identifier: MIT
# Training: Python with torch, safetensors, tokenizers and numpy. No other
# target needs it.
#
# make check-training [PYTHON=python3 with those packages]
# make train-model GLUE=DIR [WORDNET=FILE] [TRAIN_STEPS=N] [TRAIN_OUT=DIR] [TRAIN_FLAGS=--bf16]
# make table1 GLUE=DIR [ROWS="NAME..."] [START_STEPS=N] [FEWER=N] [TRAIN_JOBS=N] [TRAIN_OUT=DIR] [TRAIN_FLAGS=--bf16]

TRAINING := runtime/training
TRAINING_INTEGERS := $(BUILD)/training/integers

$(TRAINING_INTEGERS): $(TRAINING)/tests/integers.c $(BUILD)/libdamf-kernels.a
	@mkdir -p $(@D)
	$(CC) $(DAMF_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm -lpthread

GLUE ?=
WORDNET ?= /usr/share/dictd/wn.dict.dz
TRAIN_OUT ?= $(BUILD)/training
TRAIN_TEACHER ?= $(BUILD)/models/all-MiniLM-L6-v2
TRAIN_STEPS ?= 2000
START_STEPS ?= 1000
# The first six; others by name are mixed, again, exact4 (of 6 layers), uniform+band1,
# and any other variant.
ROWS ?= exact fold shift foldshift softfold square+band1
FEWER ?= 5
TRAIN_JOBS ?= 1
TRAIN_FLAGS ?=

.PHONY: check-training training-packages train-model table1
training-packages:
	@$(PYTHON) -c 'import torch, safetensors, tokenizers, numpy' || { \
		echo "training: needs the Python packages of $(TRAINING)/requirements.txt; give PYTHON= one that has them" >&2; \
		exit 1; }

check-training: training-packages $(TRAINING_INTEGERS) $(BUILD)/damf
	@OMP_NUM_THREADS=1 DAMF=$(abspath $(BUILD)/damf) INTEGERS=$(abspath $(TRAINING_INTEGERS)) \
		PYTHONPATH=$(TRAINING) $(PYTHON) -W ignore -m unittest discover -s $(TRAINING)/tests

$(BUILD)/models/all-MiniLM-L6-v2:
	@$(MAKE) fetch-model

train-model: training-packages $(TRAIN_TEACHER) $(BUILD)/damf
	@TRAIN_FLAGS='$(TRAIN_FLAGS)' $(TRAINING)/train-model.sh $(PYTHON) $(TRAIN_TEACHER) '$(GLUE)' '$(WORDNET)' \
		$(TRAIN_OUT) $(BUILD)/damf $(TRAIN_STEPS)

table1: training-packages $(TRAIN_TEACHER)
	@exec env TRAIN_FLAGS='$(TRAIN_FLAGS)' $(TRAINING)/table1.sh $(PYTHON) $(TRAIN_TEACHER) '$(GLUE)' $(TRAIN_OUT) \
		$(START_STEPS) $(FEWER) $(TRAIN_JOBS) $(ROWS)
