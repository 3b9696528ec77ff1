/* SPDX-License-Identifier: BSD-3-Clause */
/* WRITE SAME, UNMAP, COMPARE AND WRITE and protection information: what is on the medium
 * afterwards, and what the disk was asked for. */
#include "unit_rig.h"

#include "base.h"

static const struct rig_options cached = { .volatile_cache = true };
#define LBA	   RIG_CHECK(5, 0x2100)
#define CDB	   RIG_CHECK(5, 0x2400)
#define LIST	   RIG_CHECK(5, 0x2600)
#define LENGTH	   RIG_CHECK(5, 0x1a00)
#define MISCOMPARE RIG_CHECK(0xe, 0x1d00)

static void write_same_writes_zeroes_and_patterns(void **state)
{
	static const struct rig_options o = { .zero_max = 64 * 512 };
	struct unit_rig r;
	unsigned zeroes;

	(void)state;
	rig_create(&r, &o);
	memset(r.medium->data, 0xff, RIG_BLOCKS * 512);
	assert_int_equal(rig_send(&r, "41 00 00000001 00 0100 00", 512, -1), 0);
	assert_true(rig_medium_is(&r, 512, 256 * 512, -1));
	assert_int_equal(r.medium->data[0] & r.medium->data[257 * 512], 0xff);
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], 4);
	assert_int_equal(r.medium->flags & SR_DISK_UNMAP, 0);
	/* A pattern is written, whatever UNMAP says. */
	assert_int_equal(rig_send(&r, "93 08 0000000000000001 00000400 00 00", 512, 9), 0);
	for (unsigned i = 1; i <= 1024; i++)
		assert_true(rig_medium_is(&r, i * 512, 512, 9));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 2);
	/* No data: zeroes. */
	zeroes = r.medium->asked[SR_DISK_ZEROES];
	assert_int_equal(rig_send(&r, "93 09 0000000000000001 00000040 00 00", 0, 0), 0);
	assert_true(rig_medium_is(&r, 512, 64 * 512, -1));
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], zeroes + 1);
	assert_int_equal(r.medium->flags, SR_DISK_UNMAP | SR_DISK_FUA);
	assert_int_equal(rig_send(&r, "41 01 00000001 00 0001 00", 512, 0), CDB);
	assert_int_equal(rig_send(&r, "93 10 0000000000000001 00000040 00 00", 512, 0), CDB);
	assert_int_equal(rig_send(&r, "93 04 0000000000000001 00000040 00 00", 512, 0), CDB);
	assert_int_equal(rig_send(&r, "93 00 0000000000000001 00000000 00 00", 512, 0), CDB);
	assert_int_equal(rig_send(&r, "93 00 0000000000000001 00000040 00 00", 511, 0), CDB);
	rig_destroy(&r);
}

static void zeroes_are_written_where_the_medium_cannot_make_them(void **state)
{
	static const struct rig_options o = { .cannot_zero = true, .cannot_discard = true };
	struct unit_rig r;

	(void)state;
	rig_create(&r, &o);
	memset(r.medium->data, 0xff, 4096);
	assert_int_equal(rig_send(&r, "41 00 00000001 00 0002 00", 512, -1), 0);
	assert_true(rig_medium_is(&r, 512, 1024, -1));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 1);
	assert_int_equal(rig_send(&r, "41 08 00000001 00 0002 00", 512, -1), CDB);
	assert_int_equal(rig_do(&r, 0, "42 00 00000000 00 0018 00", "0016 0010 00000000"),
			 RIG_CHECK(5, 0x2000));
	rig_destroy(&r);
}

static void unmap_takes_many_descriptors_or_none(void **state)
{
	static const struct {
		const char *cdb, *list;
		uint32_t outcome;
	} rows[] = {
		{ "42 00 00000000 00 0000 00", "", 0 },
		{ "42 00 00000000 00 0007 00", "00000000000000", LENGTH },
		{ "42 00 00000000 00 0008 00", "0006000000000000", 0 },
		{ "42 01 00000000 00 0008 00", "0006000000000000", CDB },
		{ "42 00 00000000 00 0019 00", "0016001000000000", CDB }, /* more than there is */
		/* The second is outside: nothing is done. */
		{ "42 00 00000000 00 0028 00",
		  "0026 0020 00000000 0000000000000001 00000001 00000000"
		  "0000000000000800 00000001 00000000",
		  LBA },
		{ "42 00 00000000 00 0018 00",
		  "0016 0010 00000000 0000000000000001 ffffffff 00000000", LIST },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	memset(r.medium->data, 0xff, RIG_BLOCKS * 512);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++)
		assert_int_equal(rig_do(&r, 0, rows[i].cdb, rows[i].list), rows[i].outcome);
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], 0);
	assert_int_equal(rig_do(&r, 0, "42 00 00000000 00 0038 00",
				"0036 0030 00000000 0000000000000001 00000002 00000000"
				"0000000000000004 00000000 00000000"
				"00000000000007ff 00000001 00000000"),
			 0);
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], 2);
	assert_true(rig_medium_is(&r, 512, 1024, -1) && rig_medium_is(&r, 2047 * 512, 512, -1));
	assert_int_equal(r.medium->data[0] & r.medium->data[3 * 512], 0xff);
	rig_destroy(&r);
}

static void unmap_goes_in_pieces_that_the_medium_takes(void **state)
{
	static const struct rig_options o = { .zero_max = 4 * 512 };
	struct unit_rig r;

	(void)state;
	rig_create(&r, &o);
	memset(r.medium->data, 0xff, RIG_BLOCKS * 512);
	assert_int_equal(rig_do(&r, 0, "42 00 00000000 00 0018 00",
				"0016 0010 00000000 0000000000000001 0000000a 00000000"),
			 0);
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], 3);
	assert_true(rig_medium_is(&r, 512, 10 * 512, -1));
	assert_int_equal(r.medium->data[0] & r.medium->data[11 * 512], 0xff);
	rig_destroy(&r);
}

static void compare_and_write_writes_only_what_was_expected(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &cached);
	rig_fill(r.medium->data + 1024, 1024, 8);
	k = rig_cmd(&r, 0, "89 00 0000000000000002 00000002 00 00", 2048, 0);
	rig_fill(k->data_out, 1024, 8);
	rig_fill(k->data_out + 1024, 1024, 9);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, 2048);
	assert_true(rig_medium_is(&r, 1024, 1024, 9));
	k->completed = 0;
	rig_fill(k->data_out, 1024, 9);
	k->data_out[700] ^= 1;
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), MISCOMPARE);
	assert_int_equal(k->c.sense[0], 0xf0); /* the information is valid */
	assert_int_equal(sr_get_be32(k->c.sense + 3), 700);
	assert_true(rig_medium_is(&r, 1024, 1024, 9));
	rig_cmd_free(k);
	assert_int_equal(rig_send(&r, "89 00 0000000000000002 00000041 00 00", 100000, 0), CDB);
	assert_int_equal(rig_send(&r, "89 00 0000000000000002 00000002 00 00", 2047, 0), CDB);
	assert_int_equal(rig_send(&r, "89 00 0000000000000002 00000000 00 00", 0, 0), 0);
	/* The range is everybody's again. */
	assert_int_equal(rig_send(&r, "2a 00 00000002 00 0002 00", 1024, 1), 0);
	rig_destroy(&r);
}

static struct rig_cmd *protected(struct unit_rig *r, const char *cdb, uint32_t out, uint32_t in,
				 uint8_t *pi)
{
	struct rig_cmd *k = rig_cmd(r, 0, cdb, out, in);

	k->pi_out = k->pi_in = (struct iovec){ pi, 16 };
	k->c.npi_out = k->c.npi_in = 1;
	k->c.pi_out_len = k->c.pi_in_len = 16;
	return k;
}

/* The CRC of 512 zeroes is 0, of "123456789" it is 0xd0db: checked by the block that ends in it. */
static void protection_is_made_on_reads_and_checked_on_writes(void **state)
{
	static const struct rig_options o = { .protection = true };
	static const struct {
		uint8_t field, spoiled; /* byte of the second block's 8 */
		uint32_t outcome;
	} rows[] = {
		{ 1, 0xff, 0 },
		{ 1, 8, RIG_CHECK(0xb, 0x1001) },
		{ 1, 15, RIG_CHECK(0xb, 0x1003) },
		{ 2, 8, 0 },
		{ 2, 15, RIG_CHECK(0xb, 0x1003) },
		{ 3, 8, 0 },
		{ 3, 15, 0 },
		{ 4, 8, RIG_CHECK(0xb, 0x1001) },
		{ 4, 15, 0 },
		{ 5, 15, RIG_CHECK(0xb, 0x1003) },
		{ 1, 10, 0 }, /* the application tag is nobody's */
		{ 6, 0xff, CDB },
		{ 7, 0xff, CDB },
	};
	uint8_t pi[16];
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &o);
	memcpy(r.medium->data + 6 * 512 - 9, "123456789", 9);
	k = protected(&r, "28 20 00000004 00 0002 00", 0, 1024, pi);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_memory_equal(pi, "\0\0\0\0\0\0\0\4\xd0\xdb\0\0\0\0\0\5", 16);
	rig_cmd_free(k);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++) {
		memcpy(pi, "\0\0\0\0\0\0\0\4\xd0\xdb\0\0\0\0\0\5", 16);
		if (rows[i].spoiled < 16)
			pi[rows[i].spoiled] ^= 1;
		k = protected(&r, "2a 20 00000004 00 0002 00", 1024, 0, pi);
		k->c.cdb[1] = (uint8_t)(rows[i].field << 5);
		memcpy(k->data_out + 1015, "123456789", 9);
		rig_run(&r, k);
		assert_int_equal(rig_outcome(k), rows[i].outcome);
		if (rows[i].outcome && rows[i].outcome != CDB)
			assert_int_equal(sr_get_be32(k->c.sense + 3), 5);
		rig_cmd_free(k);
	}
	k = protected(&r, "28 20 00000004 00 0003 00", 0, 1536, pi);
	rig_run(&r, k);
	assert_true(k->c.overrun);
	rig_cmd_free(k);
	rig_destroy(&r);
}

static void protection_that_nobody_sent_is_the_adapters_business(void **state)
{
	static const struct rig_options o = { .protection = true };
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &o);
	assert_int_equal(rig_send(&r, "2a 20 00000004 00 0002 00", 1024, 7), 0);
	assert_int_equal(rig_send(&r, "2e 20 00000006 00 0001 00", 512, 7), 0);
	k = rig_cmd(&r, 0, "28 20 00000004 00 0002 00", 0, 1024);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, 1024);
	rig_cmd_free(k);
	/* In between the blocks is another matter: they are not taken apart. */
	assert_int_equal(rig_send(&r, "2a 20 00000004 00 0002 00", 1040, 7), CDB);
	assert_int_equal(rig_send(&r, "28 20 00000004 00 0002 00", 0, 0), CDB);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_same_writes_zeroes_and_patterns),
		cmocka_unit_test(zeroes_are_written_where_the_medium_cannot_make_them),
		cmocka_unit_test(unmap_takes_many_descriptors_or_none),
		cmocka_unit_test(unmap_goes_in_pieces_that_the_medium_takes),
		cmocka_unit_test(compare_and_write_writes_only_what_was_expected),
		cmocka_unit_test(protection_is_made_on_reads_and_checked_on_writes),
		cmocka_unit_test(protection_that_nobody_sent_is_the_adapters_business),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
