/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A zoned device of the kernel, where there is one to be written over: its path is in
 * SLIPRING_TEST_ZONED. In a guest:
 *     modprobe null_blk zoned=1 memory_backed=1 gb=1 zone_size=4 zone_nr_conv=2 zone_max_open=3
 *     SLIPRING_TEST_ZONED=/dev/nullb0 disk_file_zone_test
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"
#include "file_rig.h"

#include <errno.h>

#define CONVENTIONAL 2u
#define MAX_OPEN     3u

static struct file_rig rig;
static uint64_t zone_size;
static uint8_t *data;

static int find(void **state)
{
	rig.config =
		(struct sr_disk_file_config){ .name = "z", .path = getenv("SLIPRING_TEST_ZONED") };
	data = disk_rig_buffer(64 * KIB, 0x42);
	(void)state;
	return 0;
}

static int forget(void **state)
{
	(void)state;
	free(data);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	if (!rig.config.path)
		return 0;
	file_rig_open(&rig);
	zone_size = sr_disk_info(rig.disk)->zone_size;
	return zone_size ? disk_rig_command(&rig.rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0) : 0;
}

static int end(void **state)
{
	(void)state;
	if (rig.config.path)
		file_rig_close(&rig);
	return 0;
}

static uint64_t zone(unsigned i)
{
	return (CONVENTIONAL + i) * zone_size;
}

static struct sr_disk_zone look(uint64_t offset)
{
	struct sr_disk_zone z = { .state = 255 };
	struct sr_disk_req r = {
		.op = SR_DISK_ZONE_REPORT, .offset = offset, .zones = &z, .nzones = 1
	};

	assert_int_equal(disk_rig_do(&rig.rig, &r), 0);
	assert_int_equal(r.nzones, 1);
	return z;
}

static int command(enum sr_disk_op op, uint64_t offset)
{
	return disk_rig_command(&rig.rig, op, 0, offset, 0);
}

/* The piece is not aligned, as a guest may have it. */
static int append(uint64_t *offset, uint64_t len)
{
	struct iovec iov = { data + 1, len };
	struct sr_disk_req r = {
		.op = SR_DISK_ZONE_APPEND, .offset = *offset, .len = len, .iov = &iov, .niov = 1
	};
	int ret = disk_rig_do(&rig.rig, &r);

	*offset = r.offset;
	return ret;
}

static void it_tells_its_zones(void **state)
{
	const struct sr_disk_info *i;
	struct sr_disk_zone *z;
	struct sr_disk_req r = { .op = SR_DISK_ZONE_REPORT };

	(void)state;
	if (!rig.config.path)
		skip();
	i = sr_disk_info(rig.disk);
	assert_true(zone_size > 0);
	assert_int_equal(i->zones, (sr_disk_size(rig.disk) + zone_size - 1) / zone_size);
	assert_int_equal(i->max_open, MAX_OPEN);
	assert_true(i->append_max > 0);
	z = calloc(i->zones + 1, sizeof(*z));
	r.zones = z;
	r.nzones = i->zones + 1;
	assert_int_equal(disk_rig_do(&rig.rig, &r), 0);
	assert_int_equal(r.nzones, i->zones);
	for (unsigned n = 0; n < i->zones; n++) {
		bool conventional = n < CONVENTIONAL;

		assert_int_equal(z[n].start, n * zone_size);
		assert_int_equal(z[n].type, conventional ? SR_DISK_ZONE_CONVENTIONAL
							 : SR_DISK_ZONE_SEQ_WRITE_REQUIRED);
		assert_int_equal(z[n].state,
				 conventional ? SR_DISK_ZONE_NOT_WP : SR_DISK_ZONE_EMPTY);
	}
	free(z);
}

static void writes_go_to_the_write_pointer_or_fail(void **state)
{
	(void)state;
	if (!rig.config.path)
		skip();
	assert_int_equal(disk_rig_write(&rig.rig, 0, data, 4096), 0);
	assert_int_equal(disk_rig_write(&rig.rig, 8192, data, 4096), 0);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0), data, 4096), 0);
	assert_int_equal(look(zone(0)).wp, zone(0) + 4096);
	assert_int_equal(look(zone(0)).state, SR_DISK_ZONE_IMPLICIT_OPEN);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0) + 8192, data, 4096), -EPROTO);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0), data, 4096), -EPROTO);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0) + 4096, data + 1, 4096), 0);
	assert_int_equal(command(SR_DISK_ZONE_FINISH, zone(0)), 0);
	assert_int_equal(look(zone(0)).state, SR_DISK_ZONE_FULL);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0) + 8192, data, 4096), -EPROTO);
}

static void an_append_says_where_it_went(void **state)
{
	uint8_t *back;
	uint64_t at;

	(void)state;
	if (!rig.config.path)
		skip();
	back = disk_rig_buffer(4096, 0);
	for (unsigned i = 0; i < 3; i++) {
		at = zone(1);
		memset(data, (int)i + 1, 8192);
		assert_int_equal(append(&at, 4096), 0);
		assert_int_equal(at, zone(1) + i * 4096ull);
		assert_int_equal(disk_rig_read(&rig.rig, at, back, 4096), 0);
		assert_memory_equal(back, data, 4096);
	}
	at = zone(1) + 4096; /* not a zone's start */
	assert_int_equal(append(&at, 4096), -EPROTO);
	at = 0;
	assert_int_equal(append(&at, 4096), -EPROTO);
	assert_int_equal(command(SR_DISK_ZONE_FINISH, zone(1)), 0);
	at = zone(1);
	assert_int_equal(append(&at, 4096), -EPROTO);
	assert_int_equal(command(SR_DISK_ZONE_RESET, zone(1)), 0);
	assert_int_equal(look(zone(1)).state, SR_DISK_ZONE_EMPTY);
	free(back);
}

static void zones_are_opened_and_closed_within_the_limit(void **state)
{
	(void)state;
	if (!rig.config.path)
		skip();
	for (unsigned i = 0; i < MAX_OPEN; i++)
		assert_int_equal(command(SR_DISK_ZONE_OPEN, zone(i)), 0);
	assert_int_equal(look(zone(0)).state, SR_DISK_ZONE_EXPLICIT_OPEN);
	assert_int_equal(command(SR_DISK_ZONE_OPEN, zone(MAX_OPEN)), -EMFILE);
	assert_int_equal(disk_rig_write(&rig.rig, zone(MAX_OPEN), data, 4096), -EMFILE);
	assert_int_equal(disk_rig_write(&rig.rig, zone(0), data, 4096), 0);
	assert_int_equal(command(SR_DISK_ZONE_CLOSE, zone(0)), 0);
	assert_int_equal(look(zone(0)).state, SR_DISK_ZONE_CLOSED);
	assert_int_equal(command(SR_DISK_ZONE_OPEN, zone(MAX_OPEN)), 0);
	assert_int_equal(command(SR_DISK_ZONE_RESET_ALL, 0), 0);
	for (unsigned i = 0; i <= MAX_OPEN; i++)
		assert_int_equal(look(zone(i)).state, SR_DISK_ZONE_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_tells_its_zones, begin, end),
		cmocka_unit_test_setup_teardown(writes_go_to_the_write_pointer_or_fail, begin, end),
		cmocka_unit_test_setup_teardown(an_append_says_where_it_went, begin, end),
		cmocka_unit_test_setup_teardown(zones_are_opened_and_closed_within_the_limit, begin,
						end),
	};

	return cmocka_run_group_tests(tests, find, forget);
}
