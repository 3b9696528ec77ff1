/* SPDX-License-Identifier: BSD-3-Clause */
/* What each command answers, byte by byte, as SPC-5 and SBC-4 have it. */
#include "unit_rig.h"

#include <string.h>

static const struct rig_options thin = { .volatile_cache = true };

/* A command, what it is told, and what it says: the outcome, and the first bytes of its data. */
struct row {
	const char *name, *cdb, *out;
	uint32_t outcome;
	const char *data;
	int len; /* of all data; -1 = not looked at */
};

static void run_rows(struct unit_rig *r, const struct row *rows, size_t n)
{
	uint8_t expected[512];

	for (size_t i = 0; i < n; i++) {
		struct rig_cmd *k = rig_cmd(r, 0, rows[i].cdb, 0, 0);
		size_t out = rig_hex(rows[i].out, k->data_out, RIG_BUFFER);
		size_t len = rig_hex(rows[i].data, expected, sizeof(expected));

		k->out.iov_len = k->c.out_len = (uint32_t)out;
		k->c.nout = out > 0;
		k->in.iov_len = k->c.in_len = out ? 0 : 8192;
		k->c.nin = 1;
		rig_run(r, k);
		if (rig_outcome(k) != rows[i].outcome)
			fail_msg("%s: outcome %08x, expected %08x", rows[i].name, rig_outcome(k),
				 rows[i].outcome);
		if (memcmp(k->data_in, expected, len) != 0)
			fail_msg("%s: other data", rows[i].name);
		if (rows[i].len >= 0 && k->c.transferred != (uint32_t)rows[i].len)
			fail_msg("%s: %u bytes, expected %d", rows[i].name, k->c.transferred,
				 rows[i].len);
		assert_int_equal(k->c.residual, k->c.in_len + k->c.out_len - k->c.transferred);
		assert_int_equal(k->c.sense_len > 0, k->c.status == SR_SCSI_CHECK_CONDITION);
		rig_cmd_free(k);
	}
}

#define OPCODE RIG_CHECK(5, 0x2000)
#define LBA    RIG_CHECK(5, 0x2100)
#define CDB    RIG_CHECK(5, 0x2400)
#define LIST   RIG_CHECK(5, 0x2600)
#define LENGTH RIG_CHECK(5, 0x1a00)

static void commands_answer_as_the_standards_say(void **state)
{
	static const struct row rows[] = {
		{ "test unit ready", "00 00 00 00 00 00", "", 0, "", 0 },
		{ "inquiry", "12 00 00 00 ff 00", "", 0,
		  "00 00 07 12 45 00 00 02 534c495052494e47 4449534b20202020 2020202020202020",
		  74 },
		{ "inquiry, cut", "12 00 00 00 05 00", "", 0, "00 00 07 12 45", 5 },
		{ "inquiry, page without EVPD", "12 00 80 00 ff 00", "", CDB, "", 0 },
		{ "pages", "12 01 00 00 ff 00", "", 0, "00 00 00 06 00 80 83 b0 b1 b2", 10 },
		{ "serial", "12 01 80 00 ff 00", "", 0, "00 80 00 02 53 31", 6 },
		{ "identification", "12 01 83 00 ff 00", "", 0, "00 83 00 22 01 03 00 08", 38 },
		{ "block limits", "12 01 b0 00 ff 00", "", 0,
		  "00 b0 00 3c 01 40 00 00 00000000 00000040 00000000 01000000 00000100 00000001"
		  "80000000 0000000000200000",
		  64 },
		{ "characteristics", "12 01 b1 00 ff 00", "", 0, "00 b1 00 3c 00 01", 64 },
		{ "provisioning", "12 01 b2 00 ff 00", "", 0, "00 b2 00 04 00 e4 02 00", 8 },
		{ "protection's page", "12 01 86 00 ff 00", "", CDB, "", 0 },
		{ "no such page", "12 01 c0 00 ff 00", "", CDB, "", 0 },
		{ "capacity", "25 00 00000000 0000 00 00", "", 0, "000007ff 00000200", 8 },
		{ "capacity, LBA", "25 00 00000001 0000 00 00", "", CDB, "", 0 },
		{ "long capacity", "9e 10 0000000000000000 00000020 00 00", "", 0,
		  "00000000000007ff 00000200 00 03 c000", 32 },
		{ "LBA status", "9e 12 0000000000000010 00000018 00 00", "", 0,
		  "00000014 00000000 0000000000000010 000007f0 00", 24 },
		{ "LBA status, behind", "9e 12 0000000000000800 00000018 00 00", "", LBA, "", 0 },
		{ "no such service action", "9e 11 0000000000000000 00000020 00 00", "", CDB, "",
		  0 },
		{ "request sense", "03 00 00 00 ff 00", "", 0, "70 00 00 00000000 0a", 18 },
		{ "request sense, descriptors", "03 01 00 00 ff 00", "", 0, "72 00 00 00", 8 },
		{ "no such command", "ff 00 00 00 00 00", "", OPCODE, "", 0 },
		{ "format unit", "04 00 00 00 00 00", "", OPCODE, "", 0 },
		{ "NACA", "00 00 00 00 00 04", "", CDB, "", 0 },
		{ "report luns, alone", "a0 00 00 00 00 00 00000010 00 00", "", 0,
		  "00000008 00000000 0000000000000000", 16 },
		{ "report luns, too little room", "a0 00 00 00 00 00 0000000f 00 00", "", CDB, "",
		  0 },
		{ "prevent", "1e 00 00 00 01 00", "", 0, "", 0 },
		{ "eject", "1b 00 00 00 02 00", "", CDB, "", 0 },
		{ "power condition", "1b 00 00 00 10 00", "", CDB, "", 0 },
		{ "synchronize", "35 00 00000000 00 0000 00", "", 0, "", 0 },
		{ "synchronize, long", "91 00 0000000000000000 00000000 00 00", "", 0, "", 0 },
		{ "synchronize, behind", "35 00 00000800 00 0001 00", "", LBA, "", 0 },
		{ "one command", "a3 0c 01 28 0000 00000100 00 00", "", 0,
		  "00 03 000a 28 f8 ffffffff 00 ffff 04", 14 },
		{ "one command with time-outs", "a3 0c 81 00 0000 00000100 00 00", "", 0,
		  "00 83 0006 00 00 00 00 00 04 000a 0000 00000000 00000000", 22 },
		{ "no such one", "a3 0c 01 ff 0000 00000100 00 00", "", 0, "00 01 0000", 4 },
		{ "one service action", "a3 0c 02 9e 0010 00000100 00 00", "", 0,
		  "00 03 0010 9e 10", 20 },
		{ "service action missing", "a3 0c 01 9e 0010 00000100 00 00", "", CDB, "", 0 },
		{ "service action too many", "a3 0c 02 28 0000 00000100 00 00", "", CDB, "", 0 },
		{ "either way", "a3 0c 03 28 0000 00000100 00 00", "", 0, "00 03 000a 28", 14 },
		{ "task management", "a3 0d 00 00 0000 00000010 00 00", "", 0, "dc 03 00 00", 4 },
		{ "task management, more", "a3 0d 80 00 0000 00000010 00 00", "", 0, "dc 03 00 0c",
		  16 },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	run_rows(&r, rows, sizeof(rows) / sizeof(rows[0]));
	rig_destroy(&r);
}

/* Each row of the table that is told is there, and none but those. */
static void all_that_is_supported_is_told(void **state)
{
	static const struct rig_options thick = { .cannot_discard = true };
	const struct rig_options *options[] = { &thin, &thick };
	unsigned told[2];

	(void)state;
	for (unsigned o = 0; o < 2; o++) {
		struct unit_rig r;
		struct rig_cmd *k;
		bool unmap = false;

		rig_create(&r, options[o]);
		k = rig_cmd(&r, 0, "a3 0c 00 00 0000 00010000 00 00", 0, 0x10000);
		rig_run(&r, k);
		told[o] = k->c.transferred / 8;
		assert_int_equal(k->c.transferred, 4 + told[o] * 8);
		for (unsigned i = 0; i < told[o]; i++)
			unmap = unmap || k->data_in[4 + 8 * i] == 0x42;
		assert_int_equal(unmap, o == 0);
		rig_cmd_free(k);
		rig_destroy(&r);
	}
	assert_int_equal(told[0], 50);
	assert_int_equal(told[1], 49);
}

static void mode_pages_are_told(void **state)
{
	static const struct row rows[] = {
		{ "caching", "1a 08 08 00 ff 00", "", 0, "17 00 10 00 08 12 04 00", 24 },
		{ "with a block descriptor", "1a 00 08 00 ff 00", "", 0,
		  "1f 00 10 08 00000800 00000200 08 12 04", 32 },
		{ "long", "5a 08 08 00 00 00 00 00ff 00", "", 0, "001a 00 10 00 00 0000 08 12 04",
		  28 },
		{ "long LBA", "5a 10 08 00 00 00 00 00ff 00", "", 0,
		  "002a 00 10 01 00 0010 0000000000000800 00000000 00000200 08 12", 44 },
		{ "changeable", "1a 08 48 00 ff 00", "", 0, "17 00 10 00 08 12 04 00", 24 },
		{ "control", "1a 08 0a 00 ff 00", "", 0,
		  "0f 00 10 00 0a 0a 00 10 00 40 0000 ffff 0000", 16 },
		{ "control, changeable", "1a 08 4a 00 ff 00", "", 0,
		  "0f 00 10 00 0a 0a 04 00 08 00", 16 },
		{ "all", "1a 08 3f 00 ff 00", "", 0, "3b 00 10 00 01 0a c0", 60 },
		{ "all and subpages", "1a 08 3f ff ff 00", "", 0, "3b 00 10 00 01 0a", 60 },
		{ "saved", "1a 08 c8 00 ff 00", "", RIG_CHECK(5, 0x3900), "", 0 },
		{ "no such page", "1a 08 05 00 ff 00", "", CDB, "", 0 },
		{ "no such subpage", "1a 08 08 01 ff 00", "", CDB, "", 0 },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	run_rows(&r, rows, sizeof(rows) / sizeof(rows[0]));
	rig_destroy(&r);
}

#define CACHING(wce) "0812" wce "0000000000000000000000000000000000"

static void mode_pages_are_changed_or_refused_whole(void **state)
{
	static const struct row rows[] = {
		{ "cache off", "15 10 00 00 18 00", "00000000" CACHING("00"), 0, "", 24 },
		{ "it is", "1a 08 08 00 ff 00", "", 0, "17 00 10 00 08 12 00", 24 },
		{ "first value", "1a 08 88 00 ff 00", "", 0, "17 00 10 00 08 12 04", 24 },
		{ "cache on, long", "55 10 00 00 00 00 00 001c 00",
		  "0000000000000000" CACHING("04"), 0, "", 28 },
		{ "with a block descriptor", "15 10 00 00 20 00",
		  "00000008 00000800 00000200" CACHING("04"), 0, "", 32 },
		{ "nothing", "15 10 00 00 00 00", "", 0, "", 0 },
		{ "not changeable", "15 10 00 00 18 00", "00000000" CACHING("05"), LIST, "", 0 },
		{ "page length", "15 10 00 00 05 00", "00000000 0813", LENGTH, "", 0 },
		{ "page length", "15 10 00 00 06 00", "00000000 0813", LIST, "", 0 },
		{ "cut", "15 10 00 00 06 00", "00000000 0812", LENGTH, "", 0 },
		{ "cut header", "15 10 00 00 03 00", "000000", LENGTH, "", 0 },
		{ "no such page", "15 10 00 00 06 00", "00000000 0500", LIST, "", 0 },
		{ "another block size", "15 10 00 00 0c 00", "00000008 00000800 00001000", LIST, "",
		  0 },
		{ "another size", "15 10 00 00 0c 00", "00000008 00000801 00000200", LIST, "", 0 },
		{ "saved", "15 11 00 00 18 00", "00000000" CACHING("00"), CDB, "", 0 },
		{ "not a page", "15 00 00 00 18 00", "00000000" CACHING("00"), CDB, "", 0 },
		{ "second page bad: first not taken", "15 10 00 00 24 00",
		  "00000000" CACHING("00") "0a0a 00 00 00 00 0000 0000 0000", LIST, "", 0 },
		{ "it is on", "1a 08 08 00 ff 00", "", 0, "17 00 10 00 08 12 04", 24 },
		{ "write protect", "15 10 00 00 10 00", "00000000 0a0a 00 10 08 40 0000 ffff 0000",
		  0, "", 16 },
		{ "write", "2a 00 00000000 00 0001 00", "00", RIG_CHECK(7, 0x2700), "", 0 },
		{ "told", "1a 08 08 00 ff 00", "", 0, "17 00 90 00", 24 },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	run_rows(&r, rows, sizeof(rows) / sizeof(rows[0]));
	/* Off once: what the cache held went to the medium. */
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 1);
	assert_int_equal(rig_do(&r, 1, "00 00 00 00 00 00", ""), RIG_CHECK(6, 0x2a01));
	assert_int_equal(rig_do(&r, 1, "00 00 00 00 00 00", ""), 0);
	rig_destroy(&r);
}

static void sense_data_points_at_the_field(void **state)
{
	static const struct {
		const char *cdb, *out, *sense;
	} rows[] = {
		{ "12 00 80 00 ff 00", "", "70 00 05 00000000 0a 00000000 2400 00 c0 0002" },
		{ "1b 00 00 00 02 00", "", "70 00 05 00000000 0a 00000000 2400 00 c9 0004" },
		{ "15 10 00 00 18 00", "00000000" CACHING("05"),
		  "70 00 05 00000000 0a 00000000 2600 00 88 0006" },
		/* D_SENSE. */
		{ "15 10 00 00 10 00", "00000000 0a0a 04 10 00 40 0000 ffff 0000", "" },
		{ "12 00 80 00 ff 00", "", "72 05 2400 000000 08 02 06 0000 c0 0002 00" },
		{ "28 00 00000800 00 0001 00", "", "72 05 2100 000000 00" },
	};
	uint8_t expected[SR_SCSI_SENSE_MAX];
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_cmd *k = rig_cmd(&r, 0, rows[i].cdb, 64, 64);
		size_t len = rig_hex(rows[i].sense, expected, sizeof(expected));

		rig_hex(rows[i].out, k->data_out, RIG_BUFFER);
		rig_run(&r, k);
		assert_int_equal(k->c.sense_len, len);
		assert_memory_equal(k->c.sense, expected, len);
		rig_cmd_free(k);
	}
	rig_destroy(&r);
}

static void attentions_come_in_order_and_once(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	for (unsigned i = 1; i <= 10; i++)
		assert_int_equal(sr_disk_resize(&r.medium->disk, 512ull * 64 * i, NULL), 0);
	sr_scsi_unit_attention(r.unit, r.nexus[0], 0x3f0e);
	/* INQUIRY looks past it, REQUEST SENSE tells it. */
	assert_int_equal(rig_do(&r, 0, "12 00 00 00 ff 00", ""), 0);
	assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), RIG_CHECK(6, 0x2a09));
	assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), 0);
	assert_int_equal(rig_do(&r, 1, "03 00 00 00 ff 00", ""), 0);
	assert_int_equal(rig_do(&r, 1, "00 00 00 00 00 00", ""), RIG_CHECK(6, 0x3f0e));
	assert_int_equal(rig_do(&r, 1, "00 00 00 00 00 00", ""), 0);
	/* The list of units, once told, is no news any more. */
	assert_int_equal(rig_do(&r, 2, "a0 00 00 00 00 00 00000010 00 00", ""), 0);
	assert_int_equal(rig_do(&r, 2, "00 00 00 00 00 00", ""), RIG_CHECK(6, 0x2a09));
	assert_int_equal(rig_do(&r, 2, "00 00 00 00 00 00", ""), 0);
	/* A reset outdoes what was pending. */
	sr_scsi_unit_attention(r.unit, NULL, 0x2a01);
	sr_scsi_unit_reset(r.unit);
	assert_int_equal(rig_do(&r, 0, "ff 00 00 00 00 00", ""), RIG_CHECK(6, 0x2903));
	assert_int_equal(rig_do(&r, 0, "ff 00 00 00 00 00", ""), OPCODE);
	rig_destroy(&r);
}

static void a_stopped_unit_is_not_ready(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	assert_int_equal(rig_do(&r, 0, "1b 00 00 00 00 00", ""), 0);
	assert_int_equal(r.medium->asked[SR_DISK_FLUSH], 1);
	assert_int_equal(rig_do(&r, 0, "00 00 00 00 00 00", ""), RIG_CHECK(2, 0x0402));
	assert_int_equal(rig_do(&r, 1, "28 00 00000000 00 0001 00", ""), RIG_CHECK(2, 0x0402));
	assert_int_equal(rig_do(&r, 1, "12 00 00 00 ff 00", ""), 0);
	assert_int_equal(rig_do(&r, 1, "1b 00 00 00 01 00", ""), 0);
	assert_int_equal(rig_do(&r, 0, "28 00 00000000 00 0001 00", ""), 0);
	rig_destroy(&r);
}

static void a_target_answers_where_no_unit_is(void **state)
{
	static const uint64_t luns[] = { 0, 0x4001000000000000u };
	static const struct {
		const char *cdb;
		uint32_t outcome;
		const char *data;
		uint32_t len;
	} rows[] = {
		{ "12 00 00 00 24 00", 0, "7f 00 07 12 1f", 36 },
		{ "03 00 00 00 ff 00", 0, "70 00 05 00000000 0a 00000000 2500", 18 },
		{ "a0 00 00 00 00 00 00000100 00 00", 0,
		  "00000010 00000000 0000000000000000 4001000000000000", 24 },
		{ "a0 00 00 00 00 00 00000010 00 00", 0, "00000010 00000000 0000000000000000", 16 },
		{ "a0 00 01 00 00 00 00000100 00 00", 0, "00000000 00000000", 8 },
		{ "28 00 00000000 00 0001 00", RIG_CHECK(5, 0x2500), "", 0 },
	};
	uint8_t expected[64];
	struct unit_rig r;

	(void)state;
	rig_create(&r, &thin);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_cmd *k = rig_cmd(&r, 0, rows[i].cdb, 0, 512);
		size_t len = rig_hex(rows[i].data, expected, sizeof(expected));

		sr_scsi_target_command(&k->c, luns, 2);
		assert_int_equal(rig_outcome(k), rows[i].outcome);
		assert_int_equal(k->c.transferred, rows[i].len);
		assert_memory_equal(k->data_in, expected, len);
		rig_cmd_free(k);
	}
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_answer_as_the_standards_say),
		cmocka_unit_test(all_that_is_supported_is_told),
		cmocka_unit_test(mode_pages_are_told),
		cmocka_unit_test(mode_pages_are_changed_or_refused_whole),
		cmocka_unit_test(sense_data_points_at_the_field),
		cmocka_unit_test(attentions_come_in_order_and_once),
		cmocka_unit_test(a_stopped_unit_is_not_ready),
		cmocka_unit_test(a_target_answers_where_no_unit_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
