// SPDX-License-Identifier: MIT
/* x86-64-v4: AVX-512 with its F, BW, CD, DQ and VL parts. */
#define ISA		avx512
#define ISA_FOUND	"AVX-512F found"
#define VW		16
#define MR		12
#define NV		2
#define QR		6
#define QV		4

#include "kernels.h"
