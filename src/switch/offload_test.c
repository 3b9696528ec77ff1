/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "offload_rig.h"

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

	/* Found out at the second segment: the first is gone, and nobody's room is to blame. */
	struct sr_frame f = frame_of(sent.bytes, sent.len, iov, SR_ARRAY_LEN(iov), 1500);
	uint8_t *rest = iov[1].iov_base;
	for (f.niov = 1; rest < sent.bytes + sent.len; rest++)
		iov[f.niov++] = (struct iovec){ rest, 1 };
	f.off = packet_off(&sent, SR_GSO_TCPV4, 1448);
	assert_int_equal(sr_port_forward(&a->port, &f, 1, 1, 0), 0);
	assert_int_equal(a->port.counters.tx_bad, 2);
	assert_int_equal(b->n, 1);
	assert_int_equal(b->port.counters.rx_dropped, 0);
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

static void a_malformed_frame_does_not_wait_with_others(void **state)
{
	struct sr_frame f[2];

	(void)state;
	packet_make(&sent, &(struct shape){ .payload = 100 });
	for (unsigned i = 0; i < 2; i++)
		f[i] = frame_of(sent.bytes, sent.len, iov, SR_ARRAY_LEN(iov), 4096);
	f[0].off = packet_off(&sent, SR_GSO_TCPV6, 50);
	b->room = 0;
	assert_int_equal(sr_port_forward(&a->port, f, 2, 3, 0), 2);
	assert_int_equal(a->port.counters.tx_bad, 1);
	assert_int_equal(a->port.counters.tx_frames, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(partial_checksums_are_completed_anywhere_in_the_headers),
		TEST(what_the_receiver_can_take_passes_untouched),
		TEST(help_is_counted_in_frames_of_the_sender),
		TEST(a_valid_mark_is_taken_off_for_receivers_that_did_not_ask),
		TEST(nonsense_is_the_senders_fault),
		TEST(a_segment_of_too_many_pieces_is_refused_and_others_are_not),
		TEST(segments_without_room_are_lost_and_whole_frames_wait),
		TEST(a_malformed_frame_does_not_wait_with_others),
		TEST(a_flood_is_helped_for_those_who_need_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
