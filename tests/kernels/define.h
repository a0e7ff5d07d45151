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

/* The terms of a head in a sequence: [n][len] coefficients of tokens and of queries. */
struct def_terms {
	size_t n, len;
	float *c, *mu, *tau;
};
struct def_terms def_terms_new(size_t n, size_t len);
void def_terms_free(struct def_terms *t);
/* p and q are [rank][len], and are changed; of softfold p has its scale. */
struct def_terms def_fold(const struct damf_k_head *h, float *p, float *q, size_t len);
struct def_terms def_softfold(const float *p, const float *q, size_t len, float bound);
/* How many nodes softfold needs; 0: none will do, the head is direct. */
size_t def_nodes(const float *p, const float *q, size_t len, float bound);
/* Columns [col, col + cols) of x W + b of the tokens of one sequence, [len][cols]. */
float *def_project(const struct damf_attention_args *a, const float *x, size_t len,
		   struct damf_mat w, const float *b, size_t col, size_t cols);
/* softmax(scale Q K^T) V into o, [len][d_v]. */
void def_exact(const float *q, const float *k, size_t d_qk, float scale, const float *v,
	       size_t d_v, size_t len, float *o);
/* Adds to o, [len][d_v]. */
void def_band(const struct damf_k_head *h, const float *v, size_t len, float *o);
/* What tokens a sink takes of, and any term by W_V, by W_O, and into the output; mu NULL: 1. */
void def_sink(const float sink[2], const float *first, const float *last, size_t width,
	      float *sum);
void def_vector_v(const struct damf_attention_args *a, const struct damf_k_head *h,
		  const float *sum, float tau, float *s);
void def_vector_o(const struct damf_attention_args *a, const struct damf_k_head *h,
		  const float *s, float *z);
void def_mix(const float *mu, const float *z, size_t len, size_t out, float *y, size_t ldy);
/* p of a softfold head, with its scale, or q, [len]. */
float *def_soft_p(const struct damf_attention_args *a, const struct damf_k_head *h, const float *x,
		  size_t len);
float *def_soft_q(const struct damf_attention_args *a, const struct damf_k_head *h, const float *x,
		  size_t len);

/* Output of a shift head, [len][d_v], as v is. */
float *def_shift_values(const struct damf_attention_args *a, const struct damf_k_head *h,
			const float *x, size_t len, const float *v);
/* Adds all foldshift heads to y. */
void def_foldshift_heads(const struct damf_attention_args *a, const float *x, size_t len, float *y);

/* Parts that several files of it need. */
float *def_new(size_t n);	/* zeros */
float def_sum(const float *x, size_t n);
float def_quantise(const float *x, size_t n, float top, int32_t *q);
/* dot or qdot, as the type of w is; the row that becomes integers is x. */
float def_dot(float start, const float *x, struct damf_mat w, size_t rows, size_t col, size_t k0,
	      size_t n);
void def_token_sum(const float *x, size_t ldx, size_t len, const float *coef, size_t width,
		   float *y);

#endif /* DAMF_TESTS_DEFINE_H */
