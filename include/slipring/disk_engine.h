/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an engine or a filter of disks is made of. An engine embeds `struct sr_disk` and
 * `struct sr_disk_channel` first in its own structures and fills one const ops table.
 *
 * A filter's channel opens a channel on the disk below with a completion function of its
 * own, may hold requests back, and passes the same `struct sr_disk_req` down: `next` and
 * `own` belong to the one layer that has the request at that moment. Its reap polls the channel
 * below, so that one sr_disk_poll goes through all layers.
 */
#ifndef SLIPRING_DISK_ENGINE_H
#define SLIPRING_DISK_ENGINE_H

#include <slipring/disk.h>
#include <stdatomic.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_poller;

struct sr_disk_ops {
	const char *name; /* "file" */

	/* On the control loop. Frees the structure that embeds `d`. */
	void (*destroy)(struct sr_disk *d);
	/* On the control loop: see sr_disk_resize. Sets the size by sr_disk_set_size. Optional. */
	int (*resize)(struct sr_disk *d, uint64_t size, struct sr_error *e);

	/* On the loop's thread. Returns the structure that embeds a channel, zeroed but for its
	 * own fields; the caller fills `struct sr_disk_channel`. NULL with *e filled. */
	struct sr_disk_channel *(*channel_create)(struct sr_disk *d, struct sr_loop *loop,
						  struct sr_error *e);
	/* Nothing is under way. Frees it. */
	void (*channel_destroy)(struct sr_disk_channel *c);

	/* Starts them. Must not complete any before it returns: what is done at once waits in a
	 * list of the channel (sr_disk_finish) for the next poll. */
	void (*submit)(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n);
	/* Calls sr_disk_finish for what is done meanwhile; may undo arm. Optional: nothing ever
	 * takes time. */
	void (*reap)(struct sr_disk_channel *c);
	/* As sr_poller_ops.arm. Optional. */
	bool (*arm)(struct sr_disk_channel *c);
	/* Readable when reap has something to do and arm was called; -1 = none. Optional. */
	int (*event_fd)(struct sr_disk_channel *c);
	/* See sr_disk_cancel: when true the engine has called sr_disk_finish for it, or will in the
	 * next reap. Optional: nothing can be cancelled. */
	bool (*cancel)(struct sr_disk_channel *c, struct sr_disk_req *r);
};

struct sr_disk {
	const struct sr_disk_ops *ops;
	char *name; /* sr_disk_init copies it, sr_disk_finish_base frees it */
	struct sr_disk_info info;
	_Atomic uint64_t size;
	_Atomic unsigned channels; /* open ones */
	struct sr_disk_listener *listeners, *next_told;
	struct sr_disk *below; /* filters: the disk under it, else NULL */
	struct sr_disk_listener on_below;
};

struct sr_disk_channel {
	struct sr_disk *disk;
	struct sr_loop *loop;
	struct sr_poller *poller;
	sr_disk_complete_fn *complete;
	void *ctx;
	struct sr_disk_req *done, **done_tail; /* finished, not completed yet; in order */
	unsigned finished;		       /* length of that list */
	unsigned under_way;		       /* submitted and not completed yet */
	bool reaping, completing;
	bool asleep; /* its poller: only arm's promise wakes it */
};

/* The first and last thing of create and destroy. `info` and size come from the engine; a
 * filter starts with those of the disk below. -EINVAL when size or block sizes make no sense
 * (size a positive multiple of block_size, block_size 512 or 4096). */
int sr_disk_init(struct sr_disk *d, const struct sr_disk_ops *ops, const char *name,
		 const struct sr_disk_info *info, uint64_t size, struct sr_error *e);
/* A filter's: name, info and size are those below, which it owns from then on. */
int sr_disk_init_filter(struct sr_disk *d, const struct sr_disk_ops *ops, struct sr_disk *below,
			struct sr_error *e);
void sr_disk_finish_base(struct sr_disk *d);

/* On the control loop: stores a new size and tells the listeners of this disk. */
void sr_disk_set_size(struct sr_disk *d, uint64_t size);

/* On the channel's thread: r is done, with r->result set by this. Wakes the channel's poller when
 * it is called outside of submit and reap. */
void sr_disk_finish(struct sr_disk_channel *c, struct sr_disk_req *r, int result);

#ifdef __cplusplus
}
#endif
#endif
