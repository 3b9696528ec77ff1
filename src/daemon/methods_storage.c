/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods about disks and devices. */
#include "base.h"
#include "daemon.h"
#include "methods.h"
#include "params.h"
#include "storage_report.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

static struct sr_storage *storage_of(void *ctx)
{
	return sr_daemon_storage(ctx);
}

/* "a, b, c", cut where it gets long. */
static void append_name(char *to, size_t size, const char *name)
{
	size_t used = strlen(to);
	bool room = used + strlen(name) + sizeof(", , ...") <= size;

	if (room)
		snprintf(to + used, size - used, "%s%s", used ? ", " : "", name);
	else if (used < 3 || strcmp(to + used - 3, "..."))
		snprintf(to + used, size - used, ", ...");
}

static json_t *no_such(const char *noun, const char *name, const char *list, struct sr_rpc_error *e)
{
	return sr_rpc_fail(e, SR_RPC_NO_SUCH, "no %s named '%.64s', %s%s", noun, name,
			   *list ? "expected one of " : "there are none", list);
}

static struct sr_daemon_disk *disk_param(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const char *name = sr_params_text(params, "name", e);
	struct sr_daemon_disk *d = name ? sr_storage_disk_find(storage_of(ctx), name) : NULL;
	char list[256] = "";

	if (!name || d)
		return d;
	for (d = storage_of(ctx)->disks; d; d = d->next)
		append_name(list, sizeof(list), d->config.name);
	no_such("disk", name, list, e);
	return NULL;
}

static struct sr_daemon_device *device_param(void *ctx, const json_t *params, const char *key,
					     struct sr_rpc_error *e)
{
	const char *name = sr_params_text(params, key, e);
	struct sr_daemon_device *v = name ? sr_storage_device_find(storage_of(ctx), name) : NULL;
	char list[256] = "";

	if (!name || v)
		return v;
	for (v = storage_of(ctx)->devices; v; v = v->next)
		append_name(list, sizeof(list), v->config.name);
	no_such("device", name, list, e);
	return NULL;
}

static json_t *disk_list(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_storage *s = storage_of(ctx);
	json_t *list = json_array();

	(void)params;
	(void)e;
	for (const struct sr_daemon_disk *d = s->disks; d; d = d->next)
		json_array_append_new(list, sr_disk_report(s, d));
	return list;
}

static json_t *disk_show(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const struct sr_daemon_disk *d = disk_param(ctx, params, e);

	return d ? sr_disk_report_long(storage_of(ctx), d) : NULL;
}

static json_t *disk_add(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_storage *s = storage_of(ctx);
	struct sr_conf_disk c;
	struct sr_error err;
	int key;

	if (sr_params_make(SR_DISKS, params, &c, e))
		return NULL;
	if (sr_storage_disk_find(s, c.name))
		return sr_rpc_fail(e, SR_RPC_EXISTS, "a disk named %s is there already", c.name);
	if (sr_storage_disk_add(s, &c, &key, &err))
		return sr_params_blame(SR_DISKS, c.name, key, &err, e);
	return sr_disk_report_long(s, sr_storage_disk_find(s, c.name));
}

static json_t *disk_remove(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_disk *d = disk_param(ctx, params, e);
	struct sr_error err;

	if (!d)
		return NULL;
	if (sr_storage_disk_remove(storage_of(ctx), d, &err))
		return sr_params_failed(e, &err);
	return json_object();
}

struct resize {
	uint64_t size;
	bool shrink;
};
static const struct sr_key resize_key[] = {
	{ "size", SR_KEY_SIZE, .offset = offsetof(struct resize, size), .min = 1 },
	{ "shrink", SR_KEY_BOOL, .offset = offsetof(struct resize, shrink) },
};
static const struct sr_kind resize_kind = { .keys = resize_key, .n = SR_ARRAY_LEN(resize_key) };

static json_t *disk_resize(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct resize wanted = { 0 };
	struct sr_daemon_disk *d = disk_param(ctx, params, e);
	struct sr_params_values v;
	struct sr_fault fault;
	struct sr_error err;

	if (!d || sr_params_values(&resize_kind, params, &v, e))
		return NULL;
	if (sr_kind_change(&resize_kind, v.values, &wanted, &fault))
		return sr_rpc_fail(e, SR_RPC_PARAMS, "key '%s': %s", resize_key[fault.key].name,
				   fault.text);
	if (wanted.size && wanted.size < sr_disk_size(d->disk) && !wanted.shrink)
		return sr_rpc_fail(
			e, SR_RPC_PARAMS,
			"disk %s has %llu bytes: %llu are fewer, and what is behind them "
			"would be lost; say shrink if that is meant",
			d->config.name, (unsigned long long)sr_disk_size(d->disk),
			(unsigned long long)wanted.size);
	if (sr_disk_resize(d->disk, wanted.size, &err))
		return sr_params_failed(e, &err);
	sr_log(SR_LOG_INFO, d->config.name, "disk has %llu bytes",
	       (unsigned long long)sr_disk_size(d->disk));
	return sr_disk_report_long(storage_of(ctx), d);
}

/* Judges a part of a disk's configuration into a copy of it. */
static int change_part(const struct sr_kind *kind, const struct sr_daemon_disk *d,
		       const json_t *params, struct sr_conf_disk *to, struct sr_rpc_error *e)
{
	struct sr_params_values v;
	struct sr_fault fault;

	if (sr_params_values(kind, params, &v, e))
		return -EINVAL;
	*to = d->config;
	if (!sr_kind_change(kind, v.values, to, &fault))
		return 0;
	sr_rpc_fail(e, SR_RPC_PARAMS, "key '%s': %s", kind->keys[fault.key].name, fault.text);
	return -EINVAL;
}

static json_t *disk_limit(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_disk *d = disk_param(ctx, params, e);
	struct sr_disk_limits limits;
	struct sr_conf_disk c;
	struct sr_error err;

	if (!d || change_part(&sr_limit_kind, d, params, &c, e))
		return NULL;
	limits = sr_conf_disk_limits(&c);
	if (sr_disk_limit_set(d->disk, &limits, &err))
		return sr_params_failed(e, &err);
	d->config = c;
	return sr_disk_report_long(storage_of(ctx), d);
}

static json_t *disk_fault(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_disk *d = disk_param(ctx, params, e);
	struct sr_disk_fault fault;
	struct sr_conf_disk c;
	struct sr_error err;

	if (!d || change_part(&sr_fault_kind, d, params, &c, e))
		return NULL;
	if (!d->config.faults)
		return sr_rpc_fail(e, SR_RPC_FAILED,
				   "disk %s was not made for faults: add it with a key such as "
				   "fault-error-share=0",
				   d->config.name);
	fault = sr_conf_disk_fault(&c);
	if (sr_disk_fault_set(d->disk, &fault, &err))
		return sr_params_failed(e, &err);
	d->config = c;
	return sr_disk_report_long(storage_of(ctx), d);
}

static json_t *device_list(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	json_t *list = json_array();

	(void)params;
	(void)e;
	for (const struct sr_daemon_device *v = storage_of(ctx)->devices; v; v = v->next)
		json_array_append_new(list, sr_device_report(v));
	return list;
}

static json_t *device_show(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const struct sr_daemon_device *v = device_param(ctx, params, "name", e);

	return v ? sr_device_report_long(v) : NULL;
}

static json_t *device_remove(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_device *v = device_param(ctx, params, "name", e);

	if (!v)
		return NULL;
	sr_storage_device_remove(v);
	return sr_device_report(v);
}

static json_t *device_add(void *ctx, enum sr_kind_id kind, const json_t *params,
			  struct sr_rpc_error *e)
{
	struct sr_storage *s = storage_of(ctx);
	struct sr_conf_device c;
	struct sr_error err;
	int key;

	if (sr_params_make(kind, params, &c, e))
		return NULL;
	if (sr_storage_device_find(s, c.name))
		return sr_rpc_fail(e, SR_RPC_EXISTS, "a device named %s is there already", c.name);
	if (sr_daemon_device_add(ctx, &c, &key, &err))
		return sr_params_blame(kind, c.name, key, &err, e);
	return sr_device_report_long(sr_storage_device_find(s, c.name));
}

static json_t *blk_add(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	return device_add(ctx, SR_BLKS, params, e);
}

/* From the form "0:0=d0" or an object. */
static int lun_param(const json_t *param, struct sr_conf_lun *to, struct sr_rpc_error *e)
{
	const char *text = json_string_value(param);
	struct sr_error err;

	if (!text && !json_is_object(param)) {
		sr_rpc_fail(e, SR_RPC_PARAMS,
			    "key 'luns': expected a list of texts such as \"0:0=d0\" or objects");
		return -EINVAL;
	}
	if (!text)
		return sr_params_make(SR_LUNS, param, to, e);
	if (!sr_conf_lun_parse(text, to, &err))
		return 0;
	sr_rpc_fail(e, SR_RPC_PARAMS, "key 'luns': %s", err.text);
	return -EINVAL;
}

static int add_lun(void *ctx, const char *device, const struct sr_conf_lun *l,
		   struct sr_rpc_error *e)
{
	char name[24];
	struct sr_error err;
	int key;

	if (!sr_storage_lun_add(storage_of(ctx), device, l, &key, &err))
		return 0;
	snprintf(name, sizeof(name), "%u:%u", l->target, l->lun);
	sr_params_blame(SR_LUNS, name, key, &err, e);
	return -EINVAL;
}

/* All or nothing. */
static json_t *scsi_add(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const json_t *luns = json_object_get(params, "luns");
	json_t *result = device_add(ctx, SR_SCSIS, params, e);
	struct sr_daemon_device *v;
	struct sr_conf_lun l;
	int err = 0;

	if (!result)
		return NULL;
	json_decref(result);
	v = sr_storage_device_find(storage_of(ctx),
				   json_string_value(json_object_get(params, "name")));
	if (luns && !json_is_array(luns))
		err = lun_param(luns, &l, e);
	for (size_t i = 0; !err && i < json_array_size(luns); i++) {
		err = lun_param(json_array_get(luns, i), &l, e);
		if (!err)
			err = add_lun(ctx, v->config.name, &l, e);
	}
	if (!err)
		return sr_device_report_long(v);
	sr_storage_device_remove(v);
	return NULL;
}

static json_t *scsi_attach(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_device *v = device_param(ctx, params, "device", e);
	struct sr_conf_lun l;

	if (!v || sr_params_make(SR_LUNS, params, &l, e) || add_lun(ctx, v->config.name, &l, e))
		return NULL;
	return sr_device_report_long(v);
}

static json_t *scsi_detach(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_device *v = device_param(ctx, params, "device", e);
	struct sr_conf_lun c = { 0 };
	struct sr_params_values values;
	struct sr_daemon_lun *l;
	struct sr_fault fault;
	struct sr_error err;

	if (!v || sr_params_values(&sr_lun_kind, params, &values, e))
		return NULL;
	if (sr_kind_change(&sr_lun_kind, values.values, &c, &fault))
		return sr_rpc_fail(e, SR_RPC_PARAMS, "key '%s': %s",
				   sr_lun_kind.keys[fault.key].name, fault.text);
	l = sr_storage_lun_find(v, c.target, c.lun);
	if (!l)
		return sr_rpc_fail(e, SR_RPC_NO_SUCH, "device %s has no unit %u:%u", v->config.name,
				   c.target, c.lun);
	if (sr_storage_lun_remove(l, &err))
		return sr_params_failed(e, &err);
	return sr_device_report_long(v);
}

static const char *const name_keys[] = { "name", NULL };
static const char *const resize_keys[] = { "name", "size", "shrink", NULL };
static const char *const limit_keys[] = { "name",	 "iops", "iops-burst", "bytes-per-second",
					  "bytes-burst", NULL };
static const char *const fault_keys[] = { "name",   "ops",    "error-share", "delay-ms",
					  "offset", "length", NULL };
static const char *const place_keys[] = { "device", "target", "lun", NULL };

const struct sr_rpc_method sr_storage_methods[SR_STORAGE_METHODS] = {
	{ "disk.list", disk_list, NULL },
	{ "disk.show", disk_show, name_keys },
	{ "disk.add", disk_add, sr_params_keys[SR_DISKS] },
	{ "disk.remove", disk_remove, name_keys },
	{ "disk.resize", disk_resize, resize_keys },
	{ "disk.limit", disk_limit, limit_keys },
	{ "disk.fault", disk_fault, fault_keys },
	{ "device.list", device_list, NULL },
	{ "device.show", device_show, name_keys },
	{ "device.remove", device_remove, name_keys },
	{ "blk.add", blk_add, sr_params_keys[SR_BLKS] },
	{ "scsi.add", scsi_add, sr_params_keys[SR_SCSIS] },
	{ "scsi.attach", scsi_attach, sr_params_keys[SR_LUNS] },
	{ "scsi.detach", scsi_detach, place_keys },
};
