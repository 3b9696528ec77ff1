/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that read, compare and change the medium: what is on it afterwards, what the disk was
 * asked for, and what the sense data say when it went wrong. */
#include "unit_rig.h"

#include "base.h"

#include <errno.h>

static const struct rig_options cached = { .volatile_cache = true };
#define LBA	   RIG_CHECK(5, 0x2100)
#define CDB	   RIG_CHECK(5, 0x2400)
#define MISCOMPARE RIG_CHECK(0xe, 0x1d00)

static void reads_and_writes_of_all_lengths_go_where_they_say(void **state)
{
	static const struct {
		const char *write, *read;
		uint32_t block, blocks;
	} rows[] = {
		{ "0a 00 00 05 02 00", "08 00 00 05 02 00", 5, 2 },
		{ "0a 00 01 00 00 00", "08 00 01 00 00 00", 256, 256 },
		{ "2a 00 00000007 00 0003 00", "28 00 00000007 00 0003 00", 7, 3 },
		{ "aa 00 00000010 00000004 00 00", "a8 00 00000010 00000004 00 00", 16, 4 },
		{ "8a 00 00000000000007ff 00000001 00 00", "88 00 00000000000007ff 00000001 00 00",
		  2047, 1 },
		{ "8a 00 0000000000000000 00000000 00 00", "88 00 0000000000000000 00000000 00 00",
		  0, 0 },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++) {
		uint32_t len = rows[i].blocks * 512;
		struct rig_cmd *k = rig_cmd(&r, 0, rows[i].read, 0, len);

		assert_int_equal(rig_send(&r, rows[i].write, len, (int)i), 0);
		assert_true(rig_medium_is(&r, rows[i].block * 512, len, (int)i));
		rig_run(&r, k);
		assert_int_equal(rig_outcome(k), 0);
		assert_int_equal(k->c.transferred, len);
		assert_int_equal(k->c.residual, 0);
		assert_memory_equal(k->data_in, r.medium->data + rows[i].block * 512, len);
		rig_cmd_free(k);
	}
	rig_destroy(&r);
}

static void ranges_outside_the_medium_are_refused(void **state)
{
	static const char *const cdbs[] = {
		"28 00 00000800 00 0001 00",
		"28 00 000007ff 00 0002 00",
		"88 00 ffffffffffffffff 00000002 00 00",
		"8a 00 00000000000007ff ffffffff 00 00",
		"8a 00 0080000000000000 00000001 00 00", /* times 512: zero */
		"88 00 0000000000000800 00000000 00 00",
		"2f 00 000007ff 00 0002 00",
		"89 00 00000000000007ff 000000 02 00 00",
		"93 08 00000000000007ff 00000002 00 00",
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	for (unsigned i = 0; i < SR_ARRAY_LEN(cdbs); i++)
		assert_int_equal(rig_send(&r, cdbs[i], 4096, 0), LBA);
	assert_int_equal(r.medium->asked[SR_DISK_READ] + r.medium->asked[SR_DISK_WRITE], 0);
	rig_destroy(&r);
}

static void a_batch_goes_to_the_disk_together(void **state)
{
	struct sr_scsi_cmd *batch[100];
	struct rig_cmd *k[100];
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	for (unsigned i = 0; i < 100; i++) {
		k[i] = rig_cmd(&r, 0, i % 10 ? "28 00 00000000 00 0001 00" : "00 00 00 00 00 00", 0,
			       512);
		batch[i] = &k[i]->c;
	}
	sr_scsi_submit(r.lane, batch, 100);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 90);
	rig_poll(&r);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(k[i]->completed, 1);
		rig_cmd_free(k[i]);
	}
	rig_destroy(&r);
}

static void buffers_longer_or_shorter_than_the_command_are_told(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &cached);
	k = rig_cmd(&r, 0, "28 00 00000000 00 0002 00", 0, 1500);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, 1024);
	assert_int_equal(k->c.residual, 476);
	rig_cmd_free(k);
	k = rig_cmd(&r, 0, "2a 00 00000000 00 0002 00", 1000, 0);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), CDB);
	assert_true(k->c.overrun);
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 0);
	rig_cmd_free(k);
	k = rig_cmd(&r, 0, "12 00 00 00 ff 00", 0, 36);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, 36);
	assert_true(k->c.overrun);
	rig_cmd_free(k);
	rig_destroy(&r);
}

static void writes_are_durable_when_they_must_be(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	assert_int_equal(rig_send(&r, "2a 00 00000000 00 0001 00", 512, 1), 0);
	assert_int_equal(r.medium->flags, 0);
	assert_int_equal(rig_send(&r, "2a 08 00000000 00 0001 00", 512, 1), 0);
	assert_int_equal(r.medium->flags, SR_DISK_FUA);
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 0);
	assert_int_equal(rig_do(&r, 0, "28 08 00000000 00 0001 00", ""), 0);
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 1);
	assert_int_equal(rig_do(&r, 0, "15 10 00 00 18 00",
				"00000000 0812000000000000000000000000000000000000"),
			 0);
	assert_int_equal(rig_send(&r, "2a 00 00000000 00 0001 00", 512, 1), 0);
	assert_int_equal(r.medium->flags, SR_DISK_FUA);
	rig_destroy(&r);
}

static void the_disks_errors_become_sense_data(void **state)
{
	static const struct {
		int error;
		uint32_t read, write;
	} rows[] = {
		{ -EIO, RIG_CHECK(3, 0x1100), RIG_CHECK(3, 0x0c00) },
		{ -ENOSPC, RIG_CHECK(7, 0x2707), RIG_CHECK(7, 0x2707) },
		{ -EROFS, RIG_CHECK(7, 0x2700), RIG_CHECK(7, 0x2700) },
		{ -ETIMEDOUT, RIG_CHECK(0xb, 0x0801), RIG_CHECK(0xb, 0x0801) },
		{ -ECANCELED, RIG_CHECK(0xb, 0), RIG_CHECK(0xb, 0) },
		{ -ENXIO, RIG_CHECK(4, 0x4400), RIG_CHECK(4, 0x4400) },
	};
	static const char *const writers[] = { "2a 00 00000000 00 0001 00",
					       "2e 02 00000000 00 0001 00",
					       "41 00 00000000 00 0001 00" };
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++) {
		r.medium->fail = rows[i].error;
		assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), rows[i].read);
		assert_int_equal(rig_send(&r, "89 00 0000000000000000 00000001 00 00", 1024, 0),
				 rows[i].read);
		for (unsigned w = 0; w < SR_ARRAY_LEN(writers); w++)
			assert_int_equal(rig_send(&r, writers[w], 512, 1), rows[i].write);
	}
	rig_destroy(&r);
}

static void a_unit_that_is_read_only_says_so(void **state)
{
	static const struct rig_options o = { .read_only = true };
	static const char *const cdbs[] = {
		"0a 00 00 00 01 00",
		"2a 00 00000000 00 0001 00",
		"2e 00 00000000 00 0001 00",
		"41 00 00000000 00 0001 00",
		"42 00 00000000 00 0018 00",
		"89 00 0000000000000000 00000001 00 00",
		"93 00 0000000000000000 00000001 00 00",
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &o);
	for (unsigned i = 0; i < SR_ARRAY_LEN(cdbs); i++)
		assert_int_equal(rig_send(&r, cdbs[i], 4096, 0), RIG_CHECK(7, 0x2700));
	assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), 0);
	rig_destroy(&r);
}

static void verify_compares_as_bytchk_says(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	/* More than one piece of 256 KiB. */
	assert_int_equal(rig_send(&r, "2a 00 00000008 00 0300 00", 768 * 512, 3), 0);
	assert_int_equal(rig_send(&r, "2f 00 00000008 00 0300 00", 0, 0), 0);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 2);
	assert_int_equal(rig_send(&r, "2f 02 00000008 00 0300 00", 768 * 512, 3), 0);
	assert_int_equal(rig_send(&r, "8f 02 0000000000000008 00000300 00 00", 768 * 512, 3), 0);
	assert_int_equal(rig_send(&r, "af 02 00000008 00000300 00 00", 768 * 512, 3), 0);
	r.medium->data[8 * 512 + 768 * 512 - 1] ^= 1;
	assert_int_equal(rig_send(&r, "2f 02 00000008 00 0300 00", 768 * 512, 3), MISCOMPARE);
	assert_int_equal(rig_send(&r, "2f 00 00000008 00 0300 00", 0, 0), 0);
	/* One block against all. */
	assert_int_equal(rig_send(&r, "41 00 00000000 00 0200 00", 512, 5), 0);
	assert_int_equal(rig_send(&r, "2f 06 00000000 00 0200 00", 512, 5), 0);
	r.medium->data[100 * 512]++;
	assert_int_equal(rig_send(&r, "2f 06 00000000 00 0200 00", 512, 5), MISCOMPARE);
	assert_int_equal(rig_send(&r, "2f 04 00000000 00 0001 00", 512, 5), CDB);
	assert_int_equal(rig_send(&r, "2f 02 00000000 00 0002 00", 512, 5), CDB);
	assert_int_equal(rig_send(&r, "2f 20 00000000 00 0002 00", 512, 5), CDB);
	rig_destroy(&r);
}

static void write_and_verify_writes_and_reads_back(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	assert_int_equal(rig_send(&r, "2e 02 00000001 00 0002 00", 1024, 3), 0);
	assert_true(rig_medium_is(&r, 512, 1024, 3));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 1);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 1);
	assert_int_equal(rig_send(&r, "ae 00 00000001 00000002 00 00", 2000, 4), 0);
	assert_int_equal(rig_send(&r, "8e 02 0000000000000003 00000002 00 00", 1024, 5), 0);
	assert_true(rig_medium_is(&r, 512, 1024, 4) && rig_medium_is(&r, 1536, 1024, 5));
	assert_int_equal(rig_send(&r, "2e 06 00000001 00 0002 00", 1024, 3), CDB);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_of_all_lengths_go_where_they_say),
		cmocka_unit_test(ranges_outside_the_medium_are_refused),
		cmocka_unit_test(a_batch_goes_to_the_disk_together),
		cmocka_unit_test(buffers_longer_or_shorter_than_the_command_are_told),
		cmocka_unit_test(writes_are_durable_when_they_must_be),
		cmocka_unit_test(the_disks_errors_become_sense_data),
		cmocka_unit_test(a_unit_that_is_read_only_says_so),
		cmocka_unit_test(verify_compares_as_bytchk_says),
		cmocka_unit_test(write_and_verify_writes_and_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
