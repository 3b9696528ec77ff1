/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of a guest that means harm: every operation code and service action with bytes and
 * buffers by chance, several at once on two lanes, some of them aborted. Each is completed once,
 * with an outcome that can be, and nothing is written outside its buffers (which have exactly
 * their length on the heap, for the address sanitizer).
 */
#include "unit_rig.h"

#include "base.h"

#include <stdlib.h>

#define DEPTH 16u

static uint64_t seed;

static uint32_t chance(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static uint32_t some_length(void)
{
	static const uint32_t usual[] = { 0, 1, 8, 24, 36, 255, 511, 512, 513, 1024, 4096, 16384 };

	return usual[chance(SR_ARRAY_LEN(usual))];
}

/* Mostly zeroes and small numbers, which get further than noise. */
static void some_bytes(uint8_t *p, size_t n)
{
	unsigned how = chance(4);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(how == 0    ? chance(256)
				 : how == 1  ? chance(2)
				 : chance(8) ? 0
					     : chance(256));
}

static struct rig_cmd *some_command(struct unit_rig *r, unsigned opcode)
{
	struct rig_cmd *k = calloc(1, sizeof(*k));
	uint32_t out = chance(2) ? some_length() : 0, in = chance(2) ? some_length() : 0;

	k->data_out = malloc(out + !out);
	k->data_in = malloc(in + !in);
	some_bytes(k->data_out, out);
	k->out = (struct iovec){ k->data_out, out };
	k->in = (struct iovec){ k->data_in, in };
	k->c = (struct sr_scsi_cmd){ .cdb_len = 32,
				     .nexus = r->nexus[chance(RIG_INITIATORS)],
				     .out = &k->out,
				     .in = &k->in,
				     .nout = out > 0,
				     .nin = in > 0,
				     .out_len = out,
				     .in_len = in };
	some_bytes(k->c.cdb, sizeof(k->c.cdb));
	k->c.cdb[0] = (uint8_t)opcode;
	/* Most stay inside the medium, and without a flag that ends it all. */
	if (chance(4)) {
		memset(k->c.cdb + 2, 0, 4);
		k->c.cdb[5] = (uint8_t)chance(256);
		k->c.cdb[1] &= (uint8_t)chance(256);
	}
	return k;
}

static void check(const struct rig_cmd *k)
{
	const struct sr_scsi_cmd *c = &k->c;

	assert_int_equal(k->completed, 1);
	assert_true(c->sense_len <= SR_SCSI_SENSE_MAX);
	assert_true(c->transferred <= c->in_len + c->out_len);
	assert_int_equal(c->residual, c->in_len + c->out_len - c->transferred);
	assert_true((c->status == SR_SCSI_CHECK_CONDITION) == (c->sense_len > 0));
}

static void round_of(struct unit_rig *r, unsigned opcode)
{
	struct rig_cmd *k[DEPTH];

	r->medium->hold = chance(2);
	r->medium->cannot_cancel = chance(2);
	for (unsigned i = 0; i < DEPTH; i++) {
		/* One that takes ranges for itself is often among them. */
		k[i] = some_command(r, chance(4) ? opcode : chance(2) ? 0x89 : chance(256));
		rig_submit(i % 2 ? r->lane : r->other, k[i]);
		if (chance(3) == 0)
			sr_scsi_poll(chance(2) ? r->lane : r->other);
		if (chance(5) == 0 && !k[i]->completed)
			sr_scsi_abort(i % 2 ? r->lane : r->other, &k[i]->c);
	}
	r->medium->hold = false;
	rig_poll(r);
	for (unsigned i = 0; i < DEPTH; i++) {
		check(k[i]);
		rig_cmd_free(k[i]);
	}
}

static void any_command_with_any_buffer_is_answered_once(void **state)
{
	static const struct rig_options options[] = {
		{ .volatile_cache = true },
		{ .block_size = 4096, .protection = true },
		{ .cannot_zero = true, .cannot_discard = true, .writethrough = true },
	};

	(void)state;
	for (unsigned o = 0; o < SR_ARRAY_LEN(options); o++) {
		struct unit_rig r;

		seed = o + 1;
		rig_create(&r, &options[o]);
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned i = 0; i < 10; i++)
				round_of(&r, opcode);
		rig_destroy(&r);
	}
}

/* 512 VERIFY of several pieces, each with more than 256 KiB of ours, on a medium that hangs. */
static void commands_of_several_steps_share_what_memory_there_is(void **state)
{
	enum {
		COMMANDS = 512
	};
	struct rig_cmd *k = calloc(COMMANDS, sizeof(*k));
	unsigned full = 0;
	struct unit_rig r;

	(void)state;
	rig_create(&r, &(struct rig_options){ 0 });
	r.medium->hold = true;
	for (unsigned i = 0; i < COMMANDS; i++) {
		k[i].c.nexus = r.nexus[0];
		k[i].c.cdb_len = (uint8_t)rig_hex("2f 00 00000000 00 0400 00", k[i].c.cdb, 32);
		rig_submit(r.lane, &k[i]);
	}
	rig_poll(&r);
	for (unsigned i = 0; i < COMMANDS; i++)
		full += k[i].completed && k[i].c.status == SR_SCSI_TASK_SET_FULL;
	assert_in_range((COMMANDS - full) * 256u << 10, 1, 32u << 20);
	r.medium->hold = false;
	rig_poll(&r);
	for (unsigned i = 0; i < COMMANDS; i++) {
		assert_int_equal(k[i].completed, 1);
		full -= k[i].c.status == SR_SCSI_TASK_SET_FULL;
	}
	assert_int_equal(full, 0);
	assert_int_equal(rig_do(&r, 0, "2f 00 00000000 00 0400 00", ""), SR_SCSI_GOOD);
	rig_destroy(&r);
	free(k);
}

/* Judged before the buffers are: their pieces may all be the same memory of the guest. */
static void the_bytes_that_guards_are_made_of_have_a_limit(void **state)
{
	static const struct rig_options o = { .block_size = 4096, .protection = true };
	static const struct {
		const char *cdb;
		bool overrun; /* else: too long */
	} rows[] = { { "28 20 00000000 00 0400 00", true },
		     { "28 20 00000000 00 0401 00", false } };
	struct unit_rig r;

	(void)state;
	rig_create(&r, &o);
	for (unsigned i = 0; i < SR_ARRAY_LEN(rows); i++) {
		struct rig_cmd *k = rig_cmd(&r, 0, rows[i].cdb, 0, 512);

		rig_run(&r, k);
		assert_int_equal(k->c.status, SR_SCSI_CHECK_CONDITION);
		assert_int_equal(k->c.overrun, rows[i].overrun);
		rig_cmd_free(k);
	}
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_command_with_any_buffer_is_answered_once),
		cmocka_unit_test(commands_of_several_steps_share_what_memory_there_is),
		cmocka_unit_test(the_bytes_that_guards_are_made_of_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
