# SPDX-License-Identifier: MIT
# Tests of the damf command as scripts use it.

UNIT_TESTS += $(BUILD)/tests/cli/test_damf

$(BUILD)/tests/cli/test_damf: tests/cli/test_damf.sh tests/cli/tiny_model.py $(BUILD)/damf
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' $< >$@
	@chmod +x $@
