/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a small disk, as virtio-blk or as a unit of a SCSI host, that misbehaves as told. */
#ifndef SR_CLI_BENCH_DISK_FAKE_H
#define SR_CLI_BENCH_DISK_FAKE_H

#include "bench_disk.h"
#include "iov.h"

#include <slipring/device.h>

#define FAKE_BYTES  (1u << 20)
#define FAKE_QUEUES 2u

enum fake_fault {
	FAKE_GOOD,
	FAKE_LOSES,	/* a write is answered, not done */
	FAKE_MISPLACES, /* a write goes to the next block */
	FAKE_DAMAGES,	/* a read brings a wrong byte */
	FAKE_LEAVES,	/* a read leaves the buffer as it was */
	FAKE_FAILS,
	FAKE_HANGS /* and keeps all that comes after it */
};

struct fake_disk {
	/* Set before fake_start. */
	bool scsi, read_only, net;
	enum fake_fault fault;
	unsigned at; /* every so many requests, counted over all queues */
	/* The fake's own. */
	struct sr_device device;
	struct sr_vq *vq[SR_SCSI_DRIVER_FIRST + FAKE_QUEUES];
	struct sr_iov_pool pool;
	struct bench_host host;
	uint8_t data[FAKE_BYTES];
	unsigned requests, flushes;
	bool hung, attention;
};

int fake_start(struct fake_disk *f, struct sr_error *e);
void fake_stop(struct fake_disk *f);

#endif
