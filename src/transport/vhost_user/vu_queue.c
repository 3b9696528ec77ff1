/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs rings: each on its own loop, started and stopped there by the control loop. */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Chains that one queue works on before its loop turns to the next. */
#define BUDGET 128

/* Until the control loop is told again of what it had no room for. */
#define RETRY_US 1000

static const struct sr_device_ops *ops_of(const struct sr_vu_queue *q)
{
	return q->s->device->ops;
}

static void torn(struct sr_session *s, unsigned arg)
{
	(void)arg;
	if (s->ending)
		return;
	sr_error_set(
		&s->error, -EFAULT,
		"memory: the file behind %s was cut short while in use, expected to keep its size",
		sr_mem_is_torn(s->mem) ? "a region" : "the in-flight record");
	sr_session_fail(s);
}

/* On the control loop. The ring may have been stopped, even started again, since. */
static void broken(struct sr_session *s, unsigned index)
{
	struct sr_vu_queue *q = s->queues[index];

	if (!q->running || atomic_load(&q->health) != SR_VU_BROKEN)
		return;
	q->breaking = true;
	if (sr_vu_queue_drain(q))
		sr_vu_queue_stop(q);
	sr_log(SR_LOG_WARN, s->device->name, "%s: ring %u: %s; the ring is stopped", s->peer, index,
	       q->why);
	s->status |= SR_VU_STATUS_NEEDS_RESET;
	if (q->err >= 0)
		sr_session_signal(q->err, q->err_is_socket);
}

static bool is_torn(const struct sr_session *s)
{
	return sr_mem_is_torn(s->mem) ||
	       atomic_load_explicit(&s->torn_inflight, memory_order_relaxed);
}

static bool report_torn(struct sr_session *s)
{
	if (atomic_exchange(&s->torn, true) || sr_session_post(s, torn, 0))
		return true;
	atomic_store(&s->torn, false);
	return false;
}

static bool report_broken(struct sr_vu_queue *q)
{
	int health = SR_VU_BROKEN;

	if (sr_session_post(q->s, broken, q->index))
		return true;
	/* Unless it was started again meanwhile. */
	atomic_compare_exchange_strong(&q->health, &health, SR_VU_UNTOLD);
	return false;
}

static bool report_untold(struct sr_vu_queue *q)
{
	int health = SR_VU_UNTOLD;

	return !atomic_compare_exchange_strong(&q->health, &health, SR_VU_BROKEN) ||
	       report_broken(q);
}

static int health_of(const struct sr_vu_queue *q)
{
	return atomic_load_explicit(&q->health, memory_order_relaxed);
}

/* A store only once: senders of other loops are here too. */
static void note_move(struct sr_vu_queue *q)
{
	if (SR_UNLIKELY(!atomic_load_explicit(&q->moved, memory_order_relaxed)))
		atomic_store_explicit(&q->moved, true, memory_order_relaxed);
}

static bool is_flowing(const struct sr_vu_queue *q)
{
	return health_of(q) == SR_VU_SOUND &&
	       atomic_load_explicit(&q->drain, memory_order_relaxed) == SR_VU_FLOWING;
}

static int queue_poll(void *ctx)
{
	struct sr_vu_queue *q = ctx;
	struct sr_session *s = q->s;
	int n = 0;

	if (!q->running)
		return 0;
	if (SR_LIKELY(is_flowing(q)))
		n = ops_of(q)->process(s->device, q->index, BUDGET);
	if (n)
		note_move(q);
	if (SR_UNLIKELY(is_torn(s)) && !report_torn(s))
		n = -RETRY_US;
	if (SR_UNLIKELY(health_of(q) == SR_VU_UNTOLD) && !report_untold(q))
		n = -RETRY_US;
	if (SR_UNLIKELY(q->quiet_untold) && !sr_vu_queue_report_quiet(q))
		n = -RETRY_US;
	return n;
}

static bool queue_arm(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	if (!q->running || !is_flowing(q))
		return false;
	if (q->spin)
		return true;
	return ops_of(q)->arm ? ops_of(q)->arm(q->s->device, q->index) : sr_vq_rearm(q->vq);
}

static const struct sr_poller_ops poller_ops = { .poll = queue_poll, .arm = queue_arm };

struct sr_vu_queue *sr_vu_queue_get(struct sr_session *s, unsigned index)
{
	struct sr_vu_queue *q = s->queues[index];
	unsigned lane = s->device->ops->queues_a_lane;

	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->s = s;
	q->index = index;
	q->loop = s->config.workers[(s->config.first_worker + index / (lane ? lane : 1)) %
				    s->config.nworkers];
	q->kick = q->err = -1;
	atomic_init(&q->call, -1);
	q->enabled = s->enable_all;
	s->queues[index] = q;
	return q;
}

void sr_vu_queue_destroy(struct sr_vu_queue *q)
{
	if (!q)
		return;
	sr_vu_queue_stop(q);
	sr_vq_destroy(q->vq);
	if (q->call >= 0)
		close(q->call);
	if (q->err >= 0)
		close(q->err);
	free(q);
}

static void session_call(struct sr_session *s, unsigned queue)
{
	struct sr_vu_queue *q = s->queues[queue];
	int fd = atomic_load_explicit(&q->call, memory_order_acquire);

	note_move(q);
	if (fd >= 0)
		sr_session_signal(fd, q->call_is_socket);
}

struct start {
	struct sr_vu_queue *q;
	const struct sr_vq_config *config;
	struct sr_error *e;
	int result;
};

static void start_on_loop(void *ctx)
{
	struct start *t = ctx;
	struct sr_vu_queue *q = t->q;
	struct sr_device *d = q->s->device;

	t->result = sr_vq_start(q->vq, t->config, q->s->mem, t->e);
	if (t->result)
		return;
	atomic_store(&q->drain, SR_VU_FLOWING);
	q->quiet_untold = false;
	d->ops->queue_start(d, q->index, q->vq);
	if (d->ops->queue_enable)
		d->ops->queue_enable(d, q->index, q->enabled);
	q->running = true;
	q->spin = q->kick < 0;
	/* Rings start at SET_VRING_KICK, whether a kick comes or not. */
	sr_poller_wake(q->poller);
	/* Whoever served a ring that is not fresh may have died between showing buffers to the
	 * driver and calling it. */
	if (q->base || sr_vq_keeps(q->vq))
		session_call(q->s, q->index);
}

static int make_parts(struct sr_vu_queue *q, struct sr_error *e)
{
	if (!q->vq)
		q->vq = sr_vq_create();
	if (!q->vq)
		return sr_error_set(e, -ENOMEM, "ring %u: out of memory", q->index);
	if (q->poller)
		return 0;
	q->poller = sr_poller_create(q->loop, &poller_ops, q, e);
	if (!q->poller)
		return -ENOMEM;
	return q->kick >= 0 ? sr_poller_kick_fd(q->poller, q->kick, e) : 0;
}

int sr_vu_queue_try_start(struct sr_vu_queue *q, struct sr_error *e)
{
	struct sr_session *s = q->s;
	struct sr_vq_config c = {
		.size = q->size,
		.features = s->features,
		.desc = q->addr.desc,
		.avail = q->addr.avail,
		.used = q->addr.used,
		.base = q->base,
		/* At a start in the middle of a migration the log itself comes last. */
		.log_used = q->addr.flags & SR_VU_ADDR_LOG && sr_mem_log_active(s->mem),
		.log_gpa = q->addr.log,
		.chain_max = ops_of(q)->chain_max ? ops_of(q)->chain_max(s->device, q->index) : 0,
	};
	struct sr_error why = { 0 };
	struct start t = { .q = q, .config = &c, .e = &why };
	int r;

	if (q->running || !q->wanted || q->breaking || !q->size || !q->have_addr ||
	    !sr_mem_region_count(s->mem))
		return 0;
	r = sr_vu_inflight_part(q, &c.inflight, e);
	if (!r)
		r = make_parts(q, e);
	if (r)
		return r;
	atomic_store(&q->health, SR_VU_SOUND);
	sr_loop_call(q->loop, start_on_loop, &t);
	if (t.result)
		return sr_error_set(e, -EPROTO, "ring %u: %s", q->index, why.text);
	q->waiting = false;
	if (sr_vu_queues_running(s) == 1)
		sr_session_hint_expect(s);
	if (s->config_dirty)
		sr_session_config_changed(s);
	return 0;
}

static void pause_on_loop(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	ops_of(q)->queue_stop(q->s->device, q->index);
	q->base = sr_vq_stop(q->vq);
	q->running = false;
}

void sr_vu_queue_pause(struct sr_vu_queue *q)
{
	assert(sr_vu_queue_is_quiet(q));
	if (q->running)
		sr_loop_call(q->loop, pause_on_loop, q);
}

void sr_vu_queue_stop(struct sr_vu_queue *q)
{
	sr_vu_queue_pause(q);
	q->wanted = q->breaking = false;
	sr_poller_destroy(q->poller);
	q->poller = NULL;
	if (q->kick >= 0)
		close(q->kick);
	q->kick = -1;
}

static void enable_on_loop(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	if (ops_of(q)->queue_enable && atomic_load(&q->drain) == SR_VU_FLOWING)
		ops_of(q)->queue_enable(q->s->device, q->index, q->enabled);
	sr_poller_wake(q->poller);
}

void sr_vu_queue_enable(struct sr_vu_queue *q, bool on)
{
	if (q->enabled == on)
		return;
	q->enabled = on;
	if (q->running)
		sr_loop_call(q->loop, enable_on_loop, q);
}

static void kick_on_loop(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	q->spin = q->kick < 0;
	sr_poller_wake(q->poller);
}

int sr_vu_queue_set_kick(struct sr_vu_queue *q, int fd, struct sr_error *e)
{
	int old = q->kick, r = 0;

	q->kick = fd;
	if (q->poller) {
		r = sr_poller_kick_fd(q->poller, fd, e);
		sr_loop_call(q->loop, kick_on_loop, q);
	}
	if (old >= 0)
		close(old);
	return r;
}

void sr_vu_queues_pause(struct sr_session *s)
{
	for (unsigned i = 0; i < s->nqueues; i++)
		if (s->queues[i])
			sr_vu_queue_pause(s->queues[i]);
}

int sr_vu_queues_resume(struct sr_session *s, bool patient, struct sr_error *e)
{
	for (unsigned i = 0; i < s->nqueues; i++) {
		int r = s->queues[i] ? sr_vu_queue_try_start(s->queues[i], e) : 0;

		if (r && !patient)
			return r;
		if (r && !s->queues[i]->waiting)
			sr_log(SR_LOG_WARN, s->device->name,
			       "%s: %s; waiting for memory that holds it", s->peer, e->text);
		if (r)
			s->queues[i]->waiting = true;
	}
	return 0;
}

void sr_vu_queues_stop(struct sr_session *s)
{
	for (unsigned i = 0; i < s->nqueues; i++)
		if (s->queues[i])
			sr_vu_queue_stop(s->queues[i]);
}

unsigned sr_vu_queues_running(const struct sr_session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->nqueues; i++)
		n += s->queues[i] && s->queues[i]->running;
	return n;
}

static void session_queue_broken(struct sr_session *s, unsigned queue, const char *why)
{
	struct sr_vu_queue *q = s->queues[queue];
	int sound = SR_VU_SOUND;

	/* Only the first to say so writes the reason and posts. */
	if (!atomic_compare_exchange_strong(&q->health, &sound, SR_VU_BREAKING))
		return;
	snprintf(q->why, sizeof(q->why), "%s", why ? why : "broken");
	atomic_store(&q->health, SR_VU_BROKEN);
	report_broken(q);
}

static struct sr_loop *session_queue_loop(struct sr_session *s, unsigned queue)
{
	return s->queues[queue]->loop;
}

const struct sr_session_ops sr_session_ops_table = {
	.call = session_call,
	.queue_broken = session_queue_broken,
	.config_changed = sr_session_config_changed,
	.queue_loop = session_queue_loop,
	.queue_drained = sr_session_queue_drained,
};
