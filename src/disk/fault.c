/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: requests that fail or wait. Those that wait do so in a list of their channel, with
 * a timer and without a thread, all for the same time, so that the list is in order of what is
 * due. Which ones fail is drawn from a generator of the channel, whose seed is the number of the
 * channel on this disk: a test that does the same again sees the same again.
 */
#include "base.h"
#include "disk_filter.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdlib.h>

struct fault_disk {
	struct sr_disk disk;
	_Atomic uint32_t seeds; /* channels so far */
	_Atomic uint32_t ops;
	_Atomic uint64_t share; /* of 2^32 */
	_Atomic int error;
	_Atomic uint64_t delay_ns, offset, len;
};

struct fault_channel {
	struct filter_channel filter;
	struct filter_queue waiting; /* own[0].u: since when; own[1].u: -error, or 0 = goes on */
	struct sr_timer *timer;
	uint64_t random;
};

static struct fault_disk *disk_of(struct fault_channel *f)
{
	return SR_CONTAINER_OF(f->filter.channel.disk, struct fault_disk, disk);
}

static struct fault_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct fault_channel, filter.channel);
}

static bool has_range(const struct sr_disk_req *r)
{
	return r->op != SR_DISK_FLUSH && r->op != SR_DISK_ZONE_RESET_ALL;
}

static bool concerns(const struct fault_disk *d, const struct sr_disk_req *r)
{
	uint32_t ops = RELAXED_GET(d->ops);
	uint64_t from = RELAXED_GET(d->offset), len = RELAXED_GET(d->len);

	if (ops && !(ops & 1u << r->op))
		return false;
	if (!len)
		return true;
	/* Zone commands have no length: the place counts. */
	return has_range(r) && r->offset < from + len && from < r->offset + sr_max(r->len, 1);
}

static bool draw(struct fault_channel *f, uint64_t share)
{
	f->random = f->random * 6364136223846793005u + 1442695040888963407u;
	return f->random >> 32 < share;
}

/* What the next one ends with, or 0 when it goes on. */
static int choose(struct fault_channel *f)
{
	return draw(f, RELAXED_GET(disk_of(f)->share)) ? RELAXED_GET(disk_of(f)->error) : 0;
}

static void go_on(struct fault_channel *f, struct sr_disk_req *r, int error)
{
	if (error)
		sr_disk_finish(&f->filter.channel, r, error);
	else
		sr_disk_submit(f->filter.below, &r, 1);
}

static void release(void *ctx)
{
	struct fault_channel *f = ctx;
	uint64_t now = sr_now_ns(), delay = RELAXED_GET(disk_of(f)->delay_ns), due;
	struct sr_disk_req *r;

	while ((r = f->waiting.first)) {
		if (!sr_add_u64(r->own[0].u, delay, &due))
			due = UINT64_MAX;
		if (due > now) {
			sr_timer_set(f->timer, sr_min(due - now, SR_FILTER_NAP_NS));
			return;
		}
		sr_filter_queue_take(&f->waiting);
		go_on(f, r, -(int)r->own[1].u);
	}
}

static void fault_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	struct fault_channel *f = channel_of(c);
	struct fault_disk *d = disk_of(f);
	uint64_t now = sr_now_ns();

	for (unsigned i = 0; i < n; i++) {
		bool hit = concerns(d, r[i]);
		int error = hit ? choose(f) : 0;

		if (!hit || !RELAXED_GET(d->delay_ns)) {
			go_on(f, r[i], error);
			continue;
		}
		r[i]->own[0].u = now;
		r[i]->own[1].u = (uint64_t)-error;
		sr_filter_queue_add(&f->waiting, r[i]);
	}
	release(f);
}

static bool fault_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	struct fault_channel *f = channel_of(c);

	if (sr_filter_queue_remove(&f->waiting, r) < 0)
		return sr_disk_cancel(f->filter.below, r);
	sr_disk_finish(c, r, -ECANCELED);
	if (!f->waiting.first)
		sr_timer_cancel(f->timer);
	return true;
}

static struct sr_disk_channel *fault_channel_create(struct sr_disk *d, struct sr_loop *loop,
						    struct sr_error *e)
{
	struct fault_channel *f =
		sr_filter_channel_create(d, loop, sizeof(*f), sr_filter_pass_up, e);

	if (!f)
		return NULL;
	sr_filter_queue_init(&f->waiting);
	f->random = atomic_fetch_add(&SR_CONTAINER_OF(d, struct fault_disk, disk)->seeds, 1);
	f->timer = sr_timer_create(loop, release, f);
	if (!f->timer) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", d->name);
		sr_filter_channel_destroy(&f->filter.channel);
		return NULL;
	}
	return &f->filter.channel;
}

static void fault_channel_destroy(struct sr_disk_channel *c)
{
	sr_timer_destroy(channel_of(c)->timer);
	sr_filter_channel_destroy(c);
}

static void fault_destroy(struct sr_disk *d)
{
	sr_disk_finish_base(d);
	free(SR_CONTAINER_OF(d, struct fault_disk, disk));
}

static const struct sr_disk_ops fault_ops = {
	.name = "fault",
	.destroy = fault_destroy,
	.channel_create = fault_channel_create,
	.channel_destroy = fault_channel_destroy,
	.submit = fault_submit,
	.reap = sr_filter_reap,
	.cancel = fault_cancel,
};

static int check(const struct sr_disk *d, const struct sr_disk_fault *f, struct sr_error *e)
{
	uint64_t end;

	if (!(f->error_share >= 0 && f->error_share <= 1))
		return sr_error_set(e, -EINVAL, "disk %s: error share %g, expected 0 to 1", d->name,
				    f->error_share);
	if (f->error > 0 || f->error < -4095)
		return sr_error_set(e, -EINVAL, "disk %s: error %d, expected a negative errno",
				    d->name, f->error);
	if (!sr_add_u64(f->offset, f->len, &end))
		return sr_error_set(e, -EINVAL,
				    "disk %s: the range from %" PRIu64 " has %" PRIu64
				    " bytes, past the largest offset there is",
				    d->name, f->offset, f->len);
	return 0;
}

static void set_fault(struct fault_disk *d, const struct sr_disk_fault *f)
{
	RELAXED_SET(d->ops, f->ops);
	RELAXED_SET(d->share, (uint64_t)(f->error_share * 4294967296.0));
	RELAXED_SET(d->error, f->error ? f->error : -EIO);
	RELAXED_SET(d->delay_ns, f->delay_ns);
	RELAXED_SET(d->offset, f->offset);
	RELAXED_SET(d->len, f->len);
}

struct sr_disk *sr_disk_fault_create(struct sr_disk *below, const struct sr_disk_fault *f,
				     struct sr_error *e)
{
	struct fault_disk *d;

	if (check(below, f, e))
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", below->name);
		return NULL;
	}
	set_fault(d, f);
	if (sr_disk_init_filter(&d->disk, &fault_ops, below, e)) {
		free(d);
		return NULL;
	}
	return &d->disk;
}

int sr_disk_fault_set(struct sr_disk *d, const struct sr_disk_fault *f, struct sr_error *e)
{
	struct sr_disk *found = sr_filter_find(d, &fault_ops);
	int r;

	if (!found)
		return sr_error_set(e, -EINVAL, "disk %s: has no fault filter", d->name);
	r = check(d, f, e);
	if (!r)
		set_fault(SR_CONTAINER_OF(found, struct fault_disk, disk), f);
	return r;
}
