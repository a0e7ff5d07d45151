// SPDX-License-Identifier: MIT
/*
 * The low layer of libdamf: one set of tests for each backend.
 *
 * usage: test_lowlayer [cpu|sim|device[:NODE]|ioctl[:NODE]]...
 *
 * Without arguments those that need no accelerator, and what is said where
 * there is none; "ioctl" is the accelerator without io_uring.
 */
#include "lowlayer.h"

static int run(const char *backend)
{
	return low_backend_tests(backend) + low_thread_tests(backend);
}

int main(int argc, char **argv)
{
	int failed = 0, i;

	for (i = 1; i < argc; i++)
		failed += run(argv[i]);
	if (argc == 1)
		failed = low_device_tests() + run("cpu") + low_apart_tests() + run("sim");
	return failed ? 1 : 0;
}
