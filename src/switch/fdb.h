/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The forwarding table: behind which slot an address of a VLAN was last heard. Find and
 * learn run on any thread and never wait; the rest is the control thread's.
 */
#ifndef SR_FDB_H
#define SR_FDB_H

#include "base.h"

#include <pthread.h>
#include <stdatomic.h>

#define SR_FDB_WAYS	 4u
#define SR_FDB_LIMIT_MAX (1u << 20)
#define SR_FDB_SLOTS	 1024u
#define SR_FDB_NO_KEY	 UINT64_MAX /* never made by sr_fdb_key */

/* key: address 48 bits, VLAN 12, generation 3, valid 1. value: slot 16, second last heard 32.
 * See fdb.c for the order in which they are written and read. */
struct sr_fdb_entry {
	_Atomic uint64_t key, value;
};

struct sr_fdb_bucket {
	_Alignas(SR_CACHE_LINE) struct sr_fdb_entry entry[SR_FDB_WAYS];
};

struct sr_fdb {
	struct sr_fdb_bucket *buckets;
	void *memory; /* that the buckets lie in */
	uint64_t seed;
	uint32_t mask; /* of a bucket's index */
	uint32_t limit, age_s;
	_Atomic uint32_t now_s; /* ticks since init */
	_Atomic uint32_t count;
	_Atomic bool refused; /* an address was not learned since the last tick: no room */
	bool refused_before;
	_Atomic bool control; /* the control thread wants the lock or has it */
	pthread_mutex_t lock; /* of whoever changes a key or a slot */
	/* Addresses behind each slot; written under the lock. */
	_Atomic uint32_t of_slot[SR_FDB_SLOTS];
};

static inline uint64_t sr_fdb_key(const uint8_t mac[6], unsigned vlan)
{
	return (uint64_t)sr_get_be16(mac) << 48 | (uint64_t)sr_get_be32(mac + 2) << 16 | vlan << 4;
}

int sr_fdb_init(struct sr_fdb *t, uint32_t limit, uint32_t age_s); /* 0 or -ENOMEM */
void sr_fdb_finish(struct sr_fdb *t);

/* Slots are below SR_FDB_SLOTS. */

/* The slot, or -1. */
int sr_fdb_find(const struct sr_fdb *t, uint64_t key);

/* True when the table has changed: a new address or a new place of a known one. */
bool sr_fdb_learn(struct sr_fdb *t, uint64_t key, unsigned slot);

/* Forgets all addresses behind a slot. */
void sr_fdb_forget(struct sr_fdb *t, unsigned slot);

/* A second has passed. Returns true when addresses are being refused for lack of room and
 * were not a second ago. */
bool sr_fdb_tick(struct sr_fdb *t);

/* Calls fn for each address. */
void sr_fdb_each(struct sr_fdb *t,
		 void (*fn)(void *ctx, uint64_t key, unsigned slot, uint32_t age_s), void *ctx);

#endif
