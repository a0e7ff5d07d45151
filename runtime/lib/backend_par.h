/* SPDX-License-Identifier: MIT */
#ifndef DAMF_BACKEND_PAR_H
#define DAMF_BACKEND_PAR_H

#include "damf.h"
#include "par_pool.h"

/*
 * Threads for a device's engine; damf_pool_free() ends them. threads: 0: as
 * many as OMP_NUM_THREADS says, as every numeric library is told; without it
 * as many as the process may use, by its affinity and its cgroup's quota.
 */
int damf_par_new(struct damf_par **par, unsigned int threads, struct damf_error *err);

#endif /* DAMF_BACKEND_PAR_H */
