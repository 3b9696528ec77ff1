/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: zones as a host-managed disk has them, on a disk that has none.
 *
 * Chosen: what the zones are and what they allow is one table (zone_table.c). Each request that
 * goes below goes as a part, a request of our own with what its end needs to know (what was
 * claimed, what is left to discard), from a list of spare ones in the channel.
 *
 * Reads go anywhere; behind the write pointer there are zeroes, which the end of the read puts
 * there: so a reset need not wipe anything, an old file makes an empty disk, and what a write
 * left behind that failed is not seen. What a read sees that meets a write or a reset on its way
 * is either of the two, as on other disks.
 *
 * A reset gives the room back first and moves the pointer last. Rejected: the other order, in
 * which a write that another loop lets through meanwhile would be discarded.
 */
#include "base.h"
#include "disk_filter.h"
#include "iov.h"
#include "zone_sync.h"
#include "zone_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define APPEND_MAX (1u << 20)

struct zoned_disk {
	struct sr_disk disk;
	struct zone_table table;
	struct zone_sync sync; /* where there is a file of the table */
};

struct part {
	struct sr_disk_req req;
	struct sr_disk_req *whole;
	struct zoned_channel *channel;
	struct zone_claim claim;  /* writes */
	uint64_t reset_to;	  /* resets: the end of what is to be discarded */
	struct zone_sync_job job; /* flushes and FUA */
	bool syncing, taken_back;
	TAILQ_ENTRY(part) link; /* under way, or spare */
};
TAILQ_HEAD(part_list, part);

struct zoned_channel {
	struct filter_channel filter;
	struct part_list under_way, spare;
	struct sr_disk_req *batch[SR_DISK_BATCH]; /* to go below together */
	unsigned batched;
};

static struct zoned_disk *disk_of(const struct zoned_channel *z)
{
	return SR_CONTAINER_OF(z->filter.channel.disk, struct zoned_disk, disk);
}

static struct zoned_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct zoned_channel, filter.channel);
}

static void send_batch(struct zoned_channel *z)
{
	unsigned n = z->batched;

	z->batched = 0;
	if (n)
		sr_disk_submit(z->filter.below, z->batch, n);
}

static void send(struct zoned_channel *z, struct part *p)
{
	z->batch[z->batched++] = &p->req;
	if (z->batched == SR_DISK_BATCH)
		send_batch(z);
}

/* NULL: out of memory. Spare ones stay for the next requests. */
static struct part *part_of(struct zoned_channel *z, struct sr_disk_req *whole)
{
	struct part *p = TAILQ_FIRST(&z->spare);

	if (p)
		TAILQ_REMOVE(&z->spare, p, link);
	else
		p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	p->req = *whole;
	p->whole = whole;
	p->channel = z;
	p->syncing = p->taken_back = false;
	TAILQ_INSERT_TAIL(&z->under_way, p, link);
	return p;
}

static void end_part(struct zoned_channel *z, struct part *p, int result)
{
	TAILQ_REMOVE(&z->under_way, p, link);
	TAILQ_INSERT_HEAD(&z->spare, p, link);
	sr_disk_finish(&z->filter.channel, p->whole, result);
}

static void synced(void *job)
{
	struct part *p = SR_CONTAINER_OF(job, struct part, job);

	end_part(p->channel, p, p->job.result);
}

/* What must be durable: so must be where it ends. */
static void end_durable(struct zoned_channel *z, struct part *p, int result)
{
	struct zoned_disk *d = disk_of(z);

	if (result || d->table.file.fd < 0) {
		end_part(z, p, result);
		return;
	}
	p->syncing = true;
	p->job = (struct zone_sync_job){ .loop = z->filter.channel.loop, .done = synced };
	zone_sync_submit(&d->sync, &p->job);
}

static void zero_iov(const struct sr_disk_req *r, uint64_t from, uint64_t to)
{
	static const char zeroes[4096];

	for (uint64_t n; from < to; from += n) {
		n = sr_min(to - from, sizeof(zeroes));
		sr_iov_write(r->iov, r->niov, from, zeroes, n);
	}
}

static void end_read(struct zoned_channel *z, struct part *p)
{
	const struct zone_table *t = &disk_of(z)->table;
	const struct sr_disk_req *r = p->whole;
	uint64_t end = r->offset + r->len, next;

	for (uint64_t at = r->offset; at < end && p->req.result == 0; at = next) {
		uint64_t n = at / t->zone_size, start = n * t->zone_size;
		uint64_t hole = sr_max(at, start + zone_table_filled(t, (uint32_t)n));

		next = sr_min(end, start + t->zone_size);
		if (hole < next)
			zero_iov(r, hole - r->offset, next - r->offset);
	}
	end_part(z, p, p->req.result);
}

static void end_write(struct zoned_channel *z, struct part *p)
{
	struct zone_table *t = &disk_of(z)->table;

	if (p->req.result)
		zone_table_unclaim(t, &p->claim);
	else
		zone_table_written(t, &p->claim);
	if (p->whole->op == SR_DISK_ZONE_APPEND)
		p->whole->offset = p->claim.offset;
	if (p->req.flags & SR_DISK_FUA)
		end_durable(z, p, p->req.result);
	else
		end_part(z, p, p->req.result);
}

static int reset_now(struct zone_table *t, const struct sr_disk_req *r)
{
	if (r->op == SR_DISK_ZONE_RESET)
		return zone_table_reset(t, r->offset);
	zone_table_reset_all(t);
	return 0;
}

/* Discards what is left of [p->req.offset, p->reset_to), as much of it as one request may. */
static void send_discard(struct zoned_channel *z, struct part *p)
{
	uint64_t max = disk_of(z)->disk.below->info.discard_max;

	p->req.len = p->reset_to - p->req.offset;
	if (max)
		p->req.len = sr_min(p->req.len, max);
	send(z, p);
}

/* A discard that failed gave no room back: that is all. */
static void end_discard(struct zoned_channel *z, struct part *p)
{
	if (p->taken_back || p->req.result == -ECANCELED) {
		end_part(z, p, -ECANCELED);
		return;
	}
	p->req.offset += p->req.len;
	if (p->req.result == 0 && p->req.offset < p->reset_to)
		send_discard(z, p);
	else
		end_part(z, p, reset_now(&disk_of(z)->table, p->whole));
}

static void below_completed(void *ctx, struct sr_disk_req *const *r, unsigned n)
{
	struct zoned_channel *z = ctx;

	for (unsigned i = 0; i < n; i++) {
		struct part *p = SR_CONTAINER_OF(r[i], struct part, req);

		switch (r[i]->op) {
		case SR_DISK_READ:
			end_read(z, p);
			break;
		case SR_DISK_WRITE:
			end_write(z, p);
			break;
		case SR_DISK_DISCARD:
			end_discard(z, p);
			break;
		default:
			end_durable(z, p, r[i]->result); /* flush */
		}
	}
	send_batch(z);
}

static int begin_pass(struct zoned_channel *z, struct sr_disk_req *r)
{
	struct part *p = part_of(z, r);

	if (p)
		send(z, p);
	return p ? 0 : -EIO;
}

static int begin_write(struct zoned_channel *z, struct sr_disk_req *r)
{
	struct zone_claim c;
	bool append = r->op == SR_DISK_ZONE_APPEND;
	int result = zone_table_claim(&disk_of(z)->table, append, r->offset, r->len, &c);
	struct part *p;

	if (result)
		return result;
	p = part_of(z, r);
	if (!p) {
		zone_table_unclaim(&disk_of(z)->table, &c);
		return -EIO;
	}
	p->claim = c;
	p->req.op = SR_DISK_WRITE;
	p->req.offset = c.offset;
	send(z, p);
	return 0;
}

static bool is_sequential_zone(const struct zone_table *t, uint64_t offset)
{
	return offset % t->zone_size == 0 && offset / t->zone_size >= t->conventional;
}

/* 1 when it is on its way. */
static int begin_reset(struct zoned_channel *z, struct sr_disk_req *r)
{
	const struct zone_table *t = &disk_of(z)->table;
	bool all = r->op == SR_DISK_ZONE_RESET_ALL;
	uint64_t from = all ? t->conventional * t->zone_size : r->offset;
	uint64_t end = all ? t->zones * t->zone_size : from + t->zone_size;
	struct part *p;

	if (!all && !is_sequential_zone(t, r->offset))
		return -EINVAL;
	if (!disk_of(z)->disk.below->info.can_discard || from == end)
		return reset_now(&disk_of(z)->table, r);
	p = part_of(z, r);
	if (!p)
		return -EIO;
	p->req = (struct sr_disk_req){ .op = SR_DISK_DISCARD, .offset = from };
	p->reset_to = end;
	send_discard(z, p);
	return 1;
}

static int report(const struct zone_table *t, struct sr_disk_req *r)
{
	uint64_t first = r->offset / t->zone_size;
	uint32_t n = (uint32_t)sr_min(r->nzones, t->zones - first);

	for (uint32_t i = 0; i < n; i++)
		zone_table_describe(t, (uint32_t)first + i, &r->zones[i]);
	r->nzones = n;
	return 0;
}

/* 1 when it is on its way, else what it ends with. */
static int begin_zone_command(struct zoned_channel *z, struct sr_disk_req *r)
{
	struct zoned_disk *d = disk_of(z);

	if (r->op != SR_DISK_ZONE_RESET_ALL && r->offset >= sr_disk_size(&d->disk))
		return -EINVAL;
	if (r->op == SR_DISK_ZONE_REPORT)
		return report(&d->table, r);
	if (d->disk.info.read_only)
		return -EROFS;
	switch (r->op) {
	case SR_DISK_ZONE_OPEN:
		return zone_table_open(&d->table, r->offset);
	case SR_DISK_ZONE_CLOSE:
		return zone_table_close(&d->table, r->offset);
	case SR_DISK_ZONE_FINISH:
		return zone_table_end(&d->table, r->offset);
	default:
		return begin_reset(z, r);
	}
}

static int begin(struct zoned_channel *z, struct sr_disk_req *r)
{
	struct zoned_disk *d = disk_of(z);
	int result;

	switch (r->op) {
	case SR_DISK_FLUSH:
		result = begin_pass(z, r);
		break;
	case SR_DISK_READ:
	case SR_DISK_WRITE:
	case SR_DISK_ZONE_APPEND:
		if (!sr_range_fits(r->offset, r->len, sr_disk_size(&d->disk)))
			result = -EIO;
		else if (r->op == SR_DISK_READ)
			result = begin_pass(z, r);
		else
			result = d->disk.info.read_only ? -EROFS : begin_write(z, r);
		break;
	case SR_DISK_DISCARD:
	case SR_DISK_ZEROES:
	case SR_DISK_ERASE:
		return -EOPNOTSUPP;
	default:
		return begin_zone_command(z, r);
	}
	return result ? result : 1;
}

static void zoned_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	struct zoned_channel *z = channel_of(c);

	for (unsigned i = 0; i < n; i++) {
		int result = begin(z, r[i]);

		if (result <= 0)
			sr_disk_finish(c, r[i], result);
	}
	send_batch(z);
}

static bool zoned_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	struct zoned_channel *z = channel_of(c);
	struct part *p;

	TAILQ_FOREACH(p, &z->under_way, link)
	if (p->whole == r)
		break;
	if (!p || p->syncing || !sr_disk_cancel(z->filter.below, &p->req))
		return false;
	p->taken_back = true; /* no further part of a reset */
	return true;
}

static struct sr_disk_channel *zoned_channel_create(struct sr_disk *d, struct sr_loop *loop,
						    struct sr_error *e)
{
	struct zoned_channel *z = sr_filter_channel_create(d, loop, sizeof(*z), below_completed, e);

	if (!z)
		return NULL;
	TAILQ_INIT(&z->under_way);
	TAILQ_INIT(&z->spare);
	return &z->filter.channel;
}

static void zoned_channel_destroy(struct sr_disk_channel *c)
{
	struct zoned_channel *z = channel_of(c);
	struct part *p;

	while ((p = TAILQ_FIRST(&z->spare))) {
		TAILQ_REMOVE(&z->spare, p, link);
		free(p);
	}
	sr_filter_channel_destroy(c);
}

static int zoned_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	if (size == 0)
		return 0;
	return sr_error_set(e, -EOPNOTSUPP, "disk %s: a zoned disk keeps its size", d->name);
}

static void undo_create(struct zoned_disk *z)
{
	if (z->table.file.fd >= 0)
		zone_sync_stop(&z->sync);
	zone_table_finish(&z->table);
	free(z);
}

static void zoned_destroy(struct sr_disk *d)
{
	struct zoned_disk *z = SR_CONTAINER_OF(d, struct zoned_disk, disk);

	sr_disk_finish_base(d);
	undo_create(z);
}

static const struct sr_disk_ops zoned_ops = {
	.name = "zoned",
	.destroy = zoned_destroy,
	.resize = zoned_resize,
	.channel_create = zoned_channel_create,
	.channel_destroy = zoned_channel_destroy,
	.submit = zoned_submit,
	.reap = sr_filter_reap,
	.cancel = zoned_cancel,
};

static int check_config(const struct sr_disk *below, const struct sr_disk_zoned_config *c,
			struct sr_error *e)
{
	uint32_t block = below->info.block_size;
	uint64_t size = sr_disk_size(below), zones;

	if (below->info.zone_size)
		return sr_error_set(e, -EINVAL, "disk %s: is zoned already", below->name);
	if (!c->zone_size || c->zone_size % block || c->zone_size > 1ull << 47)
		return sr_error_set(e, -EINVAL,
				    "disk %s: zones of %" PRIu64
				    " bytes, expected a multiple of the block size %" PRIu32
				    " up to 128 TiB",
				    below->name, c->zone_size, block);
	zones = size / c->zone_size;
	if (size % c->zone_size || zones > UINT32_MAX)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %" PRIu64 " bytes, expected a multiple of the zone "
				    "size %" PRIu64 " and at most 2^32 - 1 zones",
				    below->name, size, c->zone_size);
	if (c->conventional > zones)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %" PRIu32 " conventional zones, but only %" PRIu64
				    " zones",
				    below->name, c->conventional, zones);
	if (c->max_active && c->max_open > c->max_active)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %" PRIu32 " zones may be open, but only %" PRIu32
				    " active",
				    below->name, c->max_open, c->max_active);
	return 0;
}

static void fill_info(struct sr_disk_info *i, const struct sr_disk_zoned_config *c, uint32_t zones)
{
	i->can_discard = i->can_zero = i->can_erase = false;
	i->discard_granularity = 0;
	i->discard_max = i->zero_max = i->erase_max = 0;
	i->zone_size = c->zone_size;
	i->zones = zones;
	i->max_open = c->max_open;
	i->max_active = c->max_active;
	i->append_max = (uint32_t)sr_min(c->zone_size, APPEND_MAX);
}

/* Another size below is no other number of zones; what lies past its end fails there. */
static void ignore_resize(void *ctx)
{
	(void)ctx;
}

struct sr_disk *sr_disk_zoned_create(struct sr_disk *below, const struct sr_disk_zoned_config *c,
				     struct sr_error *e)
{
	struct zoned_disk *z;
	uint32_t zones;

	if (check_config(below, c, e))
		return NULL;
	z = calloc(1, sizeof(*z));
	if (!z) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", below->name);
		return NULL;
	}
	zones = (uint32_t)(sr_disk_size(below) / c->zone_size);
	if (zone_table_init(&z->table, below->name, c, zones, below->info.block_size, e)) {
		free(z);
		return NULL;
	}
	if (z->table.file.fd >= 0 && zone_sync_start(&z->sync, z->table.file.fd, below->name, e)) {
		zone_table_finish(&z->table);
		free(z);
		return NULL;
	}
	if (sr_disk_init_filter(&z->disk, &zoned_ops, below, e)) {
		undo_create(z);
		return NULL;
	}
	z->disk.on_below.resized = ignore_resize;
	fill_info(&z->disk.info, c, zones);
	return &z->disk;
}
