/* SPDX-License-Identifier: BSD-3-Clause */
/* The switch as its own files see it. */
#ifndef SR_SWITCH_TABLE_H
#define SR_SWITCH_TABLE_H

#include "fdb.h"
#include "patience.h"

#include <slipring/switch.h>

/* Lanes whose waiting is told apart; those beyond share with one of them. */
#define SR_SWITCH_LANES 128u

_Static_assert(SR_FDB_SLOTS == SR_SWITCH_PORTS_MAX, "a slot for each port");

struct sr_switch_lanes {
	struct sr_patience lane[SR_SWITCH_LANES];
};

struct sr_switch {
	struct sr_fdb fdb;
	uint64_t wait_ns;
	_Atomic uint32_t ident; /* of fragments */
	_Atomic unsigned high;	/* slots from here on are empty */
	_Atomic(struct sr_port *) port[SR_SWITCH_PORTS_MAX];
	/* The control thread's: whose slot it is, until it was flushed after detaching. */
	const struct sr_port *owner[SR_SWITCH_PORTS_MAX];
	struct sr_switch_lanes *lanes[SR_SWITCH_PORTS_MAX]; /* kept from a slot's first use */
	struct sr_patience receiver[SR_SWITCH_PORTS_MAX];
};

extern const struct sr_sink_ops sr_switch_sink;

#endif
