/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "iov.h"

static char a[] = "abc", b[] = "", c[] = "defgh";
static const struct iovec list[] = { { a, 3 }, { b, 0 }, { c, 5 } };

static void reads_across_pieces_and_stops_at_the_end(void **state)
{
	char to[16] = { 0 };

	(void)state;
	assert_int_equal(sr_iov_bytes(list, 3), 8);
	assert_int_equal(sr_iov_read(list, 3, 1, to, 4), 4);
	assert_memory_equal(to, "bcde", 4);
	assert_int_equal(sr_iov_read(list, 3, 6, to, 10), 2);
	assert_memory_equal(to, "gh", 2);
	assert_int_equal(sr_iov_read(list, 3, 8, to, 1), 0);
	assert_int_equal(sr_iov_read(list, 3, 100, to, 1), 0);
}

static void writes_where_reads_look(void **state)
{
	char x[2], y[3], back[5];
	struct iovec to[] = { { x, 2 }, { y, 3 } };

	(void)state;
	assert_int_equal(sr_iov_write(to, 2, 0, "12345", 5), 5);
	assert_int_equal(sr_iov_write(to, 2, 4, "zz", 2), 1);
	assert_int_equal(sr_iov_read(to, 2, 0, back, 5), 5);
	assert_memory_equal(back, "1234z", 5);
}

static void ranges_never_overflow(void **state)
{
	uint64_t sum = 7;

	(void)state;
	assert_true(sr_range_fits(0, 10, 10));
	assert_true(sr_range_fits(10, 0, 10));
	assert_false(sr_range_fits(1, 10, 10));
	assert_false(sr_range_fits(UINT64_MAX, 2, 10));
	assert_false(sr_range_fits(2, UINT64_MAX, 10));
	assert_false(sr_add_u64(UINT64_MAX, 1, &sum));
	assert_true(sr_add_u64(UINT64_MAX - 1, 1, &sum));
	assert_true(sum == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_across_pieces_and_stops_at_the_end),
		cmocka_unit_test(writes_where_reads_look),
		cmocka_unit_test(ranges_never_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
