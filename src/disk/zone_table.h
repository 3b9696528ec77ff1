/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The zones of an emulated zoned disk: what state each is in, where its write pointer is, who may
 * write where; and the file that remembers the write pointers. Any thread, but for init and
 * finish.
 */
#ifndef SR_ZONE_TABLE_H
#define SR_ZONE_TABLE_H

#include <pthread.h>
#include <slipring/disk.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct zone {
	_Atomic uint64_t word; /* state, life, bytes written: see zone_word.h */
	TAILQ_ENTRY(zone) link;
};
TAILQ_HEAD(zone_list, zone);

/* The file, mapped; or memory, when nothing is to be remembered. */
struct zone_file {
	int fd; /* -1 = none */
	void *map;
	size_t bytes;
};

struct zone_table {
	uint64_t zone_size;
	uint32_t zones, conventional, max_open, max_active;
	struct zone *zone;
	_Atomic uint64_t *saved; /* life and bytes written of each zone, in the file */
	struct zone_file file;

	pthread_mutex_t lock; /* changes of state, and what follows */
	uint32_t open, active;
	struct zone_list implicit; /* implicitly open, the oldest first */
};

/* What a write was promised: kept until it is done. */
struct zone_claim {
	uint64_t offset, len;
	uint32_t life; /* of the zone: a reset ends it */
};

/* `zones` is how many there are. 0 or a negative errno with *e filled. */
int zone_table_init(struct zone_table *t, const char *name, const struct sr_disk_zoned_config *c,
		    uint32_t zones, uint32_t block_size, struct sr_error *e);
void zone_table_finish(struct zone_table *t);

/* Gives [offset, offset + len) to a write, or the place at the write pointer to an append, whose
 * offset is the zone's start: then *c says where. 0, -EPROTO, -EINVAL, -EMFILE or -EOVERFLOW. */
int zone_table_claim(struct zone_table *t, bool append, uint64_t offset, uint64_t len,
		     struct zone_claim *c);
/* It was written, or it was not: then it is taken back if nothing was claimed behind it. */
void zone_table_written(struct zone_table *t, const struct zone_claim *c);
void zone_table_unclaim(struct zone_table *t, const struct zone_claim *c);

/* The zone that starts at `offset`: 0, -EINVAL, -EMFILE or -EOVERFLOW. */
int zone_table_open(struct zone_table *t, uint64_t offset);
int zone_table_close(struct zone_table *t, uint64_t offset);
int zone_table_end(struct zone_table *t, uint64_t offset); /* FINISH */
int zone_table_reset(struct zone_table *t, uint64_t offset);
void zone_table_reset_all(struct zone_table *t);

/* Where in zone n nothing was written yet, from the zone's start; its size on conventional
 * ones. */
uint64_t zone_table_filled(const struct zone_table *t, uint32_t n);
void zone_table_describe(const struct zone_table *t, uint32_t n, struct sr_disk_zone *z);

/* path NULL: in memory. Fills t->file and t->saved. */
int zone_file_open(struct zone_table *t, const char *name, const char *path, uint32_t block_size,
		   struct sr_error *e);
void zone_file_close(struct zone_table *t);

#endif
