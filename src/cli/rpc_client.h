/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls a daemon over its control socket. */
#ifndef SR_RPC_CLIENT_H
#define SR_RPC_CLIENT_H

#include <jansson.h>
#include <slipring/error.h>

struct sr_rpc_client;

/* The error says what to do next when nobody listens. */
struct sr_rpc_client *sr_rpc_client_open(const char *path, struct sr_error *e);
void sr_rpc_client_close(struct sr_rpc_client *c); /* NULL is allowed */

/* Takes the reference to `params`, which may be NULL. Returns a new reference to the
 * result, or NULL with *e filled, by the daemon's own words where it answered. */
json_t *sr_rpc_client_call(struct sr_rpc_client *c, const char *method, json_t *params,
			   struct sr_error *e);

#endif
