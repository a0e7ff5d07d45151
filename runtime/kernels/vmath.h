/* SPDX-License-Identifier: MIT */
/*
 * exp, GELU and tanh on vectors. Documentation/numerics.rst has the formulas
 * and the errors over all 2^32 arguments. Constants that are not exact are
 * minimax fits, rounded to float.
 */
#ifndef DAMF_VMATH_H
#define DAMF_VMATH_H

#include "vec.h"

#define LOG2_E		0x1.715476p+0f
#define LN2_HI		0x1.62e4p-1f		/* 15 bits: times any exponent exact */
#define LN2_LO		0x1.7f7d1cp-20f
#define ROUND_MAGIC	0x1.8p+23f		/* adding it rounds to an integer */

/* exp is 0 below EXP_LOW, where results would not be normal, and infinite above EXP_HIGH. */
#define EXP_LOW		-0x1.5d589ep+6f		/* -87.33654 */
#define EXP_HIGH	0x1.62e42ep+6f		/* 88.72283 */

/* exp(r), x + lo being n ln 2 + r with |r| at most ln 2 / 2. */
INLINE vf v_exp_fraction(vf x, vf n, vf lo)
{
	vf r = v_fma(n, v_set1(-LN2_LO), v_fma(n, v_set1(-LN2_HI), x)) + lo;
	vf p = v_set1(0x1.6a23e4p-10f);

	p = v_fma(p, r, v_set1(0x1.123a20p-7f));
	p = v_fma(p, r, v_set1(0x1.5558f2p-5f));
	p = v_fma(p, r, v_set1(0x1.555492p-3f));
	p = v_fma(p, r, v_set1(0x1.fffffcp-2f));
	p = v_fma(p, r, v_set1(1.0f));
	return v_fma(p, r, v_set1(1.0f));
}

/*
 * exp(x + lo), x within [EXP_LOW, EXP_HIGH] and lo tiny: 2^n goes into the
 * exponent's bits.
 */
INLINE vf v_exp_core(vf x, vf lo)
{
	vf t = v_fma(x, v_set1(LOG2_E), v_set1(ROUND_MAGIC));
	vf p = v_exp_fraction(x, t - ROUND_MAGIC, lo);

	return (vf)((vu)p + ((vu)t << 23));
}

INLINE vf v_exp(vf x)
{
	vf low = v_set1(EXP_LOW), high = v_set1(EXP_HIGH);
	vf y = v_exp_core(v_min(v_max(x, low), high), v_set1(0.0f));

	y = v_if_less(x, low, v_set1(0.0f), y);
	y = v_if_less(high, x, v_set1(__builtin_inff()), y);
	return v_if_nan(x, x, y);
}

/* The same for x that is not above 0, or not a number. */
INLINE vf v_exp_down(vf x)
{
#if VW == 16
	/* its mask makes 0 of what is low, and not-a-number stays one */
	vf t = v_fma(x, v_set1(LOG2_E), v_set1(ROUND_MAGIC)), n = t - ROUND_MAGIC;

	return (vf)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(EXP_LOW),
							     _CMP_NLT_UQ),
					  (__m512)v_exp_fraction(x, n, v_set1(0.0f)), (__m512)n);
#else
	vi low = x < EXP_LOW;
	vf y = v_exp_core(v_select(low, v_set1(0.0f), x), v_set1(0.0f));

	y = v_select(low, v_set1(0.0f), y);
	return v_select(x == x, y, x);
#endif
}

#define GELU_SMALL	0.75f
/* From here on x Q(x) is below the smallest normal number: 0. */
#define GELU_END	0x1.a4ae0ep+3f		/* 13.146247 */

/* x Phi(x) near 0, where Phi(x) is 1/2 and an odd polynomial. */
INLINE vf v_gelu_small(vf x)
{
	vf z = x * x, p = v_set1(0x1.a95612p-14f);

	p = v_fma(p, z, v_set1(-0x1.352704p-10f));
	p = v_fma(p, z, v_set1(0x1.46bf12p-7f));
	p = v_fma(p, z, v_set1(-0x1.1057fcp-4f));
	p = v_fma(p, z, v_set1(0x1.988452p-2f));
	return x * v_fma(p, x, v_set1(0.5f));
}

/*
 * x Phi(x) = max(x, 0) - t Q(t) with t = |x| and Q(t) = 1 - Phi(t), so that
 * the tail keeps its relative precision. t Q(t) = exp(-t^2 / 2) H(u) with
 * u = (t - 3) / (t + 3); t^2 is taken with its rounding error.
 */
INLINE vf v_gelu(vf x)
{
	vf end = v_set1(GELU_END), a = v_abs(x), t = v_min(a, end);
	vf s = t * t, e = v_exp_core(s * -0.5f, v_fma(t, t, -s) * -0.5f);
	vf u = (t - 3.0f) / (t + 3.0f), h = v_set1(-0x1.1e453ep-11f);

	h = v_fma(h, u, v_set1(-0x1.3a0b66p-15f));
	h = v_fma(h, u, v_set1(0x1.03cee2p-8f));
	h = v_fma(h, u, v_set1(-0x1.c7cf6ap-10f));
	h = v_fma(h, u, v_set1(-0x1.d8ce98p-6f));
	h = v_fma(h, u, v_set1(0x1.764782p-4f));
	h = v_fma(h, u, v_set1(-0x1.1e04b8p-3f));
	h = v_fma(h, u, v_set1(0x1.c20d30p-4f));
	h = v_fma(h, u, v_set1(0x1.754a76p-2f));
	h = v_if_less(a, end, h * e, v_set1(0.0f));
	/* x if it is not a number: 0 is not greater */
	h = v_max(v_set1(0.0f), x) - h;
	return v_if_less(a, v_set1(GELU_SMALL), v_gelu_small(x), h);
}

#define TANH_SMALL	0.625f
#define TANH_END	9.25f			/* beyond, tanh rounds to 1 */

/* An odd polynomial near 0, else 1 - 2 / (exp(2 t) + 1) with t = |x|. */
INLINE vf v_tanh(vf x)
{
	vf a = v_abs(x), t = v_min(a, v_set1(TANH_END));
	vf z = t * t, p = v_set1(-0x1.75e1b4p-8f);
	vf big = 1.0f - 2.0f / (v_exp_core(t + t, v_set1(0.0f)) + 1.0f);

	p = v_fma(p, z, v_set1(0x1.522696p-6f));
	p = v_fma(p, z, v_set1(-0x1.b83c5ap-5f));
	p = v_fma(p, z, v_set1(0x1.11071ap-3f));
	p = v_fma(p, z, v_set1(-0x1.555532p-2f));
	p = v_fma(p * z, t, t);
	p = v_if_less(t, v_set1(TANH_SMALL), p, big);
	p = (vf)((vi)p | ((vi)x & INT32_MIN));
	return v_if_nan(x, x, p);
}

#endif /* DAMF_VMATH_H */
