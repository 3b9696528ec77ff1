/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose command a reservation keeps out (SPC-5, 5.13; SPC-2, 5.5.1), and RESERVE and RELEASE. */
#include "unit_internal.h"

#include "pr.h"

struct lu_registration *lu_registration(struct sr_scsi_unit *u, const struct sr_scsi_nexus *n)
{
	struct lu_registration *r = u->pr.list;

	while (r && (r->port != n->port || strcmp(r->name, n->name)))
		r = r->next;
	return r;
}

bool lu_is_holder(const struct sr_scsi_unit *u, const struct lu_registration *r)
{
	return u->pr.type && r && (lu_pr_all(u->pr.type) || u->pr.holder == r);
}

void lu_reserved_update(struct sr_scsi_unit *u)
{
	lu_word_set(u, LU_RESERVED, u->pr.reserved || u->pr.type);
}

/* Commands of one row that change nothing in one of their forms. */
static bool is_innocent(const struct sr_scsi_cmd *c)
{
	return (c->cdb[0] == 0x1b && (c->cdb[4] & 0xf1) == 0x01) || /* START STOP UNIT: start */
	       (c->cdb[0] == 0x1e && !(c->cdb[4] & 0x03));	    /* ALLOW MEDIUM REMOVAL */
}

static bool conflicts_classic(const struct sr_scsi_unit *u, const struct sr_scsi_cmd *c,
			      const struct lu_op *op)
{
	/* PERSISTENT RESERVE never goes with RESERVE, whoever has it. */
	if (op->conflict == LU_PERSISTENT)
		return true;
	return u->pr.reserved != c->nexus && op->conflict != LU_CLASSIC &&
	       !(op->flags & LU_HARMLESS) && !(c->cdb[0] == 0x1e && is_innocent(c));
}

bool lu_conflicts(struct sr_scsi_unit *u, const struct sr_scsi_cmd *c, const struct lu_op *op)
{
	const struct lu_registration *r;

	if (u->pr.reserved)
		return conflicts_classic(u, c, op);
	if (!u->pr.type || (op->conflict != LU_READS && op->conflict != LU_WRITES))
		return false;
	if (op->conflict == LU_READS && !lu_pr_exclusive(u->pr.type))
		return false;
	r = lu_registration(u, c->nexus);
	if (lu_is_holder(u, r) || (r && lu_pr_registrants(u->pr.type)))
		return false;
	return !is_innocent(c);
}

/* Where there are registrations, who has one is told GOOD and nothing happens: SPC-3's
 * compatible reservation handling (CRH). With the lock held. */
static bool yields_to_persistent(struct sr_scsi_unit *u, const struct sr_scsi_cmd *c,
				 enum sr_scsi_status *status)
{
	const struct lu_registration *r = lu_registration(u, c->nexus);

	if (!u->pr.list)
		return false;
	*status = r && (!u->pr.type || lu_is_holder(u, r) || lu_pr_registrants(u->pr.type))
			  ? SR_SCSI_GOOD
			  : SR_SCSI_RESERVATION_CONFLICT;
	return true;
}

static void classic(struct sr_scsi_cmd *c, bool reserve)
{
	struct sr_scsi_unit *u = c->lane->unit;
	enum sr_scsi_status status = SR_SCSI_GOOD;

	/* Third-party and extent reservations are of SCSI-2. */
	if (c->cdb[1] & 0x1f) {
		lu_fail_cdb(c, 1, 4);
		return;
	}
	pthread_mutex_lock(&u->lock);
	if (!yields_to_persistent(u, c, &status)) {
		if (reserve && u->pr.reserved && u->pr.reserved != c->nexus)
			status = SR_SCSI_RESERVATION_CONFLICT;
		else if (reserve)
			u->pr.reserved = c->nexus;
		else if (u->pr.reserved == c->nexus)
			u->pr.reserved = NULL;
		lu_reserved_update(u);
	}
	pthread_mutex_unlock(&u->lock);
	lu_status(c, status);
}

void lu_reserve(struct sr_scsi_cmd *c)
{
	classic(c, true);
}

void lu_release(struct sr_scsi_cmd *c)
{
	classic(c, false);
}
