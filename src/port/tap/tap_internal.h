/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the tap room share. */
#ifndef SR_TAP_INTERNAL_H
#define SR_TAP_INTERNAL_H

#include <net/if.h>

#include <slipring/tap.h>

#include "base.h"

/* The kernel's header before each frame, in host byte order (TUNSETVNETLE not set). It is
 * virtio_net_hdr without num_buffers, which means nothing here. */
struct tap_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
_Static_assert(sizeof(struct tap_header) == 10, "layout of struct virtio_net_hdr");

/* Room for what follows a frame's head. It is larger than the largest frame, so that a frame
 * that was cut to fit can be told from one that fits. */
#define TAP_SLOT_BYTES (68u * 1024)
_Static_assert(TAP_SLOT_BYTES > SR_FRAME_MAX, "cut frames must be seen");

struct sr_tap {
	struct sr_port port;
	char *name;
	char interface[IFNAMSIZ];
	int fd;
	struct sr_loop *loop;
	struct sr_poller *poller;
	struct sr_watch *watch; /* one shot, armed by arm(); NULL once the interface is gone */

	/* What was read and is on its way: frames[i] continues in slot i. */
	uint8_t *slots;
	unsigned count;
	uint64_t waiting; /* frames to offer again */
	struct sr_frame frames[SR_FRAME_BATCH];
	struct iovec rest[SR_FRAME_BATCH];
};

/* Opens the interface: fd, interface and port.can. */
int tap_open(struct sr_tap *t, const char *interface, struct sr_error *e);

extern const struct sr_poller_ops tap_tx_ops;
extern const struct sr_port_ops tap_rx_ops;

/* The kernel's header as an offload; false when it makes no sense on `len` bytes. */
bool tap_header_parse(const struct tap_header *h, uint32_t len, struct sr_offload *off);
void tap_header_make(struct tap_header *h, uint32_t len, const struct sr_offload *off);

#endif
