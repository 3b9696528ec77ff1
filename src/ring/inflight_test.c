/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ring_fixture.h"

#include <errno.h>
#include <signal.h>
#include <slipring/virtio.h>
#include <sys/wait.h>

#define SIZE   8u
#define RECORD 0x100000u /* where in the guest's file the record lies: over ours and its death */

/* The record as the protocol has it, apart from the code under test. */
struct raw_entry {
	uint8_t inflight, padding[5];
	uint16_t next;
	uint64_t counter;
};
struct raw_record {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct raw_entry desc[];
};

struct rig {
	struct ring_fixture f;
	struct raw_record *record;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	fixture_init(&r->f);
	fixture_place(&r->f, SIZE, 0);
	r->record = (void *)(r->f.guest + RECORD);
	r->f.config.inflight = r->record;
	for (unsigned i = 0; i < SIZE; i++)
		r->f.desc[i] =
			(struct split_desc){ gpa(GUEST_DATA + 16 * i), 16, SPLIT_DESC_WRITE, 0 };
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	fixture_finish(&r->f);
	free(r);
	return 0;
}

static void start(struct rig *r)
{
	struct sr_error e = { 0 };

	if (sr_vq_start(r->f.q, &r->f.config, r->f.mem, &e))
		fail_msg("%s", e.text);
}

/* Ends as a killed process does: nothing is written any more. */
static void die(struct rig *r)
{
	sr_vq_stop(r->f.q);
	sr_vq_destroy(r->f.q);
	r->f.q = sr_vq_create();
}

static void give_back(struct rig *r, const struct sr_chain *c, unsigned n)
{
	sr_vq_push(r->f.q, c, n);
	sr_vq_publish(r->f.q);
}

static void expect_heads(struct rig *r, const uint16_t *heads, unsigned n)
{
	struct sr_chain c[SIZE];
	int got = pop(&r->f, c, SIZE);

	assert_int_equal(got, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(c[i].id, heads[i]);
}

static void the_size_is_that_of_the_protocol_rounded_to_64(void **state)
{
	(void)state;
	assert_int_equal(sr_vq_inflight_bytes(128, 0), 2112); /* 16 + 128 x 16 = 2064 */
	assert_int_equal(sr_vq_inflight_bytes(3, 0), 64);
	assert_int_equal(sr_vq_inflight_bytes(0, 0), 0);
	assert_int_equal(sr_vq_inflight_bytes(32769, 0), 0);
}

static void without_a_record_nothing_is_kept(void **state)
{
	struct rig *r = *state;

	r->f.config.inflight = NULL;
	start(r);
	assert_false(sr_vq_keeps(r->f.q));
}

static void a_new_record_is_set_up_and_the_base_is_believed(void **state)
{
	struct rig *r = *state;

	r->f.used->idx = r->f.avail->idx = 40;
	r->f.config.base = 40;
	start(r);
	assert_true(sr_vq_keeps(r->f.q));
	assert_int_equal(r->record->version, 1);
	assert_int_equal(r->record->desc_num, SIZE);
	assert_int_equal(r->record->used_idx, 40);
	offer(&r->f, 3);
	expect_heads(r, (uint16_t[]){ 3 }, 1);
	assert_int_equal(r->record->desc[3].inflight, 1);
}

static void what_was_taken_comes_again_in_its_order_and_before_anything_new(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	for (unsigned i = 0; i < 5; i++)
		offer(&r->f, (uint16_t)(7 - i));
	assert_int_equal(pop(&r->f, c, 4), 4); /* 7 6 5 4 */
	give_back(r, &c[1], 1);
	die(r);
	offer(&r->f, 0);
	r->f.config.base = 1; /* QEMU takes the used index for it */
	start(r);
	assert_int_equal(sr_vq_available(r->f.q), 5);
	expect_heads(r, (uint16_t[]){ 7, 5, 4, 3, 0 }, 5);
	assert_int_equal(pop(&r->f, c, 1), 0);
}

static void dying_again_before_all_were_taken_again_loses_none(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	for (unsigned i = 0; i < 4; i++)
		offer(&r->f, (uint16_t)i);
	assert_int_equal(pop(&r->f, c, 4), 4);
	die(r);
	start(r);
	assert_int_equal(pop(&r->f, c, 2), 2);
	give_back(r, &c[0], 1);
	die(r);
	start(r);
	expect_heads(r, (uint16_t[]){ 1, 2, 3 }, 3);
	assert_false(sr_vq_rearm(r->f.q));
}

static void rearm_tells_of_chains_that_are_to_come_again(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	offer(&r->f, 0);
	assert_int_equal(pop(&r->f, c, 1), 1);
	die(r);
	start(r);
	assert_true(sr_vq_rearm(r->f.q));
}

static void pushed_but_not_shown_comes_again(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	offer(&r->f, 2);
	assert_int_equal(pop(&r->f, c, 1), 1);
	sr_vq_push(r->f.q, c, 1);
	die(r);
	start(r);
	expect_heads(r, (uint16_t[]){ 2 }, 1);
}

/* Death between the ring's used index and each later store of a publish. */
static void shown_but_not_cleared_does_not_come_again(void **state)
{
	for (unsigned cleared = 0; cleared <= 3; cleared++) {
		struct rig *r;
		struct sr_chain c[SIZE];

		teardown(state);
		setup(state);
		r = *state;
		start(r);
		for (unsigned i = 0; i < 4; i++)
			offer(&r->f, (uint16_t)i);
		assert_int_equal(pop(&r->f, c, 4), 4);
		give_back(r, c, 3);
		for (unsigned i = cleared; i < 3; i++)
			r->record->desc[c[i].id].inflight = 1;
		r->record->used_idx = 0;
		die(r);
		start(r);
		expect_heads(r, (uint16_t[]){ 3 }, 1);
	}
}

/* A record that was new when the ring was not: its list names descriptor 0, which nobody used. */
static void a_record_newer_than_its_ring_clears_nothing(void **state)
{
	struct rig *r = *state;

	r->f.used->idx = r->f.avail->idx = r->f.config.base = 5;
	start(r);
	offer(&r->f, 0);
	expect_heads(r, (uint16_t[]){ 0 }, 1);
	die(r);
	start(r);
	expect_heads(r, (uint16_t[]){ 0 }, 1);
}

static void it_goes_on_over_the_wrap_of_the_indices(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	r->f.used->idx = r->f.avail->idx = r->f.config.base = 65534;
	start(r);
	for (unsigned i = 0; i < 4; i++)
		offer(&r->f, (uint16_t)i);
	assert_int_equal(pop(&r->f, c, 4), 4);
	give_back(r, c, 3);
	r->record->used_idx = 65534;
	r->record->desc[2].inflight = 1;
	die(r);
	start(r);
	expect_heads(r, (uint16_t[]){ 3 }, 1);
	assert_int_equal(r->record->used_idx, 1);
}

static void stopping_in_the_middle_tells_the_base_behind_all_that_was_taken(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	for (unsigned i = 0; i < 3; i++)
		offer(&r->f, (uint16_t)i);
	assert_int_equal(pop(&r->f, c, 3), 3);
	give_back(r, &c[1], 1);
	assert_int_equal(sr_vq_stop(r->f.q), 3);
}

static void expect_refusal(struct rig *r, const char *text)
{
	struct sr_error e = { 0 };

	assert_int_equal(sr_vq_start(r->f.q, &r->f.config, r->f.mem, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void a_record_that_makes_no_sense_is_refused(void **state)
{
	struct rig *r = *state;
	struct raw_record *d = r->record;

	*d = (struct raw_record){ .version = 2, .desc_num = SIZE };
	expect_refusal(r, "in-flight record: version 2, expected 0 (unused) or 1");
	*d = (struct raw_record){ .version = 1, .desc_num = 9 };
	expect_refusal(r, "in-flight record: 9 descriptors, expected the ring's 8");
	*d = (struct raw_record){ .version = 1, .desc_num = SIZE, .used_idx = 100 };
	expect_refusal(r,
		       "in-flight record: used index 100 while the ring's is 0, expected at most "
		       "8 behind it");
	*d = (struct raw_record){
		.version = 1, .desc_num = SIZE, .used_idx = 65535, .last_batch_head = 8
	};
	expect_refusal(r, "in-flight record: descriptor 8 in the last batch, expected < 8");
	*d = (struct raw_record){ .version = 1, .desc_num = SIZE, .used_idx = 65534 };
	d->desc[0].next = 65535;
	expect_refusal(r, "in-flight record: descriptor 65535 in the last batch, expected < 8");
}

/* Everything in flight and a driver that offers more: it has no descriptors for that. */
static void more_than_the_ring_holds_breaks_the_queue(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	*r->record = (struct raw_record){ .version = 1, .desc_num = SIZE };
	for (unsigned i = 0; i < SIZE; i++)
		r->record->desc[i].inflight = 1;
	r->f.avail->idx = SIZE + 1;
	start(r);
	assert_int_equal(pop(&r->f, c, 1), -EPROTO);
	assert_string_equal(sr_vq_error(r->f.q), "avail index 9, expected at most 8 more than 0");
}

static void unpublished_chains_count_as_held(void **state)
{
	struct rig *r = *state;
	struct sr_chain c[SIZE];

	start(r);
	for (unsigned i = 0; i < SIZE; i++)
		offer(&r->f, (uint16_t)i);
	assert_int_equal(pop(&r->f, c, SIZE), SIZE);
	sr_vq_push(r->f.q, c, SIZE);
	offer(&r->f, 0);
	assert_int_equal(pop(&r->f, c, 1), -EPROTO);
}

/* A device in a process of its own: takes some, gives back some, in any order. */
static void serve_until_killed(struct rig *r, unsigned seed)
{
	struct sr_chain held[SIZE];
	struct sr_iov_pool pool;
	unsigned n = 0;

	if (sr_iov_pool_init(&pool, 64) || sr_vq_start(r->f.q, &r->f.config, r->f.mem, NULL))
		_exit(1);
	for (;;) {
		int got;

		sr_iov_pool_reset(&pool);
		got = sr_vq_pop(r->f.q, &held[n], SIZE - n, &pool);
		if (got < 0)
			_exit(2);
		for (n += (unsigned)got; n && rand_r(&seed) % 4;) {
			unsigned i = (unsigned)rand_r(&seed) % n;

			sr_vq_push(r->f.q, &held[i], 1);
			held[i] = held[--n];
			if (rand_r(&seed) % 2)
				sr_vq_publish(r->f.q);
		}
		sr_vq_publish(r->f.q);
	}
}

/* The driver of this test checks that what comes back was outstanding, so a chain that is
 * completed twice or a wrong one shows at once, and a lost one shows as a ring that stands. */
static void killed_at_any_instruction_each_chain_is_completed_once(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_config c = { .size = SIZE, .ring = r->f.guest };
	struct sr_drvq *driver = sr_drvq_create(&c, NULL);
	uint64_t sent = 0, back = 0;

	for (unsigned round = 0; round < 300; round++) {
		uint64_t goal = back + 1 + (unsigned)rand() % 50;
		uint64_t end = sr_now_ns() + 10000000000u;
		pid_t pid = fork();

		if (pid == 0)
			serve_until_killed(r, round);
		while (back < goal) {
			struct sr_used u[SIZE];
			struct sr_sg in = { gpa(GUEST_DATA), 16 };
			int n = sr_drvq_get(driver, u, SIZE);

			if (n < 0)
				fail_msg("round %u: %s", round, sr_drvq_error(driver));
			back += (unsigned)n;
			while (sr_drvq_add(driver, NULL, 0, &in, 1, r) == 0)
				sent++;
			sr_drvq_publish(driver);
			if (sr_now_ns() > end)
				fail_msg("round %u: %u chains never came back", round,
					 (unsigned)(sent - back));
		}
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	assert_in_range(sent - back, 0, SIZE);
	sr_drvq_destroy(driver);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_size_is_that_of_the_protocol_rounded_to_64),
		T(without_a_record_nothing_is_kept),
		T(a_new_record_is_set_up_and_the_base_is_believed),
		T(what_was_taken_comes_again_in_its_order_and_before_anything_new),
		T(dying_again_before_all_were_taken_again_loses_none),
		T(rearm_tells_of_chains_that_are_to_come_again),
		T(pushed_but_not_shown_comes_again),
		T(shown_but_not_cleared_does_not_come_again),
		T(a_record_newer_than_its_ring_clears_nothing),
		T(it_goes_on_over_the_wrap_of_the_indices),
		T(stopping_in_the_middle_tells_the_base_behind_all_that_was_taken),
		T(a_record_that_makes_no_sense_is_refused),
		T(more_than_the_ring_holds_breaks_the_queue),
		T(unpublished_chains_count_as_held),
		T(killed_at_any_instruction_each_chain_is_completed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
