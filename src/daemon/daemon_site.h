/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SR_DAEMON_SITE_H
#define SR_DAEMON_SITE_H

#include "config.h"

struct sr_loop;
struct sr_switch;

/* What ports and devices are built into; outlives them. */
struct sr_daemon_site {
	struct sr_switch *sw;
	struct sr_loop *control;
	struct sr_loop *workers[SR_THREADS_MAX];
	unsigned nworkers, next_worker;
	/* A session of a port has begun or ended. */
	void (*changed)(struct sr_daemon_site *site);
	/* The only session that a device was to have is over. */
	void (*over)(struct sr_daemon_site *site);
};

/* The worker from which on the queues of the next port or device are served: from a different
 * one for each. */
static inline unsigned sr_daemon_site_deal(struct sr_daemon_site *site)
{
	unsigned w = site->next_worker;

	site->next_worker = (w + 1) % site->nworkers;
	return w;
}

#endif
