/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: a list sorted by due time, since a loop has a handful of them. */
#include "loop_internal.h"

#include <stdlib.h>

struct sr_timer *sr_timer_create(struct sr_loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct sr_timer *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct sr_timer){ .loop = l, .fn = fn, .ctx = ctx };
	return t;
}

void sr_timer_set(struct sr_timer *t, uint64_t delay_ns)
{
	struct sr_timer_list *list = &t->loop->timers;
	struct sr_timer *at;

	sr_timer_cancel(t);
	if (!sr_add_u64(sr_now_ns(), delay_ns, &t->due))
		t->due = UINT64_MAX;
	/* Timers of the same due time fire in the order in which they were set. */
	TAILQ_FOREACH_REVERSE(at, list, sr_timer_list, link)
	if (at->due <= t->due)
		break;
	if (at)
		TAILQ_INSERT_AFTER(list, at, t, link);
	else
		TAILQ_INSERT_HEAD(list, t, link);
	t->pending = true;
}

void sr_timer_cancel(struct sr_timer *t)
{
	if (t->pending)
		TAILQ_REMOVE(&t->loop->timers, t, link);
	t->pending = false;
}

void sr_timer_destroy(struct sr_timer *t)
{
	if (!t)
		return;
	sr_timer_cancel(t);
	free(t);
}

/* Ends even if a callback sets its timer to 0 again: that one is due after loop->now. */
void sr_timers_run(struct sr_loop *l)
{
	struct sr_timer *t;

	while ((t = TAILQ_FIRST(&l->timers)) && t->due <= l->now) {
		sr_timer_cancel(t);
		t->fn(t->ctx);
	}
}
