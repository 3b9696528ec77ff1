/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio block device (virtio 1.3, section 5.2): a device towards the transport, a user of
 * one disk. Each queue has a channel of its own, on its own loop.
 */
#ifndef SLIPRING_BLK_H
#define SLIPRING_BLK_H

#include <slipring/device.h>
#include <slipring/disk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SR_BLK_QUEUES_MAX 256u
#define SR_BLK_SERIAL_MAX 20u

struct sr_blk;

struct sr_blk_config {
	const char *name;      /* copied */
	struct sr_disk *disk;  /* must outlive the device */
	uint16_t queues;       /* 0 = 1 */
	const char *serial;    /* up to SR_BLK_SERIAL_MAX bytes for GET_ID; NULL = name, cut */
	bool read_only;	       /* beside what the disk says */
	bool writethrough;     /* at first; the guest may change it (CONFIG_WCE). So it is in any
				* case on a disk without a volatile cache */
	uint32_t seg_max;      /* pieces of one request, up to 1022; 0 = 254 */
	uint64_t features_off; /* virtio features not to offer */
};

struct sr_blk *sr_blk_create(const struct sr_blk_config *c, struct sr_error *e);
/* The session must have ended. NULL is allowed. */
void sr_blk_destroy(struct sr_blk *b);
struct sr_device *sr_blk_device(struct sr_blk *b);

/* Plain sums, in this order, of what the queues have counted. */
struct sr_blk_counters {
	_Atomic uint64_t reads, read_bytes, writes, written_bytes, flushes, discards, others;
	_Atomic uint64_t failed;    /* requests that ended in IOERR, also counted above */
	_Atomic uint64_t malformed; /* refused for their framing, range or type */
};
/* From any thread. The sums are those of this call; the next call renews them in place. */
const struct sr_blk_counters *sr_blk_counters(const struct sr_blk *b);
unsigned sr_blk_in_flight(const struct sr_blk *b); /* requests, from any thread */

struct sr_blk_info {
	uint64_t features; /* as negotiated */
	uint16_t queues;
	bool read_only;
	bool writeback; /* the guest's cache mode: it flushes what must last */
};
struct sr_blk_info sr_blk_info(const struct sr_blk *b); /* from any thread */

#ifdef __cplusplus
}
#endif
#endif
