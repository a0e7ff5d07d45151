/* SPDX-License-Identifier: MIT */
/*
 * Threads for the kernels, which are nobody else's. After a call they look for
 * the next one for 50 us, where there is a processor for each of them, and then
 * sleep. They take no signals.
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
