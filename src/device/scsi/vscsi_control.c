/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queue (virtio 1.3, 5.6.6.2): task management functions, which vscsi_tmf.c does,
 * and asynchronous notifications, of which a disk has none. */
#include "iov.h"
#include "vscsi_internal.h"

#define CTRL_BATCH 16u

enum {
	T_TMF = 0,
	T_AN_QUERY = 1,
	T_AN_SUBSCRIBE = 2
};

struct an_request {
	uint32_t type;
	uint8_t lun[8];
	uint32_t event_requested;
} __attribute__((packed));

struct an_answer {
	uint32_t event_actual;
	uint8_t response;
} __attribute__((packed));

uint8_t vscsi_control_find(struct sr_scsi *s, const uint8_t address[8], struct vscsi_lun **lun)
{
	struct vscsi_address a = vscsi_address_parse(address);
	struct vscsi_target *t;

	if (a.place != VSCSI_PLACE_LUN)
		return VSCSI_INCORRECT_LUN;
	t = vscsi_target_find(s, a.target);
	if (!t)
		return VSCSI_BAD_TARGET;
	*lun = vscsi_lun_find(t, a.lun);
	return *lun ? VSCSI_OK : VSCSI_INCORRECT_LUN;
}

static void answer_an(struct vscsi_queue *q, struct sr_chain *c)
{
	struct an_answer a = { .response = VSCSI_FAILURE };
	struct vscsi_lun *l;
	struct an_request r;

	if (sr_iov_read(c->out, c->nout, 0, &r, sizeof(r)) == sizeof(r))
		a.response = vscsi_control_find(q->scsi, r.lun, &l);
	else
		q->tally.malformed++;
	c->written = (uint32_t)sr_iov_write(c->in, c->nin, 0, &a, sizeof(a));
}

static void answer_byte(struct sr_chain *c, uint8_t response)
{
	c->written = (uint32_t)sr_iov_write(c->in, c->nin, 0, &response, 1);
}

/* True: the chain is taken over. */
static bool serve(struct vscsi_queue *q, struct sr_chain *c)
{
	uint32_t type = UINT32_MAX;
	uint8_t response = VSCSI_FAILURE;

	sr_iov_read(c->out, c->nout, 0, &type, sizeof(type));
	switch (vscsi_u32(q->features, type)) {
	case T_TMF:
		if (vscsi_tmf_start(q, c, &response))
			return true;
		answer_byte(c, response);
		break;
	case T_AN_QUERY:
	case T_AN_SUBSCRIBE:
		answer_an(q, c);
		break;
	default:
		q->tally.malformed++;
		answer_byte(c, response);
	}
	return false;
}

int vscsi_control_process(struct vscsi_queue *q, unsigned budget)
{
	struct sr_chain chains[CTRL_BATCH];
	int n;

	sr_iov_pool_reset(&q->pool);
	n = sr_vq_pop(q->vq, chains, (unsigned)sr_min(budget, CTRL_BATCH), &q->pool);
	if (n < 0) {
		vscsi_queue_break(q);
		return 0;
	}
	vscsi_hold(q);
	for (int i = 0; i < n; i++)
		if (!serve(q, &chains[i])) {
			sr_vq_push(q->vq, &chains[i], 1);
			q->pushed = true;
		}
	vscsi_release(q);
	return n;
}
