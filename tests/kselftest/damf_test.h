/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the selftests of the DAMF driver share: a client with its buffers and
 * a queue, layer jobs, fences that are signalled by hand, and io_uring.
 *
 * Functions return 0 or a negative errno unless something else is said.
 */
#ifndef DAMF_TEST_H
#define DAMF_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/io_uring.h>

#include <drm/damf_accel.h>
#include <damf_hw.h>

#define PAGE		4096ull
#define MS		1000000ll
#define SECOND		1000000000ll
#define WAIT_NS		(20 * SECOND)	/* longer than anything here takes */
#define DATA_SIZE	(1024 * 1024ull) /* of client.data */
#define JOBS		64		/* in client.jobs */

/* ---- lib.c: clients, buffers, queues, lists ------------------------------ */

struct buf {
	__u32 handle;
	__u64 size;
	__u64 va;
	void *map;
};

struct client {
	int fd;
	struct drm_damf_info info;
	struct buf jobs;
	struct buf data;
	__u32 queue;
};

/* Number of the accel node, -1: there is none. */
int damf_minor(void);
/* A file descriptor or a negative errno. */
int damf_open(void);
int damf_ioctl(int fd, unsigned long request, void *arg);
int damf_query(int fd, __u32 type, void *to, __u32 size);

int bo_create(int fd, __u64 size, __u32 flags, __u32 *handle);
int bo_close(int fd, __u32 handle);
int bo_offset(int fd, __u32 handle, __u64 *offset);
int bo_sync(int fd, __u32 handle, __u32 flags, __u64 size);
int vm_map(int fd, __u32 handle, __u32 flags, __u64 *va);
int vm_unmap(int fd, __u64 va);
int queue_create(int fd, __u32 priority, __u32 *entries, __u32 *id);
int queue_destroy(int fd, __u32 id);
int gem_export(int fd, __u32 handle);
int gem_import(int fd, int dmabuf, __u32 *handle);

/* A buffer mapped for the device and for the CPU. */
int buf_create(int fd, struct buf *b, __u64 size, __u32 bo_flags, __u32 map_flags);
void buf_free(int fd, struct buf *b);
int buf_to_device(int fd, struct buf *b);
int buf_from_device(int fd, struct buf *b);

int client_init(struct client *c);
void client_fini(struct client *c);

struct drm_damf_submit list_of(struct client *c, unsigned int count);
int submit(int fd, struct drm_damf_submit *s);
int result(int fd, __u32 queue, __u64 seqno, __s64 timeout_ns, struct drm_damf_result *res);
/* Runs the first count jobs of the client's and waits for them. */
int run(struct client *c, unsigned int count, struct drm_damf_result *res);
/* Whether a fill with pattern arrives in the client's data. */
int client_works(struct client *c, __u32 pattern);

__u64 now_ns(void);
void sleep_ms(unsigned int ms);

/* A file of the driver's in debugfs, -1: can't be opened. */
int debugfs_open(const char *name, int flags);
/* The driver's counts in debugfs, -1: can't be read. */
int counts_read(char *text, size_t size);
/* Waits until they are what they were: 0, or -ETIME. */
int counts_wait(const char *before);

/* ---- jobs.c: layer jobs -------------------------------------------------- */

struct damf_job *job_init(struct buf *jobs, unsigned int i, unsigned int opcode);
void job_fill(struct buf *jobs, unsigned int i, __u64 va, __u32 words, __u32 pattern);
void job_copy(struct buf *jobs, unsigned int i, __u64 to, __u64 from, __u32 bytes);
/* Whether words of b from byte offset on all are pattern. */
bool is_filled(const struct buf *b, __u64 offset, __u32 words, __u32 pattern);

/* A list that keeps the engine busy for about as long as is asked for. */
struct busy {
	struct buf jobs;
	struct buf data;
	unsigned int count;
};

int busy_init(struct client *c, struct busy *b, unsigned int ms);
void busy_fini(struct client *c, struct busy *b);
int busy_submit(struct client *c, struct busy *b, __u32 queue, __u64 *seqno);

/* ---- fence.c: syncobjs, and fences signalled by hand --------------------- */

struct drm_damf_sync sync_wait(__u32 handle, __u64 point);
struct drm_damf_sync sync_signal(__u32 handle, __u64 point);
void set_syncs(struct drm_damf_submit *s, struct drm_damf_sync *syncs, unsigned int count);

int syncobj_create(int fd, __u32 *handle);
int syncobj_destroy(int fd, __u32 handle);
/* point 0: of a binary one. timeout_ns from now. */
int syncobj_wait(int fd, __u32 handle, __u64 point, __s64 timeout_ns, __u32 flags);
/* Status of the fence in a binary syncobj: 1 signalled, 0 not, or its error. */
int syncobj_status(int fd, __u32 handle, int *status);

/*
 * A fence of vgem's, which no list can hurry. It signals by itself after 10
 * seconds.
 */
struct hold {
	int vgem;
	__u32 bo;
	__u32 fence;
	int sync_file;
};

/* -ENODEV: there is no vgem here. */
int hold_init(struct hold *h);
int hold_syncobj(struct hold *h, int fd, __u32 *handle);
int hold_release(struct hold *h);
void hold_fini(struct hold *h);
/* vgem's file alone, and a dma-buf of it. */
int vgem_open(void);
int vgem_create(int fd, __u64 size, __u32 *handle);

/* ---- ring.c: io_uring, and either way of submitting ---------------------- */

struct ring {
	int fd;
	unsigned int flags;
	unsigned int entries;
	unsigned int pending;
	void *rings;
	size_t rings_size;
	size_t sqes_size;
	struct io_uring_sqe *sqes;
	unsigned int *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
	unsigned int sq_mask, cq_mask;
	struct io_uring_cqe *cqes;
};

int ring_init(struct ring *r, unsigned int entries, unsigned int flags);
void ring_fini(struct ring *r);
/* The next entry, a submission prepared; NULL: the ring is full. */
struct io_uring_sqe *ring_prep(struct ring *r, int fd, struct drm_damf_submit *s, __u64 data);
/* How many were taken, or a negative errno. */
int ring_enter(struct ring *r);
/* -ETIME: nothing has ended in time. */
int ring_wait(struct ring *r, struct io_uring_cqe *cqe, __s64 timeout_ns);

#define PATH_LISTS 256	/* in flight by one path */

struct path {
	struct client *c;
	bool uring;
	struct ring ring;
	/* completions that nobody has asked for yet */
	struct io_uring_cqe cqes[PATH_LISTS];
	unsigned int ended;
};

int path_init(struct path *p, struct client *c, bool uring);
void path_fini(struct path *p);
/* Queues a list; what the driver refuses at once is returned. */
int path_submit(struct path *p, struct drm_damf_submit *s);
/* Waits until it has ended. -EPROTO: completion and result differ. */
int path_wait(struct path *p, struct drm_damf_submit *s, struct drm_damf_result *res);
int path_run(struct path *p, struct drm_damf_submit *s, struct drm_damf_result *res);

/* ---- for fixtures -------------------------------------------------------- */

#define SETUP_CLIENT(c) do { \
	int setup_r; \
	if (damf_minor() < 0) \
		SKIP(return, "no device of driver damf"); \
	setup_r = client_init(c); \
	if (setup_r == -EACCES) \
		SKIP(return, "no permission to open the device"); \
	ASSERT_EQ(0, setup_r); \
} while (0)

/*
 * A client, and in before, an array, what the driver held when it came, which
 * is empty where that can't be read.
 */
#define SETUP_COUNTED(c, before) do { \
	if (damf_minor() < 0) \
		SKIP(return, "no device of driver damf"); \
	if (counts_read(before, sizeof(before))) \
		(before)[0] = '\0'; \
	SETUP_CLIENT(c); \
} while (0)

/* Nothing is left behind. */
#define EXPECT_COUNTS(before) do { \
	if ((before)[0]) { \
		EXPECT_EQ(0, counts_wait(before)); \
	} \
} while (0)

/* The device works, unless the test has closed the client, and nothing is left. */
#define TEARDOWN_COUNTED(c, before) do { \
	if ((c)->fd >= 0) { \
		EXPECT_EQ(0, client_works(c, 0x900d)); \
	} \
	client_fini(c); \
	EXPECT_COUNTS(before); \
} while (0)

#define SETUP_HOLD(h) do { \
	int setup_h = hold_init(h); \
	if (setup_h == -ENODEV) \
		SKIP(return, "needs vgem for fences"); \
	ASSERT_EQ(0, setup_h); \
} while (0)

static inline __u32 next_random(__u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#endif /* DAMF_TEST_H */
