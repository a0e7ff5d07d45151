# SPDX-License-Identifier: MIT
# make check, and what the tests are made of. A fragment adds its programs to
#   UNIT_TESTS	cmocka programs that run here, also under sanitizers
#   THREAD_TESTS	those of them in which threads meet, also under TSan
#   GUEST_TESTS	programs that go into the guest
#   KSELFTESTS	kernel selftests, which run in the guest
#   QEMU_TESTS	cmocka programs that start QEMU themselves
# and gives rules for them.

-include $(sort $(filter-out tests/vm/build.mk,$(wildcard tests/*/build.mk)))
-include qemu-device/tests/build.mk

.PHONY: unit-tests thread-tests guest-tests qemu-tests print-%
unit-tests: $(UNIT_TESTS)
thread-tests: $(THREAD_TESTS)
guest-tests: $(GUEST_TESTS) $(KSELFTESTS)
qemu-tests: $(QEMU_TESTS)

# make check [CHECK="step..."]: everything, or the steps named.
check:
	@tests/check.sh $(CHECK)

# Every test that runs here, under ASan and UBSan and then under TSan: takes long.
.PHONY: sanitize
sanitize:
	@tests/check.sh all-san all-tsan

print-%:
	@printf '%s\n' $($*)
