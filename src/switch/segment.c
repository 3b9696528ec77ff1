/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

#include "base.h"
#include "checksum.h"

#include <arpa/inet.h>

enum {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
	IPV4_MORE = 0x2000,
	IPV6_FIXED = 40,
	IPV6_FRAGMENT = 44,
	IPV6_FRAGMENT_BYTES = 8,
};

struct job {
	struct sr_outbox *box;
	const struct sr_frame *f;
	unsigned origin;
	bool partial;	     /* checksums are left to the receiver */
	uint16_t pseudo;     /* sum of the pseudo header without its length */
	struct sr_headers h; /* changed from segment to segment */
};

uint16_t sr_sum_finish(uint16_t sum)
{
	sum = (uint16_t)~sum;
	return sum ? sum : 0xffff;
}

static void put16(uint8_t *p, uint16_t memory_order)
{
	memcpy(p, &memory_order, 2);
}

static uint16_t sum_length(uint32_t len)
{
	return sr_sum_add(htons((uint16_t)(len >> 16)), htons((uint16_t)len));
}

/* With a routing header the pseudo header names the last destination, which only the sender's
 * own sum knows; else that field is not relied on: not everybody fills it in right, since
 * receivers that take the whole frame never look. */
static bool pseudo_find(struct job *j)
{
	struct sr_headers *h = &j->h;
	uint16_t field;

	if (h->routed) {
		memcpy(&field, h->bytes + h->field, 2);
		j->pseudo = sr_sum_sub(field, sum_length(j->f->len - h->l4));
		return j->f->off.flags & SR_OFF_NEEDS_CSUM;
	}
	j->pseudo = h->v6 ? sr_sum_bytes(h->bytes + h->l3 + 8, 32)
			  : sr_sum_bytes(h->bytes + h->l3 + 12, 8);
	j->pseudo = sr_sum_add(j->pseudo, htons(h->proto));
	return true;
}

/* `len`: bytes of the packet from its IP header on. */
static void put_ip_length(struct sr_headers *h, unsigned len)
{
	uint8_t *ip = h->bytes + h->l3;

	if (h->v6) {
		sr_put_be16(ip + 4, (uint16_t)(len - IPV6_FIXED));
		return;
	}
	sr_put_be16(ip + 2, (uint16_t)len);
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~sr_sum_bytes(ip, h->l4 - h->l3));
}

static bool type_matches(const struct sr_headers *h, unsigned type)
{
	switch (type) {
	case SR_GSO_TCPV4:
		return h->proto == SR_PROTO_TCP && !h->v6;
	case SR_GSO_TCPV6:
		return h->proto == SR_PROTO_TCP && h->v6;
	default:
		return h->proto == SR_PROTO_UDP;
	}
}

/* How many pieces of `size` hold `len` bytes, or 0 when that is too many. */
static unsigned count_pieces(uint32_t len, uint32_t size)
{
	uint32_t n;

	if (!size)
		return 0;
	n = len ? (len + size - 1) / size : 1;
	return n <= SR_SEGMENTS_MAX ? n : 0;
}

/* The header of a TCP or UDP segment with `len` bytes of payload. */
static void put_segment_header(struct job *j, uint32_t len, uint8_t tcp_flags)
{
	struct sr_headers *h = &j->h;
	unsigned l4_len = h->end - h->l4 + len;

	put_ip_length(h, h->end - h->l3 + len);
	if (h->proto == SR_PROTO_TCP)
		h->bytes[h->l4 + 13] = tcp_flags;
	else
		sr_put_be16(h->bytes + h->l4 + 4, (uint16_t)l4_len);
	put16(h->bytes + h->field, sr_sum_add(j->pseudo, sum_length(l4_len)));
}

static void next_segment(struct sr_headers *h, uint32_t len)
{
	uint8_t *id = h->bytes + h->l3 + 4, *seq = h->bytes + h->l4 + 4;

	if (!h->v6)
		sr_put_be16(id, (uint16_t)(sr_get_be16(id) + 1));
	if (h->proto == SR_PROTO_TCP)
		sr_put_be32(seq, sr_get_be32(seq) + len);
}

static void checksum_segment(const struct job *j, struct sr_frame *made)
{
	const struct sr_headers *h = &j->h;

	if (!j->partial) {
		sr_made_put16(made, h->field, sr_sum_finish(sr_sum_frame(made, h->l4)));
		return;
	}
	made->off.flags = SR_OFF_NEEDS_CSUM;
	made->off.csum_start = h->l4;
	made->off.csum_offset = h->field - h->l4;
}

/* TCP, and UDP datagrams that were sent in one call (USO). */
static bool cut_segments(struct job *j)
{
	struct sr_headers *h = &j->h;
	uint32_t left = j->f->len - h->end, size = j->f->off.gso_size;
	unsigned n = count_pieces(left, size);
	uint8_t flags = h->proto == SR_PROTO_TCP ? h->bytes[h->l4 + 13] : 0;
	struct sr_cursor payload = sr_cursor_at(j->f, h->end);

	if (!n || h->end - h->l3 + sr_min(left, size) > UINT16_MAX)
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = (uint32_t)sr_min(left, size);
		uint8_t off = (i ? TCP_CWR : 0) | (i + 1 < n ? TCP_FIN | TCP_PSH : 0);
		struct sr_frame *made;

		put_segment_header(j, len, flags & (uint8_t)~off);
		made = sr_outbox_make(j->box, j->origin, h->bytes, h->end, &payload, len);
		if (!made)
			return j->box->full;
		checksum_segment(j, made);
		next_segment(h, len);
		left -= len;
	}
	return true;
}

/* Where and how one datagram is cut into IP fragments. */
struct cut {
	unsigned start; /* what comes behind is cut: IPv4: UDP; IPv6: perhaps options before */
	uint32_t total; /* bytes from there on */
	uint32_t size;	/* of a fragment's share of them */
	uint32_t id;
	uint8_t next; /* IPv6: what the fragment header stands before */
};

/* Writes the header of the fragment at `offset` into `to`; the first one carries the rest of
 * the headers. Returns its length. */
static unsigned put_fragment_header(struct job *j, const struct cut *c, uint32_t offset,
				    uint32_t len, uint8_t *to)
{
	struct sr_headers *h = &j->h;
	bool more = offset + len < c->total;
	unsigned n = c->start;

	if (h->v6) {
		h->bytes[h->next] = IPV6_FRAGMENT;
		put_ip_length(h, c->start - h->l3 + IPV6_FRAGMENT_BYTES + len);
		memcpy(to, h->bytes, n);
		to[n] = c->next;
		to[n + 1] = 0;
		sr_put_be16(to + n + 2, (uint16_t)(offset | more));
		sr_put_be32(to + n + 4, c->id);
		n += IPV6_FRAGMENT_BYTES;
	} else {
		sr_put_be16(h->bytes + h->l3 + 4, (uint16_t)c->id);
		sr_put_be16(h->bytes + h->l3 + 6, (uint16_t)(offset / 8 | (more ? IPV4_MORE : 0)));
		put_ip_length(h, c->start - h->l3 + len);
		memcpy(to, h->bytes, n);
	}
	if (!offset) {
		memcpy(to + n, h->bytes + c->start, h->end - c->start);
		n += h->end - c->start;
	}
	return n;
}

/* The checksum of the whole datagram: fragments cannot carry a partial one. */
static void checksum_datagram(struct job *j)
{
	struct sr_headers *h = &j->h;
	uint16_t sum = sr_sum_add(j->pseudo, sum_length(j->f->len - h->l4));

	put16(h->bytes + h->field, 0);
	sum = sr_sum_add(sum, sr_sum_bytes(h->bytes + h->l4, h->end - h->l4));
	sum = sr_sum_add(sum, sr_sum_frame(j->f, h->end));
	put16(h->bytes + h->field, sr_sum_finish(sum));
}

/* One UDP datagram larger than the link (UFO). A sender that forbids fragments leaves the
 * IPv4 id 0; now that there are some they need one. */
static bool cut_fragments(struct job *j, _Atomic uint32_t *ident)
{
	struct sr_headers *h = &j->h;
	struct cut c = { .start = h->v6 ? h->fragment : h->l4, .size = j->f->off.gso_size & ~7u };
	struct sr_cursor payload = sr_cursor_at(j->f, h->end);
	uint8_t header[SR_OUTBOX_HEADERS];

	c.total = j->f->len - c.start;
	if (c.size < h->end - c.start || !count_pieces(c.total, c.size) ||
	    j->f->len - h->l3 - (h->v6 ? IPV6_FIXED : 0) > UINT16_MAX)
		return false;
	if (h->v6)
		c.next = h->bytes[h->next];
	else
		c.id = sr_get_be16(h->bytes + h->l3 + 4);
	if (!c.id)
		c.id = atomic_fetch_add_explicit(ident, 1, memory_order_relaxed);
	if (j->f->off.flags & SR_OFF_NEEDS_CSUM)
		checksum_datagram(j);
	for (uint32_t at = 0; at < c.total; at += c.size) {
		uint32_t len = (uint32_t)sr_min(c.total - at, c.size);
		unsigned n = put_fragment_header(j, &c, at, len, header);
		uint32_t headers = at ? 0 : h->end - c.start;

		if (!sr_outbox_make(j->box, j->origin, header, n, &payload, len - headers))
			return j->box->full;
	}
	return true;
}

bool sr_segment(struct sr_outbox *b, const struct sr_frame *f, unsigned origin, uint32_t can,
		_Atomic uint32_t *ident)
{
	unsigned type = f->off.gso_type & (unsigned)~SR_GSO_ECN;
	struct job j;

	j.box = b;
	j.f = f;
	j.origin = origin;
	j.partial = can & SR_CAN_CSUM;
	sr_headers_copy(&j.h, f);
	if (!sr_headers_parse(&j.h) || !type_matches(&j.h, type) || !pseudo_find(&j))
		return false;
	switch (type) {
	case SR_GSO_TCPV4:
	case SR_GSO_TCPV6:
	case SR_GSO_UDP_L4:
		return cut_segments(&j);
	case SR_GSO_UDP:
		return cut_fragments(&j, ident);
	default:
		return false;
	}
}
