/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands about ports, and about the daemon itself. */
#include "base.h"
#include "config.h"
#include "ctl.h"
#include "ctl_show.h"

#include <slipring/log.h>

#include <stdio.h>

static int ports(struct ctl *c)
{
	if (c->watch_s)
		return ctl_watch(c, "port.list", sr_show_rates);
	return ctl_show(c, ctl_call(c, "port.list", NULL), sr_show_ports);
}

static int port(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "port.show", ctl_named(c->argv[1])), sr_show_port);
}

static void check_add(struct ctl *c, struct argp_state *state)
{
	struct sr_port_config p;
	struct sr_error e;

	if (sr_kind_parse(&sr_port_kind, c->argv[1], &p, &e))
		argp_error(state, "add %s", e.text);
}

static int add(struct ctl *c)
{
	static const char *const paths[] = { "socket", NULL };
	json_t *params = ctl_spec_params(c, &sr_port_kind, c->argv[1], paths);

	return params ? ctl_show(c, ctl_call(c, "port.add", params), NULL) : -1;
}

static int remove_port(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "port.remove", ctl_named(c->argv[1])), NULL);
}

static void check_link(struct ctl *c, struct argp_state *state)
{
	if (strcmp(c->argv[2], "up") && strcmp(c->argv[2], "down"))
		argp_error(state, "link %s: got '%s', expected up or down", c->argv[1], c->argv[2]);
}

static int set_link(struct ctl *c)
{
	json_t *params = json_pack("{s:s, s:s}", "name", c->argv[1], "link", c->argv[2]);

	return ctl_show(c, ctl_call(c, "port.set", params), NULL);
}

static int macs(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "fdb.list", NULL), sr_show_macs);
}

static void check_log(struct ctl *c, struct argp_state *state)
{
	if (sr_log_level_parse(c->argv[1]) < 0)
		argp_error(state, "log: got '%s', expected error, warn, info or debug", c->argv[1]);
}

static int log_level(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "log.level", json_pack("{s:s}", "level", c->argv[1])), NULL);
}

static int version(struct ctl *c)
{
	return ctl_show(c, ctl_call(c, "version", NULL), sr_show_version);
}

static void check_call(struct ctl *c, struct argp_state *state)
{
	json_error_t where;

	if (c->argc < 3)
		return;
	c->params = json_loads(c->argv[2], 0, &where);
	if (!c->params)
		argp_error(state, "call %s: '%.100s' is not JSON: %s", c->argv[1], c->argv[2],
			   where.text);
}

static int any_call(struct ctl *c)
{
	c->json = true;
	return ctl_show(c, ctl_call(c, c->argv[1], json_incref(c->params)), NULL);
}

const struct ctl_command ctl_port_commands[CTL_PORT_COMMANDS] = {
	{ "ports", 0, 0, "ports [--watch SECONDS]", ports, NULL, true },
	{ "port", 1, 1, "port NAME", port, NULL },
	{ "add", 1, 1, "add TYPE,KEY=VALUE...", add, check_add },
	{ "remove", 1, 1, "remove NAME", remove_port, NULL },
	{ "link", 2, 2, "link NAME up|down", set_link, check_link },
	{ "macs", 0, 0, "macs", macs, NULL },
	{ "log", 1, 1, "log LEVEL", log_level, check_log },
	{ "version", 0, 0, "version", version, NULL },
	{ "call", 1, 2, "call METHOD [JSON]", any_call, check_call },
};
