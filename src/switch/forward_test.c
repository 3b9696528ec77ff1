/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_switch.h"

static void frames_to_an_unknown_address_go_everywhere_until_it_speaks(void **state)
{
	struct world *w = *state;

	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 111);
	forward_one(w, 1, frame(2, 1, 0));
	assert_int_equal(who_got(w), 1000);
	forward_one(w, 0, frame(1, 2, 0));
	assert_int_equal(who_got(w), 100);
	forward_one(w, 0, frame(1, ALL, 0));
	assert_int_equal(who_got(w), 111);
	forward_one(w, 3, frame(4, GROUP, 0));
	assert_int_equal(who_got(w), 1110);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 3);
	assert_int_equal(w->p[0]->port.counters.tx_bytes, 180);
	assert_int_equal(w->p[0]->port.counters.flooded, 2);
	assert_int_equal(w->p[3]->port.counters.flooded, 1);
}

static void a_station_that_moves_is_found_at_its_new_port(void **state)
{
	struct world *w = *state;

	forward_one(w, 0, frame(1, ALL, 0));
	forward_one(w, 2, frame(1, ALL, 0));
	who_got(w);
	forward_one(w, 3, frame(4, 1, 0));
	assert_int_equal(who_got(w), 10);
}

static void a_frame_never_returns_to_where_it_came_from(void **state)
{
	struct world *w = *state;
	struct sr_frame f[2] = { frame(1, ALL, 0), frame(2, 1, 0) };

	assert_int_equal(forward_on(w, 0, f, 2, 3, 0), 0); /* 1 and 2 share port a */
	assert_int_equal(who_got(w), 111);
	forward_one(w, 0, frame(1, 2, 0));
	forward_one(w, 0, frame(1, 1, 0));
	assert_int_equal(who_got(w), 0);
	assert_int_equal(w->p[0]->port.counters.tx_dropped, 3);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 1);
}

static void addresses_of_different_vlans_are_strangers(void **state)
{
	struct world *w = *state;

	forward_one(w, 0, tagged(1, ALL, 0x8100, 100));
	forward_one(w, 1, frame(1, ALL, 0));
	who_got(w);
	forward_one(w, 3, tagged(4, 1, 0x8100, 100 | 5 << 13));
	assert_int_equal(who_got(w), 1000);
	forward_one(w, 3, tagged(4, 1, 0x88a8, 100));
	assert_int_equal(who_got(w), 1000);
	forward_one(w, 3, frame(4, 1, 0));
	assert_int_equal(who_got(w), 100);
	forward_one(w, 3, tagged(4, 1, 0x8100, 5 << 13)); /* priority only: untagged */
	assert_int_equal(who_got(w), 100);
	forward_one(w, 3, tagged(4, 1, 0x8100, 101));
	assert_int_equal(who_got(w), 1110);
}

static void malformed_frames_and_group_sources_are_counted_and_dropped(void **state)
{
	struct world *w = *state;
	struct sr_frame f[4] = { frame(1, 2, 0), frame(GROUP, 2, 0), frame(ALL, 2, 0),
				 tagged(1, 2, 0x8100, 1) };

	f[0].len = f[0].head_len = 13;
	f[3].len = f[3].head_len = 17;
	assert_int_equal(forward_on(w, 0, f, 4, 15, 0), 0);
	assert_int_equal(who_got(w), 0);
	assert_int_equal(w->p[0]->port.counters.tx_bad, 4);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 0);
	assert_int_equal(sr_switch_entries(w->sw, NULL, 0), 0);
}

static void a_source_of_zero_is_passed_on_but_not_learned(void **state)
{
	struct world *w = *state;

	forward_one(w, 0, frame(ZERO, ALL, 0));
	assert_int_equal(who_got(w), 111);
	assert_int_equal(sr_switch_entries(w->sw, NULL, 0), 0);
	forward_one(w, 1, frame(2, ZERO, 0));
	assert_int_equal(who_got(w), 1011);
}

static void link_local_control_frames_stay_on_their_link(void **state)
{
	struct world *w = *state;
	struct sr_frame f = frame(1, 2, 0);

	memcpy(f.head, (uint8_t[]){ 0x01, 0x80, 0xc2, 0, 0, 0x0e }, 6);
	forward_one(w, 0, f);
	assert_int_equal(who_got(w), 0);
	assert_int_equal(w->p[0]->port.counters.tx_dropped, 1);
	f.head[5] = 0x10;
	forward_one(w, 0, f);
	assert_int_equal(who_got(w), 111);
}

static void addresses_age_with_the_ticks(void **state)
{
	struct world *w = *state;
	struct sr_switch_entry e[4];

	forward_one(w, 0, tagged(1, ALL, 0x8100, 7));
	sr_switch_tick(w->sw);
	forward_one(w, 1, frame(2, ALL, 0));
	sr_switch_tick(w->sw);
	assert_int_equal(sr_switch_entries(w->sw, e, 4), 2);
	unsigned one = e[0].port == &w->p[0]->port ? 0 : 1;
	assert_ptr_equal(e[one].port, &w->p[0]->port);
	assert_memory_equal(e[one].mac, ((uint8_t[]){ 2, 0, 0, 0, 0, 1 }), 6);
	assert_int_equal(e[one].vlan, 7);
	assert_int_equal(e[one].age_s, 2);
	assert_int_equal(e[!one].vlan, 0);
	assert_int_equal(e[!one].age_s, 1);
	sr_switch_tick(w->sw);
	assert_int_equal(sr_switch_entries(w->sw, e, 1), 1);
	assert_ptr_equal(e[0].port, &w->p[1]->port);
}

static void each_receiver_is_called_once_with_its_frames_in_order(void **state)
{
	struct world *w = *state;
	struct sr_frame f[7];

	forward_one(w, 1, frame(2, ALL, 0));
	forward_one(w, 2, frame(3, ALL, 0));
	who_got(w);
	f[0] = frame(1, 2, '0');
	f[1] = frame(1, 3, '1');
	f[2] = frame(1, ALL, '2');
	f[3] = frame(1, 2, '3');
	f[4] = frame(1, 2, '4'); /* not in the mask */
	f[5] = frame(1, 3, '5');
	f[6] = frame(1, GROUP, '6');
	assert_int_equal(forward_on(w, 0, f, 7, 0x6f, 9), 0);
	assert_marks(w->p[0], "");
	assert_marks(w->p[1], "0236");
	assert_marks(w->p[2], "1256");
	assert_marks(w->p[3], "26");
	for (unsigned i = 1; i < PORTS; i++) {
		assert_int_equal(w->p[i]->calls, 1);
		assert_int_equal(w->p[i]->got[0].lane, 9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_to_an_unknown_address_go_everywhere_until_it_speaks),
		TEST(a_station_that_moves_is_found_at_its_new_port),
		TEST(a_frame_never_returns_to_where_it_came_from),
		TEST(addresses_of_different_vlans_are_strangers),
		TEST(malformed_frames_and_group_sources_are_counted_and_dropped),
		TEST(a_source_of_zero_is_passed_on_but_not_learned),
		TEST(link_local_control_frames_stay_on_their_link),
		TEST(addresses_age_with_the_ticks),
		TEST(each_receiver_is_called_once_with_its_frames_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
