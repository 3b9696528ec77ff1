/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A learning Ethernet switch. Frames are forwarded by the thread that brings them, from
 * the sender's memory straight into the receiver's: there is no buffer in between.
 *
 * Addresses are learned for each VLAN apart (the outer 802.1Q or 802.1ad tag; no tag and a
 * priority tag are VLAN 0). Frames to 01:80:c2:00:00:00 to 0f (spanning tree, pause, LLDP) are
 * not forwarded, as by any bridge: they mean the link they are sent on. A frame whose source
 * is a group address is malformed.
 *
 * sr_switch_forward (through sr_port_forward) runs on any number of threads at a time; all
 * other calls come from one control thread.
 */
#ifndef SLIPRING_SWITCH_H
#define SLIPRING_SWITCH_H

#include <slipring/error.h>
#include <slipring/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SR_SWITCH_PORTS_MAX 1024u

struct sr_switch;

struct sr_switch_config {
	uint32_t mac_limit; /* addresses learned at most; 0 = 8192; up to 1048576. Then no more
			     * are learned until some age out: frames to others are flooded */
	uint32_t age_s;	    /* an address unheard of for so long is forgotten; 0 = 300 */
	uint32_t wait_us;   /* how long a full receiver may hold up a sender; see
			     * switch/forward.c; 0 = 1000; up to 1000000 */
};

/* NULL with *e filled: -EINVAL (out of range), -ENOMEM. */
struct sr_switch *sr_switch_create(const struct sr_switch_config *c, struct sr_error *e);
/* All ports must be detached. NULL is allowed. */
void sr_switch_destroy(struct sr_switch *sw);

/* The port stays the caller's. -EEXIST (name), -ENOSPC, -ENOMEM. */
int sr_switch_attach(struct sr_switch *sw, struct sr_port *p, struct sr_error *e);

/* No new frame is sent to the port from now on. Threads that are inside sr_port_forward may
 * still use it: let each of them come round once (sr_loop_call with an empty function)
 * before the port is destroyed, then call sr_switch_flush, which also gives its place to
 * the next port. */
void sr_switch_detach(struct sr_switch *sw, struct sr_port *p);

/* Forgets the addresses learned on a port; also right when its link goes down. The port is
 * compared, not used: it may be gone. */
void sr_switch_flush(struct sr_switch *sw, const struct sr_port *p);

/* One learned address, for display. */
struct sr_switch_entry {
	uint8_t mac[6];
	uint16_t vlan; /* 0 = untagged */
	const struct sr_port *port;
	uint32_t age_s;
};
/* Copies up to cap entries; returns how many there are. */
unsigned sr_switch_entries(struct sr_switch *sw, struct sr_switch_entry *e, unsigned cap);

/* To be called about once a second: lets entries age. */
void sr_switch_tick(struct sr_switch *sw);

#ifdef __cplusplus
}
#endif
#endif
