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

void sr_config_init(struct sr_config *c)
{
	*c = (struct sr_config){ .poll_us = 50, .log = SR_LOG_INFO };
}

void sr_config_finish(struct sr_config *c)
{
	free(c->ports);
	c->ports = NULL;
	c->nports = 0;
	sr_yaml_marks_destroy(c->marks);
	c->marks = NULL;
}

int sr_config_add_port(struct sr_config *c, const struct sr_port_config *p, struct sr_error *e)
{
	struct sr_port_config *ports;

	if (c->nports == SR_PORTS_MAX)
		return sr_error_set(e, -ENOSPC, "more than %u ports", SR_PORTS_MAX);
	ports = reallocarray(c->ports, c->nports + 1, sizeof(*ports));
	if (!ports)
		return sr_error_set(e, -ENOMEM, "out of memory for %u ports", c->nports + 1);
	c->ports = ports;
	ports[c->nports++] = *p;
	return 0;
}

int sr_port_config_clash(const struct sr_port_config *a, const struct sr_port_config *b)
{
	static const char *const unique[] = { "name", "socket", "interface" };

	for (unsigned u = 0; u < SR_ARRAY_LEN(unique); u++) {
		int k = sr_key_find(sr_port_keys, SR_PORT_KEYS, unique[u]);
		size_t at = sr_port_keys[k].offset;

		if (((const char *)a)[at] && !strcmp((const char *)a + at, (const char *)b + at))
			return k;
	}
	return -1;
}

int sr_config_clash(const struct sr_config *c, unsigned *key)
{
	for (unsigned i = 0; i + 1 < c->nports; i++) {
		int k = sr_port_config_clash(&c->ports[c->nports - 1], &c->ports[i]);

		if (k >= 0) {
			*key = (unsigned)k;
			return (int)i;
		}
	}
	return -1;
}

void sr_config_place(const struct sr_config *c, int port, int key, char *to, size_t size)
{
	const char *name = port >= 0 && key >= 0 ? sr_port_keys[key].name : "";
	const char *dot = *name ? "." : "";
	char path[64];

	if (port < 0 && c->file)
		sr_setting_path((unsigned)key, path, sizeof(path));
	else if (port < 0)
		sr_setting_option((unsigned)key, path, sizeof(path));
	else
		snprintf(path, sizeof(path), "ports[%d]%s%s", port, dot, name);
	if (c->file)
		snprintf(to, size, "%.150s:%u: key '%s'", c->file,
			 sr_yaml_marks_line(c->marks, path), path);
	else if (port < 0)
		snprintf(to, size, "--%s", path);
	else if (*name)
		snprintf(to, size, "port %s: key '%s'", c->ports[port].name, name);
	else
		snprintf(to, size, "port %s", c->ports[port].name);
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
	if (!c->nports && !strcmp(c->control, "none")) {
		snprintf(fault->text, sizeof(fault->text),
			 "got 'none' without any port: there would never be one");
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
