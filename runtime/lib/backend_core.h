/* SPDX-License-Identifier: MIT */
/* What "cpu" and "sim" share: both have the device's core in this process. */
#ifndef DAMF_BACKEND_CORE_H
#define DAMF_BACKEND_CORE_H

#include "backend.h"
#include "damf_core.h"

/* Fills info from the registers of a core, and the instruction set. */
void damf_core_fill_info(struct damf_core *core, struct damf_device_info *info);

/* The same for a core that would be made of cfg. */
int damf_core_probe_info(const struct damf_core_config *cfg, struct damf_device_info *info,
			 struct damf_error *err);

/* Writes "<what>; <n> threads; <instruction set and why>" as the reason;
 * -EINVAL if DAMF_ISA asks for what isn't there. */
int damf_core_reason(struct damf_device *dev, const char *what, unsigned int threads,
		     struct damf_error *err);

#endif /* DAMF_BACKEND_CORE_H */
