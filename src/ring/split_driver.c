/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation, driver's side. What the device can write (all of the shared ring) is
 * never read back as if it were ours: free descriptors, tokens and the lengths of chains are
 * kept in private arrays, and the ring holds copies for the device. A device's answer is
 * judged against them. Keeping the free list in the descriptor table's `next`, as guests with
 * a trusted host do, was rejected.
 */
#include <slipring/drvq.h>

#include "base.h"
#include "split_layout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <slipring/virtio.h>
#include <slipring/vq.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of descriptor i as the head of a chain in flight. */
struct chain_state {
	void *token;
	uint32_t in_len;
	uint16_t count; /* descriptors of the ring that it uses; 0: not in flight */
	uint16_t last;	/* the last of them */
};

struct sr_drvq {
	struct split_desc *desc;
	struct split_avail *avail;
	struct split_used *used;
	uint32_t size;
	bool event_idx, broken;
	uint16_t free_head;
	uint32_t free;
	uint16_t next_avail, shown_avail, next_used;
	uint32_t in_flight;	     /* chains shown to the device */
	struct split_desc *indirect; /* NULL: never */
	uint64_t indirect_gpa;
	uint32_t indirect_max;
	struct chain_state *state;
	uint16_t *next; /* of each descriptor, also while it is free */
	char error[128];
};

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* Areas that different sides write do not share a cache line. */
struct sr_drvq_layout sr_drvq_layout(uint32_t size)
{
	struct sr_drvq_layout l = { .desc = 0 };

	l.avail = align_up(split_desc_bytes(size), SR_CACHE_LINE);
	l.used = align_up(l.avail + split_avail_bytes(size, true), SR_CACHE_LINE);
	return l;
}

size_t sr_drvq_bytes(uint32_t size)
{
	return align_up(sr_drvq_layout(size).used + split_used_bytes(size, true), SR_CACHE_LINE);
}

static void ring_init(struct sr_drvq *q, const struct sr_drvq_config *c)
{
	struct sr_drvq_layout l = sr_drvq_layout(c->size);
	uint8_t *ring = c->ring;

	assert((uintptr_t)ring % SR_CACHE_LINE == 0);

	q->desc = (void *)(ring + l.desc);
	q->avail = (void *)(ring + l.avail);
	q->used = (void *)(ring + l.used);
	for (uint32_t i = 0; i < c->size; i++)
		q->next[i] = (uint16_t)(i + 1);
	q->free = c->size;
	q->next_avail = q->shown_avail = q->next_used = c->base;
	ring_store(&q->avail->idx, c->base);
	ring_store(&q->used->idx, c->base);
	sr_drvq_quiet(q);
}

struct sr_drvq *sr_drvq_create(const struct sr_drvq_config *c, struct sr_error *e)
{
	if (c->size == 0 || c->size > SR_VQ_SIZE_MAX || c->size & (c->size - 1)) {
		sr_error_set(e, -EINVAL, "size %" PRIu32 ", expected a power of two from 1 to %u",
			     c->size, SR_VQ_SIZE_MAX);
		return NULL;
	}
	struct sr_drvq *q = calloc(1, sizeof(*q));

	if (q) {
		q->state = calloc(c->size, sizeof(*q->state));
		q->next = calloc(c->size, sizeof(*q->next));
	}
	if (!q || !q->state || !q->next) {
		sr_drvq_destroy(q);
		sr_error_set(e, -ENOMEM, "out of memory for a queue of %" PRIu32, c->size);
		return NULL;
	}
	q->size = c->size;
	q->event_idx = c->features & SR_F_EVENT_IDX;
	if (c->features & SR_F_INDIRECT_DESC && c->indirect && c->indirect_max > 1) {
		q->indirect = c->indirect;
		q->indirect_gpa = c->indirect_gpa;
		q->indirect_max = c->indirect_max;
	}
	ring_init(q, c);
	return q;
}

void sr_drvq_destroy(struct sr_drvq *q)
{
	if (!q)
		return;
	free(q->state);
	free(q->next);
	free(q);
}

/* Piece i of the two lists as a descriptor without `next`. */
static struct split_desc piece(const struct sr_sg *out, unsigned nout, const struct sr_sg *in,
			       unsigned i)
{
	const struct sr_sg *s = i < nout ? &out[i] : &in[i - nout];

	return (struct split_desc){ .addr = s->addr,
				    .len = s->len,
				    .flags = i < nout ? 0 : SPLIT_DESC_WRITE };
}

/* One descriptor that refers to the head's own table. Returns it as the last of the chain. */
static uint16_t add_indirect(struct sr_drvq *q, uint16_t head, const struct sr_sg *out,
			     unsigned nout, const struct sr_sg *in, unsigned n)
{
	size_t first = (size_t)head * q->indirect_max;
	struct split_desc *table = q->indirect + first;

	for (unsigned i = 0; i < n; i++) {
		table[i] = piece(out, nout, in, i);
		if (i + 1 < n) {
			table[i].flags |= SPLIT_DESC_NEXT;
			table[i].next = (uint16_t)(i + 1);
		}
	}
	q->desc[head] = (struct split_desc){ .addr = q->indirect_gpa + first * sizeof(*table),
					     .len = n * (uint32_t)sizeof(*table),
					     .flags = SPLIT_DESC_INDIRECT };
	return head;
}

static uint16_t add_direct(struct sr_drvq *q, uint16_t head, const struct sr_sg *out, unsigned nout,
			   const struct sr_sg *in, unsigned n)
{
	uint16_t at = head;

	for (unsigned i = 0;; i++, at = q->next[at]) {
		struct split_desc d = piece(out, nout, in, i);

		if (i + 1 < n) {
			d.flags |= SPLIT_DESC_NEXT;
			d.next = q->next[at];
		}
		q->desc[at] = d;
		if (i + 1 == n)
			return at;
	}
}

int sr_drvq_add(struct sr_drvq *q, const struct sr_sg *out, unsigned nout, const struct sr_sg *in,
		unsigned nin, void *token)
{
	unsigned n = nout + nin;
	bool indirect = q->indirect && n > 1 && n <= sr_min(q->indirect_max, SR_VQ_SIZE_MAX);
	unsigned need = indirect ? 1 : n;
	uint16_t head = q->free_head;
	uint64_t in_len = 0;

	assert(n > 0);
	if (need > q->size)
		return -E2BIG;
	if (need > q->free)
		return -ENOSPC;
	for (unsigned i = 0; i < nin; i++)
		in_len += in[i].len;
	uint16_t last = indirect ? add_indirect(q, head, out, nout, in, n)
				 : add_direct(q, head, out, nout, in, n);

	q->state[head] = (struct chain_state){ .token = token,
					       .in_len = (uint32_t)sr_min(in_len, UINT32_MAX),
					       .count = (uint16_t)need,
					       .last = last };
	q->free_head = q->next[last];
	q->free -= need;
	ring_store(&q->avail->ring[q->next_avail++ & (q->size - 1)], head);
	return 0;
}

bool sr_drvq_publish(struct sr_drvq *q)
{
	uint16_t before = q->shown_avail, now = q->next_avail;

	if (now == before)
		return false;
	/* Pairs with the device's acquire of avail->idx: descriptors and ring entries are there
	 * when the index is (virtio 1.3, section 2.7.13.3). */
	ring_store_release(&q->avail->idx, now);
	q->shown_avail = now;
	q->in_flight += (uint16_t)(now - before);
	/* The device writes its request for kicks, then looks at avail->idx; we write
	 * avail->idx, then look at its request. With a full barrier on both sides at least one
	 * of us sees the other (section 2.7.13.4.1). */
	ring_full_barrier();
	if (!q->event_idx)
		return !(ring_load(&q->used->flags) & SPLIT_USED_NO_NOTIFY);
	return split_event_passed(ring_load(split_avail_event(q->used, q->size)), now, before);
}

static int __attribute__((format(printf, 2, 3), cold))
drvq_break(struct sr_drvq *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->error, sizeof(q->error), format, args);
	va_end(args);
	q->broken = true;
	return -EPROTO;
}

/* Takes the used entry at next_used: one copy, judged, then used. */
static int get_one(struct sr_drvq *q, struct sr_used *u)
{
	unsigned slot = q->next_used & (q->size - 1);
	struct split_used_elem *from = &q->used->ring[slot];
	uint32_t id = __atomic_load_n(&from->id, __ATOMIC_RELAXED);
	uint32_t len = __atomic_load_n(&from->len, __ATOMIC_RELAXED);

	if (id >= q->size)
		return drvq_break(q, "used entry %u: id %" PRIu32 ", expected < %" PRIu32, slot, id,
				  q->size);
	struct chain_state *s = &q->state[id];

	if (s->count == 0)
		return drvq_break(q, "used entry %u: id %" PRIu32 ", expected a chain in flight",
				  slot, id);
	if (len > s->in_len)
		return drvq_break(q, "used entry %u: length %" PRIu32 ", expected at most %" PRIu32,
				  slot, len, s->in_len);
	*u = (struct sr_used){ s->token, len };
	q->next[s->last] = q->free_head;
	q->free_head = (uint16_t)id;
	q->free += s->count;
	s->count = 0;
	q->next_used++;
	q->in_flight--;
	return 0;
}

int sr_drvq_get(struct sr_drvq *q, struct sr_used *u, unsigned n)
{
	if (q->broken)
		return -EPROTO;
	/* Pairs with the device's release of used->idx: entries and data are there when the
	 * index is (section 2.7.14). */
	uint16_t idx = ring_load_acquire(&q->used->idx);
	uint16_t pending = (uint16_t)(idx - q->next_used);

	if (pending > q->in_flight)
		return drvq_break(q, "used index %u, expected at most %" PRIu32 " more than %u",
				  idx, q->in_flight, q->next_used);
	n = (unsigned)sr_min(n, pending);
	for (unsigned i = 0; i < n; i++) {
		int rc = get_one(q, &u[i]);

		if (rc)
			return i ? (int)i : rc;
	}
	return (int)n;
}

bool sr_drvq_rearm(struct sr_drvq *q)
{
	if (q->event_idx)
		ring_store(split_used_event(q->avail, q->size), q->next_used);
	else
		ring_store(&q->avail->flags, 0);
	/* The device writes used->idx, then looks at our request to be notified; we write the
	 * request, then look at used->idx. With a full barrier on both sides at least one of us
	 * sees the other (section 2.7.7). */
	ring_full_barrier();
	if (ring_load_acquire(&q->used->idx) == q->next_used)
		return false;
	sr_drvq_quiet(q);
	return true;
}

/* With EVENT_IDX the flags stay 0 (section 2.7.7) and an event that has passed asks for no
 * call until the index has gone all the way round. */
void sr_drvq_quiet(struct sr_drvq *q)
{
	if (q->event_idx)
		ring_store(split_used_event(q->avail, q->size), (uint16_t)(q->next_used - 1));
	else
		ring_store(&q->avail->flags, SPLIT_AVAIL_NO_INTERRUPT);
}

unsigned sr_drvq_free(const struct sr_drvq *q)
{
	return q->free;
}

const char *sr_drvq_error(const struct sr_drvq *q)
{
	return q->broken ? q->error : NULL;
}
