/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that read, compare and change the medium: what is on it afterwards, what the disk was
 * asked for, and what the sense data say when it went wrong. */
#include "unit_rig.h"

#include "base.h"

#include <errno.h>

static const struct rig_options cached = { .volatile_cache = true };
#define LBA	   RIG_CHECK(5, 0x2100)
#define CDB	   RIG_CHECK(5, 0x2400)
#define LIST	   RIG_CHECK(5, 0x2600)
#define LENGTH	   RIG_CHECK(5, 0x1a00)
#define MISCOMPARE RIG_CHECK(0xe, 0x1d00)

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* Sends `len` bytes of pattern `seed`; a negative seed: zeroes. */
static uint32_t send(struct unit_rig *r, const char *cdb, uint32_t len, int seed)
{
	struct rig_cmd *k = rig_cmd(r, 0, cdb, len, 0);
	uint32_t outcome;

	if (seed >= 0)
		fill(k->data_out, len, (unsigned)seed);
	rig_run(r, k);
	outcome = rig_outcome(k);
	rig_cmd_free(k);
	return outcome;
}

static bool medium_is(const struct unit_rig *r, size_t at, size_t len, int seed)
{
	static uint8_t expected[RIG_BUFFER];

	memset(expected, 0, len);
	if (seed >= 0)
		fill(expected, len, (unsigned)seed);
	return !memcmp(r->medium->data + at, expected, len);
}

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

		assert_int_equal(send(&r, rows[i].write, len, (int)i), 0);
		assert_true(medium_is(&r, rows[i].block * 512, len, (int)i));
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
		assert_int_equal(send(&r, cdbs[i], 4096, 0), LBA);
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
	assert_int_equal(send(&r, "2a 00 00000000 00 0001 00", 512, 1), 0);
	assert_int_equal(r.medium->flags, 0);
	assert_int_equal(send(&r, "2a 08 00000000 00 0001 00", 512, 1), 0);
	assert_int_equal(r.medium->flags, SR_DISK_FUA);
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 0);
	assert_int_equal(rig_do(&r, 0, "28 08 00000000 00 0001 00", ""), 0);
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 1);
	assert_int_equal(rig_do(&r, 0, "15 10 00 00 18 00",
				"00000000 0812000000000000000000000000000000000000"),
			 0);
	assert_int_equal(send(&r, "2a 00 00000000 00 0001 00", 512, 1), 0);
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
		assert_int_equal(send(&r, "89 00 0000000000000000 00000001 00 00", 1024, 0),
				 rows[i].read);
		for (unsigned w = 0; w < SR_ARRAY_LEN(writers); w++)
			assert_int_equal(send(&r, writers[w], 512, 1), rows[i].write);
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
		assert_int_equal(send(&r, cdbs[i], 4096, 0), RIG_CHECK(7, 0x2700));
	assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), 0);
	rig_destroy(&r);
}

static void verify_compares_as_bytchk_says(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	/* More than one piece of 256 KiB. */
	assert_int_equal(send(&r, "2a 00 00000008 00 0300 00", 768 * 512, 3), 0);
	assert_int_equal(send(&r, "2f 00 00000008 00 0300 00", 0, 0), 0);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 2);
	assert_int_equal(send(&r, "2f 02 00000008 00 0300 00", 768 * 512, 3), 0);
	assert_int_equal(send(&r, "8f 02 0000000000000008 00000300 00 00", 768 * 512, 3), 0);
	assert_int_equal(send(&r, "af 02 00000008 00000300 00 00", 768 * 512, 3), 0);
	r.medium->data[8 * 512 + 768 * 512 - 1] ^= 1;
	assert_int_equal(send(&r, "2f 02 00000008 00 0300 00", 768 * 512, 3), MISCOMPARE);
	assert_int_equal(send(&r, "2f 00 00000008 00 0300 00", 0, 0), 0);
	/* One block against all. */
	assert_int_equal(send(&r, "41 00 00000000 00 0200 00", 512, 5), 0);
	assert_int_equal(send(&r, "2f 06 00000000 00 0200 00", 512, 5), 0);
	r.medium->data[100 * 512]++;
	assert_int_equal(send(&r, "2f 06 00000000 00 0200 00", 512, 5), MISCOMPARE);
	assert_int_equal(send(&r, "2f 04 00000000 00 0001 00", 512, 5), CDB);
	assert_int_equal(send(&r, "2f 02 00000000 00 0002 00", 512, 5), CDB);
	assert_int_equal(send(&r, "2f 20 00000000 00 0002 00", 512, 5), CDB);
	rig_destroy(&r);
}

static void write_and_verify_writes_and_reads_back(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &cached);
	assert_int_equal(send(&r, "2e 02 00000001 00 0002 00", 1024, 3), 0);
	assert_true(medium_is(&r, 512, 1024, 3));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 1);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 1);
	assert_int_equal(send(&r, "ae 00 00000001 00000002 00 00", 2000, 4), 0);
	assert_int_equal(send(&r, "8e 02 0000000000000003 00000002 00 00", 1024, 5), 0);
	assert_true(medium_is(&r, 512, 1024, 4) && medium_is(&r, 1536, 1024, 5));
	assert_int_equal(send(&r, "2e 06 00000001 00 0002 00", 1024, 3), CDB);
	rig_destroy(&r);
}

static void write_same_writes_zeroes_and_patterns(void **state)
{
	static const struct rig_options o = { .zero_max = 64 * 512 };
	struct unit_rig r;
	unsigned zeroes;

	(void)state;
	rig_create(&r, &o);
	memset(r.medium->data, 0xff, RIG_BLOCKS * 512);
	assert_int_equal(send(&r, "41 00 00000001 00 0100 00", 512, -1), 0);
	assert_true(medium_is(&r, 512, 256 * 512, -1));
	assert_int_equal(r.medium->data[0] & r.medium->data[257 * 512], 0xff);
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], 4);
	assert_int_equal(r.medium->flags & SR_DISK_UNMAP, 0);
	/* A pattern is written, whatever UNMAP says. */
	assert_int_equal(send(&r, "93 08 0000000000000001 00000400 00 00", 512, 9), 0);
	for (unsigned i = 1; i <= 1024; i++)
		assert_true(medium_is(&r, i * 512, 512, 9));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 2);
	/* No data: zeroes. */
	zeroes = r.medium->asked[SR_DISK_ZEROES];
	assert_int_equal(send(&r, "93 09 0000000000000001 00000040 00 00", 0, 0), 0);
	assert_true(medium_is(&r, 512, 64 * 512, -1));
	assert_int_equal(r.medium->asked[SR_DISK_ZEROES], zeroes + 1);
	assert_int_equal(r.medium->flags, SR_DISK_UNMAP | SR_DISK_FUA);
	assert_int_equal(send(&r, "41 01 00000001 00 0001 00", 512, 0), CDB);
	assert_int_equal(send(&r, "93 10 0000000000000001 00000040 00 00", 512, 0), CDB);
	assert_int_equal(send(&r, "93 04 0000000000000001 00000040 00 00", 512, 0), CDB);
	assert_int_equal(send(&r, "93 00 0000000000000001 00000000 00 00", 512, 0), CDB);
	assert_int_equal(send(&r, "93 00 0000000000000001 00000040 00 00", 511, 0), CDB);
	rig_destroy(&r);
}

static void zeroes_are_written_where_the_medium_cannot_make_them(void **state)
{
	static const struct rig_options o = { .cannot_zero = true, .cannot_discard = true };
	struct unit_rig r;

	(void)state;
	rig_create(&r, &o);
	memset(r.medium->data, 0xff, 4096);
	assert_int_equal(send(&r, "41 00 00000001 00 0002 00", 512, -1), 0);
	assert_true(medium_is(&r, 512, 1024, -1));
	assert_int_equal(r.medium->asked[SR_DISK_WRITE], 1);
	assert_int_equal(send(&r, "41 08 00000001 00 0002 00", 512, -1), CDB);
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
	assert_true(medium_is(&r, 512, 1024, -1) && medium_is(&r, 2047 * 512, 512, -1));
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
	assert_true(medium_is(&r, 512, 10 * 512, -1));
	assert_int_equal(r.medium->data[0] & r.medium->data[11 * 512], 0xff);
	rig_destroy(&r);
}

static void compare_and_write_writes_only_what_was_expected(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &cached);
	fill(r.medium->data + 1024, 1024, 8);
	k = rig_cmd(&r, 0, "89 00 0000000000000002 00000002 00 00", 2048, 0);
	fill(k->data_out, 1024, 8);
	fill(k->data_out + 1024, 1024, 9);
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, 2048);
	assert_true(medium_is(&r, 1024, 1024, 9));
	k->completed = 0;
	fill(k->data_out, 1024, 9);
	k->data_out[700] ^= 1;
	rig_run(&r, k);
	assert_int_equal(rig_outcome(k), MISCOMPARE);
	assert_int_equal(k->c.sense[0], 0xf0); /* the information is valid */
	assert_int_equal(sr_get_be32(k->c.sense + 3), 700);
	assert_true(medium_is(&r, 1024, 1024, 9));
	rig_cmd_free(k);
	assert_int_equal(send(&r, "89 00 0000000000000002 00000041 00 00", 100000, 0), CDB);
	assert_int_equal(send(&r, "89 00 0000000000000002 00000002 00 00", 2047, 0), CDB);
	assert_int_equal(send(&r, "89 00 0000000000000002 00000000 00 00", 0, 0), 0);
	/* The range is everybody's again. */
	assert_int_equal(send(&r, "2a 00 00000002 00 0002 00", 1024, 1), 0);
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
		cmocka_unit_test(write_same_writes_zeroes_and_patterns),
		cmocka_unit_test(zeroes_are_written_where_the_medium_cannot_make_them),
		cmocka_unit_test(unmap_takes_many_descriptors_or_none),
		cmocka_unit_test(unmap_goes_in_pieces_that_the_medium_takes),
		cmocka_unit_test(compare_and_write_writes_only_what_was_expected),
		cmocka_unit_test(protection_is_made_on_reads_and_checked_on_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
