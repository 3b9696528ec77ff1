/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All commands there are: one row for each, by operation code, and by service action where the
 * code alone does not say it. What is checked for every command is checked here, before its
 * handler: that it exists, its control byte, attentions, reservations, a stopped unit.
 * REPORT SUPPORTED OPERATION CODES tells the same table.
 */
#include "unit_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LBA4   0xff, 0xff, 0xff, 0xff
#define LBA8   LBA4, LBA4
#define PR_IN  0, 0, 0, 0, 0, 0xff, 0xff, NACA
#define PR_OUT 0xff, 0, 0, LBA4, NACA
#define NACA   0x04 /* of the control byte: looked at, and refused */

/* By service action. */
static const struct lu_op pr_in[32] = {
	[0x00] = { "READ KEYS", 10, LU_PERSISTENT, 0, lu_pr_read_keys, { 0x5e, 0x00, PR_IN } },
	[0x01] = { "READ RESERVATION",
		   10,
		   LU_PERSISTENT,
		   0,
		   lu_pr_read_reservation,
		   { 0x5e, 0x01, PR_IN } },
	[0x02] = { "REPORT CAPABILITIES",
		   10,
		   LU_PERSISTENT,
		   0,
		   lu_pr_report_capabilities,
		   { 0x5e, 0x02, PR_IN } },
	[0x03] = { "READ FULL STATUS",
		   10,
		   LU_PERSISTENT,
		   0,
		   lu_pr_read_full_status,
		   { 0x5e, 0x03, PR_IN } },
};

static const struct lu_op pr_out[32] = {
	[0x00] = { "REGISTER", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x00, PR_OUT } },
	[0x01] = { "RESERVE", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x01, PR_OUT } },
	[0x02] = { "RELEASE", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x02, PR_OUT } },
	[0x03] = { "CLEAR", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x03, PR_OUT } },
	[0x04] = { "PREEMPT", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x04, PR_OUT } },
	[0x05] = { "PREEMPT AND ABORT", 10, LU_PERSISTENT, 0, lu_pr_out, { 0x5f, 0x05, PR_OUT } },
	[0x06] = { "REGISTER AND IGNORE EXISTING KEY",
		   10,
		   LU_PERSISTENT,
		   0,
		   lu_pr_out,
		   { 0x5f, 0x06, PR_OUT } },
};

static const struct lu_op service_in_16[32] = {
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
};

static const struct lu_op maintenance_in[32] = {
	[0x0c] = { "REPORT SUPPORTED OPERATION CODES",
		   12,
		   LU_WRITES,
		   0,
		   lu_report_opcodes,
		   { 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, LBA4, 0, NACA } },
	[0x0d] = { "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
		   12,
		   LU_WRITES,
		   0,
		   lu_report_task_management,
		   { 0xa3, 0x0d, 0x80, 0, 0, 0, LBA4, 0, NACA } },
};

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
	[0x15] = { "MODE SELECT(6)",
		   6,
		   LU_WRITES,
		   0,
		   lu_mode_select,
		   { 0x15, 0x11, 0, 0, 0xff, NACA } },
	[0x16] = { "RESERVE(6)", 6, LU_CLASSIC, 0, lu_reserve, { 0x16, 0x1f, 0, 0, 0, NACA } },
	[0x17] = { "RELEASE(6)", 6, LU_CLASSIC, 0, lu_release, { 0x17, 0x1f, 0, 0, 0, NACA } },
	[0x1a] = { "MODE SENSE(6)",
		   6,
		   LU_WRITES,
		   0,
		   lu_mode_sense,
		   { 0x1a, 0x08, 0xff, 0xff, 0xff, NACA } },
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
	[0x2e] = { "WRITE AND VERIFY(10)",
		   10,
		   LU_WRITES,
		   LU_READY,
		   lu_write_and_verify,
		   { 0x2e, 0xf6, LBA4, 0, 0xff, 0xff, NACA } },
	[0x2f] = { "VERIFY(10)",
		   10,
		   LU_READS,
		   LU_READY,
		   lu_verify,
		   { 0x2f, 0xf6, LBA4, 0, 0xff, 0xff, NACA } },
	[0x35] = { "SYNCHRONIZE CACHE(10)",
		   10,
		   LU_WRITES,
		   LU_READY,
		   lu_synchronize_cache,
		   { 0x35, 0x02, LBA4, 0, 0xff, 0xff, NACA } },
	[0x41] = { "WRITE SAME(10)",
		   10,
		   LU_WRITES,
		   LU_READY,
		   lu_write_same,
		   { 0x41, 0xff, LBA4, 0, 0xff, 0xff, NACA } },
	[0x42] = { "UNMAP",
		   10,
		   LU_WRITES,
		   LU_READY | LU_THIN,
		   lu_unmap,
		   { 0x42, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, NACA } },
	[0x55] = { "MODE SELECT(10)",
		   10,
		   LU_WRITES,
		   0,
		   lu_mode_select,
		   { 0x55, 0x13, 0, 0, 0, 0, 0, 0xff, 0xff, NACA } },
	[0x56] = { "RESERVE(10)",
		   10,
		   LU_CLASSIC,
		   0,
		   lu_reserve,
		   { 0x56, 0x1f, 0, 0, 0, 0, 0, 0, 0, NACA } },
	[0x57] = { "RELEASE(10)",
		   10,
		   LU_CLASSIC,
		   0,
		   lu_release,
		   { 0x57, 0x1f, 0, 0, 0, 0, 0, 0, 0, NACA } },
	[0x5a] = { "MODE SENSE(10)",
		   10,
		   LU_WRITES,
		   0,
		   lu_mode_sense,
		   { 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, NACA } },
	[0x5e] = { .actions = pr_in },
	[0x5f] = { .actions = pr_out },
	[0x88] = { "READ(16)",
		   16,
		   LU_READS,
		   LU_READY,
		   lu_read,
		   { 0x88, 0xf8, LBA8, LBA4, 0, NACA } },
	[0x89] = { "COMPARE AND WRITE",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_compare_and_write,
		   { 0x89, 0xf8, LBA8, 0, 0, 0, 0xff, 0, NACA } },
	[0x8a] = { "WRITE(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_write,
		   { 0x8a, 0xf8, LBA8, LBA4, 0, NACA } },
	[0x8e] = { "WRITE AND VERIFY(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_write_and_verify,
		   { 0x8e, 0xf6, LBA8, LBA4, 0, NACA } },
	[0x8f] = { "VERIFY(16)",
		   16,
		   LU_READS,
		   LU_READY,
		   lu_verify,
		   { 0x8f, 0xf6, LBA8, LBA4, 0, NACA } },
	[0x91] = { "SYNCHRONIZE CACHE(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_synchronize_cache,
		   { 0x91, 0x02, LBA8, LBA4, 0, NACA } },
	[0x93] = { "WRITE SAME(16)",
		   16,
		   LU_WRITES,
		   LU_READY,
		   lu_write_same,
		   { 0x93, 0xff, LBA8, LBA4, 0, NACA } },
	[0x9e] = { .actions = service_in_16 },
	[0xa0] = { "REPORT LUNS",
		   12,
		   LU_NEVER,
		   LU_ALWAYS | LU_HARMLESS,
		   lu_report_luns,
		   { 0xa0, 0, 0xff, 0, 0, 0, LBA4, 0, NACA } },
	[0xa3] = { .actions = maintenance_in },
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
	[0xae] = { "WRITE AND VERIFY(12)",
		   12,
		   LU_WRITES,
		   LU_READY,
		   lu_write_and_verify,
		   { 0xae, 0xf6, LBA4, LBA4, 0, NACA } },
	[0xaf] = { "VERIFY(12)",
		   12,
		   LU_READS,
		   LU_READY,
		   lu_verify,
		   { 0xaf, 0xf6, LBA4, LBA4, 0, NACA } },
};

const struct lu_op *lu_op_row(uint8_t opcode)
{
	return &ops[opcode];
}

const struct lu_op *lu_op(const struct sr_scsi_unit *u, uint8_t opcode, uint8_t action)
{
	const struct lu_op *op = &ops[opcode];

	if (op->actions)
		op = &op->actions[action & 0x1f];
	return op->len && (u->thin || !(op->flags & LU_THIN)) ? op : NULL;
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
	const struct lu_op *op = lu_op(c->lane->unit, c->cdb[0], c->cdb[1]);

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
	struct sr_scsi_lane *l = c->lane;
	bool full = l->work_bytes + size > LU_WORK_BYTES;

	if (!full)
		c->work = calloc(1, size);
	if (!c->work) {
		lu_status(c, full ? SR_SCSI_TASK_SET_FULL : SR_SCSI_BUSY);
		return false;
	}
	c->work_bytes = size;
	l->work_bytes += size;
	return true;
}
