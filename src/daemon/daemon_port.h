/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One port of the daemon, whatever its type: a guest's (sr_net behind sr_vhost_user) or a
 * tap of the host. Control loop only.
 */
#ifndef SR_DAEMON_PORT_H
#define SR_DAEMON_PORT_H

#include "config.h"
#include "daemon_site.h"

#include <slipring/net.h>
#include <slipring/switch.h>
#include <slipring/tap.h>

struct sr_daemon_port;

struct sr_daemon_port {
	struct sr_daemon_port *next;
	struct sr_daemon_site *site;
	struct sr_port_config config;
	struct sr_port *port;
	struct sr_net *net; /* vhost-user ports */
	struct sr_vhost_user *back_end;
	struct sr_tap *tap; /* tap ports */
	bool connected;	    /* somebody may send: a guest in session, or a tap */
	bool unplugged;	    /* by the operator */
};

/* Attached to the switch and listening, connecting or up; served from worker
 * `first_worker` on. NULL with *e filled and, in *key, the index of the key that
 * is to blame, or -1. */
struct sr_daemon_port *sr_daemon_port_create(const struct sr_port_config *c,
					     struct sr_daemon_site *site, unsigned first_worker,
					     int *key, struct sr_error *e);
/* Ends the session and takes the port off while the other ports carry on. NULL is allowed. */
void sr_daemon_port_destroy(struct sr_daemon_port *p);

/* -EOPNOTSUPP for a tap, whose link is the host's business. */
int sr_daemon_port_set_link(struct sr_daemon_port *p, bool up, struct sr_error *e);

/* "waiting", "connected" or "running"; a tap is "up". */
const char *sr_daemon_port_state(const struct sr_daemon_port *p);

#endif
