/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gates: how one command has a range of the medium for itself, and how the commands of others are
 * driven out. Two steps. First, under the unit's lock, the range is entered in the list and
 * LU_EXCLUSIVE set, so that every later command looks, and waits where it must. Then each
 * lane is asked to pass a fence: to tell when those of its commands are through that came
 * before and concern the gate. When the last fence is passed the owner goes on.
 *
 * A command that only waits for a range has touched nothing and is not waited for; so no two
 * commands ever wait for each other.
 */
#include "unit_internal.h"

#include <stdlib.h>

static bool overlap(const struct sr_scsi_cmd *c, const struct sr_scsi_gate *g)
{
	return c->bytes && g->bytes && c->offset < g->offset + g->bytes &&
	       g->offset < c->offset + c->bytes;
}

static bool is_victim(const struct sr_scsi_cmd *c, const struct sr_scsi_gate *g)
{
	for (unsigned i = 0; i < g->n_victims; i++)
		if (c->nexus == g->victims[i])
			return true;
	return false;
}

static bool concerns(const struct sr_scsi_gate *g, const struct sr_scsi_cmd *c)
{
	return g->n_victims ? is_victim(c, g) : c->admitted && overlap(c, g);
}

static struct sr_scsi_gate *busy_range(struct sr_scsi_unit *u, const struct sr_scsi_cmd *c)
{
	struct sr_scsi_gate *g = u->gates;

	while (g && !overlap(c, g))
		g = g->next;
	return g;
}

/* With the lock held. */
static void park(struct sr_scsi_unit *u, struct sr_scsi_cmd *c, void (*step)(struct sr_scsi_cmd *c))
{
	c->step = step;
	c->state = LU_PARKED;
	c->waiting = NULL;
	*u->parked_tail = c;
	u->parked_tail = &c->waiting;
}

/* Everybody who waits looks again, in the order in which they came. */
static void unpark_all(struct sr_scsi_unit *u)
{
	struct sr_scsi_cmd *c = u->parked, *next;

	u->parked = NULL;
	u->parked_tail = &u->parked;
	for (; c; c = next) {
		next = c->waiting;
		lu_resume(c);
	}
}

static void gate_free(struct sr_scsi_unit *u, struct sr_scsi_gate *g)
{
	struct sr_scsi_gate **at = &u->gates;

	if (!g->n_victims) {
		while (*at != g)
			at = &(*at)->next;
		*at = g->next;
		lu_word_set(u, LU_EXCLUSIVE, u->gates);
		unpark_all(u);
	}
	free(g->victims);
	free(g);
}

void lu_gate_leave(struct sr_scsi_unit *u, struct sr_scsi_cmd *c)
{
	struct sr_scsi_gate *g = c->gate;

	c->gate = NULL;
	g->owner = NULL;
	/* Else lanes still have fences of it: the last one frees it. */
	if (!g->pending)
		gate_free(u, g);
}

void lu_gate_ack(struct sr_scsi_unit *u, struct sr_scsi_gate *g)
{
	if (--g->pending)
		return;
	if (!g->owner)
		gate_free(u, g);
	else
		lu_resume(g->owner);
}

/* ---- on each lane ---- */

static void expel(struct sr_scsi_lane *l, struct lu_fence *f)
{
	struct sr_scsi_cmd *c, *next;

	for (c = l->active; c; c = next) {
		next = c->next;
		if (concerns(f->gate, c))
			lu_stop(c, LU_TASK_ABORTED);
	}
}

void lu_fence_begin(struct sr_scsi_lane *l, struct lu_fence *f)
{
	struct sr_scsi_unit *u = l->unit;

	if (f->gate->n_victims)
		expel(l, f);
	f->seq = l->seq;
	f->left = 0;
	for (struct sr_scsi_cmd *c = l->active; c; c = c->next)
		f->left += concerns(f->gate, c);
	if (f->left) {
		f->next = l->fences;
		l->fences = f;
		return;
	}
	pthread_mutex_lock(&u->lock);
	lu_gate_ack(u, f->gate);
	pthread_mutex_unlock(&u->lock);
}

void lu_fence_pass(struct sr_scsi_lane *l, struct sr_scsi_cmd *c)
{
	struct lu_fence **at = &l->fences, *f;

	while ((f = *at)) {
		if (c->seq > f->seq || !concerns(f->gate, c) || --f->left) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		pthread_mutex_lock(&l->unit->lock);
		lu_gate_ack(l->unit, f->gate);
		pthread_mutex_unlock(&l->unit->lock);
	}
}

/* ---- for the owner ---- */

bool lu_admit_or_park(struct sr_scsi_cmd *c, void (*retry)(struct sr_scsi_cmd *c))
{
	struct sr_scsi_unit *u = c->lane->unit;

	pthread_mutex_lock(&u->lock);
	c->admitted = !busy_range(u, c);
	if (!c->admitted)
		park(u, c, retry);
	pthread_mutex_unlock(&u->lock);
	return c->admitted;
}

/* With the lock held. */
static struct sr_scsi_gate *gate_make(struct sr_scsi_cmd *c, void (*go)(struct sr_scsi_cmd *c))
{
	struct sr_scsi_gate *g;
	unsigned n = 0;

	for (struct sr_scsi_lane *l = c->lane->unit->lanes; l; l = l->next)
		n++;
	g = calloc(1, sizeof(*g) + n * sizeof(g->fences[0]));
	if (!g)
		return NULL;
	g->owner = c;
	g->pending = n;
	c->gate = g;
	c->step = go;
	c->state = LU_FENCING;
	return g;
}

/* With the lock held. The fence of the owner's own lane, which he passes himself. */
static struct lu_fence *send_fences(struct sr_scsi_cmd *c, struct sr_scsi_gate *g)
{
	struct lu_fence *f = g->fences, *own = NULL;

	for (struct sr_scsi_lane *l = c->lane->unit->lanes; l; l = l->next, f++) {
		f->gate = g;
		if (l == c->lane) {
			own = f;
			continue;
		}
		f->next = l->new_fences;
		l->new_fences = f;
		lu_ring(l);
	}
	return own;
}

static void no_memory(struct sr_scsi_cmd *c, struct sr_scsi_nexus **victims)
{
	free(victims);
	lu_status(c, SR_SCSI_BUSY);
}

void lu_exclusive(struct sr_scsi_cmd *c, void (*retry)(struct sr_scsi_cmd *c),
		  void (*go)(struct sr_scsi_cmd *c))
{
	struct sr_scsi_unit *u = c->lane->unit;
	struct sr_scsi_gate *g = NULL;
	struct lu_fence *own = NULL;
	bool busy;

	pthread_mutex_lock(&u->lock);
	busy = busy_range(u, c);
	if (busy)
		park(u, c, retry);
	else
		g = gate_make(c, go);
	if (g) {
		g->offset = c->offset;
		g->bytes = c->bytes;
		g->next = u->gates;
		u->gates = g;
		lu_word_set(u, LU_EXCLUSIVE, true);
		own = send_fences(c, g);
	}
	pthread_mutex_unlock(&u->lock);
	if (own)
		lu_fence_begin(c->lane, own);
	else if (!busy)
		no_memory(c, NULL);
}

void lu_expel(struct sr_scsi_cmd *c, struct sr_scsi_nexus **victims, unsigned n,
	      void (*go)(struct sr_scsi_cmd *c))
{
	struct sr_scsi_unit *u = c->lane->unit;
	struct sr_scsi_gate *g;
	struct lu_fence *own = NULL;

	/* What is asked to stop must have been started. */
	lu_flush(c->lane);
	pthread_mutex_lock(&u->lock);
	g = gate_make(c, go);
	if (g) {
		g->victims = victims;
		g->n_victims = n;
		own = send_fences(c, g);
	}
	pthread_mutex_unlock(&u->lock);
	if (own)
		lu_fence_begin(c->lane, own);
	else
		no_memory(c, victims);
}
