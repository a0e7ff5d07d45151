// SPDX-License-Identifier: MIT
/* AVX2, FMA, and the products of bytes that some machines without AVX-512 have. */
#define ISA		avxvnni
#define ISA_FOUND	"AVX-VNNI found"
#define VEC_VNNI
#define VW		8
#define MR		6
#define NV		2
#define QR		6
#define QV		2

#include "kernels.h"
