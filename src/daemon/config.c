/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"
#include "base.h"
#include "yaml_marks.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const levels[] = { "error", "warn", "info", "debug", NULL };

#define AT(field) .offset = offsetof(struct sr_config, field)

/* clang-format off */
const struct sr_key sr_settings[SR_SETTINGS] = {
	{ "threads", SR_KEY_U32, AT(threads), 1, SR_THREADS_MAX, .arg = "N",
	  .help = "serve queues on N threads (default: one, or one for each of --cpus)" },
	{ "cpus", SR_KEY_CPUS, AT(cpus), .arg = "LIST",
	  .help = "pin the threads to these CPUs, such as 2,3 or 4-7" },
	{ "poll-us", SR_KEY_POLL_US, AT(poll_us), 0, 1000000, .arg = "N|busy",
	  .help = "keep polling an empty queue for N microseconds before going to sleep "
		  "(default 50); 0 sleeps at once, busy never sleeps" },
	{ "log", SR_KEY_WORD, AT(log), .words = levels, .arg = "LEVEL",
	  .help = "error, warn, info (default) or debug" },
	{ "socket", SR_KEY_TEXT, AT(control), 1, SR_SOCKET_PATH_MAX, .section = "control",
	  .arg = "PATH",
	  .help = "socket for slipring ctl (default /run/slipring.sock for root, else "
		  "$XDG_RUNTIME_DIR/slipring.sock); none = no such socket" },
	{ "permissions", SR_KEY_OCTAL, AT(control_permissions), .section = "control",
	  .arg = "MODE", .help = "permissions of that socket (default 0600)" },
	{ "group", SR_KEY_TEXT, AT(control_group), 1, SR_GROUP_NAME_MAX, .section = "control",
	  .arg = "GROUP", .help = "group of that socket" },
	{ "mac-limit", SR_KEY_U32, AT(mac_limit), 1, 1u << 20, .section = "switch", .arg = "N",
	  .help = "learn at most N addresses (default 8192)" },
	{ "age-s", SR_KEY_U32, AT(age_s), 1, 1000000, .section = "switch", .arg = "SECONDS",
	  .help = "forget an address not heard of for so long (default 300)" },
	{ "wait-us", SR_KEY_U32, AT(wait_us), 1, 1000000, .section = "switch", .arg = "N",
	  .help = "let a full receiver hold up a sender for at most N microseconds "
		  "(default 1000)" },
};
/* clang-format on */

void sr_setting_option(unsigned i, char *to, size_t size)
{
	const struct sr_key *k = &sr_settings[i];
	bool control = k->section && !strcmp(k->section, "control");

	if (!control)
		snprintf(to, size, "%s", k->name);
	else if (!strcmp(k->name, "socket"))
		snprintf(to, size, "control");
	else
		snprintf(to, size, "control-%s", k->name);
}

void sr_setting_path(unsigned i, char *to, size_t size)
{
	const struct sr_key *k = &sr_settings[i];

	snprintf(to, size, "%s%s%s", k->section ? k->section : "", k->section ? "." : "", k->name);
}

const struct sr_kind *const sr_kinds[SR_KINDS] = {
	[SR_PORTS] = &sr_port_kind, [SR_DISKS] = &sr_disk_kind, [SR_BLKS] = &sr_blk_kind,
	[SR_SCSIS] = &sr_scsi_kind, [SR_LUNS] = &sr_lun_kind,
};

void sr_config_init(struct sr_config *c)
{
	*c = (struct sr_config){ .poll_us = 50, .log = SR_LOG_INFO };
}

void sr_config_finish(struct sr_config *c)
{
	for (unsigned k = 0; k < SR_KINDS; k++) {
		free(c->lists[k].items);
		c->lists[k] = (struct sr_config_list){ NULL, 0 };
	}
	sr_yaml_marks_destroy(c->marks);
	c->marks = NULL;
}

int sr_config_add(struct sr_config *c, enum sr_kind_id kind, const void *item, struct sr_error *e)
{
	const struct sr_kind *k = sr_kinds[kind];
	struct sr_config_list *l = &c->lists[kind];
	char *items;

	if (l->n == k->max)
		return sr_error_set(e, -ENOSPC, "more than %u %ss", k->max, k->noun);
	items = reallocarray(l->items, l->n + 1, k->size);
	if (!items)
		return sr_error_set(e, -ENOMEM, "out of memory for %u %ss", l->n + 1, k->noun);
	l->items = items;
	memcpy(items + l->n++ * k->size, item, k->size);
	return 0;
}

const void *sr_config_item(const struct sr_config *c, enum sr_kind_id kind, unsigned i)
{
	return (const char *)c->lists[kind].items + i * sr_kinds[kind]->size;
}

void sr_config_path(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key, char *to,
		    size_t size)
{
	const char *name = key >= 0 ? sr_kinds[kind]->keys[key].name : "";
	const char *dot = *name ? "." : "";

	if (kind == SR_LUNS) {
		const struct sr_conf_lun *l = sr_config_item(c, kind, i);

		snprintf(to, size, "scsi[%u].luns[%u]%s%s", l->scsi, l->nth, dot, name);
	} else {
		snprintf(to, size, "%s[%u]%s%s", sr_kinds[kind]->list, i, dot, name);
	}
}

static unsigned line_of(const struct sr_config *c, const char *path)
{
	return sr_yaml_marks_line(c->marks, path);
}

void sr_config_setting_place(const struct sr_config *c, unsigned key, char *to, size_t size)
{
	char path[64];

	if (c->file) {
		sr_setting_path(key, path, sizeof(path));
		snprintf(to, size, "%.150s:%u: key '%s'", c->file, line_of(c, path), path);
	} else {
		sr_setting_option(key, path, sizeof(path));
		snprintf(to, size, "--%s", path);
	}
}

void sr_config_place(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key, char *to,
		     size_t size)
{
	const struct sr_kind *k = sr_kinds[kind];
	char path[96];

	if (c->place) {
		c->place(c, kind, i, key, to, size);
	} else if (c->file) {
		sr_config_path(c, kind, i, key, path, sizeof(path));
		snprintf(to, size, "%.150s:%u: key '%s'", c->file, line_of(c, path), path);
	} else {
		snprintf(to, size, "%s %s%s%s%s", k->noun,
			 sr_kind_name(k, sr_config_item(c, kind, i)), key >= 0 ? ": key '" : "",
			 key >= 0 ? k->keys[key].name : "", key >= 0 ? "'" : "");
	}
}

/* Which names must differ: all devices are one family. */
static unsigned family(enum sr_kind_id kind)
{
	return kind == SR_SCSIS ? SR_BLKS : kind;
}

static const char *text_at(enum sr_kind_id kind, const void *item, const char *key)
{
	int k = sr_key_find(sr_kinds[kind]->keys, sr_kinds[kind]->n, key);

	return k < 0 ? "" : (const char *)item + sr_kinds[kind]->keys[k].offset;
}

static int same_lun(const struct sr_conf_lun *a, const struct sr_conf_lun *b)
{
	if (a->scsi == b->scsi && a->target == b->target && a->lun == b->lun)
		return sr_kind_key(&sr_lun_kind, "lun");
	return -1;
}

int sr_config_same(enum sr_kind_id ka, const void *a, enum sr_kind_id kb, const void *b)
{
	static const char *const unique[] = { "name", "socket", "interface" };

	if (ka == SR_LUNS || kb == SR_LUNS)
		return ka == kb ? same_lun(a, b) : -1;
	for (unsigned u = 0; u < SR_ARRAY_LEN(unique); u++) {
		const char *ta = text_at(ka, a, unique[u]), *tb = text_at(kb, b, unique[u]);

		if (*ta && !strcmp(ta, tb) && (u || family(ka) == family(kb)))
			return sr_kind_key(sr_kinds[ka], unique[u]);
	}
	return -1;
}

/* "ports[0] on line 2 has already" or "port a has this already". */
static void say_whose(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key,
		      char *to, size_t size)
{
	const struct sr_kind *k = sr_kinds[kind];
	char path[96], whole[96];

	if (!c->file) {
		snprintf(to, size, "%s %s has this already", k->noun,
			 sr_kind_name(k, sr_config_item(c, kind, i)));
		return;
	}
	sr_config_path(c, kind, i, key, path, sizeof(path));
	sr_config_path(c, kind, i, -1, whole, sizeof(whole));
	snprintf(to, size, "%s on line %u has already", whole, line_of(c, path));
}

static void describe_clash(const struct sr_config *c, struct sr_clash *clash, enum sr_kind_id kind,
			   unsigned i)
{
	const char *key = sr_kinds[clash->kind]->keys[clash->key].name, *value;
	const void *item = sr_config_item(c, clash->kind, clash->i);
	int other_key = sr_key_find(sr_kinds[kind]->keys, sr_kinds[kind]->n, key);
	char whose[160], number[8];

	snprintf(number, sizeof(number), "%u",
		 clash->kind == SR_LUNS ? ((const struct sr_conf_lun *)item)->lun : 0u);
	value = clash->kind == SR_LUNS ? number : text_at(clash->kind, item, key);
	say_whose(c, kind, i, other_key, whose, sizeof(whose));
	if (c->file)
		snprintf(clash->text, sizeof(clash->text), "got '%.200s', which %s", value, whose);
	else
		snprintf(clash->text, sizeof(clash->text), "%s", whose);
}

int sr_config_check_last(const struct sr_config *c, enum sr_kind_id kind, struct sr_clash *clash)
{
	unsigned last = c->lists[kind].n - 1;
	const void *item = sr_config_item(c, kind, last);

	*clash = (struct sr_clash){ .kind = kind, .i = last };
	for (unsigned k = 0; k < SR_KINDS; k++) {
		for (unsigned i = 0; i < c->lists[k].n; i++) {
			if (k == kind && i == last)
				continue;
			clash->key = sr_config_same(kind, item, (enum sr_kind_id)k,
						    sr_config_item(c, (enum sr_kind_id)k, i));
			if (clash->key < 0)
				continue;
			describe_clash(c, clash, (enum sr_kind_id)k, i);
			return -EEXIST;
		}
	}
	return 0;
}

static int settle_fault(struct sr_fault *fault, const char *setting)
{
	fault->key = sr_key_find(sr_settings, SR_SETTINGS, setting);
	return -EINVAL;
}

int sr_config_settle(struct sr_config *c, struct sr_fault *fault)
{
	if (!c->threads)
		c->threads = c->cpus.n ? c->cpus.n : 1;
	if (c->cpus.n && c->cpus.n != c->threads) {
		snprintf(fault->text, sizeof(fault->text),
			 "names %u CPU%s for %u thread%s, expected one for each", c->cpus.n,
			 c->cpus.n == 1 ? "" : "s", c->threads, c->threads == 1 ? "" : "s");
		return settle_fault(fault, "cpus");
	}
	if (!c->lists[SR_PORTS].n && !c->lists[SR_BLKS].n && !c->lists[SR_SCSIS].n &&
	    !strcmp(c->control, "none")) {
		snprintf(fault->text, sizeof(fault->text),
			 "got 'none' without any port or device: there would never be one");
		return settle_fault(fault, "socket");
	}
	return 0;
}

bool sr_group_exists(const char *name)
{
	return getgrnam(name) != NULL;
}

int sr_control_path_default(char *to, size_t size, struct sr_error *e)
{
	const char *dir = geteuid() ? getenv("XDG_RUNTIME_DIR") : "/run";
	int len;

	if (!dir || !*dir)
		return sr_error_set(e, -ENOENT,
				    "XDG_RUNTIME_DIR is not set: name the control socket, with "
				    "--control for a daemon, with --socket for slipring ctl");
	len = snprintf(to, size, "%s/slipring.sock", dir);
	if (len > (int)SR_SOCKET_PATH_MAX || len >= (int)size)
		return sr_error_set(e, -ENAMETOOLONG, "%s/slipring.sock: expected at most %u bytes",
				    dir, SR_SOCKET_PATH_MAX);
	return 0;
}
