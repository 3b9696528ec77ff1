/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue (virtio 1.3, 5.1.6.5). Front-ends such as QEMU answer it themselves;
 * others (UML) leave it to us, and their drivers wait for each answer, without end.
 *
 * Receive filters (CTRL_RX) are accepted and not applied: the specification calls them best
 * effort, the switch sends a port only what is its own, unknown or for many, and a filter
 * on the way in would judge every frame to keep out the few that the guest drops itself.
 */
#include <endian.h>

#include "iov.h"
#include "net_internal.h"

enum {
	CTRL_OK = 0,
	CTRL_ERR = 1
};
#define CTRL_HEAD  2u  /* class and command */
#define CTRL_BATCH 16u /* a driver has one command under way */

static bool accept_rx_mode(struct net_queue *q, const struct sr_chain *c)
{
	(void)q;
	(void)c;
	return true;
}

/* Two lists, each a 32-bit count and as many addresses. Only their shape is looked at. */
static bool accept_mac_table(struct net_queue *q, const struct sr_chain *c)
{
	uint64_t at = CTRL_HEAD;

	for (unsigned list = 0; list < 2; list++) {
		uint32_t count;

		if (sr_iov_read(c->out, c->nout, at, &count, sizeof(count)) != sizeof(count))
			return false;
		if (q->features & SR_F_VERSION_1)
			count = le32toh(count);
		at += sizeof(count) + 6 * (uint64_t)count;
	}
	return at == c->out_len;
}

static bool set_mac(struct net_queue *q, const struct sr_chain *c)
{
	uint8_t mac[6];

	sr_iov_read(c->out, c->nout, CTRL_HEAD, mac, sizeof(mac));
	if (mac[0] & 1)
		return false;
	atomic_store_explicit(&q->net->mac, net_mac_pack(mac), memory_order_relaxed);
	return true;
}

static bool ack_announce(struct net_queue *q, const struct sr_chain *c)
{
	(void)c;
	atomic_store_explicit(&q->net->announce, false, memory_order_relaxed);
	return true;
}

static bool set_pairs(struct net_queue *q, const struct sr_chain *c)
{
	struct sr_net *n = q->net;
	uint16_t pairs;

	sr_iov_read(c->out, c->nout, CTRL_HEAD, &pairs, sizeof(pairs));
	pairs = net_u16(q->features, pairs);
	if (!pairs || pairs > n->pairs)
		return false;
	pthread_mutex_lock(&n->lock);
	n->pair_limit = pairs;
	pthread_mutex_unlock(&n->lock);
	net_update_active(n);
	return true;
}

static bool set_offloads(struct net_queue *q, const struct sr_chain *c)
{
	uint64_t on;

	sr_iov_read(c->out, c->nout, CTRL_HEAD, &on, sizeof(on));
	if (q->features & SR_F_VERSION_1)
		on = le64toh(on);
	if (!net_has(q->features & NET_OFFLOADS, on))
		return false;
	atomic_store_explicit(&q->net->port.can, net_can_from(on), memory_order_relaxed);
	return true;
}

/* What follows class and command: `min` to `max` bytes. */
static const struct ctrl_command {
	uint8_t class, command;
	uint64_t feature;
	uint32_t min, max;
	bool (*run)(struct net_queue *q, const struct sr_chain *c);
} commands[] = {
	{ 0, 0, SR_NET_F_CTRL_RX, 1, 1, accept_rx_mode },	     /* PROMISC */
	{ 0, 1, SR_NET_F_CTRL_RX, 1, 1, accept_rx_mode },	     /* ALLMULTI */
	{ 1, 0, SR_NET_F_CTRL_RX, 8, UINT32_MAX, accept_mac_table }, /* MAC_TABLE_SET */
	{ 1, 1, SR_NET_F_CTRL_MAC_ADDR, 6, 6, set_mac },	     /* MAC_ADDR_SET */
	{ 3, 0, SR_NET_F_GUEST_ANNOUNCE, 0, 0, ack_announce },	     /* ANNOUNCE_ACK */
	{ 4, 0, SR_NET_F_MQ, 2, 2, set_pairs },			     /* VQ_PAIRS_SET */
	{ 5, 0, SR_NET_F_CTRL_GUEST_OFFLOADS, 8, 8, set_offloads },  /* GUEST_OFFLOADS_SET */
};

static uint8_t ctrl_answer(struct net_queue *q, const struct sr_chain *c)
{
	uint8_t head[CTRL_HEAD];

	if (sr_iov_read(c->out, c->nout, 0, head, sizeof(head)) != sizeof(head))
		return CTRL_ERR;
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++) {
		const struct ctrl_command *k = &commands[i];
		uint32_t len = c->out_len - CTRL_HEAD;

		if (k->class == head[0] && k->command == head[1])
			return net_has(q->features, k->feature) && len >= k->min && len <= k->max &&
					       k->run(q, c)
				       ? CTRL_OK
				       : CTRL_ERR;
	}
	return CTRL_ERR;
}

/* A chain without room for the answer is done all the same, and returned. */
static void ctrl_serve(struct net_queue *q, struct sr_chain *c)
{
	uint8_t answer = ctrl_answer(q, c);

	c->written = (uint32_t)sr_iov_write(c->in, c->nin, 0, &answer, sizeof(answer));
}

int net_ctrl_process(struct net_queue *q, unsigned budget)
{
	struct sr_chain chains[CTRL_BATCH];
	int n;

	if (!q->vq)
		return 0;
	sr_iov_pool_reset(&q->pool);
	n = sr_vq_pop(q->vq, chains, (unsigned)sr_min(budget, CTRL_BATCH), &q->pool);
	if (n < 0) {
		net_queue_break(q, sr_vq_error(q->vq));
		return 0;
	}
	if (!n)
		return 0;
	for (int i = 0; i < n; i++)
		ctrl_serve(q, &chains[i]);
	sr_vq_push(q->vq, chains, (unsigned)n);
	if (sr_vq_publish(q->vq))
		sr_device_call(&q->net->device, q->index);
	return n;
}
