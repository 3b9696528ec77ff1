/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that end early, that wait for one another, or that drive others out. */
#include "unit_rig.h"

#include <string.h>

static const struct rig_options plain = { 0 };

#define READ_1	"28 00 00000001 00 0001 00"
#define WRITE_1 "2a 00 00000001 00 0001 00"
#define WRITE_9 "2a 00 00000009 00 0001 00"
#define CAW_1	"89 00 0000000000000001 00000001 00 00"

static void an_aborted_command_ends_at_once(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &plain);
	r.medium->hold = true;
	k = rig_cmd(&r, 0, READ_1, 0, 512);
	rig_submit(r.lane, k);
	rig_poll(&r);
	assert_int_equal(k->completed, 0);
	assert_true(sr_scsi_abort(r.lane, &k->c));
	assert_int_equal(k->completed, 0);
	rig_poll(&r);
	assert_int_equal(k->completed, 1);
	assert_true(k->c.aborted);
	rig_cmd_free(k);
	rig_destroy(&r);
}

static void what_is_done_or_cannot_be_stopped_ends_as_it_ends(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k, *done;

	(void)state;
	rig_create(&r, &plain);
	r.medium->hold = r.medium->cannot_cancel = true;
	k = rig_cmd(&r, 0, READ_1, 0, 512);
	done = rig_cmd(&r, 0, "00 00 00 00 00 00", 0, 0);
	rig_submit(r.lane, k);
	rig_submit(r.lane, done);
	assert_false(sr_scsi_abort(r.lane, &k->c));
	assert_true(sr_scsi_abort(r.lane, &done->c));
	r.medium->hold = false;
	rig_poll(&r);
	assert_true(k->completed == 1 && done->completed == 1);
	assert_false(k->c.aborted || done->c.aborted);
	assert_int_equal(k->c.transferred, 512);
	rig_cmd_free(k);
	rig_cmd_free(done);
	rig_destroy(&r);
}

static void a_command_of_several_steps_takes_no_further_one(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k;

	(void)state;
	rig_create(&r, &plain);
	r.medium->hold = r.medium->cannot_cancel = true;
	k = rig_cmd(&r, 0, "2f 00 00000000 00 0700 00", 0, 0);
	rig_submit(r.lane, k);
	assert_false(sr_scsi_abort(r.lane, &k->c));
	r.medium->hold = false;
	rig_poll(&r);
	assert_int_equal(k->completed, 1);
	assert_true(k->c.aborted);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 1);
	rig_cmd_free(k);
	rig_destroy(&r);
}

/* A COMPARE AND WRITE on one lane, between writes on the other. */
struct scene {
	struct unit_rig r;
	struct rig_cmd *before, *caw, *after, *elsewhere;
};

static void scene_begin(struct scene *s)
{
	rig_create(&s->r, &plain);
	s->r.medium->hold = true;
	s->before = rig_cmd(&s->r, 0, WRITE_1, 512, 0);
	s->caw = rig_cmd(&s->r, 0, CAW_1, 1024, 0);
	s->after = rig_cmd(&s->r, 1, WRITE_1, 512, 0);
	s->elsewhere = rig_cmd(&s->r, 1, WRITE_9, 512, 0);
	memset(s->before->data_out, 1, 512);
	memset(s->caw->data_out, 1, 512);
	memset(s->caw->data_out + 512, 2, 512);
	memset(s->after->data_out, 3, 512);
	rig_submit(s->r.other, s->before);
	rig_submit(s->r.lane, s->caw);
	rig_poll(&s->r);
	rig_submit(s->r.other, s->after);
	rig_submit(s->r.other, s->elsewhere);
	rig_poll(&s->r);
	assert_int_equal(s->r.medium->asked[SR_DISK_READ], 0);
	assert_int_equal(s->r.medium->asked[SR_DISK_WRITE], 2);
}

static void scene_end(struct scene *s)
{
	s->r.medium->hold = false;
	rig_poll(&s->r);
	assert_int_equal(s->before->completed, 1);
	assert_int_equal(s->caw->completed, 1);
	assert_int_equal(s->after->completed, 1);
	assert_int_equal(s->elsewhere->completed, 1);
}

static void scene_free(struct scene *s)
{
	rig_cmd_free(s->before);
	rig_cmd_free(s->caw);
	rig_cmd_free(s->after);
	rig_cmd_free(s->elsewhere);
	rig_destroy(&s->r);
}

static void compare_and_write_has_its_range_for_itself(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s);
	scene_end(&s);
	assert_int_equal(rig_outcome(s.caw), 0);
	assert_int_equal(s.r.medium->data[512], 3);
	scene_free(&s);
}

static void compare_and_write_that_waits_can_be_aborted(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s);
	assert_true(sr_scsi_abort(s.r.lane, &s.caw->c));
	rig_poll(&s.r);
	assert_int_equal(s.caw->completed, 1);
	scene_end(&s);
	assert_true(s.caw->c.aborted);
	assert_int_equal(s.r.medium->asked[SR_DISK_READ], 0);
	assert_int_equal(s.r.medium->data[512], 3);
	scene_free(&s);
}

static void a_command_that_waits_for_a_range_can_be_aborted(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s);
	assert_true(sr_scsi_abort(s.r.other, &s.after->c));
	rig_poll(&s.r);
	assert_int_equal(s.after->completed, 1);
	scene_end(&s);
	assert_true(s.after->c.aborted);
	assert_int_equal(rig_outcome(s.caw), 0);
	assert_int_equal(s.r.medium->data[512], 2);
	scene_free(&s);
}

static void many_who_want_one_range_have_it_one_after_the_other(void **state)
{
	struct rig_cmd *k[20];
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	r.medium->hold = true;
	for (unsigned i = 0; i < 20; i++) {
		k[i] = rig_cmd(&r, i % 3, CAW_1, 1024, 0);
		memset(k[i]->data_out, (int)i, 512);
		memset(k[i]->data_out + 512, (int)i + 1, 512);
		rig_submit(i % 2 ? r.lane : r.other, k[i]);
	}
	r.medium->hold = false;
	rig_poll(&r);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(k[i]->completed, 1);
		assert_true(!rig_outcome(k[i]) || rig_outcome(k[i]) == RIG_CHECK(0xe, 0x1d00));
		rig_cmd_free(k[i]);
	}
	assert_true(r.medium->data[512] > 0);
	rig_destroy(&r);
}

static void only_one_at_a_time_compares_and_writes(void **state)
{
	struct unit_rig r;
	struct rig_cmd *k[2];

	(void)state;
	rig_create(&r, &plain);
	r.medium->hold = true;
	for (unsigned i = 0; i < 2; i++) {
		k[i] = rig_cmd(&r, i, CAW_1, 1024, 0);
		memset(k[i]->data_out + 512, (int)i + 1, 512);
		rig_submit(i ? r.lane : r.other, k[i]);
	}
	rig_poll(&r);
	assert_int_equal(r.medium->asked[SR_DISK_READ], 1);
	r.medium->hold = false;
	rig_poll(&r);
	assert_true(k[0]->completed == 1 && k[1]->completed == 1);
	assert_int_equal(rig_outcome(k[0]), 0);
	assert_int_equal(rig_outcome(k[1]), RIG_CHECK(0xe, 0x1d00));
	rig_cmd_free(k[0]);
	rig_cmd_free(k[1]);
	rig_destroy(&r);
}

static void registrations(struct unit_rig *r)
{
	assert_int_equal(rig_do(r, 0, "5f 06 00 00 00 00000018 00",
				"0000000000000000 000000000000000a 0000000000000000"),
			 0);
	assert_int_equal(rig_do(r, 1, "5f 06 00 00 00 00000018 00",
				"0000000000000000 000000000000000b 0000000000000000"),
			 0);
}

static struct rig_cmd *preempt_and_abort(struct unit_rig *r)
{
	struct rig_cmd *k = rig_cmd(r, 0, "5f 05 01 00 00 00000018 00", 24, 0);

	rig_hex("000000000000000a 000000000000000b 0000000000000000", k->data_out, 24);
	return k;
}

static void preempt_and_abort_ends_the_commands_of_who_is_driven_out(void **state)
{
	struct rig_cmd *k, *his, *his_other, *third;
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	registrations(&r);
	r.medium->hold = true;
	his = rig_cmd(&r, 1, WRITE_1, 512, 0);
	his_other = rig_cmd(&r, 1, READ_1, 0, 512);
	third = rig_cmd(&r, 2, READ_1, 0, 512);
	k = preempt_and_abort(&r);
	rig_submit(r.lane, his);
	rig_submit(r.other, his_other);
	rig_submit(r.other, third);
	rig_submit(r.lane, k);
	rig_poll(&r);
	assert_true(k->completed == 1 && his->completed == 1 && his_other->completed == 1);
	assert_int_equal(third->completed, 0);
	assert_int_equal(rig_outcome(k), 0);
	assert_int_equal(his->c.status, SR_SCSI_TASK_ABORTED);
	assert_int_equal(his_other->c.status, SR_SCSI_TASK_ABORTED);
	assert_false(his->c.aborted);
	r.medium->hold = false;
	rig_poll(&r);
	assert_int_equal(third->completed, 1);
	rig_cmd_free(k);
	rig_cmd_free(his);
	rig_cmd_free(his_other);
	rig_cmd_free(third);
	rig_destroy(&r);
}

static void preempt_and_abort_waits_for_what_cannot_be_stopped(void **state)
{
	struct rig_cmd *k, *his;
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	registrations(&r);
	r.medium->hold = r.medium->cannot_cancel = true;
	his = rig_cmd(&r, 1, WRITE_1, 512, 0);
	k = preempt_and_abort(&r);
	rig_submit(r.other, his);
	rig_submit(r.lane, k);
	rig_poll(&r);
	assert_int_equal(k->completed, 0);
	r.medium->hold = false;
	rig_poll(&r);
	assert_true(k->completed == 1 && his->completed == 1);
	assert_int_equal(rig_outcome(k), 0);
	rig_cmd_free(k);
	rig_cmd_free(his);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_aborted_command_ends_at_once),
		cmocka_unit_test(what_is_done_or_cannot_be_stopped_ends_as_it_ends),
		cmocka_unit_test(a_command_of_several_steps_takes_no_further_one),
		cmocka_unit_test(compare_and_write_has_its_range_for_itself),
		cmocka_unit_test(compare_and_write_that_waits_can_be_aborted),
		cmocka_unit_test(a_command_that_waits_for_a_range_can_be_aborted),
		cmocka_unit_test(many_who_want_one_range_have_it_one_after_the_other),
		cmocka_unit_test(only_one_at_a_time_compares_and_writes),
		cmocka_unit_test(preempt_and_abort_ends_the_commands_of_who_is_driven_out),
		cmocka_unit_test(preempt_and_abort_waits_for_what_cannot_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
