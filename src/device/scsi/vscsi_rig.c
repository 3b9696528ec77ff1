/* SPDX-License-Identifier: BSD-3-Clause */
#include "vscsi_rig.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE   (64u << 20)
#define RAM_GPA	   0x100000u
#define RAM_UVA	   0x7f5500000000u
#define PATIENCE_S 60u /* against hangs, not a measure of anything */
#define ROUNDS	   200u

struct sr_session {
	struct rig *rig;
};

static void session_call(struct sr_session *s, unsigned queue)
{
	atomic_fetch_add(&s->rig->q[queue].calls, 1);
}

static void session_broken(struct sr_session *s, unsigned queue, const char *why)
{
	struct rig_queue *q = &s->rig->q[queue];

	snprintf(q->why, sizeof(q->why), "%s", why);
	atomic_store(&q->broken, true);
}

static void session_config_changed(struct sr_session *s)
{
	(void)s;
}

static struct sr_loop *session_loop(struct sr_session *s, unsigned queue)
{
	return s->rig->q[queue].loop;
}

static void session_drained(struct sr_session *s, unsigned queue)
{
	atomic_fetch_add(&s->rig->q[queue].drained, 1);
}

static const struct sr_session_ops session_ops = {
	.call = session_call,
	.queue_broken = session_broken,
	.config_changed = session_config_changed,
	.queue_loop = session_loop,
	.queue_drained = session_drained,
};

static int queue_poll(void *ctx)
{
	struct rig_queue *q = ctx;
	struct sr_device *d = q->rig->dev;

	return q->quiet ? 0 : d->ops->process(d, q->index, 128);
}

static bool queue_arm(void *ctx)
{
	struct rig_queue *q = ctx;
	struct sr_device *d = q->rig->dev;

	return !q->quiet && d->ops->arm(d, q->index);
}

static const struct sr_poller_ops poller_ops = { .poll = queue_poll, .arm = queue_arm };

static void ram_map(struct rig *r)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);
	struct sr_region region = { RAM_GPA, RAM_UVA, RAM_SIZE, 0, fd };
	struct sr_error e;

	assert_true(fd >= 0 && !ftruncate(fd, RAM_SIZE));
	r->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(r->ram != MAP_FAILED);
	r->mem = sr_mem_create();
	assert_non_null(r->mem);
	assert_int_equal(sr_mem_set_regions(r->mem, &region, 1, &e), 0);
	close(fd);
}

static struct sr_loop *loop_make(const char *name)
{
	struct sr_loop_config c = { .name = name, .cpu = -1, .poll_us = SR_POLL_NEVER };
	struct sr_error e;
	struct sr_loop *l = sr_loop_create(&c, &e);

	assert_non_null(l);
	return l;
}

struct rig *rig_create(const struct sr_scsi_config *c, unsigned workers, uint64_t features)
{
	struct sr_scsi_config config = *c;
	struct rig *r = calloc(1, sizeof(*r));
	struct sr_session *s = calloc(1, sizeof(*s));
	struct sr_error e;

	assert_true(r && s);
	ram_map(r);
	r->control = loop_make("control");
	r->nworkers = workers;
	for (unsigned i = 0; i < workers; i++) {
		r->worker[i] = loop_make("worker");
		assert_int_equal(sr_loop_spawn(r->worker[i], &e), 0);
	}
	config.control = r->control;
	r->scsi = sr_scsi_create(&config, &e);
	assert_non_null(r->scsi);
	r->dev = sr_scsi_device(r->scsi);
	s->rig = r;
	r->dev->session = s;
	r->dev->session_ops = &session_ops;
	r->features = features;
	r->dev->ops->features_set(r->dev, features);
	return r;
}

uint64_t rig_room(struct rig *r, size_t len)
{
	uint64_t at = RAM_GPA + r->used;

	r->used += len;
	assert_true(r->used <= RAM_SIZE);
	return at;
}

uint8_t *rig_at(struct rig *r, uint64_t addr)
{
	return r->ram + (addr - RAM_GPA);
}

static uint64_t room_aligned(struct rig *r, size_t len)
{
	r->used = (r->used + 4095) & ~(size_t)4095;
	return rig_room(r, len);
}

static void start_on_loop(void *ctx)
{
	struct rig_queue *q = ctx;
	struct sr_device *d = q->rig->dev;

	d->ops->queue_start(d, q->index, q->vq);
	d->ops->queue_enable(d, q->index, true);
}

static void ring_make(struct rig *r, struct rig_queue *q, unsigned size)
{
	uint64_t tables = room_aligned(r, (size_t)size * RIG_PIECES * 16);
	struct sr_drvq_config dc = { .size = size,
				     .features = r->features,
				     .indirect = rig_at(r, tables),
				     .indirect_gpa = tables,
				     .indirect_max = RIG_PIECES };
	struct sr_error e;

	q->ring = room_aligned(r, sr_drvq_bytes(size));
	dc.ring = rig_at(r, q->ring);
	q->drv = sr_drvq_create(&dc, &e);
	assert_non_null(q->drv);
	q->base = 0;
}

void rig_start(struct rig *r, unsigned i, unsigned size)
{
	struct rig_queue *q = &r->q[i];
	struct sr_drvq_layout l = sr_drvq_layout(size);
	struct sr_error e;
	uint64_t uva;

	if (!q->drv)
		ring_make(r, q, size);
	uva = q->ring - RAM_GPA + RAM_UVA;
	q->rig = r;
	q->index = i;
	q->loop = r->nworkers ? r->worker[i % r->nworkers] : r->control;
	q->vq = sr_vq_create();
	q->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(q->vq && q->kick >= 0);
	assert_int_equal(sr_vq_start(q->vq,
				     &(struct sr_vq_config){ .size = size,
							     .features = r->features,
							     .desc = uva + l.desc,
							     .avail = uva + l.avail,
							     .used = uva + l.used,
							     .base = q->base,
							     .inflight = q->record },
				     r->mem, &e),
			 0);
	atomic_store(&q->broken, false);
	atomic_store(&q->drained, 0);
	q->quiet = false;
	q->running = true;
	sr_loop_call(q->loop, start_on_loop, q);
	q->poller = sr_poller_create(q->loop, &poller_ops, q, &e);
	assert_non_null(q->poller);
	assert_int_equal(sr_poller_kick_fd(q->poller, q->kick, &e), 0);
}

void rig_start_all(struct rig *r)
{
	for (unsigned i = 0; i < r->dev->ops->queue_count(r->dev); i++)
		rig_start(r, i, 128);
}

static void enable_on_loop(void *ctx)
{
	struct rig_queue *q = ctx;

	q->rig->dev->ops->queue_enable(q->rig->dev, q->index, q->enabled);
	sr_poller_wake(q->poller);
}

void rig_enable(struct rig *r, unsigned i, bool on)
{
	r->q[i].enabled = on;
	sr_loop_call(r->q[i].loop, enable_on_loop, &r->q[i]);
}

struct ask {
	struct rig_queue *q;
	bool (*op)(struct sr_device *d, unsigned queue);
	bool answer;
};

static void ask_on_loop(void *ctx)
{
	struct ask *a = ctx;

	a->q->quiet = true;
	a->answer = a->op(a->q->rig->dev, a->q->index);
}

bool rig_drain(struct rig *r, unsigned i)
{
	struct ask a = { &r->q[i], r->dev->ops->queue_drain, false };

	sr_loop_call(r->q[i].loop, ask_on_loop, &a);
	return a.answer;
}

bool rig_abandon(struct rig *r, unsigned i)
{
	struct ask a = { &r->q[i], r->dev->ops->queue_abandon, false };

	sr_loop_call(r->q[i].loop, ask_on_loop, &a);
	return a.answer;
}

static void stop_on_loop(void *ctx)
{
	struct rig_queue *q = ctx;
	struct sr_device *d = q->rig->dev;

	d->ops->queue_stop(d, q->index);
	q->base = sr_vq_stop(q->vq);
}

void rig_stop(struct rig *r, unsigned i)
{
	struct rig_queue *q = &r->q[i];

	sr_loop_call(q->loop, stop_on_loop, q);
	sr_poller_destroy(q->poller);
	sr_vq_destroy(q->vq);
	close(q->kick);
	q->running = false;
}

void rig_reset(struct rig *r)
{
	r->dev->ops->reset(r->dev);
	r->dev->ops->features_set(r->dev, r->features);
}

static bool is_drained(void *ctx)
{
	struct rig_queue *q = ctx;

	return atomic_load(&q->drained);
}

void rig_destroy(struct rig *r)
{
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		if (r->q[i].running && !rig_drain(r, i) && !rig_abandon(r, i))
			rig_until(r, is_drained, &r->q[i]);
		if (r->q[i].running)
			rig_stop(r, i);
		sr_drvq_destroy(r->q[i].drv);
	}
	r->dev->ops->reset(r->dev);
	free(r->dev->session);
	sr_scsi_destroy(r->scsi);
	for (unsigned i = 0; i < r->nworkers; i++)
		sr_loop_destroy(r->worker[i]);
	sr_loop_destroy(r->control);
	sr_mem_destroy(r->mem);
	munmap(r->ram, RAM_SIZE);
	free(r);
}

struct sr_scsi_unit *rig_unit(struct sr_disk *d)
{
	struct sr_scsi_unit_config c = { .disk = d };
	struct sr_error e;
	struct sr_scsi_unit *u = sr_scsi_unit_create(&c, &e);

	assert_non_null(u);
	return u;
}

void rig_unit_free(struct sr_scsi_unit *u)
{
	struct sr_disk *d = sr_scsi_unit_disk(u);

	sr_scsi_unit_destroy(u);
	sr_disk_destroy(d);
}

void rig_attach(struct rig *r, unsigned target, unsigned lun, struct sr_scsi_unit *u)
{
	struct sr_error e = { 0 };
	int rc = sr_scsi_attach(r->scsi, target, lun, u, &e);

	if (rc)
		fail_msg("%s", e.text);
}

static void detached(void *ctx)
{
	struct rig *r = ctx;

	r->detached++;
}

void rig_detach(struct rig *r, unsigned target, unsigned lun)
{
	struct sr_error e;

	assert_int_equal(sr_scsi_detach(r->scsi, target, lun, detached, r, &e), 0);
}

/* Waiting: a poller on the control loop that looks each round. */

struct wait {
	struct rig *r;
	bool (*cond)(void *ctx);
	void *ctx;
	uint64_t until;
	bool timeout;
};

static int wait_poll(void *ctx)
{
	struct wait *w = ctx;

	w->timeout = sr_now_ns() > w->until;
	if (w->timeout || w->cond(w->ctx))
		sr_loop_stop(w->r->control);
	else
		sched_yield();
	return 1;
}

static bool wait_arm(void *ctx)
{
	(void)ctx;
	return true;
}

void rig_until(struct rig *r, bool (*cond)(void *ctx), void *ctx)
{
	static const struct sr_poller_ops ops = { .poll = wait_poll, .arm = wait_arm };
	struct wait w = { r, cond, ctx, sr_now_ns() + PATIENCE_S * 1000000000ull, false };
	struct sr_error e;
	struct sr_poller *p = sr_poller_create(r->control, &ops, &w, &e);

	assert_non_null(p);
	assert_int_equal(sr_loop_run(r->control, &e), 0);
	sr_poller_destroy(p);
	if (w.timeout)
		fail_msg("nothing happens any more");
}

static bool count_down(void *ctx)
{
	unsigned *n = ctx;

	return !(*n)--;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

void rig_settle(struct rig *r)
{
	unsigned n = ROUNDS;

	rig_until(r, count_down, &n);
	for (unsigned i = 0; i < r->nworkers; i++)
		sr_loop_call(r->worker[i], nothing, NULL);
	n = ROUNDS;
	rig_until(r, count_down, &n);
}
