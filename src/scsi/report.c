/* SPDX-License-Identifier: BSD-3-Clause */
/* What a target answers without a unit, and what it can do at all. */
#include "unit_internal.h"

#include <stdlib.h>

static void reply(struct sr_scsi_cmd *c, const void *data, size_t len, size_t allocated)
{
	size_t n = sr_min(len, allocated);

	c->status = SR_SCSI_GOOD;
	c->overrun = n > c->in_len;
	c->transferred = (uint32_t)sr_iov_write(c->in, c->nin, 0, data, sr_min(n, c->in_len));
	c->residual = c->in_len + c->out_len - c->transferred;
}

/* Telling the list is how the news of its change is heard (SPC-5, 6.33). */
static void forget_luns_changed(struct sr_scsi_nexus *n)
{
	pthread_mutex_lock(&n->lock);
	for (struct lu_initiator *i = n->initiators; i; i = i->next_of_nexus) {
		pthread_mutex_lock(&i->unit->lock);
		lu_attention_drop(i, LU_ASC_LUNS_CHANGED);
		pthread_mutex_unlock(&i->unit->lock);
	}
	pthread_mutex_unlock(&n->lock);
}

/* SELECT REPORT: 0 and 2 are all there are, 1 the well known ones, of which there are none. */
static void report_luns(struct sr_scsi_cmd *c, const uint64_t *luns, unsigned n)
{
	uint32_t allocated = sr_get_be32(c->cdb + 6);
	size_t total, given;
	uint8_t head[8] = { 0 }, entry[8];

	if (c->cdb[2] > 2 || allocated < 16) {
		sr_scsi_check_condition(c, LU_ILLEGAL_REQUEST, LU_ASC_FIELD_CDB);
		return;
	}
	if (c->cdb[2] == 1)
		n = 0;
	total = sizeof(head) + n * sizeof(entry);
	given = sr_min(total, allocated);
	sr_put_be32(head, n * 8);
	reply(c, head, sizeof(head), given);
	for (unsigned i = 0; i < n && 8 * (i + 2) <= given; i++) {
		lu_put_be64(entry, luns[i]);
		sr_iov_write(c->in, c->nin, 8 * (i + 1), entry, sizeof(entry));
	}
	c->overrun = given > c->in_len;
	c->transferred = (uint32_t)sr_min(given & ~7ul, c->in_len);
	c->residual = c->in_len + c->out_len - c->transferred;
	if (c->nexus)
		forget_luns_changed(c->nexus);
}

static void no_unit_inquiry(struct sr_scsi_cmd *c)
{
	uint8_t data[36] = { 0x7f, 0, 0x07, 0x12, 31 };

	if (c->cdb[1] & 3 || c->cdb[2]) {
		sr_scsi_check_condition(c, LU_ILLEGAL_REQUEST, LU_ASC_NO_UNIT);
		return;
	}
	memcpy(data + 8, "SLIPRING                    ", 28);
	reply(c, data, sizeof(data), sr_get_be16(c->cdb + 3));
}

static void no_unit_sense(struct sr_scsi_cmd *c)
{
	const struct lu_sense s = { .key = LU_ILLEGAL_REQUEST, .asc = LU_ASC_NO_UNIT };
	uint8_t data[SR_SCSI_SENSE_MAX];

	reply(c, data, lu_sense_fill(&s, c->cdb[1] & 1, data), c->cdb[4]);
}

void sr_scsi_target_command(struct sr_scsi_cmd *c, const uint64_t *luns, unsigned n)
{
	c->sense_len = 0;
	c->transferred = 0;
	c->aborted = false;
	c->overrun = false;
	if (c->cdb[0] == 0x12)
		no_unit_inquiry(c);
	else if (c->cdb[0] == 0x03)
		no_unit_sense(c);
	else if (c->cdb[0] == 0xa0)
		report_luns(c, luns, n);
	else
		sr_scsi_check_condition(c, LU_ILLEGAL_REQUEST, LU_ASC_NO_UNIT);
}

/* Where no target stands before the unit it is alone. */
void lu_report_luns(struct sr_scsi_cmd *c)
{
	static const uint64_t lun = 0;

	report_luns(c, &lun, 1);
	lu_finish(c);
}
