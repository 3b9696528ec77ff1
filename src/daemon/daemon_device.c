/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int create_blk(struct sr_daemon_device *v, struct sr_error *e)
{
	const struct sr_conf_device *c = &v->config;
	struct sr_blk_config bc = { .name = c->name,
				    .disk = v->disk->disk,
				    .queues = c->queues,
				    .serial = c->serial[0] ? c->serial : NULL,
				    .read_only = c->read_only,
				    .writethrough = c->cache == SR_CACHE_WRITETHROUGH };

	v->blk = sr_blk_create(&bc, e);
	return v->blk ? 0 : -1;
}

static int create_scsi(struct sr_daemon_device *v, struct sr_error *e)
{
	struct sr_scsi_config sc = { .name = v->config.name,
				     .queues = v->config.queues,
				     .control = v->storage->site->control };

	v->scsi = sr_scsi_create(&sc, e);
	return v->scsi ? 0 : -1;
}

/* Nobody can come any more: whoever passed us the connection waits for our end. */
static void session_changed(void *ctx, bool connected)
{
	struct sr_daemon_device *v = ctx;
	struct sr_vhost_user_info info;

	sr_vhost_user_info(v->back_end, &info);
	if (!connected && info.state == SR_VHOST_USER_OVER)
		v->storage->site->over(v->storage->site);
}

static int create_back_end(struct sr_daemon_device *v, struct sr_error *e)
{
	struct sr_daemon_site *site = v->storage->site;
	const struct sr_conf_device *c = &v->config;
	struct sr_vhost_user_config vc = {
		.device = v->blk ? sr_blk_device(v->blk) : sr_scsi_device(v->scsi),
		.control = site->control,
		.workers = site->workers,
		.nworkers = site->nworkers,
		.first_worker = sr_daemon_site_deal(site),
		.socket = c->fd < 0 ? c->socket : NULL,
		.fd = c->fd,
		.mode = (enum sr_vhost_user_mode)c->mode,
		.socket_mode = (int)c->permissions,
		.socket_group = c->group[0] ? c->group : NULL,
		.changed = session_changed,
		.ctx = v,
	};

	v->back_end = sr_vhost_user_create(&vc, e);
	return v->back_end ? 0 : -1;
}

static void log_start(const struct sr_daemon_device *v)
{
	const struct sr_conf_device *c = &v->config;

	if (c->fd >= 0)
		sr_log(SR_LOG_INFO, c->name, "serving file descriptor %d", c->fd);
	else
		sr_log(SR_LOG_INFO, c->name, "%s %s",
		       c->mode == SR_VHOST_USER_CLIENT ? "connecting to" : "listening on",
		       c->socket);
}

static int create_parts(struct sr_daemon_device *v, int *key, struct sr_error *e)
{
	const struct sr_conf_device *c = &v->config;
	const struct sr_kind *kind = sr_kinds[sr_daemon_device_kind(v)];

	if (c->group[0] && !sr_group_exists(c->group)) {
		*key = sr_kind_key(kind, "group");
		return sr_error_set(e, -ENOENT, "got '%s', expected a group of this system",
				    c->group);
	}
	if (c->type == SR_DEVICE_BLK ? create_blk(v, e) : create_scsi(v, e))
		return -1;
	if (create_back_end(v, e)) {
		*key = sr_kind_key(kind, "socket");
		return -1;
	}
	return 0;
}

void sr_error_cut(const struct sr_error *why, const char *own, struct sr_error *e)
{
	size_t len = strlen(own);

	sr_error_set(e, why->code, "%s", why->text + (strncmp(why->text, own, len) ? 0 : len));
}

struct sr_daemon_device *sr_daemon_device_create(struct sr_storage *s,
						 const struct sr_conf_device *c,
						 struct sr_daemon_disk *disk, int *key,
						 struct sr_error *e)
{
	struct sr_daemon_device *v = calloc(1, sizeof(*v));
	struct sr_error why;
	char own[SR_NAME_MAX + 3];

	*key = -1;
	if (!v) {
		sr_error_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	v->storage = s;
	v->config = *c;
	v->disk = disk;
	if (create_parts(v, key, &why)) {
		/* What concerns the socket begins with its path, which may be the same word. */
		snprintf(own, sizeof(own), "%s: ", c->name);
		sr_error_cut(&why, *key < 0 ? own : "", e);
		sr_daemon_device_destroy(v);
		return NULL;
	}
	log_start(v);
	return v;
}

void sr_daemon_device_destroy(struct sr_daemon_device *v)
{
	if (!v)
		return;
	sr_vhost_user_destroy(v->back_end);
	sr_blk_destroy(v->blk);
	sr_scsi_destroy(v->scsi);
	while (v->luns) {
		struct sr_daemon_lun *l = v->luns;

		v->luns = l->next;
		sr_daemon_disk_unit_put(l->disk);
		free(l);
	}
	free(v);
}

enum sr_kind_id sr_daemon_device_kind(const struct sr_daemon_device *v)
{
	return v->config.type == SR_DEVICE_BLK ? SR_BLKS : SR_SCSIS;
}

const char *sr_daemon_device_state(const struct sr_daemon_device *v)
{
	static const char *const states[] = { [SR_VHOST_USER_WAITING] = "waiting",
					      [SR_VHOST_USER_CONNECTED] = "connected",
					      [SR_VHOST_USER_RUNNING] = "running",
					      [SR_VHOST_USER_DRAINING] = "draining",
					      [SR_VHOST_USER_OVER] = "over" };
	struct sr_vhost_user_info info;

	if (v->removing)
		return "removing";
	sr_vhost_user_info(v->back_end, &info);
	return states[info.state];
}

unsigned sr_daemon_device_in_flight(const struct sr_daemon_device *v)
{
	return v->blk ? sr_blk_in_flight(v->blk) : sr_scsi_in_flight(v->scsi);
}
