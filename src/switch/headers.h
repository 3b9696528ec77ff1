/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the headers of a frame that software must cut or checksum: Ethernet, up to two VLAN
 * tags, IPv4 with options or IPv6 with extension headers, TCP or UDP. Works on a copy.
 */
#ifndef SR_HEADERS_H
#define SR_HEADERS_H

#include <slipring/port.h>

#define SR_HEADERS_MAX 256u /* bytes of all headers together */

enum {
	SR_TYPE_IPV4 = 0x0800,
	SR_TYPE_VLAN = 0x8100,
	SR_TYPE_IPV6 = 0x86dd,
	SR_TYPE_QINQ = 0x88a8,
	SR_PROTO_TCP = 6,
	SR_PROTO_UDP = 17,
};

struct sr_headers {
	uint8_t bytes[SR_HEADERS_MAX]; /* the copy: the frame's first `have` bytes */
	uint16_t have;
	/* Where things begin; set by sr_headers_parse. */
	uint16_t l3, l4;
	uint16_t end;	   /* the payload */
	uint16_t field;	   /* the checksum of TCP or UDP */
	uint16_t fragment; /* IPv6: the header that follows a fragment header ... */
	uint16_t next;	   /* ... and the byte that names it */
	uint8_t proto;	   /* SR_PROTO_* */
	bool v6;
	bool routed; /* IPv6 with a routing header: the destination is not the last one */
};

void sr_headers_copy(struct sr_headers *h, const struct sr_frame *f);

/* False: not TCP or UDP over IP, a fragment, cut short or longer than SR_HEADERS_MAX. */
bool sr_headers_parse(struct sr_headers *h);

/* The EtherType behind up to two VLAN tags, and where it lies. 0 when it is not there. */
unsigned sr_headers_ethertype(const uint8_t *bytes, unsigned have, unsigned *at);

#endif
