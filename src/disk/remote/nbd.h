/* SPDX-License-Identifier: BSD-3-Clause */
/* An NBD disk from the inside: nbd.c has the disk and its jobs, nbd_link.c one connection. */
#ifndef SR_NBD_H
#define SR_NBD_H

#include "remote.h"

#include <libnbd.h>
#include <slipring/loop.h>

#define NBD_LINKS_MAX 16u

struct nbd_disk;

/* One connection, over all its lives. On the disk's own loop. */
struct nbd_link {
	struct nbd_disk *disk;
	struct nbd_handle *h; /* NULL: between two lives */
	struct sr_watch *watch;
	int fd;
	struct sr_timer *timer; /* the next attempt, or the end of a slow one */
	uint64_t retry_ns;
	bool ready, told;
	unsigned load;
	struct remote_jobs flying;   /* sent */
	struct remote_jobs answered; /* since the last look */
};

struct nbd_disk {
	struct remote_disk remote;
	struct sr_loop *loop; /* a thread of its own: libnbd reads and writes there */
	struct remote_mailbox todo;
	struct sr_poller *poller;
	struct remote_jobs queue; /* no connection is ready for these */
	struct nbd_link links[NBD_LINKS_MAX];
	unsigned nlinks;
	char *uri, *tls_certificates, *tls_psk_file;
};

/* A handle with the disk's options, not connected; NULL with *e filled. */
struct nbd_handle *nbd_disk_handle(const struct nbd_disk *d, struct sr_error *e);
/* Sends what is waiting; a connection is ready. */
void nbd_disk_dispatch(struct nbd_disk *d);

/* `h`: connected already, taken over; NULL: to be connected. False: out of memory. */
bool nbd_link_open(struct nbd_link *l, struct nbd_disk *d, struct nbd_handle *h);
void nbd_link_close(struct nbd_link *l);
/* Only when it is ready. */
void nbd_link_send(struct nbd_link *l, struct remote_job *j);
/* After a batch of those: answers that were there at once, a connection that broke. */
void nbd_link_look(struct nbd_link *l);

#endif
