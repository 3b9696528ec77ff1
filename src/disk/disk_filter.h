/* SPDX-License-Identifier: BSD-3-Clause */
/* What filters have in common: a channel with a channel below it, and a list of requests that
 * wait in it. */
#ifndef SR_DISK_FILTER_H
#define SR_DISK_FILTER_H

#include <slipring/disk_engine.h>
#include <stdatomic.h>

/* What the control loop sets while others read it: each value for itself. */
#define RELAXED_GET(x)	  atomic_load_explicit(&(x), memory_order_relaxed)
#define RELAXED_SET(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

struct filter_channel {
	struct sr_disk_channel channel;
	struct sr_disk_channel *below;
};

/* A filter's channel of `bytes`, whose first member is a filter_channel; zeroed. `complete` is
 * called with it for what the disk below has done. */
void *sr_filter_channel_create(struct sr_disk *d, struct sr_loop *loop, size_t bytes,
			       sr_disk_complete_fn *complete, struct sr_error *e);
void sr_filter_channel_destroy(struct sr_disk_channel *c);

/* For filters that have nothing to add: the complete function, and the reap. */
void sr_filter_pass_up(void *ctx, struct sr_disk_req *const *r, unsigned n);
void sr_filter_reap(struct sr_disk_channel *c);

/* The disk of these ops in the stack of `d`, or NULL. */
struct sr_disk *sr_filter_find(const struct sr_disk *d, const struct sr_disk_ops *ops);

/*
 * Requests that wait, in order, linked by `next`. A timer that releases them sleeps no longer
 * than SR_FILTER_NAP_NS: so soon a change from the control loop reaches those that wait, without
 * a list of channels and its lock.
 */
#define SR_FILTER_NAP_NS 50000000u

struct filter_queue {
	struct sr_disk_req *first, **end;
};

void sr_filter_queue_init(struct filter_queue *q);
void sr_filter_queue_add(struct filter_queue *q, struct sr_disk_req *r);
struct sr_disk_req *sr_filter_queue_take(struct filter_queue *q); /* NULL when empty */
/* Its place in the queue, from 0, before it was taken out; -1 when it was not there. */
int sr_filter_queue_remove(struct filter_queue *q, const struct sr_disk_req *r);

#endif
