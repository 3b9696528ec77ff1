/* SPDX-License-Identifier: BSD-3-Clause */
/* A logical unit of a virtio-scsi host as `slipring bench` sees it. */
#include "base.h"
#include "bench_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/virtio.h>
#include <stdio.h>

#define TRIES	 8u /* unit attentions before the first command that counts */
#define ROOM	 96u
#define KEY_UA	 6u
#define CODE_ASC 0xffffu

static int scsi_configure(struct disk_client *c, const uint8_t *config, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	struct disk_info *i = &c->info;
	struct sr_scsi_driver_info *d = &i->driver.scsi;
	int rc = sr_scsi_driver_probe(config, d, e);

	if (rc)
		return rc;
	if (o->target > d->target_max)
		return sr_error_set(e, -EINVAL, "--target: got '%u', the host has 0 to %u",
				    o->target, d->target_max);
	if (o->lun > d->lun_max)
		return sr_error_set(e, -EINVAL, "--lun: got '%u', the host has 0 to %" PRIu32,
				    o->lun, d->lun_max);
	i->queues = d->queues;
	i->seg_max = d->seg_max;
	i->bytes_max = d->bytes_max;
	return 0;
}

static unsigned scsi_pieces(const struct disk_client *c)
{
	(void)c;
	return 1;
}

static void scsi_slot_init(const struct disk_client *c, struct disk_queue *q, unsigned slot,
			   void *meta, uint64_t meta_gpa, uint64_t data_gpa)
{
	sr_scsi_driver_req_init(&q->slots[slot].req.scsi, meta, meta_gpa, data_gpa, c->options->bs,
				c->options->target, c->options->lun);
}

static uint64_t pack(const struct sr_scsi_driver_result *r)
{
	return (uint64_t)r->response << 32 | (uint64_t)r->status << 24 | (uint64_t)r->key << 16 |
	       r->asc;
}

static struct sr_scsi_driver_result unpack(uint64_t code)
{
	return (struct sr_scsi_driver_result){ .response = (uint8_t)(code >> 32),
					       .status = (uint8_t)(code >> 24),
					       .key = (uint8_t)(code >> 16),
					       .asc = (uint16_t)(code & CODE_ASC) };
}

static bool scsi_result(const struct disk_slot *s, uint64_t *code)
{
	struct sr_scsi_driver_result r;
	bool good = sr_scsi_driver_result(&s->req.scsi, &r);

	*code = good ? 0 : pack(&r);
	return good;
}

static void scsi_error_name(uint64_t code, char *to, size_t room)
{
	struct sr_scsi_driver_result r = unpack(code);

	sr_scsi_driver_result_name(&r, to, room);
}

/* The blocks of the command are the unit's; until they are known no offset was asked for. */
static int scsi_add(struct disk_queue *q, struct disk_slot *s, enum disk_op op, uint64_t offset)
{
	static const enum sr_scsi_driver_data directions[] = {
		[DISK_READ] = SR_SCSI_DRIVER_READS,
		[DISK_WRITE] = SR_SCSI_DRIVER_WRITES,
		[DISK_FLUSH] = SR_SCSI_DRIVER_NONE,
	};
	uint8_t *cdb = s->req.scsi.meta->cdb;

	if (op == DISK_FLUSH)
		sr_scsi_driver_synchronize(cdb);
	else
		sr_scsi_driver_io(cdb, op == DISK_WRITE, offset / q->block_size,
				  q->options->bs / q->block_size);
	return sr_scsi_driver_add(q->vq, &s->req.scsi, directions[op],
				  (uint64_t)(s - q->slots) << 16 | q->index, s);
}

/* One command that reads, its CDB given. 0 or an error; -EREMOTEIO: the unit said no. */
static int command(struct disk_client *c, const char *name, enum sr_scsi_driver_data direction,
		   const uint8_t *cdb, uint8_t *answer, struct sr_error *e)
{
	struct disk_queue *q = &c->queues[0];
	struct disk_slot *s = &q->slots[0];
	struct sr_scsi_driver_result r;
	char why[80];

	for (unsigned try = 0; try < TRIES; try++) {
		int rc;

		memset(disk_slot_data(q, s), 0, ROOM);
		memcpy(s->req.scsi.meta->cdb, cdb, SR_SCSI_DRIVER_CDB);
		rc = sr_scsi_driver_add(q->vq, &s->req.scsi, direction, 1, s);
		rc = rc ? rc : disk_queue_await(c, q, e);
		if (rc)
			return rc;
		if (sr_scsi_driver_result(&s->req.scsi, &r)) {
			memcpy(answer, disk_slot_data(q, s), ROOM);
			return 0;
		}
		if (r.response || r.key != KEY_UA)
			break;
	}
	sr_scsi_driver_result_name(&r, why, sizeof(why));
	return sr_error_set(e, -EREMOTEIO, "%s: target %u, LUN %u: %s: %s", c->options->socket,
			    c->options->target, c->options->lun, name, why);
}

static int inquire(struct disk_client *c, struct sr_error *e)
{
	uint8_t cdb[SR_SCSI_DRIVER_CDB], a[ROOM] = { 0 };
	char *m = c->info.model;
	int rc;

	sr_scsi_driver_inquiry(cdb, ROOM);
	rc = command(c, "INQUIRY", SR_SCSI_DRIVER_READS, cdb, a, e);
	if (rc)
		return rc;
	/* Peripheral qualifier and device type. */
	if (a[0] != 0 && a[0] != 0x14)
		return sr_error_set(e, -ENODEV, "%s: target %u, LUN %u: %s 0x%02x, expected a disk",
				    c->options->socket, c->options->target, c->options->lun,
				    a[0] >> 5 ? "no unit there, peripheral" : "device type", a[0]);
	snprintf(m, sizeof(c->info.model), "%.8s %.16s %.4s", (const char *)a + 8,
		 (const char *)a + 16, (const char *)a + 32);
	for (; *m; m++)
		if (*m < ' ' || *m > '~')
			*m = '?';
	return 0;
}

/* READ CAPACITY (16), and (10) for a unit that has only that. */
static int read_capacity(struct disk_client *c, struct sr_error *e)
{
	uint8_t cdb[SR_SCSI_DRIVER_CDB], a[ROOM] = { 0 };
	uint64_t last;
	uint32_t size;
	int rc;

	sr_scsi_driver_read_capacity16(cdb, 32);
	rc = command(c, "READ CAPACITY (16)", SR_SCSI_DRIVER_READS, cdb, a, e);
	if (!rc) {
		last = (uint64_t)sr_get_be32(a) << 32 | sr_get_be32(a + 4);
		size = sr_get_be32(a + 8);
	} else {
		sr_scsi_driver_read_capacity10(cdb);
		if (rc != -EREMOTEIO ||
		    command(c, "READ CAPACITY (10)", SR_SCSI_DRIVER_READS, cdb, a, e))
			return rc;
		last = sr_get_be32(a);
		size = sr_get_be32(a + 4);
	}
	if (size < 512 || size > 65536 || size & (size - 1) || last >= UINT64_MAX / size)
		return sr_error_set(e, -EPROTO,
				    "%s: READ CAPACITY: last block %" PRIu64 ", block size %" PRIu32
				    ", expected a size that is a power of two from 512 to 65536",
				    c->options->socket, last, size);
	c->info.block_size = size;
	c->info.capacity = (last + 1) * size;
	return 0;
}

static int scsi_probe(struct disk_client *c, struct sr_error *e)
{
	uint8_t cdb[SR_SCSI_DRIVER_CDB], a[ROOM] = { 0 };
	int rc;

	if ((rc = inquire(c, e)))
		return rc;
	sr_scsi_driver_test_unit_ready(cdb);
	if ((rc = command(c, "TEST UNIT READY", SR_SCSI_DRIVER_NONE, cdb, a, e)) ||
	    (rc = read_capacity(c, e)))
		return rc;
	sr_scsi_driver_mode_sense(cdb, ROOM);
	rc = command(c, "MODE SENSE (6)", SR_SCSI_DRIVER_READS, cdb, a, e);
	/* Who has no mode pages may still be a disk. */
	if (rc && rc != -EREMOTEIO)
		return rc;
	c->info.read_only = !rc && a[2] & 0x80;
	c->info.can_flush = true;
	for (unsigned i = 0; i < c->options->queues; i++)
		c->queues[i].block_size = c->info.block_size;
	return 0;
}

static const char *const scsi_names[24] = {
	[0] = "INOUT",
	[1] = "HOTPLUG",
	[2] = "CHANGE",
	[3] = "T10_PI",
};

const struct disk_kind disk_scsi = {
	.name = "scsi",
	.peer = "a SCSI host",
	.known = SR_SCSI_F_INOUT | SR_SCSI_F_HOTPLUG | SR_SCSI_F_CHANGE | SR_SCSI_F_T10_PI,
	.feature_names = scsi_names,
	.first_queue = SR_SCSI_DRIVER_FIRST,
	.config_bytes = SR_SCSI_DRIVER_CONFIG,
	.meta_bytes = sizeof(struct sr_scsi_driver_meta),
	.configure = scsi_configure,
	.pieces = scsi_pieces,
	.slot_init = scsi_slot_init,
	.probe = scsi_probe,
	.add = scsi_add,
	.result = scsi_result,
	.error_name = scsi_error_name,
};
