/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a server across a network may keep us waiting for minutes. The guest may not be
 * held for so long when its queue has to stop, and must find its memory untouched after it
 * has stopped. Libraries that read from and write to such servers do not take a request back.
 *
 * Rejected: handing the guest's buffers to the library (libnbd wants one flat buffer anyway,
 * librbd copies). Giving up a connection to get requests back: the server may still carry out
 * what it has received, after newer writes to the same blocks.
 *
 * Chosen: each request is copied, piece by piece, into a job, and a job is ours for as long as
 * the server likes. Cancelling takes the request off its job at once. A write whose job goes
 * on without it is a stray: until it has ended, all later requests to that disk wait, so
 * that it cannot overtake any of them.
 *
 * Threads: a channel and its waiting requests belong to the channel's loop; a job is handed to
 * the engine and comes back by the channel's mailbox. Whether it comes back or is a stray is
 * decided by one exchange of its state.
 */
#include "remote.h"
#include "base.h"
#include "iov.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	LIVE,
	DONE,
	STRAY
};

struct remote_channel {
	struct sr_disk_channel base;
	LIST_ENTRY(remote_channel) link;
	struct remote_mailbox inbox;
	struct sr_disk_req *waiting, **waiting_tail;
	struct remote_job *unused;
	unsigned jobs; /* live ones */
};

int remote_mailbox_init(struct remote_mailbox *m)
{
	atomic_init(&m->head, NULL);
	atomic_init(&m->armed, false);
	atomic_init(&m->putting, 0);
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return m->fd < 0 ? -errno : 0;
}

void remote_mailbox_finish(struct remote_mailbox *m)
{
	while (atomic_load(&m->putting))
		sched_yield();
	if (m->fd >= 0)
		close(m->fd);
}

static void mailbox_ring(struct remote_mailbox *m)
{
	eventfd_write(m->fd, 1);
}

/* The putter writes the list, then looks whether somebody sleeps; the taker says that it
 * sleeps, then looks at the list: sequentially consistent, so one of the two sees the other. */
void remote_mailbox_put(struct remote_mailbox *m, struct remote_job *j)
{
	/* From the exchange on, the taker may be done with the job and with the mailbox. */
	atomic_fetch_add(&m->putting, 1);
	j->next = atomic_load(&m->head);
	while (!atomic_compare_exchange_weak(&m->head, &j->next, j))
		;
	if (atomic_exchange(&m->armed, false))
		mailbox_ring(m);
	atomic_fetch_sub(&m->putting, 1);
}

struct remote_job *remote_mailbox_take(struct remote_mailbox *m)
{
	struct remote_job *j, *next, *list = NULL;

	if (!atomic_load_explicit(&m->head, memory_order_relaxed))
		return NULL;
	for (j = atomic_exchange(&m->head, NULL); j; j = next) {
		next = j->next;
		j->next = list;
		list = j;
	}
	return list;
}

bool remote_mailbox_arm(struct remote_mailbox *m)
{
	atomic_store(&m->armed, true);
	if (!atomic_load(&m->head))
		return false;
	atomic_store(&m->armed, false);
	return true;
}

void remote_disk_init(struct remote_disk *d, const struct remote_ops *ops)
{
	d->remote = ops;
	d->fua = ops->fua;
	atomic_init(&d->strays, 0);
	atomic_init(&d->unended, 0);
	pthread_mutex_init(&d->lock, NULL);
	LIST_INIT(&d->channels);
}

void remote_disk_finish(struct remote_disk *d)
{
	assert(LIST_EMPTY(&d->channels));
	pthread_mutex_destroy(&d->lock);
}

static struct remote_disk *disk_of(struct remote_channel *c)
{
	return SR_CONTAINER_OF(c->base.disk, struct remote_disk, base);
}

static struct remote_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct remote_channel, base);
}

static void job_free(struct remote_job *j)
{
	free(j->buf);
	free(j);
}

static bool changes_medium(const struct remote_job *j)
{
	return j->op != SR_DISK_READ && j->op != SR_DISK_FLUSH;
}

/* Before the job can see that nobody waits for it. */
static void count_stray(struct remote_job *j)
{
	atomic_fetch_add(&j->disk->unended, 1);
	if (changes_medium(j))
		atomic_fetch_add(&j->disk->strays, 1);
}

/* Requests wait behind strays: for the last one that writes, and for room for more. */
static bool is_held_up(const struct remote_disk *d)
{
	return atomic_load(&d->strays) || atomic_load(&d->unended) >= REMOTE_STRAYS_MAX;
}

/* After the one that was waited for everybody may go on. */
static void uncount_stray(struct remote_job *j)
{
	struct remote_disk *d = j->disk;
	struct remote_channel *c;
	bool makes_room = atomic_fetch_sub(&d->unended, 1) == REMOTE_STRAYS_MAX;
	bool was_last = changes_medium(j) && atomic_fetch_sub(&d->strays, 1) == 1;

	if (!makes_room && !was_last)
		return;
	pthread_mutex_lock(&d->lock);
	for (c = LIST_FIRST(&d->channels); c; c = LIST_NEXT(c, link))
		mailbox_ring(&c->inbox);
	pthread_mutex_unlock(&d->lock);
}

void remote_done(struct remote_job *j, int result)
{
	j->result = result;
	if (atomic_exchange(&j->state, DONE) == STRAY) {
		uncount_stray(j);
		job_free(j);
	} else {
		remote_mailbox_put(&j->channel->inbox, j);
	}
}

struct sr_disk_channel *remote_channel_create(struct sr_disk *d, struct sr_loop *loop,
					      struct sr_error *e)
{
	struct remote_channel *c = calloc(1, sizeof(*c));
	int r = c ? remote_mailbox_init(&c->inbox) : -ENOMEM;

	(void)loop;
	if (r) {
		free(c);
		sr_error_set(e, r, "disk %s: channel: %s", d->name, strerror(-r));
		return NULL;
	}
	c->base.disk = d;
	c->waiting_tail = &c->waiting;
	pthread_mutex_lock(&disk_of(c)->lock);
	LIST_INSERT_HEAD(&disk_of(c)->channels, c, link);
	pthread_mutex_unlock(&disk_of(c)->lock);
	return &c->base;
}

void remote_channel_destroy(struct sr_disk_channel *base)
{
	struct remote_channel *c = channel_of(base);
	struct remote_job *j;

	assert(c->jobs == 0 && !c->waiting);
	pthread_mutex_lock(&disk_of(c)->lock);
	LIST_REMOVE(c, link);
	pthread_mutex_unlock(&disk_of(c)->lock);
	while ((j = c->unused)) {
		c->unused = j->next;
		job_free(j);
	}
	remote_mailbox_finish(&c->inbox);
	free(c);
}

static struct remote_job *job_get(struct remote_channel *c)
{
	struct remote_job *j = c->unused;

	if (j)
		c->unused = j->next;
	else
		j = calloc(1, sizeof(*j));
	if (j)
		c->jobs++;
	return j;
}

static void job_put(struct remote_channel *c, struct remote_job *j)
{
	j->next = c->unused;
	c->unused = j;
	c->jobs--;
}

static bool has_data(uint8_t op)
{
	return op == SR_DISK_READ || op == SR_DISK_WRITE;
}

static int make_room(struct remote_job *j, uint32_t len)
{
	void *buf;

	if (j->room >= len)
		return 0;
	/* By powers of two: a job serves requests of all sizes in turn. */
	len = 1u << (32 - __builtin_clz(len - 1));
	buf = realloc(j->buf, len);
	if (!buf)
		return -ENOMEM;
	j->buf = buf;
	j->room = len;
	return 0;
}

/* False: nothing is left to do. */
static bool prepare_step(struct remote_job *j)
{
	const struct sr_disk_req *r = j->req;
	uint64_t left = r->len - j->at;

	if (r->op == SR_DISK_FLUSH) {
		j->len = 0;
		return j->at++ == 0;
	}
	if (left) {
		j->offset = r->offset + j->at;
		j->len = (uint32_t)sr_min(left, has_data(j->op) ? REMOTE_PIECE : REMOTE_RANGE_MAX);
		return true;
	}
	if (!(r->flags & SR_DISK_FUA) || j->disk->fua || j->op == SR_DISK_FLUSH)
		return false;
	j->op = SR_DISK_FLUSH;
	j->len = 0;
	return true;
}

static void finish(struct remote_channel *c, struct remote_job *j, int result)
{
	sr_disk_finish(&c->base, j->req, result);
	job_put(c, j);
}

static void step(struct remote_channel *c, struct remote_job *j)
{
	struct sr_disk_req *r = j->req;

	if (!prepare_step(j)) {
		finish(c, j, 0);
		return;
	}
	if (has_data(j->op) && make_room(j, j->len)) {
		finish(c, j, -ENOMEM);
		return;
	}
	if (j->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, j->at, j->buf, j->len);
	atomic_store(&j->state, LIVE);
	j->disk->remote->start(j->disk, j);
}

/* False: it has to wait. */
static bool begin(struct remote_channel *c, struct sr_disk_req *r)
{
	struct remote_job *j;

	if (c->jobs >= REMOTE_JOBS_MAX || is_held_up(disk_of(c)))
		return false;
	j = job_get(c);
	if (!j) {
		sr_disk_finish(&c->base, r, -ENOMEM);
		return true;
	}
	j->disk = disk_of(c);
	j->channel = c;
	j->req = r;
	j->op = r->op;
	j->flags = r->flags;
	j->at = 0;
	r->own[0].p = j;
	step(c, j);
	return true;
}

static void begin_waiting(struct remote_channel *c)
{
	while (c->waiting) {
		struct sr_disk_req *r = c->waiting, *next = r->next;

		if (!begin(c, r))
			return;
		c->waiting = next;
		if (!next)
			c->waiting_tail = &c->waiting;
	}
}

void remote_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct remote_channel *c = channel_of(base);

	for (unsigned i = 0; i < n; i++) {
		if (r[i]->op > SR_DISK_ZEROES) {
			sr_disk_finish(base, r[i], -EOPNOTSUPP);
			continue;
		}
		r[i]->own[0].p = NULL;
		r[i]->next = NULL;
		*c->waiting_tail = r[i];
		c->waiting_tail = &r[i]->next;
	}
	begin_waiting(c);
}

static void job_came_back(struct remote_channel *c, struct remote_job *j)
{
	if (j->result < 0) {
		finish(c, j, j->result);
		return;
	}
	if (j->op == SR_DISK_READ)
		sr_iov_write(j->req->iov, j->req->niov, j->at, j->buf, j->len);
	j->at += j->len;
	step(c, j);
}

void remote_reap(struct sr_disk_channel *base)
{
	struct remote_channel *c = channel_of(base);
	struct remote_job *j, *next;

	for (j = remote_mailbox_take(&c->inbox); j; j = next) {
		next = j->next;
		job_came_back(c, j);
	}
	begin_waiting(c);
}

bool remote_arm(struct sr_disk_channel *base)
{
	struct remote_channel *c = channel_of(base);

	/* Strays that end ring the bell whether it is armed or not. */
	return remote_mailbox_arm(&c->inbox);
}

int remote_event_fd(struct sr_disk_channel *base)
{
	return channel_of(base)->inbox.fd;
}

static void unwait(struct remote_channel *c, struct sr_disk_req *r)
{
	struct sr_disk_req **at = &c->waiting;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (!*at)
		c->waiting_tail = at;
}

bool remote_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct remote_channel *c = channel_of(base);
	struct remote_job *j = r->own[0].p;
	int live = LIVE;

	if (!j) {
		unwait(c, r);
		sr_disk_finish(base, r, -ECANCELED);
		return true;
	}
	count_stray(j);
	if (atomic_compare_exchange_strong(&j->state, &live, STRAY)) {
		c->jobs--;
		sr_disk_finish(base, r, -ECANCELED);
		return true;
	}
	/* Done this moment, so it is in the mailbox or a few instructions before. */
	uncount_stray(j);
	for (;;) {
		struct remote_job *list = remote_mailbox_take(&c->inbox), *next;
		bool found = false;

		for (; list; list = next) {
			next = list->next;
			found |= list == j;
			if (list == j)
				finish(c, j, j->result < 0 ? j->result : -ECANCELED);
			else
				job_came_back(c, list);
		}
		if (found)
			return true;
	}
}
