/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio network device (virtio 1.3, section 5.1): a device towards the transport, a
 * port towards the switch. Up to 128 queue pairs and a control queue.
 */
#ifndef SLIPRING_NET_H
#define SLIPRING_NET_H

#include <slipring/device.h>
#include <slipring/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SR_NET_PAIRS_MAX 128u

struct sr_net;

struct sr_net_config {
	const char *name;      /* copied */
	uint8_t mac[6];	       /* offered as MAC; all zero = not offered, the guest chooses */
	uint16_t mtu;	       /* offered as MTU; 0 = not offered */
	uint16_t pairs;	       /* queue pairs at most; 0 = SR_NET_PAIRS_MAX */
	uint64_t features_off; /* virtio features not to offer */
};

struct sr_net *sr_net_create(const struct sr_net_config *c, struct sr_error *e);
/* The session must have ended and the port be detached. NULL is allowed. */
void sr_net_destroy(struct sr_net *n);

struct sr_device *sr_net_device(struct sr_net *n);
struct sr_port *sr_net_port(struct sr_net *n);

/* The operator's link switch (on at first): off, the guest sees its cable unplugged
 * (STATUS) and no frame passes. From the control loop. */
void sr_net_set_link(struct sr_net *n, bool up);

/* Queue pairs in use, features as negotiated, for display. */
struct sr_net_info {
	uint64_t features;
	unsigned pairs_running;
	uint8_t mac[6];
	uint16_t mtu;
	bool link;
};
struct sr_net_info sr_net_info(const struct sr_net *n);

#ifdef __cplusplus
}
#endif
#endif
