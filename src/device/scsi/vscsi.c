/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio SCSI host device: theory of operation.
 *
 * The problem: many queues on many loops carry commands to thousands of units, each of which
 * may be added or removed while all of that goes on; and control functions end commands that
 * some other loop has in its hands, or that a stuck medium never gives back.
 *
 * What belongs to whom. A request queue, with its commands and its lanes (vscsi_lane.c: one
 * unit on one queue, with its own channel to the disk), belongs to its queue's loop. The
 * table of units (vscsi_lun.c) is written by the control loop and read by all, without a lock.
 * Everything else between loops is a message (vscsi_box.c): forget this unit, end those
 * commands (vscsi_tmf.c), here is an event (vscsi_event.c). So nothing in the data path is
 * shared, and nobody ever waits for another loop.
 *
 * Rejected: one task set for each unit, as SAM draws it. It would be a lock that all queues of a
 * guest meet at for each command, to serve functions that are used when something is broken.
 * The price is that a function asks each queue.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "vscsi_internal.h"

#define TMF_WAIT_MS 10000u

/* Data of a bidirectional command, its protection information and a header of one-byte pieces:
 * 1022 segments are the most that front-ends announce (QEMU). */
#define CHAIN_MAX 2560u

/* struct virtio_scsi_config (5.6.4). */
struct space {
	uint32_t num_queues, seg_max, max_sectors, cmd_per_lun, event_info_size;
	uint32_t sense_size, cdb_size;
	uint16_t max_channel, max_target;
	uint32_t max_lun;
} __attribute__((packed));

static const struct sr_device_ops vscsi_ops;

static int config_check(const struct sr_scsi_config *c, struct sr_error *e)
{
	if (c->queues > SR_SCSI_QUEUES_MAX)
		return sr_error_set(e, -EINVAL, "%s: %u request queues, expected at most %u",
				    c->name, c->queues, SR_SCSI_QUEUES_MAX);
	if (!c->control)
		return sr_error_set(e, -EINVAL, "%s: no control loop", c->name);
	return 0;
}

static void forget(struct sr_scsi *s)
{
	atomic_store(&s->features, 0);
	atomic_store(&s->cdb_size, VSCSI_CDB_DEFAULT);
	atomic_store(&s->sense_size, VSCSI_SENSE_DEFAULT);
	vscsi_event_forget(s);
}

static void scsi_free(struct sr_scsi *s)
{
	for (unsigned i = 0; i < s->nqueues; i++)
		vscsi_box_finish(&s->queues[i].box);
	vscsi_box_finish(&s->box);
	vscsi_event_finish(s);
	free(s->initiator);
	free(s->name);
	free(s);
}

static int scsi_init(struct sr_scsi *s, const struct sr_scsi_config *c, struct sr_error *e)
{
	s->device.ops = &vscsi_ops;
	s->control = c->control;
	s->offer = (SR_F_RING | SR_SCSI_F_INOUT | SR_SCSI_F_HOTPLUG | SR_SCSI_F_CHANGE |
		    SR_SCSI_F_T10_PI) &
		   ~c->features_off;
	s->tmf_wait_ns = (c->tmf_wait_ms ? c->tmf_wait_ms : TMF_WAIT_MS) * 1000000ull;
	vscsi_box_init(&s->box);
	vscsi_event_init(s);
	for (unsigned i = 0; i < s->nqueues; i++)
		vscsi_queue_init(&s->queues[i], s, i);
	forget(s);
	s->name = strdup(c->name);
	if (!s->name || asprintf(&s->initiator, "slipring:%s", c->name) < 0) {
		s->initiator = NULL;
		return sr_error_set(e, -ENOMEM, "%s: out of memory", c->name);
	}
	s->device.name = s->name;
	return vscsi_box_open(&s->box, c->control, e);
}

struct sr_scsi *sr_scsi_create(const struct sr_scsi_config *c, struct sr_error *e)
{
	unsigned n = VSCSI_REQUEST + (c->queues ? c->queues : 1u);
	struct sr_scsi *s;

	if (config_check(c, e))
		return NULL;
	s = calloc(1, sizeof(*s) + n * sizeof(s->queues[0]));
	if (!s) {
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->name);
		return NULL;
	}
	s->nqueues = n;
	if (scsi_init(s, c, e)) {
		scsi_free(s);
		return NULL;
	}
	return s;
}

/* Removals that were under way complete by the messages that wait. */
void sr_scsi_destroy(struct sr_scsi *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->nqueues; i++)
		assert(!s->queues[i].vq);
	vscsi_box_close(&s->box);
	vscsi_luns_finish(s);
	assert(!atomic_load(&s->tmfs));
	scsi_free(s);
}

struct sr_device *sr_scsi_device(struct sr_scsi *s)
{
	return &s->device;
}

const struct sr_scsi_counters *sr_scsi_counters(const struct sr_scsi *s)
{
	return &s->counters;
}

unsigned sr_scsi_in_flight(const struct sr_scsi *s)
{
	unsigned n = 0;

	for (unsigned i = VSCSI_REQUEST; i < s->nqueues; i++)
		n += vscsi_in_flight(&s->queues[i]);
	return n;
}

/* The device's ops. */

static uint64_t vscsi_features(struct sr_device *d)
{
	return vscsi_of(d)->offer;
}

static void vscsi_features_set(struct sr_device *d, uint64_t accepted)
{
	atomic_store(&vscsi_of(d)->features, accepted);
}

static unsigned vscsi_queue_count(struct sr_device *d)
{
	return vscsi_of(d)->nqueues;
}

static uint16_t vscsi_chain_max(struct sr_device *d, unsigned queue)
{
	(void)d;
	return queue < VSCSI_REQUEST ? 64 : CHAIN_MAX;
}

static struct space space_of(struct sr_scsi *s)
{
	uint64_t f = atomic_load(&s->features);

	return (struct space){
		.num_queues = vscsi_u32(f, s->nqueues - VSCSI_REQUEST),
		.seg_max = vscsi_u32(f, VSCSI_SEG_MAX),
		.max_sectors = vscsi_u32(f, 0xffff),
		.cmd_per_lun = vscsi_u32(f, VSCSI_COMMANDS_MAX),
		.event_info_size = vscsi_u32(f, VSCSI_EVENT_SIZE),
		.sense_size = vscsi_u32(f, atomic_load(&s->sense_size)),
		.cdb_size = vscsi_u32(f, atomic_load(&s->cdb_size)),
		.max_target = (uint16_t)vscsi_u32(f, SR_SCSI_TARGETS_MAX - 1),
		.max_lun = vscsi_u32(f, SR_SCSI_LUN_MAX),
	};
}

static void vscsi_config_read(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	struct space space = space_of(vscsi_of(d));

	assert(sr_range_fits(offset, len, sizeof(space)));
	memcpy(buf, (const char *)&space + offset, len);
}

/* Two fields are the driver's (5.6.4.1); the others may be written back as they are, by those
 * who write the space whole. */
static int vscsi_config_write(struct sr_device *d, uint32_t offset, const void *buf, uint32_t len)
{
	struct sr_scsi *s = vscsi_of(d);
	uint64_t f = atomic_load(&s->features);
	struct space now = space_of(s), then = now;
	uint32_t sense, cdb;

	assert(sr_range_fits(offset, len, sizeof(then)));
	memcpy((char *)&then + offset, buf, len);
	sense = vscsi_u32(f, then.sense_size);
	cdb = vscsi_u32(f, then.cdb_size);
	if (sense > VSCSI_SENSE_MAX || !cdb || cdb > VSCSI_CDB_MAX)
		return -EINVAL;
	then.sense_size = now.sense_size;
	then.cdb_size = now.cdb_size;
	if (memcmp(&now, &then, sizeof(now)) != 0)
		return -EINVAL;
	atomic_store(&s->sense_size, sense);
	atomic_store(&s->cdb_size, cdb);
	return 0;
}

/* What a guest reserved and was to be told goes with it. */
static void vscsi_reset(struct sr_device *d)
{
	struct sr_scsi *s = vscsi_of(d);

	vscsi_nexus_loss(s, NULL);
	forget(s);
}

static const struct sr_device_ops vscsi_ops = {
	.name = "scsi",
	.virtio_id = SR_VIRTIO_ID_SCSI,
	.config_size = sizeof(struct space),
	.queues_max = VSCSI_REQUEST + SR_SCSI_QUEUES_MAX,
	.features = vscsi_features,
	.features_set = vscsi_features_set,
	.queue_count = vscsi_queue_count,
	.config_read = vscsi_config_read,
	.config_write = vscsi_config_write,
	.chain_max = vscsi_chain_max,
	.queue_start = vscsi_queue_start,
	.queue_stop = vscsi_queue_stop,
	.queue_drain = vscsi_queue_drain,
	.queue_abandon = vscsi_queue_abandon,
	.queue_enable = vscsi_queue_enable,
	.process = vscsi_process,
	.arm = vscsi_arm,
	.reset = vscsi_reset,
};
