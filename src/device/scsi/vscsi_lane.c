/* SPDX-License-Identifier: BSD-3-Clause */
/* Units on one queue: a channel to each is opened with the first command for it, and closed
 * when the queue stops or the unit is taken off and its last command has ended. */
#include <assert.h>

#include "vscsi_internal.h"

/* Asked to close: begins with what can be ended early. On the queue's loop. */
static void lane_gone(struct vscsi_msg *m)
{
	struct vscsi_lane *l = SR_CONTAINER_OF(m, struct vscsi_lane, gone);
	struct vscsi_queue *q = l->q;

	if (!l->scsi) {
		vscsi_lun_ack(l->lun);
		return;
	}
	l->dying = true;
	q->dying++;
	vscsi_hold(q);
	vscsi_lane_abort(l, NULL, VSCSI_TRANSPORT_FAILURE);
	vscsi_release(q);
}

void vscsi_lane_init(struct vscsi_lane *l, struct vscsi_lun *lun, struct vscsi_queue *q)
{
	l->lun = lun;
	l->q = q;
	l->gone.run = lane_gone;
	TAILQ_INIT(&l->cmds);
	l->batch_end = &l->batch;
}

struct sr_scsi_lane *vscsi_lane_open(struct vscsi_lane *l)
{
	struct sr_error e;

	if (SR_LIKELY(l->scsi != NULL))
		return l->scsi;
	l->scsi = sr_scsi_lane_create(l->lun->unit, l->q->loop, vscsi_request_complete, l, &e);
	if (l->scsi)
		TAILQ_INSERT_TAIL(&l->q->lanes, l, link);
	else if (!l->warned)
		sr_log(SR_LOG_WARN, l->q->scsi->name, "target %u, logical unit %u, queue %u: %s",
		       l->lun->target->number, l->lun->number, l->q->index, e.text);
	l->warned = !l->scsi;
	return l->scsi;
}

/* The lane may be the last thing that holds its unit. */
static void lane_close(struct vscsi_lane *l)
{
	assert(TAILQ_EMPTY(&l->cmds));
	TAILQ_REMOVE(&l->q->lanes, l, link);
	sr_scsi_lane_destroy(l->scsi);
	l->scsi = NULL;
	if (!l->dying)
		return;
	l->q->dying--;
	vscsi_lun_ack(l->lun);
}

static void lane_end(struct vscsi_msg *m)
{
	lane_close(SR_CONTAINER_OF(m, struct vscsi_lane, gone));
}

/* A lane cannot be closed from inside its own completions, where this may be called. */
void vscsi_lanes_review(struct vscsi_queue *q)
{
	struct vscsi_lane *l;

	if (SR_LIKELY(!q->dying))
		return;
	TAILQ_FOREACH(l, &q->lanes, link)
	{
		if (!l->dying || l->ending || !TAILQ_EMPTY(&l->cmds))
			continue;
		l->ending = true;
		l->gone.run = lane_end;
		vscsi_box_send(&q->box, &l->gone);
	}
}

unsigned vscsi_lane_abort(struct vscsi_lane *l, const uint64_t *tag, uint8_t response)
{
	struct vscsi_cmd *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &l->cmds, link)
	{
		if (tag && c->scsi.tag != *tag)
			continue;
		n++;
		c->abort_as = response;
		sr_scsi_abort(l->scsi, &c->scsi);
	}
	if (n)
		sr_scsi_poll(l->scsi);
	return n;
}

void vscsi_lanes_close(struct vscsi_queue *q)
{
	while (!TAILQ_EMPTY(&q->lanes))
		lane_close(TAILQ_FIRST(&q->lanes));
}
