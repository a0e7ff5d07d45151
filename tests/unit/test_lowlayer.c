// SPDX-License-Identifier: MIT
/* The low layer of libdamf: one set of tests for each backend that needs no
 * accelerator, and what is said where there is none. */
#include "lowlayer.h"

int main(void)
{
	static const char *const backends[] = { "cpu", "sim" };
	int failed = low_device_tests();
	unsigned int i;

	for (i = 0; i < 2; i++) {
		failed += low_backend_tests(backends[i]);
		failed += low_thread_tests(backends[i]);
	}
	return failed ? 1 : 0;
}
