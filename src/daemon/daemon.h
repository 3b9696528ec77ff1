/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A running daemon: its loops, its switch with ports, its disks and devices, its control
 * socket.
 */
#ifndef SR_DAEMON_H
#define SR_DAEMON_H

#include "config.h"
#include "daemon_port.h"
#include "storage.h"

struct sr_daemon;

/* Everything in `c` is copied. Ports, disks and devices are there when it returns. NULL with *e
 * filled: nothing is left behind. Its threads inherit the caller's signal mask. */
struct sr_daemon *sr_daemon_create(const struct sr_config *c, struct sr_error *e);

/* Serves until SIGTERM or SIGINT. The caller has blocked those signals; its thread is the
 * control loop. */
int sr_daemon_run(struct sr_daemon *d, struct sr_error *e);

/* Ends all sessions, removes the sockets. NULL is allowed. */
void sr_daemon_destroy(struct sr_daemon *d);

/* All of the following from the control loop, or while sr_daemon_run does not run.
 * -EEXIST, -ENOENT, -ENOSPC and the errors of the system. *key becomes the index of the key
 * of the port that is to blame, or -1; the text leaves out both. */
int sr_daemon_port_add(struct sr_daemon *d, const struct sr_port_config *p, int *key,
		       struct sr_error *e);
int sr_daemon_port_remove(struct sr_daemon *d, const char *name, struct sr_error *e);

/* As sr_daemon_port_add. Disks come and go through the storage itself. */
int sr_daemon_device_add(struct sr_daemon *d, const struct sr_conf_device *c, int *key,
			 struct sr_error *e);

struct sr_daemon_port *sr_daemon_port_find(struct sr_daemon *d, const char *name);
struct sr_daemon_port *sr_daemon_ports(struct sr_daemon *d); /* a list, in order of adding */
struct sr_switch *sr_daemon_switch(struct sr_daemon *d);
struct sr_storage *sr_daemon_storage(struct sr_daemon *d);
const struct sr_config *sr_daemon_config(const struct sr_daemon *d); /* lists left out */
uint64_t sr_daemon_started_ns(const struct sr_daemon *d);

#endif
