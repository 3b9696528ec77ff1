/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct sr_disk *make(uint64_t size, uint32_t block)
{
	const struct sr_disk_mem_config c = { .name = "m", .size = size, .block_size = block };
	struct sr_error e;
	struct sr_disk *d = sr_disk_mem_create(&c, &e);

	if (!d)
		fail_msg("%s", e.text);
	return d;
}

static void it_does_what_every_engine_must(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t block;
	} shapes[] = { { MIB, 512 }, { MIB, 4096 }, { 9 * GIB, 0 }, { 9 * GIB + 4096, 4096 } };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes); i++) {
		struct sr_disk *d = make(shapes[i].size, shapes[i].block);

		disk_rig_check_engine(d);
		sr_disk_destroy(d);
	}
}

static uint8_t ones[64 << 10], buffer[64 << 10];

static void is_all(uint8_t want, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buffer[i], want);
}

static void what_was_never_written_reads_as_zeroes(void **state)
{
	struct sr_disk *d = make(9 * GIB, 0);
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, d);
	memset(buffer, 1, sizeof(buffer));
	assert_int_equal(disk_rig_read(&rig, 8 * GIB - 4096, buffer, sizeof(buffer)), 0);
	is_all(0, sizeof(buffer));
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void a_range_past_the_end_fails(void **state)
{
	struct sr_disk *d = make(MIB, 0);
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_read(&rig, MIB - 512, buffer, 1024), -EIO);
	assert_int_equal(disk_rig_write(&rig, MIB, ones, 512), -EIO);
	assert_int_equal(disk_rig_write(&rig, UINT64_MAX - 511, ones, 512), -EIO);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZEROES, 0, 512, UINT64_MAX - 511), -EIO);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0), -EOPNOTSUPP);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void what_lies_past_a_smaller_size_is_zero_when_it_grows_again(void **state)
{
	struct sr_disk *d = make(2 * GIB, 0);
	struct disk_rig rig;

	(void)state;
	memset(ones, 1, sizeof(ones));
	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_write(&rig, GIB - 512, ones, sizeof(ones)), 0);
	assert_int_equal(sr_disk_resize(d, GIB, NULL), 0);
	assert_int_equal(disk_rig_read(&rig, GIB, buffer, 512), -EIO);
	assert_int_equal(sr_disk_resize(d, 5 * GIB, NULL), 0);
	assert_int_equal(disk_rig_read(&rig, GIB - 512, buffer, 1024), 0);
	is_all(1, 512);
	assert_int_equal(buffer[512], 0);
	assert_int_equal(disk_rig_write(&rig, 5 * GIB - 512, ones, 512), 0);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

/* Pages of this process that are in memory. */
static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long all, here;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &here), 2);
	fclose(f);
	return here;
}

static void discarded_pages_and_those_past_a_smaller_size_are_given_back(void **state)
{
	enum {
		WRITTEN = 64 << 20
	};
	struct sr_disk *d = make(WRITTEN, 0);
	struct disk_rig rig;
	uint64_t before;

	(void)state;
	disk_rig_open(&rig, d);
	memset(ones, 1, sizeof(ones));
	for (unsigned at = 0; at < WRITTEN; at += sizeof(ones))
		assert_int_equal(disk_rig_write(&rig, at, ones, sizeof(ones)), 0);
	before = resident();
	assert_int_equal(disk_rig_command(&rig, SR_DISK_DISCARD, 0, 512, WRITTEN - 1024), 0);
	assert_in_range(resident(), 0, before - WRITTEN / 4096 / 2);
	assert_int_equal(disk_rig_read(&rig, 0, buffer, 1024), 0);
	is_all(1, 512);
	assert_int_equal(buffer[512], 0);
	before = resident();
	for (unsigned at = 0; at < WRITTEN; at += sizeof(ones))
		assert_int_equal(disk_rig_write(&rig, at, ones, sizeof(ones)), 0);
	assert_int_equal(sr_disk_resize(d, MIB, NULL), 0);
	assert_in_range(resident(), 0, before + WRITTEN / 4096 / 2);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void more_than_there_are_addresses_is_refused(void **state)
{
	struct sr_disk *d = make(MIB, 0);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_disk_resize(d, 1ull << 62, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "bytes of address space for 4611686018427387904 bytes"));
	assert_int_equal(sr_disk_size(d), MIB);
	sr_disk_destroy(d);
	assert_null(sr_disk_mem_create(
		&(struct sr_disk_mem_config){ .name = "m", .size = 1ull << 62 }, &e));
	assert_int_equal(e.code, -ENOMEM);
}

static void a_shape_that_makes_no_sense_is_refused(void **state)
{
	struct sr_error e;

	(void)state;
	assert_null(sr_disk_mem_create(&(struct sr_disk_mem_config){ .name = "m", .size = MIB + 1 },
				       &e));
	assert_int_equal(e.code, -EINVAL);
}

/* Reads and writes its own part until told to stop, whatever the size is. */
struct user {
	struct sr_disk *disk;
	uint64_t at;
	pthread_t thread;
	_Atomic bool stop;
	bool ok;
};

static bool is_allowed(int result)
{
	return result == 0 || result == -EIO;
}

static void *use(void *ctx)
{
	struct user *u = ctx;
	uint8_t *mine = disk_rig_buffer(sizeof(ones), 7);
	struct disk_rig rig;

	u->ok = disk_rig_start(&rig, u->disk);
	while (u->ok && !atomic_load(&u->stop))
		u->ok = is_allowed(disk_rig_write(&rig, u->at, mine, sizeof(ones))) &&
			is_allowed(disk_rig_read(&rig, u->at, mine, sizeof(ones))) &&
			is_allowed(disk_rig_command(&rig, SR_DISK_ZEROES, 0, u->at, 8192));
	u->ok = disk_rig_stop(&rig) && u->ok;
	free(mine);
	return NULL;
}

static void it_grows_and_shrinks_while_other_loops_use_it(void **state)
{
	static const uint64_t sizes[] = { GIB, 3 * GIB, MIB, 17 * GIB, 2 * GIB };
	struct sr_disk *d = make(MIB, 0);
	struct user u[2] = { { .disk = d, .at = GIB - 4096 }, { .disk = d, .at = 2 * GIB } };

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(sr_disk_resize(d, sizes[i % SR_ARRAY_LEN(sizes)], NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&u[i].stop, true);
		pthread_join(u[i].thread, NULL);
		assert_true(u[i].ok);
	}
	sr_disk_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_every_engine_must),
		cmocka_unit_test(what_was_never_written_reads_as_zeroes),
		cmocka_unit_test(a_range_past_the_end_fails),
		cmocka_unit_test(what_lies_past_a_smaller_size_is_zero_when_it_grows_again),
		cmocka_unit_test(discarded_pages_and_those_past_a_smaller_size_are_given_back),
		cmocka_unit_test(more_than_there_are_addresses_is_refused),
		cmocka_unit_test(a_shape_that_makes_no_sense_is_refused),
		cmocka_unit_test(it_grows_and_shrinks_while_other_loops_use_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
