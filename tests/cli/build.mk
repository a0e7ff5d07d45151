# SPDX-License-Identifier: MIT
# Tests of the damf command as scripts use it.

CLI_TESTS := $(addprefix $(BUILD)/tests/cli/,test_damf test_damf_io test_install test_report)
UNIT_TESTS += $(CLI_TESTS)

$(CLI_TESTS): $(BUILD)/tests/cli/%: tests/cli/%.sh tests/cli/lib.sh tests/cli/tiny_model.py \
		$(BUILD)/damf $(LIBDAMF_SO)
	@mkdir -p $(@D)
	sed -e 's|@TOP@|$(CURDIR)|' -e 's|@BUILD@|$(abspath $(BUILD))|' \
		-e 's|@SAN@|$(SAN)|' $< >$@
	@chmod +x $@
