// SPDX-License-Identifier: MIT
/* Buffers: memory that both the CPU and a device's lists reach. */
#include <inttypes.h>
#include <stdlib.h>

#include "backend.h"
#include "damf_hw.h"

#define KNOWN_FLAGS (DAMF_BUFFER_LOCAL | DAMF_BUFFER_READONLY)

static void list_add(struct damf_device *dev, struct damf_buffer *buf)
{
	pthread_mutex_lock(&dev->lock);
	buf->next = dev->buffers;
	if (buf->next)
		buf->next->prev = buf;
	dev->buffers = buf;
	pthread_mutex_unlock(&dev->lock);
}

static void list_del(struct damf_device *dev, struct damf_buffer *buf)
{
	pthread_mutex_lock(&dev->lock);
	if (buf->prev)
		buf->prev->next = buf->next;
	else
		dev->buffers = buf->next;
	if (buf->next)
		buf->next->prev = buf->prev;
	pthread_mutex_unlock(&dev->lock);
}

int damf_buffer_create(struct damf_device *dev, uint64_t size, unsigned int flags,
		       struct damf_buffer **out, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_buffer *buf;
	int r;

	*out = NULL;
	if (!size || size > DAMF_VA_END / 2)
		return damf_error_set(err, -EINVAL,
				      "buffer of %" PRIu64 " bytes: the size must be 1 to %llu",
				      size, DAMF_VA_END / 2);
	if (flags & ~KNOWN_FLAGS)
		return damf_error_set(err, -EINVAL, "buffer flags 0x%x: use DAMF_BUFFER_* only",
				      flags);
	if (atomic_load(&dev->lost))
		return damf_error_lost(dev, err);
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return damf_error_set(err, -ENOMEM, "no memory for a buffer");
	buf->dev = dev;
	buf->size = (size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
	buf->flags = flags;
	r = dev->ops->buffer_create(buf, err);
	if (r) {
		free(buf);
		return r;
	}
	list_add(dev, buf);
	*out = buf;
	return 0;
}

int damf_buffer_import(struct damf_device *dev, void *host, uint64_t size,
		       struct damf_buffer **out, struct damf_error *err)
{
	struct damf_buffer *buf;
	int r;

	*out = NULL;
	if (!dev->ops->buffer_import)
		return -EOPNOTSUPP;
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return damf_error_set(err, -ENOMEM, "no memory for a buffer");
	buf->dev = dev;
	buf->size = (size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
	buf->flags = DAMF_BUFFER_READONLY;
	buf->imported = true;
	buf->map = host;
	r = dev->ops->buffer_import(buf, err);
	if (r) {
		free(buf);
		return r;
	}
	list_add(dev, buf);
	*out = buf;
	return 0;
}

void damf_buffer_free(struct damf_buffer *buf)
{
	DAMF_KEEP_ERRNO();

	if (!buf)
		return;
	list_del(buf->dev, buf);
	buf->dev->ops->buffer_destroy(buf);
	free(buf);
}

void *damf_buffer_map(struct damf_buffer *buf)
{
	return buf->map;
}

uint64_t damf_buffer_va(const struct damf_buffer *buf)
{
	return buf->va;
}

uint64_t damf_buffer_size(const struct damf_buffer *buf)
{
	return buf->size;
}

static int buffer_sync(struct damf_buffer *buf, uint64_t offset, uint64_t size,
		       bool to_device, struct damf_error *err)
{
	if (offset > buf->size || size > buf->size - offset)
		return damf_error_set(err, -EINVAL,
				      "sync of %" PRIu64 " bytes at %" PRIu64 " in a buffer of %" PRIu64 " bytes",
				      size, offset, buf->size);
	if (atomic_load(&buf->dev->lost))
		return damf_error_lost(buf->dev, err);
	if (!size || !buf->dev->ops->buffer_sync)
		return 0;
	return buf->dev->ops->buffer_sync(buf, offset, size, to_device, err);
}

int damf_buffer_to_device(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			  struct damf_error *err)
{
	DAMF_KEEP_ERRNO();

	return buffer_sync(buf, offset, size, true, err);
}

int damf_buffer_from_device(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			    struct damf_error *err)
{
	DAMF_KEEP_ERRNO();

	return buffer_sync(buf, offset, size, false, err);
}
