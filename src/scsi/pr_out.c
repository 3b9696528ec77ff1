/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PERSISTENT RESERVE OUT (SPC-5, 6.16 and 5.13). One function for each service action, with
 * the unit's lock held; each says what came of it by an additional sense code, of which
 * PR_CONFLICT stands for the status RESERVATION CONFLICT.
 */
#include "pr.h"
#include "unit_internal.h"

#include <stdlib.h>

#define LIST_LEN    24u
#define PR_CONFLICT ((enum lu_asc)0xffff)

enum {
	PR_REGISTER = 0,
	PR_RESERVE = 1,
	PR_RELEASE = 2,
	PR_CLEAR = 3,
	PR_PREEMPT = 4,
	PR_PREEMPT_AND_ABORT = 5,
	PR_REGISTER_AND_IGNORE = 6
};

/* A command, and the registration of who sends it, if he has one. */
struct pr_out {
	struct sr_scsi_unit *u;
	const struct sr_scsi_nexus *nexus;
	struct lu_registration *own;
	uint64_t key, action_key;
	uint8_t action, scope, type;
	struct sr_scsi_nexus **victims; /* of PREEMPT AND ABORT: room for all who are registered */
	unsigned n_victims;
};

static struct lu_initiator *initiator_of(struct sr_scsi_unit *u, const struct lu_registration *r)
{
	struct lu_initiator *i = u->initiators;

	while (i && (i->nexus->port != r->port || strcmp(i->nexus->name, r->name) != 0))
		i = i->next;
	return i;
}

static void tell(struct sr_scsi_unit *u, const struct lu_registration *r, enum lu_asc asc)
{
	struct lu_initiator *i = initiator_of(u, r);

	if (i)
		lu_attend(i, (uint16_t)asc);
}

static void tell_others(struct pr_out *p, enum lu_asc asc)
{
	for (const struct lu_registration *r = p->u->pr.list; r; r = r->next)
		if (r != p->own)
			tell(p->u, r, asc);
}

static void reserve_as(struct pr_out *p, uint8_t type)
{
	p->u->pr.type = type;
	p->u->pr.holder = type && !lu_pr_all(type) ? p->own : NULL;
}

/* A reservation that several may hold or use is missed by all of them when it ends. */
static void end_reservation(struct pr_out *p)
{
	if (lu_pr_registrants(p->u->pr.type))
		tell_others(p, LU_ASC_RELEASED);
	reserve_as(p, 0);
}

/* Takes *at out of the list, with the reservation that it alone holds. */
static void drop(struct pr_out *p, struct lu_registration **at)
{
	struct lu_reservations *pr = &p->u->pr;
	struct lu_registration *r = *at;

	*at = r->next;
	pr->count--;
	if (pr->holder == r || (lu_pr_all(pr->type) && !pr->list))
		end_reservation(p);
	free(r);
}

static void unregister(struct pr_out *p)
{
	struct lu_registration **at = &p->u->pr.list;

	while (*at != p->own)
		at = &(*at)->next;
	drop(p, at);
}

static enum lu_asc new_registration(struct pr_out *p)
{
	struct lu_reservations *pr = &p->u->pr;
	struct lu_registration *r;

	if (pr->count == LU_REGISTRATIONS)
		return LU_ASC_NO_REGISTRATION;
	r = calloc(1, sizeof(*r));
	if (!r)
		return LU_ASC_NO_REGISTRATION;
	r->key = p->action_key;
	r->port = p->nexus->port;
	strcpy(r->name, p->nexus->name);
	r->next = pr->list;
	pr->list = r;
	pr->count++;
	pr->generation++;
	return LU_ASC_NONE;
}

static enum lu_asc do_register(struct pr_out *p)
{
	bool ignore = p->action == PR_REGISTER_AND_IGNORE;

	if (!ignore && p->key != (p->own ? p->own->key : 0))
		return PR_CONFLICT;
	if (!p->own)
		return p->action_key ? new_registration(p) : LU_ASC_NONE;
	p->u->pr.generation++;
	if (p->action_key)
		p->own->key = p->action_key;
	else
		unregister(p);
	return LU_ASC_NONE;
}

static enum lu_asc do_reserve(struct pr_out *p)
{
	struct lu_reservations *pr = &p->u->pr;

	if (p->scope || !lu_pr_valid(p->type))
		return LU_ASC_FIELD_CDB;
	if (pr->type && (pr->type != p->type || !lu_is_holder(p->u, p->own)))
		return PR_CONFLICT;
	reserve_as(p, p->type);
	return LU_ASC_NONE;
}

static enum lu_asc do_release(struct pr_out *p)
{
	if (!lu_is_holder(p->u, p->own))
		return LU_ASC_NONE;
	if (p->scope || p->type != p->u->pr.type)
		return LU_ASC_BAD_RELEASE;
	end_reservation(p);
	return LU_ASC_NONE;
}

static enum lu_asc do_clear(struct pr_out *p)
{
	struct lu_reservations *pr = &p->u->pr;

	tell_others(p, LU_ASC_PREEMPTED);
	reserve_as(p, 0);
	while (pr->list)
		drop(p, &pr->list);
	pr->generation++;
	return LU_ASC_NONE;
}

/* Those with this key, or all when it is 0, but `but`. How many that were. */
static unsigned drop_by_key(struct pr_out *p, uint64_t key, const struct lu_registration *but)
{
	struct lu_registration **at = &p->u->pr.list, *r;
	struct lu_initiator *i;
	unsigned n = 0;

	while ((r = *at)) {
		if (r == but || (key && r->key != key)) {
			at = &r->next;
			continue;
		}
		i = r == p->own ? NULL : initiator_of(p->u, r);
		if (i) {
			lu_attend(i, LU_ASC_UNREGISTERED);
			p->victims[p->n_victims++] = i->nexus;
		}
		drop(p, at);
		n++;
	}
	return n;
}

/* Whose key is given holds the reservation, or all hold it and none is given: it changes hands,
 * without a moment in which nobody has it. */
static enum lu_asc take_over(struct pr_out *p)
{
	struct lu_reservations *pr = &p->u->pr;
	uint8_t before = pr->type;

	if (p->scope || !lu_pr_valid(p->type))
		return LU_ASC_FIELD_CDB;
	reserve_as(p, p->type);
	drop_by_key(p, p->action_key, p->own);
	if (before != p->type && lu_pr_registrants(before))
		tell_others(p, LU_ASC_RELEASED);
	return LU_ASC_NONE;
}

static enum lu_asc do_preempt(struct pr_out *p)
{
	struct lu_reservations *pr = &p->u->pr;
	bool all = lu_pr_all(pr->type);
	enum lu_asc asc = LU_ASC_NONE;

	if (!p->action_key && !all)
		return LU_ASC_FIELD_LIST;
	if (all ? !p->action_key : pr->type && pr->holder->key == p->action_key)
		asc = take_over(p);
	else if (!drop_by_key(p, p->action_key, NULL))
		return PR_CONFLICT;
	if (!asc)
		pr->generation++;
	return asc;
}

static enum lu_asc act(struct pr_out *p)
{
	static enum lu_asc (*const actions[])(struct pr_out *) = {
		[PR_REGISTER] = do_register,
		[PR_RESERVE] = do_reserve,
		[PR_RELEASE] = do_release,
		[PR_CLEAR] = do_clear,
		[PR_PREEMPT] = do_preempt,
		[PR_PREEMPT_AND_ABORT] = do_preempt,
		[PR_REGISTER_AND_IGNORE] = do_register,
	};
	bool registers = actions[p->action] == do_register;
	enum lu_asc asc;

	p->own = lu_registration(p->u, p->nexus);
	if (!registers && (!p->own || p->own->key != p->key))
		return PR_CONFLICT;
	asc = actions[p->action](p);
	lu_reserved_update(p->u);
	return asc;
}

static void fail(struct sr_scsi_cmd *c, enum lu_asc asc)
{
	if (asc == PR_CONFLICT)
		lu_status(c, SR_SCSI_RESERVATION_CONFLICT);
	else if (asc == LU_ASC_FIELD_CDB)
		lu_fail_cdb(c, 2, c->cdb[2] & 0xf0 ? 7 : 3);
	else if (asc == LU_ASC_FIELD_LIST)
		lu_fail_list(c, 8, LU_NO_BIT);
	else
		lu_fail(c, LU_ILLEGAL_REQUEST, asc);
}

static void done(struct sr_scsi_cmd *c)
{
	lu_good(c, LIST_LEN);
}

/* SPEC_I_PT, ALL_TG_PT, APTPL: REPORT CAPABILITIES says that there are none. The bit, or
 * LU_NO_BIT. */
static unsigned bad_flag(const struct sr_scsi_cmd *c, const uint8_t *list)
{
	uint8_t action = c->cdb[1] & 0x1f;

	if (action != PR_REGISTER && action != PR_REGISTER_AND_IGNORE)
		return LU_NO_BIT;
	if (list[20] & 0x0c)
		return list[20] & 0x08 ? 3 : 2;
	return list[20] & 0x01 ? 0 : LU_NO_BIT;
}

static void run(struct sr_scsi_cmd *c, const uint8_t *list)
{
	struct pr_out p = { .u = c->lane->unit,
			    .nexus = c->nexus,
			    .key = lu_get_be64(list),
			    .action_key = lu_get_be64(list + 8),
			    .action = c->cdb[1] & 0x1f,
			    .scope = c->cdb[2] >> 4,
			    .type = c->cdb[2] & 0x0f };
	enum lu_asc asc;

	p.victims = calloc(LU_REGISTRATIONS, sizeof(*p.victims));
	if (!p.victims) {
		lu_status(c, SR_SCSI_BUSY);
		return;
	}
	pthread_mutex_lock(&p.u->lock);
	asc = act(&p);
	pthread_mutex_unlock(&p.u->lock);
	if (!asc && p.action == PR_PREEMPT_AND_ABORT && p.n_victims) {
		lu_expel(c, p.victims, p.n_victims, done);
		return;
	}
	free(p.victims);
	if (asc)
		fail(c, asc);
	else
		done(c);
}

void lu_pr_out(struct sr_scsi_cmd *c)
{
	uint32_t len = sr_get_be32(c->cdb + 5);
	uint8_t list[LIST_LEN];
	unsigned bad;

	if (len < LIST_LEN) {
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LIST_LENGTH);
		return;
	}
	if (len > c->out_len) {
		lu_fail_overrun(c);
		return;
	}
	if (!lu_list(c, list, sizeof(list)))
		return;
	bad = bad_flag(c, list);
	if (bad != LU_NO_BIT)
		lu_fail_list(c, 20, bad);
	else if (len != LIST_LEN)
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LIST_LENGTH);
	else
		run(c, list);
}
