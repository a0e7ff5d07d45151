// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arguments and jobs of random bytes, from fixed seeds: the driver may refuse
 * them as it likes, and afterwards the device works and nothing is left.
 *
 * DAMF_FUZZ_MS and DAMF_FUZZ_SEED in the environment ask for more.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define ARENA	(64 << 10)
#define ENOUGH	100	/* of each kind, however long that takes */

FIXTURE(fuzz)
{
	struct client c;
	char before[1024];
	__u32 seed;
	__u64 end;
};

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

FIXTURE_SETUP(fuzz)
{
	self->c.fd = -1;
	SETUP_COUNTED(&self->c, self->before);
	self->seed = (__u32)setting("DAMF_FUZZ_SEED", 0xda3f) | 1;
	self->end = now_ns() + setting("DAMF_FUZZ_MS", 2000) * MS;
}

FIXTURE_TEARDOWN(fuzz)
{
	TEARDOWN_COUNTED(&self->c, self->before);
}

/* Values that mean something somewhere, and others. */
static __u64 interesting(__u32 *state, struct client *c, void *arena)
{
	__u32 x = next_random(state);

	switch (x % 16) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return 1ull << x / 16 % 64;
	case 3: return (1ull << x / 16 % 64) - 1;
	case 4: return c->jobs.va;
	case 5: return c->data.va;
	case 6: return (uintptr_t)arena;
	case 7: return c->data.handle;
	case 8: return PAGE * (x / 16 % 256);
	case 9: return (__u64)next_random(state) << 32 | next_random(state);
	default: return x / 16 % 8;
	}
}

/* The addresses that the kernel writes to must not be this program's own. */
static void fuzz_argument(__u32 *state, struct client *c, void *arena, unsigned int nr,
			  unsigned char *arg, size_t size)
{
	struct drm_damf_dev_query *query = (void *)arg;
	struct drm_damf_bo_create *create = (void *)arg;
	struct drm_damf_result *result = (void *)arg;
	size_t i = 0, n;

	while (i < size) {
		__u64 value = interesting(state, c, arena);

		n = next_random(state) % 2 ? 8 : 4;
		n = n < size - i ? n : size - i;
		memcpy(arg + i, &value, n);
		i += n;
	}
	switch (nr) {
	case DRM_DAMF_DEV_QUERY:
		if (query->pointer < 1ull << 47 && query->pointer >= PAGE)
			query->pointer = (uintptr_t)arena;
		query->size %= ARENA;
		break;
	case DRM_DAMF_BO_CREATE:
		if (create->size < 1ull << 50)
			create->size %= 1 << 20;
		break;
	case DRM_DAMF_RESULT:
		result->timeout_ns = result->timeout_ns % (10 * MS);
		if (result->timeout_ns < 0)
			result->timeout_ns = 0;
		break;
	}
}

/* ioctls by number, with the size of their struct or any other. */
static unsigned long request_of(__u32 *state, unsigned int nr, size_t size)
{
	__u32 x = next_random(state);

	if (x % 8 == 0)
		size = x / 8 % 128;
	return _IOC(x % 64 == 1 ? x / 64 % 4 : _IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE,
		    DRM_COMMAND_BASE + nr, size);
}

static const size_t sizes[] = {
	sizeof(struct drm_damf_dev_query), sizeof(struct drm_damf_bo_create),
	sizeof(struct drm_damf_bo_mmap_offset), sizeof(struct drm_damf_bo_sync),
	sizeof(struct drm_damf_vm_map), sizeof(struct drm_damf_vm_unmap),
	sizeof(struct drm_damf_queue_create), sizeof(struct drm_damf_queue_destroy),
	sizeof(struct drm_damf_submit), sizeof(struct drm_damf_result),
};

/*
 * A slow machine gets less done in the time, but enough to say something. One
 * that never gets there is ended by the harness.
 */
static bool goes_on(__u64 end, unsigned int done)
{
	return done < ENOUGH || now_ns() < end;
}

#define CALLS 3000 /* of one client */

/* How many calls the driver took, of which taken are those of others before. */
static unsigned int call_at_random(struct client *c, __u32 seed, __u64 end, unsigned int taken)
{
	unsigned char arg[256];
	unsigned int i, nr;
	void *arena;

	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		return taken;
	for (i = 0; i < CALLS && goes_on(end, taken); i++) {
		nr = next_random(&seed) % (ARRAY_SIZE(sizes) + 1);
		memset(arg, 0, sizeof(arg));
		if (nr == ARRAY_SIZE(sizes)) {
			bo_close(c->fd, next_random(&seed) % 64);
			continue;
		}
		fuzz_argument(&seed, c, arena, nr, arg, sizes[nr]);
		if (!damf_ioctl(c->fd, request_of(&seed, nr, sizes[nr]), arg))
			taken++;
	}
	munmap(arena, ARENA);
	return taken;
}

TEST_F(fuzz, ioctls)
{
	unsigned int taken = 0;
	struct client c;

	/* what goes wrong stays with that client; a new one every so often */
	while (goes_on(self->end, taken)) {
		ASSERT_EQ(0, client_init(&c));
		taken = call_at_random(&c, self->seed, self->end, taken);
		self->seed = self->seed * 69069 | 1;
		munmap(c.jobs.map, c.jobs.size);
		munmap(c.data.map, c.data.size);
		close(c.fd);
	}
	TH_LOG("%u calls were taken", taken);
}

/* Lists of jobs that are spoilt a little, or nothing but noise. */
static void fuzz_job(__u32 *state, struct client *c, unsigned int i)
{
	__u32 *words = (__u32 *)((struct damf_job *)c->jobs.map + i), x = next_random(state);
	unsigned int n, where;

	if (x % 2)
		job_fill(&c->jobs, i, c->data.va + x / 2 % 64 * PAGE, 1024, x);
	else
		job_copy(&c->jobs, i, c->data.va, c->data.va + 65536, x / 2 % 4096 + 1);
	if (x >> 29)
		return;
	if (x >> 28) {
		for (n = 0; n < sizeof(struct damf_job) / 4; n++)
			words[n] = (__u32)interesting(state, c, NULL);
		return;
	}
	for (n = 1 + x / 16 % 4; n; n--) {
		where = next_random(state) % (sizeof(struct damf_job) / 4);
		words[where] = (__u32)interesting(state, c, NULL);
	}
}

/* Known status and errno, and the index is of the list: nothing else is told. */
static bool is_sensible(const struct drm_damf_result *res, unsigned int count)
{
	if (!res->status)
		return !res->error && res->index == count;
	if (res->status > DAMF_ST_INTERNAL || res->error >= 0 || res->error < -4095)
		return false;
	return res->index < count || res->index == DAMF_INDEX_NONE;
}

TEST_F(fuzz, jobs)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	unsigned int good = 0, bad = 0, i;

	while (goes_on(self->end, good < bad ? good : bad)) {
		for (i = 0; i < 8; i++)
			fuzz_job(&self->seed, &self->c, i);
		ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
		s = list_of(&self->c, 1 + next_random(&self->seed) % 8);
		if (next_random(&self->seed) % 4 == 0)
			s.counters = interesting(&self->seed, &self->c, NULL) & ~7ull;
		if (submit(self->c.fd, &s))
			continue;
		ASSERT_EQ(0, result(self->c.fd, s.queue, s.seqno, WAIT_NS, &res));
		EXPECT_TRUE(is_sensible(&res, s.count))
			TH_LOG("status %u, error %d, index %u of %u", res.status, res.error,
			       res.index, s.count);
		good += !res.error;
		bad += res.error != 0;
	}
	TH_LOG("%u lists were fine, %u not", good, bad);
}

static void fuzz_command(__u32 *state, struct client *c, struct io_uring_sqe *sqe,
			 struct drm_damf_submit *s)
{
	__u32 x = next_random(state);

	*s = list_of(c, 1 + x % JOBS);
	if (x & 1 << 16)
		fuzz_argument(state, c, c->data.map, DRM_DAMF_SUBMIT, (void *)s, sizeof(*s));
	if (!(x >> 17 & 7))
		sqe->addr = interesting(state, c, s);
	if (!(x >> 20 & 7))
		sqe->cmd_op = (__u32)interesting(state, c, s);
	if (!(x >> 23 & 15))
		sqe->len = x;
	if (!(x >> 27 & 15))
		sqe->addr3 = x;
}

TEST_F(fuzz, commands)
{
	struct drm_damf_submit s[16];
	struct io_uring_cqe cqe;
	struct io_uring_sqe *sqe;
	unsigned int good = 0, bad = 0, i;
	struct ring ring;

	ASSERT_EQ(0, ring_init(&ring, 16, 0));
	for (i = 0; i < JOBS; i++)
		job_init(&self->c.jobs, i, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	while (goes_on(self->end, good < bad ? good : bad)) {
		for (i = 0; i < ARRAY_SIZE(s); i++) {
			sqe = ring_prep(&ring, self->c.fd, &s[i], i);
			ASSERT_NE(NULL, sqe);
			fuzz_command(&self->seed, &self->c, sqe, &s[i]);
		}
		ASSERT_EQ(ARRAY_SIZE(s), ring_enter(&ring));
		for (i = 0; i < ARRAY_SIZE(s); i++) {
			ASSERT_EQ(0, ring_wait(&ring, &cqe, WAIT_NS));
			good += !cqe.res;
			bad += cqe.res != 0;
		}
	}
	ring_fini(&ring);
	TH_LOG("%u commands were fine, %u not", good, bad);
}

TEST_HARNESS_MAIN
