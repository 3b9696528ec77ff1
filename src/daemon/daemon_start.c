/* SPDX-License-Identifier: BSD-3-Clause */
/* What a daemon's start makes, in order, and how a failure is blamed on the setting it comes
 * from. */
#include "base.h"
#include "ctl_server.h"
#include "daemon_internal.h"
#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

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
			sr_config_setting_place(c, i, to, size);
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
	d->tick = sr_timer_create(d->site.control, sr_daemon_tick, d);
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

static int add_item(struct sr_daemon *d, const struct sr_config *c, enum sr_kind_id kind,
		    unsigned i, int *key, struct sr_error *e)
{
	const void *item = sr_config_item(c, kind, i);

	switch (kind) {
	case SR_PORTS:
		return sr_daemon_port_add(d, item, key, e);
	case SR_DISKS:
		return sr_storage_disk_add(&d->storage, item, key, e);
	case SR_BLKS:
	case SR_SCSIS:
		return sr_daemon_device_add(d, item, key, e);
	default:
		break;
	}
	const struct sr_conf_lun *lun = item;
	const struct sr_conf_device *scsi = sr_config_item(c, SR_SCSIS, lun->scsi);

	return sr_storage_lun_add(&d->storage, scsi->name, lun, key, e);
}

/* Kind by kind: ports, disks, devices, units. No guest is answered before all are there. */
static int add_items(struct sr_daemon *d, const struct sr_config *c, struct sr_error *e)
{
	struct sr_error why;
	char place[256];
	int key;

	for (unsigned k = 0; k < SR_KINDS; k++) {
		for (unsigned i = 0; i < c->lists[k].n; i++) {
			enum sr_kind_id kind = (enum sr_kind_id)k;

			if (!add_item(d, c, kind, i, &key, &why))
				continue;
			sr_config_place(c, kind, i, key, place, sizeof(place));
			return sr_error_set(e, why.code, "%s: %.250s", place, why.text);
		}
	}
	return 0;
}

int sr_daemon_start(struct sr_daemon *d, const struct sr_config *c, struct sr_error *e)
{
	raise_fd_limit();
	if (create_loops(d, c, e) || sr_storage_init(&d->storage, &d->site, e) ||
	    create_switch(d, e) || create_control(d, c, e))
		return -1;
	return add_items(d, c, e);
}
