/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to an NBD server: made, used, lost, made again. Requests that were under way
 * on a lost one go to the front of the disk's queue and are sent again: the guest has no
 * answer to them yet, so nothing newer touches their blocks.
 */
#include "base.h"
#include "nbd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define MS	   1000000u /* ns */
#define RETRY_MIN  (50u * MS)
#define RETRY_MAX  (2000u * MS)
#define ATTEMPT_NS (10000ull * MS) /* to connect and negotiate */

static const char *name_of(const struct nbd_link *l)
{
	return l->disk->remote.base.name;
}

/* libnbd calls this from inside its other calls and allows none of them here. */
static int answered(void *ctx, int *error)
{
	struct remote_job *j = ctx;
	struct nbd_link *l = j->engine;

	j->result = *error ? -*error : 0;
	TAILQ_REMOVE(&l->flying, j, link);
	TAILQ_INSERT_TAIL(&l->answered, j, link);
	return 1;
}

static int64_t send_job(struct nbd_link *l, struct remote_job *j)
{
	nbd_completion_callback done = { .callback = answered, .user_data = j };
	uint32_t fua = j->flags & SR_DISK_FUA && l->disk->remote.fua ? LIBNBD_CMD_FLAG_FUA : 0;

	switch (j->op) {
	case SR_DISK_READ:
		return nbd_aio_pread(l->h, j->buf, j->len, j->offset, done, 0);
	case SR_DISK_WRITE:
		return nbd_aio_pwrite(l->h, j->buf, j->len, j->offset, done, fua);
	case SR_DISK_FLUSH:
		return nbd_aio_flush(l->h, done, 0);
	case SR_DISK_DISCARD:
		return nbd_aio_trim(l->h, j->len, j->offset, done, 0);
	default:
		return nbd_aio_zero(l->h, j->len, j->offset, done,
				    fua | (j->flags & SR_DISK_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE));
	}
}

static bool is_dead(const struct nbd_link *l)
{
	return nbd_aio_is_dead(l->h) || nbd_aio_is_closed(l->h);
}

static void again(void *ctx);

static void retry_later(struct nbd_link *l)
{
	sr_timer_set(l->timer, l->retry_ns);
	l->retry_ns = sr_min(l->retry_ns * 2, RETRY_MAX);
}

static void drop_handle(struct nbd_link *l)
{
	sr_watch_destroy(l->watch);
	l->watch = NULL;
	if (l->ready)
		nbd_aio_disconnect(l->h, 0); /* says good-bye, waits for nothing */
	nbd_close(l->h);
	l->h = NULL;
	l->ready = false;
}

static void requeue(struct nbd_link *l, struct remote_jobs *jobs)
{
	struct remote_job *j;

	while ((j = TAILQ_LAST(jobs, remote_jobs))) {
		TAILQ_REMOVE(jobs, j, link);
		TAILQ_INSERT_HEAD(&l->disk->queue, j, link);
	}
	l->load = 0;
}

static void lost(struct nbd_link *l)
{
	if (!l->told)
		sr_log(SR_LOG_WARN, name_of(l),
		       "connection to %s lost; connecting again, %u requests are to be sent again",
		       l->disk->uri, l->load);
	l->told = true;
	drop_handle(l);
	requeue(l, &l->flying);
	retry_later(l);
	/* Others may take them. */
	nbd_disk_dispatch(l->disk);
}

/* A job that failed because the connection did has no answer. */
static void hand_out(struct nbd_link *l, bool dead)
{
	struct remote_jobs unanswered = TAILQ_HEAD_INITIALIZER(unanswered);
	struct remote_job *j;

	while ((j = TAILQ_FIRST(&l->answered))) {
		TAILQ_REMOVE(&l->answered, j, link);
		if (dead && j->result < 0) {
			TAILQ_INSERT_TAIL(&unanswered, j, link);
			continue;
		}
		l->load--;
		remote_done(j, j->result);
	}
	TAILQ_CONCAT(&l->flying, &unanswered, link);
}

static void got_ready(struct nbd_link *l)
{
	int64_t size = nbd_get_size(l->h);

	sr_timer_cancel(l->timer);
	l->retry_ns = RETRY_MIN;
	l->ready = true;
	if (l->told)
		sr_log(SR_LOG_INFO, name_of(l), "connected to %s again", l->disk->uri);
	l->told = false;
	if (size < (int64_t)sr_disk_size(&l->disk->remote.base))
		sr_log(SR_LOG_WARN, name_of(l),
		       "%s has %" PRId64 " bytes, expected the %" PRIu64
		       " of before; what lies behind them will fail",
		       l->disk->uri, size, sr_disk_size(&l->disk->remote.base));
	nbd_disk_dispatch(l->disk);
}

static void io(void *ctx, uint32_t events)
{
	struct nbd_link *l = ctx;
	unsigned direction = nbd_aio_get_direction(l->h);

	if (events & ~(uint32_t)EPOLLOUT && direction & LIBNBD_AIO_DIRECTION_READ)
		nbd_aio_notify_read(l->h);
	else if (events & ~(uint32_t)EPOLLIN && direction & LIBNBD_AIO_DIRECTION_WRITE)
		nbd_aio_notify_write(l->h);
	nbd_link_look(l);
}

static bool watch(struct nbd_link *l)
{
	unsigned direction = nbd_aio_get_direction(l->h);
	uint32_t events = (direction & LIBNBD_AIO_DIRECTION_READ ? EPOLLIN : 0u) |
			  (direction & LIBNBD_AIO_DIRECTION_WRITE ? EPOLLOUT : 0u);
	int fd = nbd_aio_get_fd(l->h);

	/* While it connects, the socket may become another one. */
	if (l->watch && fd == l->fd)
		return sr_watch_events(l->watch, events) == 0;
	sr_watch_destroy(l->watch);
	l->fd = fd;
	l->watch = fd < 0 ? NULL : sr_watch_create(l->disk->loop, fd, events, io, l, NULL);
	return l->watch;
}

/* After each call that may have moved the connection on. */
void nbd_link_look(struct nbd_link *l)
{
	bool dead;

	if (!l->h)
		return;
	dead = is_dead(l);
	hand_out(l, dead);
	if (dead || !watch(l))
		lost(l);
	else if (!l->ready && nbd_aio_is_ready(l->h))
		got_ready(l);
}

static void again(void *ctx)
{
	struct nbd_link *l = ctx;
	struct sr_error e = { 0 };

	if (l->h) {
		lost(l); /* no answer to our greeting */
		return;
	}
	l->h = nbd_disk_handle(l->disk, &e);
	if (!l->h) {
		retry_later(l);
		return;
	}
	sr_timer_set(l->timer, ATTEMPT_NS);
	nbd_aio_connect_uri(l->h, l->disk->uri);
	nbd_link_look(l);
}

bool nbd_link_open(struct nbd_link *l, struct nbd_disk *d, struct nbd_handle *h)
{
	l->disk = d;
	l->retry_ns = RETRY_MIN;
	l->fd = -1;
	TAILQ_INIT(&l->flying);
	TAILQ_INIT(&l->answered);
	l->timer = sr_timer_create(d->loop, again, l);
	l->h = h;
	if (!l->timer)
		return false;
	if (h)
		nbd_link_look(l);
	else
		sr_timer_set(l->timer, 0);
	return true;
}

void nbd_link_close(struct nbd_link *l)
{
	sr_timer_destroy(l->timer);
	if (l->h)
		drop_handle(l);
	requeue(l, &l->flying);
}

void nbd_link_send(struct nbd_link *l, struct remote_job *j)
{
	j->engine = l;
	TAILQ_INSERT_TAIL(&l->flying, j, link);
	l->load++;
	if (send_job(l, j) >= 0)
		return;
	/* Refused before it was sent; on a dead connection nbd_link_look sends it again. */
	if (is_dead(l)) {
		l->ready = false;
		return;
	}
	sr_log(SR_LOG_WARN, name_of(l), "%s: %s", l->disk->uri, nbd_get_error());
	TAILQ_REMOVE(&l->flying, j, link);
	l->load--;
	remote_done(j, nbd_get_errno() ? -nbd_get_errno() : -EIO);
}
