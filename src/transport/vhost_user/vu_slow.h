/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of this room: the rig's device with requests that take time. It holds what it
 * has taken until a test finishes it, in any order, or a timer does.
 */
#ifndef SR_VU_SLOW_H
#define SR_VU_SLOW_H

#include "vu_rig.h"

#define RIG_HELD 64u

/* One queue's requests, on its loop. */
struct rig_slow {
	struct rig_device *d;
	unsigned q;
	struct sr_loop *loop;
	struct sr_timer *timer;
	struct rig_slot {
		struct sr_iov_pool pool;
		struct sr_chain chain;
	} slots[RIG_HELD]; /* in the order in which they were taken */
	bool draining;
	_Atomic unsigned held;
	_Atomic unsigned taken, drains, abandoned;
};

/* A back-end over it whose drain limit never passes; one whose limit soon does. */
int rig_setup_slow(void **state);
int rig_setup_hasty(void **state);
/* The same, with requests that end soon. */
int rig_setup_auto(void **state);
/* One more back-end, as rig_setup_slow makes it, on the loops of another; undone with
 * rig_teardown, before the other's. */
struct rig *rig_slow_beside(struct rig *first);

/* Chains shown to ring q and taken by the device. */
void rig_occupy(struct rig *r, unsigned q, unsigned n);
/* Finishes the i-th of those held. */
void rig_finish(struct rig *r, unsigned q, unsigned i);
void rig_finish_all(struct rig *r, unsigned q);
/* The first byte that the i-th has brought. */
char rig_peek(struct rig *r, unsigned q, unsigned i);
/* Takes back all that is in the used ring. How many; *done of them were finished, not failed. */
unsigned rig_collect(struct rig *r, unsigned q, unsigned *done);

#endif
