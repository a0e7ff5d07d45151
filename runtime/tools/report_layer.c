// SPDX-License-Identifier: MIT
/* One attention layer with random weights, as one job on a device. */
#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "damf_hw.h"
#include "report.h"

#define SPREAD		0.3	/* deviation of p and q: their ranges are as in trained models */
#define BOUND		1e-4f	/* of softfold's error */

const char *const report_modes[REPORT_MODES] = {
	"mhsa", "shift", "fold", "foldshift", "softfold",
};

const char *report_type_name(unsigned int type)
{
	switch (type) {
	case DAMF_TYPE_F32:
		return "f32";
	case DAMF_TYPE_BF16:
		return "bf16";
	case DAMF_TYPE_I8:
		return "int8";
	default:
		return NULL;
	}
}

/* ---- Memory ------------------------------------------------------------------ */

/* First counts, then hands out places of a buffer. */
struct layout {
	char *map;		/* NULL: it counts */
	uint64_t va, used;
	uint64_t seed, parameters;
};

struct place {
	uint64_t va;
	void *map;		/* NULL: it is only counted */
};

static struct place take(struct layout *l, uint64_t bytes)
{
	struct place p = { l->va + l->used, l->map ? l->map + l->used : NULL };

	l->used += (bytes + 63) / 64 * 64;
	return p;
}

static void fill_element(struct layout *l, void *map, size_t i, unsigned int type, float most)
{
	float x = most * cli_random(&l->seed);
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	if (type == DAMF_TYPE_I8)
		((int8_t *)map)[i] = (int8_t)lrintf(x / most * 127.0f);
	else if (type == DAMF_TYPE_BF16)
		((uint16_t *)map)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
	else
		((float *)map)[i] = x;
}

static size_t panel_index(unsigned int type, uint32_t rows, uint32_t k, uint32_t n)
{
	size_t quads = (rows + 3) / 4;

	if (type == DAMF_TYPE_I8)
		return (n / 32 * quads + k / 4) * 128 + n % 32 * 4 + k % 4;
	return ((size_t)n / 32 * rows + k) * 32 + n % 32;
}

static void fill_weight(struct layout *l, void *map, uint32_t rows, uint32_t cols,
			unsigned int type, float most)
{
	for (uint32_t k = 0; k < rows; k++)
		for (uint32_t n = 0; n < cols; n++)
			fill_element(l, map, panel_index(type, rows, k, n), type, most);
}

/* Products of rows of deviation sqrt(1/3) with it have deviation spread. */
static struct damf_tensor weight(struct layout *l, uint32_t rows, uint32_t cols,
				 unsigned int type, double spread)
{
	uint64_t elems = (uint64_t)((cols + 31) / 32 * 32) * ((rows + 3) / 4 * 4);
	uint64_t bytes = type == DAMF_TYPE_I8 ? 1 : type == DAMF_TYPE_BF16 ? 2 : 4;
	struct place at = take(l, elems * bytes);
	struct place scales = take(l, type == DAMF_TYPE_I8 ? cols * sizeof(float) : 0);
	float most = (float)(3.0 * spread / sqrt(rows));
	struct damf_tensor t = {
		.addr = htole64(at.va), .scales = htole64(type == DAMF_TYPE_I8 ? scales.va : 0),
		.rows = htole32(rows), .cols = htole32(cols), .type = htole16((uint16_t)type),
		.layout = htole16(DAMF_LAYOUT_PANEL32),
	};

	l->parameters += (uint64_t)rows * cols;
	if (!l->map)
		return t;
	fill_weight(l, at.map, rows, cols, type, most);
	for (uint32_t i = 0; type == DAMF_TYPE_I8 && i < cols; i++)
		((float *)scales.map)[i] = most / 127.0f;
	return t;
}

static struct damf_tensor rows_of(uint64_t va, uint32_t rows, uint32_t cols, uint32_t stride,
				  unsigned int type)
{
	return (struct damf_tensor){
		.addr = htole64(va), .stride = htole64(stride), .rows = htole32(rows),
		.cols = htole32(cols), .type = htole16((uint16_t)type),
		.layout = htole16(DAMF_LAYOUT_ROWS),
	};
}

/* ---- The job ------------------------------------------------------------------- */

static __le32 bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return htole32(bits);
}

static void fill_head(struct damf_head *head, const struct report_shape *s, uint32_t h)
{
	*head = (struct damf_head){
		.mode = htole16((uint16_t)s->mode), .d_v = htole16((uint16_t)s->head_width),
		.v_col = htole32(h * s->head_width),
	};
	if (s->mode == DAMF_MODE_MHSA) {
		head->d_qk = head->d_v;
		head->qk_col = head->v_col;
		head->scale = bits_of(1.0f / sqrtf((float)s->head_width));
		return;
	}
	head->p_col = htole32(h);
	head->q_col = htole32(s->heads + h);
	head->rank = htole16(1);
	if (s->mode == DAMF_MODE_SOFTFOLD) {
		head->coef[0] = bits_of(BOUND);
		return;
	}
	head->order = htole16(1);
	head->coef[0] = bits_of(1.0f);
	head->coef[1] = bits_of(1.0f);
}

static void put_weights(struct layout *l, const struct report_shape *s, struct damf_job *job)
{
	struct damf_tensor *t = job->tensor;
	uint32_t all = s->heads * s->head_width;

	if (s->mode == DAMF_MODE_MHSA) {
		t[DAMF_T_WQ] = weight(l, s->hidden, all, s->type, 1.0);
		t[DAMF_T_WK] = weight(l, s->hidden, all, s->type, 1.0);
	} else {
		t[DAMF_T_WPQ] = weight(l, s->hidden, 2 * s->heads, s->type, SPREAD);
	}
	t[DAMF_T_WV] = weight(l, s->hidden, all, s->type, 1.0);
	t[DAMF_T_WO] = weight(l, all, s->hidden, s->type, 1.0);
}

static void put_tables(struct layout *l, const struct report_shape *s, struct damf_job *job)
{
	struct place offsets = take(l, 2 * sizeof(int32_t));
	struct place heads = take(l, s->heads * sizeof(struct damf_head));
	struct place x = take(l, 4ull * s->length * s->hidden);
	struct place y = take(l, 4ull * s->length * s->hidden);
	struct damf_tensor *t = job->tensor;

	t[DAMF_T_OFFSETS] = rows_of(offsets.va, 2, 1, 4, DAMF_TYPE_I32);
	t[DAMF_T_HEADS] = rows_of(heads.va, s->heads, sizeof(struct damf_head),
				  sizeof(struct damf_head), DAMF_TYPE_BYTES);
	t[DAMF_T_X] = rows_of(x.va, s->length, s->hidden, 4 * s->hidden, DAMF_TYPE_F32);
	t[DAMF_T_Y] = rows_of(y.va, s->length, s->hidden, 4 * s->hidden, DAMF_TYPE_F32);
	if (!l->map)
		return;
	((uint32_t *)offsets.map)[1] = htole32(s->length);
	for (uint32_t h = 0; h < s->heads; h++)
		fill_head((struct damf_head *)heads.map + h, s, h);
	for (size_t i = 0; i < (size_t)s->length * s->hidden; i++)
		((float *)x.map)[i] = cli_random(&l->seed);
}

/* A list of one job, its counters behind it. */
static void put_job(struct layout *l, const struct report_shape *s, struct damf_list *list,
		    struct damf_counters **counters)
{
	struct place at = take(l, sizeof(struct damf_job));
	struct place counted = take(l, sizeof(**counters));
	struct damf_job job = {
		.opcode = htole16(DAMF_OP_ATTENTION), .version = htole16(DAMF_JOB_VERSION),
		.size = htole32(sizeof(job)),
	};

	list->list = at.va;
	list->counters = counted.va;
	*counters = counted.map;
	if (s->type == DAMF_TYPE_I8)
		job.param[DAMF_P_XTYPE] = htole32(DAMF_TYPE_I8);
	put_tables(l, s, &job);
	put_weights(l, s, &job);
	if (at.map)
		memcpy(at.map, &job, sizeof(job));
}

/* ---- Running it ------------------------------------------------------------------ */

static void fill_result(struct report_result *r, const struct damf_counters *c, double hz)
{
	r->static_macs = le64toh(c->static_macs);
	r->dynamic_macs = le64toh(c->dynamic_macs);
	r->int8_macs = le64toh(c->int8_macs);
	r->shift_adds = le64toh(c->shift_adds);
	r->exps = le64toh(c->exps);
	r->divs = le64toh(c->divs);
	r->read_weights = le64toh(c->read_weights);
	r->read_activations = le64toh(c->read_activations);
	r->read_intermediates = le64toh(c->read_intermediates);
	r->write_activations = le64toh(c->write_activations);
	r->write_intermediates = le64toh(c->write_intermediates);
	r->spills = le64toh(c->spills);
	r->page_walks = le64toh(c->page_walks);
	r->cycles = le64toh(c->cycles);
	r->energy_pj = le64toh(c->energy_pj);
	r->seconds = (double)r->cycles / hz;
}

static int run_list(const struct report_machine *m, const struct damf_list *list,
		    struct damf_buffer *buf)
{
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_error err;
	uint64_t seqno;

	if (damf_buffer_to_device(buf, 0, damf_buffer_size(buf), &err) ||
	    damf_queue_submit(m->queue, list, &seqno, &err) ||
	    damf_queue_wait(m->queue, -1, &done, &err))
		return cli_error(CLI_DEVICE, "%s", err.text);
	if (done.error)
		return cli_error(CLI_DEVICE, "%s: %s", m->info.backend, done.text);
	if (damf_buffer_from_device(buf, 0, damf_buffer_size(buf), &err))
		return cli_error(CLI_DEVICE, "%s", err.text);
	return 0;
}

int report_run(const struct report_machine *m, const struct report_shape *shape,
	       struct report_result *result)
{
	struct damf_list list = { .size = sizeof(list), .count = 1 };
	struct damf_counters *counters = NULL;
	struct layout l = { 0 };
	struct damf_buffer *buf;
	struct damf_error err;
	double start;
	int r;

	*result = (struct report_result){ .shape = *shape };
	if (!(m->info.modes >> shape->mode & 1) || !(m->info.types >> shape->type & 1))
		return 0;
	put_job(&l, shape, &list, &counters);
	if (damf_buffer_create(m->dev, l.used, 0, &buf, &err))
		return cli_error(CLI_DEVICE, "%s", err.text);
	l = (struct layout){ .map = damf_buffer_map(buf), .va = damf_buffer_va(buf) };
	put_job(&l, shape, &list, &counters);
	start = cli_seconds();
	r = run_list(m, &list, buf);
	result->took = cli_seconds() - start;
	result->offered = !r;
	result->parameters = l.parameters;
	if (!r)
		fill_result(result, counters, (double)m->info.clock_hz);
	damf_buffer_free(buf);
	return r;
}

/* Asked for nothing: the accelerator, else its model in this process. */
int report_open(struct report_machine *m, const struct cli_options *o)
{
	struct damf_device_options opt = {
		.size = sizeof(opt), .path = o->submit, .threads = o->threads,
	};
	struct damf_error err;
	int r;

	*m = (struct report_machine){ .info = { .size = sizeof(m->info) } };
	r = damf_device_open(o->backend ? o->backend : "device", &opt, &m->dev, &err);
	if (r && !o->backend)
		r = damf_device_open("sim", &opt, &m->dev, &err);
	if (!r)
		r = damf_device_get_info(m->dev, &m->info, &err);
	if (!r)
		r = damf_queue_create(m->dev, DAMF_PRIORITY_NORMAL, 2, &m->queue, &err);
	return r ? cli_error(CLI_DEVICE, "%s", err.text) : 0;
}

void report_close(struct report_machine *m)
{
	damf_queue_free(m->queue);
	damf_device_close(m->dev);
}
