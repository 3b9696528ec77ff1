/* SPDX-License-Identifier: BSD-3-Clause */
/* Units that come and go, queues that drain, are abandoned, stop and start; events. */
#include "vscsi_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define Q VSCSI_REQUEST

static const struct sr_scsi_config two = { .name = "s", .queues = 2 };

/* Two workers, two request queues, a unit at target 0, unit 0, and another at unit 1. */
struct usual {
	struct rig *r;
	struct slow *disk[2];
	struct sr_scsi_unit *unit[2];
};

static struct usual usual_begin(uint64_t features)
{
	struct usual u = { .r = rig_create(&two, 2, features) };

	for (unsigned i = 0; i < 2; i++) {
		u.disk[i] = slow_create("d", RIG_DISK);
		u.unit[i] = rig_unit(&u.disk[i]->disk);
		rig_attach(u.r, 0, i, u.unit[i]);
	}
	rig_reset(u.r); /* what came before the guest is not news to it */
	rig_start_all(u.r);
	for (unsigned i = 0; i < 4; i++)
		rig_clear_attention(u.r, Q, 0, i % 2);
	return u;
}

static void usual_end(struct usual *u)
{
	atomic_store(&u->disk[0]->hold, false);
	atomic_store(&u->disk[1]->hold, false);
	rig_destroy(u->r);
	rig_unit_free(u->unit[0]);
	rig_unit_free(u->unit[1]);
}

static bool one_held(void *ctx)
{
	struct slow *d = ctx;

	return atomic_load(&d->held) == 1;
}

/* A read of unit 0 that does not end. */
static void hold(struct usual *u, unsigned queue, struct rig_cmd *c)
{
	atomic_store(&u->disk[0]->hold, true);
	*c = rig_read(0, 0, 0, 1);
	rig_send(u->r, queue, c);
	rig_kick(u->r, queue);
	rig_until(u->r, one_held, u->disk[0]);
}

static bool is_detached(void *ctx)
{
	struct rig *r = ctx;

	return r->detached;
}

static bool is_quiet(void *ctx)
{
	struct rig_queue *q = ctx;

	return atomic_load(&q->drained);
}

static void places_are_checked(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_scsi_attach(u.r->scsi, 0, 0, u.unit[0], &e), -EEXIST);
	assert_int_equal(sr_scsi_attach(u.r->scsi, 256, 0, u.unit[0], &e), -EINVAL);
	assert_int_equal(sr_scsi_attach(u.r->scsi, 0, 16384, u.unit[0], &e), -EINVAL);
	assert_int_equal(sr_scsi_attach(u.r->scsi, 0, 2, u.unit[0], &e), -EEXIST);
	assert_int_equal(sr_scsi_detach(u.r->scsi, 0, 2, NULL, NULL, &e), -ENOENT);
	assert_int_equal(sr_scsi_detach(u.r->scsi, 1, 0, NULL, NULL, &e), -ENOENT);
	assert_int_equal(sr_scsi_detach(u.r->scsi, 256, 0, NULL, NULL, &e), -ENOENT);
	assert_int_equal(sr_scsi_detach(u.r->scsi, 0, 16384, NULL, NULL, &e), -ENOENT);
	usual_end(&u);
}

static void without_queues_a_unit_is_free_at_once(void **state)
{
	struct rig *r = rig_create(&two, 0, 0);
	struct sr_scsi_unit *u = rig_unit(&slow_create("d", RIG_DISK)->disk);

	(void)state;
	rig_attach(r, 255, 16383, u);
	rig_detach(r, 255, 16383);
	assert_int_equal(r->detached, 1);
	rig_unit_free(u);
	rig_destroy(r);
}

static void a_removal_ends_what_is_under_way(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd held, later = rig_read(0, 0, 0, 1);

	(void)state;
	hold(&u, Q + 1, &held);
	rig_detach(u.r, 0, 0);
	rig_until(u.r, is_detached, u.r);
	rig_until_done(u.r, Q + 1, &held);
	assert_int_equal(held.response, VSCSI_TRANSPORT_FAILURE);
	assert_int_equal(rig_do(u.r, Q, &later), VSCSI_OK);
	assert_int_equal(later.sense[12], 0x25);
	rig_detach(u.r, 0, 1);
	assert_int_equal(rig_do(u.r, Q, &later), VSCSI_BAD_TARGET);
	usual_end(&u);
}

static void a_removal_waits_for_a_stuck_medium_and_nobody_else_does(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_scsi_unit *next = rig_unit(&slow_create("next", RIG_DISK)->disk);
	struct rig_cmd held, c = rig_read(0, 0, 0, 1);

	(void)state;
	atomic_store(&u.disk[0]->stubborn, true);
	hold(&u, Q + 1, &held);
	rig_detach(u.r, 0, 0);
	/* New commands find no unit at once. */
	assert_int_equal(rig_do(u.r, Q + 1, &c), VSCSI_OK);
	assert_int_equal(c.sense[12], 0x25);
	rig_clear_attention(u.r, Q, 0, 1);
	c = rig_read(0, 1, 0, 1);
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_GOOD);
	/* The place can be used again. */
	rig_attach(u.r, 0, 0, next);
	rig_clear_attention(u.r, Q + 1, 0, 0);
	c = rig_read(0, 0, 0, 1);
	assert_int_equal(rig_do(u.r, Q + 1, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_GOOD);
	rig_settle(u.r);
	assert_int_equal(u.r->detached, 0);
	assert_false(held.done);
	atomic_store(&u.disk[0]->hold, false);
	rig_until(u.r, is_detached, u.r);
	rig_collect(u.r, Q + 1);
	assert_true(held.done);
	usual_end(&u);
	rig_unit_free(next);
}

static void count_detached(void *ctx)
{
	(*(unsigned *)ctx)++;
}

/* Its control loop does not go round any more. */
static void destroying_the_device_completes_removals(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd c = rig_read(0, 0, 0, 1);
	unsigned gone = 0;
	struct sr_error e;

	(void)state;
	rig_do(u.r, Q, &c);
	assert_int_equal(sr_scsi_detach(u.r->scsi, 0, 0, count_detached, &gone, &e), 0);
	usual_end(&u);
	assert_int_equal(gone, 1);
}

static void draining_takes_no_more_and_waits_for_the_rest(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd held, later;

	(void)state;
	assert_true(rig_drain(u.r, VSCSI_EVENT));
	assert_true(rig_drain(u.r, Q + 1));
	hold(&u, Q, &held);
	assert_false(rig_drain(u.r, Q));
	later = rig_read(0, 1, 0, 1);
	rig_send(u.r, Q, &later);
	rig_kick(u.r, Q);
	rig_settle(u.r);
	assert_int_equal(atomic_load(&u.r->q[Q].drained), 0);
	atomic_store(&u.disk[0]->hold, false);
	rig_until(u.r, is_quiet, &u.r->q[Q]);
	rig_settle(u.r);
	assert_int_equal(atomic_load(&u.r->q[Q].drained), 1);
	rig_collect(u.r, Q);
	assert_true(held.done);
	assert_int_equal(held.response, VSCSI_OK);
	assert_false(later.done);
	/* What was not taken is there after a new start. */
	rig_stop(u.r, Q);
	rig_start(u.r, Q, 128);
	rig_until_done(u.r, Q, &later);
	usual_end(&u);
}

static void abandoned_commands_come_back_reset(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd held;

	(void)state;
	hold(&u, Q, &held);
	assert_false(rig_drain(u.r, Q));
	assert_true(rig_abandon(u.r, Q));
	rig_collect(u.r, Q);
	assert_true(held.done);
	assert_int_equal(held.response, VSCSI_RESET);
	rig_stop(u.r, Q);
	rig_settle(u.r);
	assert_int_equal(atomic_load(&u.r->q[Q].drained), 0);
	usual_end(&u);
}

static void what_cannot_be_abandoned_is_told_when_it_ends(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd held;

	(void)state;
	atomic_store(&u.disk[0]->stubborn, true);
	hold(&u, Q, &held);
	assert_false(rig_drain(u.r, Q));
	assert_false(rig_abandon(u.r, Q));
	atomic_store(&u.disk[0]->hold, false);
	rig_until(u.r, is_quiet, &u.r->q[Q]);
	rig_collect(u.r, Q);
	assert_true(held.done);
	rig_stop(u.r, Q);
	usual_end(&u);
}

static void with_a_record_abandoned_commands_are_done_after_the_next_start(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	size_t bytes = sr_vq_inflight_bytes(128, RIG_MODERN);
	void *record = aligned_alloc(64, bytes);
	struct rig_cmd held;

	(void)state;
	memset(record, 0, bytes);
	assert_true(rig_drain(u.r, Q));
	rig_stop(u.r, Q);
	u.r->q[Q].record = record;
	rig_start(u.r, Q, 128);
	hold(&u, Q, &held);
	assert_false(rig_drain(u.r, Q));
	assert_true(rig_abandon(u.r, Q));
	rig_collect(u.r, Q);
	assert_false(held.done);
	rig_stop(u.r, Q);
	atomic_store(&u.disk[0]->hold, false);
	rig_start(u.r, Q, 128);
	rig_until_done(u.r, Q, &held);
	assert_int_equal(held.response, VSCSI_OK);
	assert_int_equal(held.status, SR_SCSI_GOOD);
	usual_end(&u);
	free(record);
}

static void a_disabled_queue_takes_nothing(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd c = rig_read(0, 1, 0, 1);

	(void)state;
	rig_enable(u.r, Q, false);
	rig_send(u.r, Q, &c);
	rig_kick(u.r, Q);
	rig_settle(u.r);
	rig_collect(u.r, Q);
	assert_false(c.done);
	rig_enable(u.r, Q, true);
	rig_until_done(u.r, Q, &c);
	usual_end(&u);
}

static void a_reset_of_the_device_ends_its_nexuses(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd c = rig_cmd(0, 1, (uint8_t[6]){ 0 }, 6);

	(void)state;
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_GOOD);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(rig_drain(u.r, i));
		rig_stop(u.r, i);
	}
	rig_reset(u.r);
	rig_start_all(u.r);
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	assert_int_equal(c.sense[12], 0x29);
	usual_end(&u);
}

/* Events. */

static void expect(struct rig *r, struct rig_cmd *c, uint32_t event, const uint8_t lun[8],
		   uint32_t reason)
{
	struct rig_event e;

	rig_until_done(r, VSCSI_EVENT, c);
	e = rig_event(r, c);
	assert_int_equal(e.event, event);
	assert_memory_equal(e.lun, lun, 8);
	assert_int_equal(e.reason, reason);
}

static void plugging_unplugging_and_growing_are_events(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_scsi_unit *next = rig_unit(&slow_create("next", RIG_DISK)->disk);
	uint64_t before = atomic_load(&sr_scsi_counters(u.r->scsi)->events);
	struct rig_cmd c[3];
	struct sr_error e;

	(void)state;
	/* With a buffer there, and without one. */
	rig_event_buffer(u.r, &c[0], 16);
	rig_attach(u.r, 7, 300, next);
	expect(u.r, &c[0], 1, (uint8_t[8]){ 1, 7, 0x41, 0x2c }, 1);
	sr_disk_resize(sr_scsi_unit_disk(next), RIG_DISK / 2, &e);
	rig_detach(u.r, 7, 300);
	rig_settle(u.r);
	rig_event_buffer(u.r, &c[1], 16);
	rig_event_buffer(u.r, &c[2], 40);
	expect(u.r, &c[1], 3, (uint8_t[8]){ 1, 7, 0x41, 0x2c }, 0x092a);
	expect(u.r, &c[2], 1, (uint8_t[8]){ 1, 7, 0x41, 0x2c }, 2);
	assert_int_equal(atomic_load(&sr_scsi_counters(u.r->scsi)->events), before + 3);
	usual_end(&u);
	rig_unit_free(next);
}

static void only_events_that_were_negotiated_are_sent(void **state)
{
	struct usual u = usual_begin(SR_F_VERSION_1 | SR_SCSI_F_CHANGE);
	struct sr_scsi_unit *next = rig_unit(&slow_create("next", RIG_DISK)->disk);
	struct sr_error e;
	struct rig_cmd c;

	(void)state;
	rig_event_buffer(u.r, &c, 16);
	rig_attach(u.r, 7, 0, next);
	rig_detach(u.r, 7, 0);
	sr_disk_resize(&u.disk[1]->disk, RIG_DISK / 2, &e);
	expect(u.r, &c, 3, (uint8_t[8]){ 1, 0, 0, 1 }, 0x092a);
	usual_end(&u);
	rig_unit_free(next);
}

static void other_units_of_the_target_tell_of_the_change(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_scsi_unit *next = rig_unit(&slow_create("next", RIG_DISK)->disk);
	struct rig_cmd c = rig_cmd(0, 1, (uint8_t[6]){ 0 }, 6);

	(void)state;
	rig_attach(u.r, 0, 9, next);
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_CHECK_CONDITION);
	assert_int_equal(c.sense[12] << 8 | c.sense[13], 0x3f0e);
	usual_end(&u);
	rig_unit_free(next);
}

static void events_that_find_no_room_are_missed_and_that_is_told(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_error e;
	struct rig_cmd c[4];

	(void)state;
	for (unsigned i = 0; i < VSCSI_EVENTS_MAX + 5; i++)
		sr_disk_resize(&u.disk[0]->disk, RIG_DISK - 512 * (i + 1), &e);
	assert_int_equal(atomic_load(&sr_scsi_counters(u.r->scsi)->events_missed), 5);
	/* A buffer that is too short says that nothing happened, and loses nothing. */
	rig_event_buffer(u.r, &c[0], 8);
	rig_until_done(u.r, VSCSI_EVENT, &c[0]);
	assert_int_equal(c[0].used, 8);
	assert_memory_equal(rig_at(u.r, c[0].in_at), "\0\0\0\0\0\0\0\0", 8);
	rig_event_buffer(u.r, &c[1], 16);
	expect(u.r, &c[1], 3 | 0x80000000u, (uint8_t[8]){ 1, 0, 0, 0 }, 0x092a);
	for (unsigned i = 0; i < VSCSI_EVENTS_MAX - 1; i++) {
		rig_event_buffer(u.r, &c[2], 16);
		expect(u.r, &c[2], 3, (uint8_t[8]){ 1, 0, 0, 0 }, 0x092a);
	}
	rig_event_buffer(u.r, &c[3], 16);
	rig_settle(u.r);
	rig_collect(u.r, VSCSI_EVENT);
	assert_false(c[3].done);
	usual_end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_checked),
		cmocka_unit_test(without_queues_a_unit_is_free_at_once),
		cmocka_unit_test(a_removal_ends_what_is_under_way),
		cmocka_unit_test(a_removal_waits_for_a_stuck_medium_and_nobody_else_does),
		cmocka_unit_test(destroying_the_device_completes_removals),
		cmocka_unit_test(draining_takes_no_more_and_waits_for_the_rest),
		cmocka_unit_test(abandoned_commands_come_back_reset),
		cmocka_unit_test(what_cannot_be_abandoned_is_told_when_it_ends),
		cmocka_unit_test(with_a_record_abandoned_commands_are_done_after_the_next_start),
		cmocka_unit_test(a_disabled_queue_takes_nothing),
		cmocka_unit_test(a_reset_of_the_device_ends_its_nexuses),
		cmocka_unit_test(plugging_unplugging_and_growing_are_events),
		cmocka_unit_test(only_events_that_were_negotiated_are_sent),
		cmocka_unit_test(other_units_of_the_target_tell_of_the_change),
		cmocka_unit_test(events_that_find_no_room_are_missed_and_that_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
