/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * A frame comes with work left to do: a checksum to complete, or a size that only a receiver
 * with segmentation offload takes. Doing that work when the frame arrives was rejected: most
 * receivers take it as it is, and in a flood some do and some don't. So it is done at the
 * last moment, for one receiver, on copies of the headers (the sender's memory is only read);
 * the payload of a segment is pieces of the sender's buffers and is copied once, by the
 * receiver.
 *
 * The headers are copied once and judged and used from that copy. The payload is read twice,
 * for the checksum and for the delivery; a guest that changes it in between gets a wrong
 * checksum on its own frame.
 *
 * Stated limits: headers of SR_HEADERS_MAX bytes, which the checksum field lies in,
 * SR_SEGMENTS_MAX segments of a frame, SR_OUTBOX_PIECES pieces of memory for one segment.
 * What exceeds them is malformed. When a receiver is full in the midst of a frame's segments
 * the rest are dropped: the sender's transport sees a loss, as on any wire. The alternative,
 * to keep the place for later, would need state for each sender's lane and receiver.
 */
#include "offload.h"

#include "base.h"
#include "checksum.h"
#include "segment.h"

static uint32_t gso_needs(const struct sr_frame *f)
{
	uint32_t need = f->off.gso_type & SR_GSO_ECN ? SR_CAN_CSUM | SR_CAN_ECN : SR_CAN_CSUM;
	unsigned at;

	switch (f->off.gso_type & ~SR_GSO_ECN) {
	case SR_GSO_TCPV4:
		return need | SR_CAN_TSO4;
	case SR_GSO_TCPV6:
		return need | SR_CAN_TSO6;
	case SR_GSO_UDP:
		return need | SR_CAN_UFO;
	case SR_GSO_UDP_L4:
		if (sr_headers_ethertype(f->head, f->head_len, &at) == SR_TYPE_IPV6)
			return need | SR_CAN_USO6;
		return need | SR_CAN_USO4;
	default:
		return UINT32_MAX; /* nobody can: found malformed by sr_segment */
	}
}

uint32_t sr_offload_needs(const struct sr_frame *f)
{
	return (f->off.flags ? SR_CAN_CSUM : 0) | (f->off.gso_type ? gso_needs(f) : 0);
}

/* Any protocol: all there is to know is where the sum begins and where it goes. That the field
 * lies in the copied headers says that it lies in the frame, too. */
static bool complete_checksum(struct sr_outbox *b, const struct sr_frame *f, unsigned origin)
{
	unsigned field = f->off.csum_start + f->off.csum_offset, n = field + 2;
	struct sr_cursor payload;
	struct sr_frame *made;
	struct sr_headers h;

	sr_headers_copy(&h, f);
	if (n > h.have)
		return false;
	payload = sr_cursor_at(f, n);
	made = sr_outbox_make(b, origin, h.bytes, n, &payload, f->len - n);
	if (!made)
		return b->full;
	sr_made_put16(made, field, sr_sum_finish(sr_sum_frame(made, f->off.csum_start)));
	return true;
}

/* "Checked already" (DATA_VALID) means nothing to a receiver that did not ask for it. */
static bool pass_without_flags(struct sr_outbox *b, const struct sr_frame *f, unsigned origin)
{
	struct sr_cursor payload = sr_cursor_at(f, f->head_len);

	return sr_outbox_make(b, origin, f->head, f->head_len, &payload, f->len - f->head_len) ||
	       b->full;
}

struct tally {
	uint64_t segmented, checksummed;
};

/* False: malformed. */
static bool help(struct sr_delivery *d, struct sr_outbox *b, unsigned i, uint32_t can,
		 struct tally *t)
{
	const struct sr_frame *f = &d->f[i];
	uint64_t bit = 1ull << i;

	if (f->off.gso_type) {
		t->segmented |= bit;
		t->checksummed |= can & SR_CAN_CSUM ? 0 : bit;
		return sr_segment(b, f, i, can, d->ident);
	}
	if (!(f->off.flags & SR_OFF_NEEDS_CSUM))
		return pass_without_flags(b, f, i);
	t->checksummed |= bit;
	return complete_checksum(b, f, i);
}

static void count(struct sr_port *to, const struct tally *t, const struct sr_outbox *b,
		  uint64_t bad)
{
	struct sr_port_counters *c = &to->counters;

	sr_count(&c->rx_segmented, (unsigned)__builtin_popcountll(t->segmented & b->begun));
	sr_count(&c->rx_checksummed, (unsigned)__builtin_popcountll(t->checksummed & b->begun));
	sr_count(&c->rx_dropped, (unsigned)__builtin_popcountll(b->begun & b->unfinished & ~bad));
}

void sr_offload_send(struct sr_delivery *d)
{
	uint32_t can = atomic_load_explicit(&d->to->can, memory_order_relaxed);
	struct tally t = { 0, 0 };
	struct sr_outbox b;

	sr_outbox_init(&b, d->to, d->lane);
	d->bad = 0;
	for (uint64_t m = d->mask; m && !b.full; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctzll(m);

		if (!(sr_offload_needs(&d->f[i]) & ~can))
			sr_outbox_pass(&b, &d->f[i], i);
		else if (!help(d, &b, i, can, &t))
			d->bad |= 1ull << i;
	}
	sr_outbox_flush(&b);
	d->full = b.full;
	d->left = d->mask & ~b.begun & ~d->bad;
	count(d->to, &t, &b, d->bad);
}
