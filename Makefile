# SPDX-License-Identifier: MIT
# Every command a person types. Fragments own their directories; all outputs
# go under $(BUILD).

BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON ?= python3

.DEFAULT_GOAL := all
.PHONY: all check clean help

all:

-include runtime/build.mk
-include runtime/training/build.mk
-include qemu-device/build.mk
-include driver/build.mk
-include tests/build.mk
-include tests/vm/build.mk

clean:
	rm -rf $(BUILD)
