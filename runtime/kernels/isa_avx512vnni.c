// SPDX-License-Identifier: MIT
/* The same, and its instructions for products of bytes. */
#define ISA		avx512vnni
#define ISA_FOUND	"AVX-512 VNNI found"
#define VEC_VNNI
#define VW		16
#define MR		12
#define NV		2
#define QR		6
#define QV		4

#include "kernels.h"
