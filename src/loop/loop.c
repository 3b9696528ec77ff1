/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a busy queue wants to be polled, since a notification for each batch costs
 * more than the batch; an idle one must cost nothing; and sockets, timers and other threads
 * want to be heard in between, however busy the queues are.
 *
 * Rejected: poll-mode threads beside an event thread. Idle means 100 % CPU there, and
 * every change of a queue crosses threads with locks. Also rejected: event loop only, with
 * a system call for each batch.
 *
 * Chosen: one thread does both, in rounds. A round asks epoll (if it is time to), reads the
 * clock once, calls watches and timers, then polls each awake poller. A poller without
 * work for poll_us has its notifications armed and leaves the list of the awake (poller.c).
 * While somebody is awake, epoll is asked without waiting and only every SERVE_NS; when
 * nobody is, the loop sleeps in epoll until something happens, and an idle loop makes no
 * system calls at all.
 *
 * An object lives on its loop's thread, so nothing here but the list of posts (post.c) is
 * locked. Whatever may be destroyed inside a callback while the loop still holds a pointer
 * to it (watches with an event in the same batch, the poller being polled) is taken out of
 * service at once and freed at the end of the round.
 */
#include "loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EVENTS_MAX 64 /* of one epoll_wait; the rest comes in the next round */

/* How long control may wait for busy pollers. Measured on a Xeon of 2023 in a virtual machine
 * (Linux 6.18): epoll_wait without events 0.1 us, so it is 0.5 % of a busy loop; a whole round
 * with one empty poller 31 ns, 23 of which read the clock. */
#define SERVE_NS 20000u

static _Thread_local struct sr_loop *current;

bool sr_loop_is_current(const struct sr_loop *l)
{
	return current == l;
}

void sr_loop_bury(struct sr_loop *l)
{
	struct sr_watch *w;
	struct sr_poller *p;

	while ((w = l->dead_watches)) {
		l->dead_watches = w->next_dead;
		free(w);
	}
	while ((p = l->dead_pollers)) {
		l->dead_pollers = p->next_dead;
		free(p);
	}
}

static void woken(void *ctx, uint32_t events)
{
	struct sr_loop *l = ctx;
	eventfd_t count;

	(void)events;
	eventfd_read(l->wake_fd, &count);
	sr_posts_run(l);
}

static int open_fds(struct sr_loop *l, struct sr_error *e)
{
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return sr_error_set(e, -errno, "loop %s: epoll_create1: %m", l->name);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0)
		return sr_error_set(e, -errno, "loop %s: eventfd: %m", l->name);
	l->wake_watch = sr_watch_create(l, l->wake_fd, EPOLLIN, woken, l, e);
	return l->wake_watch ? 0 : -ENOMEM;
}

static void close_fds(struct sr_loop *l)
{
	sr_watch_destroy(l->wake_watch);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
}

struct sr_loop *sr_loop_create(const struct sr_loop_config *config, struct sr_error *e)
{
	struct sr_loop *l;

	if (config->cpu < -1 || config->cpu >= CPU_SETSIZE) {
		sr_error_set(e, -EINVAL, "loop %s: cpu is %d; -1 to %d expected", config->name,
			     config->cpu, CPU_SETSIZE - 1);
		return NULL;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		sr_error_set(e, -ENOMEM, "loop %s: out of memory", config->name);
		return NULL;
	}
	snprintf(l->name, sizeof(l->name), "%.15s", config->name);
	l->cpu = config->cpu;
	l->poll_us = config->poll_us;
	l->retry_at = UINT64_MAX;
	l->epoll_fd = l->wake_fd = -1;
	TAILQ_INIT(&l->awake);
	TAILQ_INIT(&l->asleep);
	TAILQ_INIT(&l->timers);
	sr_posts_init(l);
	if (open_fds(l, e) < 0) {
		close_fds(l);
		free(l);
		return NULL;
	}
	return l;
}

/* Valgrind and some sandboxes do not know epoll_pwait2: whole milliseconds do there. */
static int sleep_ns(struct sr_loop *l, struct epoll_event *events, uint64_t ns)
{
	const struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	int n = epoll_pwait2(l->epoll_fd, events, EVENTS_MAX, &t, NULL);

	if (n >= 0 || (errno != ENOSYS && errno != EPERM))
		return n;
	return epoll_wait(l->epoll_fd, events, EVENTS_MAX,
			  (int)sr_min((ns + 999999) / 1000000, INT32_MAX));
}

/* Asks epoll, sleeping when nothing else is to be done. A number of events or -1. */
static int wait_events(struct sr_loop *l, struct epoll_event *events)
{
	uint64_t until = l->retry_at, now;

	if (l->again)
		return epoll_wait(l->epoll_fd, events, EVENTS_MAX, 0);
	if (!TAILQ_EMPTY(&l->timers))
		until = sr_min(until, TAILQ_FIRST(&l->timers)->due);
	if (until == UINT64_MAX)
		return epoll_wait(l->epoll_fd, events, EVENTS_MAX, -1);
	now = sr_now_ns();
	return sleep_ns(l, events, until > now ? until - now : 0);
}

static int one_round(struct sr_loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	bool serve = !l->again || l->now - l->served >= SERVE_NS;
	int n = 0;

	if (serve) {
		n = wait_events(l, events);
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	l->now = sr_now_ns();
	if (serve)
		l->served = l->now;
	sr_watch_dispatch(events, n);
	sr_timers_run(l);
	sr_pollers_run(l);
	sr_loop_bury(l);
	return 0;
}

/* The loop's thread, from here to sr_posts_leave. */
static int rounds(struct sr_loop *l)
{
	struct sr_loop *outer = current;
	int r = 0;

	current = l;
	/* The kernel's 50 us of slack on every sleep is as long as a blocked poller's whole
	 * wait. */
	prctl(PR_SET_TIMERSLACK, 1000);
	/* Pollers that were created before may be blocked or fresh: look at them first. */
	l->again = true;
	while (!r && !atomic_load(&l->stop))
		r = one_round(l);
	sr_posts_leave(l);
	atomic_store(&l->stop, false);
	current = outer;
	return r;
}

static void cpu_set(cpu_set_t *set, int cpu)
{
	CPU_ZERO(set);
	CPU_SET((unsigned)cpu, set);
}

static int cpu_error(const struct sr_loop *l, int code, struct sr_error *e)
{
	return sr_error_set(e, -code, "loop %s: cannot pin to CPU %d: %s", l->name, l->cpu,
			    code == EINVAL ? "there is no such CPU, or this process may not use it"
					   : strerrordesc_np(code));
}

static void enter(struct sr_loop *l)
{
	pthread_mutex_lock(&l->lock);
	assert(!l->running);
	l->running = true;
	pthread_mutex_unlock(&l->lock);
}

int sr_loop_run(struct sr_loop *l, struct sr_error *e)
{
	cpu_set_t set;
	int r;

	if (l->cpu >= 0) {
		cpu_set(&set, l->cpu);
		r = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
		if (r)
			return cpu_error(l, r, e);
	}
	enter(l);
	r = rounds(l);
	return r ? sr_error_set(e, r, "loop %s: epoll_wait: %s", l->name, strerrordesc_np(-r)) : 0;
}

static void *spawned(void *ctx)
{
	struct sr_loop *l = ctx;
	int r;

	pthread_setname_np(pthread_self(), l->name);
	r = rounds(l);
	if (r)
		sr_log(SR_LOG_ERROR, l->name, "epoll_wait: %s; this loop has ended",
		       strerrordesc_np(-r));
	return NULL;
}

/* The process's signals are for the thread that asked for them. What a thread's own
 * instruction can raise stays open: blocked, it could not be handled. */
static int create_thread(struct sr_loop *l, const pthread_attr_t *attr)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t all, before;
	int r;

	sigfillset(&all);
	for (unsigned i = 0; i < SR_ARRAY_LEN(own); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&l->thread, attr, spawned, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int sr_loop_spawn(struct sr_loop *l, struct sr_error *e)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int r;

	assert(!l->spawned);
	pthread_attr_init(&attr);
	if (l->cpu >= 0) {
		cpu_set(&set, l->cpu);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	enter(l);
	r = create_thread(l, &attr);
	pthread_attr_destroy(&attr);
	if (!r) {
		l->spawned = true;
		return 0;
	}
	sr_posts_leave(l);
	if (l->cpu >= 0 && r == EINVAL)
		return cpu_error(l, r, e);
	return sr_error_set(e, -r, "loop %s: no thread: %s", l->name, strerrordesc_np(r));
}

void sr_loop_stop(struct sr_loop *l)
{
	int before = errno; /* of the code that a signal handler interrupted */

	atomic_store(&l->stop, true);
	eventfd_write(l->wake_fd, 1);
	errno = before;
}

void sr_loop_destroy(struct sr_loop *l)
{
	if (!l)
		return;
	assert(current != l);
	if (l->spawned) {
		sr_loop_stop(l);
		pthread_join(l->thread, NULL);
	}
	while (sr_posts_waiting(l))
		sr_posts_run(l);
	assert(l->watches == 1 && TAILQ_EMPTY(&l->timers));
	assert(TAILQ_EMPTY(&l->awake) && TAILQ_EMPTY(&l->asleep));
	close_fds(l);
	pthread_cond_destroy(&l->called);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
