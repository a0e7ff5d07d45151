// SPDX-License-Identifier: MIT
#define ISA	generic
#define VW	4

#include "vec_all.h"
