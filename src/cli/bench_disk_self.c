/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's own limit: a disk that answers every request at once and moves no data, in this
 * process on another CPU. What it shows is the driver, the rings and the way between two CPUs.
 */
#include "base.h"
#include "bench_disk.h"
#include "iov.h"

#include <endian.h>
#include <errno.h>
#include <slipring/device.h>
#include <stdlib.h>

#define BATCH	    64u
#define POOL	    1024u
#define SELF_QUEUES 8u
#define SECTORS	    (1ull << 21) /* 1 GiB */

struct disk_self {
	struct sr_device device;
	struct sr_vq *vq[SELF_QUEUES]; /* NULL: stopped */
	struct sr_iov_pool pool;
	struct sr_chain chains[BATCH];
	struct bench_host host;
};

static struct disk_self *self_of(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct disk_self, device);
}

static uint64_t self_features(struct sr_device *d)
{
	(void)d;
	return SR_F_RING | SR_BLK_F_FLUSH | SR_BLK_F_MQ;
}

static void self_config(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	uint8_t config[SR_BLK_DRIVER_CONFIG] = { [34] = SELF_QUEUES };
	uint64_t sectors = htole64(SECTORS);

	(void)d;
	memcpy(config, &sectors, sizeof(sectors));
	memcpy(buf, config + offset, len);
}

static void self_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	self_of(d)->vq[queue] = vq;
}

static void self_stop(struct sr_device *d, unsigned queue)
{
	self_of(d)->vq[queue] = NULL;
}

static int self_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	static const uint8_t ok = 0;
	struct disk_self *s = self_of(d);
	struct sr_vq *vq = s->vq[queue];
	int n;

	if (!vq)
		return 0;
	sr_iov_pool_reset(&s->pool);
	n = sr_vq_pop(vq, s->chains, (unsigned)sr_min(budget, BATCH), &s->pool);
	if (n < 0) {
		sr_device_queue_broken(d, queue, sr_vq_error(vq));
		s->vq[queue] = NULL;
		return 0;
	}
	for (int i = 0; i < n; i++) {
		struct sr_chain *c = &s->chains[i];

		if (c->in_len)
			c->written = c->in_len;
		sr_iov_write(c->in, c->nin, c->in_len - 1, &ok, c->in_len ? 1 : 0);
	}
	sr_vq_push(vq, s->chains, (unsigned)n);
	if (n && sr_vq_publish(vq))
		sr_device_call(d, queue);
	return n;
}

static bool self_arm(struct sr_device *d, unsigned queue)
{
	struct disk_self *s = self_of(d);

	return s->vq[queue] && sr_vq_rearm(s->vq[queue]);
}

static const struct sr_device_ops self_ops = {
	.name = "blk",
	.virtio_id = SR_VIRTIO_ID_BLOCK,
	.config_size = SR_BLK_DRIVER_CONFIG,
	.queues_max = SELF_QUEUES,
	.features = self_features,
	.config_read = self_config,
	.queue_start = self_start,
	.queue_stop = self_stop,
	.process = self_process,
	.arm = self_arm,
};

struct disk_self *disk_self_create(bool busy, struct sr_error *e)
{
	struct disk_self *s = calloc(1, sizeof(*s));

	if (!s || sr_iov_pool_init(&s->pool, POOL)) {
		sr_error_set(e, -ENOMEM, "out of memory");
		free(s);
		return NULL;
	}
	s->device.ops = &self_ops;
	s->device.name = "self";
	if (bench_host_start(&s->host, &s->device, busy, e)) {
		disk_self_destroy(s);
		return NULL;
	}
	return s;
}

const char *disk_self_socket(const struct disk_self *s)
{
	return s->host.socket;
}

void disk_self_destroy(struct disk_self *s)
{
	if (!s)
		return;
	bench_host_stop(&s->host);
	sr_iov_pool_finish(&s->pool);
	free(s);
}
