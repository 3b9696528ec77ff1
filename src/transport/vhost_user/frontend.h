/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end role of vhost-user: what a VMM does. Connects to a back-end, negotiates,
 * shares memory with it and starts and stops its rings.
 *
 * Blocking, one thread at a time; every wait ends after `timeout_ms`. An error of any call
 * leaves the front-end fit for sr_frontend_disconnect only, except where a comment says
 * otherwise.
 */
#ifndef SR_FRONTEND_H
#define SR_FRONTEND_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sr_frontend;

#define SR_FRONTEND_QUEUES_MAX 256u /* kick and call messages have 8 bits for the index */
#define SR_FRONTEND_TIMEOUT_MS 5000u

struct sr_frontend_config {
	const char *socket;	    /* path */
	bool listen;		    /* for back-ends that connect: make the socket, wait */
	unsigned timeout_ms;	    /* for a connection and for each reply; 0 = the above */
	uint64_t features;	    /* virtio features wanted, without wire bits */
	uint64_t required;	    /* those of them without which connecting fails */
	uint64_t protocol_features; /* vhost-user protocol features wanted */
	unsigned queues_unsaid;	    /* how many a back-end without MQ has; 0 = 2 */
};

/* Connects and negotiates: what is wanted and offered is chosen. A bad socket, time-out,
 * refused feature or malformed answer is told in *e. */
struct sr_frontend *sr_frontend_connect(const struct sr_frontend_config *c, struct sr_error *e);
/* Stops rings that run, closes, unmaps the shared memory. NULL is allowed. */
void sr_frontend_disconnect(struct sr_frontend *f);

uint64_t sr_frontend_features(const struct sr_frontend *f);	     /* negotiated */
uint64_t sr_frontend_protocol_features(const struct sr_frontend *f); /* negotiated */
/* What the back-end offers, wanted or not, without wire bits. */
uint64_t sr_frontend_offer(const struct sr_frontend *f);
uint64_t sr_frontend_protocol_offer(const struct sr_frontend *f); /* 0: an old back-end */
/* Queues the back-end can have; without the MQ protocol feature it cannot say: queues_unsaid. */
unsigned sr_frontend_queue_max(const struct sr_frontend *f);

/* Bytes of zeroed memory, mapped here and shown to the back-end as one region; once. From
 * huge pages, when asked for, `bytes` is rounded up. NULL on failure. */
void *sr_frontend_share(struct sr_frontend *f, size_t bytes, bool hugepages, struct sr_error *e);
/* The guest-physical address of that memory's first byte. */
uint64_t sr_frontend_gpa(const struct sr_frontend *f);

/* Starts a ring laid out as sr_drvq_layout() says at `ring` in the shared memory, at avail
 * index `base`; it is disabled at first. */
int sr_frontend_ring_start(struct sr_frontend *f, unsigned queue, const void *ring, uint32_t size,
			   uint16_t base, struct sr_error *e);
int sr_frontend_ring_enable(struct sr_frontend *f, unsigned queue, bool on, struct sr_error *e);
/* When it has returned the back-end does not touch the ring. *base: where to go on. */
int sr_frontend_ring_stop(struct sr_frontend *f, unsigned queue, uint16_t *base,
			  struct sr_error *e);
/* Non-blocking eventfds of a started ring, the front-end's own: write to kick, read when
 * called. */
int sr_frontend_kick_fd(const struct sr_frontend *f, unsigned queue);
int sr_frontend_call_fd(const struct sr_frontend *f, unsigned queue);

/* Reads configuration space. -ENOTSUP without the CONFIG protocol feature, -EINVAL when the
 * back-end refuses the range; the front-end stays usable after these two. */
int sr_frontend_get_config(struct sr_frontend *f, uint32_t offset, void *to, uint32_t len,
			   struct sr_error *e);

/* True when the back-end has closed the connection. Does not block. */
bool sr_frontend_is_closed(const struct sr_frontend *f);

#endif
