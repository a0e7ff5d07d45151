// SPDX-License-Identifier: MIT
/* Devices: choosing a backend, and what it tells of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

static const struct damf_backend *const backends[] = {
	&damf_backend_device, &damf_backend_sim, &damf_backend_cpu,
};

static int open_backend(const struct damf_backend *ops, const char *path,
			const struct damf_device_options *opt,
			struct damf_device **out, struct damf_error *err)
{
	struct damf_device *dev = calloc(1, sizeof(*dev));
	int r;

	if (!dev)
		return damf_error_set(err, -ENOMEM, "no memory for a device");
	dev->ops = ops;
	atomic_init(&dev->lost, false);
	pthread_mutex_init(&dev->lock, NULL);
	r = ops->open(dev, path, opt, err);
	if (r) {
		pthread_mutex_destroy(&dev->lock);
		free(dev);
		return r;
	}
	*out = dev;
	return 0;
}

/* The accelerator if there is a usable one, else the CPU, which says why. */
static int open_auto(const struct damf_device_options *opt, struct damf_device **dev,
		     struct damf_error *err)
{
	struct damf_error why;
	int r;

	if (!open_backend(&damf_backend_device, NULL, opt, dev, &why))
		return 0;
	r = open_backend(&damf_backend_cpu, NULL, opt, dev, err);
	if (!r)
		snprintf((*dev)->reason, sizeof((*dev)->reason), "%.*s",
			 (int)sizeof((*dev)->reason) - 1, why.text);
	return r;
}

static int open_by_name(const char *name, const struct damf_device_options *opt,
			struct damf_device **dev, struct damf_error *err)
{
	size_t i, len = strcspn(name, ":");
	const char *path = name[len] ? name + len + 1 : NULL;

	if (!strcmp(name, "auto"))
		return open_auto(opt, dev, err);
	for (i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		const struct damf_backend *ops = backends[i];

		if (strncmp(name, ops->name, len) || ops->name[len])
			continue;
		if (path && (ops != &damf_backend_device || !*path))
			break;
		return open_backend(ops, path, opt, dev, err);
	}
	return damf_error_set(err, -EINVAL,
			      "backend \"%.100s\" is not known: use auto, device, device:/dev/accel/accelN, sim or cpu",
			      name);
}

int damf_device_open(const char *name, const struct damf_device_options *opt,
		     struct damf_device **dev, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_device_options o = { .size = sizeof(o) };
	int r;

	*dev = NULL;
	if (opt) {
		r = damf_struct_in(&o, sizeof(o), opt);
		if (r)
			return damf_error_set(err, r,
					      "device options of size %zu, this library knows %zu bytes: set size to sizeof(struct damf_device_options)",
					      opt->size, sizeof(o));
	}
	if (o.path != DAMF_SUBMIT_URING && o.path != DAMF_SUBMIT_IOCTL)
		return damf_error_set(err, -EINVAL,
				      "submit path %u is not known: use DAMF_SUBMIT_URING or DAMF_SUBMIT_IOCTL",
				      (unsigned int)o.path);
	return open_by_name(name, &o, dev, err);
}

void damf_device_close(struct damf_device *dev)
{
	DAMF_KEEP_ERRNO();

	if (!dev)
		return;
	dev->ops->close(dev);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

int damf_device_get_info(struct damf_device *dev, struct damf_device_info *info,
			 struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_device_info i = { .size = sizeof(i) };
	int r;

	snprintf(i.backend, sizeof(i.backend), "%s", dev->ops->name);
	memcpy(i.path, dev->path, sizeof(i.path));
	memcpy(i.reason, dev->reason, sizeof(i.reason));
	r = dev->ops->info(dev, &i, err);
	if (r)
		return r;
	damf_struct_out(info, &i, sizeof(i));
	return 0;
}

int damf_device_get_stats(struct damf_device *dev, struct damf_device_stats *stats,
			  struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_device_stats s = { .size = sizeof(s) };
	int r;

	r = dev->ops->stats(dev, &s, err);
	if (r)
		return r;
	damf_struct_out(stats, &s, sizeof(s));
	return 0;
}

int damf_device_lose(struct damf_device *dev)
{
	if (!dev->ops->lose)
		return -EOPNOTSUPP;
	dev->ops->lose(dev);
	return 0;
}

unsigned int damf_device_threads(struct damf_device *dev)
{
	return dev->ops->threads ? dev->ops->threads(dev) : 0;
}

void damf_device_work(struct damf_device *dev, damf_work_fn *fn, void *arg, size_t n)
{
	dev->ops->work(dev, fn, arg, n);
}
