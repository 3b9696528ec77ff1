/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"
#include "ctl_show.h"
#include "rpc_client.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char doc[] =
	"Looks into a running switch and changes it, while traffic flows."
	"\v"
	"Commands:\n"
	"  ports                all ports, one a line\n"
	"  port NAME            all about one: features, memory, counters, last error\n"
	"  add TYPE,KEY=VALUE...\n"
	"                       a port as with slipring switch --port\n"
	"  remove NAME          end the port's session and take the port off\n"
	"  link NAME up|down    plug the guest's cable in or out\n"
	"  macs                 the addresses learned, with their ports\n"
	"  log LEVEL            error, warn, info or debug, from now on\n"
	"  version              of the daemon, and how long it runs\n"
	"  call METHOD [JSON]   any method of the daemon, with its parameters\n"
	"\n"
	"rx and tx are the guest's view: rx is what it receives. DROPS counts frames\n"
	"that the guest had no room for, that had nowhere to go, or were malformed.\n"
	"\n"
	"Examples:\n"
	"  slipring ctl ports\n"
	"  slipring ctl ports --watch 1\n"
	"  slipring ctl add vhost-user,name=c,socket=/tmp/c.sock\n"
	"  slipring ctl --json port c\n"
	"  slipring ctl call port.set '{\"name\": \"c\", \"link\": \"down\"}'";

struct ctl {
	const char *socket;
	bool json;
	unsigned watch_s;
	int argc;
	char **argv; /* the command and its arguments */
	struct sr_rpc_client *client;
	struct sr_error error;
};

struct command {
	const char *name;
	int args_min, args_max;
	const char *usage;
	int (*run)(struct ctl *c);
};

/* Prints a result, which it takes, in one of the two forms. */
static int show(struct ctl *c, json_t *result, void (*people)(const json_t *, FILE *))
{
	if (!result)
		return -1;
	if (c->json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (people) {
		people(result, stdout);
	}
	json_decref(result);
	return 0;
}

static json_t *call(struct ctl *c, const char *method, json_t *params)
{
	return sr_rpc_client_call(c->client, method, params, &c->error);
}

static json_t *named(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

static int watch_ports(struct ctl *c)
{
	json_t *before = call(c, "port.list", NULL), *now;
	uint64_t then = sr_now_ns();

	if (!before)
		return -1;
	for (;;) {
		uint64_t t;

		sleep(c->watch_s);
		now = call(c, "port.list", NULL);
		if (!now)
			break;
		t = sr_now_ns();
		sr_show_rates(before, now, (double)(t - then) / 1e9, stdout);
		if (putchar('\n') == EOF || fflush(stdout))
			break; /* nobody reads any more */
		json_decref(before);
		before = now;
		then = t;
	}
	json_decref(before);
	return -1;
}

static int ports(struct ctl *c)
{
	if (c->watch_s)
		return watch_ports(c);
	return show(c, call(c, "port.list", NULL), sr_show_ports);
}

static int port(struct ctl *c)
{
	return show(c, call(c, "port.show", named(c->argv[1])), sr_show_port);
}

static int add(struct ctl *c)
{
	const char *values[SR_PORT_KEYS] = { NULL };
	char copy[512];
	json_t *params;

	if (sr_port_spec_split(c->argv[1], copy, sizeof(copy), values, &c->error))
		return -1;
	params = json_object();
	for (unsigned i = 0; i < SR_PORT_KEYS; i++)
		if (values[i])
			json_object_set_new(params, sr_port_keys[i].name, json_string(values[i]));
	return show(c, call(c, "port.add", params), NULL);
}

static int remove_port(struct ctl *c)
{
	return show(c, call(c, "port.remove", named(c->argv[1])), NULL);
}

static int set_link(struct ctl *c)
{
	json_t *params = json_pack("{s:s, s:s}", "name", c->argv[1], "link", c->argv[2]);

	return show(c, call(c, "port.set", params), NULL);
}

static int macs(struct ctl *c)
{
	return show(c, call(c, "fdb.list", NULL), sr_show_macs);
}

static int log_level(struct ctl *c)
{
	return show(c, call(c, "log.level", json_pack("{s:s}", "level", c->argv[1])), NULL);
}

static int version(struct ctl *c)
{
	return show(c, call(c, "version", NULL), sr_show_version);
}

static int any_call(struct ctl *c)
{
	json_error_t where;
	json_t *params = NULL;

	if (c->argc > 2) {
		params = json_loads(c->argv[2], 0, &where);
		if (!params)
			return sr_error_set(&c->error, -EINVAL, "'%.100s' is not JSON: %s",
					    c->argv[2], where.text);
	}
	c->json = true;
	return show(c, call(c, c->argv[1], params), NULL);
}

static const struct command commands[] = {
	{ "ports", 0, 0, "ports [--watch SECONDS]", ports },
	{ "port", 1, 1, "port NAME", port },
	{ "add", 1, 1, "add TYPE,KEY=VALUE...", add },
	{ "remove", 1, 1, "remove NAME", remove_port },
	{ "link", 2, 2, "link NAME up|down", set_link },
	{ "macs", 0, 0, "macs", macs },
	{ "log", 1, 1, "log LEVEL", log_level },
	{ "version", 0, 0, "version", version },
	{ "call", 1, 2, "call METHOD [JSON]", any_call },
};

static const struct command *find_command(const struct ctl *c, struct argp_state *state)
{
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++) {
		const struct command *found = &commands[i];

		if (strcmp(found->name, c->argv[0]))
			continue;
		if (c->argc - 1 < found->args_min || c->argc - 1 > found->args_max)
			argp_error(state, "expected %s", found->usage);
		return found;
	}
	argp_error(state, "unknown command '%s'", c->argv[0]);
	return NULL;
}

enum {
	OPT_SOCKET = 's',
	OPT_JSON = 'j',
	OPT_WATCH = 'w'
};

static const struct argp_option options[] = {
	{ "socket", OPT_SOCKET, "PATH", 0,
	  "the daemon's control socket (default /run/slipring.sock for root, else "
	  "$XDG_RUNTIME_DIR/slipring.sock)" },
	{ "json", OPT_JSON, NULL, 0, "print what the daemon answers, for programs" },
	{ "watch", OPT_WATCH, "SECONDS", 0, "with ports: print rates, again and again" },
	{ NULL },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctl *c = state->input;

	switch (key) {
	case OPT_SOCKET:
		c->socket = arg;
		return 0;
	case OPT_JSON:
		c->json = true;
		return 0;
	case OPT_WATCH:
		c->watch_s = (unsigned)strtoul(arg, NULL, 10);
		if (c->watch_s < 1 || c->watch_s > 3600)
			argp_error(state, "--watch: got '%s', expected seconds from 1 to 3600",
				   arg);
		return 0;
	case ARGP_KEY_ARGS:
		c->argc = state->argc - state->next;
		c->argv = state->argv + state->next;
		find_command(c, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given, expected one such as ports");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(struct ctl *c)
{
	char path[SR_SOCKET_PATH_MAX + 1];
	int err = -1;

	if (!c->socket && sr_control_path_default(path, sizeof(path), &c->error))
		return -1;
	c->client = sr_rpc_client_open(c->socket ? c->socket : path, &c->error);
	if (c->client)
		err = find_command(c, NULL)->run(c);
	sr_rpc_client_close(c->client);
	return err;
}

int sr_cli_ctl(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "COMMAND [ARGUMENT...]", .doc = doc
	};
	struct ctl c = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &c))
		return SR_EXIT_USAGE;
	if (!run(&c))
		return SR_EXIT_OK;
	fprintf(stderr, "slipring ctl: %s\n", c.error.text);
	return SR_EXIT_FAILED;
}
