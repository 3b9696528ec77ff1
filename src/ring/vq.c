/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation, device side. Everything that a hostile driver can write is in shared
 * memory: indices, descriptors, indirect tables. Each word is copied once, judged in the copy
 * and used from the copy, so that a driver that rewrites it meanwhile changes nothing. A
 * chain is judged whole before the device gets any of it. Code that follows descriptors while
 * the device works on their data was rejected: there a check and its use drift apart.
 *
 * The format of a ring (split; packed is to come) is chosen once, in sr_vq_start, as a const
 * table of calls that each work on a whole batch. Branching on the format within each call was
 * rejected: it multiplies with every other variant.
 *
 * The driver's mistakes break the queue: it says why once, takes nothing more, and what the
 * device already holds can still be pushed.
 */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sr_vq *sr_vq_create(void)
{
	return calloc(1, sizeof(struct sr_vq));
}

void sr_vq_destroy(struct sr_vq *q)
{
	if (q)
		sr_inflight_stop(&q->inflight); /* of one that was not stopped */
	free(q);
}

int sr_vq_start(struct sr_vq *q, const struct sr_vq_config *c, const struct sr_mem *m,
		struct sr_error *e)
{
	assert(!q->ops);
	if (c->features & SR_F_RING_PACKED)
		return sr_error_set(e, -EINVAL,
				    "features 0x%" PRIx64 ": RING_PACKED, expected a split ring",
				    c->features);
	memset(q, 0, sizeof(*q));
	q->mem = m;
	q->size = c->size;
	q->chain_max = c->chain_max ? c->chain_max : SR_VQ_SIZE_MAX;
	q->event_idx = c->features & SR_F_EVENT_IDX;
	q->indirect = c->features & SR_F_INDIRECT_DESC;
	q->log_used = c->log_used;
	q->log_gpa = c->log_gpa;
	q->base = c->base;
	int rc = sr_ring_split.start(q, c, e);

	if (rc == 0)
		q->ops = &sr_ring_split;
	return rc;
}

uint16_t sr_vq_stop(struct sr_vq *q)
{
	if (q->ops)
		q->base = q->ops->base(q);
	q->ops = NULL;
	sr_inflight_stop(&q->inflight);
	return q->base;
}

bool sr_vq_keeps(const struct sr_vq *q)
{
	return q->inflight.record;
}

bool sr_vq_is_running(const struct sr_vq *q)
{
	return q->ops;
}

int sr_vq_pop(struct sr_vq *q, struct sr_chain *c, unsigned n, struct sr_iov_pool *pool)
{
	assert(q->ops);
	if (SR_UNLIKELY(q->broken))
		return -EPROTO;
	return q->ops->pop(q, c, n, pool);
}

void sr_vq_unpop(struct sr_vq *q, unsigned n)
{
	assert(q->ops && n <= q->outstanding && !sr_vq_keeps(q));
	q->ops->unpop(q, n);
	q->outstanding -= n;
}

void sr_vq_push(struct sr_vq *q, const struct sr_chain *c, unsigned n)
{
	assert(q->ops && n <= q->outstanding);
	q->ops->push(q, c, n);
	q->outstanding -= n;
}

bool sr_vq_publish(struct sr_vq *q)
{
	assert(q->ops);
	return q->ops->publish(q);
}

bool sr_vq_rearm(struct sr_vq *q)
{
	assert(q->ops);
	return !q->broken && q->ops->rearm(q);
}

unsigned sr_vq_available(struct sr_vq *q)
{
	assert(q->ops);
	return q->broken ? 0 : q->ops->available(q);
}

const char *sr_vq_error(const struct sr_vq *q)
{
	return q->broken ? q->error : NULL;
}

int sr_vq_break(struct sr_vq *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->error, sizeof(q->error), format, args);
	va_end(args);
	q->broken = true;
	return -EPROTO;
}

int sr_iov_pool_init(struct sr_iov_pool *p, unsigned cap)
{
	p->used = 0;
	p->cap = cap;
	p->v = calloc(cap ? cap : 1, sizeof(*p->v));
	return p->v ? 0 : -ENOMEM;
}

void sr_iov_pool_finish(struct sr_iov_pool *p)
{
	free(p->v);
	memset(p, 0, sizeof(*p));
}

bool sr_iov_pool_grow(struct sr_iov_pool *p)
{
	unsigned cap = p->cap < 32 ? 64 : p->cap * 2;

	if (p->cap >= SR_CHAIN_PIECES_MAX)
		return false;
	struct iovec *v = realloc(p->v, cap * sizeof(*v));

	if (!v)
		return false;
	p->v = v;
	p->cap = cap;
	return true;
}
