/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the loop room share. */
#ifndef SR_LOOP_INTERNAL_H
#define SR_LOOP_INTERNAL_H

#include <slipring/loop.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "base.h"

struct post;

struct sr_watch {
	struct sr_watch *next_dead;
	struct sr_loop *loop;
	int fd;
	uint32_t events; /* 0 = not in the epoll set, or destroyed */
	void (*fn)(void *ctx, uint32_t events);
	void *ctx;
};

struct sr_timer {
	TAILQ_ENTRY(sr_timer) link; /* in loop->timers while pending */
	struct sr_loop *loop;
	uint64_t due;
	bool pending;
	void (*fn)(void *ctx);
	void *ctx;
};

struct sr_poller {
	TAILQ_ENTRY(sr_poller) link; /* in loop->awake or loop->asleep */
	struct sr_poller *next_dead;
	struct sr_loop *loop;
	const struct sr_poller_ops *ops;
	void *ctx;
	struct sr_watch *kick;
	bool kick_is_socket;
	uint64_t busy_at;    /* when it last had work */
	uint64_t retry_at;   /* blocked until then; 0 = not blocked */
	uint64_t wakes_seen; /* loop->wakes when it was polled last */
	bool is_asleep, woken, dead;
};

TAILQ_HEAD(sr_poller_list, sr_poller);
TAILQ_HEAD(sr_timer_list, sr_timer);

struct sr_loop {
	char name[16];
	int cpu;
	uint32_t poll_us;
	int epoll_fd;
	int wake_fd; /* eventfd: posts are waiting, or stop */
	struct sr_watch *wake_watch;
	atomic_bool stop;
	pthread_t thread;
	bool spawned;

	pthread_mutex_t lock; /* of what follows, up to `running` */
	pthread_cond_t called;
	struct post *posts, **posts_end;
	unsigned waiting; /* length of the list */
	unsigned calls;	  /* posts that somebody waits for */
	bool running;

	struct sr_poller_list awake, asleep;
	struct sr_poller *cursor;    /* the next one of the round that is going on */
	struct sr_timer_list timers; /* by due time */
	struct sr_watch *dead_watches;
	struct sr_poller *dead_pollers;
	unsigned watches;

	uint64_t now;	   /* of this round */
	uint64_t served;   /* when epoll was asked last */
	uint64_t retry_at; /* the first blocked poller's */
	uint64_t wakes;	   /* sr_poller_wake so far */
	bool again;	   /* a poller wants the next round at once */
};

/* True on the thread that runs the loop. */
bool sr_loop_is_current(const struct sr_loop *l);

/* Frees what was destroyed inside a callback; at once when the loop is not running. */
void sr_loop_bury(struct sr_loop *l);

void sr_posts_init(struct sr_loop *l);
void sr_posts_run(struct sr_loop *l);
bool sr_posts_waiting(struct sr_loop *l);
/* Ends the running state once nobody waits for a call. */
void sr_posts_leave(struct sr_loop *l);

void sr_watch_dispatch(const struct epoll_event *events, int n);
void sr_timers_run(struct sr_loop *l);
void sr_pollers_run(struct sr_loop *l);

#endif
