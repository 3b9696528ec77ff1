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
#include "daemon.h"
#include "base.h"
#include "ctl_server.h"
#include "methods.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_NS 1000000000ull

struct sr_daemon {
	struct sr_daemon_site site; /* first: the site's callback finds the daemon by it */
	struct sr_config config;
	struct sr_daemon_port *ports;
	unsigned nports, next_worker;
	struct sr_ctl_server *ctl;
	struct sr_timer *tick;
	bool ticking;
	uint64_t started_ns;
};

/* Addresses age by the second, but only while somebody could be heard: a switch whose
 * guests are all gone has nothing to wake up for. */
static bool has_to_age(const struct sr_daemon *d)
{
	for (const struct sr_daemon_port *p = d->ports; p; p = p->next)
		if (p->connected)
			return true;
	return false;
}

static void on_tick(void *ctx)
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
static int check_clash(struct sr_daemon *d, const struct sr_port_config *c, int *key,
		       struct sr_error *e)
{
	for (const struct sr_daemon_port *p = d->ports; p; p = p->next) {
		*key = sr_port_config_clash(c, &p->config);
		if (*key < 0 && same_socket(c->socket, p->config.socket))
			*key = sr_key_find(sr_port_keys, SR_PORT_KEYS, "socket");
		if (*key >= 0)
			return sr_error_set(e, -EEXIST, "port %s has this already", p->config.name);
	}
	*key = sr_key_find(sr_port_keys, SR_PORT_KEYS, "socket");
	if (d->ctl && same_socket(c->socket, d->config.control))
		return sr_error_set(e, -EEXIST, "this is the daemon's control socket");
	*key = -1;
	return 0;
}

int sr_daemon_port_add(struct sr_daemon *d, const struct sr_port_config *c, int *key,
		       struct sr_error *e)
{
	struct sr_daemon_port **end = &d->ports;
	int err = check_clash(d, c, key, e);

	if (err)
		return err;
	if (d->nports == SR_PORTS_MAX)
		return sr_error_set(e, -ENOSPC, "there are %u ports, as many as can be", d->nports);
	while (*end)
		end = &(*end)->next;
	*end = sr_daemon_port_create(c, &d->site, d->next_worker, key, e);
	if (!*end)
		return e ? e->code : -ENOMEM;
	d->nports++;
	d->next_worker = (d->next_worker + 1) % d->site.nworkers;
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

/* A session takes up to one file descriptor a memory region, and three a ring. */
static void raise_fd_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l))
		sr_log(SR_LOG_WARN, "slipring", "can't raise the limit of open files: %s",
		       strerror(errno));
}

static void setting_place(const struct sr_config *c, const char *section, const char *name,
			  char *to, size_t size)
{
	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const struct sr_key *k = &sr_settings[i];

		if (!strcmp(k->section ? k->section : "", section) && !strcmp(k->name, name))
			sr_config_place(c, -1, (int)i, to, size);
	}
}

/* A loop knows nothing of the setting that its CPU comes from. */
static int worker_failed(const struct sr_config *c, int cpu, const struct sr_error *why,
			 struct sr_error *e)
{
	char place[256];

	if (cpu < 0 || why->code != -EINVAL)
		return sr_error_set(e, why->code, "%s", why->text);
	setting_place(c, "", "cpus", place, sizeof(place));
	return sr_error_set(e, why->code,
			    "%s: got %d: there is no such CPU, or this process may not use it",
			    place, cpu);
}

static int create_loops(struct sr_daemon *d, const struct sr_config *c, struct sr_error *e)
{
	struct sr_loop_config control = { .name = "slipring", .cpu = -1 };
	struct sr_error why;

	d->site.control = sr_loop_create(&control, e);
	if (!d->site.control)
		return -1;
	for (unsigned i = 0; i < c->threads; i++) {
		char name[32];
		struct sr_loop_config lc = { .name = name,
					     .cpu = c->cpus.n ? c->cpus.cpu[i] : -1,
					     .poll_us = c->poll_us };

		snprintf(name, sizeof(name), "slipring-%u", i);
		d->site.workers[i] = sr_loop_create(&lc, &why);
		if (!d->site.workers[i])
			return worker_failed(c, lc.cpu, &why, e);
		d->site.nworkers++;
		if (sr_loop_spawn(d->site.workers[i], &why))
			return worker_failed(c, lc.cpu, &why, e);
	}
	return 0;
}

static int create_switch(struct sr_daemon *d, struct sr_error *e)
{
	struct sr_switch_config sc = { .mac_limit = d->config.mac_limit,
				       .age_s = d->config.age_s,
				       .wait_us = d->config.wait_us };

	d->site.sw = sr_switch_create(&sc, e);
	if (!d->site.sw)
		return -1;
	d->tick = sr_timer_create(d->site.control, on_tick, d);
	if (!d->tick)
		return sr_error_set(e, -ENOMEM, "out of memory");
	return 0;
}

/* Says what the path is for and what to do: mostly another daemon is there. */
static int control_failed(const struct sr_config *c, const char *path, const struct sr_error *why,
			  struct sr_error *e)
{
	const char *option = c->file ? "control.socket" : "--control", *advice = ":";
	/* The text begins with the path when it is about it. */
	bool named = !strncmp(why->text, path, strlen(path));
	char place[256] = "";

	if (c->file) {
		setting_place(c, "control", "socket", place, sizeof(place) - 2);
		strcat(place, ": ");
	}
	if (why->code == -EADDRINUSE)
		advice = ": is a daemon running already?";
	else if (why->code == -ENOENT)
		advice = ": its directory must be there;";
	/* -EPERM is about the group, with which any path would fare the same. */
	if (why->code == -EPERM)
		return sr_error_set(e, why->code, "%scontrol socket %.200s", place, why->text);
	return sr_error_set(e, why->code, "%scontrol socket %s%s%.200s%s give %s another path",
			    place, named ? "" : path, named ? "" : ": ", why->text, advice, option);
}

static int check_control_group(const struct sr_config *c, struct sr_error *e)
{
	char place[256];

	if (!c->control_group[0] || sr_group_exists(c->control_group))
		return 0;
	setting_place(c, "control", "group", place, sizeof(place));
	return sr_error_set(e, -ENOENT, "%s: got '%s', expected a group of this system", place,
			    c->control_group);
}

static int create_control(struct sr_daemon *d, const struct sr_config *given, struct sr_error *e)
{
	struct sr_config *c = &d->config;
	struct sr_error why;
	struct sr_ctl_server_config cc = { .loop = d->site.control,
					   .path = c->control,
					   .permissions = c->control_permissions,
					   .group = c->control_group[0] ? c->control_group : NULL,
					   .rpc = sr_methods(d) };

	if (!strcmp(c->control, "none"))
		return 0;
	if (!c->control[0] && sr_control_path_default(c->control, sizeof(c->control), e))
		return -1;
	if (!cc.permissions)
		cc.permissions = 0600;
	if (check_control_group(given, e))
		return -1;
	d->ctl = sr_ctl_server_create(&cc, &why);
	if (!d->ctl)
		return control_failed(given, c->control, &why, e);
	sr_log(SR_LOG_INFO, "control", "listening on %s", c->control);
	return 0;
}

static int create_parts(struct sr_daemon *d, const struct sr_config *c, struct sr_error *e)
{
	struct sr_error why;
	char place[256];
	int key;

	raise_fd_limit();
	if (create_loops(d, c, e) || create_switch(d, e) || create_control(d, c, e))
		return -1;
	for (unsigned i = 0; i < c->nports; i++) {
		if (!sr_daemon_port_add(d, &c->ports[i], &key, &why))
			continue;
		sr_config_place(c, (int)i, key, place, sizeof(place));
		return sr_error_set(e, why.code, "%s: %.250s", place, why.text);
	}
	return 0;
}

struct sr_daemon *sr_daemon_create(const struct sr_config *c, struct sr_error *e)
{
	struct sr_daemon *d = calloc(1, sizeof(*d));

	if (!d) {
		sr_error_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	d->config = *c;
	d->config.ports = NULL;
	d->config.nports = 0;
	d->config.file = NULL;
	d->config.marks = NULL;
	d->site.changed = ports_changed;
	d->started_ns = sr_now_ns();
	sr_log_level((enum sr_log_level)c->log);
	if (create_parts(d, c, e)) {
		sr_daemon_destroy(d);
		return NULL;
	}
	return d;
}

struct stopper {
	struct sr_daemon *daemon;
	int fd;
};

static void on_signal(void *ctx, uint32_t events)
{
	struct stopper *s = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	sr_log(SR_LOG_INFO, "slipring", "ends by %s",
	       info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
	sr_loop_stop(s->daemon->site.control);
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
	s.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.fd < 0)
		return sr_error_set(e, -errno, "signalfd: %s", strerror(errno));
	watch = sr_watch_create(d->site.control, s.fd, EPOLLIN, on_signal, &s, e);
	err = watch ? sr_loop_run(d->site.control, e) : -1;
	sr_watch_destroy(watch);
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
uint64_t sr_daemon_started_ns(const struct sr_daemon *d)
{
	return d->started_ns;
}
