/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a chain to what the disk is asked. A request is 16 bytes of header and data to read,
 * then data to write and the status byte, cut into descriptors as the driver likes (virtio
 * 1.3, 2.7.4): so everything goes by bytes, the first 16 and the last one.
 *
 * Whatever has room for a status gets one. QEMU breaks the device of a driver whose header is
 * too short; here that is a request of no known type.
 */
#include "blk_internal.h"

#include <endian.h>
#include <errno.h>

#include "iov.h"

void blk_count_malformed(struct blk_queue *q)
{
	blk_count(&q->counters.malformed, 1);
}

/* Once, from any alignment; volatile so that the compiler does not read again what was judged. */
static struct blk_header header_copy(const void *from)
{
	const volatile struct {
		uint64_t first, sector;
	} __attribute__((packed)) *words = from;
	uint64_t first = le64toh(words->first);

	return (struct blk_header){ (uint32_t)first, (uint32_t)(first >> 32),
				    le64toh(words->sector) };
}

static bool header_read(const struct sr_chain *c, struct blk_header *h)
{
	uint8_t bytes[sizeof(*h)];

	if (SR_LIKELY(c->nout && c->out->iov_len >= sizeof(*h))) {
		*h = header_copy(c->out->iov_base);
		return true;
	}
	if (sr_iov_read(c->out, c->nout, 0, bytes, sizeof(bytes)) != sizeof(bytes))
		return false;
	*h = header_copy(bytes);
	return true;
}

/* The pieces in the pool become those of the data; they are not needed for anything else. */
uint32_t blk_data_out(struct sr_chain *c, const struct iovec **iov)
{
	size_t skip = sizeof(struct blk_header);
	struct iovec *v = c->out, *end = c->out + c->nout;

	while (v < end && skip >= v->iov_len)
		skip -= v++->iov_len;
	if (v < end) {
		v->iov_base = (char *)v->iov_base + skip;
		v->iov_len -= skip;
	}
	*iov = v;
	return (uint32_t)(end - v);
}

static enum blk_status malformed(struct blk_queue *q, enum blk_status status)
{
	blk_count_malformed(q);
	return status;
}

static enum blk_status begin_read(struct blk_queue *q, struct blk_request *r,
				  const struct blk_header *h)
{
	struct sr_chain *c = &r->chain;
	struct iovec *last = &c->in[c->nin - 1];
	uint32_t len = c->in_len - 1;

	blk_count(&q->counters.reads, 1);
	if (SR_UNLIKELY(!blk_range_fits(q, h->sector, len)))
		return malformed(q, BLK_S_IOERR);
	if (SR_UNLIKELY(!len))
		return BLK_S_OK;
	blk_count(&q->counters.read_bytes, len);
	last->iov_len--;
	r->cut = true;
	r->part.req.op = SR_DISK_READ;
	r->part.req.flags = 0;
	r->part.req.offset = h->sector * BLK_SECTOR;
	r->part.req.len = len;
	r->part.req.iov = c->in;
	r->part.req.niov = c->nin - !last->iov_len;
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

static enum blk_status begin_write(struct blk_queue *q, struct blk_request *r,
				   const struct blk_header *h)
{
	uint32_t len = r->chain.out_len - (uint32_t)sizeof(*h);

	blk_count(&q->counters.writes, 1);
	if (SR_UNLIKELY(!blk_range_fits(q, h->sector, len)))
		return malformed(q, BLK_S_IOERR);
	if (SR_UNLIKELY(!len))
		return BLK_S_OK;
	blk_count(&q->counters.written_bytes, len);
	r->part.req.op = SR_DISK_WRITE;
	r->part.req.flags = q->durable ? SR_DISK_FUA : 0;
	r->part.req.offset = h->sector * BLK_SECTOR;
	r->part.req.len = len;
	r->part.req.niov = blk_data_out(&r->chain, &r->part.req.iov);
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

/* Also in writethrough and without FLUSH: QEMU does so too, and it does no harm. */
static enum blk_status begin_flush(struct blk_queue *q, struct blk_request *r,
				   const struct blk_header *h)
{
	(void)h;
	blk_count(&q->counters.flushes, 1);
	r->part.req = (struct sr_disk_req){ .op = SR_DISK_FLUSH };
	blk_part_add(q, r, &r->part);
	return BLK_UNDER_WAY;
}

static enum blk_status answer(struct blk_request *r, const void *bytes, size_t len)
{
	struct sr_chain *c = &r->chain;

	sr_iov_write(c->in, c->nin, 0, bytes, sr_min(len, c->in_len - 1));
	return BLK_S_OK;
}

/* Drivers must give 20 bytes. One that gives fewer gets that much, as from QEMU. */
static enum blk_status begin_get_id(struct blk_queue *q, struct blk_request *r,
				    const struct blk_header *h)
{
	(void)h;
	blk_count(&q->counters.others, 1);
	return answer(r, q->blk->serial, sizeof(q->blk->serial));
}

static enum blk_status begin_get_lifetime(struct blk_queue *q, struct blk_request *r,
					  const struct blk_header *h)
{
	const struct sr_disk_info *i = q->blk->info;
	uint16_t lifetime[] = { htole16(i->pre_eol_info), htole16(i->lifetime_a),
				htole16(i->lifetime_b) };

	(void)h;
	blk_count(&q->counters.others, 1);
	if (r->chain.in_len - 1 < sizeof(lifetime))
		return malformed(q, BLK_S_IOERR);
	return answer(r, lifetime, sizeof(lifetime));
}

static const struct blk_type {
	enum blk_status (*begin)(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h);
	uint64_t feature; /* without which it is not there */
	bool writes;	  /* not on a read-only device */
} types[BLK_TYPES] = {
	[BLK_T_IN] = { begin_read, 0, false },
	[BLK_T_OUT] = { begin_write, 0, true },
	[BLK_T_FLUSH] = { begin_flush, 0, false },
	[BLK_T_GET_ID] = { begin_get_id, 0, false },
	[BLK_T_GET_LIFETIME] = { begin_get_lifetime, SR_BLK_F_LIFETIME, false },
	[BLK_T_DISCARD] = { blk_ranges_begin, SR_BLK_F_DISCARD, true },
	[BLK_T_WRITE_ZEROES] = { blk_ranges_begin, SR_BLK_F_WRITE_ZEROES, true },
	[BLK_T_SECURE_ERASE] = { blk_ranges_begin, SR_BLK_F_SECURE_ERASE, true },
	[BLK_T_ZONE_APPEND] = { blk_append_begin, SR_BLK_F_ZONED, true },
	[BLK_T_ZONE_REPORT] = { blk_report_begin, SR_BLK_F_ZONED, false },
	[BLK_T_ZONE_OPEN] = { blk_zone_begin, SR_BLK_F_ZONED, true },
	[BLK_T_ZONE_CLOSE] = { blk_zone_begin, SR_BLK_F_ZONED, true },
	[BLK_T_ZONE_FINISH] = { blk_zone_begin, SR_BLK_F_ZONED, true },
	[BLK_T_ZONE_RESET] = { blk_zone_begin, SR_BLK_F_ZONED, true },
	[BLK_T_ZONE_RESET_ALL] = { blk_zone_begin, SR_BLK_F_ZONED, true },
};

enum blk_status blk_request_begin(struct blk_queue *q, struct blk_request *r)
{
	const struct blk_type *t;
	struct blk_header h;

	r->type = BLK_TYPES;
	if (SR_UNLIKELY(!header_read(&r->chain, &h)))
		return malformed(q, BLK_S_IOERR);
	if (SR_UNLIKELY(h.type >= BLK_TYPES))
		return malformed(q, BLK_S_UNSUPP);
	t = &types[h.type];
	if (SR_UNLIKELY(!t->begin || (q->features & t->feature) != t->feature))
		return malformed(q, BLK_S_UNSUPP);
	if (SR_UNLIKELY(t->writes && q->blk->read_only))
		return malformed(q, BLK_S_IOERR);
	r->type = (uint8_t)h.type;
	return t->begin(q, r, &h);
}

static enum blk_status status_of(const struct blk_queue *q, int error)
{
	if (error == -EOPNOTSUPP)
		return BLK_S_UNSUPP;
	return q->features & SR_BLK_F_ZONED ? blk_zone_status(error) : BLK_S_IOERR;
}

enum blk_status blk_request_end(struct blk_queue *q, struct blk_request *r)
{
	if (SR_UNLIKELY(r->error))
		return status_of(q, r->error);
	if (SR_UNLIKELY(r->type == BLK_T_ZONE_APPEND))
		blk_append_end(r);
	else if (SR_UNLIKELY(r->type == BLK_T_ZONE_REPORT))
		blk_report_end(r);
	return BLK_S_OK;
}
