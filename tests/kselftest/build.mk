# SPDX-License-Identifier: GPL-2.0-only
# The kernel selftests, built by their own Makefile in a copy of the kernel's
# tree that has what they need of it: the headers of userspace and the files of
# kselftest, of the kernel that the guest runs. Only `make guest-tests` and
# what needs it fetches those.

KSELFTEST_DIR := tests/kselftest
KSELFTEST_TREE := $(BUILD)/kselftest
KSELFTEST_HOME := $(KSELFTEST_TREE)/tools/testing/selftests/drivers/accel/damf
KSELFTEST_NAMES := $(sort $(basename $(notdir $(wildcard $(KSELFTEST_DIR)/damf_*.c))))
KSELFTEST_SRCS := $(wildcard $(KSELFTEST_DIR)/*.[ch]) $(KSELFTEST_DIR)/Makefile

KSELFTESTS += $(KSELFTEST_NAMES:%=$(BUILD)/tests/kselftest/%)

# Headers as `make headers` would put them there.
$(KSELFTEST_TREE)/tree: $(KSELFTEST_DIR)/build.mk
	@rm -rf $(KSELFTEST_TREE)
	@mkdir -p $(KSELFTEST_HOME) $(KSELFTEST_TREE)/usr/include/drm
	tools=$$($(VM)/kernel.sh --tools) && kernel=$$($(VM)/kernel.sh) && \
	cp -r $$tools/tools/testing/selftests/. $(KSELFTEST_TREE)/tools/testing/selftests/ && \
	cd $$kernel/lib/modules/*/source/include/uapi/drm && \
	for h in drm.h drm_mode.h vgem_drm.h; do \
		sed 's/ __user / /' $$h >$(abspath $(KSELFTEST_TREE))/usr/include/drm/$$h || exit 1; \
	done
	@touch $@

$(KSELFTEST_TREE)/sources: $(KSELFTEST_TREE)/tree $(KSELFTEST_SRCS) $(wildcard uapi/*.h uapi/drm/*.h)
	cp $(KSELFTEST_SRCS) $(KSELFTEST_HOME)
	cp -r uapi/. $(KSELFTEST_TREE)/usr/include/
	@touch $@

$(BUILD)/tests/kselftest/%: $(KSELFTEST_TREE)/sources
	@mkdir -p $(@D)
	$(MAKE) -s -C $(KSELFTEST_HOME) OUTPUT=$(abspath $(@D)) CC='$(CC)' \
		USERCFLAGS='-Werror $(CFLAGS)' USERLDFLAGS='$(LDFLAGS)' $(abspath $@)
	@touch $@
