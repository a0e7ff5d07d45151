// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry of the device core: the bytes are what a hostile guest
 * does. `make fuzz-core` builds build/tests/fuzz/fuzz_core with clang.
 */
#include "../core/hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	hostile_run(data, size);
	return 0;
}
