/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where blocks live. A disk is one medium behind one contract: a file, a block device,
 * memory, nothing, a server across the network; a filter is a disk on top of another.
 *
 * Who uses a disk opens a channel to it on each of his loops: requests go in by batches and
 * come back by batches on that loop, so that one disk serves many loops without a lock.
 *
 *     sr_disk_submit(channel, requests, n);      takes them, never completes any by itself
 *     sr_disk_poll(channel);                     calls complete() for those that are done
 *
 * A channel's own poller calls sr_disk_poll as well, and sleeps when nothing is under way.
 *
 * Disks are created, changed and destroyed on the control loop.
 */
#ifndef SLIPRING_DISK_H
#define SLIPRING_DISK_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_loop;
struct sr_disk;
struct sr_disk_channel;

enum sr_disk_op {
	SR_DISK_READ,
	SR_DISK_WRITE,
	SR_DISK_FLUSH,	 /* what was complete before is durable afterwards; no range */
	SR_DISK_DISCARD, /* the content of the range may be anything afterwards */
	SR_DISK_ZEROES,	 /* reads as zeroes afterwards */
	SR_DISK_ERASE,	 /* discard, and no copy of the data is left on the medium */
	/* Zoned media only. */
	SR_DISK_ZONE_REPORT, /* fills zones[] from the zone that holds `offset` on */
	SR_DISK_ZONE_OPEN,   /* these four: the zone that starts at `offset` */
	SR_DISK_ZONE_CLOSE,
	SR_DISK_ZONE_FINISH,
	SR_DISK_ZONE_RESET,
	SR_DISK_ZONE_RESET_ALL,
	SR_DISK_ZONE_APPEND, /* writes at the zone's write pointer; `offset`: the zone's start,
			      * afterwards where it was written */
	SR_DISK_OPS
};

enum {
	SR_DISK_FUA = 1 << 0,	/* write, zeroes, append: durable when complete */
	SR_DISK_UNMAP = 1 << 1, /* zeroes: room may be given back */
};

/* Zoned block commands, as virtio 1.3 section 5.2.6 has them. Bytes. */
enum sr_disk_zone_type {
	SR_DISK_ZONE_CONVENTIONAL = 1,
	SR_DISK_ZONE_SEQ_WRITE_REQUIRED = 2,
	SR_DISK_ZONE_SEQ_WRITE_PREFERRED = 3
};
enum sr_disk_zone_state {
	SR_DISK_ZONE_NOT_WP = 0,
	SR_DISK_ZONE_EMPTY = 1,
	SR_DISK_ZONE_IMPLICIT_OPEN = 2,
	SR_DISK_ZONE_EXPLICIT_OPEN = 3,
	SR_DISK_ZONE_CLOSED = 4,
	SR_DISK_ZONE_READ_ONLY = 13,
	SR_DISK_ZONE_FULL = 14,
	SR_DISK_ZONE_OFFLINE = 15
};
struct sr_disk_zone {
	uint64_t start, capacity;
	uint64_t wp; /* full and conventional ones: their end */
	uint8_t type, state;
};

/*
 * One request, the submitter's memory until it is complete. Errors are negative errnos:
 * -EIO, -ENOSPC, -EROFS, -EOPNOTSUPP (the medium cannot do that), -ECANCELED, -ETIMEDOUT,
 * and for zones -ENODEV (offline), -EPROTO (write not at the write pointer), -EMFILE (too many
 * open), -EOVERFLOW (too many active), -EINVAL (what the type or state of a zone does not allow,
 * and writes across zones).
 * Submitters have judged op, alignment to block_size and range against the disk's info; an
 * engine looks at the range again only where it could leave the medium.
 */
struct sr_disk_req {
	/* The submitter's. */
	uint8_t op;		 /* enum sr_disk_op */
	uint8_t flags;		 /* SR_DISK_FUA, ... */
	uint64_t offset, len;	 /* bytes */
	const struct iovec *iov; /* read, write, append: len bytes; kept until completion */
	uint32_t niov;
	struct sr_disk_zone *zones; /* report: room for nzones */
	uint32_t nzones;	    /* report: afterwards how many there are */
	/* The answer: 0 or a negative errno. Nothing says how much of a failed one was done. */
	int result;
	/* Of the layer that has it: the filter that holds it back, the engine that works on it. */
	struct sr_disk_req *next;
	union {
		void *p;
		uint64_t u;
	} own[3];
};

/* What a medium is. Fixed while the disk lives, but for the size. Bytes. */
struct sr_disk_info {
	uint32_t block_size;	 /* 512 or 4096: unit of size, offset and len */
	uint32_t physical_size;	 /* >= block_size */
	uint32_t io_min, io_opt; /* preferred, 0 = nothing known */
	bool read_only;
	bool rotational;
	bool volatile_cache; /* a flush has something to do */
	bool can_discard, can_zero, can_erase;
	uint32_t discard_granularity;		   /* 0 = block_size */
	uint64_t discard_max, zero_max, erase_max; /* of one request; 0 = no limit */
	/* Zoned: zone_size is 0 on others. */
	uint64_t zone_size;
	uint32_t zones, max_open, max_active; /* 0 = no limit */
	uint32_t append_max;
	/* Where the medium tells its wear (eMMC's terms, virtio 1.3 section 5.2.6). */
	bool has_lifetime;
	uint16_t pre_eol_info, lifetime_a, lifetime_b;
};

/* NULL is allowed. No channel may be open. Ends everything under way. A filter takes the disk
 * below with it. */
void sr_disk_destroy(struct sr_disk *d);

const char *sr_disk_name(const struct sr_disk *d);
const struct sr_disk_info *sr_disk_info(const struct sr_disk *d);
uint64_t sr_disk_size(const struct sr_disk *d); /* from any thread */
/* "file", "nbd", ...: of the engine at the bottom. */
const char *sr_disk_engine(const struct sr_disk *d);

/* Makes the medium `size` bytes long where the engine can (-EOPNOTSUPP), or, with 0, looks how
 * long it is by now. Listeners are told when it has changed. */
int sr_disk_resize(struct sr_disk *d, uint64_t size, struct sr_error *e);

/* Called on the control loop when the size has changed. The structure is the listener's. */
struct sr_disk_listener {
	void (*resized)(void *ctx);
	void *ctx;
	struct sr_disk_listener *next;
};
void sr_disk_listen(struct sr_disk *d, struct sr_disk_listener *l);
void sr_disk_unlisten(struct sr_disk *d, struct sr_disk_listener *l);

/* Completed requests, in any order, on the channel's loop; never from inside sr_disk_submit or
 * sr_disk_cancel. May submit more. */
typedef void sr_disk_complete_fn(void *ctx, struct sr_disk_req *const *r, unsigned n);

#define SR_DISK_BATCH 64u /* completions in one call at most */

/* Everything about a channel happens on the thread of `loop`. NULL with *e filled. */
struct sr_disk_channel *sr_disk_channel_create(struct sr_disk *d, struct sr_loop *loop,
					       sr_disk_complete_fn *complete, void *ctx,
					       struct sr_error *e);
/* Nothing may be under way. NULL is allowed. */
void sr_disk_channel_destroy(struct sr_disk_channel *c);

/* Takes n requests and starts them together; each is completed exactly once. They are not in
 * any order to each other: who needs an order waits. */
void sr_disk_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n);

/* Completes what is done. How many that was. */
unsigned sr_disk_poll(struct sr_disk_channel *c);

/* Asks for an early end of one that is under way. True: its buffers are not touched any more,
 * and the next sr_disk_poll completes it, with -ECANCELED or with what came of it. An engine
 * that cannot take a write back keeps later ones behind it. False: it takes the time it takes,
 * the buffers are still in use. */
bool sr_disk_cancel(struct sr_disk_channel *c, struct sr_disk_req *r);

/* Engines and filters; each sets *e and returns NULL on failure. */

struct sr_disk_null_config {
	const char *name;
	uint64_t size;
	uint32_t block_size; /* 0 = 512 */
};
/* Reads what happens to be in the buffer, forgets writes: for measuring everything else. */
struct sr_disk *sr_disk_null_create(const struct sr_disk_null_config *c, struct sr_error *e);

struct sr_disk_mem_config {
	const char *name;
	uint64_t size;
	uint32_t block_size; /* 0 = 512 */
};
/* In memory of this process, gone with it; blocks never written take no room. */
struct sr_disk *sr_disk_mem_create(const struct sr_disk_mem_config *c, struct sr_error *e);

enum sr_disk_direct {
	SR_DISK_DIRECT_AUTO, /* where file system and alignment allow */
	SR_DISK_DIRECT_ON,   /* fail where not */
	SR_DISK_DIRECT_OFF
};
struct sr_disk_file_config {
	const char *name;
	const char *path; /* a regular file or a block device, zoned ones included */
	bool read_only;
	enum sr_disk_direct direct;
	uint32_t block_size; /* 0 = 512, or what a block device has */
};
struct sr_disk *sr_disk_file_create(const struct sr_disk_file_config *c, struct sr_error *e);

struct sr_disk_nbd_config {
	const char *name;
	const char *uri;      /* as libnbd takes it: "nbd+unix:///?socket=/run/x", "nbds://host/" */
	unsigned connections; /* 0 = 4; 1 is used where the server does not allow more */
	bool read_only;
	const char *tls_certificates; /* folder, or NULL */
	const char *tls_psk_file;     /* or NULL */
};
/* Connects before it returns; later losses are made good by itself, and what was under way is
 * sent again. */
struct sr_disk *sr_disk_nbd_create(const struct sr_disk_nbd_config *c, struct sr_error *e);

struct sr_disk_rbd_config {
	const char *name;
	const char *pool, *image; /* an image may be "namespace/image" */
	const char *conf;	  /* ceph.conf; NULL = where librados looks */
	const char *user;	  /* NULL = admin */
	bool read_only;
};
/* -EOPNOTSUPP where it was not built. */
struct sr_disk *sr_disk_rbd_create(const struct sr_disk_rbd_config *c, struct sr_error *e);

/* Filters own the disk below from then on; on failure it stays the caller's. */

struct sr_disk_limits {
	uint64_t iops, bytes_per_second;  /* 0 = none */
	uint64_t iops_burst, bytes_burst; /* what may go through at once after a rest; 0 = 100 ms
					   * worth */
};
struct sr_disk *sr_disk_limit_create(struct sr_disk *below, const struct sr_disk_limits *l,
				     struct sr_error *e);
/* While running, from the control loop; reaches requests that wait already within 50 ms. -EINVAL
 * when `d` has no such filter. */
int sr_disk_limit_set(struct sr_disk *d, const struct sr_disk_limits *l, struct sr_error *e);
/* False when `d` has no such filter. */
bool sr_disk_limit_get(const struct sr_disk *d, struct sr_disk_limits *l);

struct sr_disk_fault {
	uint32_t ops;	      /* mask of 1 << enum sr_disk_op; 0 = all */
	double error_share;   /* 0 to 1: of these requests, how many fail */
	int error;	      /* negative errno; 0 = -EIO */
	uint64_t delay_ns;    /* each waits so long before it goes on */
	uint64_t offset, len; /* only requests that touch this range; len 0 = all */
};
/* For tests: makes errors and delays. Which requests fail is the same each time for the same
 * requests in the same order on a channel. A changed delay holds for those that wait, too. */
struct sr_disk *sr_disk_fault_create(struct sr_disk *below, const struct sr_disk_fault *f,
				     struct sr_error *e);
int sr_disk_fault_set(struct sr_disk *d, const struct sr_disk_fault *f, struct sr_error *e);

struct sr_disk_zoned_config {
	uint64_t zone_size;    /* bytes, a multiple of the block size; the disk below must be a
				* multiple of it */
	uint32_t conventional; /* so many conventional zones at the start */
	uint32_t max_open, max_active;
	/* File that keeps the write pointers over restarts, or NULL: then all zones are empty at
	 * first. What is complete lies below the pointer whatever ends the process, and after a
	 * flush whatever ends the host. Open zones are closed by a restart. */
	const char *state;
};
/* A host-managed zoned disk on top of an ordinary one. It cannot discard, erase or write zeroes,
 * and keeps its size. */
struct sr_disk *sr_disk_zoned_create(struct sr_disk *below, const struct sr_disk_zoned_config *z,
				     struct sr_error *e);

#ifdef __cplusplus
}
#endif
#endif
