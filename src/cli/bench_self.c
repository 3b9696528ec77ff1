/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's own limit: the cheapest back-end that still moves frames, in this process, on
 * another CPU. It returns each frame to its sender with one copy and looks at nothing, so
 * what `--mode self` shows is the driver, the rings and the way between two CPUs.
 *
 * It is reached over a real socket by the real transport, so that client and rings are the
 * same as in every other mode.
 */
#include "base.h"
#include "bench.h"
#include "iov.h"

#include <errno.h>
#include <slipring/device.h>
#include <slipring/virtio.h>
#include <stdlib.h>

enum {
	RX,
	TX,
	QUEUES
};
#define BATCH	   64u
#define POOL	   256u
#define NO_ROOM_US 10

struct bench_self {
	struct sr_device device;
	struct sr_vq *vq[QUEUES]; /* NULL: stopped */
	struct sr_iov_pool pool[QUEUES];
	struct sr_chain chains[QUEUES][BATCH];
	struct bench_host host;
};

static struct bench_self *self_of(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct bench_self, device);
}

static uint64_t self_features(struct sr_device *d)
{
	(void)d;
	return SR_F_RING;
}

static void self_features_set(struct sr_device *d, uint64_t accepted)
{
	(void)d;
	(void)accepted;
}

static void self_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	self_of(d)->vq[queue] = vq;
}

static void self_stop(struct sr_device *d, unsigned queue)
{
	self_of(d)->vq[queue] = NULL;
}

/* Chains taken; a broken ring is told and left alone. */
static unsigned take(struct bench_self *s, unsigned queue, unsigned n)
{
	int got;

	sr_iov_pool_reset(&s->pool[queue]);
	got = sr_vq_pop(s->vq[queue], s->chains[queue], n, &s->pool[queue]);
	if (got >= 0)
		return (unsigned)got;
	sr_device_queue_broken(&s->device, queue, sr_vq_error(s->vq[queue]));
	s->vq[queue] = NULL;
	return 0;
}

static void copy(const struct sr_chain *from, struct sr_chain *to)
{
	size_t done = 0;

	for (uint32_t i = 0; i < from->nout; i++)
		done += sr_iov_write(to->in, to->nin, done, from->out[i].iov_base,
				     from->out[i].iov_len);
	to->written = (uint32_t)done;
}

static void give_back(struct bench_self *s, unsigned queue, unsigned n)
{
	sr_vq_push(s->vq[queue], s->chains[queue], n);
	if (sr_vq_publish(s->vq[queue]))
		sr_device_call(&s->device, queue);
}

static int self_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct bench_self *s = self_of(d);
	unsigned frames, room;

	if (queue != TX || !s->vq[TX] || !s->vq[RX])
		return 0;
	frames = take(s, TX, (unsigned)sr_min(budget, BATCH));
	if (!frames || !s->vq[TX])
		return 0;
	room = take(s, RX, frames);
	if (!s->vq[RX])
		return 0;
	sr_vq_unpop(s->vq[TX], frames - room);
	for (unsigned i = 0; i < room; i++)
		copy(&s->chains[TX][i], &s->chains[RX][i]);
	if (!room)
		return -NO_ROOM_US;
	give_back(s, TX, room);
	give_back(s, RX, room);
	return (int)room;
}

static bool self_arm(struct sr_device *d, unsigned queue)
{
	struct bench_self *s = self_of(d);

	return queue == TX && s->vq[TX] && sr_vq_rearm(s->vq[TX]);
}

static const struct sr_device_ops self_ops = {
	.name = "loop",
	.virtio_id = SR_VIRTIO_ID_NET,
	.queues_max = QUEUES,
	.queues_a_lane = QUEUES,
	.features = self_features,
	.features_set = self_features_set,
	.queue_start = self_start,
	.queue_stop = self_stop,
	.process = self_process,
	.arm = self_arm,
};

struct bench_self *bench_self_create(bool busy, struct sr_error *e)
{
	struct bench_self *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : -ENOMEM;

	for (unsigned i = 0; i < QUEUES && !rc; i++)
		rc = sr_iov_pool_init(&s->pool[i], POOL);
	if (rc) {
		sr_error_set(e, rc, "out of memory");
		bench_self_destroy(s);
		return NULL;
	}
	s->device.ops = &self_ops;
	s->device.name = "self";
	if (bench_host_start(&s->host, &s->device, busy, e)) {
		bench_self_destroy(s);
		return NULL;
	}
	return s;
}

const char *bench_self_socket(const struct bench_self *s)
{
	return s->host.socket;
}

void bench_self_destroy(struct bench_self *s)
{
	if (!s)
		return;
	bench_host_stop(&s->host);
	for (unsigned i = 0; i < QUEUES; i++)
		sr_iov_pool_finish(&s->pool[i]);
	free(s);
}
