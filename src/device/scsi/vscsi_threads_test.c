/* SPDX-License-Identifier: BSD-3-Clause */
/* Two queues on two loops under load while everything else happens: units come and go, commands
 * are aborted, queues stop and start, media get stuck. Each command comes back exactly once,
 * and those of a unit that nobody touches come back well. For the thread sanitizer too. */
#include "vscsi_rig.h"

#include <stdatomic.h>
#include <stdlib.h>

#define Q     VSCSI_REQUEST
#define DEPTH 32u
#define UNITS 4u

struct load {
	struct rig *r;
	struct slow *disk[UNITS];
	struct sr_scsi_unit *unit[UNITS];
	struct rig_cmd c[2][DEPTH];
	size_t used;
	unsigned dice, done, good, wanted;
};

static const struct sr_scsi_config config = { .name = "s", .queues = 2 };

/* Unit 0 stays; the others come and go. */
static void load_begin(struct load *l)
{
	memset(l, 0, sizeof(*l));
	l->r = rig_create(&config, 2, RIG_MODERN);
	l->dice = 1;
	for (unsigned i = 0; i < UNITS; i++) {
		l->disk[i] = slow_create("d", RIG_DISK);
		l->unit[i] = rig_unit(&l->disk[i]->disk);
		rig_attach(l->r, i / 2, i % 2, l->unit[i]);
	}
	rig_start_all(l->r);
}

static void load_end(struct load *l)
{
	rig_destroy(l->r);
	for (unsigned i = 0; i < UNITS; i++)
		rig_unit_free(l->unit[i]);
}

static void send_one(struct load *l, unsigned queue, struct rig_cmd *c)
{
	unsigned unit = (unsigned)rand_r(&l->dice) % UNITS;

	*c = rig_read(unit / 2, unit % 2, (uint32_t)rand_r(&l->dice) % 1024, 4);
	rig_send(l->r, queue, c);
}

static void judge(struct load *l, const struct rig_cmd *c)
{
	bool stays = c->lun[1] == 0 && c->lun[3] == 0;

	l->done++;
	l->good += c->response == VSCSI_OK && c->status == SR_SCSI_GOOD;
	/* An attention at most: the other unit of its target comes and goes. */
	if (stays &&
	    (c->response != VSCSI_OK || (c->status != SR_SCSI_GOOD && (c->sense[2] & 0xf) != 6)))
		fail_msg("response %u, status %u, asc %02x", c->response, c->status, c->sense[12]);
	if (c->response != VSCSI_OK && c->response != VSCSI_BAD_TARGET &&
	    c->response != VSCSI_TRANSPORT_FAILURE && c->response != VSCSI_ABORTED &&
	    c->response != VSCSI_RESET)
		fail_msg("response %u", c->response);
}

/* Guest memory is used again when nothing is under way. */
static bool go_round(struct load *l)
{
	unsigned back = 0;

	for (unsigned q = 0; q < 2; q++) {
		rig_collect(l->r, Q + q);
		for (unsigned i = 0; i < DEPTH; i++)
			back += l->c[q][i].done;
	}
	if (back < 2 * DEPTH)
		return false;
	l->r->used = l->used;
	for (unsigned q = 0; q < 2; q++) {
		for (unsigned i = 0; i < DEPTH; i++) {
			judge(l, &l->c[q][i]);
			send_one(l, Q + q, &l->c[q][i]);
		}
		rig_kick(l->r, Q + q);
	}
	return true;
}

static bool enough(void *ctx)
{
	struct load *l = ctx;

	go_round(l);
	return l->done >= l->wanted;
}

static void first(struct load *l)
{
	l->used = l->r->used;
	for (unsigned q = 0; q < 2; q++) {
		for (unsigned i = 0; i < DEPTH; i++)
			send_one(l, Q + q, &l->c[q][i]);
		rig_kick(l->r, Q + q);
	}
}

static void run(struct load *l, unsigned commands)
{
	l->wanted = l->done + commands;
	rig_until(l->r, enough, l);
}

static bool all_back(void *ctx)
{
	struct load *l = ctx;
	unsigned back = 0;

	for (unsigned q = 0; q < 2; q++) {
		rig_collect(l->r, Q + q);
		for (unsigned i = 0; i < DEPTH; i++)
			back += l->c[q][i].done;
	}
	return back == 2 * DEPTH;
}

struct gone {
	struct load *l;
	unsigned n;
};

static bool all_gone(void *ctx)
{
	struct gone *g = ctx;

	go_round(g->l);
	return g->l->r->detached == g->n;
}

static void units_come_and_go_under_load(void **state)
{
	static struct load l;
	struct gone g = { &l, 0 };

	(void)state;
	load_begin(&l);
	first(&l);
	for (unsigned round = 0; round < 150; round++) {
		unsigned i = 1 + round % (UNITS - 1);

		atomic_store(&l.disk[i]->hold, round % 4 == 3);
		run(&l, round % 4 == 3 ? 0 : 64);
		rig_detach(l.r, i / 2, i % 2);
		g.n++;
		rig_until(l.r, all_gone, &g);
		atomic_store(&l.disk[i]->hold, false);
		rig_attach(l.r, i / 2, i % 2, l.unit[i]);
	}
	run(&l, 2000);
	rig_until(l.r, all_back, &l);
	assert_true(l.good > l.done / 2);
	load_end(&l);
}

struct function {
	struct load *l;
	struct rig_cmd c;
};

static bool function_done(void *ctx)
{
	struct function *f = ctx;

	go_round(f->l);
	rig_collect(f->l->r, VSCSI_CTRL);
	return f->c.done;
}

/* Apart from the memory that go_round uses again. */
static void function_send(struct function *f, uint32_t subtype, unsigned unit, uint64_t tag)
{
	size_t used = f->l->r->used;

	f->l->r->used = 60u << 20;
	rig_tmf(f->l->r, &f->c, subtype, unit / 2, unit % 2, tag);
	f->l->r->used = used;
}

static void commands_are_aborted_under_load(void **state)
{
	static const uint32_t functions[] = { 0, 1, 3, 4, 5, 6, 7 };
	static struct load l;

	(void)state;
	load_begin(&l);
	first(&l);
	for (unsigned round = 0; round < 300; round++) {
		unsigned i = 2 + round % 2;
		struct function f = { .l = &l };

		atomic_store(&l.disk[i]->hold, true);
		for (unsigned k = 0; k < 3; k++)
			go_round(&l);
		function_send(&f, functions[round % SR_ARRAY_LEN(functions)], i,
			      l.c[round % 2][round % DEPTH].tag);
		if (round % 3 == 0)
			rig_settle(l.r);
		atomic_store(&l.disk[i]->hold, false);
		rig_until(l.r, function_done, &f);
	}
	rig_until(l.r, all_back, &l);
	load_end(&l);
}

static bool queue_quiet(void *ctx)
{
	struct rig_queue *q = ctx;

	return atomic_load(&q->drained);
}

static void queues_stop_and_start_under_load(void **state)
{
	static struct load l;

	(void)state;
	load_begin(&l);
	first(&l);
	for (unsigned round = 0; round < 100; round++) {
		unsigned q = round % 4;

		atomic_store(&l.disk[0]->hold, round % 5 == 0);
		if (round % 5)
			run(&l, 64);
		if (round % 7 == 0)
			rig_detach(l.r, 1, 1);
		if (!rig_drain(l.r, q)) {
			atomic_store(&l.disk[0]->hold, false);
			rig_until(l.r, queue_quiet, &l.r->q[q]);
		}
		atomic_store(&l.disk[0]->hold, false);
		rig_stop(l.r, q);
		rig_start(l.r, q, 128);
		if (round % 7 == 0) {
			struct gone g = { &l, round / 7 + 1 };

			rig_until(l.r, all_gone, &g);
			rig_attach(l.r, 1, 1, l.unit[3]);
		}
	}
	run(&l, 500);
	rig_until(l.r, all_back, &l);
	load_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_come_and_go_under_load),
		cmocka_unit_test(commands_are_aborted_under_load),
		cmocka_unit_test(queues_stop_and_start_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
