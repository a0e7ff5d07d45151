// SPDX-License-Identifier: MIT
#define ISA	avx2
#define VW	8

#include "vec_all.h"
