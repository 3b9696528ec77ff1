/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "offload_rig.h"

static uint8_t gso_of(const struct shape *s)
{
	return s->udp ? SR_GSO_UDP_L4 : s->v6 ? SR_GSO_TCPV6 : SR_GSO_TCPV4;
}

static const struct shape shapes[] = {
	{ .payload = 65000 },
	{ .payload = 1 },
	{ .payload = 0 },
	{ .payload = 2896, .tcp_options = 12 },
	{ .payload = 2897, .tcp_options = 12, .tags = 1 },
	{ .payload = 9999, .options = 40, .tcp_options = 40, .tags = 1 },
	{ .payload = 3001, .v6 = true },
	{ .payload = 65000, .v6 = true, .tcp_options = 12 },
	{ .payload = 4000, .v6 = true, .options = 8, .extension = 0, .tags = 1 },
	{ .payload = 4000, .v6 = true, .options = 120, .extension = 60, .tcp_options = 40 },
	{ .payload = 5001, .udp = true },
	{ .payload = 5001, .udp = true, .options = 4, .tags = 1 },
	{ .payload = 5001, .udp = true, .v6 = true },
	{ .payload = 5001, .udp = true, .v6 = true, .options = 24, .extension = 60 },
};

static void large_frames_become_the_right_segments(void **state)
{
	static const unsigned sizes[] = { 1448, 1447, 536, 65535 };
	static const uint32_t pieces[] = { 65536, 4096, 100, 7 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes) * 32; i++) {
		const struct shape *s = &shapes[i / 32];
		unsigned size = sizes[i / 8 % 4];
		bool partial = i / 4 % 2;

		packet_make(&sent, s);
		if (sent.end - sent.l3 + sr_min(s->payload, size) > 65535)
			continue;
		/* One piece of 7 bytes for 64 KiB in one segment is beyond the limit. */
		if (pieces[i % 4] == 7 && sr_min(s->payload, size) > 7000)
			continue;
		atomic_store(&b->port.can, partial ? SR_CAN_CSUM : 0);
		assert_int_equal(
			send_off(packet_off(&sent, gso_of(s), (uint16_t)size), pieces[i % 4]), 0);
		assert_segments(s, size, partial);
		assert_true(pieces[i % 4] == 7 || b->calls <= b->n / 64 + 1);
		fake_clear(b);
		assert_int_equal(a->port.counters.tx_bad, 0);
		assert_int_equal(b->port.counters.rx_dropped, 0);
	}
}

/* Its sender's word for the pseudo header is only needed with a routing header. */
static void the_partial_sum_of_the_sender_may_be_wrong(void **state)
{
	const struct shape s = { .payload = 3000 };

	(void)state;
	packet_make(&sent, &s);
	memset(sent.bytes + packet_field(&sent), 0, 2);
	assert_int_equal(send_off(packet_off(&sent, SR_GSO_TCPV4, 1000), 4096), 0);
	assert_segments(&s, 1000, false);
}

static void a_routing_header_keeps_the_last_destination_in_the_sum(void **state)
{
	const struct shape s = {
		.payload = 2500, .v6 = true, .options = 24, .extension = 43, .tcp_options = 12
	};
	static const uint8_t last[16] = "last destination";

	(void)state;
	packet_make(&sent, &s);
	uint8_t first[16], *dst = sent.bytes + sent.l3 + 24;
	memcpy(first, dst, 16);
	memcpy(dst, last, 16);
	sr_put_be16(sent.bytes + packet_field(&sent),
		    (uint16_t)plain_pseudo(&sent, true, sent.len - sent.l4));
	memcpy(dst, first, 16);
	assert_int_equal(send_off(packet_off(&sent, SR_GSO_TCPV6, 1000), 4096), 0);
	assert_int_equal(b->n, 3);
	memcpy(dst, last, 16);
	for (unsigned i = 0; i < b->n; i++)
		assert_checksum(&b->got[i], true, false);
}

/* Puts the fragments that b got together again, into `whole` from the fragmentable part on. */
static uint32_t reassemble(const struct shape *s, unsigned size, unsigned start, uint8_t *whole)
{
	uint32_t total = 0, id = 0;

	for (unsigned i = 0; i < b->n; i++) {
		const struct fake_frame *g = &b->got[i];
		bool last = i + 1 == b->n;
		const uint8_t *h = at(g, s->v6 ? start : sent.l3 + 6);
		unsigned field = s->v6 ? sr_get_be16(h + 2) : sr_get_be16(h);
		unsigned offset = s->v6 ? field & 0xfff8 : (field & 0x1fff) * 8;
		unsigned header = s->v6 ? start + 8 : start;
		uint32_t this_id = s->v6 ? sr_get_be32(h + 4) : sr_get_be16(h - 2);

		assert_int_equal(offset, total);
		assert_int_equal(s->v6 ? field & 7 : field >> 13, last ? 0 : 1);
		assert_true(i == 0 || this_id == id);
		id = this_id;
		assert_true(g->len - header <= size);
		memcpy(whole + total, at(g, header), g->len - header);
		total += g->len - header;
		assert_int_equal(g->off.flags | g->off.gso_type, 0);
	}
	return total;
}

static void assert_fragments(const struct shape *s, unsigned size)
{
	static uint8_t whole[SR_FRAME_MAX];
	unsigned start = s->v6 ? sent.l3 + 40 : sent.l4;
	unsigned skip = sent.l4 - start, field = packet_field(&sent) - start;
	uint32_t total;

	if (s->v6 && s->options && s->extension != 60) {
		start = sent.l4;
		skip = 0;
		field = 6;
	}
	for (unsigned i = 0; i < b->n; i++) {
		const struct fake_frame *g = &b->got[i];
		unsigned names = start == sent.l3 + 40 ? sent.l3 + 6 : sent.l3 + 40;

		if (!s->v6) {
			assert_ip(g, false);
			continue;
		}
		assert_int_equal(*at(g, names), 44);
		assert_int_equal(*at(g, start), sent.bytes[names]);
		assert_int_equal(sr_get_be16(at(g, sent.l3 + 4)), g->len - sent.l3 - 40);
	}
	total = reassemble(s, size, start, whole);
	assert_int_equal(total, sent.len - start);
	assert_int_equal(
		plain_sum(whole + skip, total - skip, plain_pseudo(&sent, s->v6, total - skip)),
		0xffff);
	memcpy(whole + field, sent.bytes + start + field, 2);
	assert_memory_equal(whole, sent.bytes + start, total);
}

static void a_large_datagram_becomes_fragments(void **state)
{
	static const unsigned sizes[] = { 1480, 1472, 1475, 64 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes) * 8; i++) {
		struct shape s = shapes[i / 8];
		unsigned size = sizes[i % 4];

		s.udp = true;
		s.tcp_options = 0;
		packet_make(&sent, &s);
		if (sent.len - sent.l3 > 65535 || s.payload < 100 || s.options > size)
			continue;
		atomic_store(&b->port.can, i / 4 % 2 ? SR_CAN_CSUM : 0);
		assert_int_equal(send_off(packet_off(&sent, SR_GSO_UDP, (uint16_t)size), 4096), 0);
		assert_true(b->n >= 2);
		assert_fragments(&s, size);
		fake_clear(b);
	}
	packet_make(
		&sent,
		&(struct shape){
			.payload = 3000, .v6 = true, .udp = true, .options = 8, .extension = 0 });
	assert_int_equal(send_off(packet_off(&sent, SR_GSO_UDP, 1400), 4096), 0);
	assert_fragments(&(struct shape){ .v6 = true, .options = 8, .extension = 0 }, 1400);
}

static void datagrams_without_an_id_get_different_ones(void **state)
{
	uint16_t id[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		packet_make(&sent, &(struct shape){ .payload = 3000, .udp = true });
		memset(sent.bytes + sent.l3 + 4, 0, 2);
		assert_int_equal(send_off(packet_off(&sent, SR_GSO_UDP, 1480), 4096), 0);
		id[i] = sr_get_be16(b->got[0].bytes + sent.l3 + 4);
		assert_int_equal(sr_get_be16(b->got[1].bytes + sent.l3 + 4), id[i]);
		fake_clear(b);
	}
	assert_int_not_equal(id[0], id[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(large_frames_become_the_right_segments),
		TEST(the_partial_sum_of_the_sender_may_be_wrong),
		TEST(a_routing_header_keeps_the_last_destination_in_the_sum),
		TEST(a_large_datagram_becomes_fragments),
		TEST(datagrams_without_an_id_get_different_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
