/* SPDX-License-Identifier: BSD-3-Clause */
#include "outbox.h"

#include "base.h"

#include <assert.h>

static struct iovec cursor_piece(const struct sr_cursor *c)
{
	if (c->piece)
		return c->f->iov[c->piece - 1];
	return (struct iovec){ (void *)(uintptr_t)c->f->head, c->f->head_len };
}

/* The next run of at most `max` bytes in one piece; empty at the end of the frame. */
static struct iovec cursor_take(struct sr_cursor *c, size_t max)
{
	struct iovec v = { NULL, 0 };

	for (; max && c->piece <= c->f->niov; c->piece++, c->at = 0) {
		v = cursor_piece(c);
		if (c->at >= v.iov_len) {
			v.iov_len = 0;
			continue;
		}
		v.iov_base = (char *)v.iov_base + c->at;
		v.iov_len = sr_min(v.iov_len - c->at, max);
		c->at += v.iov_len;
		break;
	}
	return v;
}

struct sr_cursor sr_cursor_at(const struct sr_frame *f, uint32_t offset)
{
	struct sr_cursor c = { .f = f };
	struct iovec v;

	for (; offset; offset -= (uint32_t)v.iov_len) {
		v = cursor_take(&c, offset);
		if (!v.iov_len)
			break;
	}
	return c;
}

void sr_outbox_init(struct sr_outbox *b, struct sr_port *to, unsigned lane)
{
	b->to = to;
	b->lane = lane;
	b->n = b->pieces = 0;
	b->begun = b->unfinished = 0;
	b->full = false;
}

void sr_outbox_flush(struct sr_outbox *b)
{
	unsigned taken = 0;

	if (b->n && !b->full) {
		taken = sr_port_send(b->to, b->out, b->n, b->lane);
		assert(taken <= b->n);
		b->full = taken < b->n;
	}
	for (unsigned i = 0; i < b->n; i++) {
		uint64_t bit = 1ull << b->origin[i];

		if (i < taken)
			b->begun |= bit;
		else
			b->unfinished |= bit;
	}
	b->n = b->pieces = 0;
}

static void append(struct sr_outbox *b, const struct sr_frame *f, unsigned origin)
{
	b->out[b->n] = f;
	b->origin[b->n] = (uint8_t)origin;
	b->n++;
}

void sr_outbox_pass(struct sr_outbox *b, const struct sr_frame *f, unsigned origin)
{
	if (b->n == SR_OUTBOX_FRAMES)
		sr_outbox_flush(b);
	append(b, f, origin);
}

/* Puts len bytes behind the header: first into the rest of the head, then as pieces. False
 * when there are too many pieces or the frame is shorter than it says. */
static bool fill(struct sr_outbox *b, struct sr_frame *f, struct sr_cursor *payload, uint32_t len)
{
	struct iovec *iov = &b->iov[b->pieces];
	struct iovec v;

	f->len = f->head_len + len;
	if (f->niov) /* the rest of the header */
		f->len += (uint32_t)iov[0].iov_len;
	for (; len && f->head_len < SR_FRAME_HEAD; len -= (uint32_t)v.iov_len) {
		v = cursor_take(payload, sr_min(len, SR_FRAME_HEAD - f->head_len));
		if (!v.iov_len)
			return false;
		memcpy(f->head + f->head_len, v.iov_base, v.iov_len);
		f->head_len += (uint16_t)v.iov_len;
	}
	for (; len; len -= (uint32_t)v.iov_len) {
		v = cursor_take(payload, len);
		if (!v.iov_len || b->pieces + f->niov == SR_OUTBOX_PIECES)
			return false;
		iov[f->niov++] = v;
	}
	return true;
}

static struct sr_frame *make(struct sr_outbox *b, const uint8_t *header, unsigned nheader,
			     struct sr_cursor *payload, uint32_t len)
{
	struct sr_frame *f = &b->made[b->n];
	unsigned in_head = (unsigned)sr_min(nheader, SR_FRAME_HEAD);

	assert(nheader <= SR_OUTBOX_HEADERS);
	f->off = (struct sr_offload){ 0 };
	f->iov = &b->iov[b->pieces];
	f->niov = 0;
	f->head_len = (uint16_t)in_head;
	memcpy(f->head, header, in_head);
	if (nheader > in_head) {
		if (b->pieces == SR_OUTBOX_PIECES)
			return NULL;
		memcpy(b->tail[b->n], header + in_head, nheader - in_head);
		b->iov[b->pieces] = (struct iovec){ b->tail[b->n], nheader - in_head };
		f->niov = 1;
	}
	return fill(b, f, payload, len) ? f : NULL;
}

struct sr_frame *sr_outbox_make(struct sr_outbox *b, unsigned origin, const uint8_t *header,
				unsigned nheader, struct sr_cursor *payload, uint32_t len)
{
	struct sr_cursor start = *payload;
	struct sr_frame *f;

	if (b->n == SR_OUTBOX_FRAMES)
		sr_outbox_flush(b);
	f = b->full ? NULL : make(b, header, nheader, payload, len);
	if (!f && b->n) { /* perhaps the pieces are used up by others: again with all of them */
		sr_outbox_flush(b);
		*payload = start;
		f = b->full ? NULL : make(b, header, nheader, payload, len);
	}
	if (!f) {
		b->unfinished |= 1ull << origin;
		return NULL;
	}
	append(b, f, origin);
	b->pieces += f->niov;
	return f;
}

void sr_made_put16(struct sr_frame *f, unsigned at, uint16_t memory_order)
{
	uint8_t v[2];

	memcpy(v, &memory_order, 2);
	for (unsigned i = 0; i < 2; i++, at++) {
		if (at < SR_FRAME_HEAD)
			f->head[at] = v[i];
		else
			((uint8_t *)f->iov[0].iov_base)[at - SR_FRAME_HEAD] = v[i];
	}
}
