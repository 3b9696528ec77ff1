/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio network device: theory of operation.
 *
 * A guest's transmit queue is worked on by its own loop, which makes frames of what it finds
 * and calls the sink with them (net_tx.c). The sink calls the receiver's port, still on that
 * thread, and the frames are copied into the receiver's buffers (net_rx.c). So a frame is
 * copied once, the sender's loop does the work for both ends, and a receive queue's own loop
 * has nothing to do but start and stop it. The rejected design, where each loop touches
 * only its own rings, needs a buffer between loops and with it a second copy of every byte.
 *
 * What is shared between threads is therefore little and stated: the receive queue (its
 * lock), and which pairs receive (`active`, written under the device's lock, read without).
 * A queue's memory stays until the device goes, so a stale look-up is harmless.
 *
 * Which pairs receive: those whose receive queue is started and enabled. Front-ends that
 * keep the control queue to themselves (QEMU) enable just the pairs in use. Where the
 * control queue is ours, the guest's VQ_PAIRS_SET limits them as well, 1 pair at first.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "net_internal.h"

#define NET_MTU_MIN 68 /* virtio 1.3, 5.1.4.1 */

/* struct virtio_net_config (5.1.4). Speed and duplex are not offered; they read as unknown
 * so that a front-end which asks for the whole structure gets it. */
struct net_space {
	uint8_t mac[6];
	uint16_t status, max_pairs, mtu;
	uint32_t speed;
	uint8_t duplex, rss[7];
} __attribute__((packed));
enum {
	STATUS_LINK_UP = 1,
	STATUS_ANNOUNCE = 2
};

static const struct sr_device_ops net_ops;
static const struct sr_port_ops port_ops = { .send = net_rx_send, .can_wait = true };

/* What is configured, less what is switched off, less what depends on that (5.1.3.1). */
static uint64_t offer_from(const struct sr_net *n, uint64_t off)
{
	static const struct {
		uint64_t base, dependent;
	} depends[] = {
		{ SR_NET_F_CSUM, SR_NET_F_HOST_TSO4 | SR_NET_F_HOST_TSO6 | SR_NET_F_HOST_ECN |
					 SR_NET_F_HOST_UFO | SR_NET_F_HOST_USO },
		{ SR_NET_F_GUEST_CSUM, NET_OFFLOADS },
		{ SR_NET_F_STATUS, SR_NET_F_GUEST_ANNOUNCE },
		{ SR_NET_F_CTRL_VQ, SR_NET_F_CTRL_RX | SR_NET_F_CTRL_MAC_ADDR | SR_NET_F_MQ |
					    SR_NET_F_CTRL_GUEST_OFFLOADS |
					    SR_NET_F_GUEST_ANNOUNCE },
	};
	uint64_t f = SR_F_RING | NET_OFFLOADS | SR_NET_F_MRG_RXBUF;

	for (unsigned i = 0; i < SR_ARRAY_LEN(depends); i++)
		f |= depends[i].base | depends[i].dependent;
	if (n->pairs == 1)
		f &= ~SR_NET_F_MQ;
	if (n->mac_offered)
		f |= SR_NET_F_MAC;
	if (n->mtu_offered)
		f |= SR_NET_F_MTU;
	f &= ~off;
	for (unsigned i = 0; i < SR_ARRAY_LEN(depends); i++)
		if (!(f & depends[i].base))
			f &= ~depends[i].dependent;
	if (!(f & (SR_NET_F_HOST_TSO4 | SR_NET_F_HOST_TSO6)))
		f &= ~SR_NET_F_HOST_ECN;
	if (!(f & (SR_NET_F_GUEST_TSO4 | SR_NET_F_GUEST_TSO6)))
		f &= ~SR_NET_F_GUEST_ECN;
	return f;
}

static int config_check(const struct sr_net_config *c, struct sr_error *e)
{
	if (c->pairs > SR_NET_PAIRS_MAX)
		return sr_error_set(e, -EINVAL, "%s: %u queue pairs, expected at most %u", c->name,
				    c->pairs, SR_NET_PAIRS_MAX);
	if (c->mtu && c->mtu < NET_MTU_MIN)
		return sr_error_set(e, -EINVAL, "%s: an MTU of %u, expected at least %u", c->name,
				    c->mtu, NET_MTU_MIN);
	if (c->mac[0] & 1)
		return sr_error_set(e, -EINVAL, "%s: the address %02x:... is for groups", c->name,
				    c->mac[0]);
	return 0;
}

/* The state before the first features_set. */
static void net_forget(struct sr_net *n)
{
	atomic_store(&n->features, 0);
	atomic_store(&n->port.can, 0);
	atomic_store(&n->mac, n->mac_offered);
	atomic_store(&n->mtu, n->mtu_offered);
	atomic_store(&n->announce, false);
	n->pair_limit = 0;
}

struct sr_net *sr_net_create(const struct sr_net_config *c, struct sr_error *e)
{
	unsigned pairs = c->pairs ? c->pairs : SR_NET_PAIRS_MAX;
	struct sr_net *n;

	if (config_check(c, e))
		return NULL;
	n = calloc(1, sizeof(*n) + (2 * pairs + 1) * sizeof(n->queues[0]));
	if (n)
		n->name = strdup(c->name);
	if (!n || !n->name) {
		free(n);
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->name);
		return NULL;
	}
	n->device.ops = &net_ops;
	n->device.name = n->name;
	n->port.ops = &port_ops;
	n->port.name = n->name;
	n->pairs = (uint16_t)pairs;
	n->mac_offered = net_mac_pack(c->mac);
	n->mtu_offered = c->mtu;
	n->offer = offer_from(n, c->features_off);
	atomic_init(&n->link_up, true);
	net_mutex_init(&n->lock);
	net_forget(n);
	return n;
}

void sr_net_destroy(struct sr_net *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < 2u * n->pairs + 1; i++) {
		struct net_queue *q = atomic_load(&n->queues[i]);

		if (!q)
			continue;
		assert(!q->vq);
		pthread_mutex_destroy(&q->lock);
		sr_iov_pool_finish(&q->pool);
		free(q);
	}
	pthread_mutex_destroy(&n->lock);
	free(n->name);
	free(n);
}

struct sr_device *sr_net_device(struct sr_net *n)
{
	return &n->device;
}
struct sr_port *sr_net_port(struct sr_net *n)
{
	return &n->port;
}

void sr_net_set_link(struct sr_net *n, bool up)
{
	if (atomic_exchange(&n->link_up, up) == up)
		return;
	net_update_active(n);
	sr_device_config_changed(&n->device);
}

struct sr_net_info sr_net_info(const struct sr_net *n)
{
	struct sr_net_info i = {
		.features = atomic_load(&n->features),
		.pairs_running = atomic_load(&n->active_count),
		.mtu = atomic_load(&n->mtu),
		.link = atomic_load(&n->port.link),
	};

	net_mac_unpack(atomic_load(&n->mac), i.mac);
	return i;
}

/* The device's ops. */

static uint64_t net_features(struct sr_device *d)
{
	return net_of_device(d)->offer;
}

/* The same features again, as when a migration begins, leave the guest's own choices alone. */
static void net_features_set(struct sr_device *d, uint64_t accepted)
{
	struct sr_net *n = net_of_device(d);

	if (atomic_exchange(&n->features, accepted) == accepted)
		return;
	atomic_store(&n->port.can, net_can_from(accepted));
	pthread_mutex_lock(&n->lock);
	n->pair_limit = 0;
	pthread_mutex_unlock(&n->lock);
	net_update_active(n);
}

static unsigned net_queue_count(struct sr_device *d)
{
	return 2u * net_of_device(d)->pairs + 1;
}

/* What a guest receives into, its senders walk: with chains of 32768 descriptors and buffers of
 * 12 bytes each 1500-byte frame cost a neighbour's loop 27 ms. Linux drivers need 47 at most
 * (MAX_SKB_FRAGS + 2) here; kernel vhost serves 1024 of the other direction. */
static uint16_t net_chain_max(struct sr_device *d, unsigned queue)
{
	(void)d;
	return queue & 1 ? 1024 : 128;
}

static void net_config_read(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	struct sr_net *n = net_of_device(d);
	uint64_t features = atomic_load(&n->features);
	uint16_t status = (uint16_t)((atomic_load(&n->link_up) ? STATUS_LINK_UP : 0) |
				     (atomic_load(&n->announce) ? STATUS_ANNOUNCE : 0));
	struct net_space s = {
		.status = net_u16(features, status),
		.max_pairs = net_u16(features, n->pairs),
		.mtu = net_u16(features, atomic_load(&n->mtu)),
		.speed = UINT32_MAX,
		.duplex = UINT8_MAX,
	};

	assert(sr_range_fits(offset, len, sizeof(s)));
	net_mac_unpack(atomic_load(&n->mac), s.mac);
	memcpy(buf, (const char *)&s + offset, len);
}

static int net_set_mtu(struct sr_device *d, uint16_t mtu)
{
	if (mtu < NET_MTU_MIN)
		return -EINVAL;
	atomic_store(&net_of_device(d)->mtu, mtu);
	return 0;
}

static void net_reset(struct sr_device *d)
{
	struct sr_net *n = net_of_device(d);

	pthread_mutex_lock(&n->lock);
	net_forget(n);
	pthread_mutex_unlock(&n->lock);
	net_update_active(n);
}

static const struct sr_device_ops net_ops = {
	.name = "net",
	.virtio_id = SR_VIRTIO_ID_NET,
	.config_size = sizeof(struct net_space),
	.queues_max = 2 * SR_NET_PAIRS_MAX + 1,
	.queues_a_lane = 2,
	.features = net_features,
	.features_set = net_features_set,
	.queue_count = net_queue_count,
	.config_read = net_config_read,
	.chain_max = net_chain_max,
	.queue_start = net_queue_start,
	.queue_stop = net_queue_stop,
	.queue_enable = net_queue_enable,
	.process = net_process,
	.arm = net_arm,
	.reset = net_reset,
	.set_mtu = net_set_mtu,
	.announce = net_announce,
};
