/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"
#include "file_rig.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

static const char *const folders[] = { FILE_RIG_TMPFS, FILE_RIG_HERE };

static void it_does_what_every_engine_must(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t block;
		enum sr_disk_direct direct;
	} shapes[] = {
		{ MIB, 0, SR_DISK_DIRECT_AUTO },
		{ 9 * GIB, 4096, SR_DISK_DIRECT_AUTO },
		{ 9 * GIB + 512, 512, SR_DISK_DIRECT_OFF },
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes) * SR_ARRAY_LEN(folders); i++) {
		unsigned s = i / SR_ARRAY_LEN(folders);
		struct file_rig t;
		struct sr_error e;

		file_rig_make(&t, folders[i % SR_ARRAY_LEN(folders)], shapes[s].size);
		t.config.block_size = shapes[s].block;
		t.config.direct = shapes[s].direct;
		t.disk = sr_disk_file_create(&t.config, &e);
		if (!t.disk)
			fail_msg("%s", e.text);
		disk_rig_check_engine(t.disk);
		sr_disk_destroy(t.disk);
		file_rig_remove(&t);
	}
}

static void direct_io_is_used_where_the_blocks_allow_it(void **state)
{
	struct file_rig t;
	struct sr_error e;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	t.config.block_size = 4096;
	t.config.direct = SR_DISK_DIRECT_ON;
	t.disk = sr_disk_file_create(&t.config, &e);
	if (!t.disk && e.code == -EOPNOTSUPP) {
		file_rig_remove(&t);
		skip();
	}
	assert_non_null(t.disk);
	assert_true(fcntl(file_rig_inside(&t)->fd, F_GETFL) & O_DIRECT);
	sr_disk_destroy(t.disk);

	t.config.direct = SR_DISK_DIRECT_OFF;
	t.disk = sr_disk_file_create(&t.config, &e);
	assert_non_null(t.disk);
	assert_false(fcntl(file_rig_inside(&t)->fd, F_GETFL) & O_DIRECT);
	sr_disk_destroy(t.disk);
	file_rig_remove(&t);
}

/* What the medium tells is not always all: then the kernel says EINVAL. */
static void memory_that_turns_out_to_be_unaligned_is_copied(void **state)
{
	uint8_t *a = disk_rig_buffer(8192, 0x5a), *b = disk_rig_buffer(8192, 0);
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	file_rig_inside(&t)->mem_mask = 0;
	assert_int_equal(disk_rig_write(&t.rig, 4096, a + 1, 4096), 0);
	assert_int_equal(disk_rig_read(&t.rig, 4096, b + 3, 4096), 0);
	assert_memory_equal(a + 1, b + 3, 4096);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(a);
	free(b);
}

/* Or a guest could take a MiB of ours with each of a thousand requests. */
static void many_unaligned_requests_share_what_memory_there_is(void **state)
{
	enum {
		REQUESTS = 128
	};
	uint8_t *a = disk_rig_buffer(MIB + 4096, 0x5a), *b = disk_rig_buffer(MIB + 4096, 0);
	struct iovec to = { b + 1, MIB };
	struct sr_disk_req r[REQUESTS];
	struct file_rig t;

	(void)state;
	for (unsigned i = 0; i < MIB; i++)
		a[i] = (uint8_t)(i >> 9);
	file_rig_make(&t, FILE_RIG_TMPFS, MIB);
	file_rig_open(&t);
	assert_int_equal(disk_rig_write(&t.rig, 0, a, MIB), 0);
	file_rig_inside(&t)->mem_mask = 511;
	for (unsigned i = 0; i < REQUESTS; i++) {
		r[i] = (struct sr_disk_req){
			.op = SR_DISK_READ, .len = MIB, .iov = &to, .niov = 1
		};
		disk_rig_submit_one(&t.rig, &r[i]);
	}
	assert_true(file_rig_inside(&t)->bounced <=
		    FILE_BOUNCE_PLENTY + FILE_BOUNCE_BYTES + REQUESTS * FILE_BOUNCE_LITTLE);
	assert_true(disk_rig_wait(&t.rig, 0));
	for (unsigned i = 0; i < REQUESTS; i++)
		assert_int_equal(r[i].result, 0);
	assert_int_equal(file_rig_inside(&t)->bounced, 0);
	assert_memory_equal(a, b + 1, MIB);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(a);
	free(b);
}

static void more_pieces_than_the_kernel_takes_are_no_matter(void **state)
{
	enum {
		PIECES = 2 * IOV_MAX + 100,
		PIECE = 512
	};
	size_t bytes = (size_t)PIECES * PIECE;
	uint8_t *a = disk_rig_buffer(bytes, 0), *b = disk_rig_buffer(bytes, 0);
	struct iovec *iov = calloc(PIECES, sizeof(*iov));
	struct sr_disk_req r = { .offset = 512, .len = bytes, .iov = iov, .niov = PIECES };

	(void)state;
	for (size_t i = 0; i < bytes; i++)
		a[i] = (uint8_t)(i % 251);
	for (unsigned f = 0; f < SR_ARRAY_LEN(folders); f++) {
		struct file_rig t;

		file_rig_make(&t, folders[f], 4 * MIB);
		file_rig_open(&t);
		for (unsigned i = 0; i < PIECES; i++)
			iov[i] = (struct iovec){ a + (size_t)i * PIECE, PIECE };
		r.op = SR_DISK_WRITE;
		assert_int_equal(disk_rig_do(&t.rig, &r), 0);
		for (unsigned i = 0; i < PIECES; i++)
			iov[i].iov_base = b + (size_t)i * PIECE;
		memset(b, 0, bytes);
		r.op = SR_DISK_READ;
		assert_int_equal(disk_rig_do(&t.rig, &r), 0);
		assert_memory_equal(a, b, bytes);
		file_rig_close(&t);
		file_rig_remove(&t);
	}
	free(a);
	free(b);
	free(iov);
}

enum {
	CROWD = 3 * FILE_CQ_ENTRIES
};

struct crowd {
	struct sr_disk_req req[CROWD], *list[CROWD];
	struct iovec iov[CROWD];
	uint8_t *data;
	unsigned seen[CROWD];
};

static void count_one(struct disk_rig *rig, struct sr_disk_req *r)
{
	struct crowd *c = rig->ctx;

	c->seen[r - c->req]++;
}

static struct crowd *crowd_submit(struct file_rig *t, enum sr_disk_op op)
{
	struct crowd *c = calloc(1, sizeof(*c));

	c->data = disk_rig_buffer(CROWD * 512, 0xee);
	for (unsigned i = 0; i < CROWD; i++) {
		c->iov[i] = (struct iovec){ c->data + (size_t)i * 512, 512 };
		c->req[i] = (struct sr_disk_req){ .op = (uint8_t)op,
						  .offset = i * 512ull,
						  .len = 512,
						  .iov = &c->iov[i],
						  .niov = 1 };
		c->list[i] = &c->req[i];
	}
	t->rig.ctx = c;
	t->rig.completed_one = count_one;
	disk_rig_submit(&t->rig, c->list, CROWD);
	return c;
}

static void crowd_free(struct crowd *c)
{
	free(c->data);
	free(c);
}

static void more_requests_than_the_ring_holds_are_each_completed_once(void **state)
{
	(void)state;
	for (unsigned f = 0; f < SR_ARRAY_LEN(folders); f++) {
		struct file_rig t;
		struct crowd *c;

		file_rig_make(&t, folders[f], 4 * MIB);
		file_rig_open(&t);
		c = crowd_submit(&t, f ? SR_DISK_READ : SR_DISK_WRITE);
		assert_true(disk_rig_wait(&t.rig, 0));
		for (unsigned i = 0; i < CROWD; i++)
			if (c->seen[i] != 1 || c->req[i].result)
				fail_msg("request %u: %u times, result %d", i, c->seen[i],
					 c->req[i].result);
		file_rig_close(&t);
		file_rig_remove(&t);
		crowd_free(c);
	}
}

static void one_that_waits_for_room_is_taken_back_at_once(void **state)
{
	struct file_rig t;
	struct crowd *c;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, 4 * MIB);
	file_rig_open(&t);
	c = crowd_submit(&t, SR_DISK_READ);
	assert_true(sr_disk_cancel(t.rig.channel, &c->req[CROWD - 1]));
	assert_true(sr_disk_cancel(t.rig.channel, &c->req[CROWD - 3]));
	assert_true(disk_rig_wait(&t.rig, 0));
	assert_int_equal(c->req[CROWD - 1].result, -ECANCELED);
	assert_int_equal(c->req[CROWD - 3].result, -ECANCELED);
	assert_int_equal(c->data[(CROWD - 1) * 512], 0xee);
	assert_int_equal(c->req[CROWD - 2].result, 0);
	assert_int_equal(c->data[(CROWD - 2) * 512], 0);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(c->seen[i], 1);
	file_rig_close(&t);
	file_rig_remove(&t);
	crowd_free(c);
}

/* Each of these is a call that blocks, on a worker of the kernel. */
static void what_no_worker_has_begun_is_taken_back(void **state)
{
	enum {
		JOBS = 200
	};
	struct sr_disk_req *r = calloc(JOBS, sizeof(*r)), *list[JOBS];
	bool taken[JOBS];
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, JOBS * MIB);
	file_rig_open(&t);
	for (unsigned i = 0; i < JOBS; i++) {
		r[i] = (struct sr_disk_req){ .op = i % 8 ? SR_DISK_ZEROES : SR_DISK_FLUSH,
					     .flags = i % 2 ? SR_DISK_FUA : 0,
					     .offset = i * MIB,
					     .len = MIB };
		list[i] = &r[i];
	}
	disk_rig_submit(&t.rig, list, JOBS);
	for (unsigned i = JOBS; i-- > 0;)
		taken[i] = sr_disk_cancel(t.rig.channel, &r[i]);
	sr_disk_poll(t.rig.channel);
	for (unsigned i = 0; i < JOBS; i++)
		if (taken[i] && r[i].result != 0 && r[i].result != -ECANCELED)
			fail_msg("request %u was taken back: %d", i, r[i].result);
	assert_true(disk_rig_wait(&t.rig, 0));
	for (unsigned i = 0; i < JOBS; i++)
		if (r[i].result != 0 && r[i].result != -ECANCELED)
			fail_msg("request %u: %d", i, r[i].result);
	/* To take a flush back is no failed flush. */
	assert_int_equal(disk_rig_command(&t.rig, SR_DISK_FLUSH, 0, 0, 0), 0);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(r);
}

static uint64_t room_of(const struct file_rig *t)
{
	struct stat st;

	assert_int_equal(stat(t->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void discard_and_unmapped_zeroes_give_room_back(void **state)
{
	static const struct {
		enum sr_disk_op op;
		uint8_t flags;
	} ways[] = { { SR_DISK_DISCARD, 0 },
		     { SR_DISK_ZEROES, SR_DISK_UNMAP },
		     { SR_DISK_ZEROES, SR_DISK_UNMAP | SR_DISK_FUA } };
	uint8_t *a = disk_rig_buffer(MIB, 0x77);

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(ways) * SR_ARRAY_LEN(folders); i++) {
		unsigned w = i / SR_ARRAY_LEN(folders);
		struct file_rig t;

		file_rig_make(&t, folders[i % SR_ARRAY_LEN(folders)], 2 * MIB);
		file_rig_open(&t);
		assert_true(sr_disk_info(t.disk)->can_discard);
		assert_int_equal(disk_rig_write(&t.rig, 0, a, MIB), 0);
		assert_int_equal(disk_rig_command(&t.rig, SR_DISK_FLUSH, 0, 0, 0), 0);
		assert_true(room_of(&t) >= MIB);
		assert_int_equal(disk_rig_command(&t.rig, ways[w].op, ways[w].flags, 0, MIB), 0);
		assert_true(room_of(&t) < MIB / 2);
		file_rig_close(&t);
		file_rig_remove(&t);
	}
	free(a);
}

static void zeroes_are_written_where_there_is_no_other_way(void **state)
{
	uint64_t len = 6 * MIB; /* more than one step takes */
	uint8_t *a = disk_rig_buffer(len + 1024, 0x77), *zero = calloc(1, len);

	(void)state;
	for (unsigned f = 0; f < SR_ARRAY_LEN(folders); f++) {
		struct file_rig t;

		file_rig_make(&t, folders[f], 8 * MIB);
		file_rig_open(&t);
		file_rig_inside(&t)->no_punch = file_rig_inside(&t)->no_zero_range = true;
		memset(a, 0x77, len + 1024);
		assert_int_equal(disk_rig_write(&t.rig, 0, a, len + 1024), 0);
		assert_int_equal(disk_rig_command(&t.rig, SR_DISK_ZEROES,
						  SR_DISK_UNMAP | SR_DISK_FUA, 512, len),
				 0);
		assert_int_equal(disk_rig_read(&t.rig, 0, a, len + 1024), 0);
		assert_int_equal(a[511], 0x77);
		assert_memory_equal(a + 512, zero, len);
		assert_int_equal(a[len + 512], 0x77);
		file_rig_close(&t);
		file_rig_remove(&t);
	}
	free(a);
	free(zero);
}

static void count_resize(void *ctx)
{
	++*(unsigned *)ctx;
}

static void it_grows_shrinks_and_looks_again(void **state)
{
	struct file_rig t;
	unsigned told = 0;
	struct sr_disk_listener l = { .resized = count_resize, .ctx = &told };
	struct sr_error e;
	uint8_t *a = disk_rig_buffer(4096, 1);

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	sr_disk_listen(t.disk, &l);
	assert_int_equal(disk_rig_write(&t.rig, MIB, a, 4096), -EIO); /* it must not grow so */
	assert_int_equal(sr_disk_resize(t.disk, 2 * MIB, &e), 0);
	assert_int_equal(disk_rig_write(&t.rig, 2 * MIB - 4096, a, 4096), 0);
	assert_int_equal(truncate(t.path, MIB / 2), 0);
	assert_int_equal(sr_disk_resize(t.disk, 0, &e), 0);
	assert_int_equal(sr_disk_size(t.disk), MIB / 2);
	assert_int_equal(told, 2);
	assert_int_equal(truncate(t.path, MIB / 2 + 100), 0);
	assert_int_equal(sr_disk_resize(t.disk, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "truncate -s %512"));
	assert_int_equal(sr_disk_size(t.disk), MIB / 2);
	sr_disk_unlisten(t.disk, &l);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_every_engine_must),
		cmocka_unit_test(direct_io_is_used_where_the_blocks_allow_it),
		cmocka_unit_test(memory_that_turns_out_to_be_unaligned_is_copied),
		cmocka_unit_test(many_unaligned_requests_share_what_memory_there_is),
		cmocka_unit_test(more_pieces_than_the_kernel_takes_are_no_matter),
		cmocka_unit_test(more_requests_than_the_ring_holds_are_each_completed_once),
		cmocka_unit_test(one_that_waits_for_room_is_taken_back_at_once),
		cmocka_unit_test(what_no_worker_has_begun_is_taken_back),
		cmocka_unit_test(discard_and_unmapped_zeroes_give_room_back),
		cmocka_unit_test(zeroes_are_written_where_there_is_no_other_way),
		cmocka_unit_test(it_grows_shrinks_and_looks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
