// SPDX-License-Identifier: MIT
#include "test_qemu.h"

int main(void)
{
	int failed = device_tests();

	failed += busy_tests();
	failed += hostile_tests();
	return failed != 0;
}
