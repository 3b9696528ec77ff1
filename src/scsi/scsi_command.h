/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the SCSI room and whoever carries commands to it (device/scsi): one command, its
 * buffers and its outcome; a lane, which is one unit used on one loop; and what a unit and
 * a target answer without a medium.
 */
#ifndef SR_SCSI_COMMAND_H
#define SR_SCSI_COMMAND_H

#include <slipring/disk.h>
#include <slipring/scsi_unit.h>

#define SR_SCSI_CDB_MAX	  32u
#define SR_SCSI_SENSE_MAX 96u

enum sr_scsi_status { /* SAM-6, 5.3.1 */
	SR_SCSI_GOOD = 0x00,
	SR_SCSI_CHECK_CONDITION = 0x02,
	SR_SCSI_CONDITION_MET = 0x04,
	SR_SCSI_BUSY = 0x08,
	SR_SCSI_RESERVATION_CONFLICT = 0x18,
	SR_SCSI_TASK_SET_FULL = 0x28,
	SR_SCSI_ACA_ACTIVE = 0x30,
	SR_SCSI_TASK_ABORTED = 0x40
};

/* An initiator at a target port: whose registrations, attentions and tasks these are. One for
 * each target of a device that a guest sees. */
struct sr_scsi_nexus;

struct sr_scsi_cmd {
	/* The carrier's. Buffers stay until completion. Protection information, where the transport
	 * brings it (T10 PI), is apart from the data: 8 bytes for each block. */
	uint8_t cdb[SR_SCSI_CDB_MAX];
	uint8_t cdb_len;	/* bytes given; the rest is zero */
	uint8_t task_attribute; /* SAM-6: 0 simple, 1 ordered, 2 head of queue, 3 ACA */
	uint64_t tag;
	struct sr_scsi_nexus *nexus;
	const struct iovec *out, *in; /* data for us, room for our data */
	uint32_t nout, nin, out_len, in_len;
	const struct iovec *pi_out, *pi_in;
	uint32_t npi_out, npi_in, pi_out_len, pi_in_len;
	/* The outcome. */
	uint8_t status;
	uint8_t sense_len;
	uint8_t sense[SR_SCSI_SENSE_MAX];
	uint32_t transferred; /* bytes of in that were written, or of out that were used */
	uint32_t residual;    /* what the command wanted less than the buffers hold */
	bool aborted;	      /* ended by sr_scsi_abort: no status */
	/* The CDB asks for more than the buffers hold. What the unit tells is cut (GOOD); a read, a
	 * write or a parameter list is not begun (CHECK CONDITION, INVALID FIELD IN CDB). */
	bool overrun;
	/* The room's. */
	struct sr_scsi_cmd *next, *prev, *waiting;
	struct sr_scsi_lane *lane;
	struct sr_disk_req req;
	void *work; /* of a command of several steps (COMPARE AND WRITE, UNMAP, ...) */
	size_t work_bytes;
	void (*step)(struct sr_scsi_cmd *c); /* what comes after `req`; NULL = the end */
	struct sr_scsi_gate *gate;	     /* what it keeps others out of, or waits for */
	uint64_t seq;			     /* its place among the commands of its lane */
	uint64_t offset, bytes;		     /* what it touches of the medium */
	uint8_t state, stop, protect;
	bool admitted; /* among those that others wait for who want that range for themselves */
};

/* A command may be used again as soon as it was completed. Commands that another initiator's
 * PREEMPT AND ABORT ends have the status TASK ABORTED. */
typedef void sr_scsi_complete_fn(void *ctx, struct sr_scsi_cmd *const *c, unsigned n);

/* One unit on one loop, with a channel to its disk. As channels: completions come by batches
 * from sr_scsi_poll or from the channel's poller, never from inside sr_scsi_submit. */
struct sr_scsi_lane;
struct sr_scsi_lane *sr_scsi_lane_create(struct sr_scsi_unit *u, struct sr_loop *loop,
					 sr_scsi_complete_fn *complete, void *ctx,
					 struct sr_error *e);
void sr_scsi_lane_destroy(struct sr_scsi_lane *l); /* nothing under way; NULL is allowed */
void sr_scsi_submit(struct sr_scsi_lane *l, struct sr_scsi_cmd *const *c, unsigned n);
unsigned sr_scsi_poll(struct sr_scsi_lane *l);
/* True: its buffers are not touched any more and the next poll completes it, `aborted`, unless
 * it was done already. False: it takes the time it takes. */
bool sr_scsi_abort(struct sr_scsi_lane *l, struct sr_scsi_cmd *c);

/* From the control loop. `name` is a world-wide unique text for the initiator (TransportID of
 * PERSISTENT RESERVE IN); `port` is the relative target port. Kept registrations survive it. */
struct sr_scsi_nexus *sr_scsi_nexus_create(const char *name, uint16_t port, struct sr_error *e);
void sr_scsi_nexus_destroy(struct sr_scsi_nexus *n);
/* The unit sees a nexus from attach on (POWER ON unit attention) and forgets it, its RESERVE(6)
 * and its attentions, at detach. */
int sr_scsi_unit_attach(struct sr_scsi_unit *u, struct sr_scsi_nexus *n, struct sr_error *e);
void sr_scsi_unit_detach(struct sr_scsi_unit *u, struct sr_scsi_nexus *n);

/* Logical unit reset (LUN RESET and, for each unit, target reset): reservations of RESERVE(6), mode
 * pages and prevent bits as at power on, a unit attention for every nexus; the tasks
 * are the carrier's to abort. Any thread. */
void sr_scsi_unit_reset(struct sr_scsi_unit *u);
/* A unit attention for every nexus but `but` (NULL = for all): asc << 8 | ascq. Any thread. */
void sr_scsi_unit_attention(struct sr_scsi_unit *u, const struct sr_scsi_nexus *but, uint16_t asc);
/* A carrier hears of capacity changes and of what else deserves an event; asc << 8 | ascq, on
 * the control loop. */
struct sr_scsi_listener {
	void (*changed)(void *ctx, struct sr_scsi_unit *u, uint16_t asc);
	void *ctx;
	struct sr_scsi_listener *next;
};
void sr_scsi_unit_listen(struct sr_scsi_unit *u, struct sr_scsi_listener *l);
void sr_scsi_unit_unlisten(struct sr_scsi_unit *u, struct sr_scsi_listener *l);

/* For a command to a LUN that has no unit: INQUIRY, REQUEST SENSE and REPORT LUNS are answered,
 * everything else ends with LOGICAL UNIT NOT SUPPORTED. `luns` are those of the target, in the
 * eight-byte form of SAM, in order; every unit's REPORT LUNS is to be answered by this as
 * well. Completes at once: fills the outcome of `c`. */
void sr_scsi_target_command(struct sr_scsi_cmd *c, const uint64_t *luns, unsigned n);

/* Fills sense data of the fixed format and the status of `c`. */
void sr_scsi_check_condition(struct sr_scsi_cmd *c, uint8_t key, uint16_t asc);

#endif
