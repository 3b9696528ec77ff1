/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames on their way to one receiver, some as they came, some made in software: collected
 * so that the receiver still gets batches, and remembered by which frame they came from.
 * Lives on the stack of the forwarding thread (about 36 KiB), is never cleared as a whole.
 */
#ifndef SR_OUTBOX_H
#define SR_OUTBOX_H

#include "headers.h"

#define SR_OUTBOX_FRAMES 64u
#define SR_OUTBOX_PIECES 1024u /* of memory, in all frames made */
/* A made frame's headers may be longer than a head, with a fragment header put in. */
#define SR_OUTBOX_HEADERS (SR_HEADERS_MAX + 8u)
#define SR_OUTBOX_TAIL	  (SR_OUTBOX_HEADERS - SR_FRAME_HEAD)

/* A place in a frame that only moves on: cutting takes time linear in pieces and segments,
 * however a guest laid out its buffers. */
struct sr_cursor {
	const struct sr_frame *f;
	unsigned piece; /* 0 = head, i = iov[i - 1] */
	size_t at;	/* in the piece */
};
struct sr_cursor sr_cursor_at(const struct sr_frame *f, uint32_t offset);

struct sr_outbox {
	struct sr_port *to;
	unsigned lane;
	unsigned n, pieces;
	/* Bits of frames: the first part was taken; some part was not. */
	uint64_t begun, unfinished;
	bool full; /* the receiver took less than it was given: nothing more is sent */
	const struct sr_frame *out[SR_OUTBOX_FRAMES];
	uint8_t origin[SR_OUTBOX_FRAMES];
	struct sr_frame made[SR_OUTBOX_FRAMES];
	uint8_t tail[SR_OUTBOX_FRAMES][SR_OUTBOX_TAIL];
	struct iovec iov[SR_OUTBOX_PIECES];
};

void sr_outbox_init(struct sr_outbox *b, struct sr_port *to, unsigned lane);

/* Adds a frame as it is. */
void sr_outbox_pass(struct sr_outbox *b, const struct sr_frame *f, unsigned origin);

/* Makes a frame of `nheader` bytes at `header` and `len` bytes from `payload`, which moves on
 * behind them. It has no offloads; it may be changed until the next call, through
 * sr_made_put16 in its header bytes. NULL when the receiver is full (b->full) or when the
 * payload lies in too many pieces. */
struct sr_frame *sr_outbox_make(struct sr_outbox *b, unsigned origin, const uint8_t *header,
				unsigned nheader, struct sr_cursor *payload, uint32_t len);
void sr_made_put16(struct sr_frame *f, unsigned at, uint16_t memory_order);

void sr_outbox_flush(struct sr_outbox *b);

#endif
