/* SPDX-License-Identifier: MIT */
#ifndef DAMF_BACKEND_PAR_H
#define DAMF_BACKEND_PAR_H

#include "damf.h"
#include "damf_kernels.h"

/*
 * Fills par with threads of OpenMP. threads: 0: as many as the process may
 * use, by its affinity, its cgroup's quota and the host's OpenMP settings,
 * which win; one if the caller is itself inside a parallel region.
 */
int damf_par_init(struct damf_par *par, unsigned int threads, struct damf_error *err);

#endif /* DAMF_BACKEND_PAR_H */
