/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a queue whose disk takes its time, or takes for ever. */
#include "blk_rig.h"

#include <errno.h>
#include <stdlib.h>

#define MANY 20u

static struct rig_req reqs[MANY];

static void add_many(struct rig *r)
{
	for (unsigned i = 0; i < MANY; i++) {
		reqs[i] = (struct rig_req){ .type = BLK_T_IN, .sector = i, .in_len = 512 };
		rig_add(r, 0, &reqs[i]);
	}
	rig_process(r, 0);
	assert_int_equal(r->fake->channel->n, MANY);
}

static struct rig *rig_holding(void)
{
	struct rig *r = rig_usual();

	r->fake->hold = true;
	add_many(r);
	return r;
}

static void a_queue_drains_when_the_last_request_is_answered(void **state)
{
	struct rig *r = rig_holding();
	struct rig_req late = { .type = BLK_T_IN, .in_len = 512 };

	(void)state;
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	rig_add(r, 0, &late);
	assert_int_equal(r->dev->ops->process(r->dev, 0, 128), 0);
	assert_false(r->dev->ops->arm(r->dev, 0));
	while (r->fake->channel->n > 1)
		fake_finish(r->fake, r->fake->channel->n / 2);
	fake_poll(r->fake);
	assert_int_equal(r->q[0].drained, 0);
	assert_int_equal(rig_collect(r, 0), MANY - 1);
	fake_finish(r->fake, 0);
	fake_poll(r->fake);
	assert_int_equal(r->q[0].drained, 1);
	assert_int_equal(rig_collect(r, 0), 1);
	/* What came after was not taken, and is there for the next start. */
	assert_false(late.done);
	rig_stop(r, 0);
	r->fake->hold = false;
	rig_start(r, 0, 128);
	rig_process(r, 0);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(r->q[0].drained, 1);
	rig_destroy(r);
}

static void what_is_done_already_needs_no_waiting(void **state)
{
	struct rig *r = rig_holding();

	(void)state;
	while (r->fake->channel->n)
		fake_finish(r->fake, 0);
	assert_true(r->dev->ops->queue_drain(r->dev, 0));
	assert_int_equal(r->q[0].drained, 0);
	assert_int_equal(rig_collect(r, 0), MANY);
	rig_destroy(r);
}

static void abandoned_requests_fail(void **state)
{
	struct rig *r = rig_holding();

	(void)state;
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	fake_finish(r->fake, 3); /* has a result and keeps it */
	assert_true(r->dev->ops->queue_abandon(r->dev, 0));
	assert_int_equal(rig_collect(r, 0), MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(reqs[i].status, i == 3 ? BLK_S_OK : BLK_S_IOERR);
	assert_int_equal(r->q[0].drained, 0);
	rig_stop(r, 0);
	rig_start(r, 0, 128);
	assert_int_equal(r->fake->channel->n, 0);
	rig_destroy(r);
}

static void what_cannot_be_abandoned_is_waited_for(void **state)
{
	struct rig *r = rig_holding();

	(void)state;
	r->fake->stubborn = true;
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	assert_false(r->dev->ops->queue_abandon(r->dev, 0));
	assert_int_equal(rig_collect(r, 0), 0);
	fake_finish_all_backwards(r->fake);
	assert_int_equal(r->q[0].drained, 1);
	assert_int_equal(rig_collect(r, 0), MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(reqs[i].status, BLK_S_OK);
	rig_destroy(r);
}

static void *record_make(void)
{
	size_t bytes = sr_vq_inflight_bytes(128, RIG_MODERN);
	void *p = aligned_alloc(64, bytes);

	assert_non_null(p);
	memset(p, 0, bytes);
	return p;
}

/* With a record in shared memory they are no failures: whoever comes next does them. */
static void abandoned_requests_come_back_where_the_record_keeps_them(void **state)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);

	(void)state;
	r->fake = f;
	r->q[0].record = record_make();
	rig_start(r, 0, 128);
	f->hold = true;
	add_many(r);
	fake_finish(f, 7);
	fake_poll(f);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_false(r->dev->ops->queue_drain(r->dev, 0));
	fake_finish(f, 2);
	assert_true(r->dev->ops->queue_abandon(r->dev, 0));
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(sr_blk_in_flight(r->blk), 0);
	rig_stop(r, 0);

	f->hold = false;
	f->logged = 0;
	rig_start(r, 0, 128);
	rig_process(r, 0);
	assert_int_equal(f->logged, MANY - 2);
	assert_int_equal(rig_collect(r, 0), MANY - 2);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(reqs[i].status, BLK_S_OK);
	free(r->q[0].record);
	rig_destroy(r);
}

static void what_has_an_error_is_not_kept(void **state)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);
	struct rig_req bad = { .type = BLK_T_IN, .sector = UINT64_MAX, .in_len = 512 };

	(void)state;
	r->fake = f;
	r->q[0].record = record_make();
	rig_start(r, 0, 128);
	rig_add(r, 0, &bad);
	rig_process(r, 0);
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(bad.status, BLK_S_IOERR);
	rig_stop(r, 0);
	rig_start(r, 0, 128);
	rig_process(r, 0);
	assert_int_equal(f->logged, 0);
	free(r->q[0].record);
	rig_destroy(r);
}

/* The chain that breaks a queue is in the record: it stays popped. */
static void a_queue_that_keeps_can_break_and_start_again(void **state)
{
	struct rig_req bad = { .type = BLK_T_FLUSH, .no_status = true };
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);

	(void)state;
	r->fake = f;
	r->q[0].record = record_make();
	for (unsigned round = 0; round < 2; round++) {
		rig_start(r, 0, 128);
		if (!round)
			rig_add(r, 0, &bad);
		rig_process(r, 0);
		assert_non_null(strstr(r->q[0].broken, "status"));
		assert_true(r->dev->ops->queue_drain(r->dev, 0));
		rig_stop(r, 0);
	}
	free(r->q[0].record);
	rig_destroy(r);
}

static void a_discard_of_many_ranges_is_abandoned_whole(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} v[] = { { 0, 1, 0 }, { 4, 1, 0 }, { 8, 1, 0 }, { 12, 1, 0 } };
	struct rig_req q = { .type = BLK_T_DISCARD, .out = v, .out_len = sizeof(v) };

	(void)state;
	for (unsigned done = 0; done < 4; done++) {
		for (unsigned first = 0; first <= 4 - done; first++) {
			struct rig *r = rig_usual();

			r->fake->hold = true;
			rig_add(r, 0, &q);
			rig_process(r, 0);
			for (unsigned i = 0; i < done && first < r->fake->channel->n; i++)
				fake_finish(r->fake, first);
			fake_poll(r->fake);
			assert_false(r->dev->ops->queue_drain(r->dev, 0));
			assert_true(r->dev->ops->queue_abandon(r->dev, 0));
			assert_int_equal(rig_collect(r, 0), 1);
			assert_int_equal(q.status, BLK_S_IOERR);
			rig_destroy(r);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_drains_when_the_last_request_is_answered),
		cmocka_unit_test(what_is_done_already_needs_no_waiting),
		cmocka_unit_test(abandoned_requests_fail),
		cmocka_unit_test(what_cannot_be_abandoned_is_waited_for),
		cmocka_unit_test(abandoned_requests_come_back_where_the_record_keeps_them),
		cmocka_unit_test(what_has_an_error_is_not_kept),
		cmocka_unit_test(a_queue_that_keeps_can_break_and_start_again),
		cmocka_unit_test(a_discard_of_many_ranges_is_abandoned_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
