/* SPDX-License-Identifier: BSD-3-Clause */
/* How a command ends: with data, or with sense data (SPC-5, 4.4) of the format that D_SENSE of
 * the control mode page asks for. */
#include "unit_internal.h"

#include <errno.h>

static uint8_t fill_fixed(const struct lu_sense *s, uint8_t *to)
{
	to[0] = 0x70;
	to[2] = s->key;
	/* Four bytes hold no larger number: then it is not there at all. */
	if (s->has_info && s->info <= UINT32_MAX) {
		to[0] |= 0x80;
		sr_put_be32(to + 3, (uint32_t)s->info);
	}
	to[7] = 10;
	sr_put_be16(to + 12, s->asc);
	memcpy(to + 15, s->sks, 3);
	return 18;
}

static uint8_t fill_descriptors(const struct lu_sense *s, uint8_t *to)
{
	uint8_t at = 8;

	to[0] = 0x72;
	to[1] = s->key;
	sr_put_be16(to + 2, s->asc);
	if (s->has_info) {
		to[at + 1] = 10;
		to[at + 2] = 0x80;
		lu_put_be64(to + at + 4, s->info);
		at += 12;
	}
	if (s->sks[0]) {
		to[at] = 2;
		to[at + 1] = 6;
		memcpy(to + at + 4, s->sks, 3);
		at += 8;
	}
	to[7] = at - 8;
	return at;
}

uint8_t lu_sense_fill(const struct lu_sense *s, bool descriptors, uint8_t *to)
{
	memset(to, 0, SR_SCSI_SENSE_MAX);
	return descriptors ? fill_descriptors(s, to) : fill_fixed(s, to);
}

void sr_scsi_check_condition(struct sr_scsi_cmd *c, uint8_t key, uint16_t asc)
{
	const struct lu_sense s = { .key = key, .asc = asc };

	c->status = SR_SCSI_CHECK_CONDITION;
	c->sense_len = lu_sense_fill(&s, false, c->sense);
	c->transferred = 0;
	c->residual = c->in_len + c->out_len;
}

void lu_fail_sense(struct sr_scsi_cmd *c, const struct lu_sense *s)
{
	c->status = SR_SCSI_CHECK_CONDITION;
	c->sense_len = lu_sense_fill(s, lu_word(c->lane->unit) & LU_D_SENSE, c->sense);
	c->transferred = 0;
	c->residual = c->in_len + c->out_len;
	lu_finish(c);
}

void lu_fail(struct sr_scsi_cmd *c, enum lu_key key, enum lu_asc asc)
{
	lu_fail_sense(c, &(struct lu_sense){ .key = (uint8_t)key, .asc = (uint16_t)asc });
}

void lu_fail_info(struct sr_scsi_cmd *c, enum lu_key key, enum lu_asc asc, uint64_t info)
{
	lu_fail_sense(c, &(struct lu_sense){ .key = (uint8_t)key,
					     .asc = (uint16_t)asc,
					     .has_info = true,
					     .info = info });
}

/* Field pointer, SPC-5 4.4.2.4.2: SKSV, C/D, BPV and the bit, the byte. */
static void fail_field(struct sr_scsi_cmd *c, enum lu_asc asc, bool in_cdb, unsigned byte,
		       unsigned bit)
{
	struct lu_sense s = { .key = LU_ILLEGAL_REQUEST, .asc = (uint16_t)asc };

	s.sks[0] = (uint8_t)(0x80 | (in_cdb ? 0x40 : 0) | (bit < LU_NO_BIT ? 0x08 | bit : 0));
	sr_put_be16(s.sks + 1, (uint16_t)byte);
	lu_fail_sense(c, &s);
}

void lu_fail_cdb(struct sr_scsi_cmd *c, unsigned byte, unsigned bit)
{
	fail_field(c, LU_ASC_FIELD_CDB, true, byte, bit);
}

void lu_fail_list(struct sr_scsi_cmd *c, unsigned byte, unsigned bit)
{
	fail_field(c, LU_ASC_FIELD_LIST, false, byte, bit);
}

void lu_fail_overrun(struct sr_scsi_cmd *c)
{
	c->overrun = true;
	lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_FIELD_CDB);
}

void lu_fail_disk(struct sr_scsi_cmd *c)
{
	switch (c->req.result) {
	case -ENOSPC:
		lu_fail(c, LU_DATA_PROTECT, LU_ASC_NO_SPACE);
		break;
	case -EROFS:
		lu_fail(c, LU_DATA_PROTECT, LU_ASC_WRITE_PROTECTED);
		break;
	case -ETIMEDOUT:
		lu_fail(c, LU_ABORTED_COMMAND, LU_ASC_TIMEOUT);
		break;
	case -ECANCELED: /* not by us: whoever did it wants it tried again */
		lu_fail(c, LU_ABORTED_COMMAND, LU_ASC_NONE);
		break;
	case -EOPNOTSUPP:
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_FIELD_CDB);
		break;
	case -EIO:
		lu_fail(c, LU_MEDIUM_ERROR,
			c->req.op == SR_DISK_READ ? LU_ASC_READ_ERROR : LU_ASC_WRITE_ERROR);
		break;
	default:
		lu_fail(c, LU_HARDWARE_ERROR, LU_ASC_FAILURE);
	}
}

void lu_status(struct sr_scsi_cmd *c, enum sr_scsi_status status)
{
	c->status = (uint8_t)status;
	c->residual = c->in_len + c->out_len;
	lu_finish(c);
}

void lu_good(struct sr_scsi_cmd *c, uint32_t transferred)
{
	c->status = SR_SCSI_GOOD;
	c->transferred = transferred;
	c->residual = c->in_len + c->out_len - transferred;
	lu_finish(c);
}

void lu_reply(struct sr_scsi_cmd *c, const void *data, size_t len, size_t allocated)
{
	size_t n = sr_min(len, allocated);

	c->overrun = n > c->in_len;
	lu_good(c, (uint32_t)sr_iov_write(c->in, c->nin, 0, data, sr_min(n, c->in_len)));
}
