/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_rig.h"

#include <stdlib.h>

#define TX 1u

static const struct sr_net_config plain = { .name = "p", .pairs = 1 };
static const uint8_t hdr0[12];

static struct rig *rig_tx_only(uint64_t features, unsigned size)
{
	struct rig *r = rig_create(&plain);

	r->dev->ops->features_set(r->dev, features);
	rig_start(r, TX, size);
	return r;
}

static uint64_t count(_Atomic uint64_t *c)
{
	return atomic_load(c);
}

static void send_framed(struct rig *r, size_t hdr_len, size_t len, size_t first, size_t piece)
{
	static uint8_t data[SR_FRAME_MAX + 1];
	unsigned at = r->ngot;
	struct sr_used u;

	rig_fill(data, len, at);
	rig_tx(r, TX, hdr0, hdr_len, data, len, first, piece);
	assert_int_equal(rig_process(r, TX), 0);
	assert_int_equal(r->ngot, at + 1);
	assert_int_equal(r->got[at].len, len);
	assert_memory_equal(r->got[at].bytes, data, len);
	assert_int_equal(rig_used(r, TX, &u, 1), 1);
	assert_int_equal(u.len, 0);
}

static void frames_pass_in_every_framing(void **state)
{
	static const uint32_t lens[] = { 14, 60, 63, 64, 65, 300 };
	static const uint64_t features[] = { RIG_MODERN, SR_F_VERSION_1, 0, SR_NET_F_MRG_RXBUF };

	(void)state;
	for (unsigned f = 0; f < SR_ARRAY_LEN(features); f++) {
		size_t h = features[f] & (SR_F_VERSION_1 | SR_NET_F_MRG_RXBUF) ? 12 : 10;
		struct rig *r = rig_tx_only(features[f], 512);

		for (unsigned i = 0; i < SR_ARRAY_LEN(lens); i++) {
			send_framed(r, h, lens[i], 0, 0);
			send_framed(r, h, lens[i], h, 0);
			send_framed(r, h, lens[i], 1, 0);
			send_framed(r, h, lens[i], h + 5, 0);
			send_framed(r, h, lens[i], h + 14, 0);
			send_framed(r, h, lens[i], 1, 1);
			send_framed(r, h, lens[i], 5, 33);
		}
		assert_int_equal(count(&r->port->counters.tx_bad), 0);
		rig_destroy(r);
	}
}

static void the_largest_frame_passes_and_a_larger_one_does_not(void **state)
{
	static uint8_t data[SR_FRAME_MAX + 1];
	struct rig *r = rig_tx_only(RIG_MODERN, 64);
	struct sr_used u;

	(void)state;
	send_framed(r, 12, SR_FRAME_MAX, 12, 4096);
	rig_tx(r, TX, hdr0, 12, data, SR_FRAME_MAX + 1, 12, 4096);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 1);
	assert_int_equal(count(&r->port->counters.tx_bad), 1);
	assert_int_equal(rig_used(r, TX, &u, 1), 1);
	rig_destroy(r);
}

static void a_chain_too_short_for_header_and_frame_is_returned_and_counted(void **state)
{
	uint8_t data[16] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 64);
	struct sr_used u[32];
	unsigned n = 0;

	(void)state;
	for (size_t hdr_len = 1; hdr_len <= 12; hdr_len++, n++)
		rig_tx(r, TX, hdr0, hdr_len, data, 0, 0, 0);
	for (size_t len = 1; len <= 13; len++, n++)
		rig_tx(r, TX, hdr0, 12, data, len, 12, 0);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 0);
	assert_int_equal(count(&r->port->counters.tx_bad), n);
	assert_int_equal(rig_used(r, TX, u, 32), n);
	rig_destroy(r);
}

static void a_senseless_header_drops_only_its_frame(void **state)
{
	static const uint8_t bad[][12] = {
		{ 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, /* checksum outside */
		{ 1, 0, 0, 0, 0, 0, 0, 0, 16, 0 },	      /* checksum in the addresses */
		{ 1, 1, 0, 0, 0, 0, 34, 0, 16, 0 },	      /* segments of 0 bytes */
		{ 1, 9, 0, 0, 1, 1, 34, 0, 16, 0 },	      /* unknown type */
		{ 0, 1, 0, 0, 1, 1, 34, 0, 16, 0 },	      /* segments without checksum */
		{ 1, 4, 0, 0, 1, 1, 34, 0, 16, 0 },	      /* not negotiated */
	};
	uint8_t data[100];
	struct rig *r = rig_tx_only(RIG_MODERN | SR_NET_F_CSUM | SR_NET_F_HOST_TSO4, 64);
	struct sr_used u[16];

	(void)state;
	rig_fill(data, sizeof(data), 1);
	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		rig_tx(r, TX, bad[i], 12, data, sizeof(data), 12, 0);
		rig_tx(r, TX, hdr0, 12, data, sizeof(data), 12, 0);
	}
	rig_process(r, TX);
	assert_int_equal(r->ngot, SR_ARRAY_LEN(bad));
	assert_int_equal(count(&r->port->counters.tx_bad), SR_ARRAY_LEN(bad));
	assert_int_equal(rig_used(r, TX, u, 16), 2 * SR_ARRAY_LEN(bad));
	rig_destroy(r);
}

static void offloads_reach_the_sink(void **state)
{
	static const uint8_t hdr[12] = { 1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0 };
	static uint8_t data[65000];
	struct rig *r = rig_tx_only(RIG_MODERN | SR_NET_F_CSUM | SR_NET_F_HOST_TSO4, 64);

	(void)state;
	rig_fill(data, sizeof(data), 3);
	rig_tx(r, TX, hdr, 12, data, sizeof(data), 100, 3000);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 1);
	assert_memory_equal(r->got[0].bytes, data, sizeof(data));
	assert_int_equal(r->got[0].off.gso_type, SR_GSO_TCPV4);
	assert_int_equal(r->got[0].off.gso_size, 1448);
	assert_int_equal(r->got[0].off.csum_start, 34);
	rig_destroy(r);
}

static void a_disabled_queue_or_pulled_cable_swallows_frames(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 64);
	struct sr_used u[4];

	(void)state;
	r->dev->ops->queue_enable(r->dev, TX, false);
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	rig_process(r, TX);
	r->dev->ops->queue_enable(r->dev, TX, true);
	sr_net_set_link(r->net, false);
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	rig_process(r, TX);
	sr_net_set_link(r->net, true);
	atomic_store(&r->port->sink, NULL);
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	rig_process(r, TX);
	assert_int_equal(r->offered, 0);
	assert_int_equal(count(&r->port->counters.tx_dropped), 3);
	assert_int_equal(rig_used(r, TX, u, 4), 3);
	rig_destroy(r);
}

static void one_call_a_pass_and_none_while_the_driver_polls(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(SR_F_VERSION_1, 256);
	struct sr_used u[256];

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 256), 200);
	assert_int_equal(r->q[TX].calls, 1);
	assert_int_equal(rig_used(r, TX, u, 256), 200);
	sr_drvq_quiet(r->q[TX].drv);
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	rig_process(r, TX);
	assert_int_equal(r->q[TX].calls, 1);
	rig_destroy(r);
}

static void a_call_asked_for_early_in_a_pass_is_made(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 256);

	(void)state;
	/* The event index names the first used entry, which the first of four batches shows. */
	for (unsigned i = 0; i < 200; i++)
		rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 256), 200);
	assert_int_equal(r->q[TX].calls, 1);
	rig_destroy(r);
}

static void no_pass_exceeds_its_budget(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 256);

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 7), 7);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 100), 100);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 100), 93);
	assert_int_equal(r->dev->ops->process(r->dev, TX, 100), 0);
	assert_int_equal(r->ngot, 200);
	rig_destroy(r);
}

static void a_broken_ring_is_reported_once_and_left_alone(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 16);
	struct sr_sg wild = { 1ULL << 50, 60 };

	(void)state;
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	sr_drvq_add(r->q[TX].drv, &wild, 1, NULL, 0, r);
	sr_drvq_publish(r->q[TX].drv);
	rig_process(r, TX);
	assert_string_not_equal(r->q[TX].broken, "");
	assert_int_equal(r->ngot, 1);
	r->q[TX].broken[0] = 0;
	assert_int_equal(rig_process(r, TX), 0);
	assert_string_equal(r->q[TX].broken, "");
	assert_false(r->dev->ops->arm(r->dev, TX));
	rig_stop(r, TX);
	rig_start(r, TX, 16);
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 2);
	rig_destroy(r);
}

static void arming_sees_what_came_meanwhile(void **state)
{
	uint8_t data[60] = { 0 };
	struct rig *r = rig_tx_only(RIG_MODERN, 16);

	(void)state;
	assert_false(r->dev->ops->arm(r->dev, TX));
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	assert_true(r->dev->ops->arm(r->dev, TX));
	rig_destroy(r);
}

/* A sink with receivers that fill up: the receiver of a frame is its third byte. */
struct receivers {
	bool full[4];
	uint64_t seed;
};

static uint32_t next_random(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*s >> 33);
}

static bool receiver_is_full(struct rig *r, const struct sr_frame *f)
{
	struct receivers *x = r->ctx;
	bool *full = &x->full[f->head[2] & 3];

	if (!*full && next_random(&x->seed) % 8 == 0)
		*full = true;
	return *full;
}

/* Every frame arrives once, and in order among those of its receiver; frames that are no
 * frames are counted once. */
static void check_delivery(const struct rig *r, unsigned sent, const bool *bad)
{
	unsigned last[4] = { 0 }, good = 0;

	for (unsigned i = 0; i < sent; i++)
		good += !bad[i];
	assert_int_equal(r->ngot, good);
	for (unsigned i = 0; i < r->ngot; i++) {
		const uint8_t *b = r->got[i].bytes;
		unsigned number = sr_get_be16(b) + 1, to = b[2] & 3;

		assert_true(number > last[to]);
		last[to] = number;
	}
}

static void a_run_with_full_receivers(uint64_t seed)
{
	static const uint8_t wrong[12] = { 1, 1 };
	struct receivers x = { .seed = seed };
	struct rig *r = rig_tx_only(RIG_MODERN, 256);
	bool bad[400] = { 0 };
	unsigned sent = 0, returned = 0, nbad = 0;
	struct sr_used u[64];

	r->refuse = receiver_is_full;
	r->ctx = &x;
	while (returned < 400) {
		for (unsigned k = next_random(&x.seed) % 100; k && sent < 400; k--, sent++) {
			uint8_t data[70] = { 0 };

			if (sent - returned >= 80)
				break;
			sr_put_be16(data, (uint16_t)sent);
			data[2] = (uint8_t)next_random(&x.seed);
			bad[sent] = next_random(&x.seed) % 10 == 0;
			nbad += bad[sent];
			rig_tx(r, TX, bad[sent] ? wrong : hdr0, 12, data, sizeof(data), 12,
			       next_random(&x.seed) % 2 ? 30 : 0);
		}
		r->dev->ops->process(r->dev, TX, 1 + next_random(&x.seed) % 130);
		for (unsigned k = 0; k < 4; k++)
			x.full[k] &= next_random(&x.seed) % 3 != 0;
		returned += rig_used(r, TX, u, 64);
	}
	assert_string_equal(r->q[TX].broken, "");
	check_delivery(r, sent, bad);
	assert_int_equal(count(&r->port->counters.tx_bad), nbad);
	rig_destroy(r);
}

static void full_receivers_cost_no_frame_and_no_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		a_run_with_full_receivers(seed);
}

static bool all_but_receiver_0_are_full(struct rig *r, const struct sr_frame *f)
{
	(void)r;
	return f->head[2];
}

static void a_blocked_queue_says_so_and_goes_on_later(void **state)
{
	struct rig *r = rig_tx_only(RIG_MODERN, 256);
	uint8_t data[60] = { 0, 0, 1 };
	struct sr_used u[4];

	(void)state;
	r->refuse = all_but_receiver_0_are_full;
	rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	assert_true(rig_process(r, TX) < 0);
	assert_int_equal(rig_used(r, TX, u, 4), 0);
	r->refuse = NULL;
	assert_int_equal(rig_process(r, TX), 0);
	assert_int_equal(r->ngot, 1);
	assert_int_equal(rig_used(r, TX, u, 4), 1);
	rig_destroy(r);
}

static void stopping_a_blocked_queue_neither_repeats_nor_holds_frames(void **state)
{
	struct rig *r = rig_tx_only(RIG_MODERN, 256);
	struct sr_used u[8];

	(void)state;
	r->refuse = all_but_receiver_0_are_full;
	for (uint8_t i = 0; i < 6; i++) {
		/* 0 and 1 blocked, 2 out, 3 blocked, 4 out, 5 blocked */
		uint8_t data[60] = { 0, i, i != 2 && i != 4 };

		rig_tx(r, TX, hdr0, 12, data, 60, 0, 0);
	}
	assert_true(rig_process(r, TX) < 0);
	assert_int_equal(r->ngot, 2);
	r->dev->ops->queue_stop(r->dev, TX);
	/* Up to number 4 all are returned; 5 is offered again after a restart. */
	assert_int_equal(rig_used(r, TX, u, 8), 5);
	assert_int_equal(count(&r->port->counters.tx_dropped), 3);
	r->refuse = NULL;
	r->dev->ops->queue_start(r->dev, TX, r->q[TX].vq);
	r->dev->ops->queue_enable(r->dev, TX, true);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 3);
	assert_int_equal(r->got[2].bytes[1], 5);
	rig_destroy(r);
}

static void scribble(struct rig *r)
{
	memset(r->ctx, 0xff, 12 + 200);
}

static bool scribbles_and_refuses(struct rig *r, const struct sr_frame *f)
{
	(void)f;
	scribble(r);
	return true;
}

static bool scribbles_and_takes(struct rig *r, const struct sr_frame *f)
{
	(void)f;
	scribble(r);
	return false;
}

/* The only chain's bytes, in r->ctx. */
static void send_one_in_place(struct rig *r)
{
	uint8_t bytes[212] = { 0 };
	struct sr_sg sg;

	rig_fill(bytes + 12, 200, 5);
	sg = rig_sg(r, bytes, sizeof(bytes));
	r->ctx = rig_at(r, sg.addr);
	assert_int_equal(sr_drvq_add(r->q[TX].drv, &sg, 1, NULL, 0, r), 0);
	sr_drvq_publish(r->q[TX].drv);
}

static void what_was_judged_is_what_goes_out(void **state)
{
	struct rig *r = rig_tx_only(RIG_MODERN, 64);
	uint8_t sent[200];

	(void)state;
	rig_fill(sent, 200, 5);
	r->refuse = scribbles_and_takes;
	send_one_in_place(r);
	rig_process(r, TX);
	assert_int_equal(r->ngot, 1);
	assert_memory_equal(r->got[0].bytes, sent, SR_FRAME_HEAD);
	assert_int_equal(r->got[0].off.flags, 0);
	assert_int_equal(r->got[0].len, 200);
	rig_destroy(r);
}

static void a_frame_rewritten_while_it_waits_is_judged_anew(void **state)
{
	struct rig *r = rig_tx_only(RIG_MODERN | SR_NET_F_CSUM, 64);
	struct sr_used u;

	(void)state;
	r->refuse = scribbles_and_refuses;
	send_one_in_place(r);
	assert_true(rig_process(r, TX) < 0);
	r->refuse = NULL;
	assert_int_equal(rig_process(r, TX), 0);
	assert_int_equal(r->ngot, 0);
	assert_int_equal(count(&r->port->counters.tx_bad), 1);
	assert_int_equal(rig_used(r, TX, &u, 1), 1);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_pass_in_every_framing),
		cmocka_unit_test(the_largest_frame_passes_and_a_larger_one_does_not),
		cmocka_unit_test(a_chain_too_short_for_header_and_frame_is_returned_and_counted),
		cmocka_unit_test(a_senseless_header_drops_only_its_frame),
		cmocka_unit_test(offloads_reach_the_sink),
		cmocka_unit_test(a_disabled_queue_or_pulled_cable_swallows_frames),
		cmocka_unit_test(one_call_a_pass_and_none_while_the_driver_polls),
		cmocka_unit_test(a_call_asked_for_early_in_a_pass_is_made),
		cmocka_unit_test(no_pass_exceeds_its_budget),
		cmocka_unit_test(a_broken_ring_is_reported_once_and_left_alone),
		cmocka_unit_test(arming_sees_what_came_meanwhile),
		cmocka_unit_test(full_receivers_cost_no_frame_and_no_order),
		cmocka_unit_test(a_blocked_queue_says_so_and_goes_on_later),
		cmocka_unit_test(stopping_a_blocked_queue_neither_repeats_nor_holds_frames),
		cmocka_unit_test(what_was_judged_is_what_goes_out),
		cmocka_unit_test(a_frame_rewritten_while_it_waits_is_judged_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
