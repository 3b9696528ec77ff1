/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: as in driver/blk. A command is laid out once; its header is one cache
 * line, its response two more. Sending it again is writing a CDB and a tag. Which way the data
 * goes decides where the one array of pieces is cut: header and data out, response and data in.
 */
#include "scsi_driver.h"

#include "base.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define HEADER	  51u
#define RESPONSE  108u
#define ANSWER_AT offsetof(struct sr_scsi_driver_meta, sense_len)

_Static_assert(ANSWER_AT == SR_CACHE_LINE, "two sides, two lines");
_Static_assert(sizeof(struct sr_scsi_driver_meta) == 3 * SR_CACHE_LINE, "whole lines");
_Static_assert(offsetof(struct sr_scsi_driver_meta, unused) == HEADER, "virtio 1.3, 5.6.6.1");
_Static_assert(offsetof(struct sr_scsi_driver_meta, unused_too) - ANSWER_AT == RESPONSE,
	       "virtio 1.3, 5.6.6.1");

/* Where fields stand in the configuration space, section 5.6.4. */
enum {
	AT_NUM_QUEUES = 0,
	AT_SEG_MAX = 4,
	AT_MAX_SECTORS = 8,
	AT_SENSE_SIZE = 20,
	AT_CDB_SIZE = 24,
	AT_MAX_TARGET = 30,
	AT_MAX_LUN = 32
};

static uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* The sizes of CDB and sense data are defaults until a driver writes others; a device of
 * another kind hardly has these two numbers at these places. */
static int check_sizes(const uint8_t *config, struct sr_error *e)
{
	if (get_le32(config + AT_SENSE_SIZE) != SR_SCSI_DRIVER_SENSE)
		return sr_error_set(e, -EPROTO,
				    "configuration: sense_size %" PRIu32 ", expected %u",
				    get_le32(config + AT_SENSE_SIZE), SR_SCSI_DRIVER_SENSE);
	if (get_le32(config + AT_CDB_SIZE) != SR_SCSI_DRIVER_CDB)
		return sr_error_set(e, -EPROTO, "configuration: cdb_size %" PRIu32 ", expected %u",
				    get_le32(config + AT_CDB_SIZE), SR_SCSI_DRIVER_CDB);
	return 0;
}

int sr_scsi_driver_probe(const uint8_t config[SR_SCSI_DRIVER_CONFIG], struct sr_scsi_driver_info *i,
			 struct sr_error *e)
{
	uint32_t max_sectors = get_le32(config + AT_MAX_SECTORS);
	int rc = check_sizes(config, e);

	if (rc)
		return rc;
	*i = (struct sr_scsi_driver_info){
		.queues = get_le32(config + AT_NUM_QUEUES),
		.seg_max = get_le32(config + AT_SEG_MAX),
		.bytes_max = (uint32_t)sr_min((uint64_t)max_sectors * 512, UINT32_MAX),
		.target_max = config[AT_MAX_TARGET] | (unsigned)config[AT_MAX_TARGET + 1] << 8,
		.lun_max = get_le32(config + AT_MAX_LUN),
	};
	if (!i->queues || !i->seg_max || !i->bytes_max)
		return sr_error_set(e, -EPROTO, "configuration: %s 0, expected at least 1",
				    !i->queues	  ? "num_queues"
				    : !i->seg_max ? "seg_max"
						  : "max_sectors");
	return 0;
}

void sr_scsi_driver_req_init(struct sr_scsi_driver_req *r, struct sr_scsi_driver_meta *meta,
			     uint64_t meta_gpa, uint64_t data_gpa, uint32_t len, unsigned target,
			     unsigned lun)
{
	r->meta = meta;
	memset(meta, 0, sizeof(*meta));
	/* Section 5.6.6.1: 1, the target, then the unit as SAM's flat space has it. */
	meta->lun[0] = 1;
	meta->lun[1] = (uint8_t)target;
	sr_put_be16(meta->lun + 2, (uint16_t)(0x4000 | lun));
	r->sg[0] = (struct sr_sg){ meta_gpa, HEADER };
	r->sg[1] = (struct sr_sg){ data_gpa, len };
	r->sg[2] = (struct sr_sg){ meta_gpa + ANSWER_AT, RESPONSE };
	r->sg[3] = (struct sr_sg){ data_gpa, len };
}

int sr_scsi_driver_add(struct sr_drvq *q, struct sr_scsi_driver_req *r,
		       enum sr_scsi_driver_data direction, uint64_t tag, void *token)
{
	unsigned nout = direction == SR_SCSI_DRIVER_WRITES ? 2 : 1;
	unsigned nin = direction == SR_SCSI_DRIVER_READS ? 2 : 1;

	memcpy(r->meta->tag, &tag, sizeof(tag));
	r->meta->response = SR_SCSI_DRIVER_UNWRITTEN;
	return sr_drvq_add(q, r->sg, nout, r->sg + 2, nin, token);
}

/* Section 4.5 of SPC-5: fixed format 70h, 71h, descriptor format 72h, 73h. */
static void read_sense(const uint8_t *sense, uint32_t len, struct sr_scsi_driver_result *result)
{
	if (len >= 14 && (sense[0] & 0x7e) == 0x70) {
		result->key = sense[2] & 0xf;
		result->asc = sr_get_be16(sense + 12);
	} else if (len >= 4 && (sense[0] & 0x7e) == 0x72) {
		result->key = sense[1] & 0xf;
		result->asc = sr_get_be16(sense + 2);
	}
}

bool sr_scsi_driver_result(const struct sr_scsi_driver_req *r, struct sr_scsi_driver_result *result)
{
	const struct sr_scsi_driver_meta *m = r->meta;
	uint8_t sense[SR_SCSI_DRIVER_SENSE];

	*result = (struct sr_scsi_driver_result){
		.response = __atomic_load_n(&m->response, __ATOMIC_RELAXED),
		.status = __atomic_load_n(&m->status, __ATOMIC_RELAXED),
	};
	if (SR_LIKELY(!result->response && !result->status))
		return true;
	if (result->response) {
		result->status = 0;
	} else if (result->status == 0x02) {
		memcpy(sense, m->sense, sizeof(sense));
		read_sense(sense, (uint32_t)sr_min(get_le32(m->sense_len), sizeof(sense)), result);
	}
	return false;
}

static const char *response_name(uint8_t response)
{
	static const char *const names[] = {
		"OK",	"OVERRUN",	     "ABORTED",	       "BAD TARGET",	"RESET",
		"BUSY", "TRANSPORT FAILURE", "TARGET FAILURE", "NEXUS FAILURE", "FAILURE",
	};

	if (response == SR_SCSI_DRIVER_UNWRITTEN)
		return "response not written";
	return response < SR_ARRAY_LEN(names) ? names[response] : "unknown response";
}

static const char *status_name(uint8_t status)
{
	switch (status) {
	case 0x02:
		return "CHECK CONDITION";
	case 0x08:
		return "BUSY";
	case 0x18:
		return "RESERVATION CONFLICT";
	case 0x28:
		return "TASK SET FULL";
	case 0x30:
		return "ACA ACTIVE";
	case 0x40:
		return "TASK ABORTED";
	default:
		return "unknown status";
	}
}

void sr_scsi_driver_result_name(const struct sr_scsi_driver_result *result, char *to, size_t room)
{
	static const char *const keys[] = {
		"NO SENSE",	  "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
		"HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
		"BLANK CHECK",	  "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
		"RESERVED",	  "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
	};

	if (result->response)
		snprintf(to, room, "%s", response_name(result->response));
	else if (result->status == 0x02)
		snprintf(to, room, "CHECK CONDITION, %s, %02x/%02x", keys[result->key & 0xf],
			 result->asc >> 8, result->asc & 0xffu);
	else
		snprintf(to, room, "%s", status_name(result->status));
}

static void put_be64(uint8_t *to, uint64_t v)
{
	sr_put_be32(to, (uint32_t)(v >> 32));
	sr_put_be32(to + 4, (uint32_t)v);
}

static void begin(uint8_t *cdb, uint8_t operation)
{
	memset(cdb, 0, SR_SCSI_DRIVER_CDB);
	cdb[0] = operation;
}

void sr_scsi_driver_inquiry(uint8_t *cdb, uint16_t room)
{
	begin(cdb, 0x12);
	sr_put_be16(cdb + 3, room);
}

void sr_scsi_driver_test_unit_ready(uint8_t *cdb)
{
	begin(cdb, 0x00);
}

void sr_scsi_driver_read_capacity10(uint8_t *cdb)
{
	begin(cdb, 0x25);
}

void sr_scsi_driver_read_capacity16(uint8_t *cdb, uint32_t room)
{
	begin(cdb, 0x9e);
	cdb[1] = 0x10;
	sr_put_be32(cdb + 10, room);
}

void sr_scsi_driver_mode_sense(uint8_t *cdb, uint8_t room)
{
	begin(cdb, 0x1a);
	cdb[2] = 0x3f;
	cdb[4] = room;
}

void sr_scsi_driver_synchronize(uint8_t *cdb)
{
	begin(cdb, 0x35);
}

void sr_scsi_driver_io(uint8_t *cdb, bool write, uint64_t block, uint32_t blocks)
{
	if (block <= UINT32_MAX && blocks <= UINT16_MAX) {
		begin(cdb, write ? 0x2a : 0x28);
		sr_put_be32(cdb + 2, (uint32_t)block);
		sr_put_be16(cdb + 7, (uint16_t)blocks);
	} else {
		begin(cdb, write ? 0x8a : 0x88);
		put_be64(cdb + 2, block);
		sr_put_be32(cdb + 10, blocks);
	}
}
