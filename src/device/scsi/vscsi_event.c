/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event queue (virtio 1.3, 5.6.6.3). Events come from the control loop and wait in a ring
 * of VSCSI_EVENTS_MAX until the guest has a buffer for them; one that finds it full is lost,
 * and the next one that is delivered says so (EVENTS_MISSED). Buffers stay in the queue until
 * there is an event, so nothing is ever outstanding.
 */
#include "iov.h"
#include "vscsi_internal.h"

#include <stdatomic.h>

#define T_NO_EVENT	0u
#define T_EVENTS_MISSED 0x80000000u

struct event_bytes {
	uint32_t event;
	uint8_t lun[8];
	uint32_t reason;
} __attribute__((packed));

void vscsi_event_init(struct sr_scsi *s)
{
	pthread_mutex_init(&s->events.lock, NULL);
}

void vscsi_event_finish(struct sr_scsi *s)
{
	pthread_mutex_destroy(&s->events.lock);
}

void vscsi_event_forget(struct sr_scsi *s)
{
	pthread_mutex_lock(&s->events.lock);
	s->events.count = 0;
	s->events.missed = false;
	pthread_mutex_unlock(&s->events.lock);
}

static bool is_wanted(const struct sr_scsi *s, uint32_t event)
{
	return atomic_load(&s->features) &
	       (event == VSCSI_T_PARAM_CHANGE ? SR_SCSI_F_CHANGE : SR_SCSI_F_HOTPLUG);
}

void vscsi_event_add(struct sr_scsi *s, uint32_t event, uint32_t reason, unsigned target,
		     unsigned lun)
{
	struct vscsi_events *v = &s->events;
	struct vscsi_queue *q = &s->queues[VSCSI_EVENT];
	bool lost;

	if (!is_wanted(s, event))
		return;
	pthread_mutex_lock(&v->lock);
	lost = v->count == VSCSI_EVENTS_MAX;
	v->missed |= lost;
	if (!lost)
		v->ring[(v->first + v->count++) % VSCSI_EVENTS_MAX] =
			(struct vscsi_event){ .event = event,
					      .reason = reason,
					      .target = (uint8_t)target,
					      .lun = (uint16_t)lun };
	if (!v->told)
		v->told = vscsi_box_send(&q->box, &q->news);
	pthread_mutex_unlock(&v->lock);
	vscsi_count(lost ? &s->counters.events_missed : &s->counters.events, 1);
}

/* What the next buffer is to say. False: nothing. */
static bool next_event(struct sr_scsi *s, uint64_t features, struct event_bytes *b)
{
	struct vscsi_events *v = &s->events;
	const struct vscsi_event *e = v->count ? &v->ring[v->first] : NULL;

	if (!e && !v->missed)
		return false;
	*b = (struct event_bytes){ 0 };
	if (e) {
		vscsi_address_make(b->lun, e->target, e->lun);
		b->reason = vscsi_u32(features, e->reason);
	}
	b->event = vscsi_u32(features,
			     (e ? e->event : T_NO_EVENT) | (v->missed ? T_EVENTS_MISSED : 0));
	return true;
}

static void event_told(struct vscsi_events *v)
{
	v->missed = false;
	if (!v->count)
		return;
	v->first = (v->first + 1) % VSCSI_EVENTS_MAX;
	v->count--;
}

/* One event for one buffer. 1, 0: no buffer or no event, negative: the ring is broken. */
static int deliver(struct vscsi_queue *q)
{
	struct vscsi_events *v = &q->scsi->events;
	struct event_bytes b;
	struct sr_chain c;
	int n = 0;

	pthread_mutex_lock(&v->lock);
	q->hungry = next_event(q->scsi, q->features, &b);
	if (q->hungry) {
		sr_iov_pool_reset(&q->pool);
		n = sr_vq_pop(q->vq, &c, 1, &q->pool);
	}
	if (n > 0) {
		/* One that is too short goes back with what fits of no event. */
		if (c.in_len < sizeof(b))
			memset(&b, 0, sizeof(b));
		else
			event_told(v);
		c.written = (uint32_t)sr_iov_write(c.in, c.nin, 0, &b, sizeof(b));
		sr_vq_push(q->vq, &c, 1);
		q->pushed = true;
	}
	pthread_mutex_unlock(&v->lock);
	return n;
}

int vscsi_event_process(struct vscsi_queue *q)
{
	int total = 0, n;

	vscsi_hold(q);
	while ((n = deliver(q)) > 0 && total < (int)VSCSI_EVENTS_MAX)
		total++;
	vscsi_release(q);
	if (n < 0)
		vscsi_queue_break(q);
	return total;
}

/* On the event queue's loop. Its poller sleeps and has not asked for kicks, so it is done here;
 * what finds no buffer waits for a kick from now on. */
void vscsi_event_news(struct vscsi_msg *m)
{
	struct vscsi_queue *q = SR_CONTAINER_OF(m, struct vscsi_queue, news);
	struct sr_device *d = &q->scsi->device;

	pthread_mutex_lock(&q->scsi->events.lock);
	q->scsi->events.told = false;
	pthread_mutex_unlock(&q->scsi->events.lock);
	do
		vscsi_process(d, VSCSI_EVENT, VSCSI_EVENTS_MAX);
	while (vscsi_arm(d, VSCSI_EVENT));
}
