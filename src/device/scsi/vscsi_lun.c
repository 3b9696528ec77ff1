/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Units at their places, added and removed while queues work.
 *
 * A look-up is three loads: target, 256 units of it, unit. Targets and chunks are made once and
 * stay. A unit is taken off in three steps: out of the table, one message to each running
 * queue, and when all have answered it is free. A queue handles messages between two passes, so
 * by then it holds no pointer from a look-up; it answers when its last command of that unit
 * has ended. A snapshot of the table for each change, the other way to go without a lock, would
 * copy 16384 places to add one.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vscsi_internal.h"

#define FLAT		 0x40u /* SAM-6: flat space addressing, in bits 7 and 6 */
#define WELL_KNOWN	 0xc1u
#define ASC_LUNS_CHANGED 0x3f0eu

struct vscsi_address vscsi_address_parse(const uint8_t lun[8])
{
	struct vscsi_address a = { .place = VSCSI_PLACE_BAD };

	if (lun[4] | lun[5] | lun[6] | lun[7])
		return a;
	if (lun[0] == WELL_KNOWN && lun[1] == 1 && !lun[2] && !lun[3]) {
		a.place = VSCSI_PLACE_DEVICE;
		return a;
	}
	if (lun[0] != 1)
		return a;
	a.target = lun[1];
	a.lun = (unsigned)(lun[2] & ~FLAT) << 8 | lun[3];
	if (lun[2] == WELL_KNOWN && lun[3] == 1)
		a.place = VSCSI_PLACE_TARGET;
	else if (lun[2] == 0 || lun[2] >> 6 == 1)
		a.place = VSCSI_PLACE_LUN;
	return a;
}

/* Drivers know units by what REPORT LUNS and events say, so that is one form for each. */
static uint16_t lun_field(unsigned lun)
{
	return (uint16_t)(lun < 256 ? lun : lun | FLAT << 8);
}

void vscsi_address_make(uint8_t to[8], unsigned target, unsigned lun)
{
	memset(to, 0, 8);
	to[0] = 1;
	to[1] = (uint8_t)target;
	sr_put_be16(to + 2, lun_field(lun));
}

struct vscsi_target *vscsi_target_find(struct sr_scsi *s, unsigned target)
{
	struct vscsi_target *t = atomic_load_explicit(&s->targets[target], memory_order_acquire);

	return t && atomic_load_explicit(&t->units, memory_order_relaxed) ? t : NULL;
}

struct vscsi_lun *vscsi_lun_find(const struct vscsi_target *t, unsigned lun)
{
	struct vscsi_chunk *c =
		atomic_load_explicit(&t->chunks[lun / VSCSI_CHUNK], memory_order_acquire);

	return c ? atomic_load_explicit(&c->lun[lun % VSCSI_CHUNK], memory_order_acquire) : NULL;
}

/* Calls fn for each unit of t, by rising number, until it says false. */
static void each_lun(const struct vscsi_target *t, bool (*fn)(struct vscsi_lun *l, void *ctx),
		     void *ctx)
{
	for (unsigned i = 0; i < VSCSI_CHUNKS; i++) {
		struct vscsi_chunk *c = atomic_load_explicit(&t->chunks[i], memory_order_acquire);

		for (unsigned k = 0; c && k < VSCSI_CHUNK; k++) {
			struct vscsi_lun *l =
				atomic_load_explicit(&c->lun[k], memory_order_acquire);

			if (l && !fn(l, ctx))
				return;
		}
	}
}

struct list {
	uint64_t *to;
	unsigned n, cap;
	bool whole; /* addresses with their targets */
};

static bool list_add(struct vscsi_lun *l, void *ctx)
{
	struct list *list = ctx;
	uint64_t field = lun_field(l->number);

	if (list->n == list->cap)
		return false;
	list->to[list->n++] = list->whole
				      ? 1ull << 56 | (uint64_t)l->target->number << 48 | field << 32
				      : field << 48;
	return true;
}

unsigned vscsi_lun_list(struct sr_scsi *s, const struct vscsi_target *t, uint64_t *to, unsigned cap)
{
	struct list list = { .to = to, .cap = cap, .whole = !t };

	if (t)
		each_lun(t, list_add, &list);
	for (unsigned i = 0; !t && i < SR_SCSI_TARGETS_MAX; i++) {
		const struct vscsi_target *one = vscsi_target_find(s, i);

		if (one)
			each_lun(one, list_add, &list);
	}
	return list.n;
}

unsigned vscsi_lun_count(struct sr_scsi *s, const struct vscsi_target *t)
{
	unsigned n = 0;

	if (t)
		return atomic_load_explicit(&t->units, memory_order_relaxed);
	for (unsigned i = 0; i < SR_SCSI_TARGETS_MAX; i++) {
		t = atomic_load_explicit(&s->targets[i], memory_order_acquire);
		n += t ? atomic_load_explicit(&t->units, memory_order_relaxed) : 0;
	}
	return n;
}

/* ---- on the control loop ---- */

static int numbers_check(const struct sr_scsi *s, unsigned target, unsigned lun, struct sr_error *e)
{
	if (target >= SR_SCSI_TARGETS_MAX)
		return sr_error_set(e, -EINVAL, "%s: target %u, expected 0 to %u", s->name, target,
				    SR_SCSI_TARGETS_MAX - 1);
	if (lun > SR_SCSI_LUN_MAX)
		return sr_error_set(e, -EINVAL, "%s: logical unit %u, expected 0 to %u", s->name,
				    lun, SR_SCSI_LUN_MAX);
	return 0;
}

static struct vscsi_target *target_make(struct sr_scsi *s, unsigned number, struct sr_error *e)
{
	struct vscsi_target *t = atomic_load(&s->targets[number]);

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t) {
		sr_error_set(e, -ENOMEM, "%s: out of memory", s->name);
		return NULL;
	}
	t->number = number;
	t->nexus = sr_scsi_nexus_create(s->initiator, (uint16_t)(number + 1), e);
	if (!t->nexus) {
		free(t);
		return NULL;
	}
	atomic_store_explicit(&s->targets[number], t, memory_order_release);
	return t;
}

/* The place of a unit in the table; NULL: out of memory. */
static _Atomic(struct vscsi_lun *) *place(struct vscsi_target *t, unsigned lun)
{
	struct vscsi_chunk *c = atomic_load(&t->chunks[lun / VSCSI_CHUNK]);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		atomic_store_explicit(&t->chunks[lun / VSCSI_CHUNK], c, memory_order_release);
	}
	return &c->lun[lun % VSCSI_CHUNK];
}

static void unit_changed(void *ctx, struct sr_scsi_unit *u, uint16_t asc)
{
	struct vscsi_lun *l = ctx;

	(void)u;
	if (asc >> 8 == 0x29)
		vscsi_event_add(l->scsi, VSCSI_T_TRANSPORT_RESET, VSCSI_RESET_HARD,
				l->target->number, l->number);
	else
		vscsi_event_add(l->scsi, VSCSI_T_PARAM_CHANGE,
				(uint32_t)(asc >> 8 | (asc & 0xff) << 8), l->target->number,
				l->number);
}

/* Who has not heard the event hears of it with his next command (5.6.6.3). */
static bool tell_luns_changed(struct vscsi_lun *l, void *ctx)
{
	if (l != ctx)
		sr_scsi_unit_attention(l->unit, NULL, ASC_LUNS_CHANGED);
	return true;
}

static void announce(struct vscsi_lun *l, uint32_t reason)
{
	if (!atomic_load(&l->scsi->features))
		return; /* no guest is there yet */
	each_lun(l->target, tell_luns_changed, l);
	vscsi_event_add(l->scsi, VSCSI_T_TRANSPORT_RESET, reason, l->target->number, l->number);
}

static void left(struct vscsi_msg *m)
{
	struct vscsi_lun *l = SR_CONTAINER_OF(m, struct vscsi_lun, left);

	sr_scsi_unit_detach(l->unit, l->target->nexus);
	l->scsi->leaving--;
	if (l->done)
		l->done(l->done_ctx);
	free(l);
}

void vscsi_lun_ack(struct vscsi_lun *l)
{
	if (atomic_fetch_sub(&l->pending, 1) == 1)
		vscsi_box_send(&l->scsi->box, &l->left);
}

static struct vscsi_lun *lun_make(struct sr_scsi *s, struct vscsi_target *t, unsigned number,
				  struct sr_scsi_unit *u)
{
	struct vscsi_lun *l = calloc(1, sizeof(*l) + s->nqueues * sizeof(l->lanes[0]));

	if (!l)
		return NULL;
	l->scsi = s;
	l->target = t;
	l->number = number;
	l->id = ++s->next_id;
	l->unit = u;
	l->left.run = left;
	l->listener = (struct sr_scsi_listener){ .changed = unit_changed, .ctx = l };
	for (unsigned i = 0; i < s->nqueues; i++)
		vscsi_lane_init(&l->lanes[i], l, &s->queues[i]);
	return l;
}

int sr_scsi_attach(struct sr_scsi *s, unsigned target, unsigned lun, struct sr_scsi_unit *u,
		   struct sr_error *e)
{
	int r = numbers_check(s, target, lun, e);
	_Atomic(struct vscsi_lun *) *at;
	struct vscsi_target *t;
	struct vscsi_lun *l;

	if (r)
		return r;
	t = target_make(s, target, e);
	if (!t)
		return -ENOMEM;
	at = place(t, lun);
	if (at && atomic_load(at))
		return sr_error_set(e, -EEXIST, "%s: target %u has a logical unit %u already",
				    s->name, target, lun);
	l = at ? lun_make(s, t, lun, u) : NULL;
	if (!l)
		return sr_error_set(e, -ENOMEM, "%s: out of memory", s->name);
	r = sr_scsi_unit_attach(u, t->nexus, e);
	if (r) {
		free(l);
		return r;
	}
	sr_scsi_unit_listen(u, &l->listener);
	atomic_store_explicit(at, l, memory_order_release);
	atomic_fetch_add(&t->units, 1);
	announce(l, VSCSI_RESET_RESCAN);
	return 0;
}

/* Out of the table; each queue that runs is asked to forget it. */
static void lun_leave(struct vscsi_lun *l)
{
	struct sr_scsi *s = l->scsi;

	atomic_store(place(l->target, l->number), NULL);
	atomic_fetch_sub(&l->target->units, 1);
	sr_scsi_unit_unlisten(l->unit, &l->listener);
	s->leaving++;
	atomic_store(&l->pending, s->nqueues + 1);
	for (unsigned i = 0; i < s->nqueues; i++)
		if (!vscsi_box_send(&s->queues[i].box, &l->lanes[i].gone))
			atomic_fetch_sub(&l->pending, 1);
	announce(l, VSCSI_RESET_REMOVED);
}

/* The last step at once where nobody has to be waited for. */
static void lun_leave_end(struct vscsi_lun *l)
{
	if (atomic_fetch_sub(&l->pending, 1) == 1)
		left(&l->left);
}

int sr_scsi_detach(struct sr_scsi *s, unsigned target, unsigned lun, void (*done)(void *ctx),
		   void *ctx, struct sr_error *e)
{
	struct vscsi_target *t = target < SR_SCSI_TARGETS_MAX ? vscsi_target_find(s, target) : NULL;
	struct vscsi_lun *l = t && lun <= SR_SCSI_LUN_MAX ? vscsi_lun_find(t, lun) : NULL;

	if (!l)
		return sr_error_set(e, -ENOENT, "%s: target %u has no logical unit %u", s->name,
				    target, lun);
	l->done = done;
	l->done_ctx = ctx;
	lun_leave(l);
	lun_leave_end(l);
	return 0;
}

/* The one way to end a nexus is to begin a new one. */
static bool lose_nexus(struct vscsi_lun *l, void *ctx)
{
	struct sr_error e;

	(void)ctx;
	sr_scsi_unit_detach(l->unit, l->target->nexus);
	if (!sr_scsi_unit_attach(l->unit, l->target->nexus, &e))
		return true;
	sr_log(SR_LOG_ERROR, l->scsi->name, "target %u, logical unit %u: %s; it is taken off",
	       l->target->number, l->number, e.text);
	lun_leave(l);
	lun_leave_end(l);
	return true;
}

void vscsi_nexus_loss(struct sr_scsi *s, struct vscsi_target *t)
{
	if (t)
		each_lun(t, lose_nexus, NULL);
	for (unsigned i = 0; !t && i < SR_SCSI_TARGETS_MAX; i++) {
		struct vscsi_target *one = vscsi_target_find(s, i);

		if (one)
			each_lun(one, lose_nexus, NULL);
	}
}

static bool take_off(struct vscsi_lun *l, void *ctx)
{
	(void)ctx;
	lun_leave(l);
	lun_leave_end(l);
	return true;
}

/* No queue runs any more. */
void vscsi_luns_finish(struct sr_scsi *s)
{
	for (unsigned i = 0; i < SR_SCSI_TARGETS_MAX; i++) {
		struct vscsi_target *t = atomic_load(&s->targets[i]);

		if (!t)
			continue;
		each_lun(t, take_off, NULL);
		for (unsigned k = 0; k < VSCSI_CHUNKS; k++)
			free(atomic_load(&t->chunks[k]));
		sr_scsi_nexus_destroy(t->nexus);
		free(t);
	}
	assert(!s->leaving);
}
