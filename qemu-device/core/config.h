/* SPDX-License-Identifier: MIT */
#ifndef DAMF_CONFIG_H
#define DAMF_CONFIG_H

#include "work.h"

/* Working memory that is kept while there is nothing to do. */
#define DAMF_IDLE_WORK (64ull << 20)

/* 0, or -1 with one line in err. */
int damf_config_check(const struct damf_core_config *cfg, char *err, size_t errlen);
/* Fills what a work has from its owner's configuration; 0 or -1 with err. */
int damf_config_work(const struct damf_core_config *cfg, struct damf_work *w,
		     struct damf_arena *arena, char *err, size_t errlen);

#endif /* DAMF_CONFIG_H */
