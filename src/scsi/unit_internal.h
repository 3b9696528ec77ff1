/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the room: the unit, its initiators, its lanes, and how a command goes and ends. */
#ifndef SR_UNIT_INTERNAL_H
#define SR_UNIT_INTERNAL_H

#include "base.h"
#include "iov.h"
#include "scsi_command.h"

#include <pthread.h>
#include <slipring/loop.h>
#include <stdatomic.h>

#define LU_ATTENTIONS	     8u	   /* that wait for one initiator; later ones are left out */
#define LU_INITIATORS	     1024u /* attached to one unit */
#define LU_REGISTRATIONS     256u  /* of persistent reservations */
#define LU_NAME_MAX	     223u  /* of an initiator, as iSCSI has it */

#define LU_CAW_BLOCKS	     64u	  /* of one COMPARE AND WRITE */
#define LU_UNMAP_DESCRIPTORS 256u	  /* of one UNMAP */
#define LU_UNMAP_BYTES	     (8ull << 30) /* of one UNMAP */
#define LU_SAME_BYTES	     (1ull << 30) /* of one WRITE SAME */
#define LU_WORK_BYTES	     (32u << 20)  /* of ours, of the commands of one lane */
#define LU_PROTECTED_BYTES   (4u << 20)	  /* of one command with protection information */
#define LU_CHUNK	     (256u << 10) /* what a command of several steps reads or writes at once */

enum lu_key {
	LU_NO_SENSE = 0x0,
	LU_NOT_READY = 0x2,
	LU_MEDIUM_ERROR = 0x3,
	LU_HARDWARE_ERROR = 0x4,
	LU_ILLEGAL_REQUEST = 0x5,
	LU_UNIT_ATTENTION = 0x6,
	LU_DATA_PROTECT = 0x7,
	LU_ABORTED_COMMAND = 0xb,
	LU_MISCOMPARE = 0xe
};

enum lu_asc { /* asc << 8 | ascq, SPC-5 annex */
	LU_ASC_NONE = 0x0000,
	LU_ASC_STOPPED = 0x0402, /* initializing command required */
	LU_ASC_TIMEOUT = 0x0801,
	LU_ASC_WRITE_ERROR = 0x0c00,
	LU_ASC_GUARD = 0x1001,
	LU_ASC_REF_TAG = 0x1003,
	LU_ASC_READ_ERROR = 0x1100,
	LU_ASC_LIST_LENGTH = 0x1a00,
	LU_ASC_MISCOMPARE = 0x1d00,
	LU_ASC_OPCODE = 0x2000,
	LU_ASC_LBA = 0x2100,
	LU_ASC_FIELD_CDB = 0x2400,
	LU_ASC_NO_UNIT = 0x2500,
	LU_ASC_FIELD_LIST = 0x2600,
	LU_ASC_BAD_RELEASE = 0x2604,
	LU_ASC_WRITE_PROTECTED = 0x2700,
	LU_ASC_NO_SPACE = 0x2707,
	LU_ASC_POWER_ON = 0x2900,
	LU_ASC_RESET = 0x2903,
	LU_ASC_MODE_CHANGED = 0x2a01,
	LU_ASC_PREEMPTED = 0x2a03,
	LU_ASC_RELEASED = 0x2a04,
	LU_ASC_UNREGISTERED = 0x2a05,
	LU_ASC_CAPACITY = 0x2a09,
	LU_ASC_NO_SAVING = 0x3900,
	LU_ASC_LUNS_CHANGED = 0x3f0e,
	LU_ASC_FAILURE = 0x4400,
	LU_ASC_NO_REGISTRATION = 0x5504
};

/* ---- the unit ---- */

/* Bits of sr_scsi_unit.word: all that the fast path must know. Changed under the lock. */
enum {
	LU_WCE = 1 << 0,
	LU_READ_ONLY = 1 << 1,
	LU_D_SENSE = 1 << 2,
	/* From here on: the lock must be taken to know more. */
	LU_RESERVED = 1 << 3,
	LU_STOPPED = 1 << 4,
	LU_EXCLUSIVE = 1 << 5, /* a range belongs to one command */
	LU_ATTENTION = 1 << 6  /* somebody has an attention pending */
};

/* An initiator at a target port as one unit knows it. */
struct lu_initiator {
	struct lu_initiator *next;	    /* of the unit, under its lock */
	struct lu_initiator *next_of_nexus; /* under the nexus's lock */
	struct sr_scsi_unit *unit;
	struct sr_scsi_nexus *nexus;
	uint16_t attention[LU_ATTENTIONS];
	unsigned attentions;
};

struct sr_scsi_nexus {
	char name[LU_NAME_MAX + 1];
	uint16_t port;
	_Atomic unsigned pending; /* units with an attention for it */
	pthread_mutex_t lock;	  /* taken before that of a unit */
	struct lu_initiator *initiators;
};

/* Of PERSISTENT RESERVE OUT; it outlives the nexus. */
struct lu_registration {
	struct lu_registration *next;
	uint64_t key;
	uint16_t port;
	char name[LU_NAME_MAX + 1];
};

struct lu_reservations {
	struct lu_registration *list;
	unsigned count;
	uint32_t generation;
	struct lu_registration *holder; /* NULL: none, or a type of all registrants */
	uint8_t type;			/* 0 = none */
	struct sr_scsi_nexus *reserved; /* RESERVE(6) and (10) */
};

struct sr_scsi_unit {
	_Atomic uint32_t word;
	uint32_t block_size, shift; /* 1 << shift == block_size */
	struct sr_disk *disk;
	const struct sr_disk_info *info;
	bool protection, read_only, writethrough;
	bool thin, reads_zeroes; /* LBPME, LBPRZ */
	char vendor[9], product[17], revision[5], serial[65];
	uint64_t naa;
	struct sr_disk_listener on_disk;
	struct sr_scsi_listener *listeners;

	pthread_mutex_t lock; /* for all below: nothing of it is used by READ and WRITE of a
			       * unit without reservations, attentions and exclusive ranges */
	struct lu_initiator *initiators;
	unsigned n_initiators, attending;
	bool software_wp; /* SWP of the control page */
	struct lu_reservations pr;
	struct sr_scsi_lane *lanes;
	struct sr_scsi_gate *gates; /* exclusive ranges */
	struct sr_scsi_cmd *parked, **parked_tail;
};

/* Acquire: who no longer sees LU_EXCLUSIVE sees what its owner wrote. */
static inline uint32_t lu_word(const struct sr_scsi_unit *u)
{
	return atomic_load_explicit(&u->word, memory_order_acquire);
}

static inline void lu_word_set(struct sr_scsi_unit *u, uint32_t bits, bool on)
{
	if (on)
		atomic_fetch_or(&u->word, bits);
	else
		atomic_fetch_and(&u->word, ~bits);
}

static inline uint64_t lu_blocks(const struct sr_scsi_unit *u)
{
	return sr_disk_size(u->disk) >> u->shift;
}

static inline void lu_put_be64(void *p, uint64_t v)
{
	sr_put_be32(p, (uint32_t)(v >> 32));
	sr_put_be32((uint8_t *)p + 4, (uint32_t)v);
}

static inline uint64_t lu_get_be64(const void *p)
{
	return (uint64_t)sr_get_be32(p) << 32 | sr_get_be32((const uint8_t *)p + 4);
}

/* attention.c; the unit's lock is held. */
struct lu_initiator *lu_initiator(struct sr_scsi_unit *u, const struct sr_scsi_nexus *n);
void lu_attend(struct lu_initiator *i, uint16_t asc);
void lu_attend_others(struct sr_scsi_unit *u, const struct sr_scsi_nexus *but, uint16_t asc);
uint16_t lu_attention_take(struct lu_initiator *i); /* 0 = none */
void lu_attention_drop(struct lu_initiator *i, uint16_t asc);

/* ---- lanes and gates ---- */

/* What one lane still has to finish before a gate opens. */
struct lu_fence {
	struct lu_fence *next;
	struct sr_scsi_gate *gate;
	uint64_t seq; /* commands up to this one */
	unsigned left;
};

/*
 * Commands that were there before are waited for: those that touch a range, which later ones
 * then keep out of, or those of some initiators, which are aborted.
 */
struct sr_scsi_gate {
	struct sr_scsi_gate *next;
	struct sr_scsi_cmd *owner; /* NULL: it was aborted while it waited */
	uint64_t offset, bytes;	   /* of an exclusive range */
	struct sr_scsi_nexus **victims;
	unsigned n_victims; /* 0 = it is about a range */
	unsigned pending;   /* fences that are not clear */
	struct lu_fence fences[];
};

enum lu_state {
	LU_RUNNING, /* on its lane's thread, or with the disk */
	LU_PARKED,  /* waits for a range, in the unit's list */
	LU_FENCING, /* waits for its gate */
	LU_RESUMED, /* in its lane's list, about to go on */
	LU_TAKEN,   /* from there, a moment before it does */
	LU_DONE
};

enum lu_stop {
	LU_GO_ON,
	LU_ABORT,	/* by its own initiator: no status */
	LU_TASK_ABORTED /* by another one */
};

struct sr_scsi_lane {
	struct sr_scsi_unit *unit;
	struct sr_loop *loop;
	struct sr_disk_channel *channel;
	struct sr_poller *poller;
	sr_scsi_complete_fn *complete;
	void *ctx;
	struct sr_scsi_cmd *active;	       /* submitted and not done */
	struct sr_scsi_cmd *done, **done_tail; /* to be completed */
	uint64_t seq;
	size_t work_bytes; /* of all commands */
	unsigned under_way, delivered;
	bool completing;
	struct lu_fence *fences; /* that wait for commands of this lane */
	struct sr_disk_req *batch[SR_DISK_BATCH];
	unsigned batched;

	/* From other lanes: under the unit's lock, but for `mail`, and `kick_fd` wakes. */
	struct sr_scsi_lane *next;
	int kick_fd;
	_Atomic bool mail;
	struct lu_fence *new_fences;
	struct sr_scsi_cmd *resumed, **resumed_tail;
};

/* lane.c: on the lane's thread. */

/* Gives c->req to the disk with the others of this batch; `step` comes after it. */
void lu_disk(struct sr_scsi_cmd *c, void (*step)(struct sr_scsi_cmd *c));
void lu_flush(struct sr_scsi_lane *l); /* starts the batch as it is */
/* c is done, its outcome is filled. */
void lu_finish(struct sr_scsi_cmd *c);
/* Ends a command that was asked to stop. */
void lu_finish_stopped(struct sr_scsi_cmd *c);
/* Tries to end it early: see sr_scsi_abort. */
bool lu_stop(struct sr_scsi_cmd *c, enum lu_stop how);
/* With the unit's lock held, any thread: c goes on with c->step on its lane. */
void lu_resume(struct sr_scsi_cmd *c);
void lu_ring(struct sr_scsi_lane *l);

/* gate.c: on the lane's thread. */

/* False: somebody has c's range for himself; retry(c) is called when it may be free. */
bool lu_admit_or_park(struct sr_scsi_cmd *c, void (*retry)(struct sr_scsi_cmd *c));
static inline bool lu_admit(struct sr_scsi_cmd *c, void (*retry)(struct sr_scsi_cmd *c))
{
	if (SR_UNLIKELY(lu_word(c->lane->unit) & LU_EXCLUSIVE))
		return lu_admit_or_park(c, retry);
	c->admitted = true;
	return true;
}
/* Goes on with go(c) when c has its range for itself, until it is done; with retry(c) when
 * another one had it. */
void lu_exclusive(struct sr_scsi_cmd *c, void (*retry)(struct sr_scsi_cmd *c),
		  void (*go)(struct sr_scsi_cmd *c));
/* Aborts the commands of these initiators, c's own not among them, on all lanes and goes on with
 * go(c) when they are gone. The array becomes the gate's, to free. */
void lu_expel(struct sr_scsi_cmd *c, struct sr_scsi_nexus **victims, unsigned n,
	      void (*go)(struct sr_scsi_cmd *c));
void lu_fence_begin(struct sr_scsi_lane *l, struct lu_fence *f);
void lu_fence_pass(struct sr_scsi_lane *l, struct sr_scsi_cmd *c); /* c is done */
void lu_gate_ack(struct sr_scsi_unit *u, struct sr_scsi_gate *g);  /* the lock is held */
/* c is done, or ends while it waits: others may have its range. The lock is held. */
void lu_gate_leave(struct sr_scsi_unit *u, struct sr_scsi_cmd *c);

/* ---- how a command ends ---- */

/* sense.c; all but lu_sense_fill finish the command. */
struct lu_sense {
	uint8_t key;
	uint16_t asc;
	bool has_info;
	uint64_t info;
	uint8_t sks[3]; /* sense-key specific; [0] has SKSV */
};
/* Bytes written to `to`, which has room for SR_SCSI_SENSE_MAX. */
uint8_t lu_sense_fill(const struct lu_sense *s, bool descriptors, uint8_t *to);
void lu_fail_sense(struct sr_scsi_cmd *c, const struct lu_sense *s);
void lu_fail(struct sr_scsi_cmd *c, enum lu_key key, enum lu_asc asc);
void lu_fail_info(struct sr_scsi_cmd *c, enum lu_key key, enum lu_asc asc, uint64_t info);
#define LU_NO_BIT 8u
/* INVALID FIELD IN CDB or IN PARAMETER LIST: which byte, and its highest bit at fault. */
void lu_fail_cdb(struct sr_scsi_cmd *c, unsigned byte, unsigned bit);
void lu_fail_list(struct sr_scsi_cmd *c, unsigned byte, unsigned bit);
void lu_fail_disk(struct sr_scsi_cmd *c); /* by c->req.op and c->req.result */
void lu_fail_overrun(struct sr_scsi_cmd *c);
void lu_status(struct sr_scsi_cmd *c, enum sr_scsi_status status);
void lu_good(struct sr_scsi_cmd *c, uint32_t transferred);
/* Tells the first `allocated` bytes of what there is to tell. */
void lu_reply(struct sr_scsi_cmd *c, const void *data, size_t len, size_t allocated);

/* ops.c */

enum lu_conflict { /* with whose reservation, SPC-5 5.13.1, SBC-4 4.17 */
	LU_NEVER,
	LU_READS,      /* exclusive access of others */
	LU_WRITES,     /* any reservation of others */
	LU_PERSISTENT, /* none but RESERVE(6): PERSISTENT RESERVE judges the rest itself */
	LU_CLASSIC     /* RESERVE and RELEASE judge all themselves */
};
enum {
	LU_READY = 1 << 0,   /* not while the unit is stopped */
	LU_ALWAYS = 1 << 1,  /* a pending attention does not get in its way */
	LU_THIN = 1 << 3,    /* only where blocks can be unmapped */
	LU_HARMLESS = 1 << 2 /* SPC-2: also while another one has a RESERVE(6) */
};
struct lu_op {
	const char *name;
	uint8_t len; /* of the CDB; 0 = no such operation */
	uint8_t conflict, flags;
	void (*run)(struct sr_scsi_cmd *c);
	uint8_t usage[16]; /* which bits are looked at; [0] and a service action: themselves */
	const struct lu_op *actions; /* 32, by service action: CDB byte 1, bits 0 to 4 */
};
/* NULL = this unit has none. */
const struct lu_op *lu_op(const struct sr_scsi_unit *u, uint8_t opcode, uint8_t action);
const struct lu_op *lu_op_row(uint8_t opcode);
void lu_run(struct sr_scsi_cmd *c);

/* Judged in this order: LBA and length against the medium. False: c has failed. */
struct lu_range {
	uint64_t lba, blocks;
};
bool lu_range(struct sr_scsi_cmd *c, struct lu_range *r);
bool lu_range_check(struct sr_scsi_cmd *c, uint64_t lba, uint64_t blocks);
bool lu_write_allowed(struct sr_scsi_cmd *c);
/* Copies a parameter list of `len` bytes to `to`. False: the buffers hold less; c has failed. */
bool lu_list(struct sr_scsi_cmd *c, void *to, size_t len);
/* The first `bytes` of a list, as a list of its own; of how many pieces. */
uint32_t lu_iov_head(const struct iovec *from, struct iovec *to, uint64_t bytes);
/* c->work of `size` bytes, zeroed. False: c has ended, BUSY or, with LU_WORK_BYTES, TASK SET FULL.
 */
bool lu_work(struct sr_scsi_cmd *c, size_t size);

/* reserve.c; the unit's lock is held. */
struct lu_registration *lu_registration(struct sr_scsi_unit *u, const struct sr_scsi_nexus *n);
bool lu_is_holder(const struct sr_scsi_unit *u, const struct lu_registration *r);
bool lu_conflicts(struct sr_scsi_unit *u, const struct sr_scsi_cmd *c, const struct lu_op *op);
void lu_reserved_update(struct sr_scsi_unit *u);

/* pi.c */
#define LU_PI_BYTES 8u
void lu_protect_init(void);
/* A field that says "protected" where nothing is transferred by it (VERIFY). */
bool lu_protect_medium(struct sr_scsi_cmd *c, const struct lu_range *r, bool write);
bool lu_protect_begin(struct sr_scsi_cmd *c, const struct lu_range *r, bool write);
void lu_protect_read(struct sr_scsi_cmd *c);

/* Handlers, by file. */
void lu_inquiry(struct sr_scsi_cmd *c);
void lu_inquiry_vpd(struct sr_scsi_cmd *c, uint8_t page, uint16_t allocated);
void lu_test_unit_ready(struct sr_scsi_cmd *c);
void lu_request_sense(struct sr_scsi_cmd *c);
void lu_start_stop(struct sr_scsi_cmd *c);
void lu_prevent_allow(struct sr_scsi_cmd *c);
void lu_report_luns(struct sr_scsi_cmd *c);
void lu_report_opcodes(struct sr_scsi_cmd *c);
void lu_report_task_management(struct sr_scsi_cmd *c);
void lu_read_capacity_10(struct sr_scsi_cmd *c);
void lu_read_capacity_16(struct sr_scsi_cmd *c);
void lu_get_lba_status(struct sr_scsi_cmd *c);
void lu_mode_sense(struct sr_scsi_cmd *c);
void lu_mode_select(struct sr_scsi_cmd *c);
void lu_read(struct sr_scsi_cmd *c);
void lu_write(struct sr_scsi_cmd *c);
void lu_rw_done(struct sr_scsi_cmd *c);
void lu_synchronize_cache(struct sr_scsi_cmd *c);
void lu_verify(struct sr_scsi_cmd *c);
void lu_write_and_verify(struct sr_scsi_cmd *c);
void lu_compare_and_write(struct sr_scsi_cmd *c);
void lu_unmap(struct sr_scsi_cmd *c);
void lu_write_same(struct sr_scsi_cmd *c);
void lu_reserve(struct sr_scsi_cmd *c);
void lu_release(struct sr_scsi_cmd *c);
void lu_pr_read_keys(struct sr_scsi_cmd *c);
void lu_pr_read_reservation(struct sr_scsi_cmd *c);
void lu_pr_report_capabilities(struct sr_scsi_cmd *c);
void lu_pr_read_full_status(struct sr_scsi_cmd *c);
void lu_pr_out(struct sr_scsi_cmd *c);

#endif
