/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A learning Ethernet switch. Frames are forwarded by the thread that brings them, from
 * the sender's memory straight into the receiver's: there is no buffer in between.
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
	uint32_t mac_limit; /* addresses learned at most; 0 = 8192 */
	uint32_t age_s;     /* an address unheard of for so long is forgotten; 0 = 300 */
	uint32_t wait_us;   /* how long a full receiver may hold up a sender; see
	                     * switch/forward.c; 0 = 1000 */
};

struct sr_switch *sr_switch_create(const struct sr_switch_config *c, struct sr_error *e);
/* All ports must be detached. NULL is allowed. */
void sr_switch_destroy(struct sr_switch *sw);

/* The port stays the caller's. -EEXIST (name), -ENOSPC. */
int sr_switch_attach(struct sr_switch *sw, struct sr_port *p, struct sr_error *e);

/* No new frame is sent to the port from now on. Threads that are inside sr_port_forward may
 * still use it: let each of them come round once (sr_loop_call with an empty function)
 * before the port is destroyed, then call sr_switch_flush. */
void sr_switch_detach(struct sr_switch *sw, struct sr_port *p);

/* Forgets the addresses learned on a port; also right when its link goes down. */
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
