/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the device side share. */
#ifndef SR_QUEUE_H
#define SR_QUEUE_H

#include "base.h"
#include "inflight.h"
#include "split_layout.h"
#include "window.h"

#include <slipring/virtio.h>
#include <slipring/vq.h>

/* One ring format: the calls of vq.h, on a running queue. */
struct sr_ring_ops {
	int (*start)(struct sr_vq *q, const struct sr_vq_config *c, struct sr_error *e);
	uint16_t (*base)(const struct sr_vq *q);
	int (*pop)(struct sr_vq *q, struct sr_chain *c, unsigned n, struct sr_iov_pool *pool);
	void (*unpop)(struct sr_vq *q, unsigned n);
	void (*push)(struct sr_vq *q, const struct sr_chain *c, unsigned n);
	bool (*publish)(struct sr_vq *q);
	bool (*rearm)(struct sr_vq *q);
	unsigned (*available)(struct sr_vq *q);
};

extern const struct sr_ring_ops sr_ring_split;

struct split_device {
	struct split_desc *desc;
	struct split_avail *avail;
	struct split_used *used;
	uint16_t next_avail; /* the next entry of the avail ring to take */
	uint16_t seen_avail; /* the driver's index when last read */
	uint16_t next_used;  /* the next entry of the used ring to fill */
	uint16_t shown_used; /* our index as the driver sees it */
	bool called;	     /* a publish since start has compared with used_event */
};

struct sr_vq {
	const struct sr_ring_ops *ops; /* NULL: stopped */
	const struct sr_mem *mem;
	struct sr_mem_window window; /* region of the last buffer; memory is fixed while we run */
	uint32_t size;
	uint32_t chain_max;   /* descriptors of one chain */
	uint32_t outstanding; /* popped, neither pushed nor given back */
	bool event_idx, indirect, log_used;
	bool armed; /* the driver was asked for kicks */
	bool broken;
	union {
		struct split_device split;
	};
	struct sr_inflight inflight;
	uint64_t log_gpa;
	uint16_t base; /* what the last stop returned */
	char error[256];
};

/* The most pieces of one chain: each of 32768 descriptors may cross into a next region. */
#define SR_CHAIN_PIECES_MAX 65536u

/* Marks the queue broken, once and for all until its next start. Returns -EPROTO. */
int sr_vq_break(struct sr_vq *q, const char *format, ...)
	__attribute__((format(printf, 2, 3), cold));

/* Makes room for more pieces of the only chain in a pool. False: out of memory or past
 * SR_CHAIN_PIECES_MAX. */
bool sr_iov_pool_grow(struct sr_iov_pool *pool);

/* Marks a write to the used ring in the dirty log. */
static inline void sr_vq_log_used(const struct sr_vq *q, uint64_t offset, uint64_t len)
{
	if (SR_UNLIKELY(q->log_used))
		sr_mem_log_gpa(q->mem, q->log_gpa + offset, len);
}

/* split_chain.c: judges and translates the chain that starts at `head`, whose descriptor the
 * caller has copied already. 0; -EPROTO: broken; -ENOBUFS: does not fit in the pool, nothing
 * was taken. `alone`: no other chain is in the pool, it may grow. */
int sr_split_chain_take(struct sr_vq *q, uint16_t head, struct split_desc first, struct sr_chain *c,
			struct sr_iov_pool *pool, bool alone);

/* Copies a descriptor once, from any alignment (indirect tables have none). Volatile, so that
 * the compiler cannot read it a second time after it was judged; two words, because putting it
 * together from fields costs a failed store forwarding each time it is passed on. */
static inline struct split_desc split_desc_copy(const void *from)
{
	const volatile struct {
		uint64_t addr, rest;
	} __attribute__((packed)) *words = from;
	uint64_t rest = words->rest;

	return (struct split_desc){
		.addr = words->addr,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

#endif
