/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SCSI logical unit (SPC-5, SBC-4): one disk behind SCSI commands, blind to how the commands
 * arrive. A unit may be attached to several targets and devices at once, so that guests share a
 * disk: mode pages, reservations and unit attentions live here.
 *
 * Created, changed and destroyed on the control loop.
 */
#ifndef SLIPRING_SCSI_UNIT_H
#define SLIPRING_SCSI_UNIT_H

#include <slipring/disk.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_scsi_unit;

struct sr_scsi_unit_config {
	struct sr_disk *disk; /* must outlive the unit */
	const char *serial;   /* VPD page 80 and, hashed, the NAA name of page 83; NULL = the
			       * disk's name */
	const char *vendor, *product, *revision; /* NULL = "SLIPRING", "DISK", the version */
	bool read_only;				 /* beside what the disk says */
	bool writethrough;			 /* mode page 08 says WCE = 0 at first */
	bool protection; /* offers T10 protection information of type 1: checked on writes, made on
			  * reads, not kept on the medium */
};

struct sr_scsi_unit *sr_scsi_unit_create(const struct sr_scsi_unit_config *c, struct sr_error *e);
/* Nothing may be attached or under way. NULL is allowed. */
void sr_scsi_unit_destroy(struct sr_scsi_unit *u);
struct sr_disk *sr_scsi_unit_disk(const struct sr_scsi_unit *u);

#ifdef __cplusplus
}
#endif
#endif
