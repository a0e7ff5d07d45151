// SPDX-License-Identifier: MIT
/*
 * What one core of this machine can do at most: bytes a second out of its
 * caches and out of memory, products of f32 and of int8 a second. Prints JSON.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES		16
#elif defined(__AVX__)
#define LANES		8
#else
#define LANES		4
#endif
#if defined(__x86_64__)
#define IN_REGISTER(v)	__asm__ volatile("" : "+x"(v))
#else
#define IN_REGISTER(v)	__asm__ volatile("" : "+w"(v))
#endif
#define CHAINS		12	/* of additions that wait for nobody: latency times units */
#define ROUNDS		20000000
#define REPEATS		5

typedef float vf __attribute__((vector_size(4 * LANES)));

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Reads it all over and over for a tenth of a second. */
static double read_rate(const vf *at, size_t bytes)
{
	size_t n = bytes / sizeof(vf), passes = 0;
	vf sum[CHAINS] = { 0 };
	double start = now(), took;

	do {
		for (size_t i = 0; i + CHAINS <= n; i += CHAINS)
			for (size_t j = 0; j < CHAINS; j++)
				sum[j] += at[i + j];
		passes++;
		took = now() - start;
	} while (took < 0.1);
	__asm__ volatile("" : : "m"(sum));
	return (double)passes * (double)bytes / took * 1e-9;
}

static double best_read(size_t bytes)
{
	vf *at = aligned_alloc(64, bytes);
	double best = 0.0, rate;

	if (!at)
		exit(1);
	memset(at, 0, bytes);
	for (int i = 0; i < REPEATS; i++) {
		rate = read_rate(at, bytes);
		best = rate > best ? rate : best;
	}
	free(at);
	return best;
}

/* G multiply-adds a second; compiled with contraction. */
static double f32_rate(void)
{
	vf sum[CHAINS] = { 0 }, a, b;
	double start;

	for (int i = 0; i < LANES; i++)
		a[i] = b[i] = 1e-3f;
	IN_REGISTER(a);
	IN_REGISTER(b);
	start = now();
	for (long i = 0; i < ROUNDS; i++)
		for (int j = 0; j < CHAINS; j++) {
			sum[j] = a * b + sum[j];
			IN_REGISTER(sum[j]);
		}
	return (double)ROUNDS * CHAINS * LANES / (now() - start) * 1e-9;
}

/* 0: not known for this machine */
static double int8_rate(void)
{
#ifdef __AVX512VNNI__
	__m512i sum[CHAINS] = { 0 }, a = _mm512_set1_epi8(1), b = a;
	double start = now();

	for (long i = 0; i < ROUNDS; i++)
		for (int j = 0; j < CHAINS; j++) {
			sum[j] = _mm512_dpbusd_epi32(sum[j], a, b);
			IN_REGISTER(sum[j]);
		}
	return (double)ROUNDS * CHAINS * 64 / (now() - start) * 1e-9;
#else
	return 0.0;
#endif
}

int main(void)
{
	printf("{\"l2_gb_s\": %.1f, \"l3_gb_s\": %.1f, \"memory_gb_s\": %.1f, ", best_read(512u << 10),
	       best_read(6u << 20), best_read(512u << 20));
	printf("\"f32_gmac_s\": %.1f, \"int8_gmac_s\": %.1f}\n", f32_rate(), int8_rate());
	return 0;
}
