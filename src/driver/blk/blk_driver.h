/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's half of virtio-blk (virtio 1.3, section 5.2, VERSION_1 only): what the
 * configuration space says, and requests on a ring. Memory, rings and doorbells are the
 * caller's.
 */
#ifndef SR_BLK_DRIVER_H
#define SR_BLK_DRIVER_H

#include <slipring/drvq.h>
#include <slipring/virtio.h>

/* What this driver understands of a device's offer, ring features aside. */
#define SR_BLK_DRIVER_FEATURES                                                                     \
	(SR_BLK_F_SIZE_MAX | SR_BLK_F_SEG_MAX | SR_BLK_F_RO | SR_BLK_F_BLK_SIZE | SR_BLK_F_FLUSH | \
	 SR_BLK_F_TOPOLOGY | SR_BLK_F_MQ)

/* Of the configuration space: what has to be read, and enough for all that is looked at. */
#define SR_BLK_DRIVER_CONFIG 36u

struct sr_blk_driver_info {
	uint64_t capacity;   /* bytes */
	uint32_t block_size; /* unit of offsets and lengths; 512 where the device does not say */
	uint32_t size_max;   /* bytes of one piece */
	uint32_t seg_max;    /* pieces of one request's data */
	unsigned queues;
	bool read_only, can_flush;
};

/* Judges what was read; `features` as negotiated. 0 or -EPROTO with the field in *e. */
int sr_blk_driver_probe(const uint8_t config[SR_BLK_DRIVER_CONFIG], uint64_t features,
			struct sr_blk_driver_info *i, struct sr_error *e);

enum sr_blk_driver_type { /* section 5.2.6 */
	SR_BLK_DRIVER_IN = 0,
	SR_BLK_DRIVER_OUT = 1,
	SR_BLK_DRIVER_FLUSH = 4,
	SR_BLK_DRIVER_GET_ID = 8, /* 20 bytes of data */
};

/* What the device sees of a request beside its data; little endian. */
struct sr_blk_driver_meta {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status;
	uint8_t unused[47]; /* a cache line: one transfer there, one back */
};

/* One request, made once and sent often. */
struct sr_blk_driver_req {
	struct sr_blk_driver_meta *meta; /* shared */
	struct sr_sg *sg;		 /* header, data, status */
	unsigned pieces;		 /* of data */
};

/* Pieces of `len` bytes, and the entries of `sg` that a request needs for so many. */
unsigned sr_blk_driver_pieces(const struct sr_blk_driver_info *i, uint32_t len);
#define SR_BLK_DRIVER_SG(pieces) ((pieces) + 2)

/* `meta` and `len` bytes of data lie at these addresses of the guest; all memory, `sg` too,
 * stays the caller's. */
void sr_blk_driver_req_init(struct sr_blk_driver_req *r, const struct sr_blk_driver_info *i,
			    struct sr_sg *sg, struct sr_blk_driver_meta *meta, uint64_t meta_gpa,
			    uint64_t data_gpa, uint32_t len);

/* Adds the request with all of its data, or, for a flush, with none; `offset` in bytes, a
 * multiple of 512. As sr_drvq_add. */
int sr_blk_driver_add(struct sr_drvq *q, struct sr_blk_driver_req *r, enum sr_blk_driver_type type,
		      uint64_t offset, void *token);

/* After its return: 0 is success, else what section 5.2.6 says, or SR_BLK_DRIVER_UNWRITTEN. */
#define SR_BLK_DRIVER_UNWRITTEN 0xffu
static inline uint8_t sr_blk_driver_status(const struct sr_blk_driver_req *r)
{
	return __atomic_load_n(&r->meta->status, __ATOMIC_RELAXED);
}
/* "IOERR" */
const char *sr_blk_driver_status_name(uint8_t status);

#endif
