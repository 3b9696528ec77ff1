/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the block device share; see blk.c for how they fit together. */
#ifndef BLK_INTERNAL_H
#define BLK_INTERNAL_H

#include <slipring/blk.h>
#include <slipring/virtio.h>
#include <stdatomic.h>

#include "base.h"

/* Limits. What they bound is memory of ours that a guest can make us take: for each queue at
 * most BLK_DEPTH_MAX requests, each with BLK_EXTRA_BYTES and the pieces of its longest chain. */
#define BLK_DEPTH_MAX	  1024u	      /* requests of one queue under way; more wait in the ring */
#define BLK_CHUNK	  64u	      /* requests that are made at a time */
#define BLK_BATCH	  64u	      /* requests of one pass */
#define BLK_PASS_BYTES	  (16u << 20) /* that a pass takes, and one request more */
#define BLK_PIECES	  8u	/* of a request at first; longer chains grow their pool once */
#define BLK_CHAIN_MAX	  1024u /* descriptors of one request: as in QEMU, pieces of 1 byte fit */
#define BLK_SEG_MAX	  254u	/* what is offered unless configured */
#define BLK_SIZE_MAX	  (4u << 20) /* so that seg_max of them stay below a chain's 4 GiB */
#define BLK_RANGES_MAX	  32u	     /* of one discard, zeroes or erase */
#define BLK_RANGE_SECTORS (1u << 22)
#define BLK_ZONES_MAX	  128u /* in one report; drivers ask again for the rest */
#define BLK_SECTOR	  512u /* unit of the protocol, whatever the medium's blocks are */

/* Request types and status codes (virtio 1.3, 5.2.6). */
enum {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_GET_LIFETIME = 10,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
	BLK_T_SECURE_ERASE = 14,
	BLK_T_ZONE_APPEND = 15,
	BLK_T_ZONE_REPORT = 16,
	BLK_T_ZONE_OPEN = 18,
	BLK_T_ZONE_CLOSE = 20,
	BLK_T_ZONE_FINISH = 22,
	BLK_T_ZONE_RESET = 24,
	BLK_T_ZONE_RESET_ALL = 26,
	BLK_TYPES
};
enum blk_status {
	BLK_S_OK = 0,
	BLK_S_IOERR = 1,
	BLK_S_UNSUPP = 2,
	BLK_S_ZONE_INVALID_CMD = 3,
	BLK_S_ZONE_UNALIGNED_WP = 4,
	BLK_S_ZONE_OPEN_RESOURCE = 5,
	BLK_S_ZONE_ACTIVE_RESOURCE = 6,
	BLK_UNDER_WAY = 255 /* none yet: the disk has it */
};

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* One request to the disk; several parts make up a discard of several ranges. */
struct blk_part {
	struct sr_disk_req req;
	struct blk_request *of; /* NULL: complete */
};

struct blk_request {
	struct blk_part part;
	struct sr_chain chain;
	struct sr_iov_pool pool;
	void *extra;		  /* BLK_EXTRA_BYTES for ranges or zones, made when first needed */
	struct blk_request *next; /* while it is free */
	int error;		  /* the first of its parts' */
	uint16_t parts;		  /* that the disk still has */
	uint8_t type;
	bool busy; /* popped, not pushed */
	bool cut;  /* the status byte is taken off the last piece */
} __attribute__((aligned(SR_CACHE_LINE)));

#define BLK_EXTRA_BYTES                                         \
	(sr_max((BLK_RANGES_MAX - 1) * sizeof(struct blk_part), \
		BLK_ZONES_MAX * sizeof(struct sr_disk_zone)))

/* One virtqueue, made when it is first started and kept until the device goes, so that its
 * counters stay; requests and channel only while it runs. Belongs to the queue's loop, but for
 * what is atomic. */
struct blk_queue {
	struct sr_blk *blk;
	unsigned index;
	struct sr_vq *vq; /* NULL: stopped */
	struct sr_disk_channel *channel;
	uint64_t features; /* as negotiated when the queue was started */
	bool enabled;
	bool broken;	 /* takes nothing more; what is under way is still answered */
	bool draining;	 /* likewise */
	bool owes;	 /* a queue_drained */
	bool abandoning; /* what is cancelled is forgotten or fails */
	bool durable;	 /* writes of this pass are to be on the medium when complete */
	bool in_pass;	 /* completions are published at the pass's end */
	struct blk_request *free;
	unsigned outstanding, nchunks;
	unsigned nsubmit, ndone;
	struct sr_disk_req *submit[BLK_BATCH];
	struct blk_request *done[BLK_BATCH]; /* to be pushed */
	struct blk_request *chunks[BLK_DEPTH_MAX / BLK_CHUNK];
	/* Written by the queue's loop alone, read by any thread. */
	struct sr_blk_counters counters;
	_Atomic unsigned in_flight;
};

struct sr_blk {
	struct sr_device device;
	struct sr_disk *disk;
	const struct sr_disk_info *info;
	struct sr_disk_listener listener;
	char *name;
	char serial[SR_BLK_SERIAL_MAX]; /* padded with NUL, not always ended by one */
	bool read_only, writeback_first;
	uint16_t queue_count;
	uint32_t seg_max;
	uint64_t offer;
	_Atomic uint64_t features;
	_Atomic bool writeback;
	struct sr_blk_counters sums, *sum; /* what sr_blk_counters() has last told */
	_Atomic(struct blk_queue *) queues[];
};

static inline struct sr_blk *blk_of_device(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct sr_blk, device);
}

/* For counters with one writer. */
static inline void blk_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t blk_disk_sectors(const struct blk_queue *q)
{
	return sr_disk_size(q->blk->disk) / BLK_SECTOR;
}

/* The range lies on the medium and on its blocks. */
static inline bool blk_range_fits(const struct blk_queue *q, uint64_t sector, uint64_t len)
{
	uint32_t block = q->blk->info->block_size;

	return !(len & (block - 1)) && !(sector & (block / BLK_SECTOR - 1)) &&
	       sr_range_fits(sector, len / BLK_SECTOR, blk_disk_sectors(q));
}

/* blk.c */
uint32_t blk_range_max(const struct sr_disk_info *i, uint64_t of_one_request);

/* blk_queue.c */
void blk_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq);
void blk_queue_stop(struct sr_device *d, unsigned queue);
void blk_queue_enable(struct sr_device *d, unsigned queue, bool on);
bool blk_queue_drain(struct sr_device *d, unsigned queue);
bool blk_queue_abandon(struct sr_device *d, unsigned queue);
bool blk_arm(struct sr_device *d, unsigned queue);
struct blk_queue *blk_queue_get(struct sr_device *d, unsigned queue);
/* NULL: BLK_DEPTH_MAX are under way, or there is no memory for more. */
struct blk_request *blk_request_get(struct blk_queue *q);
void blk_request_put(struct blk_queue *q, struct blk_request *r);
/* NULL: out of memory. */
void *blk_request_extra(struct blk_request *r);

/* blk_pass.c */
int blk_process(struct sr_device *d, unsigned queue, unsigned budget);
void blk_complete(void *ctx, struct sr_disk_req *const *reqs, unsigned n);
/* Counts a part in and lets the disk have it, at the latest at the end of the pass. */
void blk_part_add(struct blk_queue *q, struct blk_request *r, struct blk_part *p);

/* blk_request.c: judges a popped chain and starts it, or says its status at once. */
enum blk_status blk_request_begin(struct blk_queue *q, struct blk_request *r);
/* What of a request that the disk has done is left to do; the status. */
enum blk_status blk_request_end(struct blk_queue *q, struct blk_request *r);
void blk_count_malformed(struct blk_queue *q);

/* blk_range.c */
enum blk_status blk_ranges_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h);

/* blk_zone.c */
enum blk_status blk_zone_begin(struct blk_queue *q, struct blk_request *r,
			       const struct blk_header *h);
enum blk_status blk_append_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h);
enum blk_status blk_report_begin(struct blk_queue *q, struct blk_request *r,
				 const struct blk_header *h);
void blk_append_end(struct blk_request *r);
void blk_report_end(struct blk_request *r);
enum blk_status blk_zone_status(int error);

/* What follows the header, in pieces; the header is whole. */
uint32_t blk_data_out(struct sr_chain *c, const struct iovec **iov);

#endif
