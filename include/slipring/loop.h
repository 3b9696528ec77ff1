/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread, one loop. A loop serves file descriptors (watches), timers, functions
 * posted from other threads, and pollers: sources of work such as virtqueues that are
 * polled while busy and sleep, with their notifications armed, when idle.
 *
 * Unless a comment says otherwise an object is used on its loop's own thread only.
 */
#ifndef SLIPRING_LOOP_H
#define SLIPRING_LOOP_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_loop;
struct sr_watch;
struct sr_timer;
struct sr_poller;

#define SR_POLL_NEVER	  0u	     /* arm notifications as soon as a queue is empty */
#define SR_POLL_ALWAYS	  UINT32_MAX /* never sleep while there is a poller */

#define SR_LOOP_POSTS_MAX 65536u

struct sr_loop_config {
	const char *name; /* of a spawned thread and in texts; copied, 15 bytes of it */
	int cpu;	  /* pin to this CPU, or -1 */
	uint32_t poll_us; /* how long an empty poller is polled before it is armed */
};

/* Owned by the caller until sr_loop_destroy. */
struct sr_loop *sr_loop_create(const struct sr_loop_config *config, struct sr_error *e);

/* Runs the loop on the calling thread until sr_loop_stop. 0 or a negative errno. */
int sr_loop_run(struct sr_loop *loop, struct sr_error *e);

/* Runs the loop on a new thread of its own, which takes no signals of the process. */
int sr_loop_spawn(struct sr_loop *loop, struct sr_error *e);

/* From any thread or signal handler: sr_loop_run returns soon. A stop before the loop runs is
 * kept: the next run returns at once, and takes it with it. */
void sr_loop_stop(struct sr_loop *loop);

/* Stops, joins a spawned thread, frees. Watches, timers and pollers must be gone. NULL is
 * allowed. */
void sr_loop_destroy(struct sr_loop *loop);

/* From any thread: runs fn(ctx) on the loop's thread, soon, in order of posting.
 * 0, or -ENOMEM, also when SR_LOOP_POSTS_MAX wait already. Functions still waiting when the loop
 * stops are run by sr_loop_destroy. */
int sr_loop_post(struct sr_loop *loop, void (*fn)(void *ctx), void *ctx);

/* From any thread: runs fn(ctx) on the loop's thread and returns when it has run; at once,
 * on the calling thread, when that is the loop's own or when the loop is not running.
 * Only the control loop may call into worker loops, never the reverse: two loops that wait
 * for each other never return. */
void sr_loop_call(struct sr_loop *loop, void (*fn)(void *ctx), void *ctx);

/* Calls fn(ctx, events) when one of the EPOLL* `events` holds; level-triggered. The fd
 * stays the caller's. May be destroyed inside its own or another's callback, after which
 * it is not called again. NULL with *e filled on failure. */
struct sr_watch *sr_watch_create(struct sr_loop *loop, int fd, uint32_t events,
				 void (*fn)(void *ctx, uint32_t events), void *ctx,
				 struct sr_error *e);
/* With 0 events nothing is reported at all, not even EPOLLERR. 0 or a negative errno. */
int sr_watch_events(struct sr_watch *watch, uint32_t events);
void sr_watch_destroy(struct sr_watch *watch); /* NULL is allowed */

/* One shot. sr_timer_set moves a pending one. fn may set or destroy its own timer. */
struct sr_timer *sr_timer_create(struct sr_loop *loop, void (*fn)(void *ctx), void *ctx);
void sr_timer_set(struct sr_timer *timer, uint64_t delay_ns);
void sr_timer_cancel(struct sr_timer *timer);
void sr_timer_destroy(struct sr_timer *timer); /* NULL is allowed */

struct sr_poller_ops {
	/* Does a bounded amount of work. Returns how much it did (units are the caller's
	 * own), 0 when there was none, or a negative number: there is work that cannot go
	 * on now, call again after that many microseconds or as soon as any poller of this
	 * loop is woken (a receiver that has room again). */
	int (*poll)(void *ctx);
	/* Enables notifications and looks once more. True: more came meanwhile, keep
	 * polling. False: sleep until sr_poller_wake or the kick fd. */
	bool (*arm)(void *ctx);
};

/* Three calls for any thread except a worker loop's other than `loop`: they are carried
 * out on the loop's thread before they return. A new poller is awake: poll() is called at
 * least once. */
struct sr_poller *sr_poller_create(struct sr_loop *loop, const struct sr_poller_ops *ops, void *ctx,
				   struct sr_error *e);
/* A readable `fd` wakes the poller and is read; an eventfd, a stream socket or a pipe, which
 * may be blocking: reading never waits. It replaces the one before, and -1 takes that off; on
 * failure there is none. The fd stays the caller's and must stay open until it was taken off.
 * At its end of file the loop takes it off by itself. */
int sr_poller_kick_fd(struct sr_poller *poller, int fd, struct sr_error *e);
/* When it has returned, no callback of it runs or will run. NULL is allowed. */
void sr_poller_destroy(struct sr_poller *poller);

/* On the loop's own thread: polls at the next round. */
void sr_poller_wake(struct sr_poller *poller);

#ifdef __cplusplus
}
#endif
#endif
