// SPDX-License-Identifier: MIT
/* Names for messages. */
#include <stdio.h>

#include "work.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const status_names[] = {
	[DAMF_ST_OK] = "OK",
	[DAMF_ST_BAD_OPCODE] = "BAD_OPCODE",
	[DAMF_ST_BAD_VERSION] = "BAD_VERSION",
	[DAMF_ST_BAD_FIELD] = "BAD_FIELD",
	[DAMF_ST_BAD_LIMIT] = "BAD_LIMIT",
	[DAMF_ST_BAD_DATA] = "BAD_DATA",
	[DAMF_ST_OVERLAP] = "OVERLAP",
	[DAMF_ST_BAD_CONTEXT] = "BAD_CONTEXT",
	[DAMF_ST_BAD_QUEUE] = "BAD_QUEUE",
	[DAMF_ST_PAGE_FAULT] = "PAGE_FAULT",
	[DAMF_ST_CTX_STOPPED] = "CTX_STOPPED",
	[DAMF_ST_ABORTED] = "ABORTED",
	[DAMF_ST_DMA_ERROR] = "DMA_ERROR",
	[DAMF_ST_MEM_ERROR] = "MEM_ERROR",
	[DAMF_ST_NO_RESOURCES] = "NO_RESOURCES",
	[DAMF_ST_BUSY] = "BUSY",
	[DAMF_ST_INTERNAL] = "INTERNAL",
};

static const char *const param_names[] = {
	[DAMF_P_EPS] = "EPS",
	[DAMF_P_ACT] = "ACT",
	[DAMF_P_POOL] = "POOL",
	[DAMF_P_PATTERN] = "PATTERN",
	[DAMF_P_XTYPE] = "XTYPE",
};

struct member {
	unsigned int offset, elem;	/* of the first, and from one to the next */
	const char *name;
	unsigned int count;		/* 0: not an array */
};

#define MEMBER(type, m) { offsetof(struct type, m), 0, #m, 0 }
#define ARRAY(type, m, n) { offsetof(struct type, m), 4, #m, n }

static const struct member job_members[] = {
	MEMBER(damf_job, opcode), MEMBER(damf_job, version), MEMBER(damf_job, size),
	MEMBER(damf_job, flags), MEMBER(damf_job, reserved),
};

static const struct member tensor_members[] = {
	MEMBER(damf_tensor, addr), MEMBER(damf_tensor, scales), MEMBER(damf_tensor, stride),
	MEMBER(damf_tensor, rows), MEMBER(damf_tensor, cols), MEMBER(damf_tensor, type),
	MEMBER(damf_tensor, layout), MEMBER(damf_tensor, reserved0),
	MEMBER(damf_tensor, reserved1),
};

static const struct member head_members[] = {
	MEMBER(damf_head, mode), MEMBER(damf_head, flags), MEMBER(damf_head, d_qk),
	MEMBER(damf_head, d_v), MEMBER(damf_head, qk_col), MEMBER(damf_head, v_col),
	MEMBER(damf_head, p_col), MEMBER(damf_head, q_col), MEMBER(damf_head, rank),
	MEMBER(damf_head, order), MEMBER(damf_head, scale), ARRAY(damf_head, coef, 5),
	ARRAY(damf_head, sink, 2), ARRAY(damf_head, band, 2 * DAMF_BAND_RADIUS + 1),
	ARRAY(damf_head, reserved, 2),
};

const char *damf_status_name(unsigned int status)
{
	return status < COUNT(status_names) ? status_names[status] : "unknown status";
}

const char *damf_opcode_name(unsigned int opcode)
{
	const struct damf_op_rule *op = damf_op_rule(opcode);

	return op ? op->name : "unknown opcode";
}

/* The member that holds the byte at @offset; the last that begins before it. */
static void member_name(const struct member *m, size_t n, unsigned int offset, char *buf,
			size_t len)
{
	while (n > 1 && m[n - 1].offset > offset)
		n--;
	m += n - 1;
	if (m->count)
		snprintf(buf, len, "%s[%u]", m->name, (offset - m->offset) / m->elem);
	else
		snprintf(buf, len, "%s", m->name);
}

static void tensor_name(unsigned int opcode, unsigned int offset, char *buf, size_t len)
{
	const struct damf_op_rule *op = damf_op_rule(opcode);
	const struct damf_slot_rule *rule = op ? op->slots : NULL;
	unsigned int slot = offset / sizeof(struct damf_tensor);
	char member[32];

	member_name(tensor_members, COUNT(tensor_members), offset % sizeof(struct damf_tensor),
		    member, sizeof(member));
	while (rule && rule->name && rule->slot != slot)
		rule++;
	if (rule && rule->name)
		snprintf(buf, len, "tensor[%s].%s", rule->name, member);
	else
		snprintf(buf, len, "tensor[%u].%s", slot, member);
}

const char *damf_job_field_name(unsigned int opcode, unsigned int offset, char *buf, size_t len)
{
	unsigned int n, param = offsetof(struct damf_job, param);
	char member[32];

	if (offset >= sizeof(struct damf_job)) {
		offset -= sizeof(struct damf_job);
		member_name(head_members, COUNT(head_members), offset % sizeof(struct damf_head),
			    member, sizeof(member));
		snprintf(buf, len, "heads[%zu].%s", offset / sizeof(struct damf_head), member);
	} else if (offset >= offsetof(struct damf_job, tensor)) {
		tensor_name(opcode, offset - offsetof(struct damf_job, tensor), buf, len);
	} else if (offset >= param) {
		n = (offset - param) / 4;
		if (n < COUNT(param_names))
			snprintf(buf, len, "param[%s]", param_names[n]);
		else
			snprintf(buf, len, "param[%u]", n);
	} else {
		member_name(job_members, COUNT(job_members), offset, buf, len);
	}
	return buf;
}
