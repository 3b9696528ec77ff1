/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_rig.h"

#include <stdlib.h>

#include "iov.h"

#define RX	  0u
#define MERGEABLE (RIG_MODERN | SR_NET_F_MRG_RXBUF)
#define OFFLOADS  (SR_NET_F_GUEST_CSUM | SR_NET_F_GUEST_TSO4)

static const struct sr_net_config plain = { .name = "p", .pairs = 1, .mtu = 1500 };

static struct rig *rig_rx_only(uint64_t features, unsigned size)
{
	struct rig *r = rig_create(&plain);

	r->dev->ops->features_set(r->dev, features);
	rig_start(r, RX, size);
	return r;
}

static uint64_t count(_Atomic uint64_t *c)
{
	return atomic_load(c);
}

static void add(struct rig *r, struct rig_buffer *b, unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		rig_rx_add(r, RX, &b[i], &len, 1);
}

static void a_frame_arrives_in_any_cut_of_the_buffer(void **state)
{
	static const uint32_t cuts[][4] = {
		{ 2000 },     { 12, 1988 },	   { 10, 1990 },	{ 1, 1, 1, 1997 },
		{ 76, 1924 }, { 12, 60, 2, 1926 }, { 100, 7, 93, 1800 }
	};
	static const uint32_t lens[] = { 14, 31, 32, 60, 63, 64, 65, 1514 };
	static const uint64_t features[] = { RIG_MODERN, MERGEABLE, SR_NET_F_MRG_RXBUF, 0 };

	(void)state;
	for (unsigned v = 0; v < SR_ARRAY_LEN(features); v++) {
		struct rig *r = rig_rx_only(features[v], 256);
		size_t h = features[v] ? 12 : 10;
		uint8_t bytes[1514], got[1600], header[12] = { [10] = 1 };
		struct iovec iov[64];
		struct rig_buffer b;
		struct sr_frame f;
		struct sr_used u;

		for (unsigned i = 0; i < SR_ARRAY_LEN(lens) * SR_ARRAY_LEN(cuts) * 3; i++) {
			static const size_t pieces[] = { 0, 700, 33 };
			const uint32_t *cut = cuts[i / 3 % SR_ARRAY_LEN(cuts)];
			uint32_t len = lens[i / 3 / SR_ARRAY_LEN(cuts)];
			unsigned n = 0;

			while (n < 4 && cut[n])
				n++;
			rig_rx_add(r, RX, &b, cut, n);
			rig_fill(bytes, len, i);
			rig_frame(&f, bytes, len, iov, 64, pieces[i % 3]);
			assert_int_equal(rig_send(r, &f, 1, 0), 1);
			assert_int_equal(rig_used(r, RX, &u, 1), 1);
			assert_ptr_equal(u.token, &b);
			assert_int_equal(u.len, h + len);
			rig_rx_read(r, &b, got, h + len);
			assert_memory_equal(got, header, h);
			assert_memory_equal(got + h, bytes, len);
		}
		rig_destroy(r);
	}
}

/* Puts the buffers of one frame together. */
static void merged_read(struct rig *r, const struct sr_used *u, unsigned n, uint8_t *to)
{
	for (unsigned i = 0; i < n; i++) {
		rig_rx_read(r, u[i].token, to, u[i].len);
		to += u[i].len;
	}
}

static void a_mergeable_frame_takes_as_many_buffers_as_it_needs(void **state)
{
	static uint8_t bytes[65550], got[65600];
	struct rig *r = rig_rx_only(MERGEABLE | OFFLOADS, 256);
	struct iovec iov[3][32];
	struct rig_buffer b[128];
	struct sr_frame f[3];
	struct sr_used u[128];

	(void)state;
	add(r, b, 128, 1536);
	rig_fill(bytes, sizeof(bytes), 4);
	for (unsigned i = 0; i < 3; i++) {
		rig_frame(&f[i], bytes, 65550 - i, iov[i], 32, 2500);
		f[i].off = (struct sr_offload){ 1, 1, 54, 1448, 34, 16 };
	}
	/* 43 buffers each: two frames fit, and the third leaves no trace. */
	assert_int_equal(rig_send(r, f, 3, 0), 2);
	assert_int_equal(rig_used(r, RX, u, 128), 86);
	for (unsigned i = 0; i < 2; i++) {
		merged_read(r, u + 43 * i, 43, got);
		assert_memory_equal(got, "\x01\x01\x36\x00\xa8\x05\x22\x00\x10\x00\x2b\x00", 12);
		assert_memory_equal(got + 12, bytes, f[i].len);
	}
	for (unsigned i = 86; i < 128; i++)
		assert_int_equal(rig_at(r, b[i].sg[0].addr)[0], 0xee);
	add(r, b, 1, 1536);
	assert_int_equal(rig_send(r, f + 2, 1, 0), 1);
	assert_int_equal(rig_used(r, RX, u, 128), 43);
	merged_read(r, u, 43, got);
	assert_memory_equal(got + 12, bytes, f[2].len);
	assert_int_equal(count(&r->port->counters.rx_frames), 3);
	assert_int_equal(count(&r->port->counters.rx_bytes), 3 * 65550 - 3);
	assert_int_equal(count(&r->port->counters.rx_dropped), 0);
	rig_destroy(r);
}

static void a_large_frame_fits_one_large_chain_without_mergeable(void **state)
{
	static uint8_t bytes[65550], got[65600];
	uint32_t lens[18] = { 12, 0 };
	struct rig *r = rig_rx_only(RIG_MODERN | OFFLOADS, 64);
	struct iovec iov[32];
	struct rig_buffer b[2];
	struct sr_frame f;
	struct sr_used u;

	(void)state;
	for (unsigned i = 1; i < 18; i++)
		lens[i] = 4096;
	rig_rx_add(r, RX, &b[0], lens, 18);
	rig_fill(bytes, sizeof(bytes), 4);
	rig_frame(&f, bytes, sizeof(bytes), iov, 32, 2500);
	assert_int_equal(rig_send(r, &f, 1, 0), 1);
	assert_int_equal(rig_used(r, RX, &u, 1), 1);
	rig_rx_read(r, &b[0], got, 12 + sizeof(bytes));
	assert_memory_equal(got + 12, bytes, sizeof(bytes));
	rig_destroy(r);
}

static void what_never_fits_is_dropped_and_the_buffer_kept(void **state)
{
	uint8_t bytes[1514];
	struct rig *r = rig_rx_only(RIG_MODERN, 64);
	struct iovec iov[8];
	struct rig_buffer b;
	struct sr_frame f[3];
	struct sr_used u;

	(void)state;
	add(r, &b, 1, 100);
	rig_fill(bytes, sizeof(bytes), 1);
	rig_frame(&f[0], bytes, 89, iov, 1, 0); /* 12 + 89: one byte too long */
	rig_frame(&f[1], bytes, 1514, iov + 1, 1, 0);
	rig_frame(&f[2], bytes, 88, iov + 2, 1, 0);
	assert_int_equal(rig_send(r, f, 3, 0), 3);
	assert_int_equal(count(&r->port->counters.rx_dropped), 2);
	assert_int_equal(count(&r->port->counters.rx_frames), 1);
	assert_int_equal(rig_used(r, RX, &u, 1), 1);
	assert_int_equal(u.len, 100);
	rig_destroy(r);
}

static void a_frame_over_too_many_small_buffers_is_dropped_not_awaited(void **state)
{
	static uint8_t bytes[65550];
	struct rig *r = rig_rx_only(MERGEABLE | OFFLOADS, 1024);
	static struct rig_buffer b[1024];
	struct iovec iov[2];
	struct sr_frame f[2];

	(void)state;
	add(r, b, 1024, 100);
	rig_frame(&f[0], bytes, sizeof(bytes), &iov[0], 1, 0);
	rig_frame(&f[1], bytes, 500, &iov[1], 1, 0);
	assert_int_equal(rig_send(r, f, 2, 0), 2);
	assert_int_equal(count(&r->port->counters.rx_dropped), 1);
	assert_int_equal(count(&r->port->counters.rx_frames), 1);
	rig_destroy(r);
}

static void smaller_buffers_than_the_last_are_put_together(void **state)
{
	static uint8_t bytes[3000], got[3100];
	struct rig *r = rig_rx_only(MERGEABLE | OFFLOADS, 64);
	static struct rig_buffer b[17];
	struct iovec iov;
	struct sr_frame f;
	struct sr_used u[17];

	(void)state;
	add(r, b, 1, 4096);
	add(r, b + 1, 16, 300);
	rig_fill(bytes, sizeof(bytes), 9);
	rig_frame(&f, bytes, sizeof(bytes), &iov, 1, 0);
	f.off = (struct sr_offload){ 1, SR_GSO_TCPV4, 54, 1448, 34, 16 };
	assert_int_equal(rig_send(r, &f, 1, 0), 1);
	assert_int_equal(rig_send(r, &f, 1, 0), 1);
	assert_int_equal(rig_used(r, RX, u, 17), 12);
	merged_read(r, u + 1, 11, got);
	assert_int_equal(got[10], 11);
	assert_memory_equal(got + 12, bytes, sizeof(bytes));
	rig_destroy(r);
}

static void no_buffer_may_be_smaller_than_the_header(void **state)
{
	uint8_t bytes[60] = { 0 };
	struct rig *r = rig_rx_only(MERGEABLE, 64);
	struct rig_buffer b[2];
	struct iovec iov[1];
	struct sr_frame f;

	(void)state;
	add(r, &b[0], 1, 1500);
	add(r, &b[1], 1, 11);
	rig_frame(&f, bytes, 60, iov, 1, 0);
	assert_int_equal(rig_send(r, &f, 1, 0), 1);
	assert_int_equal(rig_send(r, &f, 1, 0), 0);
	assert_string_equal(r->q[RX].broken,
			    "a receive buffer is smaller than the virtio-net header");
	assert_false(atomic_load(&r->port->link));
	r->q[RX].broken[0] = 0;
	assert_int_equal(rig_send(r, &f, 1, 0), 0);
	assert_string_equal(r->q[RX].broken, "");
	rig_destroy(r);
}

static void an_empty_ring_takes_nothing_and_asks_for_a_kick(void **state)
{
	uint8_t bytes[60] = { 0 };
	struct rig *r = rig_rx_only(RIG_MODERN, 64);
	struct rig_buffer b[4];
	uint32_t len = 1526;
	struct iovec iov[1];
	struct sr_sg sg;
	struct sr_frame f[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		rig_frame(&f[i], bytes, 60, iov, 1, 0);
	add(r, b, 2, len);
	assert_int_equal(rig_send(r, f, 3, 0), 2);
	assert_int_equal(r->q[RX].calls, 1);
	assert_int_equal(r->dev->ops->process(r->dev, RX, 64), 0);
	assert_false(r->dev->ops->arm(r->dev, RX));
	sg = (struct sr_sg){ rig_room(r, len), len };
	sr_drvq_add(r->q[RX].drv, NULL, 0, &sg, 1, r);
	assert_true(sr_drvq_publish(r->q[RX].drv));
	assert_int_equal(rig_send(r, f + 2, 1, 0), 1);
	assert_int_equal(count(&r->port->counters.rx_frames), 3);
	rig_destroy(r);
}

static void a_whole_batch_is_one_call(void **state)
{
	uint8_t bytes[64 * 64];
	struct rig *r = rig_rx_only(MERGEABLE, 256);
	static struct rig_buffer b[200];
	struct sr_frame f[64];
	struct sr_used u[200];

	(void)state;
	add(r, b, 200, 1526);
	rig_fill(bytes, sizeof(bytes), 1);
	for (unsigned i = 0; i < 64; i++)
		rig_frame(&f[i], bytes + 64 * i, 64, NULL, 0, 0);
	assert_int_equal(rig_send(r, f, 64, 0), 64);
	assert_int_equal(r->q[RX].calls, 1);
	assert_int_equal(rig_used(r, RX, u, 200), 64);
	for (unsigned i = 0; i < 64; i++) {
		uint8_t got[76];

		assert_ptr_equal(u[i].token, &b[i]);
		rig_rx_read(r, u[i].token, got, 76);
		assert_memory_equal(got + 12, bytes + 64 * i, 64);
	}
	rig_destroy(r);
}

static void without_link_or_queue_nothing_is_taken(void **state)
{
	uint8_t bytes[60] = { 0 };
	struct rig *r = rig_create(&plain);
	struct rig_buffer b;
	struct sr_frame f;

	(void)state;
	rig_frame(&f, bytes, 60, NULL, 0, 0);
	assert_int_equal(rig_send(r, &f, 1, 0), 0);
	r->dev->ops->features_set(r->dev, RIG_MODERN);
	rig_start(r, RX, 16);
	add(r, &b, 1, 1500);
	r->dev->ops->queue_enable(r->dev, RX, false);
	assert_int_equal(rig_send(r, &f, 1, 0), 0);
	r->dev->ops->queue_enable(r->dev, RX, true);
	sr_net_set_link(r->net, false);
	assert_int_equal(rig_send(r, &f, 1, 0), 0);
	sr_net_set_link(r->net, true);
	assert_int_equal(rig_send(r, &f, 1, 0), 1);
	rig_destroy(r);
}

static void a_frame_the_guest_cannot_take_is_dropped(void **state)
{
	uint8_t bytes[1523] = { 0 };
	struct rig *r = rig_rx_only(MERGEABLE | OFFLOADS | SR_NET_F_MTU, 64);
	static struct rig_buffer b[8];
	struct iovec iov[3];
	struct sr_frame f[3];

	(void)state;
	add(r, b, 8, 1526);
	rig_frame(&f[0], bytes, 1500, &iov[0], 1, 0);
	f[0].off = (struct sr_offload){ 1, SR_GSO_TCPV6, 74, 1448, 54, 16 };
	rig_frame(&f[1], bytes, 1523, &iov[1], 1, 0); /* beyond the MTU of 1500 */
	rig_frame(&f[2], bytes, 1522, &iov[2], 1, 0); /* as large as tags make it */
	assert_int_equal(rig_send(r, f, 3, 0), 3);
	assert_int_equal(count(&r->port->counters.rx_dropped), 2);
	assert_int_equal(count(&r->port->counters.rx_frames), 1);
	rig_destroy(r);
}

static void a_wild_buffer_breaks_the_queue_after_the_good_ones(void **state)
{
	uint8_t bytes[60] = { 0 };
	struct rig *r = rig_rx_only(RIG_MODERN, 64);
	struct sr_sg wild = { 1ULL << 50, 1526 };
	struct sr_frame f[2];
	struct rig_buffer b;
	struct sr_used u;

	(void)state;
	rig_frame(&f[0], bytes, 60, NULL, 0, 0);
	f[1] = f[0];
	add(r, &b, 1, 1526);
	sr_drvq_add(r->q[RX].drv, NULL, 0, &wild, 1, r);
	sr_drvq_publish(r->q[RX].drv);
	rig_send(r, f, 2, 0);
	rig_send(r, f, 1, 0);
	assert_string_not_equal(r->q[RX].broken, "");
	assert_int_equal(rig_used(r, RX, &u, 1), 1);
	rig_stop(r, RX);
	rig_start(r, RX, 64);
	add(r, &b, 1, 1526);
	assert_int_equal(rig_send(r, f, 1, 0), 1);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_arrives_in_any_cut_of_the_buffer),
		cmocka_unit_test(a_mergeable_frame_takes_as_many_buffers_as_it_needs),
		cmocka_unit_test(a_large_frame_fits_one_large_chain_without_mergeable),
		cmocka_unit_test(what_never_fits_is_dropped_and_the_buffer_kept),
		cmocka_unit_test(a_frame_over_too_many_small_buffers_is_dropped_not_awaited),
		cmocka_unit_test(smaller_buffers_than_the_last_are_put_together),
		cmocka_unit_test(no_buffer_may_be_smaller_than_the_header),
		cmocka_unit_test(an_empty_ring_takes_nothing_and_asks_for_a_kick),
		cmocka_unit_test(a_whole_batch_is_one_call),
		cmocka_unit_test(without_link_or_queue_nothing_is_taken),
		cmocka_unit_test(a_frame_the_guest_cannot_take_is_dropped),
		cmocka_unit_test(a_wild_buffer_breaks_the_queue_after_the_good_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
