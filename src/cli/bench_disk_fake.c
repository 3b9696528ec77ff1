/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_disk_fake.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH	   16u
#define POOL	   256u
#define BLK_HEADER 16u
#define HEADER	   51u
#define ANSWER	   108u

static struct fake_disk *fake_of(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct fake_disk, device);
}

static uint64_t fake_features(struct sr_device *d)
{
	const struct fake_disk *f = fake_of(d);

	if (f->net)
		return SR_F_RING | SR_NET_F_MAC | SR_NET_F_MQ | SR_NET_F_CTRL_VQ;
	if (f->scsi)
		return SR_F_RING | SR_SCSI_F_HOTPLUG | SR_SCSI_F_CHANGE;
	return SR_F_RING | SR_BLK_F_FLUSH | SR_BLK_F_MQ | SR_BLK_F_SIZE_MAX |
	       (f->read_only ? SR_BLK_F_RO : 0);
}

static void fake_config(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	static const uint8_t blk[36] = { [1] = FAKE_BYTES / 512 / 256,
					 [8] = 0xe8,
					 [9] = 3, /* pieces of 1000 bytes */
					 [34] = FAKE_QUEUES };
	static const uint8_t scsi[36] = {
		[0] = FAKE_QUEUES, [4] = 126, [9] = 1, [20] = 96, [24] = 32, [30] = 7, [32] = 99
	};

	memcpy(buf, (fake_of(d)->scsi ? scsi : blk) + offset, len);
}

static void fake_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	fake_of(d)->vq[queue] = vq;
}

static void fake_queue_stop(struct sr_device *d, unsigned queue)
{
	fake_of(d)->vq[queue] = NULL;
}

static bool faulty(const struct fake_disk *f, enum fake_fault fault)
{
	return f->fault == fault && f->requests % f->at == 0;
}

/* Moves data at `offset`; false is an I/O error. */
static bool move(struct fake_disk *f, struct sr_chain *c, bool write, uint64_t offset,
		 uint32_t header, uint32_t answer)
{
	uint32_t len = write ? c->out_len - header : c->in_len - answer;
	uint8_t *at = f->data + offset;

	/* A test looks on. */
	__atomic_store_n(&f->requests, f->requests + 1, __ATOMIC_RELAXED);
	if (!sr_range_fits(offset, len, FAKE_BYTES) || faulty(f, FAKE_FAILS))
		return false;
	if (write && faulty(f, FAKE_MISPLACES))
		at = f->data + (offset + len) % FAKE_BYTES;
	if (write && !faulty(f, FAKE_LOSES))
		sr_iov_read(c->out, c->nout, header, at, len);
	if (!write && !faulty(f, FAKE_LEAVES)) {
		sr_iov_write(c->in, c->nin, f->scsi ? answer : 0, at, len);
		if (faulty(f, FAKE_DAMAGES))
			sr_iov_write(c->in, c->nin, (f->scsi ? answer : 0) + 100, "!", 1);
	}
	return true;
}

static void do_blk(struct fake_disk *f, struct sr_chain *c)
{
	struct sr_blk_driver_meta m;
	uint8_t status = 0;

	sr_iov_read(c->out, c->nout, 0, &m, BLK_HEADER);
	if (m.type == SR_BLK_DRIVER_FLUSH)
		f->flushes++;
	else
		status = !move(f, c, m.type == SR_BLK_DRIVER_OUT, m.sector * 512, BLK_HEADER, 1);
	sr_iov_write(c->in, c->nin, c->in_len - 1, &status, 1);
	c->written = c->in_len;
}

/* What commands without blocks bring. */
static void tell(struct fake_disk *f, struct sr_chain *c, uint8_t operation)
{
	static const uint8_t inquiry[36] = "\0\0\6\2\37\0\0\0SLIPRINGFAKE            1";
	static const uint8_t capacity[32] = {
		[6] = (FAKE_BYTES / 512 - 1) >> 8, [7] = (FAKE_BYTES / 512 - 1) & 0xff, [10] = 2
	};
	uint8_t mode[4] = { 3, 0, f->read_only ? 0x80 : 0, 0 };

	if (operation == 0x12)
		sr_iov_write(c->in, c->nin, ANSWER, inquiry, sizeof(inquiry));
	else if (operation == 0x9e)
		sr_iov_write(c->in, c->nin, ANSWER, capacity, sizeof(capacity));
	else if (operation == 0x1a)
		sr_iov_write(c->in, c->nin, ANSWER, mode, sizeof(mode));
	else if (operation == 0x35)
		f->flushes++;
}

static void do_scsi(struct fake_disk *f, struct sr_chain *c)
{
	static const uint8_t unit[8] = { 1, 3, 0x40, 2 };
	uint8_t h[HEADER], a[ANSWER] = { 18, [12] = 0x70 };
	const uint8_t *cdb = h + 19;

	sr_iov_read(c->out, c->nout, 0, h, HEADER);
	if (memcmp(h, unit, sizeof(unit)) != 0) {
		a[11] = 3; /* BAD TARGET */
	} else if (f->attention) {
		f->attention = false;
		a[10] = 2;
		a[14] = 6;
		a[24] = 0x29;
	} else if (cdb[0] != 0x28 && cdb[0] != 0x2a) {
		tell(f, c, cdb[0]);
	} else if (!move(f, c, cdb[0] == 0x2a, (uint64_t)sr_get_be32(cdb + 2) * 512, HEADER,
			 ANSWER)) {
		a[10] = 2;
		a[14] = 3;
		a[24] = 0x11;
	}
	sr_iov_write(c->in, c->nin, 0, a, ANSWER);
	c->written = c->in_len;
}

static int fake_process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct fake_disk *f = fake_of(d);
	struct sr_chain c[BATCH];
	int n;

	if (!f->vq[queue] || f->hung || (f->scsi && queue < SR_SCSI_DRIVER_FIRST))
		return 0;
	sr_iov_pool_reset(&f->pool);
	n = sr_vq_pop(f->vq[queue], c, (unsigned)sr_min(budget, BATCH), &f->pool);
	for (int i = 0; i < n; i++) {
		if (f->scsi)
			do_scsi(f, &c[i]);
		else
			do_blk(f, &c[i]);
		f->hung = f->hung || (f->requests && faulty(f, FAKE_HANGS));
	}
	if (n <= 0)
		return 0;
	if (f->hung) {
		sr_vq_unpop(f->vq[queue], (unsigned)n);
		return 0;
	}
	sr_vq_push(f->vq[queue], c, (unsigned)n);
	if (sr_vq_publish(f->vq[queue]))
		sr_device_call(d, queue);
	return n;
}

static bool fake_arm(struct sr_device *d, unsigned queue)
{
	struct fake_disk *f = fake_of(d);

	return f->vq[queue] && !f->hung && sr_vq_rearm(f->vq[queue]);
}

static const struct sr_device_ops fake_ops = {
	.name = "fake",
	.config_size = SR_BLK_DRIVER_CONFIG,
	.queues_max = SR_SCSI_DRIVER_FIRST + FAKE_QUEUES,
	.queues_a_lane = SR_SCSI_DRIVER_FIRST + FAKE_QUEUES,
	.features = fake_features,
	.config_read = fake_config,
	.queue_start = fake_queue_start,
	.queue_stop = fake_queue_stop,
	.process = fake_process,
	.arm = fake_arm,
};

int fake_start(struct fake_disk *f, struct sr_error *e)
{
	f->device.ops = &fake_ops;
	f->device.name = "fake";
	f->attention = true;
	f->at = f->at ? f->at : 1;
	if (sr_iov_pool_init(&f->pool, POOL))
		return sr_error_set(e, -ENOMEM, "out of memory");
	return bench_host_start(&f->host, &f->device, false, e);
}

void fake_stop(struct fake_disk *f)
{
	bench_host_stop(&f->host);
	sr_iov_pool_finish(&f->pool);
}
