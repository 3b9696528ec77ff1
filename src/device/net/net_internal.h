/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the net device share; see net.c for how they fit together. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include <slipring/net.h>
#include <slipring/virtio.h>

#include <pthread.h>

#include "base.h"

#define NET_HDR_LEGACY 10u /* without num_buffers: neither VERSION_1 nor MRG_RXBUF */

/* struct virtio_net_hdr (virtio 1.3, 5.1.6), in the guest's byte order. */
struct net_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers;
};

/* One virtqueue. Made when it is first started and kept until the device goes, so that a
 * sender that has just looked a receive queue up may still lock it; some 110 bytes, the pool
 * only while it runs. */
struct net_queue {
	struct sr_net *net;
	unsigned index;
	/* Receive queues: guards all below but `receiving`; senders of any loop meet the
	 * queue's own loop there. The others belong to their own loop. */
	pthread_mutex_t lock;
	struct sr_vq *vq; /* NULL: stopped or broken */
	bool enabled;
	_Atomic bool receiving; /* running and enabled; read under the device's lock */
	uint8_t hdr_len;
	uint64_t features; /* as negotiated when the queue was started */
	struct sr_iov_pool pool;
	uint64_t done;	     /* transmit: frames of the window that must not go out again */
	uint32_t buffer_len; /* receive: what the last buffer held, to guess how many to pop */
};

struct sr_net {
	struct sr_device device;
	struct sr_port port;
	char *name;
	uint64_t offer;
	uint64_t mac_offered; /* 0 = none */
	uint16_t mtu_offered; /* 0 = none */
	uint16_t pairs;
	/* Written by the control loop or the control queue's, read by any. */
	_Atomic uint64_t features;
	_Atomic uint64_t mac;
	_Atomic uint16_t mtu;
	_Atomic bool link_up;  /* the operator's switch */
	_Atomic bool announce; /* the guest is asked to announce itself */

	pthread_mutex_t lock; /* writers of what follows; taken after a queue's lock */
	uint16_t pair_limit;  /* the guest's own choice on our control queue; 0 = none yet */
	_Atomic uint32_t active_count;
	_Atomic uint8_t active[SR_NET_PAIRS_MAX]; /* pairs that receive, rising */
	_Atomic(struct net_queue *) queues[];	  /* 2 * pairs + 1 */
};

static inline bool net_has(uint64_t features, uint64_t wanted)
{
	return (features & wanted) == wanted;
}

/* net_queue.c */
void net_mutex_init(pthread_mutex_t *m);
/* Recomputes which pairs receive, and the port's link. From any thread. */
void net_update_active(struct sr_net *n);
/* The ring or what the guest put in it cannot be served. */
void net_queue_break(struct net_queue *q, const char *why);
void net_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq);
void net_queue_stop(struct sr_device *d, unsigned queue);
void net_queue_enable(struct sr_device *d, unsigned queue, bool on);
int net_process(struct sr_device *d, unsigned queue, unsigned budget);
bool net_arm(struct sr_device *d, unsigned queue);

/* net_header.c */
bool net_header_parse(const struct net_hdr *h, uint64_t features, uint32_t len,
		      struct sr_offload *off);
bool net_header_make(struct net_hdr *h, uint64_t features, uint32_t can,
		     const struct sr_offload *off);
uint16_t net_u16(uint64_t features, uint16_t v);
uint32_t net_can_from(uint64_t features);

/* net_tx.c */
int net_tx_process(struct net_queue *q, unsigned budget);
void net_tx_stop(struct net_queue *q);

/* net_rx.c */
unsigned net_rx_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n, unsigned lane);

/* net_ctrl.c */
int net_ctrl_process(struct net_queue *q, unsigned budget);
/* Pieces that one batch may have before a pool grows. */
#define NET_CTRL_POOL 32u
#define NET_DATA_POOL 256u
#define NET_OFFLOADS                                                                            \
	(SR_NET_F_GUEST_CSUM | SR_NET_F_GUEST_TSO4 | SR_NET_F_GUEST_TSO6 | SR_NET_F_GUEST_ECN | \
	 SR_NET_F_GUEST_UFO | SR_NET_F_GUEST_USO4 | SR_NET_F_GUEST_USO6)

/* net_announce.c */
int net_announce(struct sr_device *d, const uint8_t mac[6]);

/* Six bytes of an address as a number, so that it can change in one store. */
static inline uint64_t net_mac_pack(const uint8_t mac[6])
{
	return (uint64_t)sr_get_be16(mac) << 32 | sr_get_be32(mac + 2);
}

static inline void net_mac_unpack(uint64_t packed, uint8_t mac[6])
{
	sr_put_be16(mac, (uint16_t)(packed >> 32));
	sr_put_be32(mac + 2, (uint32_t)packed);
}

static inline struct sr_net *net_of_device(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct sr_net, device);
}

#endif
