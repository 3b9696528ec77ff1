/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"

#include <slipring/switch.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define PORTS  4u
#define SECOND 1000000000ull

enum {
	ALL = 0xff,
	GROUP = 0xfe,
	ZERO = 0xfd
}; /* hosts of special addresses */

struct world {
	struct sr_switch *sw;
	struct fake_port *p[PORTS];
};

static void world_make(struct world *w, const struct sr_switch_config *c)
{
	static const char *const names[PORTS] = { "a", "b", "c", "d" };

	w->sw = sr_switch_create(c, NULL);
	assert_non_null(w->sw);
	for (unsigned i = 0; i < PORTS; i++) {
		w->p[i] = fake_create(names[i]);
		assert_int_equal(sr_switch_attach(w->sw, &w->p[i]->port, NULL), 0);
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	/* One second of waiting: long enough that no test runs into it by itself. */
	world_make(w, &(struct sr_switch_config){ .age_s = 3, .wait_us = 1000000 });
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < PORTS; i++) {
		assert_int_equal(w->p[i]->wrong, 0);
		if (atomic_load(&w->p[i]->port.sink))
			sr_switch_detach(w->sw, &w->p[i]->port);
		sr_switch_flush(w->sw, &w->p[i]->port);
		fake_destroy(w->p[i]);
	}
	sr_switch_destroy(w->sw);
	free(w);
	return 0;
}

static void put_mac(uint8_t *p, uint8_t host)
{
	static const uint8_t special[][6] = { { 0 },
					      { 0x33, 0x33, 0, 0, 0, 1 },
					      { 255, 255, 255, 255, 255, 255 } };

	if (host >= ZERO)
		memcpy(p, special[host - ZERO], 6);
	else
		memcpy(p, (uint8_t[]){ 2, 0, 0, 0, 0, host }, 6);
}

/* 60 bytes; the last one is `mark`, to tell frames apart. */
static struct sr_frame frame(uint8_t src, uint8_t dst, uint8_t mark)
{
	struct sr_frame f = { .len = 60, .head_len = 60 };

	put_mac(f.head, dst);
	put_mac(f.head + 6, src);
	sr_put_be16(f.head + 12, 0x88b5);
	f.head[59] = mark;
	return f;
}

static struct sr_frame tagged(uint8_t src, uint8_t dst, uint16_t type, uint16_t tci)
{
	struct sr_frame f = frame(src, dst, 0);

	sr_put_be16(f.head + 12, type);
	sr_put_be16(f.head + 14, tci);
	return f;
}

static uint64_t forward_on(struct world *w, unsigned from, struct sr_frame *f, unsigned n,
			   uint64_t which, unsigned lane)
{
	return sr_port_forward(&w->p[from]->port, f, n, which, lane);
}

static void forward_one(struct world *w, unsigned from, struct sr_frame f)
{
	assert_int_equal(forward_on(w, from, &f, 1, 1, 0), 0);
}

/* Which ports have got something since the last call, as digits: 1011 = all but b. */
static unsigned who_got(struct world *w)
{
	unsigned who = 0;

	for (unsigned i = 0; i < PORTS; i++) {
		who = who * 10 + (w->p[i]->n ? 1 : 0);
		fake_clear(w->p[i]);
	}
	return who;
}

static void assert_marks(const struct fake_port *p, const char *marks)
{
	assert_int_equal(p->n, strlen(marks));
	for (unsigned i = 0; i < p->n; i++)
		assert_int_equal(p->got[i].bytes[p->got[i].len - 1], marks[i]);
}

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

static void learns_two(struct world *w)
{
	forward_one(w, 1, frame(2, ALL, 0));
	forward_one(w, 2, frame(3, ALL, 0));
	who_got(w);
}

static void a_full_receiver_holds_its_own_frames_and_no_others(void **state)
{
	struct world *w = *state;
	struct sr_frame f[5] = { frame(1, 2, '0'), frame(1, 2, '1'), frame(1, 3, '2'),
				 frame(1, ALL, '3'), frame(1, 2, '4') };

	learns_two(w);
	w->p[1]->room = 1;
	/* '3' went to everybody else and is lost to b: it does not wait. */
	assert_int_equal(forward_on(w, 0, f, 5, 0x1f, 0), 0x12);
	assert_marks(w->p[1], "0");
	assert_marks(w->p[2], "23");
	assert_marks(w->p[3], "3");
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 3);

	assert_int_equal(forward_on(w, 0, f, 5, 0x12, 0), 0x12);
	w->p[1]->room = 10;
	assert_true(atomic_load(&w->p[1]->port.full_since) != 0);
	assert_int_equal(forward_on(w, 0, f, 5, 0x12, 0), 0);
	assert_marks(w->p[1], "014");
	assert_marks(w->p[2], "23");
	assert_true(atomic_load(&w->p[1]->port.full_since) == 0);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 5);
	assert_int_equal(w->p[0]->port.counters.tx_bytes, 300);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);
}

static void a_receiver_that_cannot_wait_loses_frames_at_once(void **state)
{
	struct world *w = *state;
	struct sr_frame f[2] = { frame(1, 2, '0'), frame(1, 2, '1') };

	learns_two(w);
	w->p[1]->ops.can_wait = false;
	w->p[1]->room = 1;
	assert_int_equal(forward_on(w, 0, f, 2, 3, 0), 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 2);
}

static void frames_for_all_never_wait(void **state)
{
	struct world *w = *state;

	w->p[1]->room = 0;
	forward_one(w, 0, frame(1, ALL, 0));
	assert_int_equal(who_got(w), 11);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 1);
}

/* A receiver that was full for longer than wait_us, here by setting back its clock. */
static void a_receiver_full_for_too_long_is_waited_for_no_more(void **state)
{
	struct world *w = *state;
	struct sr_frame f[3] = { frame(1, 2, '0'), frame(1, 2, '1'), frame(1, 2, '2') };

	learns_two(w);
	w->p[1]->room = 1;
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 6);
	atomic_store(&w->p[1]->port.full_since, sr_now_ns() - 2 * SECOND);
	assert_int_equal(forward_on(w, 0, f, 3, 6, 0), 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 2);

	w->p[1]->room = 2; /* some room is not enough ... */
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 3);
	w->p[1]->room = 3; /* ... all that is offered is */
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 0);
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 7);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 3);
}

/* Port b takes everything that c sends, so its own bound starts anew each time, and nothing
 * of a's batch. */
static void no_receiver_holds_a_batch_for_ever_with_an_accomplice(void **state)
{
	struct world *w = *state, spite;
	struct sr_frame f = frame(1, 2, '0'), g = frame(3, 2, '1');
	unsigned rounds = 0;

	(void)w;
	world_make(&spite, &(struct sr_switch_config){ .wait_us = 1000 });
	learns_two(&spite);
	do {
		spite.p[1]->room = 1;
		assert_int_equal(forward_on(&spite, 2, &g, 1, 1, 0), 0);
		assert_true(atomic_load(&spite.p[1]->port.full_since) == 0);
		assert_true(++rounds < 10000);
		usleep(100);
	} while (forward_on(&spite, 0, &f, 1, 1, 0));
	assert_true(rounds > 1);
	assert_int_equal(spite.p[1]->port.counters.rx_dropped, 1);
	assert_int_equal(spite.p[0]->port.counters.tx_frames, 1);
	/* The next batch may wait again. */
	assert_int_equal(forward_on(&spite, 2, &g, 1, 1, 0), 1);
	spite.p[1]->room = 1;
	assert_int_equal(forward_on(&spite, 2, &g, 1, 1, 0), 0);
	assert_int_equal(forward_on(&spite, 0, &f, 1, 1, 0), 1);
	for (unsigned i = 0; i < PORTS; i++) {
		sr_switch_detach(spite.sw, &spite.p[i]->port);
		fake_destroy(spite.p[i]);
	}
	sr_switch_destroy(spite.sw);
}

static void a_trickling_receiver_loses_what_it_does_not_take_in_time(void **state)
{
	struct world *w = *state;
	struct sr_frame f[64];
	uint64_t left;

	learns_two(w);
	for (unsigned i = 0; i < 64; i++)
		f[i] = frame(1, 2, (uint8_t)i);
	w->p[1]->room = 1;
	left = forward_on(w, 0, f, 64, UINT64_MAX, 0);
	assert_true(left == UINT64_MAX << 1);
	w->p[1]->room = 1;
	left = forward_on(w, 0, f, 64, left, 0);
	assert_true(left == UINT64_MAX << 2);
	assert_true(atomic_load(&w->p[1]->port.full_since) != 0); /* one by one earns no time */
	atomic_store(&w->p[1]->port.full_since, sr_now_ns() - 2 * SECOND);
	w->p[1]->room = 1;
	assert_true(forward_on(w, 0, f, 64, left, 0) == 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 61);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 64);
	assert_int_equal(w->p[1]->n, 3);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(a_port_without_link_neither_sends_nor_receives),
		TEST(addresses_age_with_the_ticks),
		TEST(each_receiver_is_called_once_with_its_frames_in_order),
		TEST(a_full_receiver_holds_its_own_frames_and_no_others),
		TEST(a_receiver_that_cannot_wait_loses_frames_at_once),
		TEST(frames_for_all_never_wait),
		TEST(a_receiver_full_for_too_long_is_waited_for_no_more),
		TEST(no_receiver_holds_a_batch_for_ever_with_an_accomplice),
		TEST(a_trickling_receiver_loses_what_it_does_not_take_in_time),
		TEST(a_detached_port_is_out_at_once_and_its_place_free_after_the_flush),
		TEST(names_are_unique_and_places_are_limited),
		cmocka_unit_test(limits_out_of_range_are_refused_with_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
