/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest, a transport and a switch for the tests of the net device: memory in a memfd,
 * driver rings, a session that counts, a sink that keeps what it gets. Mistakes of the test
 * itself end it at once.
 */
#ifndef NET_RIG_H
#define NET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <slipring/drvq.h>
#include <slipring/net.h>
#include <slipring/virtio.h>

#include "base.h"

#define RIG_QUEUES 9u
#define RIG_SINK   512u

struct rig_queue {
	struct sr_vq *vq;
	struct sr_drvq *drv;
	_Atomic unsigned calls;
	char broken[128]; /* "" = no */
};

/* A frame as it came out, whole. */
struct rig_frame {
	uint8_t *bytes;
	uint32_t len;
	unsigned lane;
	struct sr_offload off;
};

struct rig {
	struct sr_net *net;
	struct sr_device *dev;
	struct sr_port *port;
	struct sr_mem *mem;
	uint8_t *ram;
	size_t used;
	struct rig_queue q[RIG_QUEUES];
	unsigned config_changes;
	/* The sink. */
	struct rig_frame got[RIG_SINK];
	unsigned ngot, offered;
	bool (*refuse)(struct rig *r, const struct sr_frame *f); /* optional */
	void *ctx;
};

#define RIG_MODERN (SR_F_VERSION_1 | SR_F_INDIRECT_DESC | SR_F_EVENT_IDX)

/* The device with its port attached to the rig's sink. */
struct rig *rig_create(const struct sr_net_config *c);
void rig_destroy(struct rig *r);
/* Starts queue i with `size` entries and enables it. */
void rig_start(struct rig *r, unsigned i, unsigned size);
void rig_stop(struct rig *r, unsigned i);

/* Guest memory; never given back. `room` returns the address. */
uint64_t rig_room(struct rig *r, size_t len);
uint8_t *rig_at(struct rig *r, uint64_t addr);
struct sr_sg rig_sg(struct rig *r, const void *bytes, size_t len);

/* One transmit chain: header and data as they are, cut into pieces of `piece` bytes after
 * the first `first` (0 = one piece for all). */
void rig_tx(struct rig *r, unsigned i, const void *hdr, size_t hdr_len, const void *data,
	    size_t len, size_t first, size_t piece);
/* Lets the device work until it has nothing to do or is blocked; its last answer. */
int rig_process(struct rig *r, unsigned i);
/* Chains that came back; each token is released by the test. */
unsigned rig_used(struct rig *r, unsigned i, struct sr_used *u, unsigned n);

/* One receive chain of pieces of these lengths; the token is its number. */
struct rig_buffer {
	struct sr_sg sg[32];
	unsigned n;
};
void rig_rx_add(struct rig *r, unsigned i, struct rig_buffer *b, const uint32_t *lens, unsigned n);
/* The first `len` bytes in a buffer. */
void rig_rx_read(struct rig *r, const struct rig_buffer *b, void *to, size_t len);

/* Frame bytes that tell where they are from. */
void rig_fill(uint8_t *p, size_t len, unsigned seed);
/* A frame over `bytes`, its rest in pieces of `piece` bytes (0 = one), kept in iov. */
void rig_frame(struct sr_frame *f, uint8_t *bytes, uint32_t len, struct iovec *iov, unsigned cap,
	       size_t piece);
unsigned rig_send(struct rig *r, struct sr_frame *f, unsigned n, unsigned lane);

#endif
