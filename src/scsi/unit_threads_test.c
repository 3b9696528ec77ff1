/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes on loops of their own that race: for the thread sanitizer, and for increments that must
 * not be lost. The medium's memory has no lock: that no two touch a block at a time, and in what
 * order, is for the unit to see to.
 */
#include "unit_rig.h"

#include "base.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LANES	   2u
#define INCREMENTS 300u
#define BLOCK	   512u

/* One initiator on one loop, who counts up the first bytes of block 0: reads, then compares and
 * writes what he read plus one. Beside it he writes a block of his own. */
struct counter {
	struct sr_scsi_unit *unit;
	struct sr_loop *loop;
	struct sr_scsi_lane *lane;
	struct sr_scsi_nexus *nexus;
	struct sr_scsi_cmd read, caw, write;
	struct iovec in, out, own;
	uint8_t seen[BLOCK], data[2 * BLOCK], block[BLOCK];
	unsigned done, index, miscompares, under_way;
	sem_t *finished;
};

static void submit(struct counter *k, struct sr_scsi_cmd *c)
{
	k->under_way++;
	sr_scsi_submit(k->lane, &c, 1);
}

static void next(struct counter *k, struct sr_scsi_cmd *c)
{
	if (c == &k->read) {
		assert_int_equal(c->status, SR_SCSI_GOOD);
		memcpy(k->data, k->seen, BLOCK);
		memcpy(k->data + BLOCK, k->seen, BLOCK);
		sr_put_be32(k->data + BLOCK, sr_get_be32(k->seen) + 1);
		submit(k, &k->caw);
		return;
	}
	if (c == &k->caw && c->status == SR_SCSI_GOOD)
		k->done++;
	else if (c == &k->caw)
		k->miscompares++;
	if (k->done < INCREMENTS)
		submit(k, c == &k->caw ? &k->read : c);
}

static void complete(void *ctx, struct sr_scsi_cmd *const *c, unsigned n)
{
	struct counter *k = ctx;

	for (unsigned i = 0; i < n; i++) {
		k->under_way--;
		next(k, c[i]);
	}
	if (!k->under_way)
		sem_post(k->finished);
}

static void begin(void *ctx)
{
	struct counter *k = ctx;

	k->lane = sr_scsi_lane_create(k->unit, k->loop, complete, k, NULL);
	assert_non_null(k->lane);
	submit(k, &k->read);
	submit(k, &k->write);
}

static void end(void *ctx)
{
	sr_scsi_lane_destroy(((struct counter *)ctx)->lane);
}

static void counter_init(struct counter *k)
{
	const struct sr_loop_config lc = { .name = "lane", .cpu = -1, .poll_us = 50 };

	k->loop = sr_loop_create(&lc, NULL);
	k->in = (struct iovec){ k->seen, BLOCK };
	k->out = (struct iovec){ k->data, 2 * BLOCK };
	k->own = (struct iovec){ k->block, BLOCK };
	k->read.nexus = k->caw.nexus = k->write.nexus = k->nexus;
	rig_hex("28 00 00000000 00 0001 00", k->read.cdb, 32);
	rig_hex("89 00 0000000000000000 00000001 00 00", k->caw.cdb, 32);
	rig_hex("2a 00 00000008 00 0001 00", k->write.cdb, 32);
	k->write.cdb[5] = (uint8_t)(8 + k->index);
	k->read.in = &k->in;
	k->caw.out = &k->out;
	k->write.out = &k->own;
	k->read.nin = k->caw.nout = k->write.nout = 1;
	k->read.in_len = k->write.out_len = BLOCK;
	k->caw.out_len = 2 * BLOCK;
	assert_int_equal(sr_loop_spawn(k->loop, NULL), 0);
}

static void increments_by_compare_and_write_are_never_lost(void **state)
{
	static const struct rig_options plain = { 0 };
	static struct counter k[LANES];
	struct unit_rig r;
	sem_t finished;

	(void)state;
	rig_create(&r, &plain);
	sem_init(&finished, 0, 0);
	for (unsigned i = 0; i < LANES; i++) {
		k[i] = (struct counter){
			.unit = r.unit, .nexus = r.nexus[i], .index = i, .finished = &finished
		};
		counter_init(&k[i]);
		assert_int_equal(sr_loop_post(k[i].loop, begin, &k[i]), 0);
	}
	/* The rig's own lanes have fences to pass as well. */
	for (unsigned i = 0; i < LANES;) {
		sr_scsi_poll(r.lane);
		sr_scsi_poll(r.other);
		sched_yield();
		if (!sem_trywait(&finished))
			i++;
	}
	for (unsigned i = 0; i < LANES; i++)
		sr_loop_call(k[i].loop, end, &k[i]);
	for (unsigned i = 0; i < LANES; i++)
		sr_loop_destroy(k[i].loop);
	assert_int_equal(sr_get_be32(r.medium->data), LANES * INCREMENTS);
	sem_destroy(&finished);
	rig_destroy(&r);
}

/* ---- control, while commands run ---- */

struct runner {
	struct sr_scsi_unit *unit;
	struct sr_loop *loop;
	struct sr_scsi_lane *lane;
	struct sr_scsi_cmd read;
	struct iovec in;
	uint8_t data[BLOCK];
	_Atomic bool stop;
	uint64_t good, attentions;
	sem_t ended;
};

static void runner_complete(void *ctx, struct sr_scsi_cmd *const *c, unsigned n)
{
	struct runner *u = ctx;

	assert_int_equal(n, 1);
	if (c[0]->status == SR_SCSI_GOOD)
		u->good++;
	else if (c[0]->sense[2] == 6)
		u->attentions++;
	if (atomic_load(&u->stop))
		sem_post(&u->ended);
	else
		sr_scsi_submit(u->lane, c, 1);
}

static void runner_begin(void *ctx)
{
	struct runner *u = ctx;
	struct sr_scsi_cmd *c = &u->read;

	u->lane = sr_scsi_lane_create(u->unit, u->loop, runner_complete, u, NULL);
	sr_scsi_submit(u->lane, &c, 1);
}

static void runner_end(void *ctx)
{
	sr_scsi_lane_destroy(((struct runner *)ctx)->lane);
}

static void attentions_and_resets_meet_running_commands(void **state)
{
	static const struct rig_options plain = { 0 };
	const struct sr_loop_config lc = { .name = "lane", .cpu = -1, .poll_us = 50 };
	static struct runner u;
	struct unit_rig r;

	(void)state;
	rig_create(&r, &plain);
	u.unit = r.unit;
	u.loop = sr_loop_create(&lc, NULL);
	u.in = (struct iovec){ u.data, BLOCK };
	u.read =
		(struct sr_scsi_cmd){ .nexus = r.nexus[0], .in = &u.in, .nin = 1, .in_len = BLOCK };
	rig_hex("28 00 00000000 00 0001 00", u.read.cdb, 32);
	sem_init(&u.ended, 0, 0);
	assert_int_equal(sr_loop_spawn(u.loop, NULL), 0);
	sr_loop_call(u.loop, runner_begin, &u);
	for (unsigned i = 0; i < 300; i++) {
		sr_scsi_unit_attention(r.unit, NULL, (uint16_t)(0x3f00 + i % 20));
		if (i % 10 == 0)
			sr_scsi_unit_reset(r.unit);
		if (i % 16 == 0)
			sr_disk_resize(&r.medium->disk, (uint64_t)BLOCK * (1024 + i), NULL);
		sr_scsi_unit_detach(r.unit, r.nexus[1]);
		assert_int_equal(sr_scsi_unit_attach(r.unit, r.nexus[1], NULL), 0);
		rig_do(&r, 2, "15 10 00 00 10 00", "00000000 0a0a 00 10 00 40 0000 ffff 0000");
	}
	atomic_store(&u.stop, true);
	sem_wait(&u.ended);
	sr_loop_call(u.loop, runner_end, &u);
	sr_loop_destroy(u.loop);
	assert_true(u.good + u.attentions > 0);
	sem_destroy(&u.ended);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(increments_by_compare_and_write_are_never_lost),
		cmocka_unit_test(attentions_and_resets_meet_running_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
