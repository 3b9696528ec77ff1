/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between what a device does and how it is reached.
 *
 * A device type embeds `struct sr_device` and fills one const `struct sr_device_ops`; it
 * never learns which transport serves it. A transport calls the ops and gives the device
 * a `struct sr_session` to answer through; it never learns what the device is.
 *
 * Threads: everything about one queue (queue_start, queue_stop, queue_enable, process,
 * arm) is called on that queue's own loop, never two at a time for one queue. Different
 * queues may be on different loops. Everything else is called on the control loop.
 */
#ifndef SLIPRING_DEVICE_H
#define SLIPRING_DEVICE_H

#include <slipring/vq.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_device;
struct sr_loop;
struct sr_session; /* the transport's own */

/* What a device may ask of its transport while a queue of it runs. */
struct sr_session_ops {
	/* Notifies the guest: used buffers of `queue` are there. From any thread on which
	 * the device may use the queue. */
	void (*call)(struct sr_session *s, unsigned queue);
	/* The ring is broken, sr_vq_error() of it says how: the transport logs it once and
	 * stops polling the queue. From any thread that may use the queue. */
	void (*queue_broken)(struct sr_session *s, unsigned queue, const char *why);
	/* The configuration space has changed; the guest is told where the transport can.
	 * From the control loop. */
	void (*config_changed)(struct sr_session *s);
	/* The loop that serves `queue`: for what a device needs beside its ring (a channel to
	 * a disk). From queue_start on, on that loop. */
	struct sr_loop *(*queue_loop)(struct sr_session *s, unsigned queue);
	/* The answer to a queue_drain that was false: nothing is outstanding any more. On the
	 * queue's loop, once for each such answer. */
	void (*queue_drained)(struct sr_session *s, unsigned queue);
};

struct sr_device_ops {
	const char *name;	/* "net" */
	uint32_t virtio_id;	/* virtio 1.3, section 5 */
	uint32_t config_size;	/* bytes of configuration space */
	unsigned queues_max;	/* at most 257 */
	unsigned queues_a_lane; /* neighbours that share one loop: 2 for net's pairs; 0 = 1 */

	/* All virtio features that the device offers, SR_F_RING included. */
	uint64_t (*features)(struct sr_device *d);
	/* The guest's choice, a subset of the offer. Queues started from now on use it.
	 * Optional. */
	void (*features_set)(struct sr_device *d, uint64_t accepted);

	/* How many queues this device has now, at most queues_max; optional. */
	unsigned (*queue_count)(struct sr_device *d);

	/* offset + len lies within config_size; config_write may refuse with -EINVAL.
	 * Optional where config_size is 0; without config_write the space is read-only. */
	void (*config_read)(struct sr_device *d, uint32_t offset, void *buf, uint32_t len);
	int (*config_write)(struct sr_device *d, uint32_t offset, const void *buf, uint32_t len);

	/* The longest chain worth taking on this queue, in descriptors: see sr_vq_config. A
	 * device whose queues are worked on by others than their own guest needs one.
	 * Optional. */
	uint16_t (*chain_max)(struct sr_device *d, unsigned queue);

	/* The transport's queue is running: the device uses it until queue_stop returns,
	 * when every popped chain is pushed and published or given back; or, where
	 * sr_vq_keeps() says so, just forgotten: the in-flight record brings it back. */
	void (*queue_start)(struct sr_device *d, unsigned queue, struct sr_vq *vq);
	void (*queue_stop)(struct sr_device *d, unsigned queue);
	/* For devices whose requests take time; without them nothing is ever outstanding between
	 * two calls. Before queue_stop the transport asks for an end: the device takes no more
	 * chains and says whether none is outstanding. False: it calls sr_device_queue_drained
	 * when that is so. After it come queue_stop or queue_abandon, never process. */
	bool (*queue_drain)(struct sr_device *d, unsigned queue);
	/* Draining takes too long. The device cancels what it can. True: no buffer of the guest
	 * is touched any more, queue_stop follows at once. Chains without a result are forgotten
	 * where sr_vq_keeps(), else pushed as failed. False: something cannot be stopped; the
	 * transport waits on, or ends the session and keeps the memory until it is drained. */
	bool (*queue_abandon)(struct sr_device *d, unsigned queue);
	/* A started queue that is not enabled is worked on without side effects: net drops
	 * what is sent and receives nothing. Queues start disabled. Optional. */
	void (*queue_enable)(struct sr_device *d, unsigned queue, bool on);

	/* Works on up to `budget` chains. Returns as sr_poller_ops.poll does: chains done,
	 * 0 = nothing to do, negative = blocked, come again after that many microseconds. */
	int (*process)(struct sr_device *d, unsigned queue, unsigned budget);
	/* Before sleep, as sr_poller_ops.arm; optional, sr_vq_rearm is what it does then. */
	bool (*arm)(struct sr_device *d, unsigned queue);

	/* Back to the state before the first features_set; all queues are stopped. Called
	 * when a session ends and on the guest's own device reset. Optional. */
	void (*reset)(struct sr_device *d);

	/* Messages of vhost-user that only a network device can mean; optional, and the
	 * transport offers their protocol features only where they are given. */
	int (*set_mtu)(struct sr_device *d, uint16_t mtu);	    /* 0 or -EINVAL */
	int (*announce)(struct sr_device *d, const uint8_t mac[6]); /* RARP after migration */
};

/* Embedded first in every device. The fields are the transport's, except the first two. */
struct sr_device {
	const struct sr_device_ops *ops;
	const char *name; /* of the port or disk, for log lines; owned by the device */
	const struct sr_session_ops *session_ops;
	struct sr_session *session;
};

static inline void sr_device_call(struct sr_device *d, unsigned queue)
{
	d->session_ops->call(d->session, queue);
}

static inline void sr_device_queue_broken(struct sr_device *d, unsigned queue, const char *why)
{
	d->session_ops->queue_broken(d->session, queue, why);
}

static inline struct sr_loop *sr_device_queue_loop(struct sr_device *d, unsigned queue)
{
	return d->session_ops->queue_loop(d->session, queue);
}

static inline void sr_device_queue_drained(struct sr_device *d, unsigned queue)
{
	d->session_ops->queue_drained(d->session, queue);
}

/* May be called while no session is there. */
static inline void sr_device_config_changed(struct sr_device *d)
{
	if (d->session)
		d->session_ops->config_changed(d->session);
}

#ifdef __cplusplus
}
#endif
#endif
