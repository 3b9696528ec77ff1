/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation. The thread that calls sr_daemon_run is the control loop: vhost-user
 * messages, the control socket, signals, aging. Workers, one loop a thread, carry frames.
 * A port's queues are dealt to the workers from a different one for each port.
 *
 * Rejected: messages handled by the worker that serves the queues. It saves the two thread
 * switches at the start of a session, and puts every mmap, every slow client of the control
 * socket and every log line in the way of frames.
 *
 * The control loop changes what workers use only through calls that stop the one queue or
 * poller concerned; removal of a port is the one place that waits for all workers, once.
 */
#include "base.h"
#include "ctl_server.h"
#include "daemon_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_NS 1000000000ull
#define STOP_NS 3000000000ull /* for requests under way at the end */

/* Addresses age by the second, but only while somebody could be heard: a switch whose
 * guests are all gone has nothing to wake up for. */
static bool has_to_age(const struct sr_daemon *d)
{
	for (const struct sr_daemon_port *p = d->ports; p; p = p->next)
		if (p->connected)
			return true;
	return false;
}

void sr_daemon_tick(void *ctx)
{
	struct sr_daemon *d = ctx;

	sr_switch_tick(d->site.sw);
	d->ticking = has_to_age(d);
	if (d->ticking)
		sr_timer_set(d->tick, TICK_NS);
}

static void ports_changed(struct sr_daemon_site *site)
{
	struct sr_daemon *d = SR_CONTAINER_OF(site, struct sr_daemon, site);

	if (d->ticking || !has_to_age(d))
		return;
	d->ticking = true;
	sr_timer_set(d->tick, TICK_NS);
}

/* Only the programs for one device are given a connection, and they live for that device. */
static void device_over(struct sr_daemon_site *site)
{
	sr_log(SR_LOG_INFO, "slipring", "ends: the connection passed by --fd is closed");
	sr_loop_stop(site->control);
}

struct sr_daemon_port *sr_daemon_port_find(struct sr_daemon *d, const char *name)
{
	struct sr_daemon_port *p = d->ports;

	while (p && strcmp(p->config.name, name))
		p = p->next;
	return p;
}

/* The same file by another path, too: one of them may be relative. */
static bool same_socket(const char *a, const char *b)
{
	struct stat sa, sb;

	if (!*a || !*b)
		return false;
	return !strcmp(a, b) ||
	       (!stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino);
}

/* What is ours is told by looking at what we have: its socket, asked, would take us for a
 * front-end. */
static const char *whose(struct sr_daemon *d, enum sr_kind_id kind, const void *item,
			 const char *socket, int *key, const char **noun)
{
	*noun = "port";
	for (const struct sr_daemon_port *p = d->ports; p; p = p->next) {
		*key = sr_config_same(kind, item, SR_PORTS, &p->config);
		if (*key >= 0 || same_socket(socket, p->config.socket))
			return p->config.name;
	}
	*noun = "device";
	for (const struct sr_daemon_device *v = d->storage.devices; v; v = v->next) {
		*key = sr_config_same(kind, item, sr_daemon_device_kind(v), &v->config);
		if (*key >= 0 || same_socket(socket, v->config.socket))
			return v->config.name;
	}
	return NULL;
}

static int check_clash(struct sr_daemon *d, enum sr_kind_id kind, const void *item,
		       const char *socket, int *key, struct sr_error *e)
{
	int socket_key = sr_kind_key(sr_kinds[kind], "socket");
	const char *noun, *name = whose(d, kind, item, socket, key, &noun);

	if (name && *key < 0)
		*key = socket_key;
	if (name)
		return sr_error_set(e, -EEXIST, "%s %s has this already", noun, name);
	*key = socket_key;
	if (d->ctl && same_socket(socket, d->config.control))
		return sr_error_set(e, -EEXIST, "this is the daemon's control socket");
	*key = -1;
	return 0;
}

int sr_daemon_device_add(struct sr_daemon *d, const struct sr_conf_device *c, int *key,
			 struct sr_error *e)
{
	enum sr_kind_id kind = c->type == SR_DEVICE_BLK ? SR_BLKS : SR_SCSIS;
	int err = check_clash(d, kind, c, c->socket, key, e);

	return err ? err : sr_storage_device_add(&d->storage, c, key, e);
}

int sr_daemon_port_add(struct sr_daemon *d, const struct sr_port_config *c, int *key,
		       struct sr_error *e)
{
	struct sr_daemon_port **end = &d->ports;
	int err = check_clash(d, SR_PORTS, c, c->socket, key, e);

	if (err)
		return err;
	if (d->nports == SR_PORTS_MAX)
		return sr_error_set(e, -ENOSPC, "there are %u ports, as many as can be", d->nports);
	while (*end)
		end = &(*end)->next;
	*end = sr_daemon_port_create(c, &d->site, sr_daemon_site_deal(&d->site), key, e);
	if (!*end)
		return e ? e->code : -ENOMEM;
	d->nports++;
	ports_changed(&d->site);
	return 0;
}

int sr_daemon_port_remove(struct sr_daemon *d, const char *name, struct sr_error *e)
{
	for (struct sr_daemon_port **at = &d->ports; *at; at = &(*at)->next) {
		struct sr_daemon_port *p = *at;

		if (strcmp(p->config.name, name))
			continue;
		*at = p->next;
		d->nports--;
		sr_log(SR_LOG_INFO, p->config.name, "port removed");
		sr_daemon_port_destroy(p);
		return 0;
	}
	return sr_error_set(e, -ENOENT, "no port named %s", name);
}

struct sr_daemon *sr_daemon_create(const struct sr_config *c, struct sr_error *e)
{
	struct sr_daemon *d = calloc(1, sizeof(*d));

	if (!d) {
		sr_error_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	d->config = *c;
	memset(d->config.lists, 0, sizeof(d->config.lists));
	d->config.file = NULL;
	d->config.marks = NULL;
	d->site.changed = ports_changed;
	d->site.over = device_over;
	d->started_ns = sr_now_ns();
	sr_log_level((enum sr_log_level)c->log);
	if (sr_daemon_start(d, c, e)) {
		sr_daemon_destroy(d);
		return NULL;
	}
	return d;
}

/* The way out: guests' requests under way get a moment to finish, so that nobody sees an
 * error of a disk that only its daemon left. A second signal cuts it short. */
struct stopper {
	struct sr_daemon *daemon;
	struct sr_timer *limit;
	bool stopping;
	int fd;
};

static void stop_loop(void *ctx)
{
	struct stopper *s = ctx;

	sr_loop_stop(s->daemon->site.control);
}

static void on_signal(void *ctx, uint32_t events)
{
	struct stopper *s = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	sr_log(SR_LOG_INFO, "slipring", "ends by %s",
	       info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
	if (s->stopping) {
		stop_loop(s);
		return;
	}
	s->stopping = true;
	sr_timer_set(s->limit, STOP_NS);
	sr_storage_close(&s->daemon->storage, stop_loop, s);
}

int sr_daemon_run(struct sr_daemon *d, struct sr_error *e)
{
	struct stopper s = { .daemon = d };
	struct sr_watch *watch;
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	s.limit = sr_timer_create(d->site.control, stop_loop, &s);
	if (!s.limit)
		return sr_error_set(e, -ENOMEM, "out of memory");
	s.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.fd < 0) {
		err = sr_error_set(e, -errno, "signalfd: %s", strerror(errno));
		sr_timer_destroy(s.limit);
		return err;
	}
	watch = sr_watch_create(d->site.control, s.fd, EPOLLIN, on_signal, &s, e);
	err = watch ? sr_loop_run(d->site.control, e) : -1;
	sr_watch_destroy(watch);
	sr_timer_destroy(s.limit);
	close(s.fd);
	return err;
}

void sr_daemon_destroy(struct sr_daemon *d)
{
	if (!d)
		return;
	sr_ctl_server_destroy(d->ctl);
	while (d->ports) {
		struct sr_daemon_port *p = d->ports;

		d->ports = p->next;
		sr_daemon_port_destroy(p);
	}
	sr_storage_finish(&d->storage);
	sr_timer_destroy(d->tick);
	sr_switch_destroy(d->site.sw);
	for (unsigned i = 0; i < d->site.nworkers; i++)
		sr_loop_destroy(d->site.workers[i]);
	sr_loop_destroy(d->site.control);
	free(d);
}

struct sr_daemon_port *sr_daemon_ports(struct sr_daemon *d)
{
	return d->ports;
}
struct sr_switch *sr_daemon_switch(struct sr_daemon *d)
{
	return d->site.sw;
}
const struct sr_config *sr_daemon_config(const struct sr_daemon *d)
{
	return &d->config;
}
struct sr_storage *sr_daemon_storage(struct sr_daemon *d)
{
	return &d->storage;
}
uint64_t sr_daemon_started_ns(const struct sr_daemon *d)
{
	return d->started_ns;
}
