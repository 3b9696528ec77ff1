/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of this room: port a sends a packet made by hand to port b, whose abilities
 * the test chooses, and what b got is judged. Behind <cmocka.h>.
 */
#ifndef SR_OFFLOAD_RIG_H
#define SR_OFFLOAD_RIG_H

#include "fake_port.h"
#include "packet.h"

#include <slipring/switch.h>

enum {
	FIN = 1,
	PSH = 8,
	CWR = 0x80
};

static struct sr_switch *sw;
static struct fake_port *a, *b;
static struct packet sent;
static struct iovec iov[SR_FRAME_MAX];

static inline int setup(void **state)
{
	(void)state;
	sw = sr_switch_create(&(struct sr_switch_config){ .wait_us = 1000000 }, NULL);
	a = fake_create("a");
	b = fake_create("b");
	sr_switch_attach(sw, &a->port, NULL);
	sr_switch_attach(sw, &b->port, NULL);
	/* The addresses of packets, in both VLANs they are sent in. */
	for (unsigned tags = 0; tags < 2; tags++) {
		struct sr_frame hello = { .len = 60, .head_len = 60 };

		memcpy(hello.head, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x81\0\0\x05", 16);
		if (!tags)
			hello.head[12] = 0;
		sr_port_forward(&b->port, &hello, 1, 1, 0);
	}
	fake_clear(a);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	assert_int_equal(a->wrong + b->wrong, 0);
	sr_switch_detach(sw, &a->port);
	sr_switch_detach(sw, &b->port);
	sr_switch_destroy(sw);
	fake_destroy(a);
	fake_destroy(b);
	return 0;
}

static inline uint64_t send_off(struct sr_offload off, uint32_t piece)
{
	struct sr_frame f = frame_of(sent.bytes, sent.len, iov, SR_ARRAY_LEN(iov), piece);

	f.off = off;
	return sr_port_forward(&a->port, &f, 1, 1, 0);
}

static inline const uint8_t *at(const struct fake_frame *g, unsigned offset)
{
	assert_true(offset < g->len);
	return g->bytes + offset;
}

/* IP says its length, its checksum holds, and Ethernet, tags and addresses are as sent. */
static inline void assert_ip(const struct fake_frame *g, bool v6)
{
	const uint8_t *ip = at(g, sent.l3);

	assert_memory_equal(g->bytes, sent.bytes, sent.l3);
	if (v6) {
		assert_memory_equal(ip, sent.bytes + sent.l3, 4);
		assert_memory_equal(ip + 7, sent.bytes + sent.l3 + 7, 33);
		assert_int_equal(sr_get_be16(ip + 4), g->len - sent.l3 - 40);
		return;
	}
	assert_int_equal(ip[0], sent.bytes[sent.l3]);
	assert_memory_equal(ip + 12, sent.bytes + sent.l3 + 12, sent.l4 - sent.l3 - 12);
	assert_int_equal(sr_get_be16(ip + 2), g->len - sent.l3);
	assert_int_equal(plain_sum(ip, sent.l4 - sent.l3, 0), 0xffff);
}

/* The transport's checksum, complete or left to the receiver. */
static inline void assert_checksum(const struct fake_frame *g, bool v6, bool partial)
{
	uint32_t pseudo = plain_pseudo(&sent, v6, g->len - sent.l4);
	unsigned field = packet_field(&sent);

	assert_int_equal(g->off.gso_type, SR_GSO_NONE);
	assert_int_equal(g->off.gso_size, 0);
	if (partial) {
		assert_int_equal(g->off.flags, SR_OFF_NEEDS_CSUM);
		assert_int_equal(g->off.csum_start, sent.l4);
		assert_int_equal(g->off.csum_offset, field - sent.l4);
		assert_int_equal(sr_get_be16(at(g, field)), pseudo);
		return;
	}
	assert_int_equal(g->off.flags, 0);
	assert_int_equal(g->off.csum_start, 0);
	assert_int_equal(plain_sum(at(g, sent.l4), g->len - sent.l4, pseudo), 0xffff);
	assert_int_not_equal(sr_get_be16(at(g, field)), 0);
}

static inline void assert_tcp(const struct fake_frame *g, uint32_t done, bool first, bool last)
{
	const uint8_t *tcp = at(g, sent.l4), *was = sent.bytes + sent.l4;
	uint8_t flags = was[13];

	if (!first)
		flags &= (uint8_t)~CWR;
	if (!last)
		flags &= (uint8_t) ~(FIN | PSH);
	assert_int_equal(sr_get_be32(tcp + 4), sr_get_be32(was + 4) + done);
	assert_int_equal(tcp[13], flags);
	assert_memory_equal(tcp, was, 4);
	assert_memory_equal(tcp + 8, was + 8, 5);
	assert_memory_equal(tcp + 18, was + 18, sent.end - sent.l4 - 18);
}

/* What b got are the right segments of what was sent. */
static inline void assert_segments(const struct shape *s, unsigned size, bool partial)
{
	unsigned n = s->payload ? (s->payload + size - 1) / size : 1;
	uint32_t done = 0;

	assert_int_equal(b->n, n);
	for (unsigned i = 0; i < n; i++) {
		const struct fake_frame *g = &b->got[i];
		uint32_t len = i + 1 < n ? size : s->payload - done;

		assert_int_equal(g->len, sent.end + len);
		assert_ip(g, s->v6);
		if (!s->v6)
			assert_int_equal(sr_get_be16(at(g, sent.l3 + 4)),
					 (uint16_t)(sr_get_be16(sent.bytes + sent.l3 + 4) + i));
		if (s->udp)
			assert_int_equal(sr_get_be16(at(g, sent.l4 + 4)), 8 + len);
		else
			assert_tcp(g, done, i == 0, i + 1 == n);
		assert_checksum(g, s->v6, partial);
		assert_memory_equal(g->bytes + sent.end, sent.bytes + sent.end + done, len);
		done += len;
	}
	assert_int_equal(done, s->payload);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
