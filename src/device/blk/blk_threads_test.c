/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue on a loop of its own, a guest on another thread: for the thread sanitizer, for
 * wake-ups that must not be lost and for headers that change while they are read.
 */
#include "blk_rig.h"

#include <pthread.h>
#include <sched.h>
#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEPTH	 32u
#define REQUESTS 20000u

/* What a transport does for a queue. */
struct served {
	struct rig *r;
	struct sr_poller *poller;
	int kick;
	bool drained_at_once;
	unsigned drains;
	struct rig_req reqs[DEPTH];
	size_t room[DEPTH + 1]; /* where each has its memory */
	unsigned calls_seen;
	uint64_t done;
};

static int queue_poll(void *ctx)
{
	struct served *s = ctx;

	return s->r->q[0].vq ? s->r->dev->ops->process(s->r->dev, 0, 128) : 0;
}

static bool queue_arm(void *ctx)
{
	struct served *s = ctx;

	return s->r->q[0].vq && s->r->dev->ops->arm(s->r->dev, 0);
}

static const struct sr_poller_ops poller_ops = { queue_poll, queue_arm };

static void start_on_loop(void *ctx)
{
	struct served *s = ctx;

	rig_start(s->r, 0, 128);
	sr_poller_wake(s->poller);
}

static void drain_on_loop(void *ctx)
{
	struct served *s = ctx;

	s->drained_at_once = s->r->dev->ops->queue_drain(s->r->dev, 0);
}

static void look_on_loop(void *ctx)
{
	struct served *s = ctx;

	s->drains = s->r->q[0].drained;
}

static void stop_on_loop(void *ctx)
{
	struct served *s = ctx;

	rig_stop(s->r, 0);
}

static void begin(struct served *s)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct sr_error e;

	memset(s, 0, sizeof(*s));
	s->r = rig_create(&f->disk, NULL);
	s->r->fake = f;
	f->late = true;
	s->kick = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(sr_loop_spawn(s->r->loop, &e), 0);
	s->poller = sr_poller_create(s->r->loop, &poller_ops, s, &e);
	assert_non_null(s->poller);
	assert_int_equal(sr_poller_kick_fd(s->poller, s->kick, &e), 0);
	sr_loop_call(s->r->loop, start_on_loop, s);
	for (unsigned i = 0; i <= DEPTH; i++)
		s->room[i] = s->r->used + i * 16384;
}

static void drain(struct served *s)
{
	unsigned before;

	sr_loop_call(s->r->loop, look_on_loop, s);
	before = s->drains;
	sr_loop_call(s->r->loop, drain_on_loop, s);
	while (!s->drained_at_once && s->drains == before) {
		sched_yield();
		sr_loop_call(s->r->loop, look_on_loop, s);
	}
	sr_loop_call(s->r->loop, stop_on_loop, s);
}

static void end(struct served *s)
{
	drain(s);
	sr_poller_destroy(s->poller);
	sr_loop_stop(s->r->loop);
	close(s->kick);
	rig_destroy(s->r);
}

static void send(struct served *s, unsigned i, uint64_t number)
{
	static const uint8_t bytes[4096];
	struct rig_req *q = &s->reqs[i];
	uint64_t one = 1;

	s->r->used = s->room[i];
	*q = (struct rig_req){ .type = number % 3 ? BLK_T_IN : BLK_T_OUT, .sector = number % 2000 };
	if (q->type == BLK_T_IN) {
		q->in_len = 512 << number % 4;
	} else {
		q->out = bytes;
		q->out_len = 512 << number % 4;
	}
	if (rig_add(s->r, 0, q))
		assert_int_equal(write(s->kick, &one, sizeof(one)), sizeof(one));
}

/* Sleeps as a guest does: only when the device knows that it is to be called. */
static void await_call(struct served *s)
{
	if (sr_drvq_rearm(s->r->q[0].drv))
		return;
	while (atomic_load(&s->r->q[0].calls) == s->calls_seen)
		sched_yield();
}

static unsigned take_back(struct served *s)
{
	unsigned n;

	s->calls_seen = atomic_load(&s->r->q[0].calls);
	n = rig_collect(s->r, 0);
	s->done += n;
	return n;
}

static void no_request_and_no_wake_up_is_lost(void **state)
{
	static struct served s;
	uint64_t sent = 0;

	(void)state;
	begin(&s);
	alarm(120);
	for (unsigned i = 0; i < DEPTH; i++)
		send(&s, i, sent++);
	while (s.done < REQUESTS) {
		if (!take_back(&s)) {
			await_call(&s);
			continue;
		}
		for (unsigned i = 0; i < DEPTH && sent < REQUESTS; i++) {
			if (!s.reqs[i].done)
				continue;
			assert_int_equal(s.reqs[i].status, BLK_S_OK);
			send(&s, i, sent++);
		}
	}
	alarm(0);
	assert_int_equal(s.done, sent);
	end(&s);
}

static void a_queue_stops_and_starts_under_load(void **state)
{
	static struct served s;
	uint64_t sent = 0;

	(void)state;
	begin(&s);
	alarm(120);
	for (unsigned i = 0; i < DEPTH; i++)
		s.reqs[i].done = true;
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < DEPTH; i++)
			if (s.reqs[i].done)
				send(&s, i, sent++);
		for (unsigned i = 0; i < round % 7; i++)
			sched_yield();
		drain(&s);
		take_back(&s);
		sr_loop_call(s.r->loop, start_on_loop, &s);
	}
	while (s.done < sent)
		if (!take_back(&s))
			await_call(&s);
	alarm(0);
	for (unsigned i = 0; i < DEPTH; i++)
		assert_true(s.reqs[i].done && s.reqs[i].status == BLK_S_OK);
	end(&s);
}

struct vandal {
	struct served *s;
	_Atomic bool stop;
};

/* Not watched by the sanitizer: that a guest races with us is what is tested. */
__attribute__((no_sanitize("thread"))) static void *vandalize(void *ctx)
{
	struct vandal *v = ctx;
	unsigned seed = 3;

	while (!atomic_load(&v->stop)) {
		uint8_t *at = v->s->r->ram + v->s->room[(unsigned)rand_r(&seed) % DEPTH];
		volatile uint32_t *type = (volatile uint32_t *)(void *)at;
		volatile uint64_t *sector = (volatile uint64_t *)(void *)(at + 8);

		*type = (uint32_t)rand_r(&seed) % BLK_TYPES;
		*sector = (unsigned)rand_r(&seed) % 2 ? (unsigned)rand_r(&seed) : UINT64_MAX;
		((volatile uint64_t *)sector)[2] = (unsigned)rand_r(&seed) % 4096;
	}
	return NULL;
}

/* The fake disk asserts that what it is asked lies on it. */
static void headers_that_change_meanwhile_do_no_harm(void **state)
{
	static struct served s;
	struct vandal v = { .s = &s };
	pthread_t thread;

	(void)state;
	begin(&s);
	alarm(120);
	assert_int_equal(pthread_create(&thread, NULL, vandalize, &v), 0);
	for (unsigned i = 0; i < DEPTH; i++)
		send(&s, i, i);
	while (s.done < REQUESTS) {
		if (!take_back(&s)) {
			await_call(&s);
			continue;
		}
		for (unsigned i = 0; i < DEPTH; i++)
			if (s.reqs[i].done)
				send(&s, i, s.done + i);
	}
	atomic_store(&v.stop, true);
	pthread_join(thread, NULL);
	alarm(0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_request_and_no_wake_up_is_lost),
		cmocka_unit_test(a_queue_stops_and_starts_under_load),
		cmocka_unit_test(headers_that_change_meanwhile_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
