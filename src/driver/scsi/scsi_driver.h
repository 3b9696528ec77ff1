/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's half of virtio-scsi (virtio 1.3, section 5.6, VERSION_1 only): what the
 * configuration space says, commands on a request queue, and the few commands of SBC that
 * using a disk takes. Memory, rings and doorbells are the caller's.
 */
#ifndef SR_SCSI_DRIVER_H
#define SR_SCSI_DRIVER_H

#include <slipring/drvq.h>

#define SR_SCSI_DRIVER_CONFIG	   36u /* bytes of the configuration space */
#define SR_SCSI_DRIVER_FIRST	   2u  /* queues before the request queues: control, event */
#define SR_SCSI_DRIVER_TARGETS_MAX 256u
#define SR_SCSI_DRIVER_LUNS_MAX	   16384u

struct sr_scsi_driver_info {
	unsigned queues;    /* request queues */
	uint32_t seg_max;   /* pieces of one request's data */
	uint32_t bytes_max; /* of one request's data */
	unsigned target_max;
	uint32_t lun_max;
};

/* Judges what was read. 0 or -EPROTO with the field in *e. */
int sr_scsi_driver_probe(const uint8_t config[SR_SCSI_DRIVER_CONFIG], struct sr_scsi_driver_info *i,
			 struct sr_error *e);

#define SR_SCSI_DRIVER_CDB   32u
#define SR_SCSI_DRIVER_SENSE 96u

/* What the device sees of a command beside its data; little endian, no gaps. */
struct sr_scsi_driver_meta {
	/* Section 5.6.6.1, read by the device ... */
	uint8_t lun[8];
	uint8_t tag[8];
	uint8_t task_attr, prio, crn;
	uint8_t cdb[SR_SCSI_DRIVER_CDB];
	uint8_t unused[13]; /* the rest of a cache line */
	/* ... and written by it. */
	uint8_t sense_len[4], residual[4];
	uint8_t status_qualifier[2];
	uint8_t status, response;
	uint8_t sense[SR_SCSI_DRIVER_SENSE];
	uint8_t unused_too[20];
};

enum sr_scsi_driver_data {
	SR_SCSI_DRIVER_NONE,
	SR_SCSI_DRIVER_READS,
	SR_SCSI_DRIVER_WRITES
};

/* One command, laid out once and sent often. */
struct sr_scsi_driver_req {
	struct sr_scsi_driver_meta *meta; /* shared */
	struct sr_sg sg[4];		  /* header, data, response, data */
};

/* `meta` and `len` bytes of data lie at these addresses of the guest; the memory stays the
 * caller's. */
void sr_scsi_driver_req_init(struct sr_scsi_driver_req *r, struct sr_scsi_driver_meta *meta,
			     uint64_t meta_gpa, uint64_t data_gpa, uint32_t len, unsigned target,
			     unsigned lun);

/* Adds meta->cdb with all of the data, or none. As sr_drvq_add. */
int sr_scsi_driver_add(struct sr_drvq *q, struct sr_scsi_driver_req *r,
		       enum sr_scsi_driver_data direction, uint64_t tag, void *token);

/* What became of a command that has returned. */
struct sr_scsi_driver_result {
	uint8_t response; /* virtio's, 0 = it got to the unit */
	uint8_t status;	  /* SAM's, 0 = GOOD */
	uint8_t key;	  /* with CHECK CONDITION */
	uint16_t asc;	  /* additional sense code << 8 | qualifier */
};
#define SR_SCSI_DRIVER_UNWRITTEN 0xffu /* response */

/* True: all is well; *result is zero then. */
bool sr_scsi_driver_result(const struct sr_scsi_driver_req *r,
			   struct sr_scsi_driver_result *result);
/* "CHECK CONDITION, MEDIUM ERROR, 11/00" */
void sr_scsi_driver_result_name(const struct sr_scsi_driver_result *result, char *to, size_t room);

/* Commands; each fills cdb, 32 bytes. Blocks are the unit's. */
void sr_scsi_driver_inquiry(uint8_t *cdb, uint16_t room);
void sr_scsi_driver_test_unit_ready(uint8_t *cdb);
void sr_scsi_driver_read_capacity10(uint8_t *cdb);
void sr_scsi_driver_read_capacity16(uint8_t *cdb, uint32_t room);
void sr_scsi_driver_mode_sense(uint8_t *cdb, uint8_t room); /* (6), all pages */
void sr_scsi_driver_synchronize(uint8_t *cdb);		    /* (10), the whole medium */
/* READ or WRITE, (10) where that reaches, else (16). */
void sr_scsi_driver_io(uint8_t *cdb, bool write, uint64_t block, uint32_t blocks);

#endif
