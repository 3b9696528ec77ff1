/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio-blk device as `slipring bench` sees it. */
#include "base.h"
#include "bench_disk.h"

#include <errno.h>
#include <stdio.h>

/* A SCSI host's few features mean something for a disk as well; its configuration space begins
 * with other things. */
static int not_scsi(uint64_t offer, const uint8_t *config, struct sr_error *e)
{
	static const uint8_t sizes[8] = { SR_SCSI_DRIVER_SENSE, 0, 0, 0, SR_SCSI_DRIVER_CDB };

	if (offer & 0xfffff0 || memcmp(config + 20, sizes, sizeof(sizes)) != 0)
		return 0;
	return sr_error_set(e, -ENODEV,
			    "the device looks like a SCSI host: try slipring bench scsi");
}

static int blk_configure(struct disk_client *c, const uint8_t *config, struct sr_error *e)
{
	struct disk_info *i = &c->info;
	struct sr_blk_driver_info *d = &i->driver.blk;
	int rc = not_scsi(sr_frontend_offer(c->frontend), config, e);

	rc = rc ? rc : sr_blk_driver_probe(config, sr_frontend_features(c->frontend), d, e);

	if (rc)
		return rc;
	i->capacity = d->capacity;
	i->block_size = d->block_size;
	i->queues = d->queues;
	i->seg_max = d->seg_max;
	i->bytes_max = (uint32_t)sr_min((uint64_t)d->seg_max * d->size_max, UINT32_MAX);
	i->read_only = d->read_only;
	i->can_flush = d->can_flush;
	return 0;
}

static unsigned blk_pieces(const struct disk_client *c)
{
	return sr_blk_driver_pieces(&c->info.driver.blk, c->options->bs);
}

static void blk_slot_init(const struct disk_client *c, struct disk_queue *q, unsigned slot,
			  void *meta, uint64_t meta_gpa, uint64_t data_gpa)
{
	struct sr_sg *sg = q->sg + (size_t)slot * SR_BLK_DRIVER_SG(blk_pieces(c));

	sr_blk_driver_req_init(&q->slots[slot].req.blk, &c->info.driver.blk, sg, meta, meta_gpa,
			       data_gpa, c->options->bs);
}

static int blk_add(struct disk_queue *q, struct disk_slot *s, enum disk_op op, uint64_t offset)
{
	static const enum sr_blk_driver_type types[] = { [DISK_READ] = SR_BLK_DRIVER_IN,
							 [DISK_WRITE] = SR_BLK_DRIVER_OUT,
							 [DISK_FLUSH] = SR_BLK_DRIVER_FLUSH };

	return sr_blk_driver_add(q->vq, &s->req.blk, types[op], op == DISK_FLUSH ? 0 : offset, s);
}

static bool blk_result(const struct disk_slot *s, uint64_t *code)
{
	*code = sr_blk_driver_status(&s->req.blk);
	return *code == 0;
}

static void blk_error_name(uint64_t code, char *to, size_t room)
{
	snprintf(to, room, "%s", sr_blk_driver_status_name((uint8_t)code));
}

static const char *const blk_names[24] = {
	[1] = "SIZE_MAX",      [2] = "SEG_MAX",	 [4] = "GEOMETRY",	[5] = "RO",
	[6] = "BLK_SIZE",      [9] = "FLUSH",	 [10] = "TOPOLOGY",	[11] = "CONFIG_WCE",
	[12] = "MQ",	       [13] = "DISCARD", [14] = "WRITE_ZEROES", [15] = "LIFETIME",
	[16] = "SECURE_ERASE", [17] = "ZONED",
};

const struct disk_kind disk_blk = {
	.name = "blk",
	.peer = "a disk",
	.features = SR_BLK_DRIVER_FEATURES,
	/* Bits 7 and 0 are SCSI and BARRIER of old. */
	.known = 0x3fef7,
	.feature_names = blk_names,
	.config_bytes = SR_BLK_DRIVER_CONFIG,
	.meta_bytes = sizeof(struct sr_blk_driver_meta),
	.configure = blk_configure,
	.pieces = blk_pieces,
	.slot_init = blk_slot_init,
	.add = blk_add,
	.result = blk_result,
	.error_name = blk_error_name,
};
