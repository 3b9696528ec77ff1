/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a front-end that we do not trust describes, message by message, memory and
 * rings that other threads are using at that moment, and may stop making sense, or vanish,
 * after any byte.
 *
 * Rejected: locks around rings and memory (the data path would pay for what happens a few
 * times a day); a thread for each front-end (a hundred ports, a hundred stacks, and the
 * same locks); a state machine of the permitted message order (front-ends differ, the
 * text permits nearly every order).
 *
 * Chosen: all messages are handled on one control loop, each by a short handler that runs to its
 * end before the next message is read. What it changes for a ring it changes on that ring's
 * own loop, while it waits (sr_loop_call): the ring is paused, the new state put in place,
 * the ring started again. So the data path holds no lock and sees no half-made state. Workers
 * never wait for the control loop; what they have to report they post.
 *
 * A message that stops or pauses rings of a slow device waits until they are quiet, and the
 * session with it: vu_drain.c.
 *
 * A message goes through channel.c (bytes to messages), message.c (its row of the table),
 * vu_dispatch.c and one handler: vu_features.c, vu_memory.c, vring.c, vu_config.c,
 * vu_inflight.c. vu_queue.c runs the rings, backend.c makes connections.
 *
 * Errors: a message that contradicts itself, the table or the rings ends the session with
 * one line in the log, after a non-zero answer if it asked for one. A sound message that we
 * do not serve is refused in the way its row says, and the session goes on.
 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The control loop looks after others when so many messages of one front-end were handled, or
 * for so long: some change memory for many rings. */
#define BURST	 32
#define BURST_NS 5000000u

static void release(struct sr_session *s)
{
	if (atomic_fetch_sub(&s->references, 1) == 1)
		free(s);
}

/* Nothing is said to the front-end any more, nor heard from it. Rings go on. */
static void hang_up(struct sr_session *s)
{
	s->ending = true;
	sr_watch_destroy(s->watch);
	sr_timer_destroy(s->hint);
	s->hint = NULL;
	sr_vu_channel_finish(&s->channel);
	if (s->back_fd >= 0)
		close(s->back_fd);
	s->back_fd = -1;
	close(s->fd);
}

/* Puts everything back to what it was before the session; its rings are quiet. */
static void shut(struct sr_session *s)
{
	assert(s->open && s->ending);
	s->open = false;
	sr_timer_destroy(s->limit);
	sr_vu_queues_stop(s);
	s->device->session = NULL;
	for (unsigned i = 0; i < s->nqueues; i++)
		sr_vu_queue_destroy(s->queues[i]);
	free(s->queues);
	if (s->device->ops->reset)
		s->device->ops->reset(s->device);
	sr_vu_inflight_drop(s);
	sr_mem_destroy(s->mem);
}

void sr_session_end(struct sr_session *s)
{
	if (!s)
		return;
	if (!s->ending)
		hang_up(s);
	sr_session_drain_now(s);
	shut(s);
	release(s);
}

static void over(struct sr_session *s, struct sr_vu_queue *q)
{
	(void)q;
	shut(s);
	s->config.ended(s->config.ctx, s->failed ? s->ended_by : NULL);
	release(s);
}

/* What was parked is not answered any more. */
static void finish(struct sr_session *s)
{
	hang_up(s);
	if (sr_session_await(s, NULL, "end of the session", over))
		over(s, NULL);
}

void sr_session_fail(struct sr_session *s)
{
	snprintf(s->ended_by, sizeof(s->ended_by), "%s: %s", s->peer, s->error.text);
	sr_log(SR_LOG_WARN, s->device->name, "%s; session ended", s->ended_by);
	s->failed = true;
	finish(s);
}

void sr_session_close(struct sr_session *s)
{
	if (!s->ending)
		finish(s);
}

static void closed_by_peer(struct sr_session *s)
{
	sr_log(SR_LOG_INFO, s->device->name, "%s has closed the session", s->peer);
	finish(s);
}

static void readable(void *ctx, uint32_t events)
{
	struct sr_session *s = ctx;
	uint64_t start = sr_now_ns();

	/* Other errors show at the next read. */
	if (s->then) {
		if (events & (EPOLLRDHUP | EPOLLHUP))
			closed_by_peer(s);
		return;
	}
	for (int i = 0; i < BURST; i++) {
		int r = sr_vu_channel_receive(&s->channel, &s->error);

		if (r == 0)
			return;
		if (r == -EPIPE || r == -ECONNRESET) {
			closed_by_peer(s);
			return;
		}
		r = r < 0 ? r : sr_session_handle(s, &s->channel.m);
		if (r < 0)
			sr_session_fail(s);
		if (r)
			return;
		if (sr_now_ns() - start > BURST_NS)
			return;
	}
}

struct post {
	struct sr_session *s;
	void (*fn)(struct sr_session *s, unsigned arg);
	unsigned arg;
};

static void posted(void *ctx)
{
	struct post *p = ctx;
	struct sr_session *s = p->s;

	if (s->open)
		p->fn(s, p->arg);
	release(s);
	free(p);
}

bool sr_session_post(struct sr_session *s, void (*fn)(struct sr_session *s, unsigned arg),
		     unsigned arg)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return false;
	*p = (struct post){ s, fn, arg };
	atomic_fetch_add(&s->references, 1);
	if (sr_loop_post(s->config.control, posted, p)) {
		atomic_fetch_sub(&s->references, 1);
		free(p);
		return false;
	}
	return true;
}

static void name_peer(struct sr_session *s)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid > 0)
		snprintf(s->peer, sizeof(s->peer), "front-end (pid %d)", (int)cred.pid);
	else
		snprintf(s->peer, sizeof(s->peer), "front-end");
}

static unsigned queue_count(struct sr_device *d)
{
	return d->ops->queue_count ? d->ops->queue_count(d) : d->ops->queues_max;
}

struct sr_session *sr_session_begin(const struct sr_session_config *c, int fd, struct sr_error *e)
{
	struct sr_session *s = calloc(1, sizeof(*s));

	if (s) {
		s->nqueues = queue_count(c->device);
		s->queues = calloc(s->nqueues, sizeof(*s->queues));
		s->mem = sr_mem_create();
	}
	if (!s || !s->queues || !s->mem) {
		sr_error_set(e, -ENOMEM, "%s: session: out of memory", c->device->name);
		goto fail;
	}
	s->config = *c;
	s->device = c->device;
	s->fd = fd;
	s->back_fd = -1;
	s->open = true;
	atomic_init(&s->references, 1);
	sr_vu_channel_init(&s->channel, fd);
	name_peer(s);
	if (!sr_session_hint_init(s) || !sr_session_drain_init(s)) {
		sr_error_set(e, -ENOMEM, "%s: session: out of memory", c->device->name);
		goto fail;
	}
	s->watch = sr_watch_create(c->control, fd, EPOLLIN, readable, s, e);
	if (!s->watch)
		goto fail;
	s->device->session = s;
	s->device->session_ops = &sr_session_ops_table;
	sr_log(SR_LOG_INFO, s->device->name, "%s has connected", s->peer);
	return s;
fail:
	if (s) {
		sr_timer_destroy(s->hint);
		sr_timer_destroy(s->limit);
		sr_mem_destroy(s->mem);
		free(s->queues);
	}
	free(s);
	close(fd);
	return NULL;
}
