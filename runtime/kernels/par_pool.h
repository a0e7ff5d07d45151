/* SPDX-License-Identifier: MIT */
/*
 * Threads for the kernels that sleep between calls and are nobody else's. They
 * take no signals.
 */
#ifndef DAMF_PAR_POOL_H
#define DAMF_PAR_POOL_H

#include "damf_kernels.h"

/*
 * threads: at least 1, the caller of run() included, which works too. NULL if
 * memory or threads are short. One thread at a time may call run().
 */
struct damf_par *damf_pool_new(unsigned int threads);
void damf_pool_free(struct damf_par *par);

#endif /* DAMF_PAR_POOL_H */
