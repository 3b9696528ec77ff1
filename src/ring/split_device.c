/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a split ring. Three words cross between us and the driver without a
 * lock, each written by one side: avail->idx (driver), used->idx (us), and the two requests
 * for notification, used_event or avail->flags (driver) and avail_event or used->flags (us).
 */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

static int area_find(const struct sr_vq *q, const char *name, uint64_t uva, uint64_t bytes,
		     unsigned alignment, void *to, struct sr_error *e)
{
	void *p = sr_mem_from_uva(q->mem, uva, bytes);

	if (!p)
		return sr_error_set(e, -EINVAL,
				    "%s 0x%" PRIx64 ": %" PRIu64
				    " bytes, expected all of them in one memory region",
				    name, uva, bytes);
	/* A region that is mapped from the middle of a page shifts our addresses. */
	if ((uva | (uintptr_t)p) % alignment)
		return sr_error_set(e, -EINVAL, "%s 0x%" PRIx64 ": expected alignment to %u bytes",
				    name, uva, alignment);
	*(void **)to = p;
	return 0;
}

static int log_check(const struct sr_vq *q, struct sr_error *e)
{
	uint64_t bytes = split_used_bytes(q->size, q->event_idx), end;

	if (!q->log_used)
		return 0;
	if (!sr_add_u64(q->log_gpa, bytes, &end))
		return sr_error_set(e, -EINVAL,
				    "log address 0x%" PRIx64
				    " of the used ring: expected its end below 2^64",
				    q->log_gpa);
	if (sr_mem_log_active(q->mem) && !sr_mem_log_covers(q->mem, q->log_gpa, bytes))
		return sr_error_set(e, -EINVAL,
				    "log address 0x%" PRIx64 " of the used ring: %" PRIu64
				    " bytes, expected a dirty log that covers them",
				    q->log_gpa, bytes);
	return 0;
}

/* With EVENT_IDX the flags stay 0 (virtio 1.3, section 2.7.10) and we are quiet as long as
 * avail_event is not moved on. */
static void kicks_off(struct sr_vq *q)
{
	q->armed = false;
	if (q->event_idx)
		return;
	ring_store(&q->split.used->flags, SPLIT_USED_NO_NOTIFY);
	sr_vq_log_used(q, offsetof(struct split_used, flags), 2);
}

static int split_start(struct sr_vq *q, const struct sr_vq_config *c, struct sr_error *e)
{
	struct split_device *s = &q->split;
	uint32_t n = c->size;

	if (n == 0 || n > SR_VQ_SIZE_MAX || n & (n - 1))
		return sr_error_set(e, -EINVAL,
				    "size %" PRIu32 ", expected a power of two from 1 to %u", n,
				    SR_VQ_SIZE_MAX);
	int rc = area_find(q, "desc", c->desc, split_desc_bytes(n), 16, &s->desc, e);

	if (!rc)
		rc = area_find(q, "avail", c->avail, split_avail_bytes(n, q->event_idx), 2,
			       &s->avail, e);
	if (!rc)
		rc = area_find(q, "used", c->used, split_used_bytes(n, q->event_idx), 4, &s->used,
			       e);
	if (!rc)
		rc = log_check(q, e);
	if (rc)
		return rc;
	s->next_avail = s->seen_avail = c->base;
	s->next_used = s->shown_used = ring_load(&s->used->idx);
	if (c->inflight) {
		rc = sr_inflight_start(&q->inflight, c->inflight, n, s->next_used, e);
		if (rc)
			return rc;
		/* All that was taken is in the used ring or in the record. What a front-end
		 * believes after our death is less exact; only a record's first user needs it. */
		if (q->inflight.known)
			s->next_avail = s->seen_avail =
				(uint16_t)(s->next_used + sr_inflight_left(&q->inflight));
	}
	ring_store(&s->used->flags, 0);
	sr_vq_log_used(q, offsetof(struct split_used, flags), 2);
	kicks_off(q);
	return 0;
}

/* With a record, what is outstanding comes back from there. */
static uint16_t split_base(const struct sr_vq *q)
{
	if (sr_vq_keeps(q))
		return q->split.next_avail;
	return (uint16_t)(q->split.next_avail - q->outstanding);
}

/* How many entries of the avail ring can be taken, looking at the driver's index only when the
 * last look does not suffice for n. Negative: broken. */
static int split_pending(struct sr_vq *q, unsigned n)
{
	struct split_device *s = &q->split;
	uint16_t pending = (uint16_t)(s->seen_avail - s->next_avail);

	if (pending >= n)
		return pending;
	/* Pairs with the driver's release of avail->idx: its descriptors and ring entries are
	 * there when the index is (section 2.7.13.3). */
	s->seen_avail = ring_load_acquire(&s->avail->idx);
	pending = (uint16_t)(s->seen_avail - s->next_avail);
	/* What we hold and what it has not seen yet count too: no driver has more chains than
	 * descriptors. */
	uint32_t held = q->outstanding + sr_inflight_left(&q->inflight) +
			(uint16_t)(s->next_used - s->shown_used);

	if (SR_UNLIKELY(pending + held > q->size))
		return sr_vq_break(q, "avail index %u, expected at most %" PRIu32 " more than %u",
				   s->seen_avail, q->size, (uint16_t)(s->next_avail - held));
	return pending;
}

/* The commonest chain: one descriptor, in the region of the last one. */
static inline bool take_single(struct sr_vq *q, uint16_t head, struct split_desc d,
			       struct sr_chain *c, struct sr_iov_pool *pool)
{
	void *p;

	if (d.flags & (SPLIT_DESC_NEXT | SPLIT_DESC_INDIRECT) || d.len == 0 ||
	    pool->used == pool->cap)
		return false;
	p = sr_mem_window_get(&q->window, d.addr, d.len);
	if (!p)
		return false;
	struct iovec *v = &pool->v[pool->used++];
	unsigned in = d.flags & SPLIT_DESC_WRITE ? 1 : 0;

	*v = (struct iovec){ p, d.len };
	*c = (struct sr_chain){
		.out = v,
		.in = v + 1 - in,
		.nout = 1 - in,
		.nin = in,
		.out_len = in ? 0 : d.len,
		.in_len = in ? d.len : 0,
		.id = head,
	};
	return true;
}

static int take_chain(struct sr_vq *q, uint16_t head, struct sr_chain *c, struct sr_iov_pool *pool,
		      bool alone)
{
	struct split_desc d = split_desc_copy(&q->split.desc[head]);

	if (SR_UNLIKELY(!take_single(q, head, d, c, pool))) {
		int rc = sr_split_chain_take(q, head, d, c, pool, alone);

		if (rc)
			return rc;
	}
	q->outstanding++;
	return 0;
}

/* What the queue's last user left undone comes first. */
static int take_one(struct sr_vq *q, struct sr_chain *c, struct sr_iov_pool *pool, bool alone)
{
	struct split_device *s = &q->split;
	struct sr_inflight *f = &q->inflight;
	unsigned slot = s->next_avail & (q->size - 1);
	uint16_t head;
	int rc;

	if (SR_UNLIKELY(sr_inflight_left(f))) {
		rc = take_chain(q, f->again[f->again_at], c, pool, alone);
		f->again_at += rc == 0;
		return rc;
	}
	head = ring_load(&s->avail->ring[slot]);
	if (SR_UNLIKELY(head >= q->size))
		return sr_vq_break(q, "avail ring entry %u: descriptor %u, expected < %" PRIu32,
				   slot, head, q->size);
	rc = take_chain(q, head, c, pool, alone);
	if (rc)
		return rc;
	if (SR_UNLIKELY(sr_vq_keeps(q)))
		sr_inflight_take(f, head);
	s->next_avail++;
	return 0;
}

static int split_pop(struct sr_vq *q, struct sr_chain *c, unsigned n, struct sr_iov_pool *pool)
{
	bool alone = pool->used == 0;
	int pending = split_pending(q, n);
	int rc = 0;
	unsigned i;

	if (SR_UNLIKELY(pending < 0))
		return pending;
	if (SR_UNLIKELY(q->armed))
		kicks_off(q);
	if (SR_UNLIKELY(sr_mem_is_torn(q->mem)))
		return sr_vq_break(q, "guest memory: its file was cut short, expected its whole "
				      "size while it is mapped");
	n = (unsigned)sr_min(n, (unsigned)pending + sr_inflight_left(&q->inflight));
	for (i = 0; i < n; i++) {
		rc = take_one(q, &c[i], pool, alone && i == 0);
		if (SR_UNLIKELY(rc))
			break;
	}
	/* What was taken before a broken chain is good; the next pop tells. */
	return i ? (int)i : rc;
}

static void split_unpop(struct sr_vq *q, unsigned n)
{
	q->split.next_avail = (uint16_t)(q->split.next_avail - n);
}

static void log_pushed(const struct sr_vq *q, const struct sr_chain *c, unsigned slot)
{
	sr_mem_log_iov(q->mem, c->in, c->nin, c->written);
	sr_vq_log_used(q, offsetof(struct split_used, ring[slot]), sizeof(struct split_used_elem));
}

static void split_push(struct sr_vq *q, const struct sr_chain *c, unsigned n)
{
	struct split_device *s = &q->split;
	bool log = sr_mem_log_active(q->mem);

	for (unsigned i = 0; i < n; i++) {
		unsigned slot = s->next_used++ & (q->size - 1);

		assert(c[i].written <= c[i].in_len);
		s->used->ring[slot] = (struct split_used_elem){ c[i].id, c[i].written };
		if (SR_UNLIKELY(log))
			log_pushed(q, &c[i], slot);
		if (SR_UNLIKELY(sr_vq_keeps(q)))
			sr_inflight_push(&q->inflight, c[i].id);
	}
}

static bool split_publish(struct sr_vq *q)
{
	struct split_device *s = &q->split;
	uint16_t before = s->shown_used, now = s->next_used;

	if (now == before)
		return false;
	/* Pairs with the driver's acquire of used->idx: the entries, and the data behind them,
	 * are there when the index is (section 2.7.8.2). */
	ring_store_release(&s->used->idx, now);
	s->shown_used = now;
	if (SR_UNLIKELY(sr_vq_keeps(q)))
		sr_inflight_published(&q->inflight, now);
	sr_vq_log_used(q, offsetof(struct split_used, idx), 2);
	/* The driver writes its request to be notified, then looks at used->idx; we write
	 * used->idx, then look at its request. With a full barrier on both sides at least one
	 * of us sees the other (section 2.7.7). */
	ring_full_barrier();
	if (!q->event_idx)
		return !(ring_load(&s->avail->flags) & SPLIT_AVAIL_NO_INTERRUPT);
	uint16_t event = ring_load(split_used_event(s->avail, q->size));

	/* Somebody else may have published before we started and died before notifying. */
	if (!s->called) {
		s->called = true;
		return true;
	}
	return split_event_passed(event, now, before);
}

static bool split_rearm(struct sr_vq *q)
{
	struct split_device *s = &q->split;

	q->armed = true;
	if (q->event_idx) {
		ring_store(split_avail_event(s->used, q->size), s->next_avail);
		sr_vq_log_used(q, offsetof(struct split_used, ring[q->size]), 2);
	} else {
		ring_store(&s->used->flags, 0);
		sr_vq_log_used(q, offsetof(struct split_used, flags), 2);
	}
	/* The driver writes avail->idx, then looks at our request for kicks; we write the
	 * request, then look at avail->idx. With a full barrier on both sides at least one of
	 * us sees the other (section 2.7.10). */
	ring_full_barrier();
	if (ring_load_acquire(&s->avail->idx) == s->next_avail && !sr_inflight_left(&q->inflight))
		return false;
	kicks_off(q);
	return true;
}

static unsigned split_available(struct sr_vq *q)
{
	uint16_t pending = (uint16_t)(ring_load(&q->split.avail->idx) - q->split.next_avail);

	return (unsigned)sr_min(pending + sr_inflight_left(&q->inflight), q->size);
}

const struct sr_ring_ops sr_ring_split = {
	.start = split_start,
	.base = split_base,
	.pop = split_pop,
	.unpop = split_unpop,
	.push = split_push,
	.publish = split_publish,
	.rearm = split_rearm,
	.available = split_available,
};
