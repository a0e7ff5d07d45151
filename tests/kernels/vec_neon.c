// SPDX-License-Identifier: MIT
#ifdef __aarch64__
#define ISA	neon
#define VEC_NEON
#define VW	4

#include "vec_all.h"
#else
typedef int vec_no_neon;
#endif
