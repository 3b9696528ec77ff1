/* SPDX-License-Identifier: BSD-3-Clause */
/* Reservations: who is let through, who is told what. */
#include "unit_rig.h"

#include "base.h"

#include <stdio.h>

#define CONFLICT SR_SCSI_RESERVATION_CONFLICT
#define TUR	 "00 00 00 00 00 00"
#define WRITE	 "2a 00 00000000 00 0000 00"
#define READ	 "28 00 00000000 00 0001 00"

static const struct rig_options plain = { 0 };

/* PERSISTENT RESERVE OUT. */
static uint32_t pr(struct unit_rig *r, unsigned who, unsigned action, unsigned type, unsigned key,
		   unsigned action_key)
{
	char cdb[64], list[64];

	snprintf(cdb, sizeof(cdb), "5f %02x %02x 00 00 00000018 00", action, type);
	snprintf(list, sizeof(list), "%016x %016x 00000000 00 00 0000", key, action_key);
	return rig_do(r, who, cdb, list);
}

#define REGISTER(r, who, key) assert_int_equal(pr(r, who, 6, 0, 0, key), 0)

static void expect_data(struct unit_rig *r, unsigned who, const char *cdb, const char *data)
{
	struct rig_cmd *k = rig_cmd(r, who, cdb, 0, 4096);
	uint8_t expected[512];
	size_t len = rig_hex(data, expected, sizeof(expected));

	rig_run(r, k);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(k->c.transferred, len);
	assert_memory_equal(k->data_in, expected, len);
	rig_cmd_free(k);
}

/* Holder 0, registered 1, stranger 2. */
static void each_type_lets_through_whom_it_should(void **state)
{
	static const struct {
		unsigned type;
		bool read[3], write[3];
	} rows[] = {
		{ 1, { 1, 1, 1 }, { 1, 0, 0 } }, { 3, { 1, 0, 0 }, { 1, 0, 0 } },
		{ 5, { 1, 1, 1 }, { 1, 1, 0 } }, { 6, { 1, 1, 0 }, { 1, 1, 0 } },
		{ 7, { 1, 1, 1 }, { 1, 1, 0 } }, { 8, { 1, 1, 0 }, { 1, 1, 0 } },
	};
	static const struct {
		const char *cdb;
		int like; /* 0 all may, 1 who may read, 2 who may write */
	} commands[] = {
		{ TUR, 0 },
		{ "12 00 00 00 24 00", 0 },
		{ "03 00 00 00 12 00", 0 },
		{ "25 00 00000000 0000 00 00", 0 },
		{ "5e 00 00 00 00 00 00 0100 00", 0 },
		{ "1b 00 00 00 01 00", 0 },
		{ "1e 00 00 00 00 00", 0 },
		{ READ, 1 },
		{ "88 00 0000000000000000 00000001 00 00", 1 },
		{ "2f 00 00000000 00 0001 00", 1 },
		{ "9e 12 0000000000000000 00000018 00 00", 1 },
		{ WRITE, 2 },
		{ "8a 00 0000000000000000 00000000 00 00", 2 },
		{ "35 00 00000000 00 0000 00", 2 },
		{ "42 00 00000000 00 0000 00", 2 },
		{ "89 00 0000000000000000 00000000 00 00", 2 },
		{ "1a 08 08 00 ff 00", 2 },
		{ "15 10 00 00 00 00", 2 },
		{ "1e 00 00 00 01 00", 2 },
		{ "a3 0d 00 00 0000 00000010 00 00", 2 },
	};

	(void)state;
	for (unsigned t = 0; t < SR_ARRAY_LEN(rows); t++) {
		struct unit_rig r;

		rig_create(&r, &plain);
		REGISTER(&r, 0, 0xa);
		REGISTER(&r, 1, 0xb);
		assert_int_equal(pr(&r, 0, 1, rows[t].type, 0xa, 0), 0);
		for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++)
			for (unsigned who = 0; who < 3; who++) {
				bool may = commands[i].like == 0 ||
					   (commands[i].like == 1 ? rows[t].read[who]
								  : rows[t].write[who]);
				uint32_t outcome = rig_do(&r, who, commands[i].cdb, "");

				if (outcome != (may ? 0u : CONFLICT))
					fail_msg("type %u, initiator %u, %s: %08x", rows[t].type,
						 who, commands[i].cdb, outcome);
			}
		rig_destroy(&r);
	}
}

static void registrations_are_kept_by_key(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	assert_int_equal(pr(&r, 0, 0, 0, 1, 0xa), CONFLICT); /* not registered: key 0 */
	assert_int_equal(pr(&r, 0, 0, 0, 0, 0xa), 0);
	assert_int_equal(pr(&r, 0, 0, 0, 0, 0xb), CONFLICT);
	assert_int_equal(pr(&r, 0, 0, 0, 0xa, 0xb), 0);
	REGISTER(&r, 1, 0xc);
	expect_data(&r, 2, "5e 00 00 00 00 00 00 0100 00",
		    "00000003 00000010 000000000000000c 000000000000000b");
	assert_int_equal(pr(&r, 1, 6, 0, 0, 0), 0);
	expect_data(&r, 2, "5e 00 00 00 00 00 00 0100 00", "00000004 00000008 000000000000000b");
	expect_data(&r, 2, "5e 02 00 00 00 00 00 0100 00", "0008 10 80 ea01 0000");
	expect_data(&r, 2, "5e 01 00 00 00 00 00 0100 00", "00000004 00000000");
	assert_int_equal(pr(&r, 0, 1, 5, 0xb, 0), 0);
	expect_data(&r, 2, "5e 01 00 00 00 00 00 0100 00",
		    "00000004 00000010 000000000000000b 00000000 00 05 0000");
	expect_data(&r, 2, "5e 03 00 00 00 00 00 0100 00",
		    "00000004 00000030 000000000000000b 00000000 01 05 00000000 0001 00000018"
		    "05 00 0014 69716e2e61 000000 000000000000000000000000");
	rig_destroy(&r);
}

static void what_is_not_offered_is_refused(void **state)
{
	static const struct {
		const char *cdb, *list;
		uint32_t outcome;
	} rows[] = {
		{ "5f 00 00 00 00 00000017 00", "0000", RIG_CHECK(5, 0x1a00) },
		{ "5f 00 00 00 00 00000018 00", "0000", RIG_CHECK(5, 0x2400) },
		{ "5f 00 00 00 00 00000018 00",
		  "0000000000000000 000000000000000a 00000000 01 000000", RIG_CHECK(5, 0x2600) },
		{ "5f 00 00 00 00 00000018 00",
		  "0000000000000000 000000000000000a 00000000 04 000000", RIG_CHECK(5, 0x2600) },
		{ "5f 06 00 00 00 00000018 00",
		  "0000000000000000 000000000000000a 00000000 08 000000", RIG_CHECK(5, 0x2600) },
		{ "5f 07 00 00 00 00000018 00",
		  "0000000000000000 000000000000000a 00000000 00 000000", RIG_CHECK(5, 0x2400) },
		{ "5e 04 00 00 00 00 00 0100 00", "", RIG_CHECK(5, 0x2400) },
	};
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++)
		assert_int_equal(rig_do(&r, 0, rows[i].cdb, rows[i].list), rows[i].outcome);
	REGISTER(&r, 0, 0xa);
	assert_int_equal(pr(&r, 0, 1, 2, 0xa, 0), RIG_CHECK(5, 0x2400));
	assert_int_equal(pr(&r, 0, 1, 0x11, 0xa, 0), RIG_CHECK(5, 0x2400));
	assert_int_equal(pr(&r, 0, 1, 1, 0xb, 0), CONFLICT);
	assert_int_equal(pr(&r, 1, 1, 1, 0, 0), CONFLICT);
	rig_destroy(&r);
}

static void reserve_and_release_go_to_the_holder(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	REGISTER(&r, 0, 0xa);
	REGISTER(&r, 1, 0xb);
	assert_int_equal(pr(&r, 0, 1, 5, 0xa, 0), 0);
	assert_int_equal(pr(&r, 0, 1, 5, 0xa, 0), 0);
	assert_int_equal(pr(&r, 0, 1, 6, 0xa, 0), CONFLICT);
	assert_int_equal(pr(&r, 1, 1, 5, 0xb, 0), CONFLICT);
	assert_int_equal(pr(&r, 1, 2, 5, 0xb, 0), 0); /* not his: nothing happens */
	assert_int_equal(pr(&r, 0, 2, 6, 0xa, 0), RIG_CHECK(5, 0x2604));
	assert_int_equal(rig_do(&r, 2, WRITE, ""), CONFLICT);
	assert_int_equal(pr(&r, 0, 2, 5, 0xa, 0), 0);
	assert_int_equal(rig_do(&r, 2, WRITE, ""), 0);
	/* All who were registered are told, nobody else. */
	assert_int_equal(rig_do(&r, 1, TUR, ""), RIG_CHECK(6, 0x2a04));
	assert_int_equal(rig_do(&r, 2, TUR, ""), 0);
	/* A holder who unregisters gives it up. */
	assert_int_equal(pr(&r, 0, 1, 1, 0xa, 0), 0);
	assert_int_equal(rig_do(&r, 1, WRITE, ""), CONFLICT);
	assert_int_equal(pr(&r, 0, 0, 0, 0xa, 0), 0);
	assert_int_equal(rig_do(&r, 1, WRITE, ""), 0);
	/* Of all registrants: when the last one does. */
	assert_int_equal(pr(&r, 1, 1, 7, 0xb, 0), 0);
	REGISTER(&r, 0, 0xa);
	assert_int_equal(pr(&r, 1, 0, 0, 0xb, 0), 0);
	assert_int_equal(rig_do(&r, 1, WRITE, ""), CONFLICT);
	assert_int_equal(pr(&r, 0, 0, 0, 0xa, 0), 0);
	assert_int_equal(rig_do(&r, 1, WRITE, ""), 0);
	rig_destroy(&r);
}

static void clear_and_preempt_tell_who_lost(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	REGISTER(&r, 0, 0xa);
	REGISTER(&r, 1, 0xb);
	REGISTER(&r, 2, 0xc);
	assert_int_equal(pr(&r, 0, 1, 5, 0xa, 0), 0);
	/* A registration only. */
	assert_int_equal(pr(&r, 1, 4, 1, 0xb, 0xc), 0);
	assert_int_equal(rig_do(&r, 2, TUR, ""), RIG_CHECK(6, 0x2a05));
	assert_int_equal(pr(&r, 1, 4, 1, 0xb, 0xc), CONFLICT);
	assert_int_equal(pr(&r, 1, 4, 1, 0xb, 0), RIG_CHECK(5, 0x2600));
	REGISTER(&r, 2, 0xc);
	/* The reservation, to another type: the third one hears of the change. */
	assert_int_equal(pr(&r, 1, 4, 1, 0xb, 0xa), 0);
	assert_int_equal(rig_do(&r, 0, TUR, ""), RIG_CHECK(6, 0x2a05));
	assert_int_equal(rig_do(&r, 2, TUR, ""), RIG_CHECK(6, 0x2a04));
	assert_int_equal(rig_do(&r, 0, WRITE, ""), CONFLICT);
	assert_int_equal(rig_do(&r, 1, WRITE, ""), 0);
	/* All go. */
	assert_int_equal(pr(&r, 2, 3, 0, 0xc, 0), 0);
	assert_int_equal(rig_do(&r, 1, TUR, ""), RIG_CHECK(6, 0x2a03));
	assert_int_equal(rig_do(&r, 0, WRITE, ""), 0);
	expect_data(&r, 0, "5e 00 00 00 00 00 00 0100 00", "00000007 00000000");
	/* All registrants, key 0: everybody else loses. */
	REGISTER(&r, 0, 0xa);
	REGISTER(&r, 1, 0xb);
	assert_int_equal(pr(&r, 0, 1, 8, 0xa, 0), 0);
	assert_int_equal(pr(&r, 1, 4, 3, 0xb, 0), 0);
	assert_int_equal(rig_do(&r, 0, TUR, ""), RIG_CHECK(6, 0x2a05));
	assert_int_equal(rig_do(&r, 0, READ, ""), CONFLICT);
	assert_int_equal(rig_do(&r, 1, READ, ""), 0);
	rig_destroy(&r);
}

static void registrations_outlive_the_initiators_connection(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	REGISTER(&r, 0, 0xa);
	assert_int_equal(pr(&r, 0, 1, 3, 0xa, 0), 0);
	sr_scsi_unit_detach(r.unit, r.nexus[0]);
	sr_scsi_nexus_destroy(r.nexus[0]);
	assert_int_equal(rig_do(&r, 1, READ, ""), CONFLICT);
	r.nexus[0] = sr_scsi_nexus_create("iqn.a", 1, NULL);
	assert_int_equal(sr_scsi_unit_attach(r.unit, r.nexus[0], NULL), 0);
	assert_int_equal(rig_do(&r, 0, READ, ""), RIG_CHECK(6, 0x2900));
	assert_int_equal(rig_do(&r, 0, READ, ""), 0);
	/* And a reset. */
	sr_scsi_unit_reset(r.unit);
	assert_int_equal(rig_do(&r, 1, READ, ""), RIG_CHECK(6, 0x2903));
	assert_int_equal(rig_do(&r, 1, READ, ""), CONFLICT);
	rig_destroy(&r);
}

static void classic_reservations_keep_out_others_until_released(void **state)
{
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	for (unsigned i = 0; i < 2; i++) {
		const char *reserve = i ? "56 00 00 00 00 00 00 0000 00" : "16 00 00 00 00 00";
		const char *release = i ? "57 00 00 00 00 00 00 0000 00" : "17 00 00 00 00 00";

		assert_int_equal(rig_do(&r, 0, reserve, ""), 0);
		assert_int_equal(rig_do(&r, 0, reserve, ""), 0);
		assert_int_equal(rig_do(&r, 1, reserve, ""), CONFLICT);
		assert_int_equal(rig_do(&r, 1, READ, ""), CONFLICT);
		assert_int_equal(rig_do(&r, 1, TUR, ""), CONFLICT);
		assert_int_equal(rig_do(&r, 1, "12 00 00 00 24 00", ""), 0);
		assert_int_equal(rig_do(&r, 1, "5e 00 00 00 00 00 00 0100 00", ""), CONFLICT);
		/* Not even his own. */
		assert_int_equal(rig_do(&r, 0, "5e 00 00 00 00 00 00 0100 00", ""), CONFLICT);
		assert_int_equal(rig_do(&r, 0, READ, ""), 0);
		assert_int_equal(rig_do(&r, 1, release, ""), 0);
		assert_int_equal(rig_do(&r, 1, READ, ""), CONFLICT);
		assert_int_equal(rig_do(&r, 0, release, ""), 0);
		assert_int_equal(rig_do(&r, 1, READ, ""), 0);
	}
	/* A reset ends it, and so does the end of the connection. */
	assert_int_equal(rig_do(&r, 0, "16 00 00 00 00 00", ""), 0);
	sr_scsi_unit_reset(r.unit);
	assert_int_equal(rig_do(&r, 1, READ, ""), RIG_CHECK(6, 0x2903));
	assert_int_equal(rig_do(&r, 1, READ, ""), 0);
	assert_int_equal(rig_do(&r, 1, "16 00 00 00 00 00", ""), 0);
	sr_scsi_unit_detach(r.unit, r.nexus[1]);
	assert_int_equal(rig_do(&r, 0, READ, ""), RIG_CHECK(6, 0x2903));
	assert_int_equal(rig_do(&r, 0, READ, ""), 0);
	/* Where there are registrations it is for who has one, and means nothing. */
	REGISTER(&r, 0, 0xa);
	assert_int_equal(rig_do(&r, 0, "16 00 00 00 00 00", ""), 0);
	assert_int_equal(rig_do(&r, 2, TUR, ""), RIG_CHECK(6, 0x2903));
	assert_int_equal(rig_do(&r, 2, "16 00 00 00 00 00", ""), CONFLICT);
	assert_int_equal(rig_do(&r, 2, READ, ""), 0);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_lets_through_whom_it_should),
		cmocka_unit_test(registrations_are_kept_by_key),
		cmocka_unit_test(what_is_not_offered_is_refused),
		cmocka_unit_test(reserve_and_release_go_to_the_holder),
		cmocka_unit_test(clear_and_preempt_tell_who_lost),
		cmocka_unit_test(registrations_outlive_the_initiators_connection),
		cmocka_unit_test(classic_reservations_keep_out_others_until_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
