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
 * A message goes through channel.c (bytes to messages), message.c (its row of the table) and
 * one handler: vu_features.c, vu_memory.c, vring.c, vu_config.c. vu_queue.c runs the rings,
 * backend.c makes connections.
 *
 * Errors: a message that contradicts itself, the table or the rings ends the session with
 * one line in the log, after a non-zero answer if it asked for one. A sound message that we
 * do not serve is refused in the way its row says, and the session goes on.
 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <slipring/virtio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The control loop looks after others when so many messages of one front-end were handled, or
 * for so long: some change memory for many rings. */
#define BURST	 32
#define BURST_NS 5000000u

/* The served ones; the rest of the table is refused. */
static sr_vu_handler *const handlers[SR_VU_REQUESTS] = {
	[SR_VU_GET_FEATURES] = sr_vu_get_features,
	[SR_VU_SET_FEATURES] = sr_vu_set_features,
	[SR_VU_SET_OWNER] = sr_vu_set_owner,
	[SR_VU_RESET_OWNER] = sr_vu_reset_owner,
	[SR_VU_SET_MEM_TABLE] = sr_vu_set_mem_table,
	[SR_VU_SET_LOG_BASE] = sr_vu_set_log_base,
	[SR_VU_SET_LOG_FD] = sr_vu_set_log_fd,
	[SR_VU_SET_VRING_NUM] = sr_vu_set_vring_num,
	[SR_VU_SET_VRING_ADDR] = sr_vu_set_vring_addr,
	[SR_VU_SET_VRING_BASE] = sr_vu_set_vring_base,
	[SR_VU_GET_VRING_BASE] = sr_vu_get_vring_base,
	[SR_VU_SET_VRING_KICK] = sr_vu_set_vring_kick,
	[SR_VU_SET_VRING_CALL] = sr_vu_set_vring_call,
	[SR_VU_SET_VRING_ERR] = sr_vu_set_vring_err,
	[SR_VU_GET_PROTOCOL_FEATURES] = sr_vu_get_protocol_features,
	[SR_VU_SET_PROTOCOL_FEATURES] = sr_vu_set_protocol_features,
	[SR_VU_GET_QUEUE_NUM] = sr_vu_get_queue_num,
	[SR_VU_SET_VRING_ENABLE] = sr_vu_set_vring_enable,
	[SR_VU_SEND_RARP] = sr_vu_send_rarp,
	[SR_VU_NET_SET_MTU] = sr_vu_net_set_mtu,
	[SR_VU_SET_BACKEND_REQ_FD] = sr_vu_set_backend_req_fd,
	[SR_VU_GET_CONFIG] = sr_vu_get_config,
	[SR_VU_SET_CONFIG] = sr_vu_set_config,
	[SR_VU_GET_INFLIGHT_FD] = sr_vu_get_inflight_fd,
	[SR_VU_SET_INFLIGHT_FD] = sr_vu_set_inflight_fd,
	[SR_VU_RESET_DEVICE] = sr_vu_reset_device,
	[SR_VU_GET_MAX_MEM_SLOTS] = sr_vu_get_max_mem_slots,
	[SR_VU_ADD_MEM_REG] = sr_vu_add_mem_reg,
	[SR_VU_REM_MEM_REG] = sr_vu_rem_mem_reg,
	[SR_VU_SET_STATUS] = sr_vu_set_status,
	[SR_VU_GET_STATUS] = sr_vu_get_status,
};

int sr_session_reply_fd(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
			uint32_t size, int fd)
{
	int r = sr_vu_send(s->fd, m->request, SR_VU_REPLY_FLAGS, payload, size, &fd, fd >= 0);

	if (r == -EAGAIN)
		return sr_error_set(&s->error, r, "does not read our replies");
	if (r)
		return sr_error_set(&s->error, r, "reply not sent: %s", strerror(-r));
	return SR_VU_REPLIED;
}

int sr_session_reply(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
		     uint32_t size)
{
	return sr_session_reply_fd(s, m, payload, size, -1);
}

int sr_session_reply_u64(struct sr_session *s, const struct sr_vu_message *m, uint64_t value)
{
	return sr_session_reply(s, m, &value, sizeof(value));
}

/* With REPLY_ACK negotiated a front-end may ask for an answer to every message. One that
 * asks without having negotiated waits for it all the same. */
static int acknowledge(struct sr_session *s, const struct sr_vu_message *m, uint64_t value)
{
	return m->flags & SR_VU_NEED_REPLY ? sr_session_reply_u64(s, m, value) : SR_VU_DONE;
}

static void complain(struct sr_session *s, const struct sr_vu_message *m)
{
	uint64_t bit = SR_BIT(m->request < 63 ? m->request : 63);

	if (s->complained & bit)
		return;
	s->complained |= bit;
	sr_log(SR_LOG_WARN, s->device->name, "%s: %s; refused", s->peer, s->error.text);
}

static int refuse(struct sr_session *s, const struct sr_vu_row *row, const struct sr_vu_message *m)
{
	switch (row ? row->refusal : SR_VU_REFUSE_ACK) {
	case SR_VU_REFUSE_ACK:
		complain(s, m);
		return acknowledge(s, m, 1);
	case SR_VU_REFUSE_U64:
		complain(s, m);
		return sr_session_reply_u64(s, m, 1);
	case SR_VU_REFUSE_EMPTY:
		complain(s, m);
		return sr_session_reply(s, m, NULL, 0);
	case SR_VU_REFUSE_STATE:
		complain(s, m);
		return sr_session_reply_u64(s, m, SR_VU_NO_FD | 1);
	default:
		return -EPROTO;
	}
}

/* Whether the message's ring, or all of them where it has none, must be quiet for its handler. */
static bool stops_rings(const struct sr_vu_queue *q, const struct sr_vu_message *m)
{
	switch (m->request) {
	case SR_VU_SET_FEATURES:
	case SR_VU_SET_MEM_TABLE:
	case SR_VU_SET_LOG_BASE:
	case SR_VU_SET_VRING_NUM:
	case SR_VU_SET_VRING_ADDR:
	case SR_VU_SET_VRING_BASE:
	case SR_VU_GET_VRING_BASE:
	case SR_VU_RESET_DEVICE:
	case SR_VU_ADD_MEM_REG:
	case SR_VU_REM_MEM_REG:
		return true;
	case SR_VU_SET_STATUS:
		return m->p.u64 == 0;
	case SR_VU_SET_VRING_KICK:
		return atomic_load(&q->health) != SR_VU_SOUND;
	case SR_VU_SET_VRING_CALL:
		return sr_vu_call_needs_pause(q, m);
	default:
		return false;
	}
}

static void run_parked(struct sr_session *s, struct sr_vu_queue *q);

static int dispatch(struct sr_session *s, const struct sr_vu_row *row, struct sr_vu_message *m)
{
	struct sr_vu_queue *q = NULL;
	unsigned index;
	int r = sr_vu_check_request(m, row, s->protocol, &s->error);

	if (r)
		return r;
	r = sr_vu_check_ring(m, row, s->nqueues, &index, &s->error);
	if (r < 0)
		return r;
	if (!handlers[m->request])
		return sr_error_set(&s->error, -EOPNOTSUPP, "%s is not served", row->name);
	if (r == 1) {
		q = sr_vu_queue_get(s, index);
		if (!q)
			return sr_error_set(&s->error, -ENOMEM, "out of memory");
	}
	if (stops_rings(q, m) && !sr_session_await(s, q, row->name, run_parked))
		return SR_VU_PARKED;
	return handlers[m->request](s, q, m);
}

/* What a handler's result r makes of the message: 0, or a negative errno when the session is
 * lost. */
static int conclude(struct sr_session *s, const struct sr_vu_row *row,
		    const struct sr_vu_message *m, int r)
{
	if (r == SR_VU_REPLIED)
		return 0;
	if (r == SR_VU_DONE)
		return acknowledge(s, m, 0) < 0 ? -EPIPE : 0;
	if (r == -EOPNOTSUPP)
		return refuse(s, row, m) < 0 ? -EPROTO : 0;
	/* Front-ends tell their user more when they get an answer than when we hang up. */
	if (m->flags & SR_VU_NEED_REPLY)
		sr_vu_send(s->fd, m->request, SR_VU_REPLY_FLAGS, &(uint64_t){ 1 }, 8, NULL, 0);
	return r;
}

/* 0, SR_VU_PARKED, or a negative errno when the session is lost. */
static int handle(struct sr_session *s, struct sr_vu_message *m)
{
	const struct sr_vu_row *row = sr_vu_front_row(m->request);
	char name[24];
	int r;

	sr_log(SR_LOG_DEBUG, s->device->name, "%s: %s, %u bytes, %u fds", s->peer,
	       sr_vu_name(row, m->request, name), (unsigned)m->size, m->nfds);
	r = dispatch(s, row, m);
	if (r == SR_VU_PARKED)
		sr_watch_events(s->watch, EPOLLRDHUP);
	return r == SR_VU_PARKED ? r : conclude(s, row, m, r);
}

static void run_parked(struct sr_session *s, struct sr_vu_queue *q)
{
	struct sr_vu_message *m = &s->channel.m;
	int r = handlers[m->request](s, q, m);

	sr_watch_events(s->watch, EPOLLIN);
	if (conclude(s, sr_vu_front_row(m->request), m, r) < 0)
		sr_session_fail(s);
}

void sr_session_fail_parked(struct sr_session *s)
{
	conclude(s, sr_vu_front_row(s->channel.m.request), &s->channel.m, s->error.code);
	sr_session_fail(s);
}

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
		r = r < 0 ? r : handle(s, &s->channel.m);
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
