/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's half of virtio-net: queue pairs in memory that a device sees as well. For
 * front-ends without a guest: benchmarks, tests, containers.
 *
 * Where the memory and the doorbells come from is the caller's business, usually a
 * front-end role of a transport. Each pair belongs to one thread at a time; pairs are
 * independent of each other. rx and tx are the guest's view; queue 2 * pair receives, queue
 * 2 * pair + 1 transmits.
 */
#ifndef SR_NET_DRIVER_H
#define SR_NET_DRIVER_H

#include <slipring/drvq.h>

#define SR_NET_DRIVER_PAIRS_MAX 128u

/* virtio 1.3, section 5.1.6; little endian. Without VERSION_1 and MRG_RXBUF the last field
 * is not there. */
struct sr_net_driver_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers;
};

struct sr_net_driver_config {
	uint64_t features;  /* as negotiated */
	unsigned pairs;	    /* 1 to SR_NET_DRIVER_PAIRS_MAX */
	uint32_t ring_size; /* entries of each ring, and buffers behind it */
	uint32_t tx_bytes;  /* room for a frame in a transmit buffer */
	uint32_t rx_bytes;  /* and in a receive buffer: the largest frame, or, with MRG_RXBUF
			     * negotiated, any piece of it */
	void *mem;	    /* sr_net_driver_bytes() zeroed bytes, 4096-aligned, shared with the
			     * device; the caller's, must outlive the driver */
	uint64_t gpa;	    /* where the device sees them */
};

/* Looks at pairs, ring_size, tx_bytes and rx_bytes only. */
size_t sr_net_driver_bytes(const struct sr_net_driver_config *c);

struct sr_net_driver;

/* Lays out rings and buffers and offers all receive buffers. The device may start then. */
struct sr_net_driver *sr_net_driver_create(const struct sr_net_driver_config *c,
					   struct sr_error *e);
/* The device must have stopped. NULL is allowed. */
void sr_net_driver_destroy(struct sr_net_driver *d);

/* The ring of a queue, as sr_drvq_layout() describes it: what the device is told. */
void *sr_net_driver_ring(const struct sr_net_driver *d, unsigned queue);
/* Once the device has started: the fd that wakes it, which stays the caller's. Kicks that
 * fell due before are sent now. */
void sr_net_driver_doorbell(struct sr_net_driver *d, unsigned queue, int kick);

/* A buffer to transmit from. */
struct sr_net_tx {
	struct sr_net_driver_hdr *hdr; /* zero at first; what was written there stays */
	uint8_t *data;		       /* so does this: a frame may be made once, sent often */
	uint32_t len;		       /* to be set, up to tx_bytes */
	uint32_t buffer;	       /* the driver's own: 0 to ring_size - 1 */
};
/* Takes up to n free buffers, after taking back those that the device is done with. All of
 * them must be sent or given back. -EPROTO when the device broke the ring. */
int sr_net_driver_tx_take(struct sr_net_driver *d, unsigned pair, struct sr_net_tx *t, unsigned n);
void sr_net_driver_tx_send(struct sr_net_driver *d, unsigned pair, const struct sr_net_tx *t,
			   unsigned n);
void sr_net_driver_tx_give(struct sr_net_driver *d, unsigned pair, const struct sr_net_tx *t,
			   unsigned n);
/* Frames that the device has returned so far, as of the last take. */
uint64_t sr_net_driver_tx_done(const struct sr_net_driver *d, unsigned pair);
/* Frames sent and not returned. */
unsigned sr_net_driver_tx_pending(const struct sr_net_driver *d, unsigned pair);

/* A frame received: valid until released. */
struct sr_net_rx {
	struct sr_net_driver_hdr hdr; /* a copy */
	const uint8_t *data;	      /* the first piece ... */
	uint32_t piece;		      /* ... and its bytes */
	uint32_t len;		      /* of the whole frame */
	uint16_t buffer, buffers;     /* the driver's own: first buffer, how many */
};
/* Up to n frames, or -EPROTO. Every frame must be released, in any order. */
int sr_net_driver_rx_take(struct sr_net_driver *d, unsigned pair, struct sr_net_rx *r, unsigned n);
void sr_net_driver_rx_release(struct sr_net_driver *d, unsigned pair, const struct sr_net_rx *r,
			      unsigned n);
/* Copies bytes of a frame that may lie in several buffers; returns how many. */
size_t sr_net_driver_rx_copy(const struct sr_net_driver *d, unsigned pair,
			     const struct sr_net_rx *r, size_t offset, void *to, size_t len);

/* Asks the device for calls on a queue: true = there is something already, don't sleep. */
bool sr_net_driver_arm(struct sr_net_driver *d, unsigned queue);
/* Back to polling. */
void sr_net_driver_quiet(struct sr_net_driver *d, unsigned queue);

/* What the device did wrong, or NULL. */
const char *sr_net_driver_error(const struct sr_net_driver *d);

#endif
