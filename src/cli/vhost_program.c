/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_program.h"
#include "base.h"
#include "unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OPT_SOCKET = 256,
	OPT_FD,
	OPT_CAPABILITIES,
	OPT_SETTING /* and on */
};

static char setting_names[SR_SETTINGS][32];
static struct argp_option common_options[SR_SETTINGS + 4] = {
	{ "socket-path", OPT_SOCKET, "PATH", 0, "the vhost-user socket to listen on" },
	{ "fd", OPT_FD, "N", 0,
	  "instead: file descriptor N is that socket, listening already, or a connection to serve "
	  "until it is closed" },
	{ "print-capabilities", OPT_CAPABILITIES, NULL, 0,
	  "print what this program can do, as JSON, and exit" },
};

/* Those that concern a switch are left out. */
static void fill_settings(void)
{
	struct argp_option *to = common_options + 3;

	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const char *section = sr_settings[i].section;

		if (section && strcmp(section, "control"))
			continue;
		sr_setting_option(i, setting_names[i], sizeof(setting_names[i]));
		*to++ = (struct argp_option){
			.name = setting_names[i],
			.key = OPT_SETTING + (int)i,
			.arg = sr_settings[i].arg,
			.doc = strcmp(setting_names[i], "control")
				       ? sr_settings[i].help
				       : "socket for slipring ctl (default none)"
		};
	}
	*to = (struct argp_option){ NULL };
}

static void take_fd(struct vhost_program *p, const char *arg, struct argp_state *state)
{
	char *end;
	long fd = strtol(arg, &end, 10);

	if (!*arg || *end || fd < 0 || fd > 1 << 20) {
		argp_error(state, "--fd: got '%s', expected the number of a file descriptor", arg);
		return;
	}
	p->fd = (int)fd;
	if (sr_unix_role(p->fd) == SR_UNIX_OTHER)
		argp_failure(state, SR_EXIT_FAILED, 0,
			     "--fd: file descriptor %s is no unix stream socket that listens or "
			     "is connected; whoever starts this must pass one",
			     arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct vhost_program *p = state->input;
	struct sr_fault fault;

	if (key >= OPT_SETTING && key < OPT_SETTING + (int)SR_SETTINGS) {
		int i = key - OPT_SETTING;

		if (sr_key_store(&sr_settings[i], &p->config, arg, &fault))
			argp_error(state, "--%s: %s", setting_names[i], fault.text);
		return 0;
	}
	if (key == OPT_FD)
		take_fd(p, arg, state);
	else if (key == OPT_SOCKET)
		*vhost_program_value(p, p->kind, "socket") = arg;
	else if (key != OPT_CAPABILITIES)
		return ARGP_ERR_UNKNOWN;
	return 0;
}

const struct argp *vhost_program_argp(void)
{
	static const struct argp argp = { .options = common_options, .parser = parse };

	fill_settings();
	return &argp;
}

bool vhost_program_told_capabilities(int argc, char **argv, const char *json)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (strcmp(argv[i], "--print-capabilities"))
			continue;
		fputs(json, stdout);
		return true;
	}
	return false;
}

void vhost_program_fill(const struct vhost_option *options, unsigned n, struct argp_option *to)
{
	for (unsigned i = 0; i < n; i++)
		to[i] = (struct argp_option){ .name = options[i].option,
					      .key = VHOST_OPTION + (int)i,
					      .arg = options[i].arg,
					      .doc = options[i].help };
}

const char **vhost_program_value(struct vhost_program *p, enum sr_kind_id kind, const char *key)
{
	int k = sr_kind_key(sr_kinds[kind], key);

	return kind == SR_DISKS ? &p->disk_values[k] : &p->device_values[k];
}

bool vhost_program_take(struct vhost_program *p, int key, const char *arg, struct argp_state *state)
{
	char item[SR_ITEM_MAX] __attribute__((aligned(8)));
	const struct vhost_option *o;
	const struct sr_kind *kind;
	struct sr_fault fault;

	if (key < VHOST_OPTION || key >= VHOST_OPTION + (int)p->noptions)
		return false;
	o = &p->options[key - VHOST_OPTION];
	kind = sr_kinds[o->kind];
	if (!arg)
		arg = "on";
	if (sr_key_store(&kind->keys[sr_kind_key(kind, o->key)], item, arg, &fault))
		argp_error(state, "--%s: %s", o->option, fault.text);
	*vhost_program_value(p, o->kind, o->key) = arg;
	return true;
}

/* Each --lun is one disk and one unit, in the same order. */
static void place_lun(const struct sr_conf_lun *l, const char *name, char *to, size_t size)
{
	snprintf(to, size, "--lun %u:%u%s%s%s", l->target, l->lun, *name ? ": key '" : "", name,
		 *name ? "'" : "");
}

/* "--blk-file" where a key was given, or is given, by an option of that name. */
static void place(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key, char *to,
		  size_t size)
{
	const struct vhost_program *p = (const void *)c;
	const struct sr_kind *k = sr_kinds[kind];
	const char *name = key < 0 ? "" : k->keys[key].name;

	for (unsigned o = 0; o < p->noptions; o++) {
		if (p->options[o].kind != kind || strcmp(p->options[o].key, name) ||
		    (kind == SR_DISKS && !p->disk_values[key]))
			continue;
		snprintf(to, size, "--%s", p->options[o].option);
		return;
	}
	if (kind == p->kind && !strcmp(name, "socket"))
		snprintf(to, size, p->fd < 0 ? "--socket-path" : "--fd");
	else if (kind == SR_LUNS ||
		 (kind == SR_DISKS && p->kind == SR_SCSIS && i < c->lists[SR_LUNS].n))
		place_lun(sr_config_item(c, SR_LUNS, i), name, to, size);
	else if (kind == SR_DISKS && p->kind == SR_BLKS)
		snprintf(to, size, "--disk%s%s%s", *name ? ": key '" : "", name, *name ? "'" : "");
	else
		snprintf(to, size, "%s %s%s%s", k->noun,
			 sr_kind_name(k, sr_config_item(c, kind, i)), *name ? ": " : "", name);
}

void vhost_program_init(struct vhost_program *p, enum sr_kind_id kind,
			const struct vhost_option *options, unsigned n)
{
	memset(p, 0, sizeof(*p));
	sr_config_init(&p->config);
	p->config.place = place;
	p->kind = kind;
	p->options = options;
	p->noptions = n;
	p->fd = -1;
}

/* What the log calls it: "/run/web.sock" becomes "web". */
static void name_after(const char *path, const char *otherwise, char to[SR_NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	size_t len = dot && dot != base ? (size_t)(dot - base) : strlen(base), n = 0;

	for (size_t i = 0; i < len && n < SR_NAME_MAX; i++) {
		bool plain = (base[i] >= '0' && base[i] <= '9') || strchr("._:@+-", base[i]) ||
			     ((base[i] | 0x20) >= 'a' && (base[i] | 0x20) <= 'z');

		to[n++] = plain ? base[i] : '_';
	}
	to[n] = '\0';
	if (!n || to[0] == '-')
		strcpy(to, otherwise);
}

/* They speak of a socket that we would make or seek. */
static void refuse_beside_fd(struct vhost_program *p, struct argp_state *state)
{
	static const char *const words[] = { "mode", "permissions", "group" };

	for (unsigned i = 0; i < SR_ARRAY_LEN(words); i++)
		if (*vhost_program_value(p, p->kind, words[i]))
			argp_error(state,
				   "--%s: goes with --socket-path; the socket of --fd is used as "
				   "it is",
				   words[i]);
}

void vhost_program_settle(struct vhost_program *p, struct argp_state *state)
{
	const char **socket = vhost_program_value(p, p->kind, "socket");
	const struct sr_kind *kind = sr_kinds[p->kind];
	struct sr_conf_device v;
	struct sr_fault fault;
	struct sr_error e;
	char name[SR_NAME_MAX + 1];

	if (*socket && p->fd >= 0)
		argp_error(state, "--socket-path and --fd: expected one of them");
	if (p->fd >= 0)
		refuse_beside_fd(p, state);
	if (!*socket && p->fd < 0)
		argp_error(state, "no socket given, expected --socket-path=PATH or --fd=N");
	name_after(*socket ? *socket : "", kind->list, name);
	*vhost_program_value(p, p->kind, "name") = name;
	if (!*socket)
		*socket = "-";
	if (sr_kind_make(kind, p->device_values, &v, &fault))
		argp_error(state, "%s: %s",
			   strcmp(kind->keys[fault.key].name, "socket") ? kind->keys[fault.key].name
									: "--socket-path",
			   fault.text);
	v.fd = p->fd;
	if (v.fd >= 0)
		v.socket[0] = '\0';
	if (sr_config_add(&p->config, p->kind, &v, &e))
		argp_error(state, "%s", e.text);
	if (!p->config.control[0])
		strcpy(p->config.control, "none");
	if (sr_config_settle(&p->config, &fault))
		argp_error(state, "--%s: %s", setting_names[fault.key], fault.text);
}
