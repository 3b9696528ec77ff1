/* SPDX-License-Identifier: BSD-3-Clause */
#include "vu_slow.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO_NS 50000u

static struct rig_device *rd(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct rig_device, device);
}

static void remove_slot(struct rig_slow *w, unsigned i)
{
	struct rig_slot gone = w->slots[i];
	unsigned n = w->held;

	memmove(&w->slots[i], &w->slots[i + 1], (n - 1 - i) * sizeof(gone));
	w->slots[n - 1] = gone; /* its pool serves again */
	w->held = n - 1;
}

static void give_back(struct rig_device *d, unsigned q, unsigned i, bool good)
{
	struct rig_slow *w = &d->slow[q];
	struct sr_chain *c = &w->slots[i].chain;

	assert(i < w->held);
	rig_device_echo(c, good && d->enabled[q]);
	sr_vq_push(d->vq[q], c, 1);
	if (sr_vq_publish(d->vq[q]))
		sr_device_call(&d->device, q);
	remove_slot(w, i);
}

static void finish(struct rig_device *d, unsigned q, unsigned i)
{
	struct rig_slow *w = &d->slow[q];

	give_back(d, q, i, true);
	if (w->held || !w->draining)
		return;
	w->draining = false;
	sr_device_queue_drained(&d->device, q);
}

/* The youngest half. */
static void time_is_up(void *ctx)
{
	struct rig_slow *w = ctx;

	for (unsigned n = (w->held + 1) / 2; n; n--)
		finish(w->d, w->q, w->held - 1);
	if (w->held)
		sr_timer_set(w->timer, AUTO_NS);
}

static void slow_queue_start(struct sr_device *d, unsigned q, struct sr_vq *vq)
{
	struct rig_slow *w = &rd(d)->slow[q];

	rig_ops.queue_start(d, q, vq);
	assert(w->held == 0);
	w->draining = false;
	w->loop = sr_device_queue_loop(d, q);
	w->d = rd(d);
	w->q = q;
	if (rd(d)->automatic)
		w->timer = sr_timer_create(w->loop, time_is_up, w);
}

static void slow_queue_stop(struct sr_device *d, unsigned q)
{
	struct rig_slow *w = &rd(d)->slow[q];

	assert(w->held == 0);
	sr_timer_destroy(w->timer);
	w->timer = NULL;
	rig_ops.queue_stop(d, q);
}

static bool slow_queue_drain(struct sr_device *d, unsigned q)
{
	struct rig_slow *w = &rd(d)->slow[q];

	w->drains++;
	w->draining = w->held;
	return !w->held;
}

static bool slow_queue_abandon(struct sr_device *d, unsigned q)
{
	struct rig_slow *w = &rd(d)->slow[q];

	w->abandoned++;
	if (!rd(d)->can_abandon)
		return false;
	if (sr_vq_keeps(rd(d)->vq[q]))
		w->held = 0;
	while (w->held)
		give_back(rd(d), q, 0, false);
	return true;
}

static int slow_process(struct sr_device *d, unsigned q, unsigned budget)
{
	struct rig_slow *w = &rd(d)->slow[q];
	unsigned n = 0;

	assert(!w->draining);
	while (n < budget && w->held < RIG_HELD) {
		struct rig_slot *t = &w->slots[w->held];
		int r;

		if (!t->pool.v)
			assert(sr_iov_pool_init(&t->pool, 8) == 0);
		sr_iov_pool_reset(&t->pool);
		r = sr_vq_pop(rd(d)->vq[q], &t->chain, 1, &t->pool);
		if (r < 0) {
			sr_device_queue_broken(d, q, sr_vq_error(rd(d)->vq[q]));
			rd(d)->broken[q]++;
		}
		if (r <= 0)
			break;
		w->held++;
		w->taken++;
		n++;
	}
	if (w->timer && w->held)
		sr_timer_set(w->timer, AUTO_NS);
	return w->held == RIG_HELD ? -50 : (int)n;
}

static struct sr_device_ops slow_ops;

static int setup(void **state, struct rig *beside, unsigned drain_ms, bool automatic)
{
	if (!slow_ops.name) { /* other threads read it from here on */
		slow_ops = rig_ops;
		slow_ops.queue_start = slow_queue_start;
		slow_ops.queue_stop = slow_queue_stop;
		slow_ops.queue_drain = slow_queue_drain;
		slow_ops.queue_abandon = slow_queue_abandon;
		slow_ops.process = slow_process;
	}
	return rig_setup_with(state, &slow_ops, drain_ms, automatic, beside);
}

int rig_setup_slow(void **state)
{
	return setup(state, NULL, 600000, false);
}

int rig_setup_hasty(void **state)
{
	return setup(state, NULL, 20, false);
}

int rig_setup_auto(void **state)
{
	return setup(state, NULL, 600000, true);
}

struct rig *rig_slow_beside(struct rig *first)
{
	void *r;

	setup(&r, first, 600000, false);
	return r;
}

void rig_occupy(struct rig *r, unsigned q, unsigned n)
{
	unsigned before = r->d.slow[q].taken;

	for (unsigned i = 0; i < n; i++)
		rig_add(r, q, i, 64);
	rig_publish(r, q);
	RIG_WAIT(r->d.slow[q].taken == before + n);
}

struct act {
	struct rig *r;
	unsigned q, i;
	bool all;
	char byte;
};

static void finish_on_loop(void *ctx)
{
	struct act *a = ctx;

	if (!a->all)
		finish(&a->r->d, a->q, a->i);
	while (a->all && a->r->d.slow[a->q].held)
		finish(&a->r->d, a->q, 0);
}

void rig_finish(struct rig *r, unsigned q, unsigned i)
{
	struct act a = { .r = r, .q = q, .i = i };

	sr_loop_call(r->d.slow[q].loop, finish_on_loop, &a);
}

void rig_finish_all(struct rig *r, unsigned q)
{
	struct act a = { .r = r, .q = q, .all = true };

	sr_loop_call(r->d.slow[q].loop, finish_on_loop, &a);
}

static void peek_on_loop(void *ctx)
{
	struct act *a = ctx;

	assert(a->i < a->r->d.slow[a->q].held);
	a->byte = *(char *)a->r->d.slow[a->q].slots[a->i].chain.out->iov_base;
}

char rig_peek(struct rig *r, unsigned q, unsigned i)
{
	struct act a = { .r = r, .q = q, .i = i };

	sr_loop_call(r->d.slow[q].loop, peek_on_loop, &a);
	return a.byte;
}

unsigned rig_collect(struct rig *r, unsigned q, unsigned *done)
{
	struct sr_used u[64];
	int n = sr_drvq_get(r->drv[q], u, 64);

	assert_true(n >= 0);
	*done = 0;
	for (int i = 0; i < n; i++) {
		if (u[i].len)
			assert_memory_equal(u[i].token, (uint8_t *)u[i].token + 256, u[i].len);
		*done += u[i].len != 0;
	}
	return (unsigned)n;
}
