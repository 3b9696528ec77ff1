/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a virtqueue (virtio 1.3, section 2.6 to 2.8). The format is chosen
 * once, at sr_vq_start, from the negotiated features; the calls are the same for all.
 *
 * One pass over a queue:
 *
 *     n = sr_vq_pop(q, chains, 64, pool);      take what the driver made available
 *     ... read chains[i].out, write chains[i].in, set chains[i].written ...
 *     sr_vq_push(q, chains, n);                return it
 *     if (sr_vq_publish(q)) call the guest     show it, one notification a batch
 *
 * and when there was nothing: `sr_vq_rearm` before going to sleep. A queue belongs to one
 * thread at a time.
 */
#ifndef SLIPRING_VQ_H
#define SLIPRING_VQ_H

#include <slipring/mem.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SR_VQ_SIZE_MAX 32768u

struct sr_vq;

/* `desc`, `avail` (the driver area) and `used` (the device area) are addresses of the
 * front-end (struct sr_region, uva). */
struct sr_vq_config {
	uint32_t size;	   /* entries: 1 to SR_VQ_SIZE_MAX; split: a power of two */
	uint64_t features; /* as negotiated: EVENT_IDX, INDIRECT_DESC, ... */
	uint64_t desc, avail, used;
	uint16_t base;	    /* split: the next avail index to look at */
	uint16_t chain_max; /* descriptors of one chain; 0 = SR_VQ_SIZE_MAX. A longer one breaks
			     * the queue: each is work, even when it has no bytes */
	bool log_used;	    /* mark writes to the used ring in the dirty log ... */
	uint64_t log_gpa;   /* ... as if the used ring lay at this guest-physical address */
	/* The queue's part of the in-flight record (vhost-user, "Inflight I/O tracking"):
	 * sr_vq_inflight_bytes(size, features) bytes, 64-aligned, shared with the front-end, or
	 * NULL. What it says was popped and not pushed when its last user ended comes first out of
	 * sr_vq_pop, in the order of then; `base` is not looked at, unless the record is new. */
	void *inflight;
};

/* Bytes of one queue's part of the record, a multiple of 64; 0 for a size that no ring has. */
size_t sr_vq_inflight_bytes(uint32_t size, uint64_t features);

/* Pieces that chains point to. One pool serves one batch: reset it before sr_vq_pop once
 * the chains of the last batch are done with, or give a request a pool of its own. */
struct sr_iov_pool {
	struct iovec *v;
	unsigned used, cap;
};
int sr_iov_pool_init(struct sr_iov_pool *p, unsigned cap); /* 0 or -ENOMEM */
void sr_iov_pool_finish(struct sr_iov_pool *p);
static inline void sr_iov_pool_reset(struct sr_iov_pool *p)
{
	p->used = 0;
}

/* One descriptor chain: `out` is what the driver wrote for us to read, `in` what we may
 * write. Zero-length descriptors are left out. Whole chains are below 4 GiB. */
struct sr_chain {
	struct iovec *out, *in;	  /* in the pool; `in` follows `out` */
	uint32_t nout, nin;	  /* pieces */
	uint32_t out_len, in_len; /* bytes */
	uint32_t written;	  /* by the device before sr_vq_push: bytes written from the
				   * start of `in`; 0 after sr_vq_pop */
	uint16_t id;		  /* ring's own: head index */
};

struct sr_vq *sr_vq_create(void);    /* NULL: out of memory */
void sr_vq_destroy(struct sr_vq *q); /* NULL is allowed */

/* `m` must outlive the running queue. -EINVAL with the field, value and expectation in *e
 * (size, alignment, an area that is not whole inside one region, log too short). The used
 * index is read from the ring. Notifications are off until sr_vq_rearm. */
int sr_vq_start(struct sr_vq *q, const struct sr_vq_config *c, const struct sr_mem *m,
		struct sr_error *e);
/* After it the ring is not touched. Returns the base to start again from: chains that were
 * popped and not pushed are offered again then. A base is one number, so these must be the last
 * ones popped: a device that completes out of order stops with nothing outstanding. What was
 * pushed must have been published. On a stopped queue it returns the same base again. */
uint16_t sr_vq_stop(struct sr_vq *q);
bool sr_vq_is_running(const struct sr_vq *q);
/* True: it was started with an in-flight record, so sr_vq_stop may leave chains outstanding in
 * any order; the next start brings them back. */
bool sr_vq_keeps(const struct sr_vq *q);

/* Takes up to n chains into c[], each copied once from shared memory, checked whole and
 * translated. Returns how many; 0 = empty. Fewer than there are when the pool is full; an
 * empty pool grows when the first chain needs it. -EPROTO: the ring is broken (sr_vq_error
 * says why) and stays so until it is started again; every later pop says the same. Chains
 * before a bad one are given first, and chains of a broken ring may still be pushed. Nothing
 * is taken on -ENOBUFS: the pool holds pieces and the first chain does not fit beside them;
 * who resets the pool before each pop never sees it. */
int sr_vq_pop(struct sr_vq *q, struct sr_chain *c, unsigned n, struct sr_iov_pool *pool);

/* Gives the last n popped chains back, unread: the next pop returns them again. Not where
 * sr_vq_keeps(): the record has them already. */
void sr_vq_unpop(struct sr_vq *q, unsigned n);

/* Returns n chains to the driver in the order given; seen by it after sr_vq_publish. Their
 * `written` bytes are marked in the dirty log when it is active: the pool must still hold
 * their pieces. */
void sr_vq_push(struct sr_vq *q, const struct sr_chain *c, unsigned n);

/* Shows all pushed chains to the driver. True: it asked to be notified. The first time after
 * a start it is true with EVENT_IDX in any case; false when nothing was pushed since the last
 * time. */
bool sr_vq_publish(struct sr_vq *q);

/* Asks the driver for kicks, then looks again: true = something came meanwhile (kicks are
 * off again), so keep going; false = a kick will come. Pop ends the asking by itself.
 * False on a broken ring. */
bool sr_vq_rearm(struct sr_vq *q);

/* How many avail entries are waiting; what the driver claims, so only a hint. */
unsigned sr_vq_available(struct sr_vq *q);

/* Why the ring is broken, or NULL. Owned by the queue, valid until its next start. */
const char *sr_vq_error(const struct sr_vq *q);

#ifdef __cplusplus
}
#endif
#endif
