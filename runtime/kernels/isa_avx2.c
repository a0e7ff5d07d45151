// SPDX-License-Identifier: MIT
/* x86-64-v3: AVX2 and FMA. */
#define ISA		avx2
#define ISA_FOUND	"AVX2 and FMA found"
#define VW		8
#define MR		6
#define NV		2
#define QR		6
#define QV		2

#include "kernels.h"
