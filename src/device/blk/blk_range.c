/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Discard, write zeroes and secure erase: lists of ranges. All are copied and judged before the
 * first goes to the disk. Each is a part of its own, and they go together; the request's
 * status is the first error of any.
 */
#include "blk_internal.h"

#include <endian.h>

#include "iov.h"

/* struct virtio_blk_discard_write_zeroes (virtio 1.3, 5.2.6) */
struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};
#define RANGE_UNMAP 1u

static const struct range_op {
	uint8_t op;
	bool may_unmap;
} ops[] = {
	[BLK_T_DISCARD] = { SR_DISK_DISCARD, false },
	[BLK_T_WRITE_ZEROES] = { SR_DISK_ZEROES, true },
	[BLK_T_SECURE_ERASE] = { SR_DISK_ERASE, false },
};

static uint32_t sectors_max(const struct sr_disk_info *i, uint8_t op)
{
	return blk_range_max(i, op == SR_DISK_DISCARD  ? i->discard_max
				: op == SR_DISK_ZEROES ? i->zero_max
						       : i->erase_max);
}

static enum blk_status range_judge(const struct blk_queue *q, const struct range_op *op,
				   const struct range *range)
{
	if (range->flags & ~(op->may_unmap ? RANGE_UNMAP : 0))
		return BLK_S_UNSUPP;
	if (range->sectors > sectors_max(q->blk->info, op->op) ||
	    !blk_range_fits(q, range->sector, (uint64_t)range->sectors * BLK_SECTOR))
		return BLK_S_IOERR;
	return BLK_S_OK;
}

/*
 * Where the list is. Linux (7.2 and before) goes by the lowest bit of a type, which is set in those
 * that write and is not in SECURE_ERASE: it offers its list of that one for us to write.
 */
struct list {
	const struct iovec *iov;
	uint32_t niov, offset, len;
};

static struct list list_find(const struct sr_chain *c, uint32_t type)
{
	uint32_t header = sizeof(struct blk_header);

	if (type == BLK_T_SECURE_ERASE && c->out_len == header)
		return (struct list){ c->in, c->nin, 0, c->in_len - 1 };
	return (struct list){ c->out, c->nout, header, c->out_len - header };
}

static enum blk_status ranges_read(const struct blk_queue *q, const struct list *list,
				   const struct range_op *op, struct range *to, unsigned n)
{
	sr_iov_read(list->iov, list->niov, list->offset, to, n * sizeof(*to));
	for (unsigned i = 0; i < n; i++) {
		enum blk_status s;

		to[i].sector = le64toh(to[i].sector);
		to[i].sectors = le32toh(to[i].sectors);
		to[i].flags = le32toh(to[i].flags);
		s = range_judge(q, op, &to[i]);
		if (s != BLK_S_OK)
			return s;
	}
	return BLK_S_OK;
}

static void part_make(const struct blk_queue *q, struct blk_part *p, const struct range_op *op,
		      const struct range *range)
{
	uint8_t flags = 0;

	if (op->op == SR_DISK_ZEROES && q->durable)
		flags |= SR_DISK_FUA;
	/* Unmapping is a leave and no order: one that cannot, need not. */
	if (range->flags & RANGE_UNMAP && q->blk->info->can_discard)
		flags |= SR_DISK_UNMAP;
	p->req = (struct sr_disk_req){ .op = op->op,
				       .flags = flags,
				       .offset = range->sector * BLK_SECTOR,
				       .len = (uint64_t)range->sectors * BLK_SECTOR };
}

enum blk_status blk_ranges_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h)
{
	struct list list = list_find(&r->chain, h->type);
	unsigned n = (unsigned)(list.len / sizeof(struct range));
	const struct range_op *op = &ops[h->type];
	struct range ranges[BLK_RANGES_MAX];
	struct blk_part *more = NULL;
	enum blk_status status = BLK_S_IOERR;

	blk_count(&q->counters.discards, 1);
	if (n && n <= BLK_RANGES_MAX && list.len % sizeof(struct range) == 0)
		status = ranges_read(q, &list, op, ranges, n);
	if (status != BLK_S_OK) {
		blk_count_malformed(q);
		return status;
	}
	if (n > 1 && !(more = blk_request_extra(r)))
		return BLK_S_IOERR;
	for (unsigned i = 0, first = true; i < n; i++) {
		struct blk_part *p = first ? &r->part : more++;

		if (!ranges[i].sectors)
			continue;
		part_make(q, p, op, &ranges[i]);
		blk_part_add(q, r, p);
		first = false;
	}
	return r->parts ? BLK_UNDER_WAY : BLK_S_OK;
}
