/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All commands there are: one row for each, by operation code, and by service action where the
 * code alone does not say it. What is checked for every command is checked here, before its
 * handler: that it exists, its control byte, attentions, reservations, a stopped unit.
 * REPORT SUPPORTED OPERATION CODES tells the same table.
 */
#include "unit_internal.h"

#include <stdlib.h>

#define LBA4 0xff, 0xff, 0xff, 0xff
#define LBA8 LBA4, LBA4
#define NACA 0x04 /* of the control byte: looked at, and refused */

static const struct lu_op ops[256] = {
	[0x00] = { "TEST UNIT READY",
		   6,
		   LU_NEVER,
		   LU_READY,
		   lu_test_unit_ready,
		   { 0x00, 0, 0, 0, 0, NACA } },
	[0x03] = { "REQUEST SENSE",
		   6,
		   LU_NEVER,
		   LU_ALWAYS | LU_HARMLESS,
		   lu_request_sense,
		   { 0x03, 0x01, 0, 0, 0xff, NACA } },
	[0x08] = { "READ(6)",
		   6,
		   LU_READS,
		   LU_READY,
		   lu_read,
		   { 0x08, 0x1f, 0xff, 0xff, 0xff, NACA } },
	[0x0a] = { "WRITE(6)",
		   6,
		   LU_WRITES,
		   LU_READY,
		   lu_write,
		   { 0x0a, 0x1f, 0xff, 0xff, 0xff, NACA } },
	[0x12] = { "INQUIRY",
		   6,
		   LU_NEVER,
		   LU_ALWAYS | LU_HARMLESS,
		   lu_inquiry,
		   { 0x12, 0x03, 0xff, 0xff, 0xff, NACA } },
	[0x1b] = { "START STOP UNIT",
		   6,
		   LU_WRITES,
		   0,
		   lu_start_stop,
		   { 0x1b, 0, 0, 0, 0xf7, NACA } },
	[0x1e] = { "PREVENT ALLOW MEDIUM REMOVAL",
		   6,
		   LU_WRITES,
		   0,
		   lu_prevent_allow,
		   { 0x1e, 0, 0, 0, 0x03, NACA } },
	[0x25] = { "READ CAPACITY(10)",
		   10,
		   LU_NEVER,
		   LU_READY,
		   lu_read_capacity_10,
		   { 0x25, 0, LBA4, 0, 0, 0x01, NACA } },
	[0x28] = { "READ(10)",
		   10,
		   LU_READS,
		   LU_READY,
		   lu_read,
		   { 0x28, 0xf8, LBA4, 0, 0xff, 0xff, NACA } },
	[0x2a] = { "WRITE(10)",
		   10,
		   LU_WRITES,
		   LU_READY,
		   lu_write,
		   { 0x2a, 0xf8, LBA4, 0, 0xff, 0xff, NACA } },
	[0x35] = { "SYNCHRONIZE CACHE(10)",
		   10,
		   LU_WRITES,
		   LU_READY,
		   lu_synchronize_cache,
		   { 0x35, 0x02, LBA4, 0, 0xff, 0xff, NACA } },
	[0x88] = { "READ(16)",
		   16,
		   LU_READS,
		   LU_READY,
		   lu_read,
		   { 0x88, 0xf8, LBA8, LBA4, 0, NACA } },
	[0x8a] = { "WRITE(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_write,
		   { 0x8a, 0xf8, LBA8, LBA4, 0, NACA } },
	[0x91] = { "SYNCHRONIZE CACHE(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_synchronize_cache,
		   { 0x91, 0x02, LBA8, LBA4, 0, NACA } },
	[0xa0] = { "REPORT LUNS",
		   12,
		   LU_NEVER,
		   LU_ALWAYS | LU_HARMLESS,
		   lu_report_luns,
		   { 0xa0, 0, 0xff, 0, 0, 0, LBA4, 0, NACA } },
	[0xa8] = { "READ(12)",
		   12,
		   LU_READS,
		   LU_READY,
		   lu_read,
		   { 0xa8, 0xf8, LBA4, LBA4, 0, NACA } },
	[0xaa] = { "WRITE(12)",
		   12,
		   LU_WRITES,
		   LU_READY,
		   lu_write,
		   { 0xaa, 0xf8, LBA4, LBA4, 0, NACA } },
	[0x9e] = { .actions =
			   (const struct lu_op[32]){
				   [0x10] = { "READ CAPACITY(16)",
					      16,
					      LU_NEVER,
					      LU_READY,
					      lu_read_capacity_16,
					      { 0x9e, 0x10, LBA8, LBA4, 0x01, NACA } },
				   [0x12] = { "GET LBA STATUS(16)",
					      16,
					      LU_READS,
					      LU_READY,
					      lu_get_lba_status,
					      { 0x9e, 0x12, LBA8, LBA4, 0, NACA } },
			   } },
};

const struct lu_op *lu_op_row(uint8_t opcode)
{
	return &ops[opcode];
}

const struct lu_op *lu_op(uint8_t opcode, uint8_t action)
{
	const struct lu_op *op = &ops[opcode];

	if (op->actions)
		op = &op->actions[action & 0x1f];
	return op->len ? op : NULL;
}

/* The control byte is the last one of the CDB. */
static bool wants_aca(const struct sr_scsi_cmd *c, const struct lu_op *op)
{
	return c->cdb[op->len - 1] & 0x04;
}

/* With the lock held. 0 = it may go on, as far as that goes. */
static enum lu_asc not_now(struct sr_scsi_cmd *c, const struct lu_op *op, enum lu_key *key)
{
	struct sr_scsi_unit *u = c->lane->unit;
	struct lu_initiator *i = lu_initiator(u, c->nexus);
	enum lu_asc asc = LU_ASC_NONE;

	*key = LU_UNIT_ATTENTION;
	if (i && !(op && op->flags & LU_ALWAYS))
		asc = lu_attention_take(i);
	if (!asc && op && lu_conflicts(u, c, op)) {
		c->status = SR_SCSI_RESERVATION_CONFLICT;
	} else if (!asc && op && op->flags & LU_READY && lu_word(u) & LU_STOPPED) {
		*key = LU_NOT_READY;
		asc = LU_ASC_STOPPED;
	}
	return asc;
}

static bool may_go_on(struct sr_scsi_cmd *c, const struct lu_op *op)
{
	struct sr_scsi_unit *u = c->lane->unit;
	enum lu_asc asc;
	enum lu_key key;

	pthread_mutex_lock(&u->lock);
	asc = not_now(c, op, &key);
	pthread_mutex_unlock(&u->lock);
	if (asc)
		lu_fail(c, key, asc);
	else if (c->status)
		lu_status(c, c->status);
	return !asc && !c->status;
}

static bool is_plain(const struct sr_scsi_cmd *c)
{
	uint32_t word = lu_word(c->lane->unit);

	return !(word & (LU_RESERVED | LU_STOPPED)) &&
	       (!(word & LU_ATTENTION) ||
		!atomic_load_explicit(&c->nexus->pending, memory_order_relaxed));
}

void lu_run(struct sr_scsi_cmd *c)
{
	const struct lu_op *op = lu_op(c->cdb[0], c->cdb[1]);

	if (SR_UNLIKELY(!is_plain(c)) && !may_go_on(c, op))
		return;
	if (SR_LIKELY(op && !wants_aca(c, op)))
		op->run(c);
	else if (op)
		lu_fail_cdb(c, op->len - 1u, 2);
	else if (ops[c->cdb[0]].actions)
		lu_fail_cdb(c, 1, 4);
	else
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_OPCODE);
}

bool lu_list(struct sr_scsi_cmd *c, void *to, size_t len)
{
	if (len <= c->out_len && sr_iov_read(c->out, c->nout, 0, to, len) == len)
		return true;
	lu_fail_overrun(c);
	return false;
}

bool lu_work(struct sr_scsi_cmd *c, size_t size)
{
	c->work = calloc(1, size);
	if (c->work)
		return true;
	lu_status(c, SR_SCSI_BUSY);
	return false;
}
