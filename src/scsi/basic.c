/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the state of the unit as a whole. */
#include "unit_internal.h"

void lu_test_unit_ready(struct sr_scsi_cmd *c)
{
	lu_good(c, 0);
}

/* A pending attention is told here as data, and is told then (SPC-5, 6.39). */
void lu_request_sense(struct sr_scsi_cmd *c)
{
	struct sr_scsi_unit *u = c->lane->unit;
	struct lu_sense s = { .key = LU_NO_SENSE };
	uint8_t data[SR_SCSI_SENSE_MAX];
	struct lu_initiator *i;

	pthread_mutex_lock(&u->lock);
	i = lu_initiator(u, c->nexus);
	if (i)
		s.asc = lu_attention_take(i);
	if (s.asc)
		s.key = LU_UNIT_ATTENTION;
	else if (lu_word(u) & LU_STOPPED)
		s = (struct lu_sense){ .key = LU_NOT_READY, .asc = LU_ASC_STOPPED };
	pthread_mutex_unlock(&u->lock);
	lu_reply(c, data, lu_sense_fill(&s, c->cdb[1] & 1, data), c->cdb[4]);
}

static void set_stopped(struct sr_scsi_unit *u, bool stopped)
{
	pthread_mutex_lock(&u->lock);
	lu_word_set(u, LU_STOPPED, stopped);
	pthread_mutex_unlock(&u->lock);
}

static void flushed(struct sr_scsi_cmd *c)
{
	if (c->req.result) {
		lu_fail_disk(c);
		return;
	}
	set_stopped(c->lane->unit, true);
	lu_good(c, 0);
}

/* SBC-4, 5.31. The medium is not removable and there are no power conditions. */
void lu_start_stop(struct sr_scsi_cmd *c)
{
	bool start = c->cdb[4] & 0x01, no_flush = c->cdb[4] & 0x04;

	if (c->cdb[4] & 0xf0) {
		lu_fail_cdb(c, 4, 7);
	} else if (c->cdb[4] & 0x02) {
		lu_fail_cdb(c, 4, 1);
	} else if (!start && !no_flush) {
		c->req = (struct sr_disk_req){ .op = SR_DISK_FLUSH };
		lu_disk(c, flushed);
	} else {
		set_stopped(c->lane->unit, !start);
		lu_good(c, 0);
	}
}

/* Nothing can be removed: there is nothing to prevent. */
void lu_prevent_allow(struct sr_scsi_cmd *c)
{
	if (c->cdb[4] & 0x02)
		lu_fail_cdb(c, 4, 1);
	else
		lu_good(c, 0);
}
