/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_switch.h"

#include <unistd.h>

#define SECOND 1000000000ull

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_receiver_holds_its_own_frames_and_no_others),
		TEST(a_receiver_that_cannot_wait_loses_frames_at_once),
		TEST(frames_for_all_never_wait),
		TEST(a_receiver_full_for_too_long_is_waited_for_no_more),
		TEST(no_receiver_holds_a_batch_for_ever_with_an_accomplice),
		TEST(a_trickling_receiver_loses_what_it_does_not_take_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
