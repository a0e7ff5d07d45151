// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "backend_core.h"
#include "damf_hw.h"
#include "damf_kernels.h"

static uint32_t reg32(struct damf_core *core, uint64_t reg)
{
	return (uint32_t)damf_core_read(core, reg, 4);
}

static uint64_t reg64(struct damf_core *core, uint64_t reg)
{
	return damf_core_read(core, reg, 8);
}

void damf_core_fill_info(struct damf_core *core, struct damf_device_info *info)
{
	const struct damf_isa *isa = damf_isa_get(NULL, 0);

	if (isa)
		snprintf(info->isa, sizeof(info->isa), "%s", damf_isa_name(isa));
	info->hw_version = reg32(core, DAMF_REG_VERSION);
	info->max_jobs = reg32(core, DAMF_REG_MAX_JOBS);
	info->max_rows = reg32(core, DAMF_REG_MAX_ROWS);
	info->max_seqs = reg32(core, DAMF_REG_MAX_SEQS);
	info->max_width = reg32(core, DAMF_REG_MAX_WIDTH);
	info->max_heads = reg32(core, DAMF_REG_MAX_HEADS);
	info->max_length = reg32(core, DAMF_REG_MAX_LENGTH);
	info->features = reg64(core, DAMF_REG_FEATURES);
	info->opcodes = reg64(core, DAMF_REG_OPCODES);
	info->types = reg64(core, DAMF_REG_TYPES);
	info->modes = reg64(core, DAMF_REG_MODES);
	info->local_size = reg64(core, DAMF_REG_LOCAL_SIZE);
	info->local_free = info->local_size;
	info->max_tensor = reg64(core, DAMF_REG_MAX_TENSOR);
	info->clock_hz = reg64(core, DAMF_REG_CLOCK_HZ);
	info->numerics = reg32(core, DAMF_REG_NUMERICS);
	info->macs_per_cycle = reg32(core, DAMF_REG_MACS_PER_CYCLE);
	info->bytes_per_cycle = reg32(core, DAMF_REG_BYTES_PER_CYCLE);
	info->energy_mac = reg32(core, DAMF_REG_ENERGY_MAC);
	info->energy_int8 = reg32(core, DAMF_REG_ENERGY_INT8);
	info->energy_shift = reg32(core, DAMF_REG_ENERGY_SHIFT);
	info->energy_exp = reg32(core, DAMF_REG_ENERGY_EXP);
	info->energy_div = reg32(core, DAMF_REG_ENERGY_DIV);
	info->energy_scratch = reg32(core, DAMF_REG_ENERGY_SCRATCH);
	info->energy_memory = reg32(core, DAMF_REG_ENERGY_MEMORY);
	info->scratchpad = reg64(core, DAMF_REG_SCRATCHPAD);
}

/* A core that is only asked for its registers reaches no host. */
static int no_dma_read(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
	(void)opaque, (void)addr, (void)buf, (void)len;
	return -1;
}

static int no_dma_write(void *opaque, uint64_t addr, const void *buf, uint64_t len)
{
	(void)opaque, (void)addr, (void)buf, (void)len;
	return -1;
}

static void no_barrier(void *opaque)
{
	(void)opaque;
}

static void no_irq(void *opaque, unsigned int vector)
{
	(void)opaque, (void)vector;
}

static uint64_t clock_ns(void *opaque)
{
	(void)opaque;
	return damf_now_ns();
}

static void no_kick(void *opaque)
{
	(void)opaque;
}

int damf_core_probe_info(const struct damf_core_config *cfg, struct damf_device_info *info,
			 struct damf_error *err)
{
	static const struct damf_host_ops ops = {
		.dma_read = no_dma_read,
		.dma_write = no_dma_write,
		.barrier = no_barrier,
		.irq = no_irq,
		.now_ns = clock_ns,
		.kick = no_kick,
	};
	struct damf_core *core;
	char text[200] = "";

	core = damf_core_new(cfg, &ops, NULL, text, sizeof(text));
	if (!core)
		return damf_error_set(err, -ENOMEM, "device model: %s", text);
	damf_core_fill_info(core, info);
	damf_core_free(core);
	return 0;
}

int damf_core_reason(struct damf_device *dev, const char *what, unsigned int threads,
		     struct damf_error *err)
{
	char text[200] = "";
	const struct damf_isa *isa = damf_isa_get(text, sizeof(text));

	if (!isa)
		return damf_error_set(err, -EINVAL, "kernels: %s", text);
	snprintf(dev->reason, sizeof(dev->reason), "%s; %u thread%s; %s", what, threads,
		 threads == 1 ? "" : "s", damf_isa_reason(isa));
	return 0;
}
