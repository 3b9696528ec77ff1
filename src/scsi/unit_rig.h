/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a unit on a medium in memory that can be told to hold requests back, to fail, and
 * that remembers what it was asked; initiators and lanes. */
#ifndef SR_UNIT_RIG_H
#define SR_UNIT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scsi_command.h"

#include <slipring/disk_engine.h>
#include <slipring/loop.h>
#include <stdatomic.h>

#define RIG_BLOCKS     2048u
#define RIG_BUFFER     (512u << 10)
#define RIG_INITIATORS 3u

struct rig_medium {
	struct sr_disk disk;
	uint8_t *data;
	_Atomic bool hold; /* requests wait until this is false */
	bool cannot_cancel;
	int fail; /* negative errno of all to come; 0 = none */
	unsigned asked[SR_DISK_OPS];
	uint8_t flags; /* of the last one */
	uint64_t len;
};

struct rig_options {
	uint32_t block_size; /* 0 = 512 */
	bool read_only, volatile_cache, cannot_discard, cannot_zero, protection, writethrough;
	uint64_t zero_max;
};

struct unit_rig {
	struct rig_medium *medium;
	struct sr_scsi_unit *unit;
	struct sr_scsi_nexus *nexus[RIG_INITIATORS];
	struct sr_loop *loop;
	struct sr_scsi_lane *lane, *other; /* two, on one loop that does not run by itself */
};

struct rig_cmd {
	struct sr_scsi_cmd c;
	struct iovec out, in, pi_out, pi_in;
	uint8_t *data_out, *data_in; /* RIG_BUFFER each */
	unsigned completed;
};

struct rig_medium *rig_medium_create(const struct rig_options *o);
/* With the POWER ON attention of each initiator told already. */
void rig_create(struct unit_rig *r, const struct rig_options *o);
void rig_destroy(struct unit_rig *r);

/* Numbers in hexadecimal, spaces as one likes; how many bytes they are. */
size_t rig_hex(const char *text, uint8_t *to, size_t room);

struct rig_cmd *rig_cmd(struct unit_rig *r, unsigned initiator, const char *cdb, uint32_t out_len,
			uint32_t in_len);
void rig_cmd_free(struct rig_cmd *k);
void rig_submit(struct sr_scsi_lane *l, struct rig_cmd *k);
void rig_poll(struct unit_rig *r); /* until nothing moves */
/* Whole: submit, poll, and it must be done, once. */
void rig_run(struct unit_rig *r, struct rig_cmd *k);

/* The outcome of a command with `out` as its data, in one number: the status, and for CHECK
 * CONDITION also key << 24 | asc << 8. */
uint32_t rig_outcome(const struct rig_cmd *k);
uint32_t rig_do(struct unit_rig *r, unsigned initiator, const char *cdb, const char *out);
/* As initiator 0 with `len` bytes of the pattern `seed`; a negative seed: zeroes. */
uint32_t rig_send(struct unit_rig *r, const char *cdb, uint32_t len, int seed);
void rig_fill(uint8_t *p, size_t n, unsigned seed);
bool rig_medium_is(const struct unit_rig *r, size_t at, size_t len, int seed);
#define RIG_CHECK(key, asc) (0x02u | (uint32_t)(key) << 24 | (uint32_t)(asc) << 8)

#endif
