/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio SCSI host device (virtio 1.3, section 5.6): control queue 0, event queue 1, request
 * queues from 2 on; up to 256 targets with up to 16384 logical units each.
 */
#ifndef SLIPRING_SCSI_H
#define SLIPRING_SCSI_H

#include <slipring/device.h>
#include <slipring/scsi_unit.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SR_SCSI_QUEUES_MAX  128u /* request queues */
#define SR_SCSI_TARGETS_MAX 256u
#define SR_SCSI_LUN_MAX	    16383u

struct sr_scsi;

struct sr_scsi_config {
	const char *name;	 /* copied */
	uint16_t queues;	 /* request queues; 0 = 1 */
	uint64_t features_off;	 /* virtio features not to offer */
	struct sr_loop *control; /* the control loop; must outlive the device */
	/* How long a task management function waits for commands that cannot be ended before it
	 * is rejected; 0 = 10000. */
	uint32_t tmf_wait_ms;
};

/* All but the two last on the control loop. */
struct sr_scsi *sr_scsi_create(const struct sr_scsi_config *c, struct sr_error *e);
/* The session must have ended. Units are taken off, removals that are not complete are completed.
 * NULL is allowed. */
void sr_scsi_destroy(struct sr_scsi *s);
struct sr_device *sr_scsi_device(struct sr_scsi *s);

/* While a guest runs too: it is told by an event (HOTPLUG). The unit must stay until it was taken
 * off; it can be at one place of a target only. -EEXIST, -EINVAL (numbers), -ENOMEM, and what
 * the unit says. */
int sr_scsi_attach(struct sr_scsi *s, unsigned target, unsigned lun, struct sr_scsi_unit *u,
		   struct sr_error *e);
/* New commands find no unit from now on and the guest is told. Commands under way are ended early
 * where the medium lets them (TRANSPORT_FAILURE); when the last one has ended, `done` (or NULL) is
 * called on the control loop, perhaps before this returns, and the unit is free. 0 or -ENOENT. */
int sr_scsi_detach(struct sr_scsi *s, unsigned target, unsigned lun, void (*done)(void *ctx),
		   void *ctx, struct sr_error *e);

struct sr_scsi_counters {
	_Atomic uint64_t commands, read_bytes, written_bytes;
	_Atomic uint64_t check_conditions; /* commands that ended with sense data */
	_Atomic uint64_t aborted, task_management, events, events_missed;
	_Atomic uint64_t malformed;
};
const struct sr_scsi_counters *sr_scsi_counters(const struct sr_scsi *s);
unsigned sr_scsi_in_flight(const struct sr_scsi *s); /* commands, from any thread */

#ifdef __cplusplus
}
#endif
#endif
