/* SPDX-License-Identifier: BSD-3-Clause */
/* What `slipring bench` counts with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "bench.h"

#include <slipring/port.h>
#include <stdlib.h>

static unsigned ones_sum(const uint8_t *p, unsigned len)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += sr_get_be16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void a_frame_is_whole_and_says_what_it_is(void **state)
{
	struct bench_flow flow = { 1, 77 }, got;
	struct sr_net_driver_hdr hdr = { 0 };
	uint8_t frame[64];
	uint64_t seq;

	(void)state;
	bench_frame_make(frame, sizeof(frame), &hdr, flow, 0, false);
	bench_frame_number(frame, false, 1234567890123);
	assert_int_equal(frame[5], 0x0a);
	assert_int_equal(frame[11], 0x0b);
	assert_int_equal(sr_get_be16(frame + 12), 0x0800);
	assert_int_equal(sr_get_be16(frame + 16), 50);
	assert_int_equal(ones_sum(frame + 14, 20), 0xffff);
	assert_int_equal(sr_get_be16(frame + 38), 30);
	assert_int_equal(hdr.flags, 0);
	assert_true(bench_frame_read(frame, 64, false, &got, &seq));
	assert_int_equal(got.side, 1);
	assert_int_equal(got.pair, 77);
	assert_true(seq == 1234567890123);
}

static void strangers_are_known(void **state)
{
	struct bench_flow flow = { 0, 0 }, got;
	struct sr_net_driver_hdr hdr = { 0 };
	uint8_t frame[64];
	uint64_t seq;

	(void)state;
	bench_frame_make(frame, sizeof(frame), &hdr, flow, 1, false);
	assert_false(bench_frame_read(frame, 57, false, &got, &seq));
	frame[42] ^= 1;
	assert_false(bench_frame_read(frame, 64, false, &got, &seq));
}

static void a_frame_to_be_segmented_says_how(void **state)
{
	struct bench_flow flow = { 0, 0 }, got;
	struct sr_net_driver_hdr hdr = { 0 };
	static uint8_t frame[65000];
	uint8_t pseudo[12] = { 0 };
	uint64_t seq;

	(void)state;
	bench_frame_make(frame, sizeof(frame), &hdr, flow, 1, true);
	assert_int_equal(hdr.flags, SR_OFF_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, SR_GSO_TCPV4);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.hdr_len, 54);
	memcpy(pseudo, frame + 26, 8);
	pseudo[9] = 6;
	sr_put_be16(pseudo + 10, 65000 - 34);
	assert_int_equal(sr_get_be16(frame + 34 + hdr.csum_offset), ones_sum(pseudo, 12));
	assert_true(bench_frame_read(frame, 65000, true, &got, &seq));
}

static void lost_duplicated_and_late_frames_are_told_apart(void **state)
{
	static const uint64_t order[] = { 0, 1, 2, 5, 4, 4, 5, 9, 3, 9, 10 };
	static struct bench_check c;

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(order); i++)
		bench_check_frame(&c, order[i]);
	assert_int_equal(c.received, 11);
	assert_int_equal(c.duplicated, 3); /* 4, 5, 9 */
	assert_int_equal(c.reordered, 2);  /* 4, 3 */
	/* A leap longer than the window, then one from before it. */
	bench_check_frame(&c, 10 * BENCH_WINDOW);
	bench_check_frame(&c, 10 * BENCH_WINDOW);
	bench_check_frame(&c, 11);
	assert_int_equal(c.duplicated, 4);
	assert_int_equal(c.reordered, 3);
	/* Round the window: old bits are gone. */
	for (uint64_t i = 1; i < 2 * BENCH_WINDOW; i++)
		bench_check_frame(&c, 10 * BENCH_WINDOW + i);
	assert_int_equal(c.duplicated, 4);
	assert_int_equal(c.reordered, 3);
}

static void percentiles_are_right_within_a_step(void **state)
{
	struct bench_times *t = calloc(1, sizeof(*t));
	uint64_t huge = 1ull << 60;

	(void)state;
	assert_non_null(t);
	assert_int_equal(bench_times_percentile(t, 50), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		bench_times_add(t, i);
	for (double p = 1; p <= 99; p += 7) {
		double exact = p * 1000, got = (double)bench_times_percentile(t, p);

		assert_true(got >= exact && got <= exact * (1 + 1.0 / 64) + 1);
	}
	assert_int_equal(bench_times_percentile(t, 100), 100000);
	bench_times_add(t, huge);
	assert_true(t->max == huge);
	assert_true(bench_times_percentile(t, 100) > 1ull << 34);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_whole_and_says_what_it_is),
		cmocka_unit_test(strangers_are_known),
		cmocka_unit_test(a_frame_to_be_segmented_says_how),
		cmocka_unit_test(lost_duplicated_and_late_frames_are_told_apart),
		cmocka_unit_test(percentiles_are_right_within_a_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
