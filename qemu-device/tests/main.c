// SPDX-License-Identifier: MIT
#include "test_qemu.h"

int main(void)
{
	int failed = device_tests();

	return failed + hostile_tests() != 0;
}
