/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the SCSI host device share; see vscsi.c for how they fit together. */
#ifndef VSCSI_INTERNAL_H
#define VSCSI_INTERNAL_H

#include <slipring/scsi.h>
#include <slipring/virtio.h>

#include <endian.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base.h"
#include "scsi_command.h"
#include "vscsi_box.h"

/* virtio 1.3, 5.6.2: the queues' numbers. */
#define VSCSI_CTRL	    0u
#define VSCSI_EVENT	    1u
#define VSCSI_REQUEST	    2u /* the first one */

#define VSCSI_CDB_DEFAULT   32u
#define VSCSI_CDB_MAX	    260u /* the longest that SPC knows */
#define VSCSI_SENSE_DEFAULT 96u
#define VSCSI_SENSE_MAX	    252u /* the longest that SPC knows */
#define VSCSI_SEG_MAX	    254u

#define VSCSI_COMMANDS_MAX  1024u /* under way on one queue: the largest ring that QEMU makes */
#define VSCSI_BATCH	    64u	  /* commands that go to their lanes together */
#define VSCSI_BATCH_BYTES   (16u << 20) /* of theirs, and one command more */
#define VSCSI_TMFS_MAX	    64u		/* task management functions that wait for somebody */
#define VSCSI_EVENTS_MAX    64u		/* that wait for a buffer */
#define VSCSI_EVENT_SIZE    16u		/* struct virtio_scsi_event */

enum vscsi_response { /* 5.6.6.1, 5.6.6.2 */
	VSCSI_OK = 0,
	VSCSI_OVERRUN = 1,
	VSCSI_ABORTED = 2,
	VSCSI_BAD_TARGET = 3,
	VSCSI_RESET = 4,
	VSCSI_BUSY = 5,
	VSCSI_TRANSPORT_FAILURE = 6,
	VSCSI_TARGET_FAILURE = 7,
	VSCSI_FAILURE = 9,
	VSCSI_FUNCTION_SUCCEEDED = 10,
	VSCSI_FUNCTION_REJECTED = 11,
	VSCSI_INCORRECT_LUN = 12
};

struct vscsi_queue;
struct vscsi_lun;

/* One request of a guest, from pop to push. */
struct vscsi_cmd {
	struct sr_scsi_cmd scsi;
	struct vscsi_lane *lane;
	TAILQ_ENTRY(vscsi_cmd) link; /* in lane->cmds */
	struct vscsi_cmd *next;	     /* free, or of its lane's next batch */
	struct sr_chain chain;
	struct sr_iov_pool pool;
	struct iovec *pi; /* pieces of protection information, both directions */
	unsigned pi_cap;
	struct iovec *cut;  /* the piece of chain.in in which the data begins, shortened ... */
	struct iovec whole; /* ... and what it was */
	uint64_t number;    /* counts the queue's commands */
	uint32_t head_in;   /* bytes before pi_in and data in: response and sense data */
	uint8_t abort_as;   /* the response if it ends aborted */
};
TAILQ_HEAD(vscsi_cmds, vscsi_cmd);

/* One logical unit on one queue; its queue's own, but for the message. */
struct vscsi_lane {
	struct vscsi_msg gone; /* to the queue: the unit is taken off */
	struct vscsi_queue *q;
	struct vscsi_lun *lun;
	struct sr_scsi_lane *scsi;    /* NULL: not used yet */
	TAILQ_ENTRY(vscsi_lane) link; /* in q->lanes while `scsi` is there */
	struct vscsi_cmds cmds;	      /* under way */
	struct vscsi_cmd *batch, **batch_end;
	struct vscsi_lane *next_touched; /* lanes with a batch */
	bool dying, ending, warned;
};

/* A unit at its place. Found by request queues without a lock; it goes when each queue has
 * said that it does not know it any more. */
struct vscsi_lun {
	struct sr_scsi *scsi;
	struct vscsi_target *target;
	unsigned number;
	uint64_t id; /* never used twice, as places are */
	struct sr_scsi_unit *unit;
	struct sr_scsi_listener listener;
	_Atomic unsigned pending; /* queues that may know it still */
	struct vscsi_msg left;	  /* to the control loop: nobody knows it any more */
	void (*done)(void *ctx);
	void *done_ctx;
	struct vscsi_lane lanes[]; /* by queue */
};

/* Tables grow by pieces and stay until the device goes, so that readers need no lock. */
#define VSCSI_CHUNK  256u
#define VSCSI_CHUNKS ((SR_SCSI_LUN_MAX + 1) / VSCSI_CHUNK)
struct vscsi_chunk {
	_Atomic(struct vscsi_lun *) lun[VSCSI_CHUNK];
};
struct vscsi_target {
	unsigned number;
	struct sr_scsi_nexus *nexus;
	_Atomic unsigned units;
	_Atomic(struct vscsi_chunk *) chunks[VSCSI_CHUNKS];
};

/* What one pass counts, added to the device's counters once. */
struct vscsi_tally {
	uint64_t commands, read_bytes, written_bytes, check_conditions, aborted, malformed;
};

struct vscsi_tmf_part;
TAILQ_HEAD(vscsi_lanes, vscsi_lane);
TAILQ_HEAD(vscsi_tmf_parts, vscsi_tmf_part);
TAILQ_HEAD(vscsi_tmfs, vscsi_tmf);

/* One virtqueue; its own loop's, but for the box and `in_flight`, which others read. */
struct vscsi_queue {
	struct sr_scsi *scsi;
	unsigned index;
	struct vscsi_box box; /* open while it runs */
	struct sr_vq *vq;     /* NULL: stopped */
	struct sr_loop *loop;
	uint64_t features;
	bool enabled;
	bool broken;
	bool draining;
	bool drain_owed; /* sr_device_queue_drained is to be called ... */
	bool told;	 /* ... by a message that is under way */
	struct vscsi_msg drained;
	bool keep;     /* abandoned: what ends aborted is forgotten */
	bool pushed;   /* something is to be published */
	unsigned hold; /* more is to come before it is */
	_Atomic unsigned in_flight;
	struct sr_iov_pool pool; /* control and event queue */
	/* Request queues. */
	struct vscsi_lanes lanes;
	struct vscsi_lane *touched;
	unsigned dying;		      /* lanes */
	struct vscsi_tmf_parts parts; /* of functions that wait for commands here */
	struct vscsi_cmd *free;
	struct vscsi_block *blocks;
	unsigned commands; /* allocated */
	uint64_t next_number;
	struct vscsi_tally tally;
	/* Control queue. */
	struct vscsi_tmfs tmfs; /* unanswered, oldest first */
	struct sr_timer *timer;
	/* Event queue. */
	struct vscsi_msg news;
	bool hungry; /* events wait for a buffer */
};

struct vscsi_event {
	uint32_t event, reason;
	uint8_t target;
	uint16_t lun;
};

/* From the control loop to the event queue. */
struct vscsi_events {
	pthread_mutex_t lock;
	struct vscsi_event ring[VSCSI_EVENTS_MAX];
	unsigned first, count;
	bool missed, told;
};

struct sr_scsi {
	struct sr_device device;
	char *name, *initiator;
	struct sr_loop *control;
	struct vscsi_box box; /* to the control loop */
	unsigned nqueues;     /* control and event queue included */
	uint64_t offer, tmf_wait_ns;
	_Atomic uint64_t features;
	_Atomic uint32_t cdb_size, sense_size;
	struct sr_scsi_counters counters;
	struct vscsi_events events;
	_Atomic unsigned tmfs;
	uint64_t next_id;
	unsigned leaving; /* units whose removal is not complete */
	_Atomic(struct vscsi_target *) targets[SR_SCSI_TARGETS_MAX];
	struct vscsi_queue queues[];
};

static inline struct sr_scsi *vscsi_of(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct sr_scsi, device);
}

/* The guest's byte order: little-endian, or its own before VERSION_1 (which is ours). */
static inline uint32_t vscsi_u32(uint64_t features, uint32_t v)
{
	return features & SR_F_VERSION_1 ? le32toh(v) : v;
}
static inline uint64_t vscsi_u64(uint64_t features, uint64_t v)
{
	return features & SR_F_VERSION_1 ? le64toh(v) : v;
}

static inline void vscsi_count(_Atomic uint64_t *c, uint64_t n)
{
	if (n)
		atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* One writer: the queue's loop. */
static inline void vscsi_in_flight_add(struct vscsi_queue *q, int n)
{
	unsigned now = atomic_load_explicit(&q->in_flight, memory_order_relaxed);

	atomic_store_explicit(&q->in_flight, now + (unsigned)n, memory_order_relaxed);
}
static inline unsigned vscsi_in_flight(const struct vscsi_queue *q)
{
	return atomic_load_explicit(&q->in_flight, memory_order_relaxed);
}

/* vscsi_lun.c: addresses and the table of units. */
enum vscsi_place {
	VSCSI_PLACE_BAD,    /* no address that this device knows */
	VSCSI_PLACE_LUN,    /* a logical unit of a target */
	VSCSI_PLACE_TARGET, /* the well-known unit of a target */
	VSCSI_PLACE_DEVICE  /* REPORT LUNS of everything */
};
struct vscsi_address {
	enum vscsi_place place;
	unsigned target, lun;
};
struct vscsi_address vscsi_address_parse(const uint8_t lun[8]);
void vscsi_address_make(uint8_t to[8], unsigned target, unsigned lun);
/* From any queue's loop; valid until the loop gets its next message. NULL: none. */
struct vscsi_target *vscsi_target_find(struct sr_scsi *s, unsigned target);
struct vscsi_lun *vscsi_lun_find(const struct vscsi_target *t, unsigned lun);
/* Up to `cap` eight-byte LUNs of a target, or, with NULL, in the form of requests, of all. */
unsigned vscsi_lun_list(struct sr_scsi *s, const struct vscsi_target *t, uint64_t *to,
			unsigned cap);
unsigned vscsi_lun_count(struct sr_scsi *s, const struct vscsi_target *t);
/* On the control loop: the units of `t`, or all, forget what they know of this initiator. */
void vscsi_nexus_loss(struct sr_scsi *s, struct vscsi_target *t);
/* A queue has forgotten it. */
void vscsi_lun_ack(struct vscsi_lun *l);
void vscsi_luns_finish(struct sr_scsi *s);

/* vscsi_queue.c: the life of a queue. */
void vscsi_queue_init(struct vscsi_queue *q, struct sr_scsi *s, unsigned index);
void vscsi_queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq);
void vscsi_queue_stop(struct sr_device *d, unsigned queue);
void vscsi_queue_enable(struct sr_device *d, unsigned queue, bool on);
bool vscsi_queue_drain(struct sr_device *d, unsigned queue);
bool vscsi_queue_abandon(struct sr_device *d, unsigned queue);
int vscsi_process(struct sr_device *d, unsigned queue, unsigned budget);
bool vscsi_arm(struct sr_device *d, unsigned queue);
void vscsi_queue_break(struct vscsi_queue *q);
/* Between the two nothing is published; the last release publishes, and looks who waits. */
void vscsi_hold(struct vscsi_queue *q);
void vscsi_release(struct vscsi_queue *q);

/* vscsi_lane.c: units on one queue. */
/* NULL: it cannot be used now. */
struct sr_scsi_lane *vscsi_lane_open(struct vscsi_lane *l);
void vscsi_lane_init(struct vscsi_lane *l, struct vscsi_lun *lun, struct vscsi_queue *q);
/* Asks for an early end of those of a lane that match; how many did. */
unsigned vscsi_lane_abort(struct vscsi_lane *l, const uint64_t *tag, uint8_t response);
void vscsi_lanes_review(struct vscsi_queue *q);
void vscsi_lanes_close(struct vscsi_queue *q);

/* vscsi_frame.c: where header, protection information and data lie. */
/* VSCSI_OK, or how it is refused. */
uint8_t vscsi_frame_parse(struct vscsi_queue *q, struct vscsi_cmd *c, uint8_t lun[8]);
void vscsi_frame_answer(struct vscsi_cmd *c, uint64_t features, uint8_t response);

/* vscsi_request.c */
int vscsi_request_process(struct vscsi_queue *q, unsigned budget);
sr_scsi_complete_fn vscsi_request_complete;
void vscsi_request_free_all(struct vscsi_queue *q);

/* vscsi_control.c and vscsi_tmf.c: the control queue. */
int vscsi_control_process(struct vscsi_queue *q, unsigned budget);
/* The response to an address that a request needs a unit for; *lun is set on VSCSI_OK. */
uint8_t vscsi_control_find(struct sr_scsi *s, const uint8_t address[8], struct vscsi_lun **lun);
/* Takes a function over. False: *response is the answer at once. */
bool vscsi_tmf_start(struct vscsi_queue *q, const struct sr_chain *c, uint8_t *response);
void vscsi_tmf_review(struct vscsi_queue *q);
void vscsi_tmf_forget(struct vscsi_queue *q, bool answer);
void vscsi_tmf_timer(void *ctx);

/* vscsi_event.c */
void vscsi_event_init(struct sr_scsi *s);
void vscsi_event_finish(struct sr_scsi *s);
void vscsi_event_forget(struct sr_scsi *s);
enum {
	VSCSI_T_TRANSPORT_RESET = 1,
	VSCSI_T_PARAM_CHANGE = 3,
	VSCSI_RESET_HARD = 0,
	VSCSI_RESET_RESCAN = 1,
	VSCSI_RESET_REMOVED = 2
};
/* On the control loop. Nothing happens where the guest has not asked for such. */
void vscsi_event_add(struct sr_scsi *s, uint32_t event, uint32_t reason, unsigned target,
		     unsigned lun);
int vscsi_event_process(struct vscsi_queue *q);
void vscsi_event_news(struct vscsi_msg *m);

#endif
