/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's life: started, enabled, broken, drained, abandoned, stopped; and what is looked at
 * each time some of its commands have ended. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#include "vscsi_internal.h"

static struct vscsi_queue *queue_of(struct sr_device *d, unsigned queue)
{
	struct sr_scsi *s = vscsi_of(d);

	assert(queue < s->nqueues);
	return &s->queues[queue];
}

/* Told by a message: the transport may stop the queue at once, which may not happen inside the
 * completion that was the last. */
static void tell_drained(struct vscsi_msg *m)
{
	struct vscsi_queue *q = SR_CONTAINER_OF(m, struct vscsi_queue, drained);
	bool owed = q->drain_owed;

	q->told = false;
	q->drain_owed = false;
	if (owed)
		sr_device_queue_drained(&q->scsi->device, q->index);
}

void vscsi_queue_init(struct vscsi_queue *q, struct sr_scsi *s, unsigned index)
{
	q->scsi = s;
	q->index = index;
	vscsi_box_init(&q->box);
	q->drained.run = tell_drained;
	q->news.run = vscsi_event_news;
	TAILQ_INIT(&q->lanes);
	TAILQ_INIT(&q->parts);
	TAILQ_INIT(&q->tmfs);
}

void vscsi_hold(struct vscsi_queue *q)
{
	q->hold++;
}

static void tally_add(struct vscsi_queue *q)
{
	struct sr_scsi_counters *c = &q->scsi->counters;

	vscsi_count(&c->commands, q->tally.commands);
	vscsi_count(&c->read_bytes, q->tally.read_bytes);
	vscsi_count(&c->written_bytes, q->tally.written_bytes);
	vscsi_count(&c->check_conditions, q->tally.check_conditions);
	vscsi_count(&c->aborted, q->tally.aborted);
	vscsi_count(&c->malformed, q->tally.malformed);
	q->tally = (struct vscsi_tally){ 0 };
}

/* What waits for commands to end comes after their end is published: nobody hears of an abort
 * before the guest can see it. */
void vscsi_release(struct vscsi_queue *q)
{
	if (--q->hold)
		return;
	if (q->pushed) {
		q->pushed = false;
		tally_add(q);
		if (sr_vq_publish(q->vq))
			sr_device_call(&q->scsi->device, q->index);
	}
	if (SR_UNLIKELY(!TAILQ_EMPTY(&q->parts)))
		vscsi_tmf_review(q);
	vscsi_lanes_review(q);
	if (SR_UNLIKELY(q->drain_owed && !q->told && !vscsi_in_flight(q)))
		q->told = vscsi_box_send(&q->box, &q->drained);
}

static int queue_parts(struct vscsi_queue *q, struct sr_error *e)
{
	int r = vscsi_box_open(&q->box, q->loop, e);

	if (r || q->index != VSCSI_CTRL)
		return r;
	q->timer = sr_timer_create(q->loop, vscsi_tmf_timer, q);
	if (q->timer)
		return 0;
	vscsi_box_close(&q->box);
	return sr_error_set(e, -ENOMEM, "out of memory");
}

void vscsi_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	struct vscsi_queue *q = queue_of(d, queue);
	struct sr_error e;

	q->features = atomic_load(&q->scsi->features);
	q->loop = sr_device_queue_loop(d, queue);
	q->enabled = q->broken = q->draining = q->drain_owed = q->told = false;
	q->keep = q->pushed = q->hungry = false;
	q->vq = queue_parts(q, &e) ? NULL : vq;
	if (!q->vq)
		sr_device_queue_broken(d, queue, e.text);
}

/* Messages first, while there are lanes for them; afterwards nobody sends any. */
void vscsi_queue_stop(struct sr_device *d, unsigned queue)
{
	struct vscsi_queue *q = queue_of(d, queue);

	if (!q->vq)
		return;
	assert(!vscsi_in_flight(q));
	q->drain_owed = false;
	vscsi_box_run(&q->box);
	vscsi_lanes_close(q);
	vscsi_box_close(&q->box);
	sr_timer_destroy(q->timer);
	q->timer = NULL;
	vscsi_request_free_all(q);
	sr_iov_pool_finish(&q->pool);
	q->vq = NULL;
}

void vscsi_queue_enable(struct sr_device *d, unsigned queue, bool on)
{
	queue_of(d, queue)->enabled = on;
}

bool vscsi_queue_drain(struct sr_device *d, unsigned queue)
{
	struct vscsi_queue *q = queue_of(d, queue);

	q->draining = true;
	q->drain_owed = q->vq && vscsi_in_flight(q);
	return !q->drain_owed;
}

bool vscsi_queue_abandon(struct sr_device *d, unsigned queue)
{
	struct vscsi_queue *q = queue_of(d, queue);
	struct vscsi_lane *l;

	if (!q->vq)
		return true;
	q->draining = true;
	q->keep = sr_vq_keeps(q->vq);
	vscsi_hold(q);
	TAILQ_FOREACH(l, &q->lanes, link)
	vscsi_lane_abort(l, NULL, VSCSI_RESET);
	if (q->index == VSCSI_CTRL)
		vscsi_tmf_forget(q, !q->keep);
	vscsi_release(q);
	q->drain_owed = vscsi_in_flight(q);
	return !q->drain_owed;
}

void vscsi_queue_break(struct vscsi_queue *q)
{
	q->broken = true;
	sr_device_queue_broken(&q->scsi->device, q->index, sr_vq_error(q->vq));
}

static bool is_open(const struct vscsi_queue *q)
{
	return q->vq && q->enabled && !q->broken && !q->draining;
}

int vscsi_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct vscsi_queue *q = queue_of(d, queue);

	if (SR_UNLIKELY(!is_open(q)))
		return 0;
	switch (queue) {
	case VSCSI_CTRL:
		return vscsi_control_process(q, budget);
	case VSCSI_EVENT:
		return vscsi_event_process(q);
	default:
		return vscsi_request_process(q, budget);
	}
}

/* Buffers for events stay in the ring until there is one; kicks tell only where one waits. */
bool vscsi_arm(struct sr_device *d, unsigned queue)
{
	struct vscsi_queue *q = queue_of(d, queue);

	if (!is_open(q) || (queue == VSCSI_EVENT && !q->hungry))
		return false;
	return sr_vq_rearm(q->vq);
}
