/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pollers. One is polled each round while it has work (active); left alone until a time
 * when its work cannot go on (blocked); or waits for a notification (asleep). The awake
 * ones, active and blocked, are on one list, the sleeping ones on another, so that a
 * hundred idle queues cost a busy one nothing.
 *
 * No wake-up is lost: a poller goes to sleep only after arm() has enabled notifications and
 * looked again, so whatever came before is seen by arm(), and whatever comes later makes
 * the kick fd readable, which stays so until it is read, after which the poller is polled.
 */
#include "loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

void sr_poller_wake(struct sr_poller *p)
{
	struct sr_loop *l = p->loop;

	p->woken = true;
	l->wakes++;
	l->again = true;
	if (!p->is_asleep)
		return;
	p->is_asleep = false;
	p->busy_at = l->now;
	TAILQ_REMOVE(&l->asleep, p, link);
	/* In front: a round that is going on does not come back here, so it ends. */
	TAILQ_INSERT_HEAD(&l->awake, p, link);
}

static void fall_asleep(struct sr_poller *p)
{
	TAILQ_REMOVE(&p->loop->awake, p, link);
	TAILQ_INSERT_TAIL(&p->loop->asleep, p, link);
	p->is_asleep = true;
}

static bool is_patient(const struct sr_poller *p)
{
	const struct sr_loop *l = p->loop;

	return l->poll_us == SR_POLL_ALWAYS || l->now - p->busy_at < (uint64_t)l->poll_us * 1000;
}

static void poll_one(struct sr_poller *p)
{
	struct sr_loop *l = p->loop;
	int did;

	p->wakes_seen = l->wakes;
	p->woken = false;
	did = p->ops->poll(p->ctx);
	if (p->dead)
		return;
	if (did)
		p->busy_at = l->now;
	p->retry_at = did < 0 ? l->now - (int64_t)did * 1000 : 0;
	if (did < 0)
		l->retry_at = sr_min(l->retry_at, p->retry_at);
	if (did < 0 && l->poll_us != SR_POLL_ALWAYS)
		return;
	if (did || is_patient(p) || p->ops->arm(p->ctx) || p->woken)
		l->again = true;
	else if (!p->dead)
		fall_asleep(p);
}

static bool is_blocked(const struct sr_poller *p)
{
	return p->retry_at > p->loop->now && p->wakes_seen == p->loop->wakes;
}

void sr_pollers_run(struct sr_loop *l)
{
	struct sr_poller *p;

	l->again = false;
	l->retry_at = UINT64_MAX;
	for (p = TAILQ_FIRST(&l->awake); p; p = l->cursor) {
		l->cursor = TAILQ_NEXT(p, link);
		if (!is_blocked(p))
			poll_one(p);
		else if (l->poll_us == SR_POLL_ALWAYS)
			l->again = true;
		else
			l->retry_at = sr_min(l->retry_at, p->retry_at);
	}
}

/*
 * One read, which empties an eventfd; what is left of a stream keeps the fd readable and is
 * read the next time. It never blocks, whatever flags the fd has: it came from a peer, who
 * shares them and can change them at any time. Returns bytes, -EAGAIN when there are none,
 * -ENODATA at the end of the stream, or what else went wrong.
 */
static int read_kick(int fd, bool is_socket)
{
	char bytes[512];
	struct iovec iov = { bytes, sizeof(bytes) };
	ssize_t n = is_socket ? recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)
			      : preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	return n > 0 ? (int)n : n == 0 ? -ENODATA : -errno;
}

static bool is_socket(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

static void drop_kick(struct sr_poller *p)
{
	sr_watch_destroy(p->kick);
	p->kick = NULL;
}

/* A peer that hung up, or an fd that went bad, would be reported for ever: it is taken off.
 * What is left to do by then is still polled. */
static void kicked(void *ctx, uint32_t events)
{
	struct sr_poller *p = ctx;
	int r = read_kick(p->kick->fd, p->kick_is_socket);

	if (r < 0 && (r != -EAGAIN || (events & (EPOLLERR | EPOLLHUP))))
		drop_kick(p);
	sr_poller_wake(p);
}

/* One call to the loop's thread. */
struct request {
	struct sr_poller *poller;
	int fd, result;
	struct sr_error *e;
};

static void do_create(void *ctx)
{
	struct sr_poller *p = ctx;

	p->busy_at = p->loop->now;
	p->loop->again = true;
	TAILQ_INSERT_HEAD(&p->loop->awake, p, link);
}

struct sr_poller *sr_poller_create(struct sr_loop *l, const struct sr_poller_ops *ops, void *ctx,
				   struct sr_error *e)
{
	struct sr_poller *p = calloc(1, sizeof(*p));

	if (!p) {
		sr_error_set(e, -ENOMEM, "loop %s: out of memory", l->name);
		return NULL;
	}
	p->loop = l;
	p->ops = ops;
	p->ctx = ctx;
	sr_loop_call(l, do_create, p);
	return p;
}

static const char *kick_trouble(int code)
{
	if (code == -EOPNOTSUPP)
		return "cannot be read without waiting; an eventfd or a stream socket is expected";
	return code == -ENODATA ? "its other end is closed" : strerrordesc_np(-code);
}

static void do_kick_fd(void *ctx)
{
	struct request *r = ctx;
	struct sr_poller *p = r->poller;
	struct sr_error why;
	int got;

	drop_kick(p);
	if (r->fd < 0)
		return;
	p->kick = sr_watch_create(p->loop, r->fd, EPOLLIN, kicked, p, &why);
	if (!p->kick) {
		r->result = sr_error_set(r->e, why.code, "kick %s", why.text);
		return;
	}
	p->kick_is_socket = is_socket(r->fd);
	got = read_kick(r->fd, p->kick_is_socket);
	if (got < 0 && got != -EAGAIN) {
		r->result = sr_error_set(r->e, got, "kick fd %d: %s", r->fd, kick_trouble(got));
		drop_kick(p);
		return;
	}
	/* It may have been rung, and the ring read by somebody else, before it came here. */
	sr_poller_wake(p);
}

int sr_poller_kick_fd(struct sr_poller *p, int fd, struct sr_error *e)
{
	struct request r = { .poller = p, .fd = fd, .e = e };

	sr_loop_call(p->loop, do_kick_fd, &r);
	return r.result;
}

static void do_destroy(void *ctx)
{
	struct sr_poller *p = ctx;
	struct sr_loop *l = p->loop;

	if (l->cursor == p)
		l->cursor = TAILQ_NEXT(p, link);
	TAILQ_REMOVE(p->is_asleep ? &l->asleep : &l->awake, p, link);
	sr_watch_destroy(p->kick);
	p->dead = true;
	p->next_dead = l->dead_pollers;
	l->dead_pollers = p;
	if (!sr_loop_is_current(l))
		sr_loop_bury(l);
}

void sr_poller_destroy(struct sr_poller *p)
{
	if (p)
		sr_loop_call(p->loop, do_destroy, p);
}
