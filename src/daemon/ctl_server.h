/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: JSON-RPC for a bounded number of clients on the control loop. A
 * client that doesn't read its replies is not read from either, so what we keep for one is
 * bounded by one message and the reply to it; nobody waits for anybody.
 */
#ifndef SR_CTL_SERVER_H
#define SR_CTL_SERVER_H

#include "jsonrpc.h"

#include <slipring/error.h>
#include <slipring/loop.h>

#define SR_CTL_CLIENTS_MAX 16u /* one more replaces the one that was silent longest */

struct sr_ctl_server;

struct sr_ctl_server_config {
	struct sr_loop *loop;
	const char *path;
	unsigned permissions;
	const char *group; /* or NULL */
	struct sr_rpc rpc; /* its methods and ctx must outlive the server */
};

struct sr_ctl_server *sr_ctl_server_create(const struct sr_ctl_server_config *c,
					   struct sr_error *e);
void sr_ctl_server_destroy(struct sr_ctl_server *s); /* NULL is allowed */

/* Serves a connected, non-blocking stream socket, taken over. */
int sr_ctl_server_adopt(struct sr_ctl_server *s, int fd, struct sr_error *e);

unsigned sr_ctl_server_clients(const struct sr_ctl_server *s);

#endif
