/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static int setup(void **state)
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

static int teardown(void **state)
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

static uint64_t send_off(struct sr_offload off, uint32_t piece)
{
	struct sr_frame f = frame_of(sent.bytes, sent.len, iov, SR_ARRAY_LEN(iov), piece);

	f.off = off;
	return sr_port_forward(&a->port, &f, 1, 1, 0);
}

static const uint8_t *at(const struct fake_frame *g, unsigned offset)
{
	assert_true(offset < g->len);
	return g->bytes + offset;
}

/* IP says its length, its checksum holds, and Ethernet, tags and addresses are as sent. */
static void assert_ip(const struct fake_frame *g, bool v6)
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
static void assert_checksum(const struct fake_frame *g, bool v6, bool partial)
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

static void assert_tcp(const struct fake_frame *g, uint32_t done, bool first, bool last)
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
static void assert_segments(const struct shape *s, unsigned size, bool partial)
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

/* The checksum field before, across and behind the end of the head. */
static void partial_checksums_are_completed_anywhere_in_the_headers(void **state)
{
	static const uint32_t pieces[] = { 65536, 1, 3 };

	(void)state;
	for (unsigned start = 14; start < 250; start += 7) {
		for (unsigned offset = 0; offset < 17; offset += 8 - start % 2) {
			unsigned field = start + offset;
			struct sr_offload off = { .flags = SR_OFF_NEEDS_CSUM,
						  .csum_start = (uint16_t)start,
						  .csum_offset = (uint16_t)offset };

			if (field + 2 > 256)
				continue;
			packet_make(&sent, &(struct shape){ .payload = 500 + start % 4 });
			assert_int_equal(send_off(off, pieces[start % 3]), 0);
			assert_int_equal(b->n, 1);
			assert_int_equal(b->got[0].off.flags, 0);
			assert_int_equal(b->got[0].len, sent.len);
			uint32_t sum = plain_sum(sent.bytes + start, sent.len - start, 0);
			uint16_t want = (uint16_t)~sum;
			/* At an odd distance the sum's bytes are stored as they come. */
			assert_int_equal(sr_get_be16(b->got[0].bytes + field),
					 want ? want : 0xffff);
			sr_put_be16(sent.bytes + field, sr_get_be16(b->got[0].bytes + field));
			assert_memory_equal(b->got[0].bytes, sent.bytes, sent.len);
			fake_clear(b);
		}
	}
	assert_int_equal(a->port.counters.tx_bad, 0);
}

static void what_the_receiver_can_take_passes_untouched(void **state)
{
	static const struct {
		struct shape s;
		uint8_t gso;
		uint32_t can;
	} cases[] = {
		{ { .payload = 9000 }, SR_GSO_TCPV4, SR_CAN_TSO4 },
		{ { .payload = 9000 }, SR_GSO_TCPV4 | SR_GSO_ECN, SR_CAN_TSO4 | SR_CAN_ECN },
		{ { .payload = 9000, .v6 = true }, SR_GSO_TCPV6, SR_CAN_TSO6 },
		{ { .payload = 9000, .udp = true }, SR_GSO_UDP, SR_CAN_UFO },
		{ { .payload = 9000, .udp = true }, SR_GSO_UDP_L4, SR_CAN_USO4 },
		{ { .payload = 9000, .udp = true, .v6 = true }, SR_GSO_UDP_L4, SR_CAN_USO6 },
		{ { .payload = 9000, .udp = true, .v6 = true, .tags = 1 },
		  SR_GSO_UDP_L4,
		  SR_CAN_USO6 },
		{ { .payload = 100 }, SR_GSO_NONE, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		uint16_t size = cases[i].gso ? 1448 : 0;

		packet_make(&sent, &cases[i].s);
		struct sr_offload off = packet_off(&sent, cases[i].gso, size);

		atomic_store(&b->port.can, cases[i].can | SR_CAN_CSUM);
		assert_int_equal(send_off(off, 4096), 0);
		assert_int_equal(b->n, 1);
		assert_memory_equal(&b->got[0].off, &off, sizeof(off));
		assert_int_equal(b->got[0].len, sent.len);
		assert_memory_equal(b->got[0].bytes, sent.bytes, sent.len);
		fake_clear(b);
		/* One ability less, all others more: not untouched. */
		if (!cases[i].can)
			continue;
		uint32_t least = cases[i].can & -cases[i].can;
		atomic_store(&b->port.can, ~least);
		assert_int_equal(send_off(off, 4096), 0);
		assert_true(b->n > 1);
		fake_clear(b);
	}
	assert_int_equal(b->port.counters.rx_segmented, SR_ARRAY_LEN(cases) - 1);
}

static void help_is_counted_in_frames_of_the_sender(void **state)
{
	(void)state;
	packet_make(&sent, &(struct shape){ .payload = 9000 });
	send_off(packet_off(&sent, SR_GSO_TCPV4, 1000), 4096);
	assert_int_equal(b->port.counters.rx_segmented, 1);
	assert_int_equal(b->port.counters.rx_checksummed, 1);
	atomic_store(&b->port.can, SR_CAN_CSUM);
	send_off(packet_off(&sent, SR_GSO_TCPV4, 1000), 4096);
	assert_int_equal(b->port.counters.rx_segmented, 2);
	assert_int_equal(b->port.counters.rx_checksummed, 1);
	atomic_store(&b->port.can, 0);
	send_off(packet_off(&sent, SR_GSO_NONE, 0), 4096);
	assert_int_equal(b->port.counters.rx_segmented, 2);
	assert_int_equal(b->port.counters.rx_checksummed, 2);
	assert_int_equal(a->port.counters.tx_frames, 3);
	assert_int_equal(a->port.counters.tx_bytes, 3 * sent.len);
}

static void a_valid_mark_is_taken_off_for_receivers_that_did_not_ask(void **state)
{
	struct sr_offload off = { .flags = SR_OFF_DATA_VALID };

	(void)state;
	packet_make(&sent, &(struct shape){ .payload = 900 });
	assert_int_equal(send_off(off, 100), 0);
	assert_int_equal(b->got[0].off.flags, 0);
	assert_int_equal(b->got[0].len, sent.len);
	assert_memory_equal(b->got[0].bytes, sent.bytes, sent.len);
	atomic_store(&b->port.can, SR_CAN_CSUM);
	assert_int_equal(send_off(off, 100), 0);
	assert_int_equal(b->got[1].off.flags, SR_OFF_DATA_VALID);
	assert_int_equal(b->port.counters.rx_checksummed, 0);
}

static void nonsense_is_the_senders_fault(void **state)
{
	const struct shape tcp4 = { .payload = 3000 },
			   udp6 = { .payload = 3000, .udp = true, .v6 = true };
	struct sr_offload off;
	unsigned bad = 0;

	(void)state;
	packet_make(&sent, &tcp4);
	const uint8_t types[] = { SR_GSO_TCPV6, SR_GSO_UDP, SR_GSO_UDP_L4, 2, 6, SR_GSO_ECN, 0x7f };
	for (unsigned i = 0; i < sizeof(types); i++) {
		send_off(packet_off(&sent, types[i], 1000), 4096);
		assert_int_equal(a->port.counters.tx_bad, ++bad);
	}
	send_off(packet_off(&sent, SR_GSO_TCPV4, 0), 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	send_off(packet_off(&sent, SR_GSO_TCPV4, 1), 4096); /* 3000 segments */
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	off = packet_off(&sent, SR_GSO_NONE, 0);
	off.csum_start = (uint16_t)(sent.len - 17);
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	off.csum_start = off.csum_offset = 65535;
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	off = packet_off(&sent, SR_GSO_TCPV4, 1000);
	sent.bytes[sent.l4 + 12] = 0x40; /* a TCP header of 16 bytes */
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	sent.bytes[sent.l4 + 12] = 0x50;
	sent.bytes[sent.l3 + 7] = 1; /* a fragment */
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);

	packet_make(&sent, &udp6);
	off = packet_off(&sent, SR_GSO_UDP, 7);
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	off = packet_off(&sent, SR_GSO_UDP_L4, 1000);
	sent.bytes[sent.l3 + 6] = 44;
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);
	sent.bytes[sent.l3 + 6] = 60; /* options longer than all headers may be */
	sent.bytes[sent.l3 + 41] = 255;
	send_off(off, 4096);
	assert_int_equal(a->port.counters.tx_bad, ++bad);

	assert_int_equal(b->n, 0);
	assert_int_equal(a->port.counters.tx_frames, 0);
	assert_int_equal(b->port.counters.rx_dropped, 0);
}

/* One-byte buffers, more in one segment than pieces are there for. */
static void a_segment_of_too_many_pieces_is_refused_and_others_are_not(void **state)
{
	(void)state;
	packet_make(&sent, &(struct shape){ .payload = 3000 });
	send_off(packet_off(&sent, SR_GSO_TCPV4, 1000), 1);
	assert_int_equal(a->port.counters.tx_bad, 0);
	assert_int_equal(b->n, 3);
	fake_clear(b);
	send_off(packet_off(&sent, SR_GSO_TCPV4, 1448), 1);
	assert_int_equal(a->port.counters.tx_bad, 1);
	assert_int_equal(b->n, 0);
}

static void segments_without_room_are_lost_and_whole_frames_wait(void **state)
{
	struct sr_frame f[3];
	static struct iovec more[3][64];

	(void)state;
	packet_make(&sent, &(struct shape){ .payload = 100 * 1000 / 2 });
	for (unsigned i = 0; i < 3; i++) {
		f[i] = frame_of(sent.bytes, sent.len, more[i], 64, 4096);
		f[i].off = packet_off(&sent, SR_GSO_TCPV4, 500); /* 100 segments each */
	}
	f[2].off = (struct sr_offload){ 0 };
	b->room = 130;
	assert_int_equal(sr_port_forward(&a->port, f, 3, 7, 0), 4);
	assert_int_equal(b->n, 130);
	assert_int_equal(b->port.counters.rx_dropped, 1); /* the second frame, begun */
	assert_int_equal(b->port.counters.rx_segmented, 2);
	assert_int_equal(a->port.counters.tx_frames, 2);

	b->room = 0;
	assert_int_equal(sr_port_forward(&a->port, f, 3, 7, 0), 7);
	assert_int_equal(b->port.counters.rx_segmented, 2);
	b->room = UINT32_MAX;
	assert_int_equal(sr_port_forward(&a->port, f, 3, 7, 0), 0);
	assert_int_equal(b->n, 130 + 201);
	assert_int_equal(b->got[b->n - 1].len, sent.len);
	assert_int_equal(b->port.counters.rx_segmented, 4);
	assert_int_equal(b->port.counters.rx_dropped, 1);
}

/* Each receiver of a flood gets what it can take. */
static void a_flood_is_helped_for_those_who_need_it(void **state)
{
	struct fake_port *c = fake_create("c");

	(void)state;
	sr_switch_attach(sw, &c->port, NULL);
	packet_make(&sent, &(struct shape){ .payload = 3000 });
	memset(sent.bytes, 0xff, 6);
	atomic_store(&c->port.can, SR_CAN_CSUM | SR_CAN_TSO4);
	assert_int_equal(send_off(packet_off(&sent, SR_GSO_TCPV4, 1000), 500), 0);
	assert_segments(&(struct shape){ .payload = 3000 }, 1000, false);
	assert_int_equal(c->n, 1);
	assert_int_equal(c->got[0].off.gso_type, SR_GSO_TCPV4);
	assert_memory_equal(c->got[0].bytes, sent.bytes, sent.len);
	assert_int_equal(c->wrong, 0);
	sr_switch_detach(sw, &c->port);
	fake_destroy(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(large_frames_become_the_right_segments),
		TEST(the_partial_sum_of_the_sender_may_be_wrong),
		TEST(a_routing_header_keeps_the_last_destination_in_the_sum),
		TEST(a_large_datagram_becomes_fragments),
		TEST(datagrams_without_an_id_get_different_ones),
		TEST(partial_checksums_are_completed_anywhere_in_the_headers),
		TEST(what_the_receiver_can_take_passes_untouched),
		TEST(help_is_counted_in_frames_of_the_sender),
		TEST(a_valid_mark_is_taken_off_for_receivers_that_did_not_ask),
		TEST(nonsense_is_the_senders_fault),
		TEST(a_segment_of_too_many_pieces_is_refused_and_others_are_not),
		TEST(segments_without_room_are_lost_and_whole_frames_wait),
		TEST(a_flood_is_helped_for_those_who_need_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
