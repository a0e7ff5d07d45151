// SPDX-License-Identifier: MIT
/* The device in this process: its host, its engine thread, its start. */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend_core.h"
#include "backend_par.h"
#include "sim.h"

#define DEFAULT_LOCAL	(256ull << 20)
#define MAX_LOCAL	(64ull << 30)
#define BUS_BEGIN	(1ull << 32)	/* no bus address is small by accident */
#define BUS_END		(1ull << 44)
#define VECTORS		9		/* admin, and eight shared by the queues */
#define ENABLE_TIMEOUT_NS 5000000000ull

/* ---- What the core asks of its host; sim->lock is held -------------------- */

static int host_dma_read(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
	struct sim_device *sim = opaque;
	const void *host = damf_ranges_translate(&sim->bus, addr, len, false);

	if (!host)
		return -1;
	memcpy(buf, host, len);
	return 0;
}

static int host_dma_write(void *opaque, uint64_t addr, const void *buf, uint64_t len)
{
	struct sim_device *sim = opaque;
	void *host = damf_ranges_translate(&sim->bus, addr, len, true);

	if (!host)
		return -1;
	memcpy(host, buf, len);
	return 0;
}

static void host_barrier(void *opaque)
{
	(void)opaque;	/* sim->lock orders everything */
}

static void host_irq(void *opaque, unsigned int vector)
{
	struct sim_device *sim = opaque;

	sim->irqs_pending |= 1ull << vector;
	if (vector)
		sim->stats.interrupts++;
}

static uint64_t host_now_ns(void *opaque)
{
	(void)opaque;
	return damf_now_ns();
}

static void host_kick(void *opaque)
{
	struct sim_device *sim = opaque;

	sim->kicked = true;
	pthread_cond_signal(&sim->kicked_cond);
}

/* ---- Engine thread ------------------------------------------------------- */

static void check_fatal(struct sim_device *sim)
{
	if (damf_core_read(sim->core, DAMF_REG_STATUS, 4) & DAMF_STATUS_FATAL)
		damf_sim_die(sim);
}

static void *engine(void *arg)
{
	struct sim_device *sim = arg;

	pthread_mutex_lock(&sim->lock);
	while (!sim->quit) {
		if (damf_core_next(sim->core)) {
			pthread_mutex_unlock(&sim->lock);
			damf_core_run(sim->core);
			pthread_mutex_lock(&sim->lock);
			damf_core_commit(sim->core);
			damf_sim_service_irqs(sim);
			continue;
		}
		damf_sim_service_irqs(sim);
		check_fatal(sim);
		while (!sim->kicked && !sim->quit)
			pthread_cond_wait(&sim->kicked_cond, &sim->lock);
		sim->kicked = false;
	}
	pthread_mutex_unlock(&sim->lock);
	return NULL;
}

/* ---- Open and close ------------------------------------------------------ */

static void write64(struct sim_device *sim, uint64_t reg, uint64_t value)
{
	damf_core_write(sim->core, reg, value, 8);
}

static void write32(struct sim_device *sim, uint64_t reg, uint32_t value)
{
	damf_core_write(sim->core, reg, value, 4);
}

/* Sets up the admin queue and waits until the device is ready. */
static int enable(struct sim_device *sim, struct damf_error *err)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	uint64_t deadline = damf_now_ns() + ENABLE_TIMEOUT_NS;
	uint32_t status;

	pthread_mutex_lock(&sim->lock);
	sim->db_offset = damf_core_read(sim->core, DAMF_REG_DB_OFFSET, 4);
	write64(sim, DAMF_REG_FEATURES_ACCEPTED, DAMF_FEATURES_KNOWN &
		damf_core_read(sim->core, DAMF_REG_FEATURES, 8));
	write64(sim, DAMF_REG_ADMIN_SQ, sim->admin.sq.bus);
	write64(sim, DAMF_REG_ADMIN_CQ, sim->admin.cq.bus);
	write64(sim, DAMF_REG_ADMIN_SHARED, sim->admin.shared.bus);
	write32(sim, DAMF_REG_ADMIN_LOG2, sim->admin.log2);
	write32(sim, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
	for (;;) {
		status = (uint32_t)damf_core_read(sim->core, DAMF_REG_STATUS, 4);
		if (status || damf_now_ns() > deadline)
			break;
		pthread_mutex_unlock(&sim->lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&sim->lock);
	}
	pthread_mutex_unlock(&sim->lock);
	if (!(status & DAMF_STATUS_READY))
		return damf_error_set(err, -EIO, "the device model does not become ready (status 0x%x)",
				      status);
	return 0;
}

static int create_context(struct sim_device *sim, struct damf_error *err)
{
	struct damf_admin_sqe cmd = {
		.opcode = htole16(DAMF_ADMIN_CREATE_CONTEXT),
		.context = htole16(SIM_CONTEXT),
		.addr[0] = htole64(sim->root->mem.bus),
	};
	int r = damf_sim_admin(sim, &cmd);

	if (r)
		return damf_error_set(err, -EIO, "the device model refuses a context: %s",
				      r < 0 ? "lost" : damf_status_name((unsigned int)r));
	sim->context = true;
	return 0;
}

static int make_core(struct sim_device *sim, uint64_t local_size, struct damf_error *err)
{
	static const struct damf_host_ops ops = {
		.dma_read = host_dma_read,
		.dma_write = host_dma_write,
		.barrier = host_barrier,
		.irq = host_irq,
		.now_ns = host_now_ns,
		.kick = host_kick,
	};
	char text[200] = "";

	sim->local_map = damf_pages_alloc(local_size);
	if (!sim->local_map)
		return damf_error_set(err, -ENOMEM,
				      "no memory for %" PRIu64 " bytes of local memory", local_size);
	damf_core_config_init(&sim->cfg);
	sim->cfg.max_queues = SIM_MAX_QUEUES;
	sim->cfg.num_vectors = VECTORS;
	sim->cfg.local_size = local_size;
	sim->cfg.local = sim->local_map;
	sim->cfg.par = sim->par;
	damf_ranges_init(&sim->local, 0, local_size, 0);
	sim->core = damf_core_new(&sim->cfg, &ops, sim, text, sizeof(text));
	if (!sim->core)
		return damf_error_set(err, -EINVAL, "device model: %s", text);
	return 0;
}

static int start(struct sim_device *sim, struct damf_error *err)
{
	int r;

	pthread_mutex_lock(&sim->lock);
	r = damf_sim_rings_alloc(sim, SIM_ADMIN_LOG2, &sim->admin);
	sim->root = damf_sim_table_new(sim);
	pthread_mutex_unlock(&sim->lock);
	if (r || !sim->root)
		return damf_error_set(err, -ENOMEM, "no memory for the device model");
	r = damf_thread_start(&sim->engine, engine, sim);
	if (r)
		return damf_error_set(err, r, "no thread for the device model: %s", strerror(-r));
	sim->running = true;
	r = enable(sim, err);
	return r ? r : create_context(sim, err);
}

static void stop_engine(struct sim_device *sim)
{
	struct damf_admin_sqe cmd = {
		.opcode = htole16(DAMF_ADMIN_DESTROY_CONTEXT),
		.context = htole16(SIM_CONTEXT),
	};

	if (!sim->running)
		return;
	if (sim->context)
		damf_sim_admin(sim, &cmd);
	pthread_mutex_lock(&sim->lock);
	sim->quit = true;
	pthread_cond_signal(&sim->kicked_cond);
	pthread_mutex_unlock(&sim->lock);
	pthread_join(sim->engine, NULL);
}

static void release(struct sim_device *sim)
{
	stop_engine(sim);
	if (sim->core)
		damf_core_free(sim->core);
	damf_pool_free(sim->par);
	damf_sim_table_free(sim, sim->root, 2);
	damf_sim_rings_free(sim, &sim->admin);
	damf_pages_free(sim->local_map, sim->cfg.local_size);
	damf_ranges_fini(&sim->local);
	damf_ranges_fini(&sim->va);
	damf_ranges_fini(&sim->bus);
	pthread_cond_destroy(&sim->admin_cond);
	pthread_cond_destroy(&sim->kicked_cond);
	pthread_mutex_destroy(&sim->lock);
	pthread_mutex_destroy(&sim->admin_lock);
	free(sim);
}

static int check_local(uint64_t size, struct damf_error *err)
{
	if (size % DAMF_LARGE_SIZE || size > MAX_LOCAL)
		return damf_error_set(err, -EINVAL,
				      "local memory of %" PRIu64 " bytes: it must be a multiple of 2 MiB, at most %llu",
				      size, MAX_LOCAL);
	return 0;
}

static int sim_open(struct damf_device *dev, const char *path,
		    const struct damf_device_options *opt, struct damf_error *err)
{
	uint64_t local_size = opt->local_size ? opt->local_size : DEFAULT_LOCAL;
	struct sim_device *sim;
	int r;

	(void)path;
	r = check_local(local_size, err);
	if (r)
		return r;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return damf_error_set(err, -ENOMEM, "no memory for a device");
	sim->dev = dev;
	pthread_mutex_init(&sim->admin_lock, NULL);
	pthread_mutex_init(&sim->lock, NULL);
	pthread_cond_init(&sim->kicked_cond, NULL);
	pthread_cond_init(&sim->admin_cond, NULL);
	damf_ranges_init(&sim->bus, BUS_BEGIN, BUS_END, DAMF_PAGE_SIZE);
	damf_ranges_init(&sim->va, DAMF_LARGE_SIZE, DAMF_VA_END, DAMF_PAGE_SIZE);
	r = damf_par_new(&sim->par, opt->threads, err);
	if (!r)
		r = damf_core_reason(dev, "the device model was asked for", sim->par->threads, err);
	if (!r)
		r = make_core(sim, local_size, err);
	if (!r)
		r = start(sim, err);
	if (r) {
		release(sim);
		return r;
	}
	dev->priv = sim;
	return 0;
}

static void sim_close(struct damf_device *dev)
{
	release(dev->priv);
}

static int sim_info(struct damf_device *dev, struct damf_device_info *info,
		    struct damf_error *err)
{
	struct sim_device *sim = dev->priv;

	(void)err;
	snprintf(info->submit, sizeof(info->submit), "direct");
	pthread_mutex_lock(&sim->lock);
	damf_core_fill_info(sim->core, info);
	info->local_free = damf_ranges_free_bytes(&sim->local);
	pthread_mutex_unlock(&sim->lock);
	return 0;
}

static int sim_stats(struct damf_device *dev, struct damf_device_stats *stats,
		     struct damf_error *err)
{
	struct sim_device *sim = dev->priv;
	size_t size = stats->size;

	(void)err;
	pthread_mutex_lock(&sim->lock);
	*stats = sim->stats;
	pthread_mutex_unlock(&sim->lock);
	stats->size = size;
	return 0;
}

static void sim_lose(struct damf_device *dev)
{
	struct sim_device *sim = dev->priv;

	pthread_mutex_lock(&sim->lock);
	damf_sim_die(sim);
	pthread_mutex_unlock(&sim->lock);
}

const struct damf_backend damf_backend_sim = {
	.name = "sim",
	.open = sim_open,
	.close = sim_close,
	.info = sim_info,
	.stats = sim_stats,
	.buffer_create = damf_sim_buffer_create,
	.buffer_destroy = damf_sim_buffer_destroy,
	.queue_create = damf_sim_queue_create,
	.queue_destroy = damf_sim_queue_destroy,
	.submit = damf_sim_submit,
	.lose = sim_lose,
};
