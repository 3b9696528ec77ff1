/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <slipring/loop.h>

#include "base.h"

static struct sr_loop *make_loop(uint32_t poll_us)
{
	const struct sr_loop_config c = { .name = "test", .cpu = -1, .poll_us = poll_us };
	struct sr_loop *l = sr_loop_create(&c, NULL);

	assert_non_null(l);
	return l;
}

/* A source whose answers are scripted: poll returns 1 while `work` lasts, then `idle`. */
struct source {
	struct sr_loop *loop;
	struct sr_poller *poller, *victim;
	int work, idle;
	unsigned polls, arms;
	unsigned stop_at_poll, stop_at_arm;
	bool more; /* the answer of arm, once */
	bool wake_in_arm;
};

static int source_poll(void *ctx)
{
	struct source *s = ctx;

	if (++s->polls == s->stop_at_poll)
		sr_loop_stop(s->loop);
	if (s->victim) {
		sr_poller_destroy(s->victim);
		s->victim = NULL;
	}
	return s->work > 0 ? (s->work--, 1) : s->idle;
}

static bool source_arm(void *ctx)
{
	struct source *s = ctx;
	bool more = s->more;

	if (++s->arms == s->stop_at_arm)
		sr_loop_stop(s->loop);
	s->more = false;
	if (s->wake_in_arm)
		sr_poller_wake(s->poller);
	s->wake_in_arm = false;
	return more;
}

static const struct sr_poller_ops source_ops = { source_poll, source_arm };

static void add(struct source *s, struct sr_loop *l)
{
	s->loop = l;
	s->poller = sr_poller_create(l, &source_ops, s, NULL);
	assert_non_null(s->poller);
}

static void with_poll_never_the_first_empty_poll_arms(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { .work = 5, .stop_at_arm = 1 };

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s.polls, 6);
	assert_int_equal(s.arms, 1);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

static void when_arm_finds_more_polling_goes_on(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { .more = true, .stop_at_arm = 2 };

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s.polls, 2);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

static void a_wake_inside_arm_is_not_lost(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { .wake_in_arm = true, .stop_at_arm = 2 };

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s.polls, 2);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

static void with_poll_always_nothing_is_ever_armed_and_control_is_heard(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_ALWAYS);
	struct source s = { .work = 10, .stop_at_poll = 100000 };
	struct source blocked = { .idle = -1000000 };

	(void)state;
	add(&s, l);
	add(&blocked, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s.arms, 0);
	s.stop_at_poll = 0;
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	sr_poller_destroy(s.poller); /* a call into a busy loop */
	sr_poller_destroy(blocked.poller);
	sr_loop_destroy(l);
}

static void an_empty_poller_is_polled_for_a_while_before_it_is_armed(void **state)
{
	struct sr_loop *l = make_loop(200000);
	struct source s = { .work = 1, .stop_at_arm = 1 };

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_true(s.polls > 2);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

static void a_blocked_poller_is_asked_again_after_its_time_and_never_armed(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { .idle = -100, .stop_at_poll = 20 };

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s.polls, 20);
	assert_int_equal(s.arms, 0);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

/* The blocked one would wait for over half an hour. */
static void a_blocked_poller_is_asked_again_when_another_is_kicked(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source blocked = { .idle = INT32_MIN, .stop_at_poll = 2 };
	struct source asleep = { 0 };
	int kick = eventfd(0, EFD_NONBLOCK);

	(void)state;
	add(&blocked, l);
	add(&asleep, l);
	assert_int_equal(sr_poller_kick_fd(asleep.poller, kick, NULL), 0);
	assert_int_equal(eventfd_write(kick, 1), 0);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(blocked.polls, 2);
	assert_true(asleep.polls >= 1);
	sr_poller_destroy(blocked.poller);
	sr_poller_destroy(asleep.poller);
	sr_loop_destroy(l);
	close(kick);
}

static void pollers_may_be_destroyed_inside_poll(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s[3] = { { 0 } };

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&s[i], l);
	/* New ones are polled first: 2, 1, 0. */
	s[2].victim = s[1].poller; /* the next of the round */
	s[0].victim = s[0].poller; /* itself */
	s[0].stop_at_poll = 1;
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_int_equal(s[2].polls, 1);
	assert_int_equal(s[1].polls, 0);
	assert_int_equal(s[0].polls, 1);
	assert_int_equal(s[0].arms, 0);
	sr_poller_destroy(s[2].poller);
	sr_poller_destroy(NULL);
	sr_loop_destroy(l);
}

/* ---- wake-ups ---- */

/* A queue as virtio has them: the producer rings only when the consumer has asked for it. */
struct queue {
	struct sr_poller *poller;
	_Atomic uint64_t made;
	atomic_bool wanted; /* notifications */
	_Atomic uint64_t taken;
	uint64_t batch;
	int ring;
};

static int queue_poll(void *ctx)
{
	struct queue *q = ctx;
	uint64_t n = sr_min(atomic_load(&q->made) - atomic_load(&q->taken), q->batch);

	atomic_fetch_add(&q->taken, n);
	return (int)n;
}

static bool queue_arm(void *ctx)
{
	struct queue *q = ctx;

	atomic_store(&q->wanted, true);
	if (atomic_load(&q->made) == atomic_load(&q->taken))
		return false;
	atomic_store(&q->wanted, false);
	return true;
}

static const struct sr_poller_ops queue_ops = { queue_poll, queue_arm };

#define ITEMS 200000u

static void *produce(void *ctx)
{
	struct queue *q = ctx;

	for (unsigned i = 0; i < ITEMS; i++) {
		atomic_fetch_add(&q->made, 1);
		if (atomic_exchange(&q->wanted, false) && write(q->ring, &(uint64_t){ 1 }, 8) != 8)
			abort();
		/* Now and then everything is taken, so that the consumer falls asleep. */
		if (i % 64 == 0)
			while (atomic_load(&q->taken) != i + 1)
				sched_yield();
	}
	return NULL;
}

static void every_item_arrives(uint32_t poll_us, int ring, int kick)
{
	struct sr_loop *l = make_loop(poll_us);
	struct queue q = { .batch = 32, .ring = ring };
	pthread_t producer;

	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	q.poller = sr_poller_create(l, &queue_ops, &q, NULL);
	assert_non_null(q.poller);
	assert_int_equal(sr_poller_kick_fd(q.poller, kick, NULL), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &q), 0);
	pthread_join(producer, NULL);
	while (atomic_load(&q.taken) != ITEMS)
		sched_yield();
	sr_poller_destroy(q.poller);
	sr_loop_destroy(l);
}

static void no_wake_up_is_lost_without_polling(void **state)
{
	int kick = eventfd(0, 0);

	(void)state;
	every_item_arrives(SR_POLL_NEVER, kick, kick);
	close(kick);
}

static void no_wake_up_is_lost_between_polling_and_sleep(void **state)
{
	int kick = eventfd(0, EFD_NONBLOCK);

	(void)state;
	every_item_arrives(1, kick, kick);
	close(kick);
}

static void no_wake_up_is_lost_over_a_socket(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	every_item_arrives(SR_POLL_NEVER, fd[0], fd[1]);
	close(fd[0]);
	close(fd[1]);
}

static void kicks_may_change_hands_while_running(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct queue q = { .batch = 1 };
	int kick[2] = { eventfd(0, 0), eventfd(0, 0) };

	(void)state;
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	q.poller = sr_poller_create(l, &queue_ops, &q, NULL);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(sr_poller_kick_fd(q.poller, kick[i % 2], NULL), 0);
		atomic_fetch_add(&q.made, 3);
		if (atomic_exchange(&q.wanted, false))
			assert_int_equal(eventfd_write(kick[i % 2], 1), 0);
		while (atomic_load(&q.taken) != 3 * (i + 1))
			sched_yield();
	}
	assert_int_equal(sr_poller_kick_fd(q.poller, -1, NULL), 0);
	sr_poller_destroy(q.poller);
	sr_loop_destroy(l);
	close(kick[0]);
	close(kick[1]);
}

struct usage {
	struct source *sources;
	unsigned n, polls;
	long switches;
};

static void note_usage(void *ctx)
{
	struct usage *u = ctx;
	struct rusage r;

	u->polls = 0;
	for (unsigned i = 0; i < u->n; i++)
		u->polls += u->sources[i].polls;
	getrusage(RUSAGE_THREAD, &r);
	u->switches = r.ru_nvcsw;
}

/* A loop that woke up every millisecond would show in the count of context switches. */
static void an_idle_loop_stays_asleep(void **state)
{
	struct sr_loop *l = make_loop(50);
	struct source s[10] = { { .work = 3 } };
	struct usage before = { .sources = s, .n = 10 }, after = before;
	int kick[10];

	(void)state;
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	for (int i = 0; i < 10; i++) {
		add(&s[i], l);
		kick[i] = eventfd(0, 0);
		assert_int_equal(sr_poller_kick_fd(s[i].poller, kick[i], NULL), 0);
	}
	usleep(50000);
	sr_loop_call(l, note_usage, &before);
	usleep(200000);
	sr_loop_call(l, note_usage, &after);
	assert_int_equal(after.polls, before.polls);
	assert_true(after.switches - before.switches < 20);
	for (int i = 0; i < 10; i++) {
		sr_poller_destroy(s[i].poller);
		close(kick[i]);
	}
	sr_loop_destroy(l);
}

/* ---- fds of a hostile peer ---- */

static void refused(struct sr_poller *p, int fd)
{
	struct sr_error e = { 0 };

	assert_true(fd >= 0);
	assert_true(sr_poller_kick_fd(p, fd, &e) < 0);
	assert_true(e.code < 0);
	assert_non_null(strstr(e.text, "kick"));
	close(fd);
}

static void fds_that_cannot_kick_are_refused(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { 0 };
	struct sr_error e;
	int fd[2];

	(void)state;
	add(&s, l);
	refused(s.poller, open("/", O_RDONLY | O_DIRECTORY));
	refused(s.poller, open("/proc/self/exe", O_RDONLY));
	refused(s.poller, open("/dev/zero", O_RDONLY));
	refused(s.poller, open("/dev/null", O_RDWR));
	refused(s.poller, open("/", O_PATH));
	refused(s.poller, epoll_create1(0));
	assert_int_equal(sr_poller_kick_fd(s.poller, 1 << 20, &e), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	close(fd[0]);
	refused(s.poller, fd[1]);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
}

/* A loop that reads them would stand still here for ever. */
static void a_blocking_fd_does_not_block_the_loop(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { 0 };
	int fds[2];

	(void)state;
	add(&s, l);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(sr_poller_kick_fd(s.poller, fds[1], NULL), 0);
	assert_int_equal(sr_poller_kick_fd(s.poller, -1, NULL), 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(pipe(fds), 0);
	/* Kernels before 6.4 cannot read pipes without waiting and refuse them. */
	sr_poller_kick_fd(s.poller, fds[0], NULL);
	sr_poller_destroy(s.poller);
	sr_loop_destroy(l);
	close(fds[0]);
	close(fds[1]);
}

/* Left in the epoll set, the dead socket would wake the poller in every round. */
static void a_peer_that_hangs_up_is_taken_off(void **state)
{
	struct sr_loop *l = make_loop(SR_POLL_NEVER);
	struct source s = { 0 }, clock = { .idle = -2000, .stop_at_poll = 20 };
	int fd[2];

	(void)state;
	add(&s, l);
	add(&clock, l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(sr_poller_kick_fd(s.poller, fd[1], NULL), 0);
	assert_int_equal(write(fd[0], "12345678", 8), 8);
	close(fd[0]);
	assert_int_equal(sr_loop_run(l, NULL), 0);
	assert_true(s.polls >= 1 && s.polls <= 4);
	sr_poller_destroy(s.poller);
	sr_poller_destroy(clock.poller);
	sr_loop_destroy(l);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_poll_never_the_first_empty_poll_arms),
		cmocka_unit_test(when_arm_finds_more_polling_goes_on),
		cmocka_unit_test(a_wake_inside_arm_is_not_lost),
		cmocka_unit_test(with_poll_always_nothing_is_ever_armed_and_control_is_heard),
		cmocka_unit_test(an_empty_poller_is_polled_for_a_while_before_it_is_armed),
		cmocka_unit_test(a_blocked_poller_is_asked_again_after_its_time_and_never_armed),
		cmocka_unit_test(a_blocked_poller_is_asked_again_when_another_is_kicked),
		cmocka_unit_test(pollers_may_be_destroyed_inside_poll),
		cmocka_unit_test(no_wake_up_is_lost_without_polling),
		cmocka_unit_test(no_wake_up_is_lost_between_polling_and_sleep),
		cmocka_unit_test(no_wake_up_is_lost_over_a_socket),
		cmocka_unit_test(kicks_may_change_hands_while_running),
		cmocka_unit_test(an_idle_loop_stays_asleep),
		cmocka_unit_test(fds_that_cannot_kick_are_refused),
		cmocka_unit_test(a_blocking_fd_does_not_block_the_loop),
		cmocka_unit_test(a_peer_that_hangs_up_is_taken_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
