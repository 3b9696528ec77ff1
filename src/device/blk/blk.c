/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio block device: theory of operation.
 *
 * Each queue is a world of its own: its loop pops requests, a disk channel on the same loop
 * works on them, and nothing is shared between queues but the disk's size and the guest's
 * cache mode, which are read. Rejected: one channel for the device, with completions sent
 * back to the loop of the queue they came from; two threads then pay for each request.
 *
 * A request's memory (blk_request.c, blk_queue.c) is taken from a list of the queue when it is
 * popped and put back when it is pushed. It holds the chain, the pieces of the guest's memory
 * and the disk's own request, so that nothing is allocated on the way. Most media finish
 * later and in another order than they were asked; the ring does not mind.
 *
 * One pass over a queue is in blk_pass.c: a batch goes to the disk in one call and what is
 * done comes back by batches, to be published with one notification.
 *
 * What survives a power cut: a write is complete when the disk says so, a flush reaches all
 * writes that were complete before it, and without a guest that flushes (no FLUSH, or cache
 * mode writethrough) each write is on the medium (FUA) before it is complete.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "blk_internal.h"

#define ZONED_HOST_MANAGED 1

/* struct virtio_blk_config (virtio 1.3, 5.2.4). Geometry is not offered. Little-endian, also
 * for drivers from before 1.0: they are on machines where that is the native order. */
struct blk_space {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint32_t geometry;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
	uint32_t max_secure_erase_sectors, max_secure_erase_seg, secure_erase_sector_alignment;
	uint32_t zone_sectors, max_open_zones, max_active_zones, max_append_sectors;
	uint32_t write_granularity;
	uint8_t model, unused2[3];
} __attribute__((packed));
_Static_assert(sizeof(struct blk_space) == 96, "as the specification has it");

static const struct sr_device_ops blk_ops;

/* What the medium can do, less what is switched off, less what depends on that. A zoned medium
 * has no discard of its own: drivers reset its zones. */
static uint64_t offer_from(const struct sr_blk *b, uint64_t off)
{
	const struct sr_disk_info *i = b->info;
	uint64_t f = SR_F_RING | SR_BLK_F_SIZE_MAX | SR_BLK_F_SEG_MAX | SR_BLK_F_BLK_SIZE |
		     SR_BLK_F_TOPOLOGY | SR_BLK_F_FLUSH | SR_BLK_F_CONFIG_WCE;

	if (b->queue_count > 1)
		f |= SR_BLK_F_MQ;
	if (b->read_only)
		f |= SR_BLK_F_RO;
	if (i->zone_size)
		f |= SR_BLK_F_ZONED;
	else if (!b->read_only)
		f |= (i->can_discard ? SR_BLK_F_DISCARD : 0) |
		     (i->can_zero ? SR_BLK_F_WRITE_ZEROES : 0) |
		     (i->can_erase ? SR_BLK_F_SECURE_ERASE : 0);
	if (i->has_lifetime)
		f |= SR_BLK_F_LIFETIME;
	f &= ~off;
	return f & SR_BLK_F_FLUSH ? f : f & ~SR_BLK_F_CONFIG_WCE;
}

static int config_check(const struct sr_blk_config *c, struct sr_error *e)
{
	size_t serial = c->serial ? strlen(c->serial) : 0;

	if (c->queues > SR_BLK_QUEUES_MAX)
		return sr_error_set(e, -EINVAL, "%s: %u queues, expected at most %u", c->name,
				    c->queues, SR_BLK_QUEUES_MAX);
	if (c->seg_max > BLK_CHAIN_MAX - 2)
		return sr_error_set(e, -EINVAL, "%s: %u pieces of one request, expected at most %u",
				    c->name, c->seg_max, BLK_CHAIN_MAX - 2);
	if (serial > SR_BLK_SERIAL_MAX)
		return sr_error_set(e, -EINVAL, "%s: serial '%s': %zu bytes, expected at most %u",
				    c->name, c->serial, serial, SR_BLK_SERIAL_MAX);
	return 0;
}

/* The capacity is read anew each time. */
static void resized(void *ctx)
{
	struct sr_blk *b = ctx;

	sr_device_config_changed(&b->device);
}

static void blk_set_up(struct sr_blk *b, const struct sr_blk_config *c)
{
	const char *serial = c->serial ? c->serial : c->name;

	b->device.ops = &blk_ops;
	b->device.name = b->name;
	b->disk = c->disk;
	b->info = sr_disk_info(c->disk);
	memcpy(b->serial, serial, strnlen(serial, sizeof(b->serial)));
	b->read_only = c->read_only || b->info->read_only;
	b->writeback_first = b->info->volatile_cache && !c->writethrough;
	b->seg_max = c->seg_max ? c->seg_max : BLK_SEG_MAX;
	b->offer = offer_from(b, c->features_off);
	b->sum = &b->sums;
	atomic_init(&b->features, 0);
	atomic_init(&b->writeback, b->writeback_first);
	b->listener = (struct sr_disk_listener){ .resized = resized, .ctx = b };
	sr_disk_listen(b->disk, &b->listener);
}

struct sr_blk *sr_blk_create(const struct sr_blk_config *c, struct sr_error *e)
{
	uint16_t queues = c->queues ? c->queues : 1;
	struct sr_blk *b;

	if (config_check(c, e))
		return NULL;
	b = calloc(1, sizeof(*b) + queues * sizeof(b->queues[0]));
	if (b)
		b->name = strdup(c->name);
	if (!b || !b->name) {
		free(b);
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->name);
		return NULL;
	}
	b->queue_count = queues;
	blk_set_up(b, c);
	return b;
}

void sr_blk_destroy(struct sr_blk *b)
{
	if (!b)
		return;
	sr_disk_unlisten(b->disk, &b->listener);
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct blk_queue *q = atomic_load(&b->queues[i]);

		assert(!q || !q->vq);
		free(q);
	}
	free(b->name);
	free(b);
}

struct sr_device *sr_blk_device(struct sr_blk *b)
{
	return &b->device;
}

/* Each queue counts for itself, or queues on different loops would fight for the line. */
const struct sr_blk_counters *sr_blk_counters(const struct sr_blk *b)
{
	static const size_t fields = sizeof(struct sr_blk_counters) / sizeof(_Atomic uint64_t);
	_Atomic uint64_t *sum = (_Atomic uint64_t *)b->sum;

	for (size_t f = 0; f < fields; f++) {
		uint64_t total = 0;

		for (unsigned i = 0; i < b->queue_count; i++) {
			const struct blk_queue *q =
				atomic_load_explicit(&b->queues[i], memory_order_acquire);

			if (q)
				total += atomic_load_explicit(
					(const _Atomic uint64_t *)&q->counters + f,
					memory_order_relaxed);
		}
		atomic_store_explicit(&sum[f], total, memory_order_relaxed);
	}
	return b->sum;
}

unsigned sr_blk_in_flight(const struct sr_blk *b)
{
	unsigned total = 0;

	for (unsigned i = 0; i < b->queue_count; i++) {
		const struct blk_queue *q =
			atomic_load_explicit(&b->queues[i], memory_order_acquire);

		if (q)
			total += atomic_load_explicit(&q->in_flight, memory_order_relaxed);
	}
	return total;
}

struct sr_blk_info sr_blk_info(const struct sr_blk *b)
{
	return (struct sr_blk_info){
		.features = atomic_load(&b->features),
		.queues = b->queue_count,
		.read_only = b->read_only,
		.writeback = atomic_load(&b->writeback),
	};
}

/* The device's ops. */

static uint64_t blk_features(struct sr_device *d)
{
	return blk_of_device(d)->offer;
}

/* The same features again, as when a migration begins, leave the guest's cache mode alone. */
static void blk_features_set(struct sr_device *d, uint64_t accepted)
{
	struct sr_blk *b = blk_of_device(d);

	if (atomic_exchange(&b->features, accepted) == accepted)
		return;
	/* 5.2.5.2: a driver that cannot flush starts with writethrough. */
	if (accepted & SR_BLK_F_CONFIG_WCE && !(accepted & SR_BLK_F_FLUSH))
		atomic_store(&b->writeback, false);
}

static unsigned blk_queue_count(struct sr_device *d)
{
	return blk_of_device(d)->queue_count;
}

static uint16_t blk_chain_max(struct sr_device *d, unsigned queue)
{
	(void)d;
	(void)queue;
	return BLK_CHAIN_MAX;
}

/* Sectors of one range at most: what the medium says, and a stated limit, because an engine may
 * be long at it and nobody can take it back. */
uint32_t blk_range_max(const struct sr_disk_info *i, uint64_t of_one_request)
{
	uint64_t sectors = of_one_request ? of_one_request / BLK_SECTOR : BLK_RANGE_SECTORS;
	uint32_t block = i->block_size / BLK_SECTOR;

	return (uint32_t)sr_max(sr_min(sectors, BLK_RANGE_SECTORS) / block * block, block);
}

static uint8_t log2_of(uint32_t n)
{
	return (uint8_t)(31 - __builtin_clz(n));
}

static void space_fill_ranges(const struct sr_blk *b, struct blk_space *s)
{
	const struct sr_disk_info *i = b->info;
	uint32_t granularity = (uint32_t)sr_max(i->discard_granularity, i->block_size) / BLK_SECTOR;

	if (b->offer & SR_BLK_F_DISCARD) {
		s->max_discard_sectors = htole32(blk_range_max(i, i->discard_max));
		s->max_discard_seg = htole32(BLK_RANGES_MAX);
		s->discard_sector_alignment = htole32(granularity);
	}
	if (b->offer & SR_BLK_F_WRITE_ZEROES) {
		s->max_write_zeroes_sectors = htole32(blk_range_max(i, i->zero_max));
		s->max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
		s->write_zeroes_may_unmap = i->can_discard;
	}
	if (b->offer & SR_BLK_F_SECURE_ERASE) {
		s->max_secure_erase_sectors = htole32(blk_range_max(i, i->erase_max));
		s->max_secure_erase_seg = htole32(BLK_RANGES_MAX);
		s->secure_erase_sector_alignment = htole32(granularity);
	}
}

static void space_fill_zoned(const struct sr_blk *b, struct blk_space *s)
{
	const struct sr_disk_info *i = b->info;
	uint64_t most = (uint64_t)b->seg_max * BLK_SIZE_MAX;

	if (!(b->offer & SR_BLK_F_ZONED))
		return;
	s->zone_sectors = htole32((uint32_t)(i->zone_size / BLK_SECTOR));
	s->max_open_zones = htole32(i->max_open);
	s->max_active_zones = htole32(i->max_active);
	s->max_append_sectors = htole32((uint32_t)(sr_min(i->append_max, most) / BLK_SECTOR));
	s->write_granularity = htole32(i->block_size);
	s->model = ZONED_HOST_MANAGED;
}

static void space_fill(const struct sr_blk *b, struct blk_space *s)
{
	const struct sr_disk_info *i = b->info;

	*s = (struct blk_space){
		.capacity = htole64(sr_disk_size(b->disk) / BLK_SECTOR),
		.size_max = htole32(BLK_SIZE_MAX),
		.seg_max = htole32(b->seg_max),
		.blk_size = htole32(i->block_size),
		.physical_block_exp = log2_of(i->physical_size / i->block_size),
		.min_io_size = htole16((uint16_t)sr_min(i->io_min / i->block_size, UINT16_MAX)),
		.opt_io_size = htole32(i->io_opt / i->block_size),
		.writeback = atomic_load(&b->writeback),
		.num_queues = htole16(b->queue_count),
	};
	space_fill_ranges(b, s);
	space_fill_zoned(b, s);
}

static void blk_config_read(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	struct blk_space s;

	assert(sr_range_fits(offset, len, sizeof(s)));
	space_fill(blk_of_device(d), &s);
	memcpy(buf, (const char *)&s + offset, len);
}

/* The cache mode is all that a driver may write (5.2.5). */
static int blk_config_write(struct sr_device *d, uint32_t offset, const void *buf, uint32_t len)
{
	struct sr_blk *b = blk_of_device(d);
	const uint8_t *mode = buf;

	if (!(b->offer & SR_BLK_F_CONFIG_WCE) || offset != offsetof(struct blk_space, writeback) ||
	    len != 1 || *mode > 1)
		return -EINVAL;
	atomic_store(&b->writeback, *mode);
	return 0;
}

static void blk_reset(struct sr_device *d)
{
	struct sr_blk *b = blk_of_device(d);

	atomic_store(&b->features, 0);
	atomic_store(&b->writeback, b->writeback_first);
}

static const struct sr_device_ops blk_ops = {
	.name = "blk",
	.virtio_id = SR_VIRTIO_ID_BLOCK,
	.config_size = sizeof(struct blk_space),
	.queues_max = SR_BLK_QUEUES_MAX,
	.features = blk_features,
	.features_set = blk_features_set,
	.queue_count = blk_queue_count,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.chain_max = blk_chain_max,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.queue_drain = blk_queue_drain,
	.queue_abandon = blk_queue_abandon,
	.queue_enable = blk_queue_enable,
	.process = blk_process,
	.arm = blk_arm,
	.reset = blk_reset,
};
