/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends frames to a receiver that may not take their offloads: what it cannot do is done in
 * software, for it alone.
 */
#ifndef SR_OFFLOAD_H
#define SR_OFFLOAD_H

#include <slipring/port.h>

/* What a receiver of the frame must be able to do to take it as it is: enum sr_port_can. */
uint32_t sr_offload_needs(const struct sr_frame *f);

struct sr_delivery {
	struct sr_port *to;
	const struct sr_frame *f;
	uint64_t mask; /* of frames to send, in order */
	unsigned lane;
	_Atomic uint32_t *ident; /* where fragments get their identification from */
	/* Results: */
	uint64_t left; /* nothing of these was sent, for lack of room */
	uint64_t bad;  /* malformed; the rest of it is not sent */
	bool full;     /* the receiver took less than it was given */
};

/* Counts rx_segmented and rx_checksummed of the receiver, and rx_dropped for frames that were
 * sent in part. */
void sr_offload_send(struct sr_delivery *d);

#endif
