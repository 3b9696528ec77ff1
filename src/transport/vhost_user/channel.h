/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole vhost-user messages over a unix stream socket; for both roles and for the back-end's
 * own channel.
 */
#ifndef SR_VU_CHANNEL_H
#define SR_VU_CHANNEL_H

#include "message.h"

/* The receiving half: keeps what has arrived of a message that is not whole yet. */
struct sr_vu_channel {
	int fd;	      /* the caller's; non-blocking where the caller must not wait */
	uint32_t got; /* bytes of header and payload */
	struct sr_vu_message m;
};

void sr_vu_channel_init(struct sr_vu_channel *c, int fd);
/* Closes the file descriptors that nobody took; the socket stays the caller's. */
void sr_vu_channel_finish(struct sr_vu_channel *c);

/* Takes in what is there. 1: a whole message in c->m, valid until the next call, which also
 * closes what file descriptors were not taken from it. 0: not whole yet. -EPIPE: the peer
 * has closed between two messages. -EPROTO: it has closed inside one, sent fds elsewhere than
 * at the header's first byte, more than SR_VU_FDS_MAX, or a payload above
 * SR_VU_PAYLOAD_MAX (refused when the header is there, nothing of it is read). Else recvmsg's
 * errno. */
int sr_vu_channel_receive(struct sr_vu_channel *c, struct sr_error *e);

/* Sends one message; the fds stay the caller's. Never waits, whatever the socket's mode: where
 * the peer's buffer is full, -EAGAIN. There is no queue behind it: a peer reads the answer to
 * each of its requests before it needs another, so one that has left a whole socket
 * buffer unread (some hundred messages) is given up. Unix sockets take a message of this size
 * whole or not at all; -EIO if one ever were cut. */
int sr_vu_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	       const int *fds, unsigned nfds);

#endif
