/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass over a queue: pop a batch, judge each chain and give the disk all that is sound in
 * one go, ask at once what is done already (memory completes there and then), push all that is
 * done, publish, call. What takes longer comes back through blk_complete, from the channel's
 * own poller, and goes the second half of the same way.
 */
#include "blk_internal.h"

#include <errno.h>
#include <stdatomic.h>

/* As long as all requests are under way. Any completion on this loop ends it sooner. */
#define DEPTH_RETRY_US 1000

static void submit_all(struct blk_queue *q)
{
	unsigned n = q->nsubmit;

	q->nsubmit = 0;
	if (n)
		sr_disk_submit(q->channel, q->submit, n);
}

void blk_part_add(struct blk_queue *q, struct blk_request *r, struct blk_part *p)
{
	p->of = r;
	r->parts++;
	q->submit[q->nsubmit++] = &p->req;
	if (SR_UNLIKELY(q->nsubmit == BLK_BATCH))
		submit_all(q);
}

/* The pieces of a request are its own until it is pushed: the dirty log is made of them. */
static void push_done(struct blk_queue *q)
{
	struct sr_chain chains[BLK_BATCH];
	unsigned n = q->ndone;

	if (!n)
		return;
	for (unsigned i = 0; i < n; i++)
		chains[i] = q->done[i]->chain;
	sr_vq_push(q->vq, chains, n);
	for (unsigned i = 0; i < n; i++) {
		q->done[i]->busy = false;
		blk_request_put(q, q->done[i]);
	}
	q->outstanding -= n;
	q->ndone = 0;
}

static void request_done(struct blk_queue *q, struct blk_request *r, enum blk_status status)
{
	struct sr_chain *c = &r->chain;
	struct iovec *last = &c->in[c->nin - 1];

	last->iov_len += r->cut;
	((uint8_t *)last->iov_base)[last->iov_len - 1] = (uint8_t)status;
	/* Even where only the status was written: it is at the end, and the dirty log goes by
	 * this. */
	c->written = c->in_len;
	if (SR_UNLIKELY(status == BLK_S_IOERR))
		blk_count(&q->counters.failed, 1);
	q->done[q->ndone++] = r;
	if (SR_UNLIKELY(q->ndone == BLK_BATCH))
		push_done(q);
}

/* The record in shared memory brings it back to whoever starts the queue next. */
static void request_forget(struct blk_queue *q, struct blk_request *r)
{
	r->busy = false;
	blk_request_put(q, r);
	q->outstanding--;
}

static void publish(struct blk_queue *q)
{
	push_done(q);
	atomic_store_explicit(&q->in_flight, q->outstanding, memory_order_relaxed);
	if (sr_vq_publish(q->vq))
		sr_device_call(&q->blk->device, q->index);
	if (SR_UNLIKELY(q->owes && !q->outstanding)) {
		q->owes = false;
		sr_device_queue_drained(&q->blk->device, q->index);
	}
}

void blk_complete(void *ctx, struct sr_disk_req *const *reqs, unsigned n)
{
	struct blk_queue *q = ctx;

	for (unsigned i = 0; i < n; i++) {
		struct blk_part *p = SR_CONTAINER_OF(reqs[i], struct blk_part, req);
		struct blk_request *r = p->of;

		p->of = NULL;
		if (SR_UNLIKELY(p->req.result && !r->error))
			r->error = p->req.result;
		if (SR_UNLIKELY(--r->parts))
			continue;
		if (SR_UNLIKELY(q->abandoning && r->error == -ECANCELED && sr_vq_keeps(q->vq)))
			request_forget(q, r);
		else
			request_done(q, r, blk_request_end(q, r));
	}
	if (!q->in_pass)
		publish(q);
}

static void queue_break(struct blk_queue *q, const char *why)
{
	q->broken = true;
	sr_device_queue_broken(&q->blk->device, q->index, why);
}

/* False: the ring is empty or broken. */
static bool take_one(struct blk_queue *q, struct blk_request *r)
{
	enum blk_status status;
	int n;

	sr_iov_pool_reset(&r->pool);
	n = sr_vq_pop(q->vq, &r->chain, 1, &r->pool);
	if (SR_UNLIKELY(n < 0))
		queue_break(q, sr_vq_error(q->vq));
	if (n <= 0)
		return false;
	if (SR_UNLIKELY(!r->chain.in_len)) {
		if (!sr_vq_keeps(q->vq))
			sr_vq_unpop(q->vq, 1);
		blk_count_malformed(q);
		queue_break(q, "a request without a byte to write its status to, expected at "
			       "least one device-writable byte");
		return false;
	}
	r->busy = true;
	r->error = 0;
	r->parts = 0;
	r->cut = false;
	r->part.of = NULL;
	q->outstanding++;
	status = blk_request_begin(q, r);
	if (SR_UNLIKELY(status != BLK_UNDER_WAY))
		request_done(q, r, status);
	return true;
}

/* How many were taken. *full: no request is free for more. */
static unsigned pass(struct blk_queue *q, unsigned want, bool *full)
{
	uint64_t bytes = 0;
	unsigned n;

	q->in_pass = true;
	/* Some media copy while they are asked, and this loop serves others too. */
	for (n = 0; n < want && bytes < BLK_PASS_BYTES; n++) {
		struct blk_request *r = blk_request_get(q);

		*full = !r;
		if (!r)
			break;
		if (!take_one(q, r)) {
			blk_request_put(q, r);
			break;
		}
		bytes += (uint64_t)r->chain.out_len + r->chain.in_len;
	}
	if (n) {
		submit_all(q);
		sr_disk_poll(q->channel);
	}
	q->in_pass = false;
	if (n)
		publish(q);
	return n;
}

/* The guest's choice, as of now; see "volatile" in virtio 1.3, 5.2.6.2. */
static bool writes_are_durable(const struct blk_queue *q)
{
	if (q->features & SR_BLK_F_CONFIG_WCE)
		return !atomic_load_explicit(&q->blk->writeback, memory_order_relaxed);
	return !(q->features & SR_BLK_F_FLUSH);
}

int blk_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct blk_queue *q = blk_queue_get(d, queue);
	unsigned total = 0, want, n;
	bool full = false;

	if (!q || !q->vq || !q->enabled)
		return 0;
	q->durable = writes_are_durable(q);
	do {
		if (q->broken || q->draining)
			break;
		want = (unsigned)sr_min(budget - total, BLK_BATCH);
		n = pass(q, want, &full);
		total += n;
	} while (n == want && total < budget);
	return full && !total ? -DEPTH_RETRY_US : (int)total;
}
