// SPDX-License-Identifier: MIT
/* 64-bit Arm, where every machine has this; nothing elsewhere. */
#ifdef __aarch64__
#define ISA		neon
#define ISA_FOUND	"64-bit Arm"
#define VEC_NEON
#define VW		4
#define MR		6
#define NV		4
#define QR		6
#define QV		4

#include "kernels.h"
#else
typedef int damf_no_neon;
#endif
