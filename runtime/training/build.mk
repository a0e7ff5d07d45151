# SPDX-License-Identifier: MIT
# Training: Python with torch, safetensors, tokenizers and numpy. No other
# target needs it.
#
# make check-training [PYTHON=python3 with those packages]

TRAINING := runtime/training

.PHONY: check-training
check-training:
	@$(PYTHON) -c 'import torch, safetensors, tokenizers, numpy' || { \
		echo "check-training: needs the Python packages of $(TRAINING)/requirements.txt; give PYTHON= one that has them" >&2; \
		exit 1; }
	@PYTHONPATH=$(TRAINING) $(PYTHON) -W ignore -m unittest discover -s $(TRAINING)/tests
