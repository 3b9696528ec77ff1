/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user back-end: serves one device on one unix socket to one front-end at a time,
 * for ever: when a session ends, by the front-end's will, its death or its malformed
 * message, the next is awaited (server) or sought (client). Only a connected socket that was
 * passed to it is served once.
 *
 * A device whose requests take time is drained before a ring of it is stopped or its memory
 * changes, and at the end of a session, so that the writes of a guest that died are done before
 * the next session begins. Meanwhile its front-end waits for the answer, nobody else does.
 */
#ifndef SLIPRING_VHOST_USER_H
#define SLIPRING_VHOST_USER_H

#include <slipring/device.h>
#include <slipring/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_vhost_user;

enum sr_vhost_user_mode {
	SR_VHOST_USER_SERVER,
	SR_VHOST_USER_CLIENT
};

/* Everything is copied except `device` and the loops, which must outlive the back-end. */
struct sr_vhost_user_config {
	struct sr_device *device;
	struct sr_loop *control;	/* messages are handled here */
	struct sr_loop *const *workers; /* queues are spread over these: queue q is served by
					 * worker (first_worker + q / queues_a_lane) % nworkers */
	unsigned nworkers;
	unsigned first_worker;
	const char *socket; /* path; NULL when `fd` is given */
	/* Server: a socket passed to us, taken over on success; else -1. A listening one is
	 * used as one of our own. A connected one is a session already, the only one: when it
	 * has ended the back-end is SR_VHOST_USER_OVER. */
	int fd;
	enum sr_vhost_user_mode mode;
	int socket_mode;	  /* permissions of the listening socket, e.g. 0660; 0 = 0600 */
	const char *socket_group; /* or NULL */
	/* How long requests may take to finish when they have to; 0 = 5000, and a tenth of it for
	 * what is stopped shortly after that was used up. Then they are abandoned: what the
	 * in-flight record keeps is taken up again later, the rest fails. A session with requests
	 * that cannot be abandoned ends, and keeps the guest's memory and its place until they
	 * are finished (SR_VHOST_USER_DRAINING). */
	unsigned drain_ms;
	/* Called on the control loop when a session begins or ends, except when
	 * sr_vhost_user_destroy ends it; must not destroy the back-end. Optional. */
	void (*changed)(void *ctx, bool connected);
	void *ctx;
};

/* From the control loop. Listens or begins to connect (the first attempt is made when it has
 * returned, and the session of a connected `fd` begins then). Further front-ends wait in the
 * listening socket's backlog until the session that is served has ended. A socket file that nobody
 * listens on is replaced; a live one is never touched: -EADDRINUSE. Anything else in its place:
 * -EEXIST. */
struct sr_vhost_user *sr_vhost_user_create(const struct sr_vhost_user_config *c,
					   struct sr_error *e);
/* From the control loop, once. Removes the socket file it made, ends the session in the
 * background: requests finish or, after drain_ms, are abandoned. `done` is called on the control
 * loop, never before this has returned, when nothing is left; it may destroy the back-end. */
void sr_vhost_user_close(struct sr_vhost_user *v, void (*done)(void *ctx), void *ctx);
/* From the control loop. After sr_vhost_user_close and its `done` it is immediate, and before
 * `done` as without it: ends the session, abandons its requests at once, and where the device
 * cannot, waits until they are finished; their loop must not be the control loop then. Removes
 * the socket file it made. NULL is allowed. */
void sr_vhost_user_destroy(struct sr_vhost_user *v);

enum sr_vhost_user_state {
	SR_VHOST_USER_WAITING,
	SR_VHOST_USER_CONNECTED,
	SR_VHOST_USER_RUNNING,	/* at least one ring started */
	SR_VHOST_USER_DRAINING, /* its session is over, but requests of it are not finished yet */
	SR_VHOST_USER_OVER /* of a connected socket that was passed: no session comes any more */
};

/* From the control loop. */
struct sr_vhost_user_info {
	enum sr_vhost_user_state state;
	uint64_t features;	    /* negotiated virtio features, with wire bits 26 and 30 */
	uint64_t protocol_features; /* negotiated */
	unsigned queues_started;
	const struct sr_mem *mem; /* NULL while not connected */
	uint64_t sessions;	  /* begun since create */
	char last_error[256];	  /* why the last session ended badly, or "" */
};
void sr_vhost_user_info(const struct sr_vhost_user *v, struct sr_vhost_user_info *info);

/* The name of a protocol feature bit ("REPLY_ACK"), or NULL. */
const char *sr_vhost_user_protocol_feature_name(unsigned bit);

#ifdef __cplusplus
}
#endif
#endif
