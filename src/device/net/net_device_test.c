/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_rig.h"

#include <errno.h>

static const struct sr_net_config plain = { .name = "p", .pairs = 4 };

static uint64_t offer_of(struct sr_net_config c)
{
	struct rig *r = rig_create(&c);
	uint64_t f = r->dev->ops->features(r->dev);

	rig_destroy(r);
	return f;
}

static void offers_only_what_is_configured(void **state)
{
	struct sr_net_config c = { .name = "p", .pairs = 1 };
	uint64_t f = offer_of(c);

	(void)state;
	assert_true(f & SR_F_VERSION_1 && f & SR_NET_F_CTRL_VQ && f & SR_NET_F_GUEST_USO6);
	assert_false(f & (SR_NET_F_MQ | SR_NET_F_MAC | SR_NET_F_MTU));
	c = (struct sr_net_config){ .name = "p", .pairs = 2, .mac = { 2 }, .mtu = 9000 };
	f = offer_of(c);
	assert_true(f & SR_NET_F_MQ && f & SR_NET_F_MAC && f & SR_NET_F_MTU);
}

static void what_depends_on_a_feature_goes_with_it(void **state)
{
	struct sr_net_config c = { .name = "p", .pairs = 2, .features_off = SR_NET_F_CSUM };

	(void)state;
	assert_false(offer_of(c) & (SR_NET_F_HOST_TSO4 | SR_NET_F_HOST_UFO | SR_NET_F_HOST_USO |
				    SR_NET_F_HOST_ECN));
	c.features_off = SR_NET_F_GUEST_CSUM;
	assert_false(offer_of(c) & (SR_NET_F_GUEST_TSO6 | SR_NET_F_GUEST_USO4));
	c.features_off = SR_NET_F_CTRL_VQ;
	assert_false(offer_of(c) & (SR_NET_F_MQ | SR_NET_F_CTRL_RX | SR_NET_F_GUEST_ANNOUNCE));
	c.features_off = SR_NET_F_GUEST_TSO4 | SR_NET_F_GUEST_TSO6;
	assert_false(offer_of(c) & SR_NET_F_GUEST_ECN);
}

static void refuses_a_senseless_configuration(void **state)
{
	const struct sr_net_config bad[] = { { .name = "p", .pairs = 129 },
					     { .name = "p", .mtu = 67 },
					     { .name = "p", .mac = { 1 } } };
	struct sr_error e;

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		assert_null(sr_net_create(&bad[i], &e));
		assert_int_equal(e.code, -EINVAL);
	}
	sr_net_destroy(NULL);
}

/* Those who send to a guest walk its receive chains. */
static void receive_chains_are_short(void **state)
{
	struct rig *r = rig_create(&plain);

	(void)state;
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		assert_in_range(r->dev->ops->chain_max(r->dev, i), 64, i & 1 ? 1024 : 128);
	rig_destroy(r);
}

static void configuration_space_reads_at_any_offset(void **state)
{
	struct sr_net_config c = {
		.name = "p", .pairs = 3, .mac = { 2, 1, 2, 3, 4, 5 }, .mtu = 1400
	};
	struct rig *r = rig_create(&c);
	const struct sr_device_ops *ops = r->dev->ops;
	uint8_t all[64];

	(void)state;
	ops->features_set(r->dev, SR_F_VERSION_1 | SR_NET_F_MQ);
	ops->config_read(r->dev, 0, all, ops->config_size);
	assert_memory_equal(all, c.mac, 6);
	assert_memory_equal(all + 6, "\x01\x00\x03\x00\x78\x05", 6);
	for (uint32_t at = 0; at < ops->config_size; at++) {
		uint8_t one;

		ops->config_read(r->dev, at, &one, 1);
		assert_int_equal(one, all[at]);
	}
	assert_int_equal(ops->queue_count(r->dev), 7);
	rig_destroy(r);
}

static uint16_t status_of(struct rig *r)
{
	uint16_t s;

	r->dev->ops->config_read(r->dev, 6, &s, 2);
	return s;
}

static void the_link_is_up_while_a_receive_queue_runs_and_the_operator_wants_it(void **state)
{
	struct rig *r = rig_create(&plain);

	(void)state;
	r->dev->ops->features_set(r->dev, RIG_MODERN);
	assert_false(atomic_load(&r->port->link));
	rig_start(r, 1, 16);
	assert_false(atomic_load(&r->port->link));
	rig_start(r, 0, 16);
	assert_true(atomic_load(&r->port->link));
	r->dev->ops->queue_enable(r->dev, 0, false);
	assert_false(atomic_load(&r->port->link));
	r->dev->ops->queue_enable(r->dev, 0, true);
	assert_int_equal(status_of(r), 1);
	sr_net_set_link(r->net, false);
	sr_net_set_link(r->net, false);
	assert_int_equal(r->config_changes, 1);
	assert_int_equal(status_of(r), 0);
	assert_false(sr_net_info(r->net).link);
	sr_net_set_link(r->net, true);
	assert_true(sr_net_info(r->net).link);
	assert_int_equal(sr_net_info(r->net).pairs_running, 1);
	rig_stop(r, 0);
	assert_false(atomic_load(&r->port->link));
	rig_destroy(r);
}

static void announces_by_rarp_and_asks_the_guest_to(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 }, group[6] = { 1 };
	struct rig *r = rig_create(&plain);

	(void)state;
	r->dev->ops->features_set(r->dev, RIG_MODERN | SR_NET_F_STATUS | SR_NET_F_GUEST_ANNOUNCE);
	assert_int_equal(r->dev->ops->announce(r->dev, group), -EINVAL);
	assert_int_equal(r->dev->ops->announce(r->dev, mac), 0);
	assert_int_equal(r->ngot, 1);
	assert_int_equal(r->got[0].len, 60);
	assert_memory_equal(r->got[0].bytes, "\xff\xff\xff\xff\xff\xff", 6);
	assert_memory_equal(r->got[0].bytes + 6, mac, 6);
	assert_memory_equal(r->got[0].bytes + 12, "\x80\x35\x00\x01\x08\x00\x06\x04\x00\x03", 10);
	assert_memory_equal(r->got[0].bytes + 22, mac, 6);
	assert_memory_equal(r->got[0].bytes + 32, mac, 6);
	assert_int_equal(r->config_changes, 1);
	assert_int_equal(status_of(r), 3);
	r->dev->ops->reset(r->dev);
	assert_int_equal(status_of(r), 1);
	r->dev->ops->announce(r->dev, mac);
	assert_int_equal(r->config_changes, 1);
	rig_destroy(r);
}

static void the_front_end_may_set_the_mtu(void **state)
{
	struct sr_net_config c = { .name = "p", .pairs = 1, .mtu = 1500 };
	struct rig *r = rig_create(&c);

	(void)state;
	assert_int_equal(r->dev->ops->set_mtu(r->dev, 67), -EINVAL);
	assert_int_equal(r->dev->ops->set_mtu(r->dev, 9000), 0);
	assert_int_equal(sr_net_info(r->net).mtu, 9000);
	r->dev->ops->reset(r->dev);
	assert_int_equal(sr_net_info(r->net).mtu, 1500);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers_only_what_is_configured),
		cmocka_unit_test(what_depends_on_a_feature_goes_with_it),
		cmocka_unit_test(refuses_a_senseless_configuration),
		cmocka_unit_test(receive_chains_are_short),
		cmocka_unit_test(configuration_space_reads_at_any_offset),
		cmocka_unit_test(
			the_link_is_up_while_a_receive_queue_runs_and_the_operator_wants_it),
		cmocka_unit_test(announces_by_rarp_and_asks_the_guest_to),
		cmocka_unit_test(the_front_end_may_set_the_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
