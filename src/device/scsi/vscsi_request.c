/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Request queues: from chains to commands and back.
 *
 * A pass takes up to VSCSI_BATCH chains, gives each lane its commands at once, and looks what
 * is done already; what was pushed meanwhile is published once. Commands that take longer
 * come back by the poller of their channel, by batches again.
 *
 * Commands are made when more of them are under way than ever before on this queue, each with
 * a list of pieces of its own, and kept until the queue stops: a queue at work allocates
 * nothing.
 */
#include <stdlib.h>

#include "vscsi_internal.h"

#define RETRY_US    100	 /* with VSCSI_COMMANDS_MAX under way, or without memory */
#define BLOCK	    32u	 /* commands allocated at once */
#define PIECES_MAX  512u /* that an idle command keeps room for */
#define REPORT_LUNS 0xa0

struct vscsi_block {
	struct vscsi_block *next;
	struct vscsi_cmd cmds[BLOCK];
};

static void make_block(struct vscsi_queue *q)
{
	struct vscsi_block *b = q->commands < VSCSI_COMMANDS_MAX ? calloc(1, sizeof(*b)) : NULL;

	if (!b)
		return;
	b->next = q->blocks;
	q->blocks = b;
	q->commands += BLOCK;
	for (unsigned i = BLOCK; i--;) {
		b->cmds[i].next = q->free;
		q->free = &b->cmds[i];
	}
}

void vscsi_request_free_all(struct vscsi_queue *q)
{
	struct vscsi_block *b, *next;

	for (b = q->blocks; b; b = next) {
		next = b->next;
		for (unsigned i = 0; i < BLOCK; i++) {
			sr_iov_pool_finish(&b->cmds[i].pool);
			free(b->cmds[i].pi);
		}
		free(b);
	}
	q->blocks = NULL;
	q->free = NULL;
	q->commands = 0;
}

/* A guest that once sent a chain of thousands of pieces does not cost us that for ever. */
static void cmd_free(struct vscsi_queue *q, struct vscsi_cmd *c)
{
	if (SR_UNLIKELY(c->pool.cap > PIECES_MAX))
		sr_iov_pool_finish(&c->pool);
	if (SR_UNLIKELY(c->pi_cap > PIECES_MAX)) {
		free(c->pi);
		c->pi = NULL;
		c->pi_cap = 0;
	}
	c->next = q->free;
	q->free = c;
}

static void cmd_end(struct vscsi_queue *q, struct vscsi_cmd *c, uint8_t response)
{
	vscsi_frame_answer(c, q->features, response);
	sr_vq_push(q->vq, &c->chain, 1);
	q->pushed = true;
	vscsi_in_flight_add(q, -1);
	cmd_free(q, c);
}

static void cmd_tally(struct vscsi_queue *q, const struct sr_scsi_cmd *s)
{
	q->tally.aborted += s->aborted;
	q->tally.check_conditions += s->status == SR_SCSI_CHECK_CONDITION;
	if (s->in_len)
		q->tally.read_bytes += s->transferred;
	else
		q->tally.written_bytes += s->transferred;
}

/* A command that was abandoned on a ring with a record is as if it had not been taken. */
static void cmd_done(struct vscsi_queue *q, struct vscsi_cmd *c)
{
	TAILQ_REMOVE(&c->lane->cmds, c, link);
	cmd_tally(q, &c->scsi);
	if (SR_LIKELY(!c->scsi.aborted)) {
		cmd_end(q, c, c->scsi.overrun ? VSCSI_OVERRUN : VSCSI_OK);
	} else if (q->keep) {
		vscsi_in_flight_add(q, -1);
		cmd_free(q, c);
	} else {
		cmd_end(q, c, c->abort_as);
	}
}

void vscsi_request_complete(void *ctx, struct sr_scsi_cmd *const *s, unsigned n)
{
	struct vscsi_lane *l = ctx;
	struct vscsi_queue *q = l->q;

	vscsi_hold(q);
	for (unsigned i = 0; i < n; i++)
		cmd_done(q, SR_CONTAINER_OF(s[i], struct vscsi_cmd, scsi));
	vscsi_release(q);
}

/* For a target where no unit is, for its well-known unit, and for that of the device (t NULL). */
static uint8_t target_command(struct vscsi_queue *q, struct vscsi_cmd *c,
			      const struct vscsi_target *t)
{
	uint64_t *luns = NULL;
	unsigned n = 0;

	c->scsi.nexus = t ? t->nexus : NULL;
	if (c->scsi.cdb[0] == REPORT_LUNS) {
		n = vscsi_lun_count(q->scsi, t);
		luns = malloc(sizeof(*luns) * (n + 1));
		if (!luns)
			return VSCSI_BUSY;
		n = vscsi_lun_list(q->scsi, t, luns, n);
	}
	sr_scsi_target_command(&c->scsi, luns, n);
	free(luns);
	cmd_tally(q, &c->scsi);
	return c->scsi.overrun ? VSCSI_OVERRUN : VSCSI_OK;
}

static void lane_add(struct vscsi_queue *q, struct vscsi_lane *l, struct vscsi_cmd *c)
{
	if (!l->batch) {
		l->next_touched = q->touched;
		q->touched = l;
	}
	c->lane = l;
	c->next = NULL;
	*l->batch_end = c;
	l->batch_end = &c->next;
	TAILQ_INSERT_TAIL(&l->cmds, c, link);
}

/* To its unit's lane. False: *response is the answer. */
static bool cmd_route(struct vscsi_queue *q, struct vscsi_cmd *c, const uint8_t lun[8],
		      uint8_t *response)
{
	struct vscsi_address a = vscsi_address_parse(lun);
	struct vscsi_target *t = NULL;
	struct vscsi_lun *l = NULL;

	*response = VSCSI_BAD_TARGET;
	if (a.place == VSCSI_PLACE_BAD)
		return false;
	if (a.place != VSCSI_PLACE_DEVICE) {
		t = vscsi_target_find(q->scsi, a.target);
		if (!t)
			return false;
	}
	if (SR_LIKELY(a.place == VSCSI_PLACE_LUN))
		l = vscsi_lun_find(t, a.lun);
	if (SR_UNLIKELY(!l || c->scsi.cdb[0] == REPORT_LUNS)) {
		*response = target_command(q, c, t);
		return false;
	}
	*response = VSCSI_BUSY;
	if (!vscsi_lane_open(&l->lanes[q->index]))
		return false;
	c->scsi.nexus = t->nexus;
	lane_add(q, &l->lanes[q->index], c);
	return true;
}

static void cmd_begin(struct vscsi_queue *q, struct vscsi_cmd *c)
{
	uint8_t lun[8], response;

	c->number = q->next_number++;
	q->tally.commands++;
	vscsi_in_flight_add(q, 1);
	response = vscsi_frame_parse(q, c, lun);
	if (SR_UNLIKELY(response != VSCSI_OK) || !cmd_route(q, c, lun, &response))
		cmd_end(q, c, response);
}

/* Chains taken, negative when the ring is broken. */
static int take(struct vscsi_queue *q, unsigned want)
{
	uint64_t bytes = 0;
	unsigned n = 0;
	int r;

	/* Some media copy while they are asked, and this loop serves others too. */
	while (n < want && bytes < VSCSI_BATCH_BYTES) {
		struct vscsi_cmd *c = q->free;

		if (SR_UNLIKELY(!c)) {
			make_block(q);
			if (!q->free)
				break;
			continue;
		}
		sr_iov_pool_reset(&c->pool);
		r = sr_vq_pop(q->vq, &c->chain, 1, &c->pool);
		if (r < 0)
			return n ? (int)n : r;
		if (r == 0)
			break;
		q->free = c->next;
		bytes += (uint64_t)c->chain.out_len + c->chain.in_len;
		cmd_begin(q, c);
		n++;
	}
	return (int)n;
}

static void lane_submit(struct vscsi_lane *l)
{
	struct sr_scsi_cmd *batch[VSCSI_BATCH];
	unsigned n = 0;

	for (struct vscsi_cmd *c = l->batch; c; c = c->next)
		batch[n++] = &c->scsi;
	l->batch = NULL;
	l->batch_end = &l->batch;
	sr_scsi_submit(l->scsi, batch, n);
	sr_scsi_poll(l->scsi);
}

static void submit(struct vscsi_queue *q)
{
	struct vscsi_lane *l, *next = q->touched;

	q->touched = NULL;
	while ((l = next)) {
		next = l->next_touched;
		lane_submit(l);
	}
}

int vscsi_request_process(struct vscsi_queue *q, unsigned budget)
{
	unsigned total = 0;
	int n;

	vscsi_hold(q);
	do {
		n = take(q, (unsigned)sr_min(budget - total, VSCSI_BATCH));
		submit(q);
		total += n > 0 ? (unsigned)n : 0;
	} while (n == (int)VSCSI_BATCH && total < budget);
	vscsi_release(q);
	if (SR_UNLIKELY(n < 0))
		vscsi_queue_break(q);
	/* Nobody tells when there is a free command again. */
	if (SR_UNLIKELY(!total && !q->free && sr_vq_available(q->vq)))
		return -RETRY_US;
	return (int)total;
}
