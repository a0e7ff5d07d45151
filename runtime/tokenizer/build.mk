# SPDX-License-Identifier: MIT
# Regenerate the Unicode tables. The tree has them; only a change of
# gen_tables.py needs this. Its input is fetched from PyPI, not installed or run.

TOKENIZER_UCD := $(BUILD)/unicodedata2

.PHONY: tokenizer-tables
tokenizer-tables:
	mkdir -p $(TOKENIZER_UCD)
	for v in 8.0.0 9.0.0 16.0.0 17.0.0; do \
		[ -e $(TOKENIZER_UCD)/unicodedata2-$$v.tar.gz ] || \
		$(PYTHON) -m pip download -q --no-deps --no-binary :all: \
			-d $(TOKENIZER_UCD) unicodedata2==$$v || exit 1; \
	done
	$(PYTHON) runtime/tokenizer/gen_tables.py $(TOKENIZER_UCD) > $(BUILD)/unicode_tables.c
	cp $(BUILD)/unicode_tables.c runtime/tokenizer/unicode_tables.c
