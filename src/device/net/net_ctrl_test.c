/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_rig.h"

#define NONE 0xffu /* no answer came */

static const struct sr_net_config config = { .name = "p", .pairs = 4 };
static const uint64_t features = RIG_MODERN | SR_NET_F_CTRL_VQ | SR_NET_F_CTRL_RX |
				 SR_NET_F_CTRL_MAC_ADDR | SR_NET_F_CTRL_GUEST_OFFLOADS |
				 SR_NET_F_GUEST_CSUM | SR_NET_F_GUEST_TSO4 | SR_NET_F_STATUS |
				 SR_NET_F_GUEST_ANNOUNCE | SR_NET_F_MQ;

static struct rig *rig_ctrl(uint64_t f)
{
	struct rig *r = rig_create(&config);

	r->dev->ops->features_set(r->dev, f);
	rig_start(r, f & SR_NET_F_MQ ? 8 : 2, 64);
	return r;
}

/* The answer to a command in pieces of `piece` bytes. */
static uint8_t ask_cut(struct rig *r, const void *bytes, size_t len, size_t piece)
{
	unsigned queue = r->q[8].vq ? 8 : 2, n = 0;
	struct sr_sg out[64], in = { rig_room(r, 1), 1 };
	const uint8_t *b = bytes;
	struct sr_used u;

	for (size_t at = 0; at < len; at += piece, n++)
		out[n] = rig_sg(r, b + at, sr_min(piece, len - at));
	*rig_at(r, in.addr) = NONE;
	assert_int_equal(sr_drvq_add(r->q[queue].drv, out, n, &in, 1, r), 0);
	sr_drvq_publish(r->q[queue].drv);
	rig_process(r, queue);
	assert_int_equal(rig_used(r, queue, &u, 1), 1);
	assert_int_equal(u.len, 1);
	return *rig_at(r, in.addr);
}

static uint8_t ask(struct rig *r, const void *bytes, size_t len)
{
	uint8_t answer = ask_cut(r, bytes, len, len);

	assert_int_equal(ask_cut(r, bytes, len, 1), answer);
	return answer;
}

static void every_command_is_answered(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint8_t answer;
	} t[] = {
		{ "\0\0\1", 3, 0 },
		{ "\0\1\0", 3, 0 },
		{ "\0\2\1", 3, 1 },   /* CTRL_RX_EXTRA is not offered */
		{ "\0\0", 2, 1 },     /* short */
		{ "\0\0\1\1", 4, 1 }, /* long */
		{ "\1\0\0\0\0\0\0\0\0\0", 10, 0 },
		{ "\1\0\1\0\0\0\2\1\1\1\1\1\0\0\0\0", 16, 0 },
		{ "\1\0\1\0\0\0\2\1\1\1\1\1\0\0\0", 15, 1 },
		{ "\1\0\2\0\0\0\2\1\1\1\1\1\0\0\0\0", 16, 1 },
		{ "\1\0\xff\xff\xff\xff\2\1\1\1\1\1\0\0\0\0", 16, 1 },
		{ "\1\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 14, 1 },
		{ "\1\0\0\0\0", 5, 1 },
		{ "\1\0\0\0\0\0\0\0\0\0\0", 11, 1 },
		{ "\2\0\1\0", 4, 1 }, /* VLAN filters are not offered */
		{ "\3\0", 2, 0 },
		{ "\3\1", 2, 1 },
		{ "\4\0\1\0", 4, 0 },
		{ "\4\0\4\0", 4, 0 },
		{ "\4\0\5\0", 4, 1 },
		{ "\4\0\0\0", 4, 1 },
		{ "\4\0\1", 3, 1 },
		{ "\5\0\0\0\0\0\0\0\0\0", 10, 0 },
		{ "\5\0\x82\0\0\0\0\0\0\0", 10, 0 },
		{ "\5\0\x82\1\0\0\0\0\0\0", 10, 1 }, /* TSO6 was not negotiated */
		{ "\5\0\x01\0\0\0\0\0\0\0", 10, 1 }, /* not one of the offloads */
		{ "\xff\xff", 2, 1 },
		{ "\0", 1, 1 },
	};
	struct rig *r = rig_ctrl(features);

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(t); i++)
		if (ask(r, t[i].bytes, t[i].len) != t[i].answer)
			fail_msg("command %u: expected %u", i, t[i].answer);
	rig_destroy(r);
}

static void commands_of_features_not_negotiated_are_errors(void **state)
{
	struct rig *r = rig_ctrl(RIG_MODERN | SR_NET_F_CTRL_VQ);

	(void)state;
	assert_int_equal(ask(r, "\0\0\1", 3), 1);
	assert_int_equal(ask(r, "\1\1\2\0\0\0\0\1", 8), 1);
	assert_int_equal(ask(r, "\4\0\1\0", 4), 1);
	assert_int_equal(ask(r, "\5\0\0\0\0\0\0\0\0\0", 10), 1);
	rig_destroy(r);
}

static void a_chain_without_room_for_the_answer_comes_back(void **state)
{
	struct rig *r = rig_ctrl(features);
	struct sr_sg out = rig_sg(r, "\0\0\1", 3), in = { rig_room(r, 8), 8 };
	struct sr_used u;

	(void)state;
	sr_drvq_add(r->q[8].drv, &out, 1, NULL, 0, r);
	sr_drvq_publish(r->q[8].drv);
	rig_process(r, 8);
	assert_int_equal(rig_used(r, 8, &u, 1), 1);
	assert_int_equal(u.len, 0);
	/* Nothing but room: an error, not an overrun. */
	memset(rig_at(r, in.addr), 0xee, 8);
	sr_drvq_add(r->q[8].drv, NULL, 0, &in, 1, r);
	sr_drvq_publish(r->q[8].drv);
	rig_process(r, 8);
	assert_int_equal(rig_used(r, 8, &u, 1), 1);
	assert_int_equal(u.len, 1);
	assert_memory_equal(rig_at(r, in.addr), "\1\xee\xee\xee\xee\xee\xee\xee", 8);
	rig_destroy(r);
}

static void the_guest_sets_its_address(void **state)
{
	struct rig *r = rig_ctrl(features);
	uint8_t mac[6];

	(void)state;
	assert_int_equal(ask(r, "\1\1\1\0\0\0\0\1", 8), 1); /* a group's */
	assert_int_equal(ask(r, "\1\1\2\0\0\0\0\7", 8), 0);
	assert_memory_equal(sr_net_info(r->net).mac, "\2\0\0\0\0\7", 6);
	r->dev->ops->config_read(r->dev, 0, mac, 6);
	assert_memory_equal(mac, "\2\0\0\0\0\7", 6);
	rig_destroy(r);
}

static void offloads_change_at_run_time(void **state)
{
	struct rig *r = rig_ctrl(features);

	(void)state;
	assert_int_equal(atomic_load(&r->port->can), SR_CAN_CSUM | SR_CAN_TSO4);
	ask(r, "\5\0\2\0\0\0\0\0\0\0", 10);
	assert_int_equal(atomic_load(&r->port->can), SR_CAN_CSUM);
	/* A migration begins: features as before. */
	r->dev->ops->features_set(r->dev, features);
	assert_int_equal(atomic_load(&r->port->can), SR_CAN_CSUM);
	ask(r, "\5\0\x82\0\0\0\0\0\0\0", 10);
	assert_int_equal(atomic_load(&r->port->can), SR_CAN_CSUM | SR_CAN_TSO4);
	rig_destroy(r);
}

static void the_guest_acknowledges_that_it_announced_itself(void **state)
{
	struct rig *r = rig_ctrl(features);
	uint16_t status;

	(void)state;
	r->dev->ops->announce(r->dev, (const uint8_t *)"\2\0\0\0\0\1");
	r->dev->ops->config_read(r->dev, 6, &status, 2);
	assert_int_equal(status, 3);
	ask(r, "\3\0", 2);
	r->dev->ops->config_read(r->dev, 6, &status, 2);
	assert_int_equal(status, 1);
	rig_destroy(r);
}

/* Sends a frame on each of 8 lanes; the receive queues that got one, as bits. */
static unsigned queues_reached(struct rig *r)
{
	static struct rig_buffer b[32];
	static uint8_t bytes[60];
	unsigned reached = 0;
	struct sr_frame f;
	struct sr_used u[8];
	uint32_t len = 100;

	rig_frame(&f, bytes, 60, NULL, 0, 0);
	for (unsigned q = 0; q < 8; q += 2)
		for (unsigned i = 0; i < 8 && r->q[q].vq; i++)
			rig_rx_add(r, q, &b[q * 4 + i], &len, 1);
	for (unsigned lane = 0; lane < 8; lane++)
		rig_send(r, &f, 1, lane);
	for (unsigned q = 0; q < 8; q += 2)
		if (r->q[q].vq && rig_used(r, q, u, 8))
			reached |= 1u << q;
	return reached;
}

static void pairs_in_use_are_what_the_guest_chose(void **state)
{
	struct rig *r = rig_ctrl(features);

	(void)state;
	for (unsigned q = 0; q < 8; q++)
		rig_start(r, q, 256);
	assert_int_equal(queues_reached(r), 1);
	ask(r, "\4\0\4\0", 4);
	assert_int_equal(queues_reached(r), 1 | 4 | 16 | 64);
	assert_int_equal(sr_net_info(r->net).pairs_running, 4);
	ask(r, "\4\0\2\0", 4);
	assert_int_equal(queues_reached(r), 1 | 4);
	/* A pause of the control queue changes nothing. */
	rig_stop(r, 8);
	rig_start(r, 8, 64);
	assert_int_equal(queues_reached(r), 1 | 4);
	/* Another driver starts anew. */
	rig_stop(r, 8);
	r->dev->ops->features_set(r->dev, features & ~SR_NET_F_STATUS);
	rig_start(r, 8, 64);
	assert_int_equal(queues_reached(r), 1);
	rig_destroy(r);
}

static void without_our_control_queue_pairs_in_use_are_those_enabled(void **state)
{
	struct rig *r = rig_create(&config);

	(void)state;
	r->dev->ops->features_set(r->dev, features);
	for (unsigned q = 0; q < 8; q++)
		rig_start(r, q, 256);
	assert_int_equal(queues_reached(r), 1 | 4 | 16 | 64);
	r->dev->ops->queue_enable(r->dev, 4, false);
	assert_int_equal(queues_reached(r), 1 | 4 | 64);
	rig_destroy(r);
}

static void a_lane_keeps_to_one_queue(void **state)
{
	struct rig *r = rig_create(&config);
	static struct rig_buffer b[64];
	uint8_t bytes[60] = { 0 };
	uint32_t len = 100;
	struct sr_used u[64];
	struct sr_frame f;

	(void)state;
	r->dev->ops->features_set(r->dev, features);
	rig_frame(&f, bytes, 60, NULL, 0, 0);
	for (unsigned q = 0; q < 8; q += 2) {
		rig_start(r, q, 64);
		for (unsigned i = 0; i < 16; i++)
			rig_rx_add(r, q, &b[q * 8 + i], &len, 1);
	}
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rig_send(r, &f, 1, 6), 1);
	assert_int_equal(rig_used(r, 4, u, 64), 10);
	rig_destroy(r);
}

static void queue_2_is_the_control_queue_without_mq(void **state)
{
	struct rig *r = rig_ctrl(features & ~SR_NET_F_MQ);

	(void)state;
	assert_int_equal(ask(r, "\0\0\1", 3), 0);
	assert_false(atomic_load(&r->port->link));
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_answered),
		cmocka_unit_test(commands_of_features_not_negotiated_are_errors),
		cmocka_unit_test(a_chain_without_room_for_the_answer_comes_back),
		cmocka_unit_test(the_guest_sets_its_address),
		cmocka_unit_test(offloads_change_at_run_time),
		cmocka_unit_test(the_guest_acknowledges_that_it_announced_itself),
		cmocka_unit_test(pairs_in_use_are_what_the_guest_chose),
		cmocka_unit_test(without_our_control_queue_pairs_in_use_are_those_enabled),
		cmocka_unit_test(a_lane_keeps_to_one_queue),
		cmocka_unit_test(queue_2_is_the_control_queue_without_mq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
