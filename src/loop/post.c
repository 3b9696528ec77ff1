/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions from other threads, in the order in which they were posted. Whoever makes the
 * list non-empty rings the loop's eventfd; the loop takes the whole list at once. A call is
 * a post that lives on its caller's stack and is waited for.
 */
#include "loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct post {
	struct post *next;
	void (*fn)(void *ctx);
	void *ctx;
	bool *done; /* of a call, under loop->lock; NULL = allocated */
};

void sr_posts_init(struct sr_loop *l)
{
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->called, NULL);
	l->posts_end = &l->posts;
}

static void append(struct sr_loop *l, struct post *p)
{
	if (!l->posts)
		eventfd_write(l->wake_fd, 1);
	*l->posts_end = p;
	l->posts_end = &p->next;
	l->waiting++;
}

int sr_loop_post(struct sr_loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct post *p = malloc(sizeof(*p));
	bool full;

	if (!p)
		return -ENOMEM;
	*p = (struct post){ .fn = fn, .ctx = ctx };
	pthread_mutex_lock(&l->lock);
	full = l->waiting == SR_LOOP_POSTS_MAX;
	if (!full)
		append(l, p);
	pthread_mutex_unlock(&l->lock);
	if (full)
		free(p);
	return full ? -ENOMEM : 0;
}

void sr_loop_call(struct sr_loop *l, void (*fn)(void *ctx), void *ctx)
{
	bool done = false;
	struct post p = { .fn = fn, .ctx = ctx, .done = &done };
	bool direct = sr_loop_is_current(l);

	if (!direct) {
		pthread_mutex_lock(&l->lock);
		direct = !l->running;
		if (!direct) {
			append(l, &p);
			l->calls++;
			while (!done)
				pthread_cond_wait(&l->called, &l->lock);
		}
		pthread_mutex_unlock(&l->lock);
	}
	if (direct)
		fn(ctx);
}

static void run_one(struct sr_loop *l, struct post *p)
{
	const struct post own = *p;

	if (!own.done)
		free(p);
	own.fn(own.ctx);
	if (own.done) {
		pthread_mutex_lock(&l->lock);
		*own.done = true;
		l->calls--;
		pthread_cond_broadcast(&l->called);
		pthread_mutex_unlock(&l->lock);
	}
}

void sr_posts_run(struct sr_loop *l)
{
	struct post *p, *next;

	pthread_mutex_lock(&l->lock);
	p = l->posts;
	l->posts = NULL;
	l->posts_end = &l->posts;
	l->waiting = 0;
	pthread_mutex_unlock(&l->lock);
	for (; p; p = next) {
		next = p->next;
		run_one(l, p);
	}
}

bool sr_posts_waiting(struct sr_loop *l)
{
	bool waiting;

	pthread_mutex_lock(&l->lock);
	waiting = l->posts;
	pthread_mutex_unlock(&l->lock);
	return waiting;
}

void sr_posts_leave(struct sr_loop *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->calls) {
		pthread_mutex_unlock(&l->lock);
		sr_posts_run(l);
		pthread_mutex_lock(&l->lock);
	}
	sr_loop_bury(l);
	l->running = false;
	pthread_mutex_unlock(&l->lock);
}
