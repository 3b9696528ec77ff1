/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands about disks and devices. */
#include "base.h"
#include "config.h"
#include "ctl.h"
#include "ctl_show.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define GONE_TRIES 40 /* of 50 ms */

static const char *const socket_path[] = { "socket", NULL };

static int disks(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "disk.list", NULL), sr_show_disks);
}

static int disk(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "disk.show", ctl_named(c->argv[1])), sr_show_disk);
}

static void check_spec(struct ctl *c, struct argp_state *state, const struct sr_kind *kind)
{
	char item[SR_ITEM_MAX] __attribute__((aligned(8)));
	struct sr_error e;

	if (sr_kind_parse(kind, c->argv[1], item, &e))
		argp_error(state, "%s %s", c->argv[0], e.text);
}

static void check_add_disk(struct ctl *c, struct argp_state *state)
{
	check_spec(c, state, &sr_disk_kind);
}

static int add_disk(struct ctl *c)
{
	static const char *const paths[] = { "path",	     "tls-certificates",
					     "tls-psk-file", "zone-state",
					     "conf",	     NULL };
	json_t *params = ctl_spec_params(c, &sr_disk_kind, c->argv[1], paths);

	return params ? ctl_show(c, ctl_call(c, "disk.add", params), NULL) : -1;
}

static int remove_disk(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "disk.remove", ctl_named(c->argv[1])), NULL);
}

static int resize(struct ctl *c)
{
	json_t *params = ctl_named(c->argv[1]);

	if (c->argc > 2)
		json_object_set_new(params, "size", json_string(c->argv[2]));
	if (c->shrink)
		json_object_set_new(params, "shrink", json_true());
	return ctl_show(c, ctl_call(c, "disk.resize", params), sr_show_size);
}

static void check_resize(struct ctl *c, struct argp_state *state)
{
	static const struct sr_key size_key = { "size", SR_KEY_SIZE, .min = 1 };
	struct sr_fault fault;
	uint64_t size;

	if (c->argc > 2 && sr_key_store(&size_key, &size, c->argv[2], &fault))
		argp_error(state, "resize %s: size: %s", c->argv[1], fault.text);
}

static const struct sr_kind *part_kind(const struct ctl *c)
{
	return strcmp(c->argv[0], "limit") ? &sr_fault_kind : &sr_limit_kind;
}

static void check_part(struct ctl *c, struct argp_state *state)
{
	const struct sr_kind *kind = part_kind(c);
	const char *values[SR_KEYS_MAX] = { NULL };
	struct sr_conf_disk scratch;
	struct sr_fault fault;
	char copy[SR_SPEC_MAX];
	struct sr_error e;

	if (sr_kind_split(kind, c->argv[2], copy, values, &e))
		argp_error(state, "%s %s: %s", c->argv[0], c->argv[1], e.text);
	if (sr_kind_change(kind, values, &scratch, &fault))
		argp_error(state, "%s %s: '%s': key '%s': %s", c->argv[0], c->argv[1], c->argv[2],
			   kind->keys[fault.key].name, fault.text);
}

static int change_part(struct ctl *c)
{
	static const char *const none[] = { NULL };
	json_t *params = ctl_spec_params(c, part_kind(c), c->argv[2], none);
	bool limit = part_kind(c) == &sr_limit_kind;

	if (!params)
		return -1;
	json_object_set_new(params, "name", json_string(c->argv[1]));
	return ctl_show(c, ctl_call(c, limit ? "disk.limit" : "disk.fault", params), NULL);
}

static int devices(struct ctl *c)
{
	if (c->watch_s)
		return ctl_watch(c, "device.list", sr_show_device_rates);
	return ctl_show(c, ctl_call(c, "device.list", NULL), sr_show_devices);
}

static int device(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "device.show", ctl_named(c->argv[1])), sr_show_device);
}

static void check_add_blk(struct ctl *c, struct argp_state *state)
{
	check_spec(c, state, &sr_blk_kind);
}

static int add_blk(struct ctl *c)
{
	json_t *params = ctl_spec_params(c, &sr_blk_kind, c->argv[1], socket_path);

	return params ? ctl_show(c, ctl_call(c, "blk.add", params), NULL) : -1;
}

static void check_lun(const char *command, const char *spec, struct argp_state *state)
{
	struct sr_conf_lun l = { 0 };
	struct sr_error e;

	if (sr_conf_lun_parse(spec, &l, &e))
		argp_error(state, "%s %s", command, e.text);
}

static void check_add_scsi(struct ctl *c, struct argp_state *state)
{
	check_spec(c, state, &sr_scsi_kind);
	for (int i = 2; i < c->argc; i++)
		check_lun(c->argv[0], c->argv[i], state);
}

static int add_scsi(struct ctl *c)
{
	json_t *params = ctl_spec_params(c, &sr_scsi_kind, c->argv[1], socket_path);
	json_t *luns = params ? json_array() : NULL;

	if (!params)
		return -1;
	for (int i = 2; i < c->argc; i++)
		json_array_append_new(luns, json_string(c->argv[i]));
	json_object_set_new(params, "luns", luns);
	return ctl_show(c, ctl_call(c, "scsi.add", params), NULL);
}

/* NULL when there is none of that name. */
static const json_t *find_named(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const char *other = json_string_value(json_object_get(v, "name"));

		if (other && !strcmp(other, name))
			return v;
	}
	return NULL;
}

/* Gives a removal a moment, which is mostly enough, and says what it waits for when not. */
static int await_gone(struct ctl *c, const char *what,
		      const json_t *(*find)(const struct ctl *c, const json_t *list))
{
	for (unsigned i = 0; i < GONE_TRIES; i++) {
		json_t *list = ctl_call(c, "device.list", NULL);
		bool gone = list && !find(c, list);

		json_decref(list);
		if (!list)
			return -1;
		if (gone)
			return 0;
		usleep(50000);
	}
	if (!c->json)
		printf("%s is being removed: requests of its guest are still under way\n", what);
	return 0;
}

static const json_t *find_device(const struct ctl *c, const json_t *list)
{
	return find_named(list, c->argv[1]);
}

static int remove_device(struct ctl *c)
{
	if (ctl_show(c, ctl_call(c, "device.remove", ctl_named(c->argv[1])), NULL))
		return -1;
	return await_gone(c, c->argv[1], find_device);
}

static void check_add_lun(struct ctl *c, struct argp_state *state)
{
	check_lun(c->argv[0], c->argv[2], state);
}

static int add_lun(struct ctl *c)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX];
	json_t *params;

	if (sr_conf_lun_split(c->argv[2], copy, values, &c->error))
		return -1;
	params = json_pack("{s:s}", "device", c->argv[1]);
	for (unsigned i = 0; i < sr_lun_kind.n; i++)
		if (values[i])
			json_object_set_new(params, sr_lun_kind.keys[i].name,
					    json_string(values[i]));
	return ctl_show(c, ctl_call(c, "scsi.attach", params), NULL);
}

/* Where a unit is, "0:1", as numbers. */
static int split_place(const char *text, struct sr_conf_lun *to, struct sr_error *e)
{
	char spec[64];

	if (strlen(text) > 16 || !strchr(text, ':') || strpbrk(text, "=,"))
		return sr_error_set(e, -EINVAL, "'%.40s': expected TARGET:LUN such as 0:1", text);
	snprintf(spec, sizeof(spec), "%s=x", text);
	return sr_conf_lun_parse(spec, to, e);
}

static void check_remove_lun(struct ctl *c, struct argp_state *state)
{
	struct sr_conf_lun l = { 0 };
	struct sr_error e;

	if (split_place(c->argv[2], &l, &e))
		argp_error(state, "remove-lun %s", e.text);
}

static const json_t *find_lun(const struct ctl *c, const json_t *list)
{
	const json_t *units = json_object_get(find_named(list, c->argv[1]), "units");
	struct sr_conf_lun l = { 0 };

	split_place(c->argv[2], &l, NULL);
	for (size_t i = 0; i < json_array_size(units); i++) {
		const json_t *u = json_array_get(units, i);

		if (json_integer_value(json_object_get(u, "target")) == l.target &&
		    json_integer_value(json_object_get(u, "lun")) == l.lun)
			return u;
	}
	return NULL;
}

static int remove_lun(struct ctl *c)
{
	struct sr_conf_lun l = { 0 };
	json_t *params;

	if (split_place(c->argv[2], &l, &c->error))
		return -1;
	params = json_pack("{s:s, s:i, s:i}", "device", c->argv[1], "target", (int)l.target, "lun",
			   (int)l.lun);
	if (ctl_show(c, ctl_call(c, "scsi.detach", params), NULL))
		return -1;
	return await_gone(c, c->argv[2], find_lun);
}

const struct ctl_command ctl_storage_commands[CTL_STORAGE_COMMANDS] = {
	{ "disks", 0, 0, "disks", disks },
	{ "disk", 1, 1, "disk NAME", disk },
	{ "add-disk", 1, 1, "add-disk TYPE,name=NAME,KEY=VALUE...", add_disk, check_add_disk },
	{ "remove-disk", 1, 1, "remove-disk NAME", remove_disk },
	{ "resize", 1, 2, "resize NAME [SIZE]", resize, check_resize },
	{ "limit", 2, 2, "limit NAME KEY=VALUE,...", change_part, check_part },
	{ "fault", 2, 2, "fault NAME KEY=VALUE,...", change_part, check_part },
	{ "devices", 0, 0, "devices [--watch SECONDS]", devices, NULL, true },
	{ "device", 1, 1, "device NAME", device },
	{ "add-blk", 1, 1, "add-blk name=NAME,disk=DISK,socket=PATH,KEY=VALUE...", add_blk,
	  check_add_blk },
	{ "add-scsi", 1, 1 << 14,
	  "add-scsi name=NAME,socket=PATH,KEY=VALUE... [TARGET:LUN=DISK...]", add_scsi,
	  check_add_scsi },
	{ "remove-device", 1, 1, "remove-device NAME", remove_device },
	{ "add-lun", 2, 2, "add-lun NAME TARGET:LUN=DISK[,KEY=VALUE...]", add_lun, check_add_lun },
	{ "remove-lun", 2, 2, "remove-lun NAME TARGET:LUN", remove_lun, check_remove_lun },
};
