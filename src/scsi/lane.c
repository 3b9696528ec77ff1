/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane: one unit on one loop. Commands of a batch reach the disk as one batch; what needs no
 * disk is done at once and completed from the lane's own poller, never from inside submit.
 *
 * Other lanes send mail (a fence to pass, a command that may go on) under the unit's lock, and
 * ring an eventfd, which cannot fail for want of memory as a post could.
 */
#include "unit_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void lu_flush(struct sr_scsi_lane *l)
{
	unsigned n = l->batched;

	if (!n)
		return;
	l->batched = 0;
	sr_disk_submit(l->channel, l->batch, n);
}

void lu_disk(struct sr_scsi_cmd *c, void (*step)(struct sr_scsi_cmd *c))
{
	struct sr_scsi_lane *l = c->lane;

	c->step = step;
	l->batch[l->batched++] = &c->req;
	if (l->batched == SR_DISK_BATCH)
		lu_flush(l);
}

void lu_finish(struct sr_scsi_cmd *c)
{
	struct sr_scsi_lane *l = c->lane;

	if (c->prev)
		c->prev->next = c->next;
	else
		l->active = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->state = LU_DONE;
	if (SR_UNLIKELY(c->work != NULL)) {
		l->work_bytes -= c->work_bytes;
		free(c->work);
		c->work = NULL;
	}
	if (SR_UNLIKELY(l->fences != NULL))
		lu_fence_pass(l, c);
	if (SR_UNLIKELY(c->gate != NULL)) {
		pthread_mutex_lock(&l->unit->lock);
		lu_gate_leave(l->unit, c);
		pthread_mutex_unlock(&l->unit->lock);
	}
	c->next = NULL;
	*l->done_tail = c;
	l->done_tail = &c->next;
}

void lu_finish_stopped(struct sr_scsi_cmd *c)
{
	c->aborted = c->stop == LU_ABORT;
	c->status = c->aborted ? 0 : SR_SCSI_TASK_ABORTED;
	c->sense_len = 0;
	c->transferred = 0;
	c->residual = c->in_len + c->out_len;
	lu_finish(c);
}

static unsigned deliver(struct sr_scsi_lane *l)
{
	struct sr_scsi_cmd *batch[SR_DISK_BATCH], *list = l->done;
	unsigned total = 0, n;

	if (l->completing || !list)
		return 0;
	/* What is submitted from complete() waits for the next poll: others have their turn. */
	l->done = NULL;
	l->done_tail = &l->done;
	l->completing = true;
	while (list) {
		for (n = 0; list && n < SR_DISK_BATCH; n++) {
			batch[n] = list;
			list = list->next;
		}
		l->under_way -= n;
		total += n;
		l->complete(l->ctx, batch, n);
	}
	l->completing = false;
	l->delivered += total;
	if (l->done)
		sr_poller_wake(l->poller);
	return total;
}

static void disk_done(void *ctx, struct sr_disk_req *const *r, unsigned n)
{
	struct sr_scsi_lane *l = ctx;

	for (unsigned i = 0; i < n; i++) {
		struct sr_scsi_cmd *c = SR_CONTAINER_OF(r[i], struct sr_scsi_cmd, req);
		bool is_over = !c->step; /* and may have succeeded although it was to stop */

		if (SR_UNLIKELY(c->stop && (!is_over || c->req.result)))
			lu_finish_stopped(c);
		else if (is_over)
			lu_rw_done(c);
		else
			c->step(c);
	}
	lu_flush(l);
	deliver(l);
}

/* From any thread, with the unit's lock held. */
void lu_ring(struct sr_scsi_lane *l)
{
	atomic_store_explicit(&l->mail, true, memory_order_release);
	eventfd_write(l->kick_fd, 1);
}

void lu_resume(struct sr_scsi_cmd *c)
{
	struct sr_scsi_lane *l = c->lane;

	c->state = LU_RESUMED;
	c->waiting = NULL;
	*l->resumed_tail = c;
	l->resumed_tail = &c->waiting;
	lu_ring(l);
}

static void read_mail(struct sr_scsi_lane *l)
{
	struct sr_scsi_unit *u = l->unit;
	struct lu_fence *f, *next_fence;
	struct sr_scsi_cmd *c, *next;

	if (SR_LIKELY(!atomic_load_explicit(&l->mail, memory_order_acquire)))
		return;
	pthread_mutex_lock(&u->lock);
	atomic_store_explicit(&l->mail, false, memory_order_relaxed);
	f = l->new_fences;
	l->new_fences = NULL;
	c = l->resumed;
	l->resumed = NULL;
	l->resumed_tail = &l->resumed;
	for (struct sr_scsi_cmd *r = c; r; r = r->waiting)
		r->state = LU_TAKEN;
	pthread_mutex_unlock(&u->lock);
	for (; c; c = next) {
		next = c->waiting;
		c->state = LU_RUNNING;
		c->step(c);
	}
	lu_flush(l);
	for (; f; f = next_fence) {
		next_fence = f->next;
		lu_fence_begin(l, f);
	}
}

static int lane_poll(void *ctx)
{
	struct sr_scsi_lane *l = ctx;
	unsigned before = l->delivered;

	read_mail(l);
	deliver(l);
	return (int)(l->delivered - before);
}

static bool lane_arm(void *ctx)
{
	struct sr_scsi_lane *l = ctx;

	return l->done || atomic_load(&l->mail);
}

static const struct sr_poller_ops poller_ops = { .poll = lane_poll, .arm = lane_arm };

unsigned sr_scsi_poll(struct sr_scsi_lane *l)
{
	unsigned before = l->delivered;

	read_mail(l);
	sr_disk_poll(l->channel);
	deliver(l);
	return l->delivered - before;
}

static void begin(struct sr_scsi_lane *l, struct sr_scsi_cmd *c)
{
	c->status = SR_SCSI_GOOD;
	c->sense_len = 0;
	c->transferred = 0;
	c->residual = 0;
	c->aborted = false;
	c->overrun = false;
	c->lane = l;
	c->work = NULL;
	c->gate = NULL;
	c->seq = ++l->seq;
	c->bytes = 0;
	c->state = LU_RUNNING;
	c->stop = LU_GO_ON;
	c->protect = 0;
	c->admitted = false;
	c->prev = NULL;
	c->next = l->active;
	if (c->next)
		c->next->prev = c;
	l->active = c;
}

void sr_scsi_submit(struct sr_scsi_lane *l, struct sr_scsi_cmd *const *c, unsigned n)
{
	l->under_way += n;
	for (unsigned i = 0; i < n; i++) {
		begin(l, c[i]);
		lu_run(c[i]);
	}
	lu_flush(l);
	if (l->done)
		sr_poller_wake(l->poller);
}

static void take_out(struct sr_scsi_cmd **at, struct sr_scsi_cmd ***tail, struct sr_scsi_cmd *c)
{
	while (*at != c)
		at = &(*at)->waiting;
	*at = c->waiting;
	if (!*at)
		*tail = at;
}

/* Takes it out of the list it waits in; its state before that. Others change it only while it
 * waits. */
static enum lu_state unwait(struct sr_scsi_cmd *c)
{
	struct sr_scsi_lane *l = c->lane;
	struct sr_scsi_unit *u = l->unit;
	enum lu_state state;

	pthread_mutex_lock(&u->lock);
	state = c->state;
	if (state == LU_PARKED)
		take_out(&u->parked, &u->parked_tail, c);
	if (state == LU_RESUMED)
		take_out(&l->resumed, &l->resumed_tail, c);
	if (state == LU_FENCING)
		lu_gate_leave(u, c);
	pthread_mutex_unlock(&u->lock);
	return state;
}

bool lu_stop(struct sr_scsi_cmd *c, enum lu_stop how)
{
	struct sr_scsi_lane *l = c->lane;

	switch (unwait(c)) {
	case LU_DONE:
		return true;
	case LU_RUNNING:
		c->stop = (uint8_t)how;
		return sr_disk_cancel(l->channel, &c->req);
	case LU_TAKEN:
		c->stop = (uint8_t)how;
		return false;
	default:
		c->stop = (uint8_t)how;
		lu_finish_stopped(c);
		sr_poller_wake(l->poller);
		return true;
	}
}

bool sr_scsi_abort(struct sr_scsi_lane *l, struct sr_scsi_cmd *c)
{
	assert(c->lane == l);
	return lu_stop(c, LU_ABORT);
}

struct sr_scsi_lane *sr_scsi_lane_create(struct sr_scsi_unit *u, struct sr_loop *loop,
					 sr_scsi_complete_fn *complete, void *ctx,
					 struct sr_error *e)
{
	struct sr_scsi_lane *l = calloc(1, sizeof(*l));

	if (!l) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", sr_disk_name(u->disk));
		return NULL;
	}
	l->unit = u;
	l->loop = loop;
	l->complete = complete;
	l->ctx = ctx;
	l->done_tail = &l->done;
	l->resumed_tail = &l->resumed;
	l->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->kick_fd < 0)
		sr_error_set(e, -errno, "disk %s: eventfd: %m", sr_disk_name(u->disk));
	else
		l->channel = sr_disk_channel_create(u->disk, loop, disk_done, l, e);
	if (l->channel)
		l->poller = sr_poller_create(loop, &poller_ops, l, e);
	pthread_mutex_lock(&u->lock);
	l->next = u->lanes;
	u->lanes = l;
	pthread_mutex_unlock(&u->lock);
	if (!l->poller || sr_poller_kick_fd(l->poller, l->kick_fd, e)) {
		sr_scsi_lane_destroy(l);
		return NULL;
	}
	return l;
}

static void leave_unit(struct sr_scsi_lane *l)
{
	struct sr_scsi_unit *u = l->unit;
	struct sr_scsi_lane **at = &u->lanes;
	struct lu_fence *f, *next;

	pthread_mutex_lock(&u->lock);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	for (f = l->new_fences; f; f = next) {
		next = f->next;
		lu_gate_ack(u, f->gate);
	}
	pthread_mutex_unlock(&u->lock);
}

void sr_scsi_lane_destroy(struct sr_scsi_lane *l)
{
	if (!l)
		return;
	assert(!l->under_way && !l->completing && !l->fences);
	leave_unit(l);
	sr_poller_destroy(l->poller);
	sr_disk_channel_destroy(l->channel);
	if (l->kick_fd >= 0)
		close(l->kick_fd);
	free(l);
}
