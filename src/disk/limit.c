/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: requests per second and bytes per second for a whole disk, which several loops
 * use at once.
 *
 * Rejected: buckets of tokens that somebody fills by the clock (a lock, or a timer that ticks
 * while nothing happens); a share of the limit for each channel (one busy queue would never get
 * what the idle ones leave); whoever wakes first takes what there is (a busy channel starves
 * its neighbours).
 *
 * Chosen: each of the two limits is one atomic number, the time at which all that was let
 * through so far is paid for. Whoever has requests pays for them in advance, by moving that time
 * on, and may let them go once it is no more than a burst ahead of the clock. So the turns of
 * channels are in the order in which they paid, a request larger than the burst passes and leaves a
 * debt, and a rest gives a burst and no more, since payment starts at the present at the earliest.
 *
 * A channel pays for a group at a time, up to SLICE worth, to be woken at most so often; behind
 * it everything waits in order. Each request counts one, bytes count where data moves. A flush
 * waits its turn as well: it may be the dearest of all for the medium, and covers nothing but
 * what was complete before, so that holding it back breaks no promise.
 */
#include "base.h"
#include "disk_filter.h"

#include <errno.h>
#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Times in sixteenths of a nanosecond, so that a million per second is not 3 % off. */
#define TICKS	 16u
#define SECOND	 (TICKS * 1000000000ull)
#define SLICE	 (SECOND / 1000)
#define BURST	 (SECOND / 10) /* unless given */
#define COST_MAX (SECOND << 20)
#define DEBT_MAX (SECOND << 24) /* half a year */

struct bucket {
	_Alignas(SR_CACHE_LINE) _Atomic uint64_t paid; /* up to this time */
	_Atomic uint64_t rate;			       /* per second; 0 = no limit */
	_Atomic uint64_t burst;			       /* ticks */
};

enum {
	REQUESTS,
	BYTES,
	BUCKETS
};

struct limit_disk {
	struct sr_disk disk;
	struct sr_disk_limits limits; /* the control loop's */
	struct bucket bucket[BUCKETS];
	_Atomic bool limited;
	_Atomic unsigned changes; /* of the limits: what was paid before is void */
};

struct limit_channel {
	struct filter_channel filter;
	struct filter_queue held;
	struct sr_timer *timer;
	unsigned paid_for; /* so many of the first that are held ... */
	uint64_t go_at;	   /* ... may go then */
	unsigned changes;  /* when they were paid for */
};

static const struct sr_disk_ops limit_ops;

static struct limit_disk *disk_of(struct limit_channel *l)
{
	return SR_CONTAINER_OF(l->filter.channel.disk, struct limit_disk, disk);
}

static struct limit_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct limit_channel, filter.channel);
}

static uint64_t now_ticks(void)
{
	return sr_now_ns() * TICKS;
}

static uint64_t amount(const struct sr_disk_req *r, unsigned which)
{
	bool moves =
		r->op == SR_DISK_READ || r->op == SR_DISK_WRITE || r->op == SR_DISK_ZONE_APPEND;

	return which == REQUESTS ? 1 : moves ? r->len : 0;
}

static uint64_t cost(const struct bucket *b, uint64_t n)
{
	uint64_t rate = RELAXED_GET(b->rate);
	unsigned __int128 t = rate ? (unsigned __int128)n * SECOND / rate : 0;

	return t > COST_MAX ? COST_MAX : (uint64_t)t;
}

/* Pays; returns up to when was paid before. */
static uint64_t pay(struct bucket *b, uint64_t price, uint64_t now)
{
	uint64_t before = RELAXED_GET(b->paid), from;

	do
		from = sr_max(before, now);
	while (!atomic_compare_exchange_weak_explicit(&b->paid, &before,
						      sr_min(from + price, now + DEBT_MAX),
						      memory_order_relaxed, memory_order_relaxed));
	return from;
}

/* What a group costs a bucket, and what of that must be there when its last request goes: a
 * request needs what it costs or, if that is more, a full bucket. */
struct bill {
	uint64_t price, needed;
};

/* How many of the first make a slice. */
static unsigned group(const struct limit_channel *l, const struct bucket *b, struct bill *bill)
{
	unsigned n = 0;
	bool full = false;

	for (const struct sr_disk_req *r = l->held.first; r && !full && n < SR_DISK_BATCH;
	     r = r->next, n++)
		for (unsigned i = 0; i < BUCKETS; i++) {
			uint64_t burst = RELAXED_GET(b[i].burst), c = cost(&b[i], amount(r, i));

			bill[i].needed = bill[i].price + sr_min(c, burst);
			bill[i].price += c;
			full = full || (c && bill[i].price >= sr_min(SLICE, burst / 2));
		}
	return n;
}

static void pay_for_group(struct limit_channel *l, uint64_t now)
{
	struct bucket *b = disk_of(l)->bucket;
	struct bill bill[BUCKETS] = { 0 };

	l->changes = atomic_load(&disk_of(l)->changes);
	l->paid_for = group(l, b, bill);
	l->go_at = now;
	for (unsigned i = 0; i < BUCKETS; i++) {
		uint64_t burst = RELAXED_GET(b[i].burst), until;

		if (!bill[i].price)
			continue;
		until = pay(&b[i], bill[i].price, now) + bill[i].needed;
		if (until > now + burst)
			l->go_at = sr_max(l->go_at, until - burst);
	}
}

static void let_go(struct limit_channel *l)
{
	struct sr_disk_req *batch[SR_DISK_BATCH];
	unsigned n = l->paid_for;

	for (unsigned i = 0; i < n; i++)
		batch[i] = sr_filter_queue_take(&l->held);
	l->paid_for = 0;
	if (n)
		sr_disk_submit(l->filter.below, batch, n);
}

static void go_on(void *ctx)
{
	struct limit_channel *l = ctx;
	uint64_t now = now_ticks();

	while (l->held.first) {
		if (!l->paid_for || l->changes != atomic_load(&disk_of(l)->changes))
			pay_for_group(l, now);
		if (l->go_at > now) {
			sr_timer_set(l->timer,
				     sr_min((l->go_at - now) / TICKS + 1, SR_FILTER_NAP_NS));
			return;
		}
		let_go(l);
	}
}

static void limit_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	struct limit_channel *l = channel_of(c);
	bool waits = l->held.first;

	if (!waits && !RELAXED_GET(disk_of(l)->limited)) {
		sr_disk_submit(l->filter.below, r, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		sr_filter_queue_add(&l->held, r[i]);
	if (!waits)
		go_on(l);
}

static void pay_back(struct bucket *b, uint64_t price)
{
	uint64_t before = RELAXED_GET(b->paid);

	while (!atomic_compare_exchange_weak_explicit(&b->paid, &before,
						      before - sr_min(price, before),
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* One that was paid for and will not go: otherwise a large one, taken back, would hold up what
 * comes after it for as long as it would have lasted. */
static void give_turn_back(struct limit_channel *l, const struct sr_disk_req *r)
{
	struct bucket *b = disk_of(l)->bucket;

	l->paid_for--;
	if (l->changes != atomic_load(&disk_of(l)->changes))
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		pay_back(&b[i], cost(&b[i], amount(r, i)));
}

static bool limit_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	struct limit_channel *l = channel_of(c);
	int place = sr_filter_queue_remove(&l->held, r);

	if (place < 0)
		return sr_disk_cancel(l->filter.below, r);
	if ((unsigned)place < l->paid_for)
		give_turn_back(l, r);
	sr_disk_finish(c, r, -ECANCELED);
	if (!l->held.first)
		sr_timer_cancel(l->timer);
	else if (!l->paid_for)
		sr_timer_set(l->timer, 0);
	return true;
}

static struct sr_disk_channel *limit_channel_create(struct sr_disk *d, struct sr_loop *loop,
						    struct sr_error *e)
{
	struct limit_channel *l =
		sr_filter_channel_create(d, loop, sizeof(*l), sr_filter_pass_up, e);

	if (!l)
		return NULL;
	sr_filter_queue_init(&l->held);
	l->timer = sr_timer_create(loop, go_on, l);
	if (!l->timer) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", d->name);
		sr_filter_channel_destroy(&l->filter.channel);
		return NULL;
	}
	return &l->filter.channel;
}

static void limit_channel_destroy(struct sr_disk_channel *c)
{
	sr_timer_destroy(channel_of(c)->timer);
	sr_filter_channel_destroy(c);
}

static void limit_destroy(struct sr_disk *d)
{
	sr_disk_finish_base(d);
	free(SR_CONTAINER_OF(d, struct limit_disk, disk));
}

static const struct sr_disk_ops limit_ops = {
	.name = "limit",
	.destroy = limit_destroy,
	.channel_create = limit_channel_create,
	.channel_destroy = limit_channel_destroy,
	.submit = limit_submit,
	.reap = sr_filter_reap,
	.cancel = limit_cancel,
};

static void set_bucket(struct bucket *b, uint64_t rate, uint64_t burst)
{
	RELAXED_SET(b->rate, rate);
	RELAXED_SET(b->burst, burst ? cost(b, burst) : BURST);
	RELAXED_SET(b->paid, 0);
}

static void set_limits(struct limit_disk *m, const struct sr_disk_limits *l)
{
	m->limits = *l;
	set_bucket(&m->bucket[REQUESTS], l->iops, l->iops_burst);
	set_bucket(&m->bucket[BYTES], l->bytes_per_second, l->bytes_burst);
	RELAXED_SET(m->limited, l->iops || l->bytes_per_second);
	atomic_fetch_add(&m->changes, 1);
}

struct sr_disk *sr_disk_limit_create(struct sr_disk *below, const struct sr_disk_limits *l,
				     struct sr_error *e)
{
	struct limit_disk *m = aligned_alloc(SR_CACHE_LINE, sizeof(*m));

	if (!m) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", below->name);
		return NULL;
	}
	memset(m, 0, sizeof(*m));
	set_limits(m, l);
	if (sr_disk_init_filter(&m->disk, &limit_ops, below, e)) {
		free(m);
		return NULL;
	}
	return &m->disk;
}

int sr_disk_limit_set(struct sr_disk *d, const struct sr_disk_limits *l, struct sr_error *e)
{
	struct sr_disk *found = sr_filter_find(d, &limit_ops);

	if (!found)
		return sr_error_set(e, -EINVAL, "disk %s: has no limit filter", d->name);
	set_limits(SR_CONTAINER_OF(found, struct limit_disk, disk), l);
	return 0;
}

bool sr_disk_limit_get(const struct sr_disk *d, struct sr_disk_limits *l)
{
	struct sr_disk *found = sr_filter_find(d, &limit_ops);

	if (found)
		*l = SR_CONTAINER_OF(found, struct limit_disk, disk)->limits;
	return found;
}
