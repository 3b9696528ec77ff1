/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: media as different as a page of memory and a cluster of servers, each to be used
 * by many loops at once, most of them finishing requests in another order and, some of them, on
 * threads of their own.
 *
 * Rejected: a callback for each request (the ring behind it wants to publish once for many); a
 * lock on the disk (one queue of one guest would pay for all others); completions from
 * inside submit (every user would have to be re-entrant for the sake of the fast media).
 *
 * Chosen: a channel per user and loop. Engines collect what is done in the channel's list,
 * sr_disk_poll hands it over by batches. A filter is a disk whose channel has a channel of the
 * disk below: the request itself goes through all layers, so a layer costs no allocation.
 */
#include "base.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <slipring/disk_engine.h>
#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdlib.h>

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int check_size(const char *name, uint32_t block, uint64_t size, struct sr_error *e)
{
	if (size && size % block == 0 && size <= INT64_MAX)
		return 0;
	return sr_error_set(e, -EINVAL,
			    "disk %s: %" PRIu64 " bytes, expected a positive multiple of its block "
			    "size %" PRIu32 " up to %" PRIi64,
			    name, size, block, INT64_MAX);
}

static int check_shape(const char *name, const struct sr_disk_info *i, uint64_t size,
		       struct sr_error *e)
{
	if (i->block_size != 512 && i->block_size != 4096)
		return sr_error_set(e, -EINVAL,
				    "disk %s: block size %" PRIu32 ", expected 512 or 4096", name,
				    i->block_size);
	if (!is_power_of_two(i->physical_size) || i->physical_size < i->block_size)
		return sr_error_set(e, -EINVAL,
				    "disk %s: physical block size %" PRIu32
				    ", expected a power of two from %" PRIu32,
				    name, i->physical_size, i->block_size);
	return check_size(name, i->block_size, size, e);
}

int sr_disk_init(struct sr_disk *d, const struct sr_disk_ops *ops, const char *name,
		 const struct sr_disk_info *info, uint64_t size, struct sr_error *e)
{
	int r = check_shape(name, info, size, e);

	if (r)
		return r;
	d->ops = ops;
	d->name = strdup(name);
	if (!d->name)
		return sr_error_set(e, -ENOMEM, "disk %s: out of memory", name);
	d->info = *info;
	atomic_init(&d->size, size);
	atomic_init(&d->channels, 0);
	d->listeners = NULL;
	d->next_told = NULL;
	d->below = NULL;
	return 0;
}

static void below_resized(void *ctx)
{
	struct sr_disk *d = ctx;

	sr_disk_set_size(d, sr_disk_size(d->below));
}

int sr_disk_init_filter(struct sr_disk *d, const struct sr_disk_ops *ops, struct sr_disk *below,
			struct sr_error *e)
{
	int r = sr_disk_init(d, ops, below->name, &below->info, sr_disk_size(below), e);

	if (r)
		return r;
	d->below = below;
	d->on_below = (struct sr_disk_listener){ .resized = below_resized, .ctx = d };
	sr_disk_listen(below, &d->on_below);
	return 0;
}

void sr_disk_finish_base(struct sr_disk *d)
{
	assert(atomic_load(&d->channels) == 0 && !d->listeners);
	if (d->below) {
		sr_disk_unlisten(d->below, &d->on_below);
		sr_disk_destroy(d->below);
	}
	free(d->name);
}

void sr_disk_destroy(struct sr_disk *d)
{
	if (d)
		d->ops->destroy(d);
}

const char *sr_disk_name(const struct sr_disk *d)
{
	return d->name;
}

const struct sr_disk_info *sr_disk_info(const struct sr_disk *d)
{
	return &d->info;
}

uint64_t sr_disk_size(const struct sr_disk *d)
{
	return atomic_load_explicit(&d->size, memory_order_relaxed);
}

const char *sr_disk_engine(const struct sr_disk *d)
{
	while (d->below)
		d = d->below;
	return d->ops->name;
}

int sr_disk_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	while (!d->ops->resize && d->below)
		d = d->below;
	if (!d->ops->resize)
		return sr_error_set(e, -EOPNOTSUPP, "disk %s: a %s disk keeps its size", d->name,
				    d->ops->name);
	if (size && check_size(d->name, d->info.block_size, size, e))
		return -EINVAL;
	return d->ops->resize(d, size, e);
}

void sr_disk_listen(struct sr_disk *d, struct sr_disk_listener *l)
{
	l->next = d->listeners;
	d->listeners = l;
}

void sr_disk_unlisten(struct sr_disk *d, struct sr_disk_listener *l)
{
	struct sr_disk_listener **at = &d->listeners;

	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
	if (d->next_told == l)
		d->next_told = l->next;
}

void sr_disk_set_size(struct sr_disk *d, uint64_t size)
{
	if (sr_disk_size(d) == size)
		return;
	atomic_store(&d->size, size);
	/* A listener may take itself and others off. When one changes the size again, the rest
	 * hears of it from there. */
	for (struct sr_disk_listener *l = d->listeners; l; l = d->next_told) {
		d->next_told = l->next;
		l->resized(l->ctx);
	}
}

static unsigned poll_channel(struct sr_disk_channel *c);

static int channel_poll(void *ctx)
{
	struct sr_disk_channel *c = ctx;

	c->asleep = false;
	return (int)poll_channel(c);
}

static bool channel_arm(void *ctx)
{
	struct sr_disk_channel *c = ctx;

	if (c->done || (c->disk->ops->arm && c->disk->ops->arm(c)))
		return true;
	c->asleep = true;
	return false;
}

static const struct sr_poller_ops poller_ops = { .poll = channel_poll, .arm = channel_arm };

struct sr_disk_channel *sr_disk_channel_create(struct sr_disk *d, struct sr_loop *loop,
					       sr_disk_complete_fn *complete, void *ctx,
					       struct sr_error *e)
{
	struct sr_disk_channel *c = d->ops->channel_create(d, loop, e);
	int fd;

	if (!c)
		return NULL;
	c->disk = d;
	c->loop = loop;
	c->complete = complete;
	c->ctx = ctx;
	c->done = NULL;
	c->done_tail = &c->done;
	c->finished = c->under_way = 0;
	c->reaping = c->completing = c->asleep = false;
	atomic_fetch_add(&d->channels, 1);
	c->poller = sr_poller_create(loop, &poller_ops, c, e);
	fd = d->ops->event_fd ? d->ops->event_fd(c) : -1;
	if (!c->poller || (fd >= 0 && sr_poller_kick_fd(c->poller, fd, e))) {
		sr_disk_channel_destroy(c);
		return NULL;
	}
	return c;
}

void sr_disk_channel_destroy(struct sr_disk_channel *c)
{
	if (!c)
		return;
	assert(c->under_way == 0 && !c->completing);
	atomic_fetch_sub(&c->disk->channels, 1);
	sr_poller_destroy(c->poller);
	c->disk->ops->channel_destroy(c);
}

void sr_disk_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	c->under_way += n;
	c->disk->ops->submit(c, r, n);
	sr_poller_wake(c->poller);
}

void sr_disk_finish(struct sr_disk_channel *c, struct sr_disk_req *r, int result)
{
	/* What comes outside of a poll, from a timer or from the disk below, must be fetched. */
	if (!c->done && !c->reaping)
		sr_poller_wake(c->poller);
	r->result = result;
	r->next = NULL;
	*c->done_tail = r;
	c->done_tail = &r->next;
	c->finished++;
}

static unsigned take_done(struct sr_disk_channel *c, struct sr_disk_req **batch, unsigned max)
{
	unsigned n = (unsigned)sr_min(max, SR_DISK_BATCH);

	for (unsigned i = 0; i < n; i++) {
		batch[i] = c->done;
		c->done = batch[i]->next;
	}
	if (!c->done)
		c->done_tail = &c->done;
	c->finished -= n;
	c->under_way -= n;
	return n;
}

static unsigned poll_channel(struct sr_disk_channel *c)
{
	struct sr_disk_req *batch[SR_DISK_BATCH];
	unsigned total, n;

	if (c->completing)
		return 0;
	c->reaping = true;
	if (c->disk->ops->reap)
		c->disk->ops->reap(c);
	c->reaping = false;
	c->completing = true;
	/* What is submitted from complete() waits for the next poll: others have their turn. The
	 * rest stays in the list meanwhile, where sr_disk_cancel finds it. */
	total = c->finished;
	for (unsigned left = total; left; left -= n) {
		n = take_done(c, batch, left);
		c->complete(c->ctx, batch, n);
	}
	c->completing = false;
	return total;
}

unsigned sr_disk_poll(struct sr_disk_channel *c)
{
	unsigned n = poll_channel(c);

	/* An engine that was reaped is not armed any more; who sleeps relies on that it is. */
	if (c->asleep && c->under_way) {
		c->asleep = false;
		sr_poller_wake(c->poller);
	}
	return n;
}

bool sr_disk_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	/* Finished already: its completion is on its way. */
	for (struct sr_disk_req *d = c->done; d; d = d->next)
		if (d == r)
			return true;
	if (!c->disk->ops->cancel || !c->disk->ops->cancel(c, r))
		return false;
	sr_poller_wake(c->poller);
	return true;
}
