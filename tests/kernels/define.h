/* SPDX-License-Identifier: MIT */
/*
 * Documentation/numerics.rst in scalar C, one output after another, with the
 * fmaf() of the C library: what the kernels must give to the bit. It shares
 * no code with them.
 */
#ifndef DAMF_TESTS_DEFINE_H
#define DAMF_TESTS_DEFINE_H

#include "damf_kernels.h"

float def_exp(float x);
float def_gelu(float x);
float def_tanh(float x);

void def_embed(const struct damf_embed_args *a);
void def_linear(const struct damf_linear_args *a);
void def_ffn(const struct damf_ffn_args *a);
void def_add_norm(const struct damf_add_norm_args *a);
void def_attention(const struct damf_attention_args *a);
void def_pool(const struct damf_pool_args *a);
void def_normalize(const float *x, size_t width, float eps, float *y);
void def_softmax(const float *x, size_t width, float *y);

/* Parts that both files of it need. */
float def_sum(const float *x, size_t n);
float def_dot(float start, const float *x, struct damf_mat w, size_t rows, size_t col, size_t k0,
	      size_t n);
void def_token_sum(const float *x, size_t ldx, size_t len, const float *coef, size_t width,
		   float *y);

#endif /* DAMF_TESTS_DEFINE_H */
