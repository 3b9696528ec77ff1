/* SPDX-License-Identifier: BSD-3-Clause */
#include "headers.h"

#include "base.h"
#include "iov.h"

enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_DESTINATION = 60,
};

void sr_headers_copy(struct sr_headers *h, const struct sr_frame *f)
{
	memcpy(h->bytes, f->head, f->head_len);
	h->have = f->head_len;
	if (f->len > f->head_len)
		h->have += (uint16_t)sr_iov_read(
			f->iov, f->niov, 0, h->bytes + h->have,
			sr_min(f->len - f->head_len, SR_HEADERS_MAX - h->have));
}

unsigned sr_headers_ethertype(const uint8_t *bytes, unsigned have, unsigned *at)
{
	unsigned type = 0;

	for (unsigned tags = 0; tags <= 2; tags++) {
		*at = 12 + 4 * tags;
		if (*at + 2 > have)
			return 0;
		type = sr_get_be16(bytes + *at);
		if (type != SR_TYPE_VLAN && type != SR_TYPE_QINQ)
			break;
	}
	return type;
}

static bool parse_ipv4(struct sr_headers *h)
{
	const uint8_t *ip = h->bytes + h->l3;
	unsigned bytes;

	if (h->l3 + 20u > h->have || ip[0] >> 4 != 4)
		return false;
	bytes = (ip[0] & 15u) * 4;
	if (bytes < 20 || h->l3 + bytes > h->have)
		return false;
	if (sr_get_be16(ip + 6) & 0x3fff) /* more fragments, or not the first */
		return false;
	h->proto = ip[9];
	h->l4 = (uint16_t)(h->l3 + bytes);
	return true;
}

/* A fragment header goes behind the last header that routers on the way look at: hop-by-hop,
 * routing, and whatever stands before that (RFC 8200, section 4.5). */
static bool parse_ipv6(struct sr_headers *h)
{
	unsigned at = h->l3 + 40u, names = h->l3 + 6u;

	if (at > h->have || h->bytes[h->l3] >> 4 != 6)
		return false;
	h->v6 = true;
	h->fragment = (uint16_t)at;
	h->next = (uint16_t)names;
	for (;;) {
		unsigned is = h->bytes[names];

		h->proto = (uint8_t)is;
		if (is != NEXT_HOP_BY_HOP && is != NEXT_ROUTING && is != NEXT_DESTINATION)
			break;
		if (at + 8 > h->have)
			return false;
		names = at;
		at += 8 + h->bytes[at + 1] * 8u;
		if (at > h->have)
			return false;
		if (is == NEXT_DESTINATION)
			continue;
		h->routed |= is == NEXT_ROUTING;
		h->fragment = (uint16_t)at;
		h->next = (uint16_t)names;
	}
	h->l4 = (uint16_t)at;
	return true;
}

static bool parse_transport(struct sr_headers *h)
{
	const uint8_t *l4 = h->bytes + h->l4;
	unsigned left = h->have - h->l4;
	unsigned bytes = 8;

	if (h->proto == SR_PROTO_TCP) {
		if (left < 20)
			return false;
		bytes = (l4[12] >> 4) * 4u;
		if (bytes < 20)
			return false;
		h->field = h->l4 + 16;
	} else if (h->proto == SR_PROTO_UDP) {
		h->field = h->l4 + 6;
	} else {
		return false;
	}
	h->end = (uint16_t)(h->l4 + bytes);
	return bytes <= left;
}

bool sr_headers_parse(struct sr_headers *h)
{
	unsigned at, type = sr_headers_ethertype(h->bytes, h->have, &at);

	h->l3 = (uint16_t)(at + 2);
	h->v6 = h->routed = false;
	if (type == SR_TYPE_IPV4)
		return parse_ipv4(h) && parse_transport(h);
	return type == SR_TYPE_IPV6 && parse_ipv6(h) && parse_transport(h);
}
