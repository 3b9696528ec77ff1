/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port carries Ethernet frames between the world (a guest, a tap) and a sink (a switch).
 * rx and tx are the guest's view: tx comes in from the port, rx goes out to it.
 *
 * A frame is not a buffer: it points into the memory of whoever sends it and is valid only
 * during the call that passes it on. Its first bytes were copied once into `head`; whoever
 * judges a frame judges that copy, and the copy is what is delivered.
 */
#ifndef SLIPRING_PORT_H
#define SLIPRING_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SR_FRAME_HEAD  64u /* bytes of a frame that are copied before it is judged */
#define SR_FRAME_BATCH 64u /* frames in one call at most: a mask of them fits 64 bits */
#define SR_FRAME_MIN   14u /* an Ethernet header */
#define SR_FRAME_MAX   (65536u + 18u + 4u) /* 64 KiB of IP behind a header with VLAN tags */

/* Checksum and segmentation still to be done, in the terms of virtio 1.3 section 5.1.6
 * (struct virtio_net_hdr), host byte order. Whoever makes a frame has checked that the
 * offsets lie inside it. */
struct sr_offload {
	uint8_t flags;	  /* SR_OFF_* */
	uint8_t gso_type; /* SR_GSO_* */
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
enum {
	SR_OFF_NEEDS_CSUM = 1,
	SR_OFF_DATA_VALID = 2
};
enum {
	SR_GSO_NONE = 0,
	SR_GSO_TCPV4 = 1,
	SR_GSO_UDP = 3,
	SR_GSO_TCPV6 = 4,
	SR_GSO_UDP_L4 = 5,
	SR_GSO_ECN = 0x80
};

struct sr_frame {
	uint8_t head[SR_FRAME_HEAD]; /* the first head_len bytes */
	const struct iovec *iov;     /* the len - head_len bytes after them */
	uint32_t niov;
	uint32_t len;	   /* of the whole frame, without FCS */
	uint16_t head_len; /* min(len, SR_FRAME_HEAD) */
	struct sr_offload off;
};

/* What a port's guest can take without help, its `can` field. */
enum sr_port_can {
	SR_CAN_CSUM = 1 << 0, /* a partial checksum */
	SR_CAN_TSO4 = 1 << 1,
	SR_CAN_TSO6 = 1 << 2,
	SR_CAN_ECN = 1 << 3, /* TSO with ECN */
	SR_CAN_UFO = 1 << 4,
	SR_CAN_USO4 = 1 << 5,
	SR_CAN_USO6 = 1 << 6,
};

/* Counted in whole batches with relaxed atomics; read at any time. */
struct sr_port_counters {
	/* Every frame from the guest counts once, when it is done with, in one of the first
	 * three, tx_frames, tx_bad and tx_dropped. */
	_Atomic uint64_t tx_frames, tx_bytes; /* from the guest, taken by the switch */
	_Atomic uint64_t tx_bad;	      /* from the guest, malformed: dropped */
	_Atomic uint64_t tx_dropped;	      /* from the guest, nowhere to go: link down, own
					       * address, sink gone */
	_Atomic uint64_t rx_frames, rx_bytes; /* delivered to the guest */
	_Atomic uint64_t rx_dropped;	      /* the guest had no room or is not there */
	_Atomic uint64_t rx_segmented;	      /* frames cut into segments in software for it;
					       * the sender's frames, not the segments */
	_Atomic uint64_t rx_checksummed;      /* frames checksummed in software for it */
	_Atomic uint64_t flooded;	      /* from the guest, sent to all other ports */
};

static inline void sr_count(_Atomic uint64_t *c, uint64_t n)
{
	if (n)
		atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

struct sr_port;

struct sr_port_ops {
	/* Delivers frames to the guest, in order; from any loop, several at a time. `lane` is
	 * the sender's queue: frames of one lane go to one queue of the receiver, so flows stay
	 * in order. Returns how many were taken from the front; for the rest there was no room,
	 * and the port has asked its guest to tell when there is. Counts rx_frames, rx_bytes.
	 * A port that has no link takes nothing. */
	unsigned (*send)(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
			 unsigned lane);
	/* True: a frame without room may be worth waiting for (a guest that will refill its
	 * ring); false: drop at once. */
	bool can_wait;
};

/* Where frames from a port go. Returns a mask of frames to offer again, in the same order
 * and with the same lane, after a short while: their receiver had no room. 0 = all done. */
struct sr_sink_ops {
	uint64_t (*forward)(void *sink, struct sr_port *from, struct sr_frame *f, unsigned n,
			    uint64_t which, unsigned lane);
};

struct sr_port {
	const struct sr_port_ops *ops;
	const char *name;     /* unique on its switch; the port's own */
	_Atomic uint32_t can; /* enum sr_port_can */
	_Atomic bool link;    /* up: a guest is there and its queues run */
	/* The sink's: set while attached. */
	const struct sr_sink_ops *sink_ops;
	_Atomic(void *) sink;
	unsigned slot; /* index in the sink's table */
	struct sr_port_counters counters;
};

/* Passes on the frames f[i] whose bit i is set in `which`, n <= SR_FRAME_BATCH. Frames may be
 * changed by the sink. Returns the mask of frames to offer again. */
static inline uint64_t sr_port_forward(struct sr_port *p, struct sr_frame *f, unsigned n,
				       uint64_t which, unsigned lane)
{
	void *sink = atomic_load_explicit(&p->sink, memory_order_acquire);

	if (!sink) {
		sr_count(&p->counters.tx_dropped, (uint64_t)__builtin_popcountll(which));
		return 0;
	}
	return p->sink_ops->forward(sink, p, f, n, which, lane);
}

static inline unsigned sr_port_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
				    unsigned lane)
{
	return p->ops->send(p, f, n, lane);
}

#endif
