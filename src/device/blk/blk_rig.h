/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest, a transport and a disk for the tests of the block device: memory in a memfd, driver
 * rings, a session that counts. Mistakes of the test itself end it at once.
 */
#ifndef BLK_RIG_H
#define BLK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <slipring/drvq.h>

#include "base.h"
#include "blk_fake.h"
#include "blk_internal.h"

#define RIG_QUEUES 4u
#define RIG_PIECES 1100u
#define RIG_MODERN (SR_F_VERSION_1 | SR_F_INDIRECT_DESC | SR_F_EVENT_IDX)
#define RIG_SIZE   (1u << 20) /* of the usual disk */

struct rig_queue {
	struct sr_vq *vq;
	struct sr_drvq *drv;
	void *record; /* in-flight; the test's */
	uint16_t base;
	uint64_t ring;
	unsigned size;
	_Atomic unsigned calls;
	unsigned drained;
	char broken[128]; /* "" = no */
};

struct rig {
	struct fake *fake; /* NULL: another disk */
	struct sr_disk *disk;
	struct sr_blk *blk;
	struct sr_device *dev;
	struct sr_loop *loop;
	struct sr_mem *mem;
	uint8_t *ram;
	size_t used;
	struct rig_queue q[RIG_QUEUES];
	unsigned config_changes;
	/* How the next requests are cut: bytes of the next piece; NULL = header, data, status. */
	size_t (*cut)(struct rig *r, size_t left);
	size_t piece;
	unsigned seed;
};

/* One request, and what came of it. */
struct rig_req {
	uint32_t type;
	uint64_t sector;
	const void *out;
	size_t out_len;	 /* data to read */
	size_t in_len;	 /* data to write, without the status byte */
	unsigned header; /* bytes of the header that are sent when not 0; else all */
	bool no_status;
	/* Afterwards. */
	struct sr_sg sg[RIG_PIECES];
	unsigned nout, nin;
	bool done;
	uint8_t status; /* 0xff: not written */
};

/* Takes the disk over. The features are all that is offered. */
struct rig *rig_create(struct sr_disk *disk, const struct sr_blk_config *c);
/* A fake disk of RIG_SIZE, one queue of 128 started. */
struct rig *rig_usual(void);
void rig_destroy(struct rig *r);
/* Starts queue i with `size` entries and enables it; a ring that was stopped goes on. */
void rig_start(struct rig *r, unsigned i, unsigned size);
/* Drained it must be, unless the record keeps requests. */
void rig_stop(struct rig *r, unsigned i);

/* Guest memory; `room` returns the address. Tests give it back by resetting `used`. */
uint64_t rig_room(struct rig *r, size_t len);
uint8_t *rig_at(struct rig *r, uint64_t addr);

/* True: the device asked for a kick. */
bool rig_add(struct rig *r, unsigned i, struct rig_req *q);
int rig_process(struct rig *r, unsigned i);
/* Takes what came back; how many. */
unsigned rig_collect(struct rig *r, unsigned i);
/* From add to status on queue 0; the disk is polled until it is done. */
uint8_t rig_do(struct rig *r, struct rig_req *q);
void rig_data(struct rig *r, const struct rig_req *q, void *to);

uint8_t rig_read(struct rig *r, uint64_t sector, void *to, size_t len);
uint8_t rig_write(struct rig *r, uint64_t sector, const void *from, size_t len);
uint8_t rig_command(struct rig *r, uint32_t type, uint64_t sector);

size_t rig_cut_same(struct rig *r, size_t left);   /* r->piece bytes each */
size_t rig_cut_random(struct rig *r, size_t left); /* mostly small, of r->seed */
void rig_fill(uint8_t *p, size_t len, unsigned seed);

#endif
