/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_switch.h"
#include "switch_table.h"

#include <unistd.h>

#define SECOND 1000000000ull
#define PACE   (SR_PATIENCE_PACE / SR_PATIENCE_FRAME) /* small frames in a period */

static struct sr_patience *receiver(struct world *w, unsigned port)
{
	return &w->sw->receiver[w->p[port]->port.slot];
}

static struct sr_patience *lane(struct world *w, unsigned port, unsigned n)
{
	return &w->sw->lanes[w->p[port]->port.slot]->lane[n];
}

/* The next time it is looked at, the period is over. */
static void pass_period(struct sr_patience *p)
{
	assert_true(sr_patience_is_on(p));
	atomic_store(&p->since, sr_now_ns() - 2 * SECOND);
}

/* As the network device does: bit 0 of the next offer is the first frame that waits, and new
 * frames follow. Returns how many are finished from the front. */
static unsigned offer(struct world *w, unsigned from, struct sr_frame *f, unsigned n,
		      uint64_t *done, unsigned lane)
{
	uint64_t all = n == 64 ? UINT64_MAX : (1ull << n) - 1, again;
	unsigned finished;

	again = forward_on(w, from, f, n, all & ~*done, lane);
	finished = again ? (unsigned)__builtin_ctzll(again) : n;
	*done = finished < 64 ? (*done | (all & ~again)) >> finished : 0;
	return finished;
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
	assert_true(sr_patience_is_on(receiver(w, 1)));
	assert_int_equal(forward_on(w, 0, f, 5, 0x12, 0), 0);
	assert_marks(w->p[1], "014");
	assert_marks(w->p[2], "23");
	assert_false(sr_patience_is_on(receiver(w, 1)));
	assert_false(sr_patience_is_on(lane(w, 0, 0)));
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
	pass_period(receiver(w, 1));
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
		assert_false(sr_patience_is_on(receiver(&spite, 1)));
		assert_true(++rounds < 10000);
		usleep(100);
	} while (forward_on(&spite, 0, &f, 1, 1, 0));
	assert_true(rounds > 1);
	assert_int_equal(spite.p[1]->port.counters.rx_dropped, 1);
	assert_int_equal(spite.p[0]->port.counters.tx_frames, 1);
	assert_true(sr_patience_is_on(lane(&spite, 0, 0)));
	spite.p[1]->room = 1; /* it may wait again after it once need not */
	assert_int_equal(forward_on(&spite, 0, &f, 1, 1, 0), 0);
	assert_false(sr_patience_is_on(lane(&spite, 0, 0)));
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
	assert_true(sr_patience_is_on(receiver(w, 1)));
	pass_period(receiver(w, 1));
	w->p[1]->room = 1;
	assert_true(forward_on(w, 0, f, 64, left, 0) == 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 61);
	assert_int_equal(w->p[0]->port.counters.tx_frames, 64);
	assert_int_equal(w->p[1]->n, 3);
}

static void a_receiver_that_keeps_the_pace_is_waited_for_on_and_on(void **state)
{
	struct world *w = *state;
	struct sr_frame f[64];
	uint64_t done = 0;

	learns_two(w);
	for (unsigned i = 0; i < 64; i++)
		f[i] = frame(1, 2, 0);
	w->p[1]->room = 1;
	assert_int_equal(offer(w, 0, f, 64, &done, 0), 1);
	for (unsigned period = 0; period < 100; period++) {
		w->p[1]->room = PACE - 1;
		assert_int_equal(offer(w, 0, f, 64, &done, 0), PACE - 1);
		w->p[1]->room = 1;
		pass_period(receiver(w, 1));
		pass_period(lane(w, 0, 0));
		assert_int_equal(offer(w, 0, f, 64, &done, 0), 1);
	}
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 0);
	w->p[1]->room = PACE - 1;
	pass_period(receiver(w, 1)); /* one too few */
	assert_int_equal(offer(w, 0, f, 64, &done, 0), 64);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 64 - (PACE - 1));
}

static void one_large_frame_in_a_period_is_pace_enough(void **state)
{
	struct world *w = *state;
	static uint8_t large[65536];
	struct iovec iov = { large, sizeof(large) - SR_FRAME_HEAD };
	struct sr_frame f[3];

	learns_two(w);
	for (unsigned i = 0; i < 3; i++) {
		f[i] = frame(1, 2, 0);
		f[i].len = sizeof(large);
		f[i].head_len = SR_FRAME_HEAD;
		f[i].iov = &iov;
		f[i].niov = 1;
	}
	w->p[1]->room = 0;
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 7);
	w->p[1]->room = 1;
	pass_period(receiver(w, 1));
	assert_int_equal(forward_on(w, 0, f, 3, 7, 0), 6);
	pass_period(receiver(w, 1));
	assert_int_equal(forward_on(w, 0, f, 3, 6, 0), 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 2);
}

static void a_receiver_is_waited_for_again_once_it_keeps_the_pace(void **state)
{
	struct world *w = *state;
	struct sr_frame f[64];

	learns_two(w);
	for (unsigned i = 0; i < 64; i++)
		f[i] = frame(1, 2, 0);
	w->p[1]->room = 0;
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == UINT64_MAX);
	pass_period(receiver(w, 1));
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == 0);
	w->p[1]->room = PACE;
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == 0);
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 64 + 64 - PACE);
	pass_period(receiver(w, 1));
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == UINT64_MAX);

	/* What it took before it last had room does not count for the next time. */
	w->p[1]->room = PACE;
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == UINT64_MAX << PACE);
	w->p[1]->room = 64;
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX << PACE, 0) == 0);
	w->p[1]->room = 0;
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == UINT64_MAX);
	pass_period(receiver(w, 1));
	assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 0) == 0);
}

/* Lane 1 leads to a queue of b that its guest has forgotten, lane 0 to one that works. */
static void a_dead_queue_of_a_live_receiver_does_not_hold_its_lane(void **state)
{
	struct world *w = *state;
	struct sr_frame f[4] = { frame(1, 2, 0), frame(1, 2, 1), frame(1, 3, 2), frame(1, 2, 3) };

	learns_two(w);
	for (unsigned period = 0; period < 2; period++) {
		w->p[1]->room = 0;
		assert_int_equal(forward_on(w, 0, f, 4, 15, 1), period ? 0 : 11);
		w->p[1]->room = 4;
		assert_int_equal(forward_on(w, 0, f, 2, 3, 0), 0);
		assert_false(sr_patience_is_on(receiver(w, 1)));
		if (!period)
			pass_period(lane(w, 0, 1));
	}
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 3);
	/* It stays lost until nothing lacks room, and other lanes are not touched. */
	w->p[1]->room = 0;
	assert_int_equal(forward_on(w, 0, f, 2, 3, 1), 0);
	assert_int_equal(forward_on(w, 0, f, 2, 3, 0), 3);
	w->p[1]->room = 2;
	assert_int_equal(forward_on(w, 0, f, 2, 3, 1), 0);
	assert_int_equal(forward_on(w, 0, f, 2, 3, 1), 3);
}

static void what_a_lane_loses_is_not_its_pace(void **state)
{
	struct world *w = *state;
	struct sr_frame f[64];

	learns_two(w);
	for (unsigned i = 0; i < 64; i++)
		f[i] = frame(1, 2, 0);
	for (unsigned period = 0; period < 4; period++) {
		w->p[1]->room = 0;
		assert_true(forward_on(w, 0, f, 64, UINT64_MAX, 1) == (period ? 0 : UINT64_MAX));
		pass_period(lane(w, 0, 1));
		w->p[1]->room = 1; /* the receiver is fine, says lane 0 */
		assert_true(forward_on(w, 0, f, 64, 1, 0) == 0);
	}
	assert_int_equal(w->p[1]->port.counters.rx_dropped, 3 * 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_receiver_holds_its_own_frames_and_no_others),
		TEST(a_receiver_that_cannot_wait_loses_frames_at_once),
		TEST(frames_for_all_never_wait),
		TEST(a_receiver_full_for_too_long_is_waited_for_no_more),
		TEST(no_receiver_holds_a_batch_for_ever_with_an_accomplice),
		TEST(a_receiver_that_keeps_the_pace_is_waited_for_on_and_on),
		TEST(one_large_frame_in_a_period_is_pace_enough),
		TEST(a_receiver_is_waited_for_again_once_it_keeps_the_pace),
		TEST(a_dead_queue_of_a_live_receiver_does_not_hold_its_lane),
		TEST(what_a_lane_loses_is_not_its_pace),
		TEST(a_trickling_receiver_loses_what_it_does_not_take_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
