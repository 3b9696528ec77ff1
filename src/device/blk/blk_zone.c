/* SPDX-License-Identifier: BSD-3-Clause */
/* Zoned media (virtio 1.3, 5.2.6). What a zone's state allows is for the disk to judge. */
#include "blk_internal.h"

#include <endian.h>
#include <errno.h>

#include "iov.h"

struct zone_report {
	uint64_t zones;
	uint8_t reserved[56];
};
struct zone_descriptor {
	uint64_t capacity, start, wp;
	uint8_t type, state, reserved[38];
};
_Static_assert(sizeof(struct zone_report) == 64 && sizeof(struct zone_descriptor) == 64,
	       "as the specification has them");

/* struct virtio_blk_req_za: the sector, then the status. */
#define APPEND_TAIL (sizeof(uint64_t) + 1)

enum blk_status blk_zone_status(int error)
{
	switch (error) {
	case -EPROTO:
		return BLK_S_ZONE_UNALIGNED_WP;
	case -EMFILE:
		return BLK_S_ZONE_OPEN_RESOURCE;
	case -EOVERFLOW:
		return BLK_S_ZONE_ACTIVE_RESOURCE;
	case -ENODEV: /* an offline zone */
	case -EROFS:  /* a read-only one */
	case -EINVAL: /* of a wrong type or state, or across zones */
		return BLK_S_ZONE_INVALID_CMD;
	default:
		return BLK_S_IOERR;
	}
}

static enum blk_status invalid(struct blk_queue *q)
{
	blk_count_malformed(q);
	return BLK_S_ZONE_INVALID_CMD;
}

static bool is_zone_start(const struct blk_queue *q, uint64_t sector)
{
	return sector < blk_disk_sectors(q) && sector % (q->blk->info->zone_size / BLK_SECTOR) == 0;
}

enum blk_status blk_zone_begin(struct blk_queue *q, struct blk_request *r,
			       const struct blk_header *h)
{
	static const uint8_t ops[] = {
		[BLK_T_ZONE_OPEN] = SR_DISK_ZONE_OPEN,
		[BLK_T_ZONE_CLOSE] = SR_DISK_ZONE_CLOSE,
		[BLK_T_ZONE_FINISH] = SR_DISK_ZONE_FINISH,
		[BLK_T_ZONE_RESET] = SR_DISK_ZONE_RESET,
		[BLK_T_ZONE_RESET_ALL] = SR_DISK_ZONE_RESET_ALL,
	};
	/* All zones: the sector means nothing. */
	uint64_t sector = h->type == BLK_T_ZONE_RESET_ALL ? 0 : h->sector;

	blk_count(&q->counters.others, 1);
	if (!is_zone_start(q, sector))
		return invalid(q);
	r->part.req = (struct sr_disk_req){ .op = ops[h->type], .offset = sector * BLK_SECTOR };
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

enum blk_status blk_append_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h)
{
	uint32_t len = r->chain.out_len - (uint32_t)sizeof(*h);
	const struct sr_disk_info *i = q->blk->info;

	blk_count(&q->counters.writes, 1);
	if (!i->append_max) {
		blk_count_malformed(q);
		return BLK_S_UNSUPP;
	}
	if (r->chain.in_len < APPEND_TAIL || !len || len % i->block_size) {
		blk_count_malformed(q);
		return BLK_S_IOERR;
	}
	if (len > i->append_max || !is_zone_start(q, h->sector))
		return invalid(q);
	blk_count(&q->counters.written_bytes, len);
	r->part.req = (struct sr_disk_req){ .op = SR_DISK_ZONE_APPEND,
					    .flags = q->durable ? SR_DISK_FUA : 0,
					    .offset = h->sector * BLK_SECTOR,
					    .len = len };
	r->part.req.niov = blk_data_out(&r->chain, &r->part.req.iov);
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

void blk_append_end(struct blk_request *r)
{
	uint64_t sector = htole64(r->part.req.offset / BLK_SECTOR);
	struct sr_chain *c = &r->chain;

	sr_iov_write(c->in, c->nin, c->in_len - APPEND_TAIL, &sector, sizeof(sector));
}

enum blk_status blk_report_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h)
{
	uint32_t room = r->chain.in_len - 1;
	unsigned n;

	blk_count(&q->counters.others, 1);
	if (room < sizeof(struct zone_report) || h->sector >= blk_disk_sectors(q))
		return invalid(q);
	n = (unsigned)sr_min((room - sizeof(struct zone_report)) / sizeof(struct zone_descriptor),
			     BLK_ZONES_MAX);
	if (!blk_request_extra(r))
		return BLK_S_IOERR;
	r->part.req = (struct sr_disk_req){ .op = SR_DISK_ZONE_REPORT,
					    .offset = h->sector * BLK_SECTOR,
					    .zones = r->extra,
					    .nzones = n };
	if (!n) {
		blk_report_end(r);
		return BLK_S_OK;
	}
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

void blk_report_end(struct blk_request *r)
{
	const struct sr_disk_zone *z = r->part.req.zones;
	struct zone_report report = { .zones = htole64(r->part.req.nzones) };
	struct sr_chain *c = &r->chain;
	size_t at = sizeof(report);

	sr_iov_write(c->in, c->nin, 0, &report, sizeof(report));
	for (unsigned i = 0; i < r->part.req.nzones; i++, at += sizeof(struct zone_descriptor)) {
		struct zone_descriptor d = {
			.capacity = htole64(z[i].capacity / BLK_SECTOR),
			.start = htole64(z[i].start / BLK_SECTOR),
			.wp = htole64(z[i].wp / BLK_SECTOR),
			.type = z[i].type,
			.state = z[i].state,
		};

		sr_iov_write(c->in, c->nin, at, &d, sizeof(d));
	}
}
