/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be asked of a running daemon over its control socket. */
#ifndef SR_METHODS_H
#define SR_METHODS_H

#include "jsonrpc.h"

struct sr_daemon;

#define SR_STORAGE_METHODS 14u
extern const struct sr_rpc_method sr_storage_methods[SR_STORAGE_METHODS]; /* ctx: the daemon */

struct sr_rpc sr_methods(struct sr_daemon *d);

#endif
