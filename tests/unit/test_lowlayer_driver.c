// SPDX-License-Identifier: MIT
/* The backend of the accelerator on a driver inside the test, which can do
 * what a real one does only on a bad day. */
#include "lowlayer.h"

int main(void)
{
	return low_driver_tests() ? 1 : 0;
}
