/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: requests at the rate of the ring, against any device, from a caller that has
 * its own ideas about threads, buffers and waiting.
 *
 * Rejected: a driver that owns queues and buffers, as driver/net has it. What is the same for
 * all disks (slots, doorbells, waiting) would stand here and in driver/scsi once more.
 *
 * Chosen: this room knows what a request looks like and nothing else. A request is laid out
 * once, its header and status in one cache line; to send it again is to write its type and
 * sector. One array of pieces serves both directions: header, data, status, cut in two
 * behind the data or before it.
 */
#include "blk_driver.h"

#include "base.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>

#define SECTOR	  512u
#define HEADER	  offsetof(struct sr_blk_driver_meta, status)
#define BLOCK_MAX 65536u /* larger ones are no disk's */
#define PIECE_MAX (1u << 30)
#define UNLIMITED UINT32_MAX

_Static_assert(sizeof(struct sr_blk_driver_meta) == SR_CACHE_LINE, "one line");
_Static_assert(HEADER == 16, "virtio 1.3, section 5.2.6");

/* Where fields stand in the configuration space, section 5.2.4. */
enum {
	AT_CAPACITY = 0,
	AT_SIZE_MAX = 8,
	AT_SEG_MAX = 12,
	AT_BLK_SIZE = 20,
	AT_NUM_QUEUES = 34
};

static uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

static int check_info(const struct sr_blk_driver_info *i, struct sr_error *e)
{
	if (i->block_size < SECTOR || i->block_size > BLOCK_MAX ||
	    i->block_size & (i->block_size - 1))
		return sr_error_set(e, -EPROTO,
				    "configuration: blk_size %" PRIu32
				    ", expected a power of two from 512 to 65536",
				    i->block_size);
	if (!i->queues)
		return sr_error_set(e, -EPROTO, "configuration: num_queues 0, expected at least 1");
	return 0;
}

/* A 0 is no limit to go by: qemu-storage-daemon offers SIZE_MAX and leaves it so. */
static void limits(const uint8_t *config, uint64_t features, struct sr_blk_driver_info *i)
{
	uint32_t size = get_le32(config + AT_SIZE_MAX), segments = get_le32(config + AT_SEG_MAX);

	if (features & SR_BLK_F_SIZE_MAX && size)
		i->size_max = (uint32_t)sr_min(size, PIECE_MAX);
	if (features & SR_BLK_F_SEG_MAX)
		i->seg_max = segments ? segments : 1;
}

int sr_blk_driver_probe(const uint8_t config[SR_BLK_DRIVER_CONFIG], uint64_t features,
			struct sr_blk_driver_info *i, struct sr_error *e)
{
	uint64_t sectors = get_le64(config + AT_CAPACITY);

	*i = (struct sr_blk_driver_info){ .block_size = SECTOR,
					  .size_max = PIECE_MAX,
					  .seg_max = UNLIMITED,
					  .queues = 1,
					  .read_only = features & SR_BLK_F_RO,
					  .can_flush = features & SR_BLK_F_FLUSH };
	if (sectors > UINT64_MAX / SECTOR)
		return sr_error_set(e, -EPROTO,
				    "configuration: capacity %" PRIu64
				    ", expected sectors below 2^55",
				    sectors);
	i->capacity = sectors * SECTOR;
	limits(config, features, i);
	if (features & SR_BLK_F_BLK_SIZE)
		i->block_size = get_le32(config + AT_BLK_SIZE);
	if (features & SR_BLK_F_MQ)
		i->queues = config[AT_NUM_QUEUES] | (unsigned)config[AT_NUM_QUEUES + 1] << 8;
	return check_info(i, e);
}

unsigned sr_blk_driver_pieces(const struct sr_blk_driver_info *i, uint32_t len)
{
	return (unsigned)(((uint64_t)len + i->size_max - 1) / i->size_max);
}

void sr_blk_driver_req_init(struct sr_blk_driver_req *r, const struct sr_blk_driver_info *i,
			    struct sr_sg *sg, struct sr_blk_driver_meta *meta, uint64_t meta_gpa,
			    uint64_t data_gpa, uint32_t len)
{
	*r = (struct sr_blk_driver_req){ .meta = meta, .sg = sg };
	sg[0] = (struct sr_sg){ meta_gpa, HEADER };
	for (uint32_t done = 0; done < len; done += sg[r->pieces].len)
		sg[++r->pieces] = (struct sr_sg){ data_gpa + done,
						  (uint32_t)sr_min(len - done, i->size_max) };
	sg[r->pieces + 1] = (struct sr_sg){ meta_gpa + HEADER, 1 };
}

int sr_blk_driver_add(struct sr_drvq *q, struct sr_blk_driver_req *r, enum sr_blk_driver_type type,
		      uint64_t offset, void *token)
{
	struct sr_sg *in = r->sg + 1;
	unsigned nout = 1, nin = r->pieces + 1;

	assert(offset % SECTOR == 0);
	r->meta->type = htole32(type);
	r->meta->sector = htole64(offset / SECTOR);
	r->meta->status = SR_BLK_DRIVER_UNWRITTEN;
	if (type == SR_BLK_DRIVER_OUT || type == SR_BLK_DRIVER_FLUSH) {
		in += r->pieces;
		nin = 1;
	}
	if (type == SR_BLK_DRIVER_OUT)
		nout += r->pieces;
	return sr_drvq_add(q, r->sg, nout, in, nin, token);
}

const char *sr_blk_driver_status_name(uint8_t status)
{
	static const char *const names[] = { "OK",
					     "IOERR",
					     "UNSUPP",
					     "ZONE_INVALID_CMD",
					     "ZONE_UNALIGNED_WP",
					     "ZONE_OPEN_RESOURCE",
					     "ZONE_ACTIVE_RESOURCE" };

	if (status == SR_BLK_DRIVER_UNWRITTEN)
		return "status not written";
	return status < SR_ARRAY_LEN(names) ? names[status] : "unknown status";
}
