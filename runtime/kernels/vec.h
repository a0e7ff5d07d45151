/* SPDX-License-Identifier: MIT */
/*
 * Vector operations of one instruction set, on native registers of VW lanes.
 * Every operation is an IEEE one, lane by lane, so that the same source gives
 * the same bits at any width. Nothing else looks at the instruction set.
 *
 * Vectors stay out of the signatures of functions that are not inlined: their
 * ABI depends on compiler flags.
 */
#ifndef DAMF_VEC_H
#define DAMF_VEC_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "the bits of the kernels are defined: compile them without -ffast-math"
#endif
#if FLT_EVAL_METHOD != 0
#error "float expressions must be evaluated in float: excess precision changes bits"
#endif

#if VW == 16
#include <immintrin.h>
#elif VW == 8
#include <immintrin.h>
#elif defined(VEC_NEON)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(4 * VW)));
typedef int32_t vi __attribute__((vector_size(4 * VW)));
typedef uint32_t vu __attribute__((vector_size(4 * VW)));	/* where integers wrap */

INLINE vf v_load(const float *p)
{
	vf r;

	memcpy(&r, p, sizeof(r));
	return r;
}

INLINE void v_store(float *p, vf a)
{
	memcpy(p, &a, sizeof(a));
}

INLINE vf v_set1(float x)
{
	return x - (vf){ 0 };	/* x - 0 is x, for -0 too */
}

INLINE vi v_set1i(int32_t x)
{
	return x - (vi){ 0 };
}

/* m ? a : b; m is all ones or all zeros in each lane */
INLINE vf v_select(vi m, vf a, vf b)
{
	return (vf)(((vi)a & m) | ((vi)b & ~m));
}

/* a if it is greater, else b: b where one is not a number, and of equal zeros */
INLINE vf v_max(vf a, vf b)
{
	return v_select(a > b, a, b);
}

INLINE vf v_abs(vf a)
{
	return (vf)((vi)a & 0x7fffffff);
}

/* The rounded a * b + c, one rounding. */
#if VW == 16
INLINE vf v_fma(vf a, vf b, vf c)
{
	return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif VW == 8
INLINE vf v_fma(vf a, vf b, vf c)
{
	return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#elif defined(VEC_NEON)
INLINE vf v_fma(vf a, vf b, vf c)
{
	return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#else
typedef float vf2 __attribute__((vector_size(8)));
typedef double vd __attribute__((vector_size(16)));
typedef int64_t vl __attribute__((vector_size(16)));

/*
 * In double the product is exact and the sum is off by e, which TwoSum gives
 * exactly. Rounding the sum to odd (truncate, then set the last bit if
 * anything was cut) leaves what the second rounding, to float, has to know:
 * 53 bits are more than 24 + 2. An infinite sum or one that is not a number
 * has an e that compares with nothing, and stays.
 */
INLINE vd v_fma_half(vd a, vd b, vd c)
{
	vd p = a * b, s = p + c, bb = s - p;
	vd e = (p - (s - bb)) + (c - bb);
	vl inexact = (vl)((e > 0.0) | (e < 0.0));
	vl even = ((vl)s & 1) - 1;
	vl away = ((e > 0.0) ^ (s > 0.0)) | 1;	/* 1 if e makes |s| larger, else -1 */

	return (vd)((vl)s + (inexact & even & away));
}

/* Whole vectors all the way: gcc 12 at -O2 miscompiles this lane by lane. */
INLINE vf v_fma(vf a, vf b, vf c)
{
#define HALF(v, i) \
	__builtin_convertvector(__builtin_shufflevector(v, v, i, (i) + 1), vd)
	vd low = v_fma_half(HALF(a, 0), HALF(b, 0), HALF(c, 0));
	vd high = v_fma_half(HALF(a, 2), HALF(b, 2), HALF(c, 2));
#undef HALF

	return __builtin_shufflevector(__builtin_convertvector(low, vf2),
				       __builtin_convertvector(high, vf2), 0, 1, 2, 3);
}
#endif

/* The first n lanes, n below VW; the others are fill. */
INLINE vf v_load_n(const float *p, size_t n, float fill)
{
	float t[VW];

	for (size_t i = 0; i < VW; i++)
		t[i] = i < n ? p[i] : fill;
	return v_load(t);
}

INLINE void v_store_n(float *p, vf a, size_t n)
{
	float t[VW];

	v_store(t, a);
	for (size_t i = 0; i < n; i++)
		p[i] = t[i];
}

#endif /* DAMF_VEC_H */
