/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_switch.h"

#include <errno.h>
#include <stdio.h>

static void a_port_without_link_neither_sends_nor_receives(void **state)
{
	struct world *w = *state;

	forward_one(w, 1, frame(2, ALL, 0));
	who_got(w);
	atomic_store(&w->p[1]->port.link, false);
	forward_one(w, 1, frame(3, ALL, 0));
	assert_int_equal(who_got(w), 0);
	assert_int_equal(w->p[1]->port.counters.tx_dropped, 1);
	assert_int_equal(sr_switch_entries(w->sw, NULL, 0), 1);

	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);
	forward_one(w, 0, frame(1, ALL, 0));
	assert_int_equal(who_got(w), 11);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);

	sr_switch_flush(w->sw, &w->p[1]->port); /* as is right when a link goes down */
	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 11);
}

static void a_detached_port_is_out_at_once_and_its_place_free_after_the_flush(void **state)
{
	struct world *w = *state;
	struct fake_port *e = fake_create("e");
	unsigned slot = w->p[1]->port.slot;

	learns_two(w);
	sr_switch_detach(w->sw, &w->p[1]->port);
	forward_one(w, 1, frame(2, ALL, 0));
	assert_int_equal(w->p[1]->port.counters.tx_dropped, 1);
	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 11);
	assert_int_equal(sr_switch_entries(w->sw, NULL, 0), 2);

	/* Addresses learned behind b must not lead to e. */
	assert_int_equal(sr_switch_attach(w->sw, &e->port, NULL), 0);
	assert_int_not_equal(e->port.slot, slot);
	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(e->n, 1);
	assert_int_equal(who_got(w), 11);
	sr_switch_detach(w->sw, &e->port);
	sr_switch_flush(w->sw, &e->port);

	sr_switch_flush(w->sw, &w->p[1]->port);
	assert_int_equal(sr_switch_attach(w->sw, &e->port, NULL), 0);
	assert_int_equal(e->port.slot, slot);
	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 11);
	sr_switch_detach(w->sw, &e->port);
	fake_destroy(e);
}

static void places_of_ports_that_were_never_flushed_come_back_when_needed(void **state)
{
	struct world *w = *state;
	struct fake_port *e = fake_create("e");

	for (unsigned i = 0; i < 2 * SR_SWITCH_PORTS_MAX; i++) {
		assert_int_equal(sr_switch_attach(w->sw, &e->port, NULL), 0);
		if (i == 0)
			assert_int_equal(
				sr_port_forward(&e->port,
						&(struct sr_frame){ .head = { 2, 0, 0, 0, 0, 9, 2,
									      0, 0, 0, 0, 8 },
								    .len = 60,
								    .head_len = 60 },
						1, 1, 0),
				0);
		/* The first one's address does not stay behind for a later owner. */
		assert_int_equal(sr_switch_entries(w->sw, NULL, 0), i == 0);
		sr_switch_detach(w->sw, &e->port);
	}
	fake_destroy(e);
}

static void names_are_unique_and_places_are_limited(void **state)
{
	struct world *w = *state;
	static struct sr_port p[SR_SWITCH_PORTS_MAX];
	static char name[SR_SWITCH_PORTS_MAX][8];
	struct sr_error e;

	memset(p, 0, sizeof(p));
	p[0].name = "b";
	assert_int_equal(sr_switch_attach(w->sw, &p[0], &e), -EEXIST);
	assert_string_equal(e.text, "switch: port b: there is one of that name");
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++) {
		snprintf(name[i], sizeof(name[i]), "p%u", i);
		p[i].name = name[i];
		if (i < SR_SWITCH_PORTS_MAX - PORTS)
			assert_int_equal(sr_switch_attach(w->sw, &p[i], &e), 0);
	}
	assert_int_equal(sr_switch_attach(w->sw, &p[SR_SWITCH_PORTS_MAX - 1], &e), -ENOSPC);
	assert_string_equal(e.text, "switch: port p1023: all 1024 places are taken");
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX - PORTS; i++)
		sr_switch_detach(w->sw, &p[i]);
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX - PORTS; i++)
		sr_switch_flush(w->sw, &p[i]);
	assert_int_equal(sr_switch_attach(w->sw, &p[SR_SWITCH_PORTS_MAX - 1], &e), 0);
	sr_switch_detach(w->sw, &p[SR_SWITCH_PORTS_MAX - 1]);
}

static void limits_out_of_range_are_refused_with_a_text(void **state)
{
	struct sr_switch_config c = { .mac_limit = 2000000 };
	struct sr_error e;

	(void)state;
	assert_null(sr_switch_create(&c, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "switch: mac limit 2000000: expected at most 1048576");
	c = (struct sr_switch_config){ .wait_us = 1000001 };
	assert_null(sr_switch_create(&c, &e));
	assert_string_equal(e.text, "switch: wait of 1000001 us: expected at most 1000000");
	sr_switch_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_without_link_neither_sends_nor_receives),
		TEST(a_detached_port_is_out_at_once_and_its_place_free_after_the_flush),
		TEST(places_of_ports_that_were_never_flushed_come_back_when_needed),
		TEST(names_are_unique_and_places_are_limited),
		cmocka_unit_test(limits_out_of_range_are_refused_with_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
