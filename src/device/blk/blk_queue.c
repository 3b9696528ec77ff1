/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's life: made, started, enabled, drained, abandoned, stopped; and its requests. */
#include "blk_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct blk_queue *blk_queue_get(struct sr_device *d, unsigned queue)
{
	struct sr_blk *b = blk_of_device(d);

	assert(queue < b->queue_count);
	return atomic_load_explicit(&b->queues[queue], memory_order_acquire);
}

static struct blk_queue *queue_make(struct sr_blk *b, unsigned queue)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->blk = b;
	q->index = queue;
	atomic_store_explicit(&b->queues[queue], q, memory_order_release);
	return q;
}

static void chunk_free(struct blk_request *chunk)
{
	for (unsigned i = 0; i < BLK_CHUNK; i++) {
		sr_iov_pool_finish(&chunk[i].pool);
		free(chunk[i].extra);
	}
	free(chunk);
}

static bool chunk_make(struct blk_queue *q)
{
	struct blk_request *chunk;

	if (q->nchunks == SR_ARRAY_LEN(q->chunks))
		return false;
	chunk = aligned_alloc(SR_CACHE_LINE, BLK_CHUNK * sizeof(*chunk));
	if (!chunk)
		return false;
	memset(chunk, 0, BLK_CHUNK * sizeof(*chunk));
	for (unsigned i = 0; i < BLK_CHUNK; i++) {
		if (sr_iov_pool_init(&chunk[i].pool, BLK_PIECES)) {
			chunk_free(chunk);
			return false;
		}
	}
	for (unsigned i = BLK_CHUNK; i-- > 0;)
		blk_request_put(q, &chunk[i]);
	q->chunks[q->nchunks++] = chunk;
	return true;
}

/* The one that was put back last: its lines are likely still in the cache. */
struct blk_request *blk_request_get(struct blk_queue *q)
{
	struct blk_request *r = q->free;

	if (SR_UNLIKELY(!r)) {
		if (!chunk_make(q))
			return NULL;
		r = q->free;
	}
	q->free = r->next;
	return r;
}

void blk_request_put(struct blk_queue *q, struct blk_request *r)
{
	r->next = q->free;
	q->free = r;
}

void *blk_request_extra(struct blk_request *r)
{
	if (!r->extra)
		r->extra = calloc(1, BLK_EXTRA_BYTES);
	return r->extra;
}

/* Nothing is outstanding. */
static void queue_release(struct blk_queue *q)
{
	sr_disk_channel_destroy(q->channel);
	q->channel = NULL;
	q->free = NULL;
	while (q->nchunks)
		chunk_free(q->chunks[--q->nchunks]);
}

static bool queue_prepare(struct blk_queue *q, struct sr_error *e)
{
	struct sr_loop *loop = sr_device_queue_loop(&q->blk->device, q->index);

	sr_error_set(e, -ENOMEM, "out of memory");
	if (!chunk_make(q))
		return false;
	q->channel = sr_disk_channel_create(q->blk->disk, loop, blk_complete, q, e);
	return q->channel;
}

void blk_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	struct sr_blk *b = blk_of_device(d);
	struct blk_queue *q = blk_queue_get(d, queue);
	struct sr_error e;

	if (!q)
		q = queue_make(b, queue);
	if (!q) {
		sr_device_queue_broken(d, queue, "out of memory");
		return;
	}
	assert(!q->vq && !q->outstanding);
	q->features = atomic_load(&b->features);
	q->enabled = q->broken = q->draining = q->owes = q->abandoning = false;
	if (queue_prepare(q, &e)) {
		q->vq = vq;
		return;
	}
	queue_release(q);
	sr_device_queue_broken(d, queue, e.text);
}

void blk_queue_stop(struct sr_device *d, unsigned queue)
{
	struct blk_queue *q = blk_queue_get(d, queue);

	if (!q || !q->vq)
		return;
	assert(!q->outstanding);
	q->vq = NULL;
	queue_release(q);
}

void blk_queue_enable(struct sr_device *d, unsigned queue, bool on)
{
	struct blk_queue *q = blk_queue_get(d, queue);

	if (q)
		q->enabled = on;
}

bool blk_queue_drain(struct sr_device *d, unsigned queue)
{
	struct blk_queue *q = blk_queue_get(d, queue);

	if (!q || !q->vq)
		return true;
	sr_disk_poll(q->channel);
	q->draining = true;
	q->owes = q->outstanding;
	return !q->owes;
}

/* What the disk lets go of comes with the next poll. */
static void request_cancel(struct blk_queue *q, struct blk_request *r)
{
	struct blk_part *more = r->extra;

	if (r->part.of)
		sr_disk_cancel(q->channel, &r->part.req);
	for (unsigned i = 0, left = r->parts - !!r->part.of; left; i++) {
		if (more[i].of != r)
			continue;
		left--;
		sr_disk_cancel(q->channel, &more[i].req);
	}
}

bool blk_queue_abandon(struct sr_device *d, unsigned queue)
{
	struct blk_queue *q = blk_queue_get(d, queue);

	if (!q || !q->vq)
		return true;
	q->draining = true;
	q->abandoning = true;
	q->owes = false; /* this call is the answer, unless it is no */
	for (unsigned i = 0; i < q->nchunks; i++)
		for (unsigned k = 0; k < BLK_CHUNK; k++)
			if (q->chunks[i][k].busy)
				request_cancel(q, &q->chunks[i][k]);
	while (sr_disk_poll(q->channel))
		;
	q->owes = q->outstanding;
	return !q->owes;
}

/* Kicks wake only who would take something. */
bool blk_arm(struct sr_device *d, unsigned queue)
{
	struct blk_queue *q = blk_queue_get(d, queue);

	return q && q->vq && q->enabled && !q->broken && !q->draining && sr_vq_rearm(q->vq);
}
