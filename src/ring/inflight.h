/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight record of a split ring (vhost-user, "Inflight I/O tracking"): memory that the
 * front-end keeps for us over our death. It says which chains were popped and not pushed, in
 * which order. Like the ring it is shared, so it is read once, at the start of a queue, and
 * judged; while the queue runs we only write to it.
 */
#ifndef SR_INFLIGHT_H
#define SR_INFLIGHT_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stdint.h>

struct split_record;

struct sr_inflight {
	struct split_record *record; /* NULL: the queue keeps none */
	bool known;		     /* it was used before this start */
	uint64_t counter;	     /* of the next chain taken */
	uint16_t *again;	     /* heads to take again, in order */
	uint32_t again_at, again_n;
	uint16_t *batch; /* heads pushed and not published yet */
	uint32_t batch_n;
};

/* Takes over the record of a ring of `size` entries whose used index is `used_idx`. 0; -EINVAL
 * for a record that contradicts itself or the ring; -ENOMEM. */
int sr_inflight_start(struct sr_inflight *f, void *record, uint32_t size, uint16_t used_idx,
		      struct sr_error *e);
void sr_inflight_stop(struct sr_inflight *f);

/* The chain at `head` was taken; it was pushed; all that were pushed are shown to the driver,
 * whose view of the used index is `used_idx`. */
void sr_inflight_take(struct sr_inflight *f, uint16_t head);
void sr_inflight_push(struct sr_inflight *f, uint16_t head);
void sr_inflight_published(struct sr_inflight *f, uint16_t used_idx);

/* How many chains are still to be taken again. */
static inline uint32_t sr_inflight_left(const struct sr_inflight *f)
{
	return f->again_n - f->again_at;
}

#endif
