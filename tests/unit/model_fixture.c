// SPDX-License-Identifier: MIT
#include "model_fixture.h"

#include <endian.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

const char *fix_dir(void)
{
	if (!dir[0]) {
		strcpy(dir, "/tmp/damf-model.XXXXXX");
		assert_non_null(mkdtemp(dir));
	}
	return dir;
}

const char *fix_path(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", fix_dir(), name);
	return path;
}

void fix_write(const char *name, const void *data, size_t len)
{
	const char *path = fix_path(name);
	char parent[512];
	FILE *f;

	if (strchr(name, '/')) {
		snprintf(parent, sizeof(parent), "%s", path);
		*strrchr(parent, '/') = '\0';
		mkdir(parent, 0777);
	}
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

void fix_text(const char *name, const char *text)
{
	fix_write(name, text, strlen(text));
}

void fix_remove(const char *name)
{
	unlink(fix_path(name));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int fix_teardown(void **state)
{
	(void)state;
	if (dir[0])
		nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	dir[0] = '\0';
	return 0;
}

void fix_safetensors(const char *name, const char *header, size_t data_len)
{
	size_t len = strlen(header), i;
	unsigned char *all = malloc(8 + len + data_len);
	uint64_t le = htole64(len);

	assert_non_null(all);
	memcpy(all, &le, 8);
	memcpy(all + 8, header, len);
	for (i = 0; i < data_len; i++)
		all[8 + len + i] = (unsigned char)i;
	fix_write(name, all, 8 + len + data_len);
	free(all);
}

unsigned char *fix_read(const char *name, size_t *len)
{
	FILE *f = fopen(fix_path(name), "rb");
	unsigned char *all;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	*len = (size_t)ftell(f);
	rewind(f);
	all = malloc(*len + 1);
	assert_non_null(all);
	assert_int_equal(fread(all, 1, *len, f), *len);
	fclose(f);
	return all;
}

/* ---- Spoiling files ---------------------------------------------------------------- */

/* What a file's header is, as text, and where its data begin. */
static char *header_of(const unsigned char *all, size_t *data)
{
	uint64_t le;
	char *text;

	memcpy(&le, all, 8);
	*data = 8 + (size_t)le64toh(le);
	text = strndup((const char *)all + 8, *data - 8);
	assert_non_null(text);
	return text;
}

/* text with each from made into to, and with spaces behind, n bytes in all. */
static char *replaced(const char *text, const char *from, const char *to, size_t align, size_t *n)
{
	char *out = malloc(2 * strlen(text) + strlen(to) + 256), *p = out;
	const char *at;
	unsigned int found = 0;

	for (; (at = strstr(text, from)); text = at + strlen(from), found++) {
		memcpy(p, text, (size_t)(at - text));
		p += at - text;
		p = stpcpy(p, to);
	}
	assert_true(found);
	p = stpcpy(p, text);
	while (p > out && p[-1] == ' ')
		p--;
	while ((8 + (size_t)(p - out)) % 64 != align % 64)
		*p++ = ' ';
	*n = (size_t)(p - out);
	return out;
}

void fix_patch_header(const char *name, const char *from, const char *to, size_t align)
{
	size_t len, data, n;
	unsigned char *all = fix_read(name, &len), *made;
	char *text = header_of(all, &data), *header = replaced(text, from, to, align, &n);
	uint64_t le = htole64(n);

	made = malloc(8 + n + len - data);
	assert_non_null(made);
	memcpy(made, &le, 8);
	memcpy(made + 8, header, n);
	memcpy(made + 8 + n, all + data, len - data);
	fix_write(name, made, 8 + n + len - data);
	free(made);
	free(header);
	free(text);
	free(all);
}

void fix_patch_tensor(const char *name, const char *tensor, size_t at, const void *bytes,
		      size_t len)
{
	size_t size, data, begin;
	unsigned char *all = fix_read(name, &size);
	char *text = header_of(all, &data), key[128], *entry;

	snprintf(key, sizeof(key), "\"%s\":{", tensor);
	entry = strstr(text, key);
	assert_non_null(entry);
	entry = strstr(entry, "\"data_offsets\":[");
	assert_non_null(entry);
	assert_int_equal(sscanf(entry, "\"data_offsets\":[%zu", &begin), 1);
	assert_true(data + begin + at + len <= size);
	memcpy(all + data + begin + at, bytes, len);
	fix_write(name, all, size);
	free(text);
	free(all);
}

/* ---- The tiny model -------------------------------------------------------------- */

static uint64_t draw_state;

/* In [-1, 1), a multiple of 1/64 there, so that F16 and BF16 hold it exactly. */
static float draw(void)
{
	draw_state = draw_state * 6364136223846793005ull + 1442695040888963407ull;
	return (float)((int)(draw_state >> 57) - 64) / 64.0f;
}

static void add(struct tiny *t, const char *name, uint32_t rows, uint32_t cols, float base,
		float scale)
{
	struct tiny_tensor *x = &t->tensors[t->n++];
	size_t i, elems = (size_t)rows * (cols ? cols : 1);

	assert_true(t->n <= COUNT(t->tensors));
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->rank = cols ? 2 : 1;
	x->shape[0] = rows;
	x->shape[1] = cols;
	x->data = malloc(elems * sizeof(float));
	assert_non_null(x->data);
	for (i = 0; i < elems; i++)
		x->data[i] = base + scale * draw();
}

static void add_in_layer(struct tiny *t, unsigned int layer, const char *name, uint32_t rows,
			 uint32_t cols, float base, float scale)
{
	char full[96];

	snprintf(full, sizeof(full), "encoder.layer.%u.%s", layer, name);
	add(t, full, rows, cols, base, scale);
}

static void add_layer(struct tiny *t, unsigned int i)
{
	static const char *const dense[] = {
		"attention.self.query", "attention.self.key", "attention.self.value",
		"attention.output.dense", "intermediate.dense", "output.dense",
	};
	static const char *const norms[] = { "attention.output.LayerNorm", "output.LayerNorm" };
	char name[64];
	unsigned int k;

	for (k = 0; k < 6; k++) {
		uint32_t in = k == 5 ? t->inner : t->width, out = k == 4 ? t->inner : t->width;

		snprintf(name, sizeof(name), "%s.weight", dense[k]);
		add_in_layer(t, i, name, out, in, 0, 0.25f);
		snprintf(name, sizeof(name), "%s.bias", dense[k]);
		add_in_layer(t, i, name, out, 0, 0, 0.5f);
	}
	for (k = 0; k < 2; k++) {
		snprintf(name, sizeof(name), "%s.weight", norms[k]);
		add_in_layer(t, i, name, t->width, 0, 1, 0.5f);
		snprintf(name, sizeof(name), "%s.bias", norms[k]);
		add_in_layer(t, i, name, t->width, 0, 0, 0.25f);
	}
}

static void draw_tensors(struct tiny *t, uint32_t labels, uint32_t seed)
{
	unsigned int i;

	draw_state = seed;
	add(t, "embeddings.word_embeddings.weight", TINY_VOCAB, t->width, 0, 1);
	add(t, "embeddings.position_embeddings.weight", t->positions, t->width, 0, 0.5f);
	add(t, "embeddings.token_type_embeddings.weight", t->types, t->width, 0, 0.5f);
	add(t, "embeddings.LayerNorm.weight", t->width, 0, 1, 0.5f);
	add(t, "embeddings.LayerNorm.bias", t->width, 0, 0, 0.25f);
	for (i = 0; i < t->layers; i++)
		add_layer(t, i);
	if (!labels)
		return;
	add(t, "pooler.dense.weight", t->width, t->width, 0, 0.25f);
	add(t, "pooler.dense.bias", t->width, 0, 0, 0.25f);
	add(t, "classifier.weight", labels, t->width, 0, 0.5f);
	add(t, "classifier.bias", labels, 0, 0, 0.5f);
}

void tiny_make(struct tiny *t, uint32_t labels, uint32_t seed)
{
	*t = (struct tiny){ .layers = 2, .width = 48, .heads = 4, .inner = 80, .positions = 40,
			    .types = 2, .labels = labels };
	draw_tensors(t, labels, seed);
}

void tiny_make_width(struct tiny *t, uint32_t width)
{
	*t = (struct tiny){ .layers = 2, .width = width, .heads = 2, .inner = 80, .positions = 40,
			    .types = 2 };
	draw_tensors(t, 0, 1);
}

void tiny_free(struct tiny *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free(t->tensors[i].data);
	t->n = 0;
}

const float *tiny_get(const struct tiny *t, const char *name, unsigned int layer)
{
	char full[96];
	size_t i;

	snprintf(full, sizeof(full), "encoder.layer.%u.%s", layer, name);
	for (i = 0; i < t->n; i++)
		if (!strcmp(t->tensors[i].name, name) || !strcmp(t->tensors[i].name, full))
			return t->tensors[i].data;
	fail_msg("no tensor %s", name);
	return NULL;
}

/* The values are such that rounding is exact. */
static size_t store(enum tiny_type type, float value, unsigned char *dst)
{
	uint32_t bits;
	uint16_t half;

	memcpy(&bits, &value, 4);
	switch (type) {
	case TINY_F32:
		memcpy(dst, &bits, 4);
		return 4;
	case TINY_BF16:
		half = (uint16_t)(bits >> 16);
		break;
	default:
		half = value == 0 ? 0 : (uint16_t)((bits >> 16 & 0x8000) |
						   ((bits >> 23 & 255) - 112) << 10 |
						   (bits >> 13 & 0x3ff));
	}
	memcpy(dst, &half, 2);
	return 2;
}

static void write_file(const struct tiny *t, const char *name, size_t from, size_t to)
{
	static const char *const types[] = { "F32", "F16", "BF16" };
	size_t room = 1 << 20, at = 0, head = 1, i, k;
	char *header = malloc(65536);
	unsigned char *data = malloc(room), *all;
	uint64_t le;

	strcpy(header, "{");
	for (i = from; i < to; i++) {
		const struct tiny_tensor *x = &t->tensors[i];
		size_t begin = at, n = (size_t)x->shape[0] * (x->rank == 2 ? x->shape[1] : 1);
		bool head_part = !strncmp(x->name, "classifier", 10);

		for (k = 0; k < n; k++)
			at += store(t->type, x->data[k], data + at);
		head += (size_t)sprintf(header + head, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[%u",
					i > from ? "," : "", t->prefix && !head_part ? "bert." : "",
					x->name, types[t->type], x->shape[0]);
		if (x->rank == 2)
			head += (size_t)sprintf(header + head, ",%u", x->shape[1]);
		head += (size_t)sprintf(header + head, "],\"data_offsets\":[%zu,%zu]}", begin, at);
	}
	strcpy(header + head++, "}");
	all = malloc(8 + head + at);
	le = htole64(head);
	memcpy(all, &le, 8);
	memcpy(all + 8, header, head);
	memcpy(all + 8 + head, data, at);
	fix_write(name, all, 8 + head + at);
	free(all);
	free(data);
	free(header);
}

static void write_index(const struct tiny *t, size_t half)
{
	char *text = malloc(65536);
	size_t at = (size_t)sprintf(text, "{\"weight_map\":{"), i;

	for (i = 0; i < t->n; i++)
		at += (size_t)sprintf(text + at, "%s\"%s%s\":\"model-%d.safetensors\"",
				      i ? "," : "",
				      t->prefix && strncmp(t->tensors[i].name, "classifier", 10) ?
				      "bert." : "", t->tensors[i].name, i < half ? 1 : 2);
	strcpy(text + at, "}}");
	fix_text("model.safetensors.index.json", text);
	free(text);
}

static void write_vocab(void)
{
	char text[1024];
	size_t at = (size_t)sprintf(text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
	char c;

	for (c = 'a'; c <= 'z'; c++)
		at += (size_t)sprintf(text + at, "%c\n", c);
	for (c = 'a'; c <= 'z'; c++)
		at += (size_t)sprintf(text + at, "##%c\n", c);
	fix_text("vocab.txt", text);
}

void tiny_write(const struct tiny *t)
{
	char text[1024], labels[256] = "";
	size_t at = 0;
	uint32_t i;

	for (i = 0; i < t->labels; i++)
		at += (size_t)sprintf(labels + at, "%s\"%u\":\"label %c\"", i ? "," : "", i,
				      'a' + (int)i);
	snprintf(text, sizeof(text),
		 "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"num_hidden_layers\":%u,"
		 "\"hidden_size\":%u,\"num_attention_heads\":%u,\"intermediate_size\":%u,"
		 "\"vocab_size\":%d,\"max_position_embeddings\":%u,\"type_vocab_size\":%u,"
		 "\"layer_norm_eps\":1e-12%s%s%s}", t->layers, t->width, t->heads, t->inner,
		 TINY_VOCAB, t->positions, t->types, t->labels ? ",\"id2label\":{" : "", labels,
		 t->labels ? "}" : "");
	fix_text("config.json", text);
	write_vocab();
	fix_remove("model.safetensors");
	fix_remove("model.safetensors.index.json");
	if (!t->shards) {
		write_file(t, "model.safetensors", 0, t->n);
		return;
	}
	write_file(t, "model-1.safetensors", 0, t->n / 2);
	write_file(t, "model-2.safetensors", t->n / 2, t->n);
	write_index(t, t->n / 2);
}

struct tiny tiny;

int tiny_setup(void **state)
{
	(void)state;
	tiny_make(&tiny, 0, 1);
	tiny_write(&tiny);
	return 0;
}

int tiny_teardown(void **state)
{
	tiny_free(&tiny);
	return fix_teardown(state);
}
