/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite: lists of layer jobs run on one backend, their
 * outputs compared with the float64 reference, or bit for bit with what
 * another backend gave. Everything is made from fixed seeds by integer
 * arithmetic, so that it is the same on every machine.
 */
#ifndef DAMF_TESTS_CONF_H
#define DAMF_TESTS_CONF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "damf.h"
#include "damf_hw.h"
#include "../reference/ref.h"

/* Fails the case; cmocka's own message would come at the end of all of them. */
#define conf_fail(...) do { printf("# " __VA_ARGS__); putchar('\n'); fail(); } while (0)

/* What numbers look like. */
enum conf_data {
	CONF_RANDOM,		/* about normal, deviation 1 */
	CONF_ZERO,
	CONF_ONES,
	CONF_NEGATIVE,		/* all below zero */
	CONF_HUGE,		/* times 1e8 */
	CONF_TINY,		/* times 1e-8 */
	CONF_MIXED,		/* exponents from -20 to 20 */
	CONF_CANCEL,		/* neighbours nearly cancel */
	CONF_DATA_END,
};
extern const char *const conf_data_names[CONF_DATA_END];

/* A tensor in the client's memory. */
struct conf_tensor {
	void *map;
	uint64_t va, stride;
	uint32_t rows, cols;
	uint16_t type, layout, xtype;
	float *plain;		/* packed weights: [rows][cols] */
	void *typed;		/* the same as numbers of their type, if that isn't f32 */
	float *scales;		/* factors of int8 */
	uint64_t scales_va;
};

/* Folded weights are uniform unless D exceeds this part of its terms: the
 * specification's number (Documentation/numerics.rst). */
#define CONF_FOLD_GUARD	0x1p-20

#define CONF_JOBS	32
#define CONF_PLAIN	64
#define CONF_CANARY	0x7fa5a5a5u	/* a NaN, where nothing has been written */

struct conf {
	const char *backend;		/* "cpu", "sim" or "device" */
	const char *submit;		/* "uring" or "ioctl", on the device */
	unsigned int threads;		/* of the engine, on the CPU and the simulator */
	bool reference;			/* compare with the reference */
	FILE *dump;
	struct golden *golden;		/* bits to be equal to */
	double worst;			/* error as a part of its bound */
	uint64_t hash;

	struct damf_device *dev;
	struct damf_queue *queue;
	struct damf_buffer *data, *local, *lists;
	struct damf_buffer *arena;	/* data or local */
	uint64_t used;
	unsigned int njobs;
	uint64_t seed;
	struct damf_completion done;
	void *plain[CONF_PLAIN];
	unsigned int nplain;
	const char *name;		/* of the case that runs */
	uint16_t type, xtype;		/* of its weights and tables; what meets int8 */
};

/* Opens the backend and makes the buffers; false with a message if it can't. */
bool conf_open(struct conf *c);
void conf_close(struct conf *c);

/* Begins a case: nothing is allocated, no job in the list. */
void conf_begin(struct conf *c, const char *name, bool local);
uint64_t conf_random(struct conf *c);
/* below n */
uint32_t conf_below(struct conf *c, uint32_t n);

/* Memory of the case, and of the test alone; a number of data. */
void *conf_take(struct conf *c, uint64_t size, uint64_t *va);
void *conf_take_plain(struct conf *c, size_t size);
float conf_number(struct conf *c, enum conf_data data, size_t i);

/* f32 rows with a stride of their own; out: filled with the canary. */
struct conf_tensor conf_in(struct conf *c, uint32_t rows, uint32_t cols, enum conf_data data);
struct conf_tensor conf_out(struct conf *c, uint32_t rows, uint32_t cols);
/* PANEL32 weights of deviation 1/sqrt(rows), of the case's type. */
struct conf_tensor conf_weight(struct conf *c, uint32_t rows, uint32_t cols, enum conf_data data);
/* A table of embeddings likewise. */
struct conf_tensor conf_table(struct conf *c, uint32_t rows, uint32_t cols);
/* After a change of plain. */
void conf_repack(const struct conf_tensor *w);
struct conf_tensor conf_i32(struct conf *c, uint32_t rows, const int32_t *values);
struct conf_tensor conf_bytes(struct conf *c, uint32_t rows, uint32_t cols, uint64_t stride);
/* A float of an f32 tensor in rows. */
float *conf_at(const struct conf_tensor *t, uint32_t row, uint32_t col);
uint32_t conf_bits(float f);

struct damf_job *conf_job(struct conf *c, unsigned int opcode);
void conf_slot(struct damf_job *job, unsigned int slot, const struct conf_tensor *t);

/* Submits the list and takes its completion. */
void conf_submit(struct conf *c);
/* The same; it must succeed. Its counters go into the dump. */
void conf_run(struct conf *c);
const struct damf_counters *conf_counters(struct conf *c, unsigned int job);

/* What a tensor holds, as the reference takes it. */
struct ref_mat conf_ref(const struct conf_tensor *t);
/* Judges an output by the reference (want is freed), and by the golden file. */
void conf_check(struct conf *c, const struct conf_tensor *t, struct ref_mat *want);
/* Bytes that must be the same on every backend. */
void conf_record(struct conf *c, const char *what, const void *bytes, size_t size);

/* Reads a dump, or ends the program. Closing returns how many records nothing
 * was compared with. */
struct golden *conf_golden_open(const char *path);
size_t conf_golden_close(struct golden *g);

/* ---- Cases ---- */

struct conf_case {
	char name[120];
	void (*run)(struct conf *c, const struct conf_case *k);
	unsigned int p[8];
	uint16_t type, xtype;	/* of weights and tables: 0 is f32 */
};

/* A table that grows. */
struct conf_suite {
	struct conf_case *cases;
	size_t count, room;
};
struct conf_case *conf_add(struct conf_suite *s, void (*run)(struct conf *, const struct conf_case *),
			   const char *name, ...) __attribute__((format(printf, 3, 4)));

#define CONF_HEADS	16

/* An attention layer: its sizes, which are told, then what is made of them. */
struct conf_layer {
	const struct conf_batch *batch;
	uint32_t width, nheads, nqk, nv, npq;
	enum conf_data data;

	struct conf_tensor x, offsets, heads, wq, bq, wk, bk, wv, bv, wo, bo, wpq, bpq, y;
	struct ref_head ref[CONF_HEADS];
	bool mhsa, pq;
};
/* Tensors, all random, and the table of heads; then the job; then its judgement. */
void conf_layer_make(struct conf *c, struct conf_layer *l, const struct damf_head *heads);
void conf_layer_run(struct conf *c, const struct conf_layer *l);
struct ref_mat conf_layer_want(const struct conf_layer *l);
void conf_layer_counts(struct conf *c, const struct conf_layer *l);
void conf_layer_check(struct conf *c, const struct conf_layer *l);

void conf_add_layers(struct conf_suite *s);
void conf_add_attention(struct conf_suite *s);
void conf_add_heads(struct conf_suite *s);
void conf_add_drawn(struct conf_suite *s);
void conf_add_integers(struct conf_suite *s, unsigned int layers);
/* Sequences that take a while. */
void conf_add_long(struct conf_suite *s);
void conf_add_encoder(struct conf_suite *s);
void conf_add_batch(struct conf_suite *s);
void conf_add_bad(struct conf_suite *s);
/* Those there are by now, with weights of other types. */
void conf_add_types(struct conf_suite *s);

/* Ragged batches. */
struct conf_batch {
	uint32_t seqs, tokens;
	int32_t offsets[10];
};
enum { CONF_BATCHES = 6 };
extern const struct conf_batch conf_batches[CONF_BATCHES];
struct ref_batch conf_ref_batch(const struct conf_batch *b);
struct conf_tensor conf_offsets(struct conf *c, const struct conf_batch *b);

#endif /* DAMF_TESTS_CONF_H */
