/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"
#include "ctl.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char doc[] =
	"Looks into a running daemon and changes it, while traffic flows."
	"\v"
	"Ports of the switch:\n"
	"  ports                all ports, one a line\n"
	"  port NAME            all about one: features, memory, counters, last error\n"
	"  add TYPE,KEY=VALUE...\n"
	"                       a port as with slipring switch --port\n"
	"  remove NAME          end the port's session and take the port off\n"
	"  link NAME up|down    plug the guest's cable in or out\n"
	"  macs                 the addresses learned, with their ports\n"
	"\n"
	"Disks:\n"
	"  disks                all disks, one a line\n"
	"  disk NAME            all about one\n"
	"  add-disk TYPE,name=NAME,KEY=VALUE...\n"
	"                       type file, mem, null, nbd or rbd\n"
	"  remove-disk NAME     that no device uses\n"
	"  resize NAME [SIZE]   make it so large; without SIZE, see how large it is now\n"
	"  limit NAME KEY=VALUE,...\n"
	"                       iops, iops-burst, bytes-per-second, bytes-burst; 0 off\n"
	"  fault NAME KEY=VALUE,...\n"
	"                       for tests: ops, error-share, delay-ms, offset, length\n"
	"\n"
	"Devices that show disks to guests:\n"
	"  devices              all devices, one a line\n"
	"  device NAME          all about one: features, units, counters, last error\n"
	"  add-blk name=NAME,disk=DISK,socket=PATH,KEY=VALUE...\n"
	"  add-scsi name=NAME,socket=PATH,KEY=VALUE... [TARGET:LUN=DISK...]\n"
	"  remove-device NAME   when its requests under way have ended\n"
	"  add-lun NAME TARGET:LUN=DISK[,KEY=VALUE...]\n"
	"  remove-lun NAME TARGET:LUN\n"
	"\n"
	"The daemon:\n"
	"  log LEVEL            error, warn, info or debug, from now on\n"
	"  version              of the daemon, and how long it runs\n"
	"  call METHOD [JSON]   any method of the daemon, with its parameters\n"
	"  help                 this text\n"
	"\n"
	"Nothing of this is written to the daemon's configuration file.\n"
	"rx and tx are the guest's view: rx is what it receives. DROPS counts frames\n"
	"that the guest had no room for, that had nowhere to go, or were malformed.\n"
	"All columns and counters are explained in the manual: man slipring.\n"
	"\n"
	"Examples:\n"
	"  slipring ctl ports\n"
	"  slipring ctl ports --watch 1\n"
	"  slipring ctl add vhost-user,name=c,socket=/tmp/c.sock\n"
	"  slipring ctl --json port c\n"
	"  slipring ctl add-disk file,name=d0,path=/var/lib/d0.img\n"
	"  slipring ctl add-blk name=b0,disk=d0,socket=/tmp/b0.sock\n"
	"  slipring ctl limit d0 iops=500,bytes-per-second=20M\n"
	"  slipring ctl call port.set '{\"name\": \"c\", \"link\": \"down\"}'";

#define COMMANDS (CTL_PORT_COMMANDS + CTL_STORAGE_COMMANDS)

static const struct ctl_command *command_at(unsigned i)
{
	return i < CTL_PORT_COMMANDS ? &ctl_port_commands[i]
				     : &ctl_storage_commands[i - CTL_PORT_COMMANDS];
}

static void list_commands(char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned i = 0; i < COMMANDS; i++) {
		size_t used = strlen(to);

		snprintf(to + used, size - used, "%s%s", i ? ", " : "", command_at(i)->name);
	}
}

static const struct ctl_command *find_command(const char *name)
{
	for (unsigned i = 0; i < COMMANDS; i++)
		if (!strcmp(command_at(i)->name, name))
			return command_at(i);
	return NULL;
}

/* Judges all that can be judged without a daemon: that is wrong usage, not failure. */
static void take_command(struct ctl *c, struct argp_state *state)
{
	char list[400];

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
	if (c->watch_s && !c->command->watches)
		argp_error(state, "--watch: not with %s, only with ports and devices",
			   c->command->name);
	if (c->shrink && strcmp(c->command->name, "resize"))
		argp_error(state, "--shrink: not with %s, only with resize", c->command->name);
	if (c->command->check)
		c->command->check(c, state);
}

enum {
	OPT_SOCKET = 's',
	OPT_JSON = 'j',
	OPT_WATCH = 'w',
	OPT_SHRINK = 256
};

static const struct argp_option options[] = {
	{ "socket", OPT_SOCKET, "PATH", 0,
	  "the daemon's control socket (default /run/slipring.sock for root, else "
	  "$XDG_RUNTIME_DIR/slipring.sock)" },
	{ "json", OPT_JSON, NULL, 0, "print what the daemon answers, for programs" },
	{ "watch", OPT_WATCH, "SECONDS", 0, "with ports or devices: print rates, again and again" },
	{ "shrink", OPT_SHRINK, NULL, 0,
	  "with resize: also to a smaller size, and what is behind it is lost" },
	{ NULL },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctl *c = state->input;
	char list[400];

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
	case OPT_SHRINK:
		c->shrink = true;
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
