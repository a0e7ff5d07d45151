# SPDX-License-Identifier: MIT
# One fragment a test program, or a family of them.
include $(filter-out tests/unit/build.mk,$(sort $(wildcard tests/unit/*.mk)))
