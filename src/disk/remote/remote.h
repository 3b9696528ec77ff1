/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What disks across a network have in common: requests leave the guest's memory before they
 * leave the channel's thread. Inside of the room only.
 */
#ifndef SR_REMOTE_H
#define SR_REMOTE_H

#include <pthread.h>
#include <slipring/disk_engine.h>
#include <sys/queue.h>

/* Bytes that one job carries at most; longer requests go piece by piece. */
#define REMOTE_PIECE (1u << 20)
/* Those without data: discard, zeroes. */
#define REMOTE_RANGE_MAX (1u << 30)
/* Jobs of one channel under way, so its copies take at most 64 MiB; more requests wait. */
#define REMOTE_JOBS_MAX 64u
/* Jobs of one disk that nobody waits for any more and that have no end yet: with so many no
 * further one is begun, or a guest could fill our memory behind a server that is stuck. */
#define REMOTE_STRAYS_MAX 64u

struct remote_disk;
struct remote_channel;

/* One step of one request, in memory of its own: what the engine's threads work on. */
struct remote_job {
	/* For the engine. Its lists and marks are its own until remote_done. */
	uint8_t op, flags; /* read, write, flush, discard, zeroes */
	uint64_t offset;
	uint32_t len;
	void *buf; /* read, write: len bytes */
	TAILQ_ENTRY(remote_job) link;
	void *engine;
	int result;

	/* remote.c's. */
	struct remote_job *next;
	struct remote_disk *disk;
	struct remote_channel *channel;
	struct sr_disk_req *req;
	uint64_t at;   /* bytes of the request that are done */
	uint32_t room; /* of buf */
	_Atomic int state;
};
TAILQ_HEAD(remote_jobs, remote_job);

/* Jobs from any thread to one that sleeps on an eventfd. */
struct remote_mailbox {
	_Atomic(struct remote_job *) head;
	_Atomic bool armed;
	_Atomic unsigned putting; /* threads in the middle of it */
	int fd;
};
int remote_mailbox_init(struct remote_mailbox *m); /* 0 or a negative errno */
/* Waits for those that are still ringing after their job was taken. */
void remote_mailbox_finish(struct remote_mailbox *m);
void remote_mailbox_put(struct remote_mailbox *m, struct remote_job *j);
struct remote_job *remote_mailbox_take(struct remote_mailbox *m); /* in order of putting */
bool remote_mailbox_arm(struct remote_mailbox *m);		  /* as sr_poller_ops.arm */

struct remote_ops {
	/* From any channel's thread; ends in remote_done on any thread, perhaps before it returns.
	 */
	void (*start)(struct remote_disk *d, struct remote_job *j);
	bool fua; /* start knows SR_DISK_FUA; else a flush follows */
};

/* Embedded first by an engine. */
struct remote_disk {
	struct sr_disk base;
	const struct remote_ops *remote;
	bool fua;
	/* Writes that nobody waits for any more and that may still reach the medium: until they
	 * have an end, nothing else is sent. */
	_Atomic unsigned strays;
	_Atomic unsigned unended; /* strays of all kinds: memory that the engine still has */
	pthread_mutex_t lock; /* the list: taken when channels come and go and when strays end */
	LIST_HEAD(, remote_channel) channels;
};

void remote_disk_init(struct remote_disk *d, const struct remote_ops *ops);
void remote_disk_finish(struct remote_disk *d); /* no job is under way */

/* 0 or a negative errno. */
void remote_done(struct remote_job *j, int result);

/* For the engine's sr_disk_ops. */
struct sr_disk_channel *remote_channel_create(struct sr_disk *d, struct sr_loop *loop,
					      struct sr_error *e);
void remote_channel_destroy(struct sr_disk_channel *c);
void remote_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n);
void remote_reap(struct sr_disk_channel *c);
bool remote_arm(struct sr_disk_channel *c);
int remote_event_fd(struct sr_disk_channel *c);
bool remote_cancel(struct sr_disk_channel *c, struct sr_disk_req *r);

#endif
