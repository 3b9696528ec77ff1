/* SPDX-License-Identifier: BSD-3-Clause */
#include "vscsi_slow.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base.h"
#include "iov.h"

struct slow_channel {
	struct sr_disk_channel base;
	struct sr_disk_req *waiting;
};

static struct slow *slow_of(struct sr_disk *d)
{
	return SR_CONTAINER_OF(d, struct slow, disk);
}

static struct slow_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct slow_channel, base);
}

static void slow_destroy(struct sr_disk *d)
{
	struct slow *s = slow_of(d);

	sr_disk_finish_base(d);
	free(s->bytes);
	free(s);
}

static int slow_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	(void)e;
	sr_disk_set_size(d, size);
	return 0;
}

static struct sr_disk_channel *slow_channel_create(struct sr_disk *d, struct sr_loop *loop,
						   struct sr_error *e)
{
	struct slow_channel *c = calloc(1, sizeof(*c));

	(void)loop;
	if (c && !atomic_load(&slow_of(d)->dead))
		return &c->base;
	free(c);
	sr_error_set(e, -EIO, "disk %s: no channel today", d->name);
	return NULL;
}

static void slow_channel_destroy(struct sr_disk_channel *c)
{
	free(channel_of(c));
}

/* Two loops may write the same block: the guest's mistake, but not a race of this program's. */
static void copy(struct slow *s, const struct sr_disk_req *r)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, 0, s->bytes + r->offset, r->len);
	else if (r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, 0, s->bytes + r->offset, r->len);
	pthread_mutex_unlock(&lock);
}

static void carry_out(struct slow_channel *c, struct sr_disk_req *r)
{
	copy(slow_of(c->base.disk), r);
	sr_disk_finish(&c->base, r, 0);
}

static void slow_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct slow_channel *c = channel_of(base);
	struct slow *s = slow_of(base->disk);

	for (unsigned i = 0; i < n; i++) {
		if (!atomic_load(&s->hold)) {
			carry_out(c, r[i]);
			continue;
		}
		r[i]->own[0].p = c->waiting;
		c->waiting = r[i];
		atomic_fetch_add(&s->held, 1);
	}
}

static void slow_reap(struct sr_disk_channel *base)
{
	struct slow_channel *c = channel_of(base);
	struct slow *s = slow_of(base->disk);

	while (c->waiting && !atomic_load(&s->hold)) {
		struct sr_disk_req *r = c->waiting;

		c->waiting = r->own[0].p;
		atomic_fetch_sub(&s->held, 1);
		carry_out(c, r);
	}
}

static bool slow_arm(struct sr_disk_channel *base)
{
	return channel_of(base)->waiting;
}

static bool slow_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct slow_channel *c = channel_of(base);
	struct slow *s = slow_of(base->disk);
	struct sr_disk_req *prev = NULL, *at = c->waiting;

	if (atomic_load(&s->stubborn))
		return false;
	for (; at && at != r; at = at->own[0].p)
		prev = at;
	if (!at)
		return false;
	if (prev)
		prev->own[0].p = r->own[0].p;
	else
		c->waiting = r->own[0].p;
	atomic_fetch_sub(&s->held, 1);
	atomic_fetch_add(&s->cancelled, 1);
	sr_disk_finish(base, r, -ECANCELED);
	return true;
}

static const struct sr_disk_ops slow_ops = {
	.name = "slow",
	.destroy = slow_destroy,
	.resize = slow_resize,
	.channel_create = slow_channel_create,
	.channel_destroy = slow_channel_destroy,
	.submit = slow_submit,
	.reap = slow_reap,
	.arm = slow_arm,
	.cancel = slow_cancel,
};

struct slow *slow_create(const char *name, uint64_t size)
{
	const struct sr_disk_info info = { .block_size = 512, .physical_size = 512 };
	struct slow *s = calloc(1, sizeof(*s));
	struct sr_error e;

	assert(s);
	s->bytes = calloc(1, size);
	assert(s->bytes && !sr_disk_init(&s->disk, &slow_ops, name, &info, size, &e));
	return s;
}
