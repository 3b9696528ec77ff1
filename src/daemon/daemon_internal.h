/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon, for the files that make it up. */
#ifndef SR_DAEMON_INTERNAL_H
#define SR_DAEMON_INTERNAL_H

#include "daemon.h"

struct sr_ctl_server;

struct sr_daemon {
	struct sr_daemon_site site; /* first: the site's callback finds the daemon by it */
	struct sr_config config;
	struct sr_daemon_port *ports;
	unsigned nports;
	struct sr_storage storage;
	struct sr_ctl_server *ctl;
	struct sr_timer *tick;
	bool ticking;
	uint64_t started_ns;
};

/* Makes all parts of it. What is made when it fails is left to sr_daemon_destroy. */
int sr_daemon_start(struct sr_daemon *d, const struct sr_config *c, struct sr_error *e);

void sr_daemon_tick(void *daemon);

#endif
