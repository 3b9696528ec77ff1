/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to pieces of our memory. A chain is a list in the descriptor table; its
 * last entry may point to an indirect table, which holds a list of its own. Both lists are
 * walked by the same loop, which differs only in where entry i lies and how many there are.
 *
 * Bounds: a list has at most as many steps as its table has entries, so loops end; a chain
 * has at most chain_max (sr_vq_config) descriptors, SR_CHAIN_PIECES_MAX pieces and less than 4 GiB.
 */
#include "iov.h"
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct walk {
	struct sr_vq *q;
	struct sr_iov_pool *pool;
	bool alone;
	unsigned nout, nin; /* pieces so far, in the pool after its `used` */
	uint64_t out_len, in_len;
	unsigned descriptors; /* seen so far */
	unsigned at;	      /* the entry that is looked at, and ... */
	int table;	      /* ... the descriptor whose indirect table that is in, or -1 */
};

/* Breaks the queue, naming the entry. */
static int __attribute__((format(printf, 2, 3), cold))
walk_break(const struct walk *w, const char *format, ...)
{
	char what[128];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (w->table < 0)
		return sr_vq_break(w->q, "descriptor %u: %s", w->at, what);
	return sr_vq_break(w->q, "descriptor %d, indirect entry %u: %s", w->table, w->at, what);
}

static int walk_make_room(const struct walk *w)
{
	if (!w->alone)
		return -ENOBUFS;
	if (w->pool->cap >= SR_CHAIN_PIECES_MAX)
		return walk_break(w, "chain of more than %u pieces, expected fewer",
				  SR_CHAIN_PIECES_MAX);
	if (sr_iov_pool_grow(w->pool))
		return 0;
	/* Our fault and not the driver's, but callers have one way out of a queue. */
	return walk_break(w, "no memory left for a chain of more than %u pieces", w->pool->cap);
}

/* A buffer that is not all in the window, or finds the pool full. Returns its pieces. */
static int __attribute__((noinline))
walk_translate(struct walk *w, uint64_t addr, uint32_t len, unsigned perm)
{
	sr_mem_window_move(&w->q->window, w->q->mem, addr);
	for (;;) {
		unsigned used = w->pool->used + w->nout + w->nin;
		int rc = sr_mem_to_iov(w->q->mem, addr, len, perm, w->pool->v + used,
				       w->pool->cap - used);

		if (rc == -EFAULT)
			return walk_break(w,
					  "address 0x%" PRIx64 " length 0x%" PRIx32
					  ", expected mapped guest memory",
					  addr, len);
		if (rc != -ENOBUFS)
			return rc;
		rc = walk_make_room(w);
		if (rc)
			return rc;
	}
}

/* Adds the pieces of one buffer to the pool. */
static inline int walk_add(struct walk *w, struct split_desc d)
{
	bool write = d.flags & SPLIT_DESC_WRITE;
	unsigned used = w->pool->used + w->nout + w->nin;
	int n = 1;

	if (d.len == 0)
		return 0;
	if (SR_UNLIKELY(!write && w->nin))
		return walk_break(w, "device-readable, expected none after a device-writable one");
	if (SR_UNLIKELY(w->out_len + w->in_len + d.len > UINT32_MAX))
		return walk_break(w, "chain of 0x%" PRIx64 " bytes, expected less than 4 GiB",
				  w->out_len + w->in_len + d.len);
	void *p = sr_mem_window_get(&w->q->window, d.addr, d.len);

	if (SR_LIKELY(p && used < w->pool->cap))
		w->pool->v[used] = (struct iovec){ p, d.len };
	else
		n = walk_translate(w, d.addr, d.len, write ? SR_MEM_WRITE : SR_MEM_READ);
	if (SR_UNLIKELY(n < 0))
		return n;
	if (write) {
		w->nin += (unsigned)n;
		w->in_len += d.len;
	} else {
		w->nout += (unsigned)n;
		w->out_len += d.len;
	}
	return 0;
}

/* An indirect table lies at any address, perhaps across regions: `bytes` when it is whole in
 * one, else entries are put together one by one. */
struct table {
	const uint8_t *bytes;
	uint64_t gpa;
};

static int __attribute__((noinline))
table_entry_join(struct walk *w, uint64_t gpa, uint8_t bytes[sizeof(struct split_desc)])
{
	struct iovec v[sizeof(struct split_desc)];
	int n = sr_mem_to_iov(w->q->mem, gpa, sizeof(struct split_desc), SR_MEM_READ, v,
			      SR_ARRAY_LEN(v));

	if (n < 0)
		return walk_break(w, "at address 0x%" PRIx64 ", expected mapped guest memory", gpa);
	sr_iov_read(v, (unsigned)n, 0, bytes, sizeof(struct split_desc));
	return 0;
}

static inline int __attribute__((always_inline))
table_entry(struct walk *w, const struct table *t, unsigned i, struct split_desc *d)
{
	if (SR_LIKELY(t->bytes)) {
		*d = split_desc_copy(t->bytes + 16 * (size_t)i);
		return 0;
	}
	uint8_t bytes[sizeof(*d)] = { 0 };
	int rc = table_entry_join(w, t->gpa + 16 * (uint64_t)i, bytes);
	if (rc == 0)
		*d = split_desc_copy(bytes);
	return rc;
}

/* Follows a list whose first entry `d` is a copy of entry w->at. Returns 1 with *refers the
 * entry that refers to an indirect table, or 0 at the list's end. Inlined, as a loop of its own
 * for the descriptor table (t is NULL) and for indirect tables. */
static inline int __attribute__((always_inline))
walk_list(struct walk *w, const struct table *t, uint32_t entries, struct split_desc d,
	  struct split_desc *refers)
{
	for (uint32_t steps = 1;; steps++) {
		if (SR_UNLIKELY(++w->descriptors > w->q->chain_max))
			return walk_break(w, "chain of more than %u descriptors, expected fewer",
					  w->q->chain_max);
		if (d.flags & SPLIT_DESC_INDIRECT) {
			*refers = d;
			return 1;
		}
		int rc = walk_add(w, d);

		if (rc || !(d.flags & SPLIT_DESC_NEXT))
			return rc;
		if (SR_UNLIKELY(d.next >= entries))
			return walk_break(w, "next %u, expected < %u", d.next, entries);
		if (SR_UNLIKELY(steps == entries))
			return walk_break(w, "next %u after %u descriptors, expected an end",
					  d.next, entries);
		w->at = d.next;
		if (!t)
			d = split_desc_copy(&w->q->split.desc[d.next]);
		else if ((rc = table_entry(w, t, d.next, &d)))
			return rc;
	}
}

static int indirect_check(const struct walk *w, const struct split_desc *d)
{
	if (!w->q->indirect)
		return walk_break(w, "INDIRECT, expected none without feature INDIRECT_DESC");
	if (d->flags & SPLIT_DESC_NEXT)
		return walk_break(w, "INDIRECT with NEXT, expected one of them");
	if (d->len == 0 || d->len % sizeof(*d) || d->len / sizeof(*d) > SR_VQ_SIZE_MAX)
		return walk_break(w,
				  "indirect table of %" PRIu32
				  " bytes, expected a multiple of 16 from 16 to %zu",
				  d->len, SR_VQ_SIZE_MAX * sizeof(*d));
	if (d->addr + d->len < d->addr)
		return walk_break(w, "indirect table at 0x%" PRIx64 ", expected its end below 2^64",
				  d->addr);
	return 0;
}

static int walk_indirect(struct walk *w, const struct split_desc *d)
{
	struct sr_mem_window *window = &w->q->window;
	struct table t = { sr_mem_window_get(window, d->addr, d->len), d->addr };
	struct split_desc entry = { 0 }, refers;
	int rc = indirect_check(w, d);

	if (rc)
		return rc;
	if (!t.bytes && sr_mem_window_move(window, w->q->mem, d->addr))
		t.bytes = sr_mem_window_get(window, d->addr, d->len);
	w->descriptors--; /* it stands for its table and is no buffer */
	w->table = (int)w->at;
	w->at = 0;
	rc = table_entry(w, &t, 0, &entry);
	if (rc)
		return rc;
	rc = walk_list(w, &t, d->len / sizeof(*d), entry, &refers);
	return rc == 1 ? walk_break(w, "INDIRECT, expected no table inside a table") : rc;
}

int sr_split_chain_take(struct sr_vq *q, uint16_t head, struct split_desc first, struct sr_chain *c,
			struct sr_iov_pool *pool, bool alone)
{
	struct walk w = { .q = q, .pool = pool, .alone = alone, .at = head, .table = -1 };
	struct split_desc refers = { 0 };
	int rc = walk_list(&w, NULL, q->size, first, &refers);

	if (rc == 1)
		rc = walk_indirect(&w, &refers);
	if (rc)
		return rc;
	c->out = pool->v + pool->used;
	c->in = c->out + w.nout;
	c->nout = w.nout;
	c->nin = w.nin;
	c->out_len = (uint32_t)w.out_len;
	c->in_len = (uint32_t)w.in_len;
	c->written = 0;
	c->id = head;
	pool->used += w.nout + w.nin;
	return 0;
}
