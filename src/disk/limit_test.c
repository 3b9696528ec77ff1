/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits of a byte a second make the tests independent of the machine: what does not go through
 * at once does not in the time of a test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define MIB    (1ull << 20)
#define SECTOR 512u
#define MANY   200u

static struct sr_disk *limited(const struct sr_disk_limits *l)
{
	const struct sr_disk_mem_config m = { .name = "m", .size = 4 * MIB };
	struct sr_disk *d = sr_disk_limit_create(sr_disk_mem_create(&m, NULL), l, NULL);

	assert_non_null(d);
	return d;
}

static _Thread_local uint8_t data[MIB];
static _Thread_local struct iovec iov = { NULL, sizeof(data) };

/* n requests of a sector each. */
struct some {
	struct sr_disk_req r[MANY], *list[MANY];
};

static void submit_some(struct disk_rig *rig, struct some *s, unsigned n, enum sr_disk_op op)
{
	iov.iov_base = data;
	for (unsigned i = 0; i < n; i++) {
		s->r[i] = (struct sr_disk_req){ .op = (uint8_t)op,
						.offset = (uint64_t)i * SECTOR,
						.len = SECTOR,
						.iov = &iov,
						.niov = 1 };
		s->list[i] = &s->r[i];
	}
	disk_rig_submit(rig, s->list, n);
}

static void submit_long(struct disk_rig *rig, struct sr_disk_req *r, uint64_t len)
{
	iov.iov_base = data;
	*r = (struct sr_disk_req){ .op = SR_DISK_READ, .len = len, .iov = &iov, .niov = 1 };
	disk_rig_submit_one(rig, r);
}

static void lift(struct disk_rig *rig)
{
	assert_int_equal(sr_disk_limit_set(rig->disk, &(struct sr_disk_limits){ 0 }, NULL), 0);
	assert_true(disk_rig_wait(rig, 0));
}

static void end(struct disk_rig *rig)
{
	struct sr_disk *d = rig->disk;

	lift(rig);
	disk_rig_close(rig);
	sr_disk_destroy(d);
}

static void without_limits_it_does_what_every_engine_must(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){ 0 });

	(void)state;
	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

static void within_its_limits_it_does_what_every_engine_must(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){
		.iops = 20000, .bytes_per_second = 1ull << 30, .iops_burst = 3 });

	(void)state;
	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

static void without_limits_nothing_waits(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){ 0 });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, MANY, SR_DISK_WRITE);
	assert_int_equal(sr_disk_poll(rig.channel), MANY);
	end(&rig);
}

static void a_burst_goes_through_and_the_rest_waits_in_order(void **state)
{
	struct sr_disk *d = limited(
		&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = 10 * SECTOR });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 13, SR_DISK_READ);
	assert_int_equal(sr_disk_poll(rig.channel), 10);
	for (unsigned i = 0; i < 13; i++)
		assert_int_equal(s.r[i].result, i < 10 ? 0 : DISK_RIG_PENDING);
	end(&rig);
}

static void requests_are_counted_as_well(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){ .iops = 1, .iops_burst = 4 });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 9, SR_DISK_WRITE); /* judged by one look at the clock */
	assert_int_equal(sr_disk_poll(rig.channel), 4);
	end(&rig);
}

static void the_tighter_of_two_limits_holds(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){ .iops = 1000000,
							      .iops_burst = 1000000,
							      .bytes_per_second = 1,
							      .bytes_burst = 3 * SECTOR });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 9, SR_DISK_WRITE);
	assert_int_equal(sr_disk_poll(rig.channel), 3);
	end(&rig);
}

static void a_flush_and_a_discard_count_as_requests_without_bytes(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){
		.iops = 1, .iops_burst = 3, .bytes_per_second = 1, .bytes_burst = SECTOR });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 5, SR_DISK_DISCARD);
	assert_int_equal(sr_disk_poll(rig.channel), 3);
	end(&rig);
	d = limited(&(struct sr_disk_limits){ .iops = 1, .iops_burst = 3 });
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 5, SR_DISK_FLUSH);
	assert_int_equal(sr_disk_poll(rig.channel), 3);
	end(&rig);
}

static void a_request_larger_than_the_burst_passes_and_leaves_a_debt(void **state)
{
	struct sr_disk *d =
		limited(&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = SECTOR });
	struct disk_rig rig;
	struct sr_disk_req large, small;

	(void)state;
	disk_rig_open(&rig, d);
	submit_long(&rig, &large, MIB);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	submit_long(&rig, &small, SECTOR);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	end(&rig);
}

static void what_waits_is_cancelled_at_once(void **state)
{
	struct sr_disk *d =
		limited(&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = SECTOR });
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 5, SR_DISK_READ);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	assert_true(sr_disk_cancel(rig.channel, &s.r[4]));
	assert_true(sr_disk_cancel(rig.channel, &s.r[1])); /* the one that has paid */
	assert_true(sr_disk_cancel(rig.channel, &s.r[2]));
	assert_int_equal(sr_disk_poll(rig.channel), 3);
	assert_int_equal(s.r[4].result, -ECANCELED);
	assert_int_equal(s.r[3].result, DISK_RIG_PENDING);
	assert_true(sr_disk_cancel(rig.channel, &s.r[3]));
	assert_true(disk_rig_wait(&rig, 0));
	end(&rig);
}

static void a_large_request_that_was_cancelled_costs_nothing(void **state)
{
	struct sr_disk *d = limited(
		&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = 2 * SECTOR });
	struct disk_rig rig;
	struct sr_disk_req small, large, next;

	(void)state;
	disk_rig_open(&rig, d);
	submit_long(&rig, &small, SECTOR);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	submit_long(&rig, &large, MIB);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	assert_true(sr_disk_cancel(rig.channel, &large));
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	submit_long(&rig, &next, SECTOR);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	end(&rig);
}

static void channels_share_one_limit(void **state)
{
	struct sr_disk *d = limited(
		&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = 10 * SECTOR });
	struct disk_rig a, b;
	struct some sa, sb;

	(void)state;
	disk_rig_open(&a, d);
	disk_rig_open(&b, d);
	submit_some(&a, &sa, 6, SR_DISK_READ);
	submit_some(&b, &sb, 6, SR_DISK_READ);
	assert_int_equal(sr_disk_poll(a.channel), 6);
	assert_int_equal(sr_disk_poll(b.channel), 4);
	lift(&b);
	disk_rig_close(&a);
	end(&b);
}

static void a_new_limit_holds_for_what_waits_already(void **state)
{
	struct sr_disk *d =
		limited(&(struct sr_disk_limits){ .bytes_per_second = 1, .bytes_burst = SECTOR });
	const struct sr_disk_limits more = { .bytes_per_second = 1, .bytes_burst = 4 * SECTOR };
	struct disk_rig rig;
	struct some s;

	(void)state;
	disk_rig_open(&rig, d);
	submit_some(&rig, &s, 9, SR_DISK_READ);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	assert_int_equal(sr_disk_limit_set(d, &more, NULL), 0);
	assert_true(disk_rig_wait(&rig, 4)); /* a new bucket, full */
	assert_int_equal(rig.under_way, 4);
	end(&rig);
}

static void limits_are_set_and_told_through_other_filters(void **state)
{
	struct sr_disk *d = limited(&(struct sr_disk_limits){ .iops = 7 });
	const struct sr_disk_limits other = { .bytes_per_second = 9, .bytes_burst = 1 };
	struct sr_disk_limits l;

	(void)state;
	d = sr_disk_fault_create(d, &(struct sr_disk_fault){ 0 }, NULL);
	assert_true(sr_disk_limit_get(d, &l));
	assert_int_equal(l.iops, 7);
	assert_int_equal(sr_disk_limit_set(d, &other, NULL), 0);
	assert_true(sr_disk_limit_get(d, &l));
	assert_int_equal(l.iops, 0);
	assert_int_equal(l.bytes_per_second, 9);
	assert_int_equal(l.bytes_burst, 1);
	sr_disk_destroy(d);
}

static void a_disk_without_the_filter_says_so(void **state)
{
	const struct sr_disk_mem_config m = { .name = "m", .size = MIB };
	struct sr_disk *d = sr_disk_mem_create(&m, NULL);
	struct sr_disk_limits l = { 0 };
	struct sr_error e;

	(void)state;
	assert_false(sr_disk_limit_get(d, &l));
	assert_int_equal(sr_disk_limit_set(d, &l, &e), -EINVAL);
	assert_string_equal(e.text, "disk m: has no limit filter");
	sr_disk_destroy(d);
}

/* A loop that does a number of requests, a few at a time, on a thread of its own. */
struct user {
	struct sr_disk *disk;
	pthread_t thread;
	bool ok;
};

static void *use(void *ctx)
{
	struct user *u = ctx;
	struct disk_rig rig;
	struct some s;

	u->ok = disk_rig_start(&rig, u->disk);
	for (unsigned i = 0; u->ok && i < 20; i++) {
		submit_some(&rig, &s, 50, SR_DISK_READ);
		u->ok = disk_rig_wait(&rig, 0);
	}
	disk_rig_stop(&rig);
	return NULL;
}

/* This looks at the clock, but only to say that it was not too fast. */
static void several_loops_get_no_more_than_the_limit_and_all_get_on(void **state)
{
	const struct sr_disk_limits l = { .iops = 20000, .iops_burst = 20 };
	struct user u[3];
	uint64_t from = sr_now_ns();

	(void)state;
	u[0].disk = limited(&l);
	for (unsigned i = 0; i < 3; i++) {
		u[i].disk = u[0].disk;
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(u[i].thread, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_true(u[i].ok);
	assert_true(sr_now_ns() - from >= (3000 - 20) * (1000000000ull / 20000));
	sr_disk_destroy(u[0].disk);
}

/* The control loop changes limits while others work under them. */
static void limits_change_while_loops_work(void **state)
{
	const struct sr_disk_limits l[] = { { .iops = 1 },
					    { 0 },
					    { .bytes_per_second = 1 },
					    { .iops = 1000000, .bytes_per_second = 1u << 30 } };
	struct user u[2];

	(void)state;
	u[0].disk = limited(&l[0]);
	for (unsigned i = 0; i < 2; i++) {
		u[i].disk = u[0].disk;
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	}
	for (unsigned i = 0; i < 2000; i++)
		sr_disk_limit_set(u[0].disk, &l[i % SR_ARRAY_LEN(l)], NULL);
	sr_disk_limit_set(u[0].disk, &l[1], NULL);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(u[i].thread, NULL);
	assert_true(u[0].ok && u[1].ok);
	sr_disk_destroy(u[0].disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_it_does_what_every_engine_must),
		cmocka_unit_test(within_its_limits_it_does_what_every_engine_must),
		cmocka_unit_test(without_limits_nothing_waits),
		cmocka_unit_test(a_burst_goes_through_and_the_rest_waits_in_order),
		cmocka_unit_test(requests_are_counted_as_well),
		cmocka_unit_test(the_tighter_of_two_limits_holds),
		cmocka_unit_test(a_flush_and_a_discard_count_as_requests_without_bytes),
		cmocka_unit_test(a_request_larger_than_the_burst_passes_and_leaves_a_debt),
		cmocka_unit_test(what_waits_is_cancelled_at_once),
		cmocka_unit_test(a_large_request_that_was_cancelled_costs_nothing),
		cmocka_unit_test(channels_share_one_limit),
		cmocka_unit_test(a_new_limit_holds_for_what_waits_already),
		cmocka_unit_test(limits_are_set_and_told_through_other_filters),
		cmocka_unit_test(a_disk_without_the_filter_says_so),
		cmocka_unit_test(several_loops_get_no_more_than_the_limit_and_all_get_on),
		cmocka_unit_test(limits_change_while_loops_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
