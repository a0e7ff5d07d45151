// SPDX-License-Identifier: MIT
/* The line that tells why a list failed: which job and field, what is wrong. */
#include <endian.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "damf_core.h"
#include "damf_hw.h"

static const char *status_meaning(unsigned int status)
{
	static const char *const meaning[] = {
		[DAMF_ST_OK] = "ended early",
		[DAMF_ST_BAD_OPCODE] = "the opcode is not one that this device offers",
		[DAMF_ST_BAD_VERSION] = "the job's version or size is not one that this device knows",
		[DAMF_ST_BAD_FIELD] = "the value is not allowed",
		[DAMF_ST_BAD_LIMIT] = "the value is beyond a limit of this device",
		[DAMF_ST_BAD_DATA] = "an id, an offset or a head in the table is not valid",
		[DAMF_ST_OVERLAP] = "the output overlaps an input",
		[DAMF_ST_BAD_CONTEXT] = "the list's context is not the queue's",
		[DAMF_ST_BAD_QUEUE] = "no such queue",
		[DAMF_ST_PAGE_FAULT] = "page fault",
		[DAMF_ST_CTX_STOPPED] = "not run, an earlier list of this client faulted",
		[DAMF_ST_ABORTED] = "cancelled before its end",
		[DAMF_ST_DMA_ERROR] = "the bus refused an access",
		[DAMF_ST_MEM_ERROR] = "uncorrectable error in local memory",
		[DAMF_ST_NO_RESOURCES] = "the device ran out of working memory",
		[DAMF_ST_BUSY] = "the object is in use",
		[DAMF_ST_INTERNAL] = "internal error of the device",
	};

	if (status >= sizeof(meaning) / sizeof(meaning[0]) || !meaning[status])
		return "unknown status";
	return meaning[status];
}

static bool names_field(unsigned int status)
{
	return status >= DAMF_ST_BAD_OPCODE && status <= DAMF_ST_OVERLAP;
}

/* The opcode of job index of a list, or -1 if its buffer has gone. */
static int job_opcode(struct damf_device *dev, const struct damf_list *list, uint32_t index)
{
	uint64_t at = list->list + (uint64_t)index * sizeof(struct damf_job);
	const struct damf_buffer *buf;
	int opcode = -1;
	__le16 raw;

	if (index >= list->count || at < list->list)
		return -1;
	pthread_mutex_lock(&dev->lock);
	for (buf = dev->buffers; buf; buf = buf->next) {
		if (!buf->map || at < buf->va || at - buf->va >= buf->size)
			continue;
		memcpy(&raw, (const char *)buf->map + (at - buf->va), sizeof(raw));
		opcode = le16toh(raw);
		break;
	}
	pthread_mutex_unlock(&dev->lock);
	return opcode;
}

static void job_text(struct damf_device *dev, const struct damf_list *list,
		     struct damf_completion *done)
{
	int opcode = job_opcode(dev, list, done->index);
	char field[64] = "", name[48], fault[32] = "", job[24] = "";

	if (opcode >= 0)
		snprintf(job, sizeof(job), " (%s)", damf_opcode_name((unsigned int)opcode));
	if (names_field(done->status) && opcode >= 0)
		snprintf(field, sizeof(field), ", field %s",
			 damf_job_field_name((unsigned int)opcode, done->field, name,
					     sizeof(name)));
	if (done->fault_addr)
		snprintf(fault, sizeof(fault), " at address 0x%" PRIx64, done->fault_addr);
	snprintf(done->text, sizeof(done->text), "job %u%s%s: %s%s", done->index, job, field,
		 status_meaning(done->status), fault);
}

/* The list as a whole was refused: field is one of its ring entry. */
static void entry_text(struct damf_completion *done)
{
	static const struct {
		size_t offset;
		const char *name;
	} names[] = {
		{ offsetof(struct damf_sqe, opcode), "opcode" },
		{ offsetof(struct damf_sqe, flags), "flags" },
		{ offsetof(struct damf_sqe, context), "context" },
		{ offsetof(struct damf_sqe, count), "count" },
		{ offsetof(struct damf_sqe, first), "first" },
		{ offsetof(struct damf_sqe, list), "list" },
		{ offsetof(struct damf_sqe, counters), "counters" },
	};
	const char *name = "";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].offset == done->field && names_field(done->status))
			name = names[i].name;
	snprintf(done->text, sizeof(done->text), "the list%s%s: %s", *name ? ", field " : "", name,
		 status_meaning(done->status));
}

void damf_completion_text(struct damf_device *dev, const struct damf_list *list,
			  struct damf_completion *done)
{
	done->text[0] = '\0';
	if (!done->error)
		return;
	if (done->error == -ENODEV)
		snprintf(done->text, sizeof(done->text),
			 "the device was lost before the list ended");
	else if (done->error == -ETIME || done->error == -ETIMEDOUT)
		snprintf(done->text, sizeof(done->text),
			 "job %u: the list ran out of time and was stopped", done->index);
	else if (done->status == DAMF_ST_OK)
		snprintf(done->text, sizeof(done->text), "the list was not run: %s",
			 strerror(-done->error));
	else if (done->index == DAMF_INDEX_NONE)
		entry_text(done);
	else
		job_text(dev, list, done);
}
