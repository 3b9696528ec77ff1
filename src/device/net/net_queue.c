/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's life: made, started, enabled, broken, stopped; and which pairs receive. */
#include <assert.h>
#include <stdlib.h>

#include "net_internal.h"

void net_mutex_init(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(m, &a);
	pthread_mutexattr_destroy(&a);
}

void net_update_active(struct sr_net *n)
{
	unsigned limit, count = 0;

	pthread_mutex_lock(&n->lock);
	limit = n->pair_limit ? n->pair_limit : n->pairs;
	for (unsigned pair = 0; pair < limit; pair++) {
		struct net_queue *q =
			atomic_load_explicit(&n->queues[2 * pair], memory_order_acquire);

		if (q && atomic_load_explicit(&q->receiving, memory_order_relaxed))
			atomic_store_explicit(&n->active[count++], (uint8_t)pair,
					      memory_order_relaxed);
	}
	if (!atomic_load(&n->link_up))
		count = 0;
	atomic_store_explicit(&n->active_count, count, memory_order_release);
	atomic_store_explicit(&n->port.link, count > 0, memory_order_release);
	pthread_mutex_unlock(&n->lock);
}

enum queue_kind {
	QUEUE_RX,
	QUEUE_TX,
	QUEUE_CTRL
};

/* 5.1.2: the control queue follows the pairs that the device could have with MQ, and the
 * one pair otherwise. */
static enum queue_kind queue_kind(const struct net_queue *q)
{
	unsigned pairs = q->features & SR_NET_F_MQ ? q->net->pairs : 1;

	if ((q->features & SR_NET_F_CTRL_VQ) && q->index == 2 * pairs)
		return QUEUE_CTRL;
	return q->index & 1 ? QUEUE_TX : QUEUE_RX;
}

static struct net_queue *queue_get(struct sr_device *d, unsigned queue)
{
	struct sr_net *n = net_of_device(d);

	assert(queue < 2u * n->pairs + 1);
	return atomic_load_explicit(&n->queues[queue], memory_order_acquire);
}

static struct net_queue *queue_make(struct sr_net *n, unsigned queue)
{
	struct net_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->net = n;
	q->index = queue;
	net_mutex_init(&q->lock);
	atomic_store_explicit(&n->queues[queue], q, memory_order_release);
	return q;
}

void net_queue_break(struct net_queue *q, const char *why)
{
	q->vq = NULL;
	if (atomic_exchange(&q->receiving, false))
		net_update_active(q->net);
	sr_device_queue_broken(&q->net->device, q->index, why);
}

static unsigned pool_size(enum queue_kind kind)
{
	return kind == QUEUE_CTRL ? NET_CTRL_POOL : NET_DATA_POOL;
}

/* A guest that brings its own control queue here starts with one pair (5.1.6.5.6). */
static void pairs_begin(struct sr_net *n)
{
	pthread_mutex_lock(&n->lock);
	if (!n->pair_limit)
		n->pair_limit = 1;
	pthread_mutex_unlock(&n->lock);
	net_update_active(n);
}

void net_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	struct sr_net *n = net_of_device(d);
	struct net_queue *q = queue_get(d, queue);

	if (!q)
		q = queue_make(n, queue);
	if (!q) {
		sr_device_queue_broken(d, queue, "out of memory");
		return;
	}
	pthread_mutex_lock(&q->lock);
	q->features = atomic_load(&n->features);
	q->hdr_len = q->features & (SR_F_VERSION_1 | SR_NET_F_MRG_RXBUF) ? sizeof(struct net_hdr)
									 : NET_HDR_LEGACY;
	q->enabled = false;
	q->done = 0;
	q->buffer_len = q->hdr_len;
	if (sr_iov_pool_init(&q->pool, pool_size(queue_kind(q))))
		sr_device_queue_broken(d, queue, "out of memory");
	else
		q->vq = vq;
	pthread_mutex_unlock(&q->lock);
	if (queue_kind(q) == QUEUE_CTRL && q->features & SR_NET_F_MQ)
		pairs_begin(n);
}

/* Only receive queues that may receive count as receiving. */
static void queue_set_enabled(struct net_queue *q, bool on)
{
	pthread_mutex_lock(&q->lock);
	q->enabled = on;
	atomic_store(&q->receiving, on && q->vq && queue_kind(q) == QUEUE_RX);
	pthread_mutex_unlock(&q->lock);
	net_update_active(q->net);
}

void net_queue_stop(struct sr_device *d, unsigned queue)
{
	struct net_queue *q = queue_get(d, queue);

	if (!q)
		return;
	if (queue_kind(q) == QUEUE_TX && q->vq)
		net_tx_stop(q);
	queue_set_enabled(q, false);
	pthread_mutex_lock(&q->lock);
	q->vq = NULL;
	sr_iov_pool_finish(&q->pool);
	pthread_mutex_unlock(&q->lock);
}

void net_queue_enable(struct sr_device *d, unsigned queue, bool on)
{
	struct net_queue *q = queue_get(d, queue);

	if (q)
		queue_set_enabled(q, on);
}

/* Receive queues are worked on by those who send; their kicks only wake the loop. */
int net_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct net_queue *q = queue_get(d, queue);

	if (!q)
		return 0;
	switch (queue_kind(q)) {
	case QUEUE_TX:
		return net_tx_process(q, budget);
	case QUEUE_CTRL:
		return net_ctrl_process(q, budget);
	default:
		return 0;
	}
}

/* A receive queue asks for kicks when a frame found no room, not before sleep. */
bool net_arm(struct sr_device *d, unsigned queue)
{
	struct net_queue *q = queue_get(d, queue);

	return q && queue_kind(q) != QUEUE_RX && q->vq && sr_vq_rearm(q->vq);
}
