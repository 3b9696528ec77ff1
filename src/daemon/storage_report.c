/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage_report.h"
#include "base.h"
#include "feature_names.h"
#include "report.h"

static void add_number(json_t *j, const char *key, uint64_t value)
{
	json_object_set_new(j, key, json_integer((json_int_t)value));
}

static void add_bool(json_t *j, const char *key, bool value)
{
	json_object_set_new(j, key, json_boolean(value));
}

static void add_text(json_t *j, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(j, key, sr_text_report(text));
}

/* "b0", or "s0 0:1" of a unit. */
static bool add_user(void *ctx, const struct sr_daemon_device *v, const struct sr_daemon_lun *l)
{
	json_t *name = l ? json_sprintf("%s %u:%u", v->config.name, l->config.target, l->config.lun)
			 : json_string(v->config.name);

	json_array_append_new(ctx, name);
	return true;
}

static void add_place(json_t *j, const struct sr_conf_disk *c)
{
	add_text(j, "path", c->path);
	add_text(j, "uri", c->uri);
	add_text(j, "pool", c->pool);
	add_text(j, "image", c->image);
}

static void add_info(json_t *j, const struct sr_disk_info *i)
{
	add_number(j, "physical_block_size", i->physical_size);
	if (i->io_min)
		add_number(j, "io_min", i->io_min);
	if (i->io_opt)
		add_number(j, "io_opt", i->io_opt);
	add_bool(j, "rotational", i->rotational);
	add_bool(j, "volatile_cache", i->volatile_cache);
	add_bool(j, "can_discard", i->can_discard);
	add_bool(j, "can_zero", i->can_zero);
	add_bool(j, "can_erase", i->can_erase);
	if (i->zone_size) {
		add_number(j, "zone_size", i->zone_size);
		add_number(j, "zones", i->zones);
		add_number(j, "max_open_zones", i->max_open);
		add_number(j, "max_active_zones", i->max_active);
	}
	if (i->has_lifetime) {
		add_number(j, "pre_eol_info", i->pre_eol_info);
		add_number(j, "lifetime_a", i->lifetime_a);
		add_number(j, "lifetime_b", i->lifetime_b);
	}
}

json_t *sr_disk_report(const struct sr_storage *s, const struct sr_daemon_disk *d)
{
	const struct sr_disk_info *i = sr_disk_info(d->disk);
	struct sr_disk_limits limits = { 0 };
	json_t *j = json_object(), *users = json_array();

	sr_disk_limit_get(d->disk, &limits);
	sr_storage_disk_users(s, d, add_user, users);
	json_object_set_new(j, "name", json_string(d->config.name));
	json_object_set_new(j, "type", json_string(sr_medium_name((enum sr_medium)d->config.type)));
	add_number(j, "size", sr_disk_size(d->disk));
	add_number(j, "block_size", i->block_size);
	add_bool(j, "read_only", i->read_only);
	add_number(j, "iops", limits.iops);
	add_number(j, "bytes_per_second", limits.bytes_per_second);
	json_object_set_new(j, "users", users);
	return j;
}

json_t *sr_disk_report_long(const struct sr_storage *s, const struct sr_daemon_disk *d)
{
	json_t *j = sr_disk_report(s, d);
	struct sr_disk_limits limits = { 0 };

	sr_disk_limit_get(d->disk, &limits);
	add_number(j, "iops_burst", limits.iops_burst);
	add_number(j, "bytes_burst", limits.bytes_burst);
	add_place(j, &d->config);
	add_info(j, sr_disk_info(d->disk));
	return j;
}

static json_t *blk_counters(const struct sr_blk_counters *c)
{
	static const struct sr_counter all[] = {
#define COUNTER(x) { #x, offsetof(struct sr_blk_counters, x) }
		COUNTER(reads),		COUNTER(read_bytes), COUNTER(writes),
		COUNTER(written_bytes), COUNTER(flushes),    COUNTER(discards),
		COUNTER(others),	COUNTER(failed),     COUNTER(malformed),
#undef COUNTER
	};

	return sr_counter_report(c, all, SR_ARRAY_LEN(all));
}

static json_t *scsi_counters(const struct sr_scsi_counters *c)
{
	static const struct sr_counter all[] = {
#define COUNTER(x) { #x, offsetof(struct sr_scsi_counters, x) }
		COUNTER(commands),	   COUNTER(read_bytes),	   COUNTER(written_bytes),
		COUNTER(check_conditions), COUNTER(aborted),	   COUNTER(task_management),
		COUNTER(events),	   COUNTER(events_missed), COUNTER(malformed),
#undef COUNTER
	};

	return sr_counter_report(c, all, SR_ARRAY_LEN(all));
}

static json_t *unit_report(const struct sr_daemon_lun *l)
{
	return json_pack("{s:i, s:i, s:s, s:s}", "target", (int)l->config.target, "lun",
			 (int)l->config.lun, "disk", l->config.disk, "state",
			 l->removing ? "removing" : "attached");
}

static json_t *unit_list(const struct sr_daemon_device *v)
{
	json_t *list = json_array();

	for (const struct sr_daemon_lun *l = v->luns; l; l = l->next)
		json_array_append_new(list, unit_report(l));
	return list;
}

static void add_config(json_t *j, const struct sr_daemon_device *v)
{
	const struct sr_conf_device *c = &v->config;
	struct sr_blk_info info;

	add_text(j, "socket", c->socket);
	json_object_set_new(j, "mode", json_string(sr_modes[c->mode]));
	add_number(j, "queues_offered", c->queues);
	if (!v->blk)
		return;
	json_object_set_new(j, "serial", sr_text_report(c->serial[0] ? c->serial : c->name));
	info = sr_blk_info(v->blk);
	json_object_set_new(
		j, "cache",
		json_string(
			sr_caches[info.writeback ? SR_CACHE_WRITEBACK : SR_CACHE_WRITETHROUGH]));
	add_bool(j, "read_only", info.read_only);
}

static json_t *report(const struct sr_daemon_device *v, bool all)
{
	json_t *j = json_object(), *counters;
	struct sr_vhost_user_info info;

	sr_vhost_user_info(v->back_end, &info);
	json_object_set_new(j, "name", json_string(v->config.name));
	json_object_set_new(j, "type", json_string(v->blk ? "blk" : "scsi"));
	json_object_set_new(j, "state", json_string(sr_daemon_device_state(v)));
	if (v->blk)
		json_object_set_new(j, "disk", json_string(v->config.disk));
	else
		json_object_set_new(j, "units", unit_list(v));
	add_number(j, "in_flight", sr_daemon_device_in_flight(v));
	sr_session_report(j, &info);
	if (all) {
		add_config(j, v);
		sr_session_report_long(j, &info,
				       v->blk ? sr_blk_feature_name : sr_scsi_feature_name);
	}
	counters = v->blk ? blk_counters(sr_blk_counters(v->blk))
			  : scsi_counters(sr_scsi_counters(v->scsi));
	json_object_set_new(j, "counters", counters);
	return j;
}

json_t *sr_device_report(const struct sr_daemon_device *v)
{
	return report(v, false);
}
json_t *sr_device_report_long(const struct sr_daemon_device *v)
{
	return report(v, true);
}
