/* SPDX-License-Identifier: MIT */
/*
 * Inside the low layer: what a device, a buffer and a queue are, and the
 * table of operations behind which the backends stand.
 *
 * Locks: damf_device.lock guards the list of buffers, damf_queue.lock the
 * slots. Both are leaves: no backend is called with one held, and a backend
 * may hold its own lock when it calls damf_queue_complete().
 */
#ifndef DAMF_BACKEND_H
#define DAMF_BACKEND_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "damf.h"
#include "error.h"

struct damf_backend;

struct damf_device {
	const struct damf_backend *ops;
	void *priv;			/* the backend's */
	char path[64];			/* node, or "" */
	char reason[160];
	atomic_bool lost;		/* nothing can be submitted any more */
	pthread_mutex_t lock;
	struct damf_buffer *buffers;	/* all of them, linked by next */
};

struct damf_buffer {
	struct damf_device *dev;
	struct damf_buffer *prev, *next;
	uint64_t size;			/* a multiple of the page size */
	unsigned int flags;		/* DAMF_BUFFER_* */
	bool imported;			/* map is the caller's */
	void *map;			/* the backend fills this and what follows */
	uint64_t va;
	uint64_t where;			/* sim: bus address or offset in local memory */
	uint32_t handle;		/* device: of the buffer object */
};

/* A list in flight: from its submission until its completion is taken. */
struct damf_inflight {
	struct damf_list list;
	uint64_t seqno;
	bool done;			/* c is valid; under the queue's lock */
	struct damf_completion c;
};

struct damf_queue {
	struct damf_device *dev;
	void *priv;			/* the backend's */
	unsigned int priority;
	unsigned int entries;		/* the backend may change what was asked for */
	bool independent;		/* see damf_queue_independent() */
	int eventfd;			/* level: readable if the oldest list is done */
	pthread_mutex_t lock;
	pthread_cond_t cond;		/* the oldest list may be done */
	struct damf_inflight *slots;	/* [entries], slot of seqno: (seqno - 1) % entries */
	uint64_t submitted, taken;	/* last seqno of each kind */
};

/* One of n pieces of work; worker names the thread that does it. */
typedef void damf_work_fn(void *arg, size_t item, unsigned int worker);

struct damf_backend {
	const char *name;
	/* opt is complete; path is NULL but for "device:PATH" */
	int (*open)(struct damf_device *dev, const char *path,
		    const struct damf_device_options *opt, struct damf_error *err);
	void (*close)(struct damf_device *dev);
	/* backend, path and reason are filled by the caller */
	int (*info)(struct damf_device *dev, struct damf_device_info *info,
		    struct damf_error *err);
	int (*stats)(struct damf_device *dev, struct damf_device_stats *stats,
		     struct damf_error *err);
	/* size and flags are set */
	int (*buffer_create)(struct damf_buffer *buf, struct damf_error *err);
	void (*buffer_destroy)(struct damf_buffer *buf);
	/* size, flags and map are set: memory that isn't ours. NULL where it has to be. */
	int (*buffer_import)(struct damf_buffer *buf, struct damf_error *err);
	/* NULL where memory is coherent */
	int (*buffer_sync)(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			   bool to_device, struct damf_error *err);
	/* priority, entries (a power of two) and eventfd are set */
	int (*queue_create)(struct damf_queue *queue, struct damf_error *err);
	/* cancels what is in flight; no completion comes once it has returned */
	void (*queue_destroy)(struct damf_queue *queue);
	int (*submit)(struct damf_queue *queue, struct damf_inflight *slot,
		      struct damf_error *err);
	/*
	 * Collects what has ended, after waiting at most timeout_ns (negative:
	 * for ever) for the first. NULL where completions come by themselves.
	 */
	void (*reap)(struct damf_queue *queue, int64_t timeout_ns);
	/* As if the device were gone: for tests. NULL where that can't be. */
	void (*lose)(struct damf_device *dev);
	/* Both or neither: the threads that run lists, and work of others for them. */
	unsigned int (*threads)(struct damf_device *dev);
	void (*work)(struct damf_device *dev, damf_work_fn *fn, void *arg, size_t n);
};

/* The caller's errno is left alone: first in every public function. */
static inline void damf_errno_restore(const int *saved)
{
	errno = *saved;
}
#define DAMF_KEEP_ERRNO() \
	int saved_errno __attribute__((cleanup(damf_errno_restore), unused)) = errno

/* A thread that takes none of the process's signals; 0 or a negative errno. */
int damf_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg);

extern const struct damf_backend damf_backend_cpu, damf_backend_sim, damf_backend_device;

#define DAMF_DEFAULT_ENTRIES	64u
#define DAMF_MAX_ENTRIES	4096u

/* Zeroed pages on a huge page boundary where that pays; NULL: out of memory. */
void *damf_pages_alloc(uint64_t size);
void damf_pages_free(void *map, uint64_t size);

/*
 * A buffer of memory that there is already, which outlives it and which the
 * device doesn't write; host is aligned to 64. -EOPNOTSUPP: the backend has to
 * have memory of its own.
 */
int damf_buffer_import(struct damf_device *dev, void *host, uint64_t size,
		       struct damf_buffer **buf, struct damf_error *err);

/*
 * Where the device's engine is threads of this process: how many, and work for
 * them between two lists, so that no more threads run than were asked for. It
 * is done on return. 0: there are none, and work() is not to be called.
 */
unsigned int damf_device_threads(struct damf_device *dev);
void damf_device_work(struct damf_device *dev, damf_work_fn *fn, void *arg, size_t n);

/*
 * No list of the queue needs what another one in flight writes, so a backend
 * may run them side by side. Completions stay in order. Before the first list.
 */
void damf_queue_independent(struct damf_queue *queue);

/* The slot of a list in flight. */
struct damf_inflight *damf_queue_slot(struct damf_queue *queue, uint64_t seqno);
/* From any thread: a list has ended. Of c all but size, seqno, text is set. */
void damf_queue_complete(struct damf_queue *queue, uint64_t seqno,
			 const struct damf_completion *c);
/* Ends everything in flight that has not ended, with an error. */
void damf_queue_fail(struct damf_queue *queue, int error);

/* The errno that stands for a status of damf_hw.h. */
int damf_status_errno(unsigned int status);
/* Composes done->text from the rest of *done. */
void damf_completion_text(struct damf_device *dev, const struct damf_list *list,
			  struct damf_completion *done);

/* Fills err with what is to be said when the device has gone; -ENODEV. */
int damf_error_lost(struct damf_device *dev, struct damf_error *err);

/* Makes every queue and buffer of a "sim" device behave as on a device that
 * was pulled out; -EOPNOTSUPP where the backend can't. For tests. */
int damf_device_lose(struct damf_device *dev);

uint64_t damf_now_ns(void);	/* CLOCK_MONOTONIC */

/*
 * Structs with a leading size: copies what both sides know. In: the rest of
 * dst is zeroed, -E2BIG if src has more and it isn't zero. Out: the rest of
 * dst (its own size) is zeroed.
 */
int damf_struct_in(void *dst, size_t dst_size, const void *src);
void damf_struct_out(void *dst, const void *src, size_t src_size);

#endif /* DAMF_BACKEND_H */
