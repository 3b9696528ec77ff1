/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-5, 6.34,
 * 6.35). */
#include "unit_internal.h"

#include <stdlib.h>

#define OPS_MAX	      128u /* rows with service actions */
#define TIMEOUTS      12u  /* bytes of a timeouts descriptor, all of them unknown */
#define DESCRIPTOR    8u
#define ALL_BYTES_MAX (4 + OPS_MAX * (DESCRIPTOR + TIMEOUTS))

static size_t add_timeouts(uint8_t *d)
{
	memset(d, 0, TIMEOUTS);
	sr_put_be16(d, TIMEOUTS - 2);
	return TIMEOUTS;
}

static size_t add_op(const struct lu_op *op, uint8_t opcode, int action, bool timeouts, uint8_t *d)
{
	memset(d, 0, DESCRIPTOR);
	d[0] = opcode;
	sr_put_be16(d + 2, (uint16_t)(action < 0 ? 0 : action));
	d[5] = (uint8_t)((action >= 0 ? 0x01 : 0) | (timeouts ? 0x02 : 0));
	sr_put_be16(d + 6, op->len);
	return DESCRIPTOR + (timeouts ? add_timeouts(d + DESCRIPTOR) : 0);
}

static void tell_all(struct sr_scsi_cmd *c, bool timeouts, size_t allocated)
{
	uint8_t data[ALL_BYTES_MAX];
	const struct lu_op *op;
	size_t len = 4;

	for (unsigned i = 0; i < 256; i++) {
		bool has_actions = lu_op_row((uint8_t)i)->actions;

		for (unsigned a = 0; a < (has_actions ? 32 : 1); a++) {
			op = lu_op(c->lane->unit, (uint8_t)i, (uint8_t)a);
			if (op)
				len += add_op(op, (uint8_t)i, has_actions ? (int)a : -1, timeouts,
					      data + len);
		}
	}
	sr_put_be32(data, (uint32_t)(len - 4));
	lu_reply(c, data, len, allocated);
}

static void tell_one(struct sr_scsi_cmd *c, const struct lu_op *op, bool timeouts, size_t allocated)
{
	uint8_t data[4 + 16 + TIMEOUTS] = { 0, 0x01 }; /* not supported */
	size_t len = 4;

	if (op) {
		data[1] = (uint8_t)(0x03 | timeouts << 7);
		sr_put_be16(data + 2, op->len);
		memcpy(data + 4, op->usage, op->len);
		len += op->len;
		if (timeouts)
			len += add_timeouts(data + len);
	}
	lu_reply(c, data, len, allocated);
}

void lu_report_opcodes(struct sr_scsi_cmd *c)
{
	uint8_t how = c->cdb[2] & 0x07;
	bool timeouts = c->cdb[2] & 0x80;
	uint16_t action = sr_get_be16(c->cdb + 4);
	size_t allocated = sr_get_be32(c->cdb + 6);
	bool has_actions = lu_op_row(c->cdb[3])->actions;

	if (how == 0)
		tell_all(c, timeouts, allocated);
	else if (how > 3)
		lu_fail_cdb(c, 2, 2);
	else if ((how == 1 && has_actions) || (how == 2 && !has_actions))
		lu_fail_cdb(c, how == 1 ? 3 : 4, LU_NO_BIT);
	else if (action > 31 || (action && !has_actions))
		tell_one(c, NULL, timeouts, allocated);
	else
		tell_one(c, lu_op(c->lane->unit, c->cdb[3], (uint8_t)action), timeouts, allocated);
}

/* What the carrier does: ABORT TASK, ABORT and CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK;
 * QUERY TASK SET, I_T NEXUS RESET. */
void lu_report_task_management(struct sr_scsi_cmd *c)
{
	bool extended = c->cdb[2] & 0x80;
	uint8_t data[16] = { 0xdc, 0x03, 0, extended ? 12 : 0 };

	lu_reply(c, data, extended ? 16 : 4, sr_get_be32(c->cdb + 6));
}
