/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <stdlib.h>

#define MIB    (1ull << 20)
#define HOUR   3600000000000ull
#define SECTOR 512u

static struct sr_disk *mem(void)
{
	const struct sr_disk_mem_config m = { .name = "m", .size = 4 * MIB };

	return sr_disk_mem_create(&m, NULL);
}

static void open_faulty(struct disk_rig *rig, const struct sr_disk_fault *f)
{
	struct sr_disk *d = sr_disk_fault_create(mem(), f, NULL);

	assert_non_null(d);
	disk_rig_open(rig, d);
}

static void end(struct disk_rig *rig)
{
	struct sr_disk *d = rig->disk;

	disk_rig_close(rig);
	sr_disk_destroy(d);
}

static uint8_t sector[SECTOR];
static const struct iovec iov = { sector, SECTOR };

static struct sr_disk_req read_at(uint64_t offset)
{
	return (struct sr_disk_req){
		.op = SR_DISK_READ, .offset = offset, .len = SECTOR, .iov = &iov, .niov = 1
	};
}

static void without_faults_it_does_what_every_engine_must(void **state)
{
	struct sr_disk *d = sr_disk_fault_create(mem(), &(struct sr_disk_fault){ 0 }, NULL);

	(void)state;
	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

static void with_a_delay_it_does_what_every_engine_must(void **state)
{
	struct sr_disk *d =
		sr_disk_fault_create(mem(), &(struct sr_disk_fault){ .delay_ns = 1000 }, NULL);

	(void)state;
	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

static void only_the_operations_named_fail(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .ops = 1 << SR_DISK_WRITE | 1 << SR_DISK_FLUSH,
						   .error_share = 1 });
	assert_int_equal(disk_rig_write(&rig, 0, sector, SECTOR), -EIO);
	assert_int_equal(disk_rig_read(&rig, 0, sector, SECTOR), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZEROES, 0, 0, SECTOR), 0);
	end(&rig);
}

static void they_fail_with_the_error_that_was_asked_for(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .error_share = 1, .error = -ENOSPC });
	assert_int_equal(disk_rig_write(&rig, 0, sector, SECTOR), -ENOSPC);
	end(&rig);
}

static void only_requests_that_touch_the_range_fail(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig,
		    &(struct sr_disk_fault){ .error_share = 1, .offset = 4096, .len = SECTOR });
	assert_int_equal(disk_rig_read(&rig, 4096 - SECTOR, sector, SECTOR), 0);
	assert_int_equal(disk_rig_read(&rig, 4096, sector, SECTOR), -EIO);
	assert_int_equal(disk_rig_read(&rig, 4096 + SECTOR, sector, SECTOR), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_DISCARD, 0, 0, MIB), -EIO);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_FLUSH, 0, 0, 0), 0);
	end(&rig);
}

static uint64_t outcome(struct disk_rig *rig)
{
	uint64_t failed = 0;

	for (unsigned i = 0; i < 64; i++)
		failed |= (uint64_t)(disk_rig_read(rig, 0, sector, SECTOR) != 0) << i;
	return failed;
}

static void the_same_requests_have_the_same_fate(void **state)
{
	const struct sr_disk_fault f = { .error_share = 0.5 };
	struct disk_rig a, b, c;
	uint64_t of_a, of_c;

	(void)state;
	open_faulty(&a, &f);
	open_faulty(&b, &f);
	disk_rig_open(&c, b.disk); /* another channel draws for itself */
	of_a = outcome(&a);
	assert_int_not_equal(of_a, 0);
	assert_int_not_equal(of_a, UINT64_MAX);
	assert_int_equal(outcome(&b), of_a);
	of_c = outcome(&c);
	assert_int_not_equal(of_c, of_a);
	disk_rig_close(&c);
	end(&b);
	end(&a);
}

static void a_delayed_request_comes_by_itself(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .delay_ns = 2000000 });
	assert_int_equal(disk_rig_read(&rig, 0, sector, SECTOR), 0);
	end(&rig);
}

static void a_delay_that_is_taken_back_frees_those_that_wait(void **state)
{
	struct sr_disk_req r = read_at(0);
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .delay_ns = HOUR });
	disk_rig_submit_one(&rig, &r);
	disk_rig_run_for(&rig, 1000000);
	assert_int_equal(r.result, DISK_RIG_PENDING);
	assert_int_equal(sr_disk_fault_set(rig.disk, &(struct sr_disk_fault){ 0 }, NULL), 0);
	assert_true(disk_rig_wait(&rig, 0));
	assert_int_equal(r.result, 0);
	end(&rig);
}

static void a_request_waits_before_it_fails(void **state)
{
	struct sr_disk_req r = read_at(0);
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .delay_ns = HOUR, .error_share = 1 });
	disk_rig_submit_one(&rig, &r);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	assert_int_equal(sr_disk_fault_set(rig.disk, &(struct sr_disk_fault){ 0 }, NULL), 0);
	assert_true(disk_rig_wait(&rig, 0));
	assert_int_equal(r.result, -EIO);
	end(&rig);
}

static void others_pass_those_that_wait(void **state)
{
	struct sr_disk_req r = read_at(0);
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig,
		    &(struct sr_disk_fault){ .ops = 1 << SR_DISK_READ, .delay_ns = UINT64_MAX });
	disk_rig_submit_one(&rig, &r);
	assert_int_equal(disk_rig_write(&rig, 0, sector, SECTOR), 0);
	assert_int_equal(r.result, DISK_RIG_PENDING);
	assert_true(sr_disk_cancel(rig.channel, &r));
	assert_true(disk_rig_wait(&rig, 0));
	end(&rig);
}

static void those_that_wait_are_cancelled_in_any_order(void **state)
{
	struct sr_disk_req r[4];
	struct disk_rig rig;

	(void)state;
	open_faulty(&rig, &(struct sr_disk_fault){ .delay_ns = HOUR });
	for (unsigned i = 0; i < 4; i++) {
		r[i] = read_at(0);
		disk_rig_submit_one(&rig, &r[i]);
	}
	assert_true(sr_disk_cancel(rig.channel, &r[3]));
	assert_true(sr_disk_cancel(rig.channel, &r[1]));
	assert_int_equal(sr_disk_poll(rig.channel), 2);
	assert_true(sr_disk_cancel(rig.channel, &r[0]));
	assert_true(sr_disk_cancel(rig.channel, &r[2]));
	assert_int_equal(sr_disk_poll(rig.channel), 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(r[i].result, -ECANCELED);
	end(&rig);
}

static void refuses(struct sr_disk_fault f, const char *text)
{
	struct sr_disk *below = mem();
	struct sr_error e;

	assert_null(sr_disk_fault_create(below, &f, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, text);
	sr_disk_destroy(below);
}

static void faults_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	refuses((struct sr_disk_fault){ .error_share = 1.5 },
		"disk m: error share 1.5, expected 0 to 1");
	refuses((struct sr_disk_fault){ .error_share = -0.5 },
		"disk m: error share -0.5, expected 0 to 1");
	refuses((struct sr_disk_fault){ .error = 5 }, "disk m: error 5, expected a negative errno");
	refuses((struct sr_disk_fault){ .offset = UINT64_MAX, .len = 2 },
		"disk m: the range from 18446744073709551615 has 2 bytes, past the largest offset "
		"there is");
}

static void a_disk_without_the_filter_says_so(void **state)
{
	struct sr_disk *d = mem();
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_disk_fault_set(d, &(struct sr_disk_fault){ 0 }, &e), -EINVAL);
	assert_string_equal(e.text, "disk m: has no fault filter");
	sr_disk_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_faults_it_does_what_every_engine_must),
		cmocka_unit_test(with_a_delay_it_does_what_every_engine_must),
		cmocka_unit_test(only_the_operations_named_fail),
		cmocka_unit_test(they_fail_with_the_error_that_was_asked_for),
		cmocka_unit_test(only_requests_that_touch_the_range_fail),
		cmocka_unit_test(the_same_requests_have_the_same_fate),
		cmocka_unit_test(a_delayed_request_comes_by_itself),
		cmocka_unit_test(a_delay_that_is_taken_back_frees_those_that_wait),
		cmocka_unit_test(a_request_waits_before_it_fails),
		cmocka_unit_test(others_pass_those_that_wait),
		cmocka_unit_test(those_that_wait_are_cancelled_in_any_order),
		cmocka_unit_test(faults_that_make_no_sense_are_refused),
		cmocka_unit_test(a_disk_without_the_filter_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
