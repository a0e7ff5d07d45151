# SPDX-License-Identifier: MIT
# Tests of the damf command as scripts use it.

CLI_TESTS := $(addprefix $(BUILD)/tests/cli/,test_damf test_damf_io)
UNIT_TESTS += $(CLI_TESTS)

$(CLI_TESTS): $(BUILD)/tests/cli/%: tests/cli/%.sh tests/cli/lib.sh tests/cli/tiny_model.py \
		$(BUILD)/damf
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' $< >$@
	@chmod +x $@
