/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"
#include "ctl_show.h"
#include "rpc_client.h"

#include <slipring/log.h>

#include <argp.h>
#include <errno.h>
#include <limits.h>
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
	"  help                 this text\n"
	"\n"
	"rx and tx are the guest's view: rx is what it receives. DROPS counts frames\n"
	"that the guest had no room for, that had nowhere to go, or were malformed.\n"
	"All columns and counters are explained in the manual: man slipring.\n"
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
	const struct command *command;
	int argc;
	char **argv;	/* the command and its arguments */
	json_t *params; /* of call */
	struct sr_rpc_client *client;
	struct sr_error error;
};

struct command {
	const char *name;
	int args_min, args_max;
	const char *usage;
	int (*run)(struct ctl *c);
	void (*check)(struct ctl *c, struct argp_state *state); /* the arguments; or NULL */
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

/* False when nobody reads any more. */
static bool flushed(void)
{
	return putchar('\n') != EOF && !fflush(stdout);
}

/* For programs: the counters as they are, a line each time. */
static int watch_json(struct ctl *c)
{
	json_t *now;

	while ((now = call(c, "port.list", NULL))) {
		json_dumpf(now, stdout, JSON_COMPACT);
		json_decref(now);
		if (!flushed())
			return 0; /* main says so */
		sleep(c->watch_s);
	}
	return -1;
}

static int watch_ports(struct ctl *c)
{
	json_t *before = call(c, "port.list", NULL), *now;
	uint64_t then = sr_now_ns();
	int err = -1;

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
		json_decref(before);
		before = now;
		then = t;
		if (!flushed()) {
			err = 0; /* main says so */
			break;
		}
	}
	json_decref(before);
	return err;
}

static int ports(struct ctl *c)
{
	if (c->watch_s)
		return c->json ? watch_json(c) : watch_ports(c);
	return show(c, call(c, "port.list", NULL), sr_show_ports);
}

static int port(struct ctl *c)
{
	return show(c, call(c, "port.show", named(c->argv[1])), sr_show_port);
}

static void check_add(struct ctl *c, struct argp_state *state)
{
	struct sr_port_config p;
	struct sr_error e;

	if (sr_port_config_parse(c->argv[1], &p, &e))
		argp_error(state, "add %s", e.text);
}

/* The path means our working directory; the daemon's is another. */
static int make_absolute(const char **path, char *to, size_t size, struct sr_error *e)
{
	char here[PATH_MAX];
	int len;

	if (!*path || **path == '/')
		return 0;
	if (!getcwd(here, sizeof(here)))
		return sr_error_set(e, -errno, "socket '%s': no working directory: %s", *path,
				    strerror(errno));
	len = snprintf(to, size, "%s/%s", here, *path);
	if (len > (int)SR_SOCKET_PATH_MAX)
		return sr_error_set(e, -ENAMETOOLONG,
				    "socket '%s' is %s/%s: expected at most %u bytes", *path, here,
				    *path, SR_SOCKET_PATH_MAX);
	*path = to;
	return 0;
}

static int add(struct ctl *c)
{
	int socket = sr_key_find(sr_port_keys, SR_PORT_KEYS, "socket");
	const char *values[SR_PORT_KEYS] = { NULL };
	char copy[512], path[PATH_MAX + 128];
	json_t *params;

	if (sr_port_spec_split(c->argv[1], copy, sizeof(copy), values, &c->error) ||
	    make_absolute(&values[socket], path, sizeof(path), &c->error))
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

static void check_link(struct ctl *c, struct argp_state *state)
{
	if (strcmp(c->argv[2], "up") && strcmp(c->argv[2], "down"))
		argp_error(state, "link %s: got '%s', expected up or down", c->argv[1], c->argv[2]);
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

static void check_log(struct ctl *c, struct argp_state *state)
{
	if (sr_log_level_parse(c->argv[1]) < 0)
		argp_error(state, "log: got '%s', expected error, warn, info or debug", c->argv[1]);
}

static int log_level(struct ctl *c)
{
	return show(c, call(c, "log.level", json_pack("{s:s}", "level", c->argv[1])), NULL);
}

static int version(struct ctl *c)
{
	return show(c, call(c, "version", NULL), sr_show_version);
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
	return show(c, call(c, c->argv[1], json_incref(c->params)), NULL);
}

static const struct command commands[] = {
	{ "ports", 0, 0, "ports [--watch SECONDS]", ports, NULL },
	{ "port", 1, 1, "port NAME", port, NULL },
	{ "add", 1, 1, "add TYPE,KEY=VALUE...", add, check_add },
	{ "remove", 1, 1, "remove NAME", remove_port, NULL },
	{ "link", 2, 2, "link NAME up|down", set_link, check_link },
	{ "macs", 0, 0, "macs", macs, NULL },
	{ "log", 1, 1, "log LEVEL", log_level, check_log },
	{ "version", 0, 0, "version", version, NULL },
	{ "call", 1, 2, "call METHOD [JSON]", any_call, check_call },
};

static void list_commands(char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++) {
		size_t used = strlen(to);

		snprintf(to + used, size - used, "%s%s", i ? ", " : "", commands[i].name);
	}
}

static const struct command *find_command(const char *name)
{
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Judges all that can be judged without a daemon: that is wrong usage, not failure. */
static void take_command(struct ctl *c, struct argp_state *state)
{
	char list[128];

	if (!strcmp(c->argv[0], "help"))
		argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
	c->command = find_command(c->argv[0]);
	if (!c->command) {
		list_commands(list, sizeof(list));
		argp_error(state, "unknown command '%s', expected one of %s", c->argv[0], list);
		return;
	}
	if (c->argc - 1 < c->command->args_min || c->argc - 1 > c->command->args_max)
		argp_error(state, "expected %s", c->command->usage);
	if (c->watch_s && c->command->run != ports)
		argp_error(state, "--watch: not with %s, only with ports", c->command->name);
	if (c->command->check)
		c->command->check(c, state);
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
	char list[128];

	switch (key) {
	case OPT_SOCKET:
		c->socket = arg;
		if (!*arg)
			argp_error(state,
				   "--socket: got '', expected the path of a control socket");
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
		take_command(c, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		list_commands(list, sizeof(list));
		argp_error(state, "no command given, expected one of %s", list);
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
		err = c->command->run(c);
	sr_rpc_client_close(c->client);
	json_decref(c->params);
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
