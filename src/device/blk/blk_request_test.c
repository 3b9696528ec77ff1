/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads, writes, flushes and questions, framed in all ways, sound and not. */
#include "blk_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct rig *rig_over(const struct sr_disk_info *i, const struct sr_blk_config *c)
{
	struct fake *f = fake_create(i, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, c);

	r->fake = f;
	rig_start(r, 0, 128);
	return r;
}

static void what_is_written_reads_back(void **state)
{
	struct rig *r = rig_usual();
	uint8_t a[8192], b[8192];

	(void)state;
	rig_fill(a, sizeof(a), 1);
	assert_int_equal(rig_write(r, 3, a, sizeof(a)), BLK_S_OK);
	assert_memory_equal(r->fake->bytes + 3 * 512, a, sizeof(a));
	assert_int_equal(rig_read(r, 3, b, sizeof(b)), BLK_S_OK);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(sr_blk_counters(r->blk)->reads, 1);
	assert_int_equal(sr_blk_counters(r->blk)->read_bytes, sizeof(a));
	assert_int_equal(sr_blk_counters(r->blk)->writes, 1);
	assert_int_equal(sr_blk_counters(r->blk)->written_bytes, sizeof(a));
	assert_int_equal(sr_blk_in_flight(r->blk), 0);
	rig_destroy(r);
}

/* Pieces of one byte, header and data in one, status with the data. */
static void any_framing_is_understood(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 8, 15, 16, 17, 100, 511, 512, 513, 4096 };
	struct rig *r = rig_usual();
	uint8_t a[512], b[512];

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(pieces); i++) {
		r->cut = rig_cut_same;
		r->piece = pieces[i];
		rig_fill(a, sizeof(a), i);
		assert_int_equal(rig_write(r, i, a, sizeof(a)), BLK_S_OK);
		assert_memory_equal(r->fake->bytes + 512 * i, a, sizeof(a));
		assert_int_equal(rig_read(r, i, b, sizeof(b)), BLK_S_OK);
		assert_memory_equal(a, b, sizeof(a));
	}
	rig_destroy(r);
}

static void a_request_of_a_whole_mebibyte_is_served(void **state)
{
	struct rig *r = rig_usual();
	uint8_t *a = malloc(RIG_SIZE), *b = malloc(RIG_SIZE);

	(void)state;
	rig_fill(a, RIG_SIZE, 5);
	r->cut = rig_cut_same;
	for (r->piece = 4096; r->piece <= RIG_SIZE; r->piece *= 16) {
		assert_int_equal(rig_write(r, 0, a, RIG_SIZE), BLK_S_OK);
		assert_int_equal(rig_read(r, 0, b, RIG_SIZE), BLK_S_OK);
		assert_memory_equal(a, b, RIG_SIZE);
	}
	free(a);
	free(b);
	rig_destroy(r);
}

static void what_leaves_the_medium_fails(void **state)
{
	static const struct {
		uint64_t sector;
		size_t len;
	} bad[] = { { RIG_SIZE / 512, 512 },  { RIG_SIZE / 512 - 1, 1024 }, { UINT64_MAX, 512 },
		    { UINT64_MAX - 1, 1024 }, { UINT64_MAX / 512, 512 },    { 1ull << 55, 512 },
		    { 0, RIG_SIZE + 512 } };
	static uint8_t bytes[RIG_SIZE + 512];
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		assert_int_equal(rig_read(r, bad[i].sector, bytes, bad[i].len), BLK_S_IOERR);
		assert_int_equal(rig_write(r, bad[i].sector, bytes, bad[i].len), BLK_S_IOERR);
	}
	assert_int_equal(r->fake->logged, 0);
	assert_int_equal(sr_blk_counters(r->blk)->malformed, 2 * SR_ARRAY_LEN(bad));
	assert_int_equal(sr_blk_counters(r->blk)->failed, 2 * SR_ARRAY_LEN(bad));
	rig_destroy(r);
}

static void what_is_no_whole_block_fails(void **state)
{
	struct sr_disk_info i = fake_info();
	uint8_t bytes[8192] = { 0 };
	struct rig *r = rig_usual();

	(void)state;
	assert_int_equal(rig_read(r, 0, bytes, 511), BLK_S_IOERR);
	assert_int_equal(rig_write(r, 0, bytes, 513), BLK_S_IOERR);
	rig_destroy(r);
	i.block_size = 4096;
	r = rig_over(&i, NULL);
	assert_int_equal(rig_read(r, 0, bytes, 512), BLK_S_IOERR);
	assert_int_equal(rig_read(r, 7, bytes, 4096), BLK_S_IOERR);
	assert_int_equal(rig_write(r, 4, bytes, 4096), BLK_S_IOERR);
	assert_int_equal(r->fake->logged, 0);
	assert_int_equal(rig_write(r, 8, bytes, 4096), BLK_S_OK);
	assert_int_equal(r->fake->log[0].offset, 4096);
	rig_destroy(r);
}

static void nothing_to_read_or_write_is_done_without_the_disk(void **state)
{
	struct rig *r = rig_usual();

	(void)state;
	assert_int_equal(rig_command(r, BLK_T_IN, 5), BLK_S_OK);
	assert_int_equal(rig_command(r, BLK_T_OUT, 5), BLK_S_OK);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

static void an_unknown_type_is_unsupported(void **state)
{
	static const uint32_t unknown[] = { 2,	3,  5,	6,     9,	   12,
					    17, 25, 27, 0x100, 0x80000000, UINT32_MAX };
	struct rig *r = rig_usual();
	uint8_t bytes[512] = { 0 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(unknown); i++) {
		struct rig_req q = {
			.type = unknown[i], .out = bytes, .out_len = 512, .in_len = 9
		};

		assert_int_equal(rig_do(r, &q), BLK_S_UNSUPP);
	}
	/* Known, but of a feature that this medium does not have. */
	assert_int_equal(rig_command(r, BLK_T_GET_LIFETIME, 0), BLK_S_UNSUPP);
	assert_int_equal(rig_command(r, BLK_T_ZONE_RESET, 0), BLK_S_UNSUPP);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

static void a_short_header_is_an_error(void **state)
{
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned n = 1; n < 16; n++) {
		struct rig_req q = { .type = BLK_T_IN, .header = n, .in_len = 512 };

		assert_int_equal(rig_do(r, &q), BLK_S_IOERR);
	}
	/* None at all. */
	struct rig_req q = { .in_len = 512, .nin = 1 };

	q.sg[0] = (struct sr_sg){ rig_room(r, 514), 513 };
	rig_at(r, q.sg[0].addr)[513] = 0xee;
	assert_int_equal(sr_drvq_add(r->q[0].drv, NULL, 0, q.sg, 1, &q), 0);
	sr_drvq_publish(r->q[0].drv);
	rig_process(r, 0);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(q.status, BLK_S_IOERR);
	assert_string_equal(r->q[0].broken, "");
	rig_destroy(r);
}

static void no_room_for_a_status_breaks_the_queue_and_keeps_the_others(void **state)
{
	struct rig_req good = { .type = BLK_T_IN, .in_len = 512 }, later = good,
		       bad = { .type = BLK_T_FLUSH, .no_status = true };
	struct rig *r = rig_usual();

	(void)state;
	r->fake->hold = true;
	rig_add(r, 0, &good);
	rig_add(r, 0, &bad);
	rig_add(r, 0, &later);
	rig_process(r, 0);
	assert_non_null(strstr(r->q[0].broken, "status"));
	assert_int_equal(rig_collect(r, 0), 0);
	assert_false(r->dev->ops->arm(r->dev, 0));
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	fake_finish_all_backwards(r->fake);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_true(good.done && !bad.done && !later.done);
	assert_int_equal(r->q[0].drained, 1);
	rig_destroy(r);
}

static void a_broken_ring_is_told_and_what_was_taken_is_answered(void **state)
{
	struct rig_req good = { .type = BLK_T_IN, .in_len = 512 };
	struct rig *r = rig_usual();
	struct sr_sg nowhere = { 0xdead0000000, 16 };

	(void)state;
	r->fake->hold = true;
	rig_add(r, 0, &good);
	assert_int_equal(sr_drvq_add(r->q[0].drv, &nowhere, 1, NULL, 0, &good), 0);
	sr_drvq_publish(r->q[0].drv);
	rig_process(r, 0);
	assert_non_null(strstr(r->q[0].broken, "mapped"));
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	fake_finish_all_backwards(r->fake);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(good.status, BLK_S_OK);
	rig_destroy(r);
}

static void the_serial_number_fills_twenty_bytes(void **state)
{
	struct sr_blk_config c = { .name = "vda", .serial = "0123456789ABCDEFGHIJ" };
	struct rig *r = rig_over(NULL, &c);
	struct rig_req q = { .type = BLK_T_GET_ID, .in_len = 20 };
	char got[21] = "";

	(void)state;
	assert_int_equal(rig_do(r, &q), BLK_S_OK);
	rig_data(r, &q, got);
	assert_string_equal(got, c.serial);
	q.in_len = 4;
	assert_int_equal(rig_do(r, &q), BLK_S_OK);
	rig_data(r, &q, got);
	assert_memory_equal(got, "0123", 4);
	rig_destroy(r);

	/* By default the name, padded with NUL. */
	r = rig_usual();
	q.in_len = 20;
	assert_int_equal(rig_do(r, &q), BLK_S_OK);
	rig_data(r, &q, got);
	assert_memory_equal(got, "vda\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	rig_destroy(r);
}

static void the_lifetime_is_what_the_medium_says(void **state)
{
	struct sr_disk_info i = fake_info();
	struct rig_req q = { .type = BLK_T_GET_LIFETIME, .in_len = 6 };
	struct rig *r;
	uint16_t got[3];

	(void)state;
	i.has_lifetime = true;
	i.pre_eol_info = 1;
	i.lifetime_a = 2;
	i.lifetime_b = 11;
	r = rig_over(&i, NULL);
	assert_int_equal(rig_do(r, &q), BLK_S_OK);
	rig_data(r, &q, got);
	assert_true(got[0] == 1 && got[1] == 2 && got[2] == 11);
	q.in_len = 5;
	assert_int_equal(rig_do(r, &q), BLK_S_IOERR);
	rig_destroy(r);
}

static void a_read_only_device_writes_nothing(void **state)
{
	static const uint32_t writers[] = { BLK_T_OUT };
	struct sr_blk_config c = { .name = "vda", .read_only = true };
	struct rig *r = rig_over(NULL, &c);
	uint8_t bytes[512] = { 1 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(writers); i++)
		assert_int_equal(rig_write(r, 0, bytes, 512), BLK_S_IOERR);
	assert_int_equal(r->fake->logged, 0);
	assert_int_equal(rig_read(r, 0, bytes, 512), BLK_S_OK);
	assert_int_equal(rig_command(r, BLK_T_FLUSH, 0), BLK_S_OK);
	rig_destroy(r);
}

static int fail_with(struct fake *f, struct sr_disk_req *r)
{
	(void)r;
	return *(int *)f->ctx;
}

static void errors_of_the_disk_become_a_status(void **state)
{
	static const struct {
		int error;
		uint8_t status;
	} cases[] = { { -EIO, BLK_S_IOERR },	   { -ENOSPC, BLK_S_IOERR },
		      { -EROFS, BLK_S_IOERR },	   { -EOPNOTSUPP, BLK_S_UNSUPP },
		      { -ETIMEDOUT, BLK_S_IOERR }, { -EPROTO, BLK_S_IOERR },
		      { -ECANCELED, BLK_S_IOERR } };
	struct rig *r = rig_usual();
	uint8_t bytes[512] = { 0 };
	int error;

	(void)state;
	r->fake->hook = fail_with;
	r->fake->ctx = &error;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		error = cases[i].error;
		assert_int_equal(rig_read(r, 0, bytes, 512), cases[i].status);
		assert_int_equal(rig_write(r, 0, bytes, 512), cases[i].status);
		assert_int_equal(rig_command(r, BLK_T_FLUSH, 0), cases[i].status);
	}
	rig_destroy(r);
}

static uint8_t flags_of_a_write(struct rig *r)
{
	uint8_t bytes[512] = { 0 };

	r->fake->logged = 0;
	assert_int_equal(rig_write(r, 0, bytes, 512), BLK_S_OK);
	return r->fake->log[0].flags;
}

static void restart_with(struct rig *r, uint64_t without)
{
	rig_stop(r, 0);
	r->dev->ops->features_set(r->dev, r->dev->ops->features(r->dev) & ~without);
	rig_start(r, 0, 128);
}

static void writes_are_durable_unless_the_guest_flushes(void **state)
{
	struct rig *r = rig_usual();
	uint8_t off = 0, on = 1;

	(void)state;
	assert_int_equal(flags_of_a_write(r), 0);
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, &off, 1), 0);
	assert_int_equal(flags_of_a_write(r), SR_DISK_FUA);
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, &on, 1), 0);
	assert_int_equal(flags_of_a_write(r), 0);
	restart_with(r, SR_BLK_F_CONFIG_WCE);
	assert_int_equal(flags_of_a_write(r), 0);
	restart_with(r, SR_BLK_F_CONFIG_WCE | SR_BLK_F_FLUSH);
	assert_int_equal(flags_of_a_write(r), SR_DISK_FUA);
	restart_with(r, SR_BLK_F_FLUSH);
	assert_int_equal(flags_of_a_write(r), SR_DISK_FUA);
	rig_destroy(r);
}

static void a_flush_goes_to_the_disk(void **state)
{
	struct rig *r = rig_usual();

	(void)state;
	assert_int_equal(rig_command(r, BLK_T_FLUSH, 0), BLK_S_OK);
	assert_int_equal(r->fake->log[0].op, SR_DISK_FLUSH);
	assert_int_equal(sr_blk_counters(r->blk)->flushes, 1);
	rig_destroy(r);
}

static void a_batch_is_published_with_one_call(void **state)
{
	static struct rig_req q[100];
	struct rig *r = rig_usual();

	(void)state;
	r->fake->hold = true;
	for (unsigned i = 0; i < 40; i++) {
		q[i] = (struct rig_req){ .type = BLK_T_IN, .sector = i, .in_len = 512 };
		rig_add(r, 0, &q[i]);
	}
	assert_int_equal(r->dev->ops->process(r->dev, 0, 128), 40);
	assert_int_equal(sr_blk_in_flight(r->blk), 40);
	assert_int_equal(r->q[0].calls, 0);
	fake_finish_all_backwards(r->fake);
	assert_int_equal(r->q[0].calls, 1);
	assert_int_equal(rig_collect(r, 0), 40);
	assert_int_equal(sr_blk_in_flight(r->blk), 0);
	rig_destroy(r);
}

static void a_budget_is_kept(void **state)
{
	static struct rig_req q[100];
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		q[i] = (struct rig_req){ .type = BLK_T_IN, .sector = i, .in_len = 512 };
		rig_add(r, 0, &q[i]);
	}
	assert_int_equal(r->dev->ops->process(r->dev, 0, 70), 70);
	assert_int_equal(rig_collect(r, 0), 70);
	assert_int_equal(r->dev->ops->process(r->dev, 0, 70), 30);
	assert_int_equal(rig_collect(r, 0), 30);
	rig_destroy(r);
}

/* Some media copy at once: others on the loop must not wait for gigabytes. */
static void a_pass_over_large_requests_is_short(void **state)
{
	struct sr_disk_mem_config mem = { .name = "mem", .size = 8u << 20 };
	struct rig *r = rig_create(sr_disk_mem_create(&mem, NULL), NULL);
	static struct rig_req q[40];
	size_t used;
	int n;

	(void)state;
	rig_start(r, 0, 128);
	used = r->used;
	for (unsigned i = 0; i < 40; i++) {
		r->used = i ? used : r->used; /* all into the same memory */
		q[i] = (struct rig_req){ .type = BLK_T_IN, .in_len = 8u << 20 };
		rig_add(r, 0, &q[i]);
	}
	n = r->dev->ops->process(r->dev, 0, 128);
	assert_in_range(n, 1, 3);
	rig_process(r, 0);
	assert_int_equal(sr_blk_counters(r->blk)->reads, 40);
	assert_int_equal(sr_blk_in_flight(r->blk), 0);
	rig_destroy(r);
}

/* A ring of more entries than a queue has requests. */
static void more_than_the_limit_wait_in_the_ring(void **state)
{
	static struct rig_req q[1100];
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);

	(void)state;
	r->fake = f;
	f->hold = true;
	rig_start(r, 0, 2048);
	for (unsigned i = 0; i < 1100; i++) {
		q[i] = (struct rig_req){ .type = BLK_T_IN, .sector = i, .in_len = 512 };
		rig_add(r, 0, &q[i]);
	}
	assert_true(rig_process(r, 0) < 0);
	assert_int_equal(f->channel->n, BLK_DEPTH_MAX);
	fake_finish_all_backwards(f);
	assert_int_equal(rig_collect(r, 0), BLK_DEPTH_MAX);
	rig_process(r, 0);
	fake_finish_all_backwards(f);
	assert_int_equal(rig_collect(r, 0), 1100 - BLK_DEPTH_MAX);
	rig_destroy(r);
}

static void a_disabled_queue_takes_nothing(void **state)
{
	struct rig_req q = { .type = BLK_T_IN, .in_len = 512 };
	struct rig *r = rig_usual();

	(void)state;
	r->dev->ops->queue_enable(r->dev, 0, false);
	rig_add(r, 0, &q);
	assert_int_equal(r->dev->ops->process(r->dev, 0, 128), 0);
	assert_false(r->dev->ops->arm(r->dev, 0));
	r->dev->ops->queue_enable(r->dev, 0, true);
	assert_true(r->dev->ops->arm(r->dev, 0));
	assert_int_equal(rig_process(r, 0), 0);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_false(r->dev->ops->arm(r->dev, 0));
	rig_destroy(r);
}

/* A live migration must see every page that was written, that of the status included. */
static void what_a_read_writes_is_in_the_dirty_log(void **state)
{
	struct rig *r = rig_usual();
	struct rig_req q = { .type = BLK_T_IN, .in_len = 3 * 4096 };
	static uint8_t log[4096];
	char name[] = "/tmp/blk_log_XXXXXX";
	int fd = mkstemp(name);
	unsigned bits = 0;
	struct sr_error e;

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, sizeof(log)), 0);
	assert_int_equal(sr_mem_set_log(r->mem, fd, 0, sizeof(log), &e), 0);
	sr_mem_log_enable(r->mem, true);
	r->used = (r->used + 4095) & ~4095ull;
	rig_do(r, &q);
	assert_int_equal(q.status, BLK_S_OK);
	assert_int_equal(pread(fd, log, sizeof(log), 0), sizeof(log));
	for (unsigned i = 0; i < q.nin; i++) {
		for (uint64_t p = q.sg[q.nout + i].addr / 4096;
		     p <= (q.sg[q.nout + i].addr + q.sg[q.nout + i].len - 1) / 4096; p++, bits++)
			assert_true(log[p / 8] >> p % 8 & 1);
	}
	assert_true(bits >= 4);
	close(fd);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(any_framing_is_understood),
		cmocka_unit_test(a_request_of_a_whole_mebibyte_is_served),
		cmocka_unit_test(what_leaves_the_medium_fails),
		cmocka_unit_test(what_is_no_whole_block_fails),
		cmocka_unit_test(nothing_to_read_or_write_is_done_without_the_disk),
		cmocka_unit_test(an_unknown_type_is_unsupported),
		cmocka_unit_test(a_short_header_is_an_error),
		cmocka_unit_test(no_room_for_a_status_breaks_the_queue_and_keeps_the_others),
		cmocka_unit_test(a_broken_ring_is_told_and_what_was_taken_is_answered),
		cmocka_unit_test(the_serial_number_fills_twenty_bytes),
		cmocka_unit_test(the_lifetime_is_what_the_medium_says),
		cmocka_unit_test(a_read_only_device_writes_nothing),
		cmocka_unit_test(errors_of_the_disk_become_a_status),
		cmocka_unit_test(writes_are_durable_unless_the_guest_flushes),
		cmocka_unit_test(a_flush_goes_to_the_disk),
		cmocka_unit_test(a_batch_is_published_with_one_call),
		cmocka_unit_test(a_budget_is_kept),
		cmocka_unit_test(a_pass_over_large_requests_is_short),
		cmocka_unit_test(more_than_the_limit_wait_in_the_ring),
		cmocka_unit_test(a_disabled_queue_takes_nothing),
		cmocka_unit_test(what_a_read_writes_is_in_the_dirty_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
