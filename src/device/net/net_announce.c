/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After a migration the guest's address is behind another port of the network, and switches
 * learn that from a frame that bears it. The guest sends one itself when it can
 * (GUEST_ANNOUNCE); a reverse ARP request (RFC 903) goes out in its name in any case, at
 * once, since the guest may take its time.
 */
#include <errno.h>

#include "net_internal.h"

#define RARP_LEN 60u /* an Ethernet frame's least, without FCS */

static void rarp_make(struct sr_frame *f, const uint8_t mac[6])
{
	static const uint8_t fixed[] = { 0x80, 0x35,   /* RARP */
					 0x00, 0x01,   /* Ethernet */
					 0x08, 0x00,   /* IPv4 */
					 6,    4,      /* lengths of the addresses */
					 0x00, 0x03 }; /* request */

	memset(f, 0, sizeof(*f));
	f->len = RARP_LEN;
	f->head_len = RARP_LEN;
	memset(f->head, 0xff, 6);
	memcpy(f->head + 6, mac, 6);
	memcpy(f->head + 12, fixed, sizeof(fixed));
	memcpy(f->head + 22, mac, 6); /* sender's address; its protocol address is 0 */
	memcpy(f->head + 32, mac, 6); /* and the one asked for */
}

int net_announce(struct sr_device *d, const uint8_t mac[6])
{
	struct sr_net *n = net_of_device(d);
	uint64_t both = SR_NET_F_GUEST_ANNOUNCE | SR_NET_F_STATUS;
	struct sr_frame f;

	if (mac[0] & 1)
		return -EINVAL;
	rarp_make(&f, mac);
	if (sr_port_forward(&n->port, &f, 1, 1, 0))
		sr_count(&n->port.counters.tx_dropped, 1);
	if (net_has(atomic_load_explicit(&n->features, memory_order_relaxed), both)) {
		atomic_store_explicit(&n->announce, true, memory_order_relaxed);
		sr_device_config_changed(d);
	}
	return 0;
}
