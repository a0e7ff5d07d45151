// SPDX-License-Identifier: MIT
#define ISA	avx512
#define VW	16

#include "vec_all.h"
