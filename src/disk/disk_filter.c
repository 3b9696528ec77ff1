/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk_filter.h"
#include "base.h"

#include <errno.h>
#include <stdlib.h>

void *sr_filter_channel_create(struct sr_disk *d, struct sr_loop *loop, size_t bytes,
			       sr_disk_complete_fn *complete, struct sr_error *e)
{
	struct filter_channel *f = calloc(1, bytes);

	if (!f) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", d->name);
		return NULL;
	}
	f->below = sr_disk_channel_create(d->below, loop, complete, f, e);
	if (!f->below) {
		free(f);
		return NULL;
	}
	return f;
}

void sr_filter_channel_destroy(struct sr_disk_channel *c)
{
	struct filter_channel *f = SR_CONTAINER_OF(c, struct filter_channel, channel);

	sr_disk_channel_destroy(f->below);
	free(f);
}

void sr_filter_pass_up(void *ctx, struct sr_disk_req *const *r, unsigned n)
{
	struct filter_channel *f = ctx;

	for (unsigned i = 0; i < n; i++)
		sr_disk_finish(&f->channel, r[i], r[i]->result);
}

void sr_filter_reap(struct sr_disk_channel *c)
{
	sr_disk_poll(SR_CONTAINER_OF(c, struct filter_channel, channel)->below);
}

struct sr_disk *sr_filter_find(const struct sr_disk *d, const struct sr_disk_ops *ops)
{
	while (d && d->ops != ops)
		d = d->below;
	return (struct sr_disk *)(uintptr_t)d;
}

void sr_filter_queue_init(struct filter_queue *q)
{
	q->first = NULL;
	q->end = &q->first;
}

void sr_filter_queue_add(struct filter_queue *q, struct sr_disk_req *r)
{
	r->next = NULL;
	*q->end = r;
	q->end = &r->next;
}

struct sr_disk_req *sr_filter_queue_take(struct filter_queue *q)
{
	struct sr_disk_req *r = q->first;

	if (r) {
		q->first = r->next;
		if (!q->first)
			q->end = &q->first;
	}
	return r;
}

int sr_filter_queue_remove(struct filter_queue *q, const struct sr_disk_req *r)
{
	struct sr_disk_req **at = &q->first;
	int place = 0;

	for (; *at && *at != r; place++)
		at = &(*at)->next;
	if (!*at)
		return -1;
	*at = r->next;
	if (!*at)
		q->end = at;
	return place;
}
