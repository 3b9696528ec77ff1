/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk benchmark over a real socket against a disk that is good, or bad in a known way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "bench_disk_fake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct rig {
	struct fake_disk fake;
	struct disk_options options;
	struct disk_client client;
	struct disk_result result;
	struct sr_error error;
};

static struct rig *rig_create(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->options = (struct disk_options){ .kind = &disk_blk,
					    .rw = "test",
					    .random = true,
					    .reads = true,
					    .writes = true,
					    .read_percent = 50,
					    .bs = 4096,
					    .depth = 16,
					    .queues = 1,
					    .threads = 1,
					    .seconds = 0.2,
					    .seed = 7,
					    .timeout_s = 30,
					    .verify = true,
					    .sleep = true };
	return r;
}

static void rig_destroy(struct rig *r)
{
	fake_stop(&r->fake);
	free(r);
}

static void be_scsi(struct rig *r)
{
	r->fake.scsi = true;
	r->options.kind = &disk_scsi;
	r->options.target = 3;
	r->options.lun = 2;
}

/* One run; the fake is started for the first. */
static int run(struct rig *r)
{
	int rc;

	if (!r->fake.host.backend)
		assert_int_equal(fake_start(&r->fake, &r->error), 0);
	r->options.socket = r->fake.host.socket;
	memset(&r->result, 0, sizeof(r->result));
	r->error.text[0] = 0;
	rc = disk_client_open(&r->client, &r->options, &r->error);
	rc = rc ? rc : disk_run(&r->client, &r->result, &r->error);
	disk_client_close(&r->client);
	return rc;
}

static void says(const struct rig *r, const char *what)
{
	if (!strstr(r->error.text, what))
		fail_msg("said '%s', expected '%s' in it", r->error.text, what);
}

static void expect_good(struct rig *r)
{
	if (run(r))
		fail_msg("%s", r->error.text);
	assert_int_equal(r->result.errors.total, 0);
	assert_true(r->result.ops[DISK_READ].times.count + r->result.ops[DISK_WRITE].times.count >
		    0);
	assert_true(r->result.verified > 0);
}

static void a_good_disk_passes(void **state)
{
	struct rig *r = rig_create();

	(void)state;
	expect_good(r);
	assert_true(r->result.ops[DISK_READ].bytes == r->result.ops[DISK_READ].times.count * 4096);
	/* In order, on two queues with a thread each, with flushes, polling. */
	r->options.random = r->options.reads = r->options.sleep = false;
	r->options.queues = r->options.threads = 2;
	r->options.flush_every = 3;
	r->options.bs = 512;
	expect_good(r);
	assert_true(r->fake.flushes > 0);
	assert_true(r->result.ops[DISK_FLUSH].times.count > 0);
	assert_int_equal(r->result.ops[DISK_READ].times.count, 0);
	/* What the runs have left is whole, with any size of block. */
	r->options.reads = r->options.sleep = true;
	r->options.writes = false;
	r->options.flush_every = 0;
	r->options.bs = 16384;
	expect_good(r);
	assert_int_equal(r->result.unknown, 0);
	rig_destroy(r);
}

static void a_good_unit_of_a_scsi_host_passes(void **state)
{
	struct rig *r = rig_create();

	(void)state;
	be_scsi(r);
	r->options.flush_every = 5;
	expect_good(r);
	assert_true(r->fake.flushes > 0);
	r->options.queues = 2;
	r->options.lun = 3;
	assert_int_equal(run(r), -EREMOTEIO);
	says(r, "target 3, LUN 3: INQUIRY: BAD TARGET");
	r->options.target = 8;
	assert_int_equal(run(r), -EINVAL);
	says(r, "--target: got '8', the host has 0 to 7");
	rig_destroy(r);
}

/* A run over a disk with a fault; its error's text. */
static struct rig *run_with(enum fake_fault fault, unsigned at, bool scsi, int want)
{
	struct rig *r = rig_create();

	r->fake.fault = fault;
	r->fake.at = at;
	if (scsi)
		be_scsi(r);
	assert_int_equal(run(r), want);
	return r;
}

static void what_a_bad_disk_does_is_found_and_named(void **state)
{
	static const struct {
		enum fake_fault fault;
		const char *said;
	} cases[] = {
		{ FAKE_LOSES, "verify: offset" },
		{ FAKE_MISPLACES, "verify: offset" },
		{ FAKE_DAMAGES, "damaged: its checksum is wrong" },
		{ FAKE_LEAVES, "what no benchmark wrote: ee ee ee" },
	};

	(void)state;
	for (unsigned i = 0; i < 2 * SR_ARRAY_LEN(cases); i++) {
		struct rig *r = run_with(cases[i / 2].fault, 100, i % 2, -EILSEQ);

		says(r, cases[i / 2].said);
		says(r, "expected generation");
		rig_destroy(r);
	}
}

static void failed_requests_are_counted_by_name_and_do_not_end_the_run(void **state)
{
	struct rig *r = run_with(FAKE_FAILS, 10, false, 0);
	char name[80];

	(void)state;
	assert_true(r->result.errors.total > 0);
	assert_int_equal(r->result.errors.n, 1);
	assert_int_equal(r->result.errors.list[0].count, r->result.errors.total);
	disk_blk.error_name(r->result.errors.list[0].code, name, sizeof(name));
	assert_string_equal(name, "IOERR");
	rig_destroy(r);
	r = run_with(FAKE_FAILS, 10, true, 0);
	assert_true(r->result.errors.total > 0);
	disk_scsi.error_name(r->result.errors.list[0].code, name, sizeof(name));
	assert_string_equal(name, "CHECK CONDITION, MEDIUM ERROR, 11/00");
	rig_destroy(r);
}

static void a_disk_that_hangs_ends_the_run_with_what_was_outstanding(void **state)
{
	struct rig *r = rig_create();

	(void)state;
	r->fake.fault = FAKE_HANGS;
	r->fake.at = 1000;
	r->options.timeout_s = 1;
	assert_int_equal(run(r), -ETIMEDOUT);
	says(r, "nothing came back for 1 s; outstanding: queue 0: 16 requests, the oldest a ");
	says(r, " of 4096 bytes at offset ");
	rig_destroy(r);
}

static void *stop_soon(void *arg)
{
	struct rig *r = arg;

	while (!__atomic_load_n(&r->fake.requests, __ATOMIC_RELAXED))
		usleep(1000);
	bench_host_stop(&r->fake.host);
	return NULL;
}

static void a_back_end_that_goes_away_ends_the_run(void **state)
{
	struct rig *r = rig_create();
	pthread_t stopper;
	int rc;

	(void)state;
	assert_int_equal(fake_start(&r->fake, &r->error), 0);
	r->options.socket = strdup(r->fake.host.socket);
	r->options.seconds = 60;
	assert_int_equal(pthread_create(&stopper, NULL, stop_soon, r), 0);
	rc = disk_client_open(&r->client, &r->options, &r->error);
	assert_int_equal(rc, 0);
	rc = disk_run(&r->client, &r->result, &r->error);
	pthread_join(stopper, NULL);
	assert_int_equal(rc, -EPIPE);
	says(r, "closed the connection; outstanding: ");
	disk_client_close(&r->client);
	free((void *)(uintptr_t)r->options.socket);
	rig_destroy(r);
}

static void a_disk_is_held_against_what_is_asked_of_it(void **state)
{
	struct rig *r = rig_create();

	(void)state;
	r->fake.read_only = true;
	assert_int_equal(run(r), -EROFS);
	says(r, "the disk is read-only: --rw test can't write");
	r->options.writes = false;
	assert_int_equal(run(r), -ENODATA);
	says(r, "nothing to verify");
	r->options.queues = 3;
	assert_int_equal(run(r), -EINVAL);
	says(r, "--queues: got '3', expected at most 2");
	r->options.queues = 1;
	r->options.range = FAKE_BYTES + 1;
	assert_int_equal(run(r), -EINVAL);
	says(r, "--range: got '1048577', expected at most 1048576");
	r->options.range = 4095;
	assert_int_equal(run(r), -EINVAL);
	says(r, "4095 bytes for 1 queues, expected at least 1 blocks of 4096");
	rig_destroy(r);
}

static void another_kind_of_device_is_told(void **state)
{
	struct rig *r = rig_create();

	(void)state;
	r->fake.net = true;
	assert_int_equal(run(r), -ENODEV);
	says(r, "expected a disk: it is a network device");
	r->options.kind = &disk_scsi;
	assert_int_equal(run(r), -ENODEV);
	r->fake.net = false;
	assert_int_equal(run(r), -ENODEV);
	says(r, "expected a SCSI host: it is another kind of device");
	r->fake.scsi = true;
	r->options.kind = &disk_blk;
	assert_int_equal(run(r), -ENODEV);
	says(r, "try slipring bench scsi");
	rig_destroy(r);
}

static void a_block_says_what_is_wrong_with_it(void **state)
{
	static uint8_t buf[4096];
	struct disk_mark m = { 8192, 1, 5 }, older = { 8192, 1, 4 }, elsewhere = { 0, 1, 5 };
	struct sr_error e;

	(void)state;
	disk_block_fill(buf, sizeof(buf), &m);
	assert_int_equal(disk_block_check(buf, sizeof(buf), &m, &e), 0);
	disk_block_fill(buf + 512, 512, &elsewhere);
	assert_int_equal(disk_block_check(buf, sizeof(buf), &m, &e), -EILSEQ);
	assert_string_equal(e.text, "verify: offset 8704: expected generation 5, found another "
				    "place's, generation 5, of offset 0");
	assert_int_equal(disk_block_check_any(buf, sizeof(buf), 8192, &e), -EILSEQ);
	disk_block_fill(buf, sizeof(buf), &older);
	assert_int_equal(disk_block_check(buf, sizeof(buf), &m, &e), -EILSEQ);
	assert_string_equal(e.text,
			    "verify: offset 8192: expected generation 5, found generation 4");
	assert_int_equal(disk_block_check_any(buf, sizeof(buf), 8192, &e), 1);
	buf[4095] ^= 1;
	assert_int_equal(disk_block_check_any(buf, sizeof(buf), 8192, &e), -EILSEQ);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(disk_block_check_any(buf, sizeof(buf), 8192, &e), 0);
	assert_int_equal(disk_block_check(buf, sizeof(buf), &m, &e), -EILSEQ);
	assert_non_null(strstr(e.text, "found zeroes"));
}

static void a_block_is_busy_until_it_is_put_back(void **state)
{
	struct disk_pick p;
	uint64_t taken[8], at = 0, block;

	(void)state;
	assert_int_equal(disk_pick_init(&p, 0, 8, true, 1, true), 0);
	for (unsigned round = 0; round < 100; round++) {
		unsigned seen = 0;

		for (unsigned i = 0; i < 8; i++)
			seen |= 1u << (taken[i] = disk_pick_take(&p));
		assert_int_equal(seen, 0xff);
		for (unsigned i = 0; i < 8; i++)
			disk_pick_put(&p, taken[i], taken[i] == 3 ? round : 0);
	}
	assert_int_equal(disk_pick_generation(&p, 3), 99);
	assert_true(disk_pick_written(&p, &at, &block));
	assert_int_equal(block, 3);
	assert_false(disk_pick_written(&p, &at, &block));
	disk_pick_finish(&p);
}

static void random_choice_reaches_everything_evenly(void **state)
{
	unsigned seen[10] = { 0 };
	struct disk_pick p;

	(void)state;
	assert_int_equal(disk_pick_init(&p, 0, 10, true, 1, false), 0);
	for (unsigned i = 0; i < 100000; i++)
		seen[disk_pick_take(&p)]++;
	for (unsigned i = 0; i < 10; i++)
		assert_true(seen[i] > 9000 && seen[i] < 11000);
}

static void sizes_are_read_with_their_units(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(bench_read_bytes("4096", &v) && v == 4096);
	assert_true(bench_read_bytes("4k", &v) && v == 4096);
	assert_true(bench_read_bytes("3G", &v) && v == 3ull << 30);
	assert_true(bench_read_bytes("16777215T", &v));
	assert_false(bench_read_bytes("16777216T", &v));
	assert_false(bench_read_bytes("", &v) || bench_read_bytes("-1", &v) ||
		     bench_read_bytes("4kk", &v) || bench_read_bytes("k", &v) ||
		     bench_read_bytes("99999999999999999999", &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_disk_passes),
		cmocka_unit_test(a_good_unit_of_a_scsi_host_passes),
		cmocka_unit_test(what_a_bad_disk_does_is_found_and_named),
		cmocka_unit_test(failed_requests_are_counted_by_name_and_do_not_end_the_run),
		cmocka_unit_test(a_disk_that_hangs_ends_the_run_with_what_was_outstanding),
		cmocka_unit_test(a_back_end_that_goes_away_ends_the_run),
		cmocka_unit_test(a_disk_is_held_against_what_is_asked_of_it),
		cmocka_unit_test(another_kind_of_device_is_told),
		cmocka_unit_test(a_block_says_what_is_wrong_with_it),
		cmocka_unit_test(a_block_is_busy_until_it_is_put_back),
		cmocka_unit_test(random_choice_reaches_everything_evenly),
		cmocka_unit_test(sizes_are_read_with_their_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
