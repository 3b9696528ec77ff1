/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task management functions: theory of operation.
 *
 * A function is about commands that are under way on any request queue, each on a loop of its
 * own. The control queue's loop sends each of them its part; there, between two passes, the
 * commands that match are asked to end, and the part waits until those that were there have
 * ended and the guest can see it. The last part that is done sends the function back to the control
 * queue, which does what is to be done to the unit and answers. A loss of the nexus goes by
 * the control loop, which owns nexuses.
 *
 *     control queue --part--> request queues --last one--> (control loop) --> control queue
 *
 * Nobody waits for anybody: other functions and other commands go on. A command that cannot
 * be ended (a medium that is stuck) is waited for a limited time; then the function is rejected,
 * and what is left of it goes when the command does.
 *
 * Rejected: to count commands under way in one place for all queues, which each command would
 * pay for.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "iov.h"
#include "vscsi_internal.h"

struct tmf_request {
	uint32_t type, subtype;
	uint8_t lun[8];
	uint64_t id;
} __attribute__((packed));

enum scope {
	TASK,
	UNIT,
	TARGET
};
enum after {
	NOTHING,
	RESET_UNIT,
	LOSE_NEXUS
};

/* CLEAR TASK SET is ABORT TASK SET here: an initiator's tasks are a set of their own. There is
 * no ACA that could be cleared. */
static const struct tmf_kind {
	bool known, query;
	enum scope scope;
	enum after after;
	uint8_t response; /* of the commands that are ended */
} kinds[] = {
	[0] = { true, false, TASK, NOTHING, VSCSI_ABORTED },	/* ABORT TASK */
	[1] = { true, false, UNIT, NOTHING, VSCSI_ABORTED },	/* ABORT TASK SET */
	[2] = { .known = false },				/* CLEAR ACA */
	[3] = { true, false, UNIT, NOTHING, VSCSI_ABORTED },	/* CLEAR TASK SET */
	[4] = { true, false, TARGET, LOSE_NEXUS, VSCSI_RESET }, /* I_T NEXUS RESET */
	[5] = { true, false, UNIT, RESET_UNIT, VSCSI_RESET },	/* LOGICAL UNIT RESET */
	[6] = { true, true, TASK, NOTHING, 0 },			/* QUERY TASK */
	[7] = { true, true, UNIT, NOTHING, 0 },			/* QUERY TASK SET */
};

/* On one request queue. */
struct vscsi_tmf_part {
	struct vscsi_msg msg;
	struct vscsi_tmf *tmf;
	struct vscsi_queue *q;
	uint64_t before; /* commands up to this number */
	TAILQ_ENTRY(vscsi_tmf_part) link;
};

struct vscsi_tmf {
	struct vscsi_msg msg;
	struct sr_scsi *scsi;
	const struct tmf_kind *kind;
	struct vscsi_target *target;
	unsigned lun;
	uint64_t lun_id; /* the unit may be taken off meanwhile, and another one be there */
	uint64_t tag;
	_Atomic unsigned pending; /* parts */
	_Atomic bool found;
	/* The control queue's. */
	TAILQ_ENTRY(vscsi_tmf) link; /* in q->tmfs until it is answered */
	struct sr_chain chain;
	struct iovec in; /* where the answer goes */
	uint64_t due;
	bool answered;
	struct vscsi_tmf_part parts[];
};

static void tmf_free(struct vscsi_tmf *t)
{
	atomic_fetch_sub(&t->scsi->tmfs, 1);
	free(t);
}

/* Gives the chain back, with an answer unless that is 0 bytes long. On the control queue's loop. */
static void tmf_answer(struct vscsi_tmf *t, uint8_t response, bool push)
{
	struct vscsi_queue *q = &t->scsi->queues[VSCSI_CTRL];

	t->answered = true;
	TAILQ_REMOVE(&q->tmfs, t, link);
	vscsi_in_flight_add(q, -1);
	if (!push)
		return;
	if (t->chain.nin) {
		memcpy(t->in.iov_base, &response, 1);
		t->chain.written = 1;
	}
	sr_vq_push(q->vq, &t->chain, 1);
	q->pushed = true;
}

static void reset_unit(struct vscsi_tmf *t)
{
	struct vscsi_lun *l = vscsi_lun_find(t->target, t->lun);

	if (l && l->id == t->lun_id)
		sr_scsi_unit_reset(l->unit);
}

/* All parts are done. On the control queue's loop. */
static void tmf_end(struct vscsi_msg *m)
{
	struct vscsi_tmf *t = SR_CONTAINER_OF(m, struct vscsi_tmf, msg);
	struct vscsi_queue *q = &t->scsi->queues[VSCSI_CTRL];

	vscsi_hold(q);
	if (!t->answered && t->kind->after == RESET_UNIT)
		reset_unit(t);
	if (!t->answered)
		tmf_answer(t,
			   atomic_load(&t->found) && t->kind->query ? VSCSI_FUNCTION_SUCCEEDED
								    : VSCSI_OK,
			   true);
	vscsi_release(q);
	tmf_free(t);
}

static void tmf_send_back(struct vscsi_tmf *t)
{
	t->msg.run = tmf_end;
	if (!vscsi_box_send(&t->scsi->queues[VSCSI_CTRL].box, &t->msg))
		tmf_free(t); /* the queue has stopped: it is answered or forgotten */
}

/* On the control loop. */
static void tmf_nexus_loss(struct vscsi_msg *m)
{
	struct vscsi_tmf *t = SR_CONTAINER_OF(m, struct vscsi_tmf, msg);

	vscsi_nexus_loss(t->scsi, t->target);
	tmf_send_back(t);
}

static void part_done(struct vscsi_tmf *t)
{
	if (atomic_fetch_sub(&t->pending, 1) != 1)
		return;
	t->msg.run = tmf_nexus_loss;
	if (t->kind->after != LOSE_NEXUS)
		tmf_send_back(t);
	else if (!vscsi_box_send(&t->scsi->box, &t->msg))
		tmf_free(t);
}

static bool lane_matches(const struct vscsi_tmf *t, const struct vscsi_lane *l)
{
	return t->kind->scope == TARGET ? l->lun->target == t->target : l->lun->id == t->lun_id;
}

static bool part_waits_for(const struct vscsi_tmf_part *p, const struct vscsi_lane *l)
{
	const struct vscsi_tmf *t = p->tmf;
	const struct vscsi_cmd *c;

	if (!lane_matches(t, l))
		return false;
	TAILQ_FOREACH(c, &l->cmds, link)
	if (c->number < p->before && (t->kind->scope != TASK || c->scsi.tag == t->tag))
		return true;
	return false;
}

static bool part_waits(const struct vscsi_tmf_part *p)
{
	const struct vscsi_lane *l;

	TAILQ_FOREACH(l, &p->q->lanes, link)
	if (part_waits_for(p, l))
		return true;
	return false;
}

void vscsi_tmf_review(struct vscsi_queue *q)
{
	struct vscsi_tmf_part *p, *next;

	for (p = TAILQ_FIRST(&q->parts); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (part_waits(p))
			continue;
		TAILQ_REMOVE(&q->parts, p, link);
		part_done(p->tmf);
	}
}

/* On the request queue's loop. Its last release looks whether anything is left. */
static void part_run(struct vscsi_msg *m)
{
	struct vscsi_tmf_part *p = SR_CONTAINER_OF(m, struct vscsi_tmf_part, msg);
	struct vscsi_queue *q = p->q;
	struct vscsi_tmf *t = p->tmf;
	struct vscsi_lane *l;

	p->before = q->next_number;
	if (t->kind->query) {
		if (part_waits(p))
			atomic_store(&t->found, true);
		part_done(t);
		return;
	}
	vscsi_hold(q);
	TAILQ_FOREACH(l, &q->lanes, link)
	if (lane_matches(t, l))
		vscsi_lane_abort(l, t->kind->scope == TASK ? &t->tag : NULL, t->kind->response);
	TAILQ_INSERT_TAIL(&q->parts, p, link);
	vscsi_release(q);
}

static void tmf_distribute(struct vscsi_tmf *t)
{
	struct sr_scsi *s = t->scsi;

	atomic_store(&t->pending, s->nqueues - VSCSI_REQUEST + 1);
	for (unsigned i = VSCSI_REQUEST; i < s->nqueues; i++) {
		struct vscsi_tmf_part *p = &t->parts[i - VSCSI_REQUEST];

		*p = (struct vscsi_tmf_part){ .msg.run = part_run, .tmf = t, .q = &s->queues[i] };
		if (!vscsi_box_send(&s->queues[i].box, &p->msg))
			atomic_fetch_sub(&t->pending, 1);
	}
	part_done(t);
}

static uint8_t tmf_address(struct vscsi_queue *q, const struct tmf_kind *k,
			   const struct tmf_request *r, struct vscsi_tmf *t)
{
	struct vscsi_address a = vscsi_address_parse(r->lun);
	struct vscsi_lun *l = NULL;
	uint8_t response = VSCSI_OK;

	if (k->scope != TARGET) {
		response = vscsi_control_find(q->scsi, r->lun, &l);
		t->target = l ? l->target : NULL;
		t->lun = a.lun;
		t->lun_id = l ? l->id : 0;
		return response;
	}
	/* The unit does not matter, if it is written as one (5.6.6.2). */
	if (r->lun[0] != 1)
		return VSCSI_INCORRECT_LUN;
	t->target = vscsi_target_find(q->scsi, r->lun[1]);
	return t->target ? VSCSI_OK : VSCSI_BAD_TARGET;
}

static struct vscsi_tmf *tmf_make(struct vscsi_queue *q)
{
	struct sr_scsi *s = q->scsi;
	struct vscsi_tmf *t = NULL;

	if (atomic_load(&s->tmfs) < VSCSI_TMFS_MAX)
		t = calloc(1, sizeof(*t) + (s->nqueues - VSCSI_REQUEST) * sizeof(t->parts[0]));
	if (!t)
		return NULL;
	t->scsi = s;
	atomic_fetch_add(&s->tmfs, 1);
	return t;
}

/* The oldest function is the first that is due. */
static void set_timer(struct vscsi_queue *q)
{
	struct vscsi_tmf *t = TAILQ_FIRST(&q->tmfs);
	uint64_t now = sr_now_ns();

	if (t)
		sr_timer_set(q->timer, t->due > now ? t->due - now : 0);
}

static void tmf_begin(struct vscsi_queue *q, struct vscsi_tmf *t, const struct sr_chain *c)
{
	bool first = TAILQ_EMPTY(&q->tmfs);

	t->chain = *c;
	if (c->nin) {
		t->in = c->in[0];
		t->chain.in = &t->in;
		t->chain.nin = 1;
	}
	t->chain.nout = 0;
	t->due = sr_now_ns() + q->scsi->tmf_wait_ns;
	TAILQ_INSERT_TAIL(&q->tmfs, t, link);
	vscsi_in_flight_add(q, 1);
	if (first)
		set_timer(q);
	tmf_distribute(t);
}

bool vscsi_tmf_start(struct vscsi_queue *q, const struct sr_chain *c, uint8_t *response)
{
	const struct tmf_kind *k;
	struct tmf_request r;
	struct vscsi_tmf *t;
	uint32_t subtype;

	*response = VSCSI_FAILURE;
	if (sr_iov_read(c->out, c->nout, 0, &r, sizeof(r)) != sizeof(r)) {
		q->tally.malformed++;
		return false;
	}
	vscsi_count(&q->scsi->counters.task_management, 1);
	subtype = vscsi_u32(q->features, r.subtype);
	*response = VSCSI_FUNCTION_REJECTED;
	if (subtype >= SR_ARRAY_LEN(kinds) || !kinds[subtype].known)
		return false;
	k = &kinds[subtype];
	*response = VSCSI_BUSY;
	t = tmf_make(q);
	if (!t)
		return false;
	t->kind = k;
	t->tag = vscsi_u64(q->features, r.id);
	*response = tmf_address(q, k, &r, t);
	if (*response != VSCSI_OK) {
		tmf_free(t);
		return false;
	}
	tmf_begin(q, t, c);
	return true;
}

void vscsi_tmf_timer(void *ctx)
{
	struct vscsi_queue *q = ctx;
	struct vscsi_tmf *t;
	uint64_t now = sr_now_ns();

	vscsi_hold(q);
	while ((t = TAILQ_FIRST(&q->tmfs)) && t->due <= now)
		tmf_answer(t, VSCSI_FUNCTION_REJECTED, true);
	set_timer(q);
	vscsi_release(q);
}

void vscsi_tmf_forget(struct vscsi_queue *q, bool answer)
{
	while (!TAILQ_EMPTY(&q->tmfs))
		tmf_answer(TAILQ_FIRST(&q->tmfs), VSCSI_FUNCTION_REJECTED, answer);
}
