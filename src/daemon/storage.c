/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage.h"
#include "base.h"

#include <slipring/loop.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct sr_daemon_disk *sr_storage_disk_find(const struct sr_storage *s, const char *name)
{
	struct sr_daemon_disk *d = s->disks;

	while (d && strcmp(d->config.name, name))
		d = d->next;
	return d;
}

struct sr_daemon_device *sr_storage_device_find(const struct sr_storage *s, const char *name)
{
	struct sr_daemon_device *v = s->devices;

	while (v && strcmp(v->config.name, name))
		v = v->next;
	return v;
}

struct sr_daemon_lun *sr_storage_lun_find(const struct sr_daemon_device *v, unsigned target,
					  unsigned lun)
{
	struct sr_daemon_lun *l = v->luns;

	while (l && (l->config.target != target || l->config.lun != lun))
		l = l->next;
	return l;
}

void sr_storage_disk_users(const struct sr_storage *s, const struct sr_daemon_disk *d,
			   bool (*user)(void *ctx, const struct sr_daemon_device *v,
					const struct sr_daemon_lun *l),
			   void *ctx)
{
	for (const struct sr_daemon_device *v = s->devices; v; v = v->next) {
		if (v->disk == d && !user(ctx, v, NULL))
			return;
		for (const struct sr_daemon_lun *l = v->luns; l; l = l->next)
			if (l->disk == d && !user(ctx, v, l))
				return;
	}
}

struct text {
	char to[256];
};

static bool add_user(void *ctx, const struct sr_daemon_device *v, const struct sr_daemon_lun *l)
{
	struct text *t = ctx;
	bool going = v->removing || (l && l->removing);
	size_t used = strlen(t->to);
	char lun[24] = "";

	if (used > sizeof(t->to) - SR_NAME_MAX - sizeof(", ... 255:16383 (removing)")) {
		strcat(t->to, ", ...");
		return false;
	}
	if (l)
		snprintf(lun, sizeof(lun), " %u:%u", l->config.target, l->config.lun);
	snprintf(t->to + used, sizeof(t->to) - used, "%s%s%s%s", used ? ", " : "", v->config.name,
		 lun, going ? " (removing)" : "");
	return true;
}

int sr_storage_disk_add(struct sr_storage *s, const struct sr_conf_disk *c, int *key,
			struct sr_error *e)
{
	struct sr_daemon_disk **end = &s->disks;

	*key = sr_kind_key(&sr_disk_kind, "name");
	if (sr_storage_disk_find(s, c->name))
		return sr_error_set(e, -EEXIST, "a disk named %s is there already", c->name);
	*key = -1;
	if (s->ndisks == SR_DISKS_MAX)
		return sr_error_set(e, -ENOSPC, "there are %u disks, as many as can be", s->ndisks);
	while (*end)
		end = &(*end)->next;
	*end = sr_daemon_disk_create(c, key, e);
	if (!*end)
		return e ? e->code : -EINVAL;
	s->ndisks++;
	return 0;
}

int sr_storage_disk_remove(struct sr_storage *s, struct sr_daemon_disk *d, struct sr_error *e)
{
	struct sr_daemon_disk **at = &s->disks;
	struct text users = { "" };

	sr_storage_disk_users(s, d, add_user, &users);
	if (users.to[0])
		return sr_error_set(e, -EBUSY, "disk %s is in use by %s", d->config.name, users.to);
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	s->ndisks--;
	sr_log(SR_LOG_INFO, d->config.name, "disk removed");
	sr_daemon_disk_destroy(d);
	return 0;
}

struct sharing {
	struct sr_disk_use use;
	const struct sr_daemon_device *other;
};

static bool disagrees(void *ctx, const struct sr_daemon_device *v, const struct sr_daemon_lun *l)
{
	struct sharing *s = ctx;
	struct sr_disk_use use = { l != NULL, l ? l->config.read_only : v->config.read_only };

	if (!sr_disk_uses_agree(&s->use, &use))
		s->other = v;
	return !s->other;
}

/* The disk that a new user names, if he may have it. */
static struct sr_daemon_disk *disk_for(struct sr_storage *s, const char *name, bool scsi,
				       bool read_only, struct sr_error *e)
{
	struct sr_daemon_disk *d = sr_storage_disk_find(s, name);
	struct sharing sharing = { .use = { scsi, read_only } };

	if (!d) {
		sr_error_set(e, -ENOENT, "got '%s', expected the name of a disk", name);
		return NULL;
	}
	if (!sr_disk_info(d->disk)->read_only)
		sr_storage_disk_users(s, d, disagrees, &sharing);
	if (sharing.other) {
		sr_error_set(e, -EBUSY, "got '%s', which device %s uses: " SR_SHARING_RULE, name,
			     sharing.other->config.name);
		return NULL;
	}
	return d;
}

int sr_storage_device_add(struct sr_storage *s, const struct sr_conf_device *c, int *key,
			  struct sr_error *e)
{
	struct sr_daemon_device **end = &s->devices;
	struct sr_daemon_disk *disk = NULL;

	*key = -1;
	if (s->ndevices == SR_DEVICES_MAX)
		return sr_error_set(e, -ENOSPC, "there are %u devices, as many as can be",
				    s->ndevices);
	if (c->type == SR_DEVICE_BLK) {
		*key = sr_kind_key(&sr_blk_kind, "disk");
		disk = disk_for(s, c->disk, false, c->read_only, e);
		if (!disk)
			return -EINVAL;
	}
	while (*end)
		end = &(*end)->next;
	*end = sr_daemon_device_create(s, c, disk, key, e);
	if (!*end)
		return e ? e->code : -EINVAL;
	s->ndevices++;
	return 0;
}

static bool is_gone(const struct sr_daemon_device *v)
{
	for (const struct sr_daemon_lun *l = v->luns; l; l = l->next)
		if (l->removing)
			return false; /* its callback is still to come */
	return v->closed;
}

/* By a timer: what tells that something has ended is a callback from inside of it. */
static void reap(void *ctx)
{
	struct sr_storage *s = ctx;
	struct sr_daemon_device **at = &s->devices;

	while (*at) {
		struct sr_daemon_device *v = *at;

		if (!is_gone(v)) {
			at = &v->next;
			continue;
		}
		*at = v->next;
		s->ndevices--;
		if (!s->empty)
			sr_log(SR_LOG_INFO, v->config.name, "device removed");
		sr_daemon_device_destroy(v);
	}
	if (!s->devices && s->empty)
		s->empty(s->ctx);
}

int sr_storage_init(struct sr_storage *s, struct sr_daemon_site *site, struct sr_error *e)
{
	s->site = site;
	s->reaper = sr_timer_create(site->control, reap, s);
	return s->reaper ? 0 : sr_error_set(e, -ENOMEM, "out of memory");
}

static void closed(void *ctx)
{
	struct sr_daemon_device *v = ctx;

	v->closed = true;
	sr_timer_set(v->storage->reaper, 0);
}

void sr_storage_device_remove(struct sr_daemon_device *v)
{
	if (v->removing)
		return;
	v->removing = true;
	sr_vhost_user_close(v->back_end, closed, v);
}

static int attach(struct sr_daemon_device *v, struct sr_daemon_lun *l, int *key, struct sr_error *e)
{
	struct sr_scsi_unit *u = sr_daemon_disk_unit_get(l->disk, &l->config, key, e);
	int err;

	if (!u)
		return -EINVAL;
	err = sr_scsi_attach(v->scsi, l->config.target, l->config.lun, u, e);
	if (err)
		sr_daemon_disk_unit_put(l->disk);
	return err;
}

static int check_place(const struct sr_daemon_device *v, const char *name,
		       const struct sr_conf_lun *c, int *key, struct sr_error *e)
{
	const struct sr_daemon_lun *l;

	*key = -1;
	if (!v || !v->scsi)
		return sr_error_set(e, -ENOENT, "%s is no SCSI device", name);
	if (v->removing)
		return sr_error_set(e, -EBUSY, "device %s is being removed", name);
	*key = sr_kind_key(&sr_lun_kind, "lun");
	l = sr_storage_lun_find(v, c->target, c->lun);
	if (l)
		return sr_error_set(e, -EEXIST, "unit %u:%u is there already%s", c->target, c->lun,
				    l->removing ? ", being removed" : "");
	*key = sr_kind_key(&sr_lun_kind, "disk");
	for (l = v->luns; l; l = l->next)
		if (l->config.target == c->target && !strcmp(l->config.disk, c->disk))
			return sr_error_set(
				e, -EEXIST,
				"got '%s', which unit %u:%u is: a disk is one unit of a "
				"target",
				c->disk, l->config.target, l->config.lun);
	return 0;
}

int sr_storage_lun_add(struct sr_storage *s, const char *device, const struct sr_conf_lun *c,
		       int *key, struct sr_error *e)
{
	struct sr_daemon_device *v = sr_storage_device_find(s, device);
	struct sr_daemon_lun *l, **end;
	int err = check_place(v, device, c, key, e);

	if (err)
		return err;
	*key = sr_kind_key(&sr_lun_kind, "disk");
	l = calloc(1, sizeof(*l));
	if (!l)
		return sr_error_set(e, -ENOMEM, "out of memory");
	l->device = v;
	l->config = *c;
	l->disk = disk_for(s, c->disk, true, c->read_only, e);
	err = l->disk ? attach(v, l, key, e) : -EINVAL;
	if (err) {
		free(l);
		return err;
	}
	for (end = &v->luns; *end; end = &(*end)->next)
		;
	*end = l;
	return 0;
}

static void detached(void *ctx)
{
	struct sr_daemon_lun *l = ctx, **at = &l->device->luns;
	struct sr_daemon_device *v = l->device;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	sr_log(SR_LOG_INFO, v->config.name, "unit %u:%u removed", l->config.target, l->config.lun);
	sr_daemon_disk_unit_put(l->disk);
	free(l);
	sr_timer_set(v->storage->reaper, 0);
}

int sr_storage_lun_remove(struct sr_daemon_lun *l, struct sr_error *e)
{
	int err;

	if (l->removing || l->device->removing)
		return 0;
	l->removing = true;
	err = sr_scsi_detach(l->device->scsi, l->config.target, l->config.lun, detached, l, e);
	if (err)
		l->removing = false;
	return err;
}

void sr_storage_close(struct sr_storage *s, void (*empty)(void *ctx), void *ctx)
{
	s->empty = empty;
	s->ctx = ctx;
	for (struct sr_daemon_device *v = s->devices; v; v = v->next)
		sr_storage_device_remove(v);
	sr_timer_set(s->reaper, 0);
}

void sr_storage_finish(struct sr_storage *s)
{
	while (s->devices) {
		struct sr_daemon_device *v = s->devices;

		s->devices = v->next;
		sr_daemon_device_destroy(v);
	}
	while (s->disks) {
		struct sr_daemon_disk *d = s->disks;

		s->disks = d->next;
		sr_daemon_disk_destroy(d);
	}
	sr_timer_destroy(s->reaper);
	s->reaper = NULL;
}
