/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest and a transport for the tests of the SCSI device: memory in a memfd, driver rings, a
 * session that counts, pollers on real loops. The control loop is run by the test's own thread
 * while it waits (rig_until); queues are on it too, or on workers with threads of their own.
 * Mistakes of the test itself end it at once.
 */
#ifndef VSCSI_RIG_H
#define VSCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <slipring/drvq.h>

#include "vscsi_internal.h"
#include "vscsi_slow.h"

#define RIG_QUEUES  8u
#define RIG_WORKERS 2u
#define RIG_PIECES  200u
#define RIG_MODERN                                                                  \
	(SR_F_VERSION_1 | SR_F_INDIRECT_DESC | SR_F_EVENT_IDX | SR_SCSI_F_HOTPLUG | \
	 SR_SCSI_F_CHANGE)
#define RIG_DISK (1u << 20)

struct rig_queue {
	struct rig *rig;
	unsigned index;
	struct sr_vq *vq;
	struct sr_drvq *drv;
	struct sr_loop *loop;
	struct sr_poller *poller;
	int kick;
	bool enabled;	     /* by rig_enable */
	bool running, quiet; /* quiet: drained or abandoned, not polled any more */
	_Atomic unsigned calls;
	_Atomic unsigned drained;
	_Atomic bool broken;
	char why[128];
	void *record; /* in-flight, or NULL */
	uint64_t ring;
	uint16_t base;
};

struct rig {
	struct sr_scsi *scsi;
	struct sr_device *dev;
	struct sr_loop *control, *worker[RIG_WORKERS];
	unsigned nworkers;
	uint64_t features;
	struct sr_mem *mem;
	uint8_t *ram;
	size_t used;
	struct rig_queue q[RIG_QUEUES];
	unsigned detached; /* done callbacks */
	unsigned seed;	   /* of random framing; 0 = one piece for each part */
};

/* One command, as sent and as it came back. */
struct rig_cmd {
	uint8_t lun[8];
	uint64_t tag;
	uint8_t attr;
	uint8_t cdb[32];
	const void *out;
	uint32_t out_len, in_len;
	const void *pi_out;
	uint32_t pi_out_len, pi_in_len;
	/* Afterwards. */
	struct sr_sg sg[RIG_PIECES];
	unsigned nout, nin;
	bool done;
	uint32_t used, sense_len, residual;
	uint8_t status, response, sense[VSCSI_SENSE_MAX];
	uint64_t in_at; /* guest address where pieces of `in` begin, without gaps */
};

struct rig *rig_create(const struct sr_scsi_config *c, unsigned workers, uint64_t features);
void rig_destroy(struct rig *r); /* stops what runs */
void rig_start(struct rig *r, unsigned i, unsigned size);
void rig_start_all(struct rig *r); /* control, event and request queues */
void rig_enable(struct rig *r, unsigned i, bool on);
bool rig_drain(struct rig *r, unsigned i);
bool rig_abandon(struct rig *r, unsigned i);
void rig_stop(struct rig *r, unsigned i);
void rig_reset(struct rig *r); /* of the device; queues are stopped */

/* A unit over a disk, which it takes along. */
struct sr_scsi_unit *rig_unit(struct sr_disk *d);
void rig_unit_free(struct sr_scsi_unit *u);
void rig_attach(struct rig *r, unsigned target, unsigned lun, struct sr_scsi_unit *u);
void rig_detach(struct rig *r, unsigned target, unsigned lun); /* counts in r->detached */

/* Guest memory; never given back but by resetting `used`. */
uint64_t rig_room(struct rig *r, size_t len);
uint8_t *rig_at(struct rig *r, uint64_t addr);

/* Runs the control loop until cond(ctx) holds. */
void rig_until(struct rig *r, bool (*cond)(void *ctx), void *ctx);
void rig_until_done(struct rig *r, unsigned queue, struct rig_cmd *c);
/* Lets all loops go round a few times. */
void rig_settle(struct rig *r);
/* Takes what came back on a queue. */
unsigned rig_collect(struct rig *r, unsigned queue);

struct rig_cmd rig_cmd(unsigned target, unsigned lun, const void *cdb, size_t cdb_len);
struct rig_cmd rig_read(unsigned target, unsigned lun, uint32_t block, uint16_t blocks);
struct rig_cmd rig_write(unsigned target, unsigned lun, uint32_t block, const void *data,
			 uint16_t blocks);
void rig_send(struct rig *r, unsigned queue, struct rig_cmd *c);
void rig_kick(struct rig *r, unsigned queue);
/* Sends, waits; the response. */
uint8_t rig_do(struct rig *r, unsigned queue, struct rig_cmd *c);
void rig_data(struct rig *r, const struct rig_cmd *c, void *to, uint32_t len);
/* The bytes of a chain as they are, in pieces of r->seed. */
void rig_send_raw(struct rig *r, unsigned queue, struct rig_cmd *c, const void *out, uint32_t len,
		  uint32_t in_len);

/* A control request; its answer comes back as `response`. */
void rig_tmf(struct rig *r, struct rig_cmd *c, uint32_t subtype, unsigned target, unsigned lun,
	     uint64_t tag);
uint8_t rig_tmf_do(struct rig *r, uint32_t subtype, unsigned target, unsigned lun, uint64_t tag);

/* One buffer on the event queue; its bytes when it is done. */
void rig_event_buffer(struct rig *r, struct rig_cmd *c, uint32_t len);
struct rig_event {
	uint32_t event;
	uint8_t lun[8];
	uint32_t reason;
} __attribute__((packed));
struct rig_event rig_event(struct rig *r, const struct rig_cmd *c);

/* A power-on attention stands in the way of the first command. */
void rig_clear_attention(struct rig *r, unsigned queue, unsigned target, unsigned lun);

#endif
