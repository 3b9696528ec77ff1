/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flush of a zoned disk is durable when its write pointers are: a thread of the disk syncs the
 * state file, so that no loop waits for a medium. What waits is what the channels have under
 * way, so there is no other limit.
 */
#ifndef SR_ZONE_SYNC_H
#define SR_ZONE_SYNC_H

#include <pthread.h>
#include <slipring/error.h>
#include <stdbool.h>

struct sr_loop;

/* The submitter's until `done` is called on the loop. */
struct zone_sync_job {
	struct sr_loop *loop;
	void (*done)(void *job);
	int result; /* 0 or a negative errno */
	struct zone_sync_job *next;
};

struct zone_sync {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t more;
	struct zone_sync_job *first, **end;
	bool stop;
};

int zone_sync_start(struct zone_sync *s, int fd, const char *name, struct sr_error *e);
void zone_sync_stop(struct zone_sync *s); /* no job is waiting */
void zone_sync_submit(struct zone_sync *s, struct zone_sync_job *job);

#endif
