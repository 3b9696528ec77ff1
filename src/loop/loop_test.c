/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <slipring/loop.h>

#include "base.h"

static struct sr_loop *make_loop(int cpu)
{
	const struct sr_loop_config c = { .name = "test", .cpu = cpu, .poll_us = 50 };
	struct sr_error e;
	struct sr_loop *l = sr_loop_create(&c, &e);

	assert_non_null(l);
	return l;
}

static void count_up(void *ctx)
{
	++*(unsigned *)ctx;
}

static void stop_it(void *ctx)
{
	sr_loop_stop(ctx);
}

/* ---- posts and calls ---- */

#define SENDERS 4
#define POSTS	5000

struct sender {
	struct sr_loop *loop;
	pthread_t thread;
	unsigned seen; /* on the loop's thread */
	bool disorder;
	struct item {
		struct sender *sender;
		unsigned number;
	} items[POSTS];
};

static void receive(void *ctx)
{
	struct item *i = ctx;

	i->sender->disorder |= i->number != i->sender->seen;
	i->sender->seen++;
}

static void *send_all(void *ctx)
{
	struct sender *s = ctx;

	for (unsigned i = 0; i < POSTS; i++) {
		s->items[i] = (struct item){ s, i };
		if (sr_loop_post(s->loop, receive, &s->items[i]))
			abort();
	}
	return NULL;
}

static void posts_of_each_thread_run_in_their_order(void **state)
{
	struct sr_loop *l = make_loop(-1);
	struct sender *s = calloc(SENDERS, sizeof(*s));
	unsigned last = 0;

	(void)state;
	assert_non_null(s);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	for (int i = 0; i < SENDERS; i++) {
		s[i].loop = l;
		assert_int_equal(pthread_create(&s[i].thread, NULL, send_all, &s[i]), 0);
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(s[i].thread, NULL);
	sr_loop_call(l, count_up, &last);
	for (int i = 0; i < SENDERS; i++) {
		assert_int_equal(s[i].seen, POSTS);
		assert_false(s[i].disorder);
	}
	assert_int_equal(last, 1);
	sr_loop_destroy(l);
	free(s);
}

struct nested {
	struct sr_loop *loop;
	unsigned inner;
	bool at_once;
};

static void call_again(void *ctx)
{
	struct nested *n = ctx;

	sr_loop_call(n->loop, count_up, &n->inner);
	n->at_once = n->inner == 1;
}

static void a_call_from_the_own_thread_runs_at_once(void **state)
{
	struct nested n = { .loop = make_loop(-1) };

	(void)state;
	assert_int_equal(sr_loop_spawn(n.loop, NULL), 0);
	sr_loop_call(n.loop, call_again, &n);
	assert_true(n.at_once);
	sr_loop_destroy(n.loop);
}

static void note_thread(void *ctx)
{
	*(pthread_t *)ctx = pthread_self();
}

static void calls_go_to_the_loop_while_it_runs_and_to_the_caller_otherwise(void **state)
{
	struct sr_loop *l = make_loop(-1);
	pthread_t on;

	(void)state;
	sr_loop_call(l, note_thread, &on);
	assert_true(pthread_equal(on, pthread_self()));
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	sr_loop_call(l, note_thread, &on);
	assert_false(pthread_equal(on, pthread_self()));
	sr_loop_destroy(l);
}

static void posts_that_are_left_run_at_destroy(void **state)
{
	struct sr_loop *l = make_loop(-1);
	struct nested n = { .loop = l };
	unsigned ran = 0;

	(void)state;
	assert_int_equal(sr_loop_post(l, count_up, &ran), 0);
	assert_int_equal(sr_loop_post(l, call_again, &n), 0);
	assert_int_equal(ran, 0);
	sr_loop_destroy(l);
	assert_int_equal(ran, 1);
	assert_true(n.at_once);
}

static void posts_beyond_the_limit_are_refused(void **state)
{
	struct sr_loop *l = make_loop(-1);
	unsigned ran = 0;

	(void)state;
	for (unsigned i = 0; i < SR_LOOP_POSTS_MAX; i++)
		assert_int_equal(sr_loop_post(l, count_up, &ran), 0);
	assert_int_equal(sr_loop_post(l, count_up, &ran), -ENOMEM);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	sr_loop_call(l, count_up, &ran); /* a call has no limit */
	assert_int_equal(sr_loop_post(l, count_up, &ran), 0);
	sr_loop_destroy(l);
	assert_int_equal(ran, SR_LOOP_POSTS_MAX + 2);
}

struct caller {
	struct sr_loop *loop;
	atomic_uint *ran;
	pthread_t thread;
};

static void count_atomic(void *ctx)
{
	atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void *call_many(void *ctx)
{
	struct caller *c = ctx;

	for (int i = 0; i < 2000; i++)
		sr_loop_call(c->loop, count_atomic, c->ran);
	return NULL;
}

static void no_call_is_left_waiting_when_the_loop_stops(void **state)
{
	struct sr_loop *l = make_loop(-1);
	atomic_uint ran = 0;
	struct caller c = { .loop = l, .ran = &ran };
	pthread_t threads[3];

	(void)state;
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_many, &c), 0);
	while (atomic_load(&ran) < 100)
		sched_yield();
	sr_loop_stop(l);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&ran), 6000);
	sr_loop_destroy(l);
}

/* Stops the loop, and lets a call arrive before the loop notices. */
static void stop_and_be_called(void *ctx)
{
	struct caller *c = ctx;

	if (pthread_create(&c->thread, NULL, call_many, c))
		abort();
	sr_loop_stop(c->loop);
	usleep(50000);
}

static void a_call_that_came_before_the_end_is_still_run(void **state)
{
	atomic_uint ran = 0;
	struct caller c = { .loop = make_loop(-1), .ran = &ran };

	(void)state;
	assert_int_equal(sr_loop_spawn(c.loop, NULL), 0);
	sr_loop_call(c.loop, stop_and_be_called, &c);
	pthread_join(c.thread, NULL);
	assert_int_equal(atomic_load(&ran), 2000);
	sr_loop_destroy(c.loop);
}

/* ---- run and stop ---- */

static void a_stop_before_run_is_kept_for_one_run(void **state)
{
	struct sr_loop *l = make_loop(-1);
	unsigned ran = 0;

	(void)state;
	sr_loop_stop(l);
	assert_int_equal(sr_loop_post(l, count_up, &ran), 0);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(ran, 0);
	assert_int_equal(sr_loop_post(l, stop_it, l), 0);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(ran, 1);
	sr_loop_destroy(l);
}

static struct sr_loop *signalled;

static void on_signal(int number)
{
	(void)number;
	sr_loop_stop(signalled);
}

static void a_signal_handler_stops_the_loop(void **state)
{
	struct sr_loop *l = make_loop(-1), *other = make_loop(-1);

	(void)state;
	signalled = l;
	signal(SIGALRM, on_signal);
	assert_int_equal(sr_loop_spawn(other, NULL), 0);
	alarm(1);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	signal(SIGALRM, SIG_DFL);
	sr_loop_destroy(other);
	sr_loop_destroy(l);
}

static void note_cpu(void *ctx)
{
	*(int *)ctx = sched_getcpu();
}

static void a_pinned_loop_runs_on_its_cpu(void **state)
{
	struct sr_loop *l;
	cpu_set_t mine;
	int cpu = 0, on = -1;

	(void)state;
	sched_getaffinity(0, sizeof(mine), &mine);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	l = make_loop(cpu);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	sr_loop_call(l, note_cpu, &on);
	assert_int_equal(on, cpu);
	sr_loop_destroy(l);
}

static void a_cpu_that_is_not_there_is_a_clear_error(void **state)
{
	const struct sr_loop_config too_high = { .name = "w", .cpu = 5000 };
	struct sr_loop *l = make_loop(1023);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_loop_spawn(l, &e), -EINVAL);
	assert_non_null(strstr(e.text, "CPU 1023"));
	assert_int_equal(sr_loop_run(l, &e), -EINVAL);
	assert_non_null(strstr(e.text, "CPU 1023"));
	sr_loop_destroy(l);
	assert_null(sr_loop_create(&too_high, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_non_null(strstr(e.text, "5000"));
}

/* ---- timers ---- */

struct ticks {
	struct sr_loop *loop;
	struct sr_timer *timer[4];
	char order[16];
	unsigned n, rounds;
};

static void tick_late(void *ctx)
{
	struct ticks *t = ctx;

	t->order[t->n++] = 'c';
	sr_loop_stop(t->loop);
}

static void tick_middle(void *ctx)
{
	struct ticks *t = ctx;

	t->order[t->n++] = 'b';
	if (++t->rounds < 3)
		sr_timer_set(t->timer[1], 0);
	else
		sr_timer_set(t->timer[2], 1000);
}

static void tick_early(void *ctx)
{
	struct ticks *t = ctx;

	t->order[t->n++] = 'a';
	sr_timer_destroy(t->timer[0]);
	sr_timer_destroy(t->timer[3]);
}

static void never(void *ctx)
{
	(void)ctx;
	fail();
}

static void timers_fire_in_order_and_may_be_set_and_destroyed_meanwhile(void **state)
{
	struct ticks t = { .loop = make_loop(-1) };

	(void)state;
	t.timer[0] = sr_timer_create(t.loop, tick_early, &t);
	t.timer[1] = sr_timer_create(t.loop, tick_middle, &t);
	t.timer[2] = sr_timer_create(t.loop, tick_late, &t);
	t.timer[3] = sr_timer_create(t.loop, never, NULL);
	sr_timer_set(t.timer[2], UINT64_MAX); /* moved by tick_middle */
	sr_timer_set(t.timer[1], 3000000);
	sr_timer_set(t.timer[0], 2000000);
	sr_timer_set(t.timer[3], 2000000);
	assert_int_equal(sr_loop_run(t.loop, NULL), 0);
	assert_string_equal(t.order, "abbbc");
	sr_timer_destroy(t.timer[1]);
	sr_timer_destroy(t.timer[2]);
	sr_timer_destroy(NULL);
	sr_loop_destroy(t.loop);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct sr_loop *l = make_loop(-1);
	struct sr_timer *gone = sr_timer_create(l, never, NULL);
	struct sr_timer *end = sr_timer_create(l, stop_it, l);

	(void)state;
	sr_timer_set(gone, 0);
	sr_timer_set(end, 1000000);
	sr_timer_cancel(gone);
	sr_timer_cancel(gone);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	sr_timer_destroy(gone);
	sr_timer_destroy(end);
	sr_loop_destroy(l);
}

/* ---- watches ---- */

struct pair {
	struct sr_loop *loop;
	struct sr_watch *watch[2];
	unsigned called;
};

/* Both fds are readable: whichever comes first ends both. */
static void end_both(void *ctx, uint32_t events)
{
	struct pair *p = ctx;

	(void)events;
	p->called++;
	sr_watch_destroy(p->watch[0]);
	sr_watch_destroy(p->watch[1]);
	sr_loop_stop(p->loop);
}

static void a_watch_may_be_destroyed_by_another_with_both_events_there(void **state)
{
	struct pair p = { .loop = make_loop(-1) };
	int fd[2] = { eventfd(1, 0), eventfd(1, 0) };

	(void)state;
	for (int i = 0; i < 2; i++) {
		p.watch[i] = sr_watch_create(p.loop, fd[i], EPOLLIN, end_both, &p, NULL);
		assert_non_null(p.watch[i]);
	}
	assert_int_equal(sr_loop_run(p.loop, NULL), 0);
	assert_int_equal(p.called, 1);
	sr_loop_destroy(p.loop);
	close(fd[0]);
	close(fd[1]);
}

static void silence_both(void *ctx, uint32_t events)
{
	struct pair *p = ctx;

	(void)events;
	p->called++;
	assert_int_equal(sr_watch_events(p->watch[0], 0), 0);
	assert_int_equal(sr_watch_events(p->watch[1], 0), 0);
	assert_int_equal(sr_loop_post(p->loop, stop_it, p->loop), 0);
}

static void a_watch_for_nothing_is_silent_even_when_hung_up(void **state)
{
	struct pair p = { .loop = make_loop(-1) };
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(shutdown(fd[0], SHUT_RDWR), 0);
	for (int i = 0; i < 2; i++) {
		p.watch[i] = sr_watch_create(p.loop, fd[i], EPOLLIN, silence_both, &p, NULL);
		assert_non_null(p.watch[i]);
	}
	assert_int_equal(sr_loop_run(p.loop, NULL), 0);
	assert_int_equal(p.called, 1);
	assert_int_equal(sr_watch_events(p.watch[0], EPOLLIN), 0);
	assert_int_equal(sr_loop_run(p.loop, NULL), 0);
	assert_int_equal(p.called, 2);
	sr_watch_destroy(p.watch[0]);
	sr_watch_destroy(p.watch[1]);
	sr_watch_destroy(NULL);
	sr_loop_destroy(p.loop);
	close(fd[0]);
	close(fd[1]);
}

static void a_file_that_cannot_be_waited_for_is_a_clear_error(void **state)
{
	struct sr_loop *l = make_loop(-1);
	FILE *file = tmpfile();
	struct sr_error e;

	(void)state;
	assert_non_null(file);
	assert_null(sr_watch_create(l, fileno(file), EPOLLIN, end_both, NULL, &e));
	assert_int_equal(e.code, -EPERM);
	assert_non_null(strstr(e.text, "cannot be waited for"));
	fclose(file);
	sr_loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_of_each_thread_run_in_their_order),
		cmocka_unit_test(a_call_from_the_own_thread_runs_at_once),
		cmocka_unit_test(calls_go_to_the_loop_while_it_runs_and_to_the_caller_otherwise),
		cmocka_unit_test(posts_that_are_left_run_at_destroy),
		cmocka_unit_test(posts_beyond_the_limit_are_refused),
		cmocka_unit_test(no_call_is_left_waiting_when_the_loop_stops),
		cmocka_unit_test(a_call_that_came_before_the_end_is_still_run),
		cmocka_unit_test(a_stop_before_run_is_kept_for_one_run),
		cmocka_unit_test(a_signal_handler_stops_the_loop),
		cmocka_unit_test(a_pinned_loop_runs_on_its_cpu),
		cmocka_unit_test(a_cpu_that_is_not_there_is_a_clear_error),
		cmocka_unit_test(timers_fire_in_order_and_may_be_set_and_destroyed_meanwhile),
		cmocka_unit_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(a_watch_may_be_destroyed_by_another_with_both_events_there),
		cmocka_unit_test(a_watch_for_nothing_is_silent_even_when_hung_up),
		cmocka_unit_test(a_file_that_cannot_be_waited_for_is_a_clear_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
