/* SPDX-License-Identifier: BSD-3-Clause */
/* Task management from one loop for commands that are under way on others. */
#include "vscsi_rig.h"

#include <stdatomic.h>

#define Q    VSCSI_REQUEST
#define HELD 4u /* commands on each of two request queues */

enum {
	ABORT_TASK,
	ABORT_TASK_SET,
	CLEAR_ACA,
	CLEAR_TASK_SET,
	I_T_NEXUS_RESET,
	LOGICAL_UNIT_RESET,
	QUERY_TASK,
	QUERY_TASK_SET
};

/* Two workers: control queue and queue 2 on the one, 3 on the other. Units 0 and 1 of target 0,
 * unit 0 of target 1. */
struct usual {
	struct rig *r;
	struct slow *disk[3];
	struct sr_scsi_unit *unit[3];
	struct rig_cmd c[2][HELD];
};

static const struct {
	unsigned target, lun;
} places[3] = { { 0, 0 }, { 0, 1 }, { 1, 0 } };

static struct usual *usual_begin(uint32_t wait_ms)
{
	const struct sr_scsi_config config = { .name = "s", .queues = 2, .tmf_wait_ms = wait_ms };
	struct usual *u = test_calloc(1, sizeof(*u));

	u->r = rig_create(&config, 2, RIG_MODERN);
	rig_start_all(u->r);
	for (unsigned i = 0; i < 3; i++) {
		u->disk[i] = slow_create("d", RIG_DISK);
		u->unit[i] = rig_unit(&u->disk[i]->disk);
		rig_attach(u->r, places[i].target, places[i].lun, u->unit[i]);
	}
	for (unsigned i = 0; i < 6; i++)
		rig_clear_attention(u->r, Q, places[i % 3].target, places[i % 3].lun);
	return u;
}

static void usual_end(struct usual *u)
{
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&u->disk[i]->hold, false);
	rig_destroy(u->r);
	for (unsigned i = 0; i < 3; i++)
		rig_unit_free(u->unit[i]);
	test_free(u);
}

struct held {
	struct slow *disk;
	unsigned n;
};

static bool so_many_held(void *ctx)
{
	struct held *h = ctx;

	return atomic_load(&h->disk->held) == h->n;
}

/* HELD reads on each queue that do not end. */
static void hold(struct usual *u, unsigned which)
{
	struct held h = { u->disk[which], 2 * HELD };

	atomic_store(&u->disk[which]->hold, true);
	for (unsigned q = 0; q < 2; q++) {
		for (unsigned i = 0; i < HELD; i++) {
			u->c[q][i] = rig_read(places[which].target, places[which].lun, i, 1);
			rig_send(u->r, Q + q, &u->c[q][i]);
		}
		rig_kick(u->r, Q + q);
	}
	rig_until(u->r, so_many_held, &h);
}

static void collect_all(struct usual *u)
{
	rig_collect(u->r, Q);
	rig_collect(u->r, Q + 1);
}

static unsigned count(struct usual *u, uint8_t response)
{
	unsigned n = 0;

	collect_all(u);
	for (unsigned i = 0; i < 2 * HELD; i++)
		n += u->c[i / HELD][i % HELD].done && u->c[i / HELD][i % HELD].response == response;
	return n;
}

static void abort_task_ends_one_command_of_any_queue(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig *r = u->r;

	(void)state;
	hold(u, 0);
	assert_int_equal(rig_tmf_do(r, ABORT_TASK, 0, 0, u->c[1][2].tag), VSCSI_OK);
	/* Before the function's answer. */
	assert_int_equal(count(u, VSCSI_ABORTED), 1);
	assert_true(u->c[1][2].done);
	assert_int_equal(u->c[1][2].response, VSCSI_ABORTED);
	/* The same tag at another unit, and one that nobody has. */
	assert_int_equal(rig_tmf_do(r, ABORT_TASK, 0, 1, u->c[0][0].tag), VSCSI_OK);
	assert_int_equal(rig_tmf_do(r, ABORT_TASK, 0, 0, 1ull << 60), VSCSI_OK);
	assert_int_equal(count(u, VSCSI_ABORTED), 1);
	assert_int_equal(atomic_load(&sr_scsi_counters(r->scsi)->aborted), 1);
	assert_int_equal(atomic_load(&sr_scsi_counters(r->scsi)->task_management), 3);
	usual_end(u);
}

static void task_sets_units_and_nexuses_end_all_of_theirs(void **state)
{
	static const struct {
		uint32_t function;
		unsigned target, lun;
		uint8_t response;
	} cases[] = {
		{ ABORT_TASK_SET, 0, 0, VSCSI_ABORTED },
		{ CLEAR_TASK_SET, 0, 0, VSCSI_ABORTED },
		{ LOGICAL_UNIT_RESET, 0, 0, VSCSI_RESET },
		{ I_T_NEXUS_RESET, 0, 99, VSCSI_RESET },
	};
	struct usual *u = usual_begin(0);

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		struct rig_cmd other = rig_read(1, 0, 0, 1);

		/* Of the reset before. */
		rig_clear_attention(u->r, Q, 0, 0);
		hold(u, 0);
		/* Others are not touched. */
		atomic_store(&u->disk[2]->hold, true);
		rig_send(u->r, Q, &other);
		rig_kick(u->r, Q);
		assert_int_equal(
			rig_tmf_do(u->r, cases[i].function, cases[i].target, cases[i].lun, 0),
			VSCSI_OK);
		assert_int_equal(count(u, cases[i].response), 2 * HELD);
		assert_false(other.done);
		atomic_store(&u->disk[2]->hold, false);
		rig_until_done(u->r, Q, &other);
		assert_int_equal(other.response, VSCSI_OK);
	}
	usual_end(u);
}

static void a_reset_is_told_as_an_attention(void **state)
{
	static const uint32_t functions[] = { LOGICAL_UNIT_RESET, I_T_NEXUS_RESET };
	struct usual *u = usual_begin(0);

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(functions); i++) {
		struct rig_cmd c = rig_cmd(0, 1, (uint8_t[6]){ 0 }, 6);

		assert_int_equal(rig_do(u->r, Q, &c), VSCSI_OK);
		assert_int_equal(c.status, SR_SCSI_GOOD);
		assert_int_equal(rig_tmf_do(u->r, functions[i], 0, 1, 0), VSCSI_OK);
		assert_int_equal(rig_do(u->r, Q + 1, &c), VSCSI_OK);
		assert_int_equal(c.status, SR_SCSI_CHECK_CONDITION);
		assert_int_equal(c.sense[2] & 0xf, 6);
		assert_int_equal(c.sense[12], 0x29);
		rig_clear_attention(u->r, Q, 0, 1);
	}
	usual_end(u);
}

static void queries_find_what_is_under_way(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig *r = u->r;
	uint64_t tag;

	(void)state;
	assert_int_equal(rig_tmf_do(r, QUERY_TASK_SET, 0, 0, 0), VSCSI_OK);
	hold(u, 0);
	tag = u->c[1][3].tag;
	assert_int_equal(rig_tmf_do(r, QUERY_TASK_SET, 0, 0, 0), VSCSI_FUNCTION_SUCCEEDED);
	assert_int_equal(rig_tmf_do(r, QUERY_TASK_SET, 0, 1, 0), VSCSI_OK);
	assert_int_equal(rig_tmf_do(r, QUERY_TASK, 0, 0, tag), VSCSI_FUNCTION_SUCCEEDED);
	assert_int_equal(rig_tmf_do(r, QUERY_TASK, 0, 0, 1ull << 60), VSCSI_OK);
	assert_int_equal(count(u, 0xff), 0);
	assert_int_equal(sr_scsi_in_flight(r->scsi), 2 * HELD);
	usual_end(u);
}

static void what_is_unknown_is_rejected_and_wrong_addresses_are_named(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd c = { 0 };
	uint8_t bytes[24] = { 0 };

	(void)state;
	assert_int_equal(rig_tmf_do(u->r, CLEAR_ACA, 0, 0, 0), VSCSI_FUNCTION_REJECTED);
	assert_int_equal(rig_tmf_do(u->r, 8, 0, 0, 0), VSCSI_FUNCTION_REJECTED);
	assert_int_equal(rig_tmf_do(u->r, UINT32_MAX, 0, 0, 0), VSCSI_FUNCTION_REJECTED);
	assert_int_equal(rig_tmf_do(u->r, ABORT_TASK, 9, 0, 0), VSCSI_BAD_TARGET);
	assert_int_equal(rig_tmf_do(u->r, I_T_NEXUS_RESET, 9, 0, 0), VSCSI_BAD_TARGET);
	assert_int_equal(rig_tmf_do(u->r, ABORT_TASK, 0, 9, 0), VSCSI_INCORRECT_LUN);
	/* All bytes of the address are zero. */
	for (unsigned i = 0; i < 2; i++) {
		bytes[4] = i ? I_T_NEXUS_RESET : LOGICAL_UNIT_RESET;
		rig_send_raw(u->r, VSCSI_CTRL, &c, bytes, sizeof(bytes), 1);
		rig_kick(u->r, VSCSI_CTRL);
		rig_until_done(u->r, VSCSI_CTRL, &c);
		assert_int_equal(*rig_at(u->r, c.in_at), VSCSI_INCORRECT_LUN);
	}
	usual_end(u);
}

static void short_control_requests_fail_and_the_ring_goes_on(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd c = { 0 };
	uint8_t bytes[24] = { 0 };

	(void)state;
	for (uint32_t len = 0; len < sizeof(bytes); len++) {
		rig_send_raw(u->r, VSCSI_CTRL, &c, bytes, len, 1);
		rig_kick(u->r, VSCSI_CTRL);
		rig_until_done(u->r, VSCSI_CTRL, &c);
		assert_int_equal(c.used, 1);
		assert_int_equal(*rig_at(u->r, c.in_at), VSCSI_FAILURE);
	}
	/* No room for an answer: done all the same. */
	hold(u, 0);
	bytes[4] = ABORT_TASK_SET;
	bytes[8] = 1;
	rig_send_raw(u->r, VSCSI_CTRL, &c, bytes, sizeof(bytes), 0);
	rig_kick(u->r, VSCSI_CTRL);
	rig_until_done(u->r, VSCSI_CTRL, &c);
	assert_int_equal(c.used, 0);
	assert_int_equal(count(u, VSCSI_ABORTED), 2 * HELD);
	usual_end(u);
}

static void a_disk_has_no_asynchronous_notifications(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd c = { 0 };
	uint8_t query[16] = { 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0xff, 0, 0, 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		query[0] = (uint8_t)(1 + i % 2);
		query[5] = (uint8_t)(i / 2 * 9);
		rig_send_raw(u->r, VSCSI_CTRL, &c, query, sizeof(query), 5);
		rig_kick(u->r, VSCSI_CTRL);
		rig_until_done(u->r, VSCSI_CTRL, &c);
		assert_int_equal(c.used, 5);
		assert_memory_equal(rig_at(u->r, c.in_at), "\0\0\0\0", 4);
		assert_int_equal(*rig_at(u->r, c.in_at + 4), i < 2 ? VSCSI_OK : VSCSI_BAD_TARGET);
	}
	query[0] = 77;
	rig_send_raw(u->r, VSCSI_CTRL, &c, query, sizeof(query), 5);
	rig_kick(u->r, VSCSI_CTRL);
	rig_until_done(u->r, VSCSI_CTRL, &c);
	assert_int_equal(*rig_at(u->r, c.in_at), VSCSI_FAILURE);
	usual_end(u);
}

static void a_stuck_medium_holds_up_only_the_function_that_is_about_it(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd stuck, ok = rig_read(0, 1, 0, 1);

	(void)state;
	atomic_store(&u->disk[0]->stubborn, true);
	hold(u, 0);
	rig_tmf(u->r, &stuck, LOGICAL_UNIT_RESET, 0, 0, 0);
	assert_int_equal(rig_tmf_do(u->r, LOGICAL_UNIT_RESET, 0, 1, 0), VSCSI_OK);
	assert_int_equal(rig_tmf_do(u->r, QUERY_TASK_SET, 0, 0, 0), VSCSI_FUNCTION_SUCCEEDED);
	assert_int_equal(rig_do(u->r, Q, &ok), VSCSI_OK);
	assert_int_equal(count(u, 0xff), 0);
	assert_false(stuck.done);
	atomic_store(&u->disk[0]->hold, false);
	rig_until_done(u->r, VSCSI_CTRL, &stuck);
	assert_int_equal(*rig_at(u->r, stuck.in_at), VSCSI_OK);
	/* They ended with what came of them. */
	assert_int_equal(count(u, VSCSI_OK), 2 * HELD);
	usual_end(u);
}

static void a_function_that_waits_too_long_is_rejected_and_harms_nobody(void **state)
{
	struct usual *u = usual_begin(20);
	unsigned rejected = 0, busy = 0;

	(void)state;
	atomic_store(&u->disk[0]->stubborn, true);
	hold(u, 0);
	/* As many as are remembered, and more. */
	for (unsigned i = 0; i < VSCSI_TMFS_MAX + 3; i++) {
		uint8_t response = rig_tmf_do(u->r, ABORT_TASK, 0, 0, u->c[i % 2][0].tag);

		rejected += response == VSCSI_FUNCTION_REJECTED;
		busy += response == VSCSI_BUSY;
	}
	assert_int_equal(rejected, VSCSI_TMFS_MAX);
	assert_int_equal(busy, 3);
	atomic_store(&u->disk[0]->hold, false);
	while (atomic_load(&u->r->scsi->tmfs))
		rig_settle(u->r);
	assert_int_equal(count(u, VSCSI_OK), 2 * HELD);
	assert_int_equal(rig_tmf_do(u->r, ABORT_TASK_SET, 0, 0, 0), VSCSI_OK);
	usual_end(u);
}

static bool is_quiet(void *ctx)
{
	struct rig_queue *q = ctx;

	return atomic_load(&q->drained);
}

static void draining_the_control_queue_waits_for_functions(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd stuck;

	(void)state;
	atomic_store(&u->disk[0]->stubborn, true);
	hold(u, 0);
	rig_tmf(u->r, &stuck, ABORT_TASK_SET, 0, 0, 0);
	rig_settle(u->r);
	assert_false(rig_drain(u->r, VSCSI_CTRL));
	rig_settle(u->r);
	assert_int_equal(atomic_load(&u->r->q[VSCSI_CTRL].drained), 0);
	atomic_store(&u->disk[0]->hold, false);
	rig_until(u->r, is_quiet, &u->r->q[VSCSI_CTRL]);
	rig_collect(u->r, VSCSI_CTRL);
	assert_true(stuck.done);
	rig_stop(u->r, VSCSI_CTRL);
	rig_start(u->r, VSCSI_CTRL, 128);
	assert_int_equal(rig_tmf_do(u->r, QUERY_TASK_SET, 0, 0, 0), VSCSI_OK);
	usual_end(u);
}

static void abandoning_the_control_queue_rejects_functions(void **state)
{
	struct usual *u = usual_begin(0);
	struct rig_cmd stuck;

	(void)state;
	atomic_store(&u->disk[0]->stubborn, true);
	hold(u, 0);
	rig_tmf(u->r, &stuck, I_T_NEXUS_RESET, 0, 0, 0);
	rig_settle(u->r);
	assert_false(rig_drain(u->r, VSCSI_CTRL));
	assert_true(rig_abandon(u->r, VSCSI_CTRL));
	rig_collect(u->r, VSCSI_CTRL);
	assert_true(stuck.done);
	assert_int_equal(*rig_at(u->r, stuck.in_at), VSCSI_FUNCTION_REJECTED);
	rig_stop(u->r, VSCSI_CTRL);
	atomic_store(&u->disk[0]->hold, false);
	while (atomic_load(&u->r->scsi->tmfs))
		rig_settle(u->r);
	assert_int_equal(atomic_load(&u->r->q[VSCSI_CTRL].drained), 0);
	usual_end(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abort_task_ends_one_command_of_any_queue),
		cmocka_unit_test(task_sets_units_and_nexuses_end_all_of_theirs),
		cmocka_unit_test(a_reset_is_told_as_an_attention),
		cmocka_unit_test(queries_find_what_is_under_way),
		cmocka_unit_test(what_is_unknown_is_rejected_and_wrong_addresses_are_named),
		cmocka_unit_test(short_control_requests_fail_and_the_ring_goes_on),
		cmocka_unit_test(a_disk_has_no_asynchronous_notifications),
		cmocka_unit_test(a_stuck_medium_holds_up_only_the_function_that_is_about_it),
		cmocka_unit_test(a_function_that_waits_too_long_is_rejected_and_harms_nobody),
		cmocka_unit_test(draining_the_control_queue_waits_for_functions),
		cmocka_unit_test(abandoning_the_control_queue_rejects_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
