/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts one large frame into what a receiver without segmentation offload can take. */
#ifndef SR_SEGMENT_H
#define SR_SEGMENT_H

#include "outbox.h"

/* One frame becomes at most so many: 64 KiB in the smallest pieces that TCP's least MSS with
 * all options leaves, and more than any guest makes of UDP. */
#define SR_SEGMENTS_MAX 2048u

/* Stores ~sum as a checksum, never as 0, which in UDP means "none". */
uint16_t sr_sum_finish(uint16_t sum);

/* Cuts frame `f`, bit `origin`, into the outbox. `can` of enum sr_port_can: with CSUM the
 * segments keep a partial checksum, so their payload is not even read. False: malformed. */
bool sr_segment(struct sr_outbox *b, const struct sr_frame *f, unsigned origin, uint32_t can,
		_Atomic uint32_t *ident);

#endif
