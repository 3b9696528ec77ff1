/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of this room: packets of every shape made by hand, and a second, plain
 * opinion on checksums and headers that shares no code with the room.
 */
#ifndef SR_PACKET_H
#define SR_PACKET_H

#include "base.h"

#include <slipring/port.h>

struct shape {
	bool v6, udp;
	unsigned tags;	      /* VLAN tags, 0 to 2 */
	unsigned options;     /* bytes of IPv4 options (times 4, up to 40), or of one IPv6
			       * extension header (times 8) */
	uint8_t extension;    /* which: 0, 43, 60 */
	unsigned tcp_options; /* times 4, up to 40 */
	uint32_t payload;
};

struct packet {
	uint8_t bytes[SR_FRAME_MAX + 512];
	uint32_t len, l3, l4, end;
	uint8_t proto;
};

/* Adds up 16-bit words as RFC 1071 writes it down, big-endian, odd byte padded. */
static inline uint32_t plain_sum(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i += 2) {
		sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline uint32_t plain_pseudo(const struct packet *p, bool v6, uint32_t l4_len)
{
	uint8_t tail[8] = { 0 };

	sr_put_be32(tail, l4_len);
	tail[7] = p->proto;
	return plain_sum(tail, 8,
			 v6 ? plain_sum(p->bytes + p->l3 + 8, 32, 0)
			    : plain_sum(p->bytes + p->l3 + 12, 8, 0));
}

static inline unsigned packet_field(const struct packet *p)
{
	return p->l4 + (p->proto == 6 ? 16 : 6);
}

static inline void packet_put_ethernet(struct packet *p, const struct shape *s)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

	memcpy(p->bytes, macs, 12);
	for (unsigned i = 0; i < s->tags; i++) {
		sr_put_be16(p->bytes + 12 + 4 * i, i + 1 < s->tags ? 0x88a8 : 0x8100);
		sr_put_be16(p->bytes + 14 + 4 * i, 5);
	}
	p->l3 = 14 + 4 * s->tags;
	sr_put_be16(p->bytes + p->l3 - 2, s->v6 ? 0x86dd : 0x0800);
}

static inline void packet_put_ip(struct packet *p, const struct shape *s)
{
	uint8_t *ip = p->bytes + p->l3;
	unsigned fixed = s->v6 ? 40 : 20;

	p->l4 = p->l3 + fixed + s->options;
	for (unsigned i = 0; i < fixed + s->options; i++)
		ip[i] = (uint8_t)(i * 7 + 1);
	if (s->v6) {
		ip[0] = 0x60;
		ip[6] = s->options ? s->extension : p->proto;
		if (s->options) {
			ip[40] = p->proto;
			ip[41] = (uint8_t)(s->options / 8 - 1);
		}
		return;
	}
	ip[0] = (uint8_t)(0x40 | (20 + s->options) / 4);
	memcpy(ip + 4, "\xff\xff\x40\x00", 4); /* the id wraps soon; don't fragment */
	ip[9] = p->proto;
}

static inline void packet_finish(struct packet *p, const struct shape *s)
{
	uint8_t *ip = p->bytes + p->l3;

	p->len = p->end + s->payload;
	for (uint32_t i = p->end; i < p->len; i++)
		p->bytes[i] = (uint8_t)(i * 31 + (i >> 8));
	if (s->v6) {
		sr_put_be16(ip + 4, (uint16_t)(p->len - p->l3 - 40));
	} else {
		sr_put_be16(ip + 2, (uint16_t)(p->len - p->l3));
		sr_put_be16(ip + 10, 0);
		sr_put_be16(ip + 10, (uint16_t)~plain_sum(ip, p->l4 - p->l3, 0));
	}
	if (p->proto == 17)
		sr_put_be16(p->bytes + p->l4 + 4, (uint16_t)(p->len - p->l4));
	sr_put_be16(p->bytes + packet_field(p), (uint16_t)plain_pseudo(p, s->v6, p->len - p->l4));
}

/* A packet with a partial checksum. */
static inline void packet_make(struct packet *p, const struct shape *s)
{
	uint8_t *l4;

	p->proto = s->udp ? 17 : 6;
	packet_put_ethernet(p, s);
	packet_put_ip(p, s);
	l4 = p->bytes + p->l4;
	memcpy(l4, "\x10\x01\x20\x02", 4);
	p->end = p->l4 + 8;
	if (!s->udp) {
		p->end = p->l4 + 20 + s->tcp_options;
		memset(l4 + 4, 1, 16 + s->tcp_options);
		memcpy(l4 + 4, "\xff\xff\xff\x00", 4);
		l4[12] = (uint8_t)((20 + s->tcp_options) / 4 << 4);
		l4[13] = 0xd9; /* CWR ECE ACK PSH FIN */
	}
	packet_finish(p, s);
}

static inline struct sr_offload packet_off(const struct packet *p, uint8_t gso, uint16_t size)
{
	return (struct sr_offload){ .flags = SR_OFF_NEEDS_CSUM,
				    .gso_type = gso,
				    .gso_size = size,
				    .hdr_len = (uint16_t)p->end,
				    .csum_start = (uint16_t)p->l4,
				    .csum_offset = (uint16_t)(packet_field(p) - p->l4) };
}

#endif
