/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the parts of this room; the theory of operation is in file.c. */
#ifndef SR_FILE_INTERNAL_H
#define SR_FILE_INTERNAL_H

#include "base.h"

#include <liburing.h>
#include <slipring/disk_engine.h>

#define FILE_SQ_ENTRIES 256u
#define FILE_CQ_ENTRIES 1024u
/* Requests in the kernel at a time: each has its place in the completion queue, and so has the
 * one answer to a cancellation. */
#define FILE_IN_KERNEL_MAX (FILE_CQ_ENTRIES - 1)
#define FILE_TRIES_MAX	   16u /* of a request that the kernel sends back with EAGAIN or EINTR */
#define FILE_PIECES	   64u
/* Memory of ours for one request, and for those that come when all of the disk's have that much:
 * a guest chooses whether its own is aligned. */
#define FILE_BOUNCE_BYTES  (1u << 20)
#define FILE_BOUNCE_LITTLE (64u << 10)
#define FILE_BOUNCE_PLENTY (32u << 20)
#define FILE_BOUNCE_ALIGN  4096u

struct file_helper;

struct file_disk {
	struct sr_disk base;
	char *path;
	int fd;
	int lock_fd; /* the same, with the locks; of a block device the one that has it exclusively
		      */
	bool is_block, direct;
	/* Direct: bits that address and length of a piece must not have. 0 where nothing is asked.
	 */
	uint32_t mem_mask, len_mask;
	/* Learnt from the kernel's answers, on any loop. */
	_Atomic bool no_punch, no_zero_range, no_discard_cmd;
	/* The kernel tells about a lost page once: no later flush may say that all is well. */
	_Atomic bool flush_failed;
	_Atomic uint64_t told_ns;   /* when the log last heard of a request that failed, or 0 */
	_Atomic size_t bounced;	    /* bytes of all requests' bounce */
	struct file_helper *helper; /* block devices only */
};

struct file_channel {
	struct sr_disk_channel base;
	struct io_uring ring;
	int event_fd;
	bool disabled; /* the ring belongs to nobody before the first submit */
	bool armed;    /* event_fd is rung */
	unsigned in_kernel;
	struct sr_disk_req *waiting, **waiting_tail; /* for room in the kernel, in order */
	/* Done by the helper; under its lock but for the flag. */
	struct sr_disk_req *helped;
	_Atomic bool has_helped;
};

/* A request's own[1].u: */
enum {
	FILE_WAITING = 1 << 0,
	FILE_AT_HELPER = 1 << 1,
	FILE_DONE = 1 << 2,
	FILE_CANCELLED = 1 << 3, /* its next step is its last */
	FILE_BOUNCED = 1 << 4,	 /* through memory of ours, whatever its pieces look like */
	FILE_SYNCING = 1 << 5,	 /* zeroes with FUA: fdatasync is the second step */
	FILE_JUDGED = 1 << 6,	 /* a failed write to a zone: the helper looks for the reason */
	FILE_PUNCH = 1 << 7,	 /* zeroes: by which way */
	FILE_ZERO_RANGE = 1 << 8,
	FILE_TRY = 1 << 9 /* from here on: how often it was sent back */
};

/* What a request needs that does not go through in one step as it is (own[0].p). */
struct file_moves {
	uint64_t done; /* bytes */
	void *bounce;
	size_t room;   /* of it */
	unsigned niov; /* of the step under way */
	struct iovec iov[FILE_PIECES];
};

static inline struct file_disk *file_of(const struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c->disk, struct file_disk, base);
}

/* file_open.c, file_lock.c: fd, is_block, direct and masks; locked. */
int file_open(struct file_disk *f, const struct sr_disk_file_config *c, struct sr_disk_info *info,
	      struct sr_error *e);
int file_lock(const struct file_disk *f, const char *name, bool read_only, struct sr_error *e);

/* file_info.c */
int file_block_size(const struct file_disk *f, const struct sr_disk_file_config *c,
		    struct sr_error *e);
int file_size(const struct file_disk *f, const char *name, uint32_t block_size, uint64_t *size,
	      struct sr_error *e);
void file_look(const struct file_disk *f, struct sr_disk_info *info);
/* A number of the device's folder in sysfs; 0 where there is none. */
uint64_t file_sysfs_number(const struct file_disk *f, const char *file);

/* file_ring.c */
int file_ring_probe(const char *name, struct sr_error *e);
struct sr_disk_channel *file_channel_create(struct sr_disk *d, struct sr_loop *loop,
					    struct sr_error *e);
void file_channel_destroy(struct sr_disk_channel *base);
bool file_arm(struct sr_disk_channel *base);
int file_event_fd(struct sr_disk_channel *base);
struct io_uring_sqe *file_sqe(struct file_channel *c);
void file_ring_submit(struct file_channel *c);
bool file_ring_has_work(const struct file_channel *c);
void file_disarm(struct file_channel *c);

/* file_io.c */
void file_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n);
void file_reap(struct sr_disk_channel *base);
bool file_cancel(struct sr_disk_channel *base, struct sr_disk_req *r);
void file_finish(struct file_channel *c, struct sr_disk_req *r, int result);

/* file_prep.c: one step of a request as the kernel takes it. */
int file_ready(struct file_disk *f, struct sr_disk_req *r);
void file_prep(const struct file_disk *f, const struct sr_disk_req *r, struct io_uring_sqe *sqe);

/* file_moves.c: 0 or -ENOMEM; bytes left or a negative errno. */
int file_moves_begin(struct file_disk *f, struct sr_disk_req *r);
int64_t file_moves_add(struct file_disk *f, struct sr_disk_req *r, uint32_t moved);
void file_moves_end(struct file_disk *f, struct sr_disk_req *r);

/* file_helper.c: calls that block, in order, on one thread of the disk. */
int file_helper_start(struct file_disk *f, struct sr_error *e);
void file_helper_stop(struct file_disk *f);
void file_helper_push(struct file_channel *c, struct sr_disk_req *r);
bool file_helper_take_back(struct file_channel *c, struct sr_disk_req *r);
void file_helper_collect(struct file_channel *c);
void file_helper_forget(struct file_channel *c);

/* file_zone.c: on the helper's thread. */
int file_zone_run(struct file_disk *f, struct sr_disk_req *r);
int file_zone_judge(struct file_disk *f, const struct sr_disk_req *r);
void file_zone_look(const struct file_disk *f, struct sr_disk_info *info);

#endif
