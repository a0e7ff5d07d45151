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
#elif defined(__SSE2__)
#include <emmintrin.h>
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
typedef int64_t vl __attribute__((vector_size(4 * VW)));
typedef uint64_t vul __attribute__((vector_size(4 * VW)));
typedef double vd __attribute__((vector_size(4 * VW)));
typedef float vfh __attribute__((vector_size(2 * VW)));		/* half a register */
typedef int16_t vs __attribute__((vector_size(4 * VW)));
typedef int16_t vsh __attribute__((vector_size(2 * VW)));
typedef uint16_t vuh __attribute__((vector_size(2 * VW)));
typedef int8_t vch __attribute__((vector_size(2 * VW)));
typedef int8_t vcq __attribute__((vector_size(VW)));		/* a quarter of one */

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
#if VW == 8
	return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m);
#else
	return (vf)(((vi)a & m) | ((vi)b & ~m));
#endif
}

/* a < b ? x : y. Where masks are registers of their own, a mask in lanes takes two steps more. */
INLINE vf v_if_less(vf a, vf b, vf x, vf y)
{
#if VW == 16
	__mmask16 m = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);

	return (vf)_mm512_mask_blend_ps(m, (__m512)y, (__m512)x);
#else
	return v_select(a < b, x, y);
#endif
}

/* x where a is not a number, else y. */
INLINE vf v_if_nan(vf a, vf x, vf y)
{
#if VW == 16
	__mmask16 m = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q);

	return (vf)_mm512_mask_blend_ps(m, (__m512)y, (__m512)x);
#else
	return v_select(a == a, y, x);
#endif
}

/* a if it is greater, else b: b where one is not a number, and of equal zeros */
INLINE vf v_max(vf a, vf b)
{
#if VW == 16
	return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif VW == 8
	return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
	return v_select(a > b, a, b);
#endif
}

/* a if it is less, else b. */
INLINE vf v_min(vf a, vf b)
{
#if VW == 16
	return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif VW == 8
	return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
	return v_select(a < b, a, b);
#endif
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

	return __builtin_shufflevector(__builtin_convertvector(low, vfh),
				       __builtin_convertvector(high, vfh), 0, 1, 2, 3);
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

/* ---- Integers, and numbers of other types --------------------------------- */

/* bf16: the upper half of an f32. Left to themselves, compilers widen in more steps. */
INLINE vf v_load_bf16(const uint16_t *p)
{
#if VW == 16
	__m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));

	return (vf)((vu)wide << 16);
#elif VW == 8
	__m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));

	return (vf)((vu)wide << 16);
#else
	vuh h;

	memcpy(&h, p, sizeof(h));
	return (vf)(__builtin_convertvector(h, vu) << 16);
#endif
}

INLINE vf v_load_i8(const int8_t *p)
{
	vcq q;

	memcpy(&q, p, sizeof(q));
	return __builtin_convertvector(__builtin_convertvector(q, vi), vf);
}

INLINE vs v_load_i8_i16(const int8_t *p)
{
#if VW == 16
	return (vs)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
#elif VW == 8
	return (vs)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
#else
	vch h;

	memcpy(&h, p, sizeof(h));
	return __builtin_convertvector(h, vs);
#endif
}

/* Four 16-bit numbers, again and again. */
INLINE vs v_set4_i16(const int16_t *p)
{
	int64_t x;

	memcpy(&x, p, sizeof(x));
	return (vs)(x - (vl){ 0 });
}

/* acc and, in each lane, the products of two neighbours, added up. */
INLINE vi v_dot2(vi acc, vs a, vs b)
{
#if defined(VEC_VNNI) && VW == 16
	return (vi)_mm512_dpwssd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(VEC_VNNI)
	return (vi)_mm256_dpwssd_avx_epi32((__m256i)acc, (__m256i)a, (__m256i)b);
#elif VW == 16
	return (vi)((vu)acc + (vu)_mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif VW == 8
	return (vi)((vu)acc + (vu)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#elif defined(VEC_NEON)
	int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
	int32x4_t high = vmull_high_s16((int16x8_t)a, (int16x8_t)b);

	return (vi)((vu)acc + (vu)vpaddq_s32(low, high));
#elif defined(__SSE2__)
	return (vi)((vu)acc + (vu)_mm_madd_epi16((__m128i)a, (__m128i)b));
#else
	vi even = ((vi)a << 16 >> 16) * ((vi)b << 16 >> 16), odd = ((vi)a >> 16) * ((vi)b >> 16);

	return (vi)((vu)acc + (vu)even + (vu)odd);
#endif
}

INLINE vi v_max_i(vi a, vi b)
{
#if VW == 16
	return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif VW == 8
	return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
	vi m = a > b;

	return (a & m) | (b & ~m);
#endif
}

/* The largest of all lanes. */
INLINE int32_t v_largest_i(vi a)
{
#if VW == 16
	return _mm512_reduce_max_epi32((__m512i)a);
#else
	int32_t most = a[0];

	for (int i = 1; i < VW; i++)
		most = a[i] > most ? a[i] : most;
	return most;
#endif
}

/* x * factor to the nearest integer, ties to even; it is below 2^22 in magnitude. */
INLINE vi v_quantise(vf x, float factor)
{
#if VW == 16
	return (vi)_mm512_cvtps_epi32((__m512)(x * factor));
#elif VW == 8
	return (vi)_mm256_cvtps_epi32((__m256)(x * factor));
#else
	/* there is no fraction behind the last bit */
	return (vi)((vu)(x * factor + 0x1.8p23f) - 0x4b400000u);
#endif
}

/* VW integers that fit; compilers take narrowing apart, lane by lane. */
INLINE void v_store_i16(int16_t *p, vi a)
{
#if VW == 16
	_mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16((__m512i)a));
#elif VW == 8
	__m128i low = _mm256_castsi256_si128((__m256i)a);
	__m128i high = _mm256_extracti128_si256((__m256i)a, 1);

	_mm_storeu_si128((__m128i *)p, _mm_packs_epi32(low, high));
#elif defined(VEC_NEON)
	vst1_s16(p, vmovn_s32((int32x4_t)a));
#elif defined(__SSE2__)
	_mm_storel_epi64((__m128i *)p, _mm_packs_epi32((__m128i)a, (__m128i)a));
#else
	vsh h = __builtin_convertvector(a, vsh);

	memcpy(p, &h, sizeof(h));
#endif
}

#ifdef VEC_VNNI
typedef int32_t v4i __attribute__((vector_size(16)));

/* Bytes of four vectors whose integers fit: four of a, four of b, of c, of d, four of a... */
INLINE vi v_pack_i8(vi a, vi b, vi c, vi d)
{
#if VW == 16
	return (vi)_mm512_packs_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b),
				      _mm512_packs_epi32((__m512i)c, (__m512i)d));
#else
	return (vi)_mm256_packs_epi16(_mm256_packs_epi32((__m256i)a, (__m256i)b),
				      _mm256_packs_epi32((__m256i)c, (__m256i)d));
#endif
}

/* Lanes 4 i to 4 i + 3. */
#define V_FOUR(a, i) __builtin_shufflevector(a, a, 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3)

/* Four lanes each, the first n of those, step bytes apart. */
INLINE void v_store_fours(int8_t *p, size_t step, vi a, size_t n)
{
#if VW == 16
	v4i four[] = { V_FOUR(a, 0), V_FOUR(a, 1), V_FOUR(a, 2), V_FOUR(a, 3) };
#else
	v4i four[] = { V_FOUR(a, 0), V_FOUR(a, 1) };
#endif

	UNROLL
	for (size_t i = 0; i < VW / 4; i++) {
		if (i < n)
			memcpy(p + i * step, &four[i], sizeof(four[i]));
	}
}

/* Lanes r, r + 4, ..., added up. */
INLINE v4i v_add_fours(vi a)
{
#if VW == 16
	return (V_FOUR(a, 0) + V_FOUR(a, 1)) + (V_FOUR(a, 2) + V_FOUR(a, 3));
#else
	return V_FOUR(a, 0) + V_FOUR(a, 1);
#endif
}

/* Signed to unsigned bytes, by 128. */
INLINE vi v_load_u8(const int8_t *p)
{
	vi a;

	memcpy(&a, p, sizeof(a));
	return a ^ (int32_t)0x80808080;
}

INLINE vi v_set4_i8(const int8_t *p)
{
	int32_t x;

	memcpy(&x, p, sizeof(x));
	return v_set1i(x);
}

/* acc and, in each lane, four products of unsigned by signed bytes. */
INLINE vi v_dot4(vi acc, vi u, vi s)
{
#if VW == 16
	return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)u, (__m512i)s);
#else
	return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)u, (__m256i)s);
#endif
}
#endif

/* Both 32-bit halves of each lane, added up. */
INLINE vl v_pair_sum(vi a)
{
	return (vl)(((vul)a + ((vul)a << 32))) >> 32;
}

INLINE void v_add_i64(int64_t *p, vl a)
{
	vl b;

	memcpy(&b, p, sizeof(b));
	b += a;
	memcpy(p, &b, sizeof(b));
}

/* Two halves, not by way of memory. */
INLINE vf v_join(vfh low, vfh high)
{
#if VW == 16
	return (vf)_mm512_insertf32x8(_mm512_castps256_ps512((__m256)low), (__m256)high, 1);
#elif VW == 8
	return (vf)_mm256_set_m128((__m128)high, (__m128)low);
#else
	return __builtin_shufflevector(low, high, 0, 1, 2, 3);
#endif
}

/* VW integers below 2^51 in magnitude, each rounded once. */
INLINE vf v_from_i64(const int64_t *p)
{
	const int64_t bits = 0x4338000000000000;	/* of 0x1.8p52, which an integer is added to */
	vl low, high;

	memcpy(&low, p, sizeof(low));
	memcpy(&high, p + VW / 2, sizeof(high));
	return v_join(__builtin_convertvector((vd)(low + bits) - 0x1.8p52, vfh),
		      __builtin_convertvector((vd)(high + bits) - 0x1.8p52, vfh));
}

#endif /* DAMF_VEC_H */
