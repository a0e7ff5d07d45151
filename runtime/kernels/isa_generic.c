// SPDX-License-Identifier: MIT
/* Any machine: registers of four lanes, fused multiply-add in software. */
#define ISA		generic
#define ISA_FOUND	"no faster instruction set found"
#define VW		4
#define MR		4
#define NV		2
#define QR		4
#define QV		2

#include "kernels.h"
