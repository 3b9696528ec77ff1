/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

static const char doc[] =
	"Runs a learning Ethernet switch in the foreground until SIGTERM or SIGINT. Guests' "
	"ports are vhost-user sockets, the host's are tap interfaces; frames go from one guest's "
	"memory straight into the other's."
	"\v"
	"Ports:\n"
	"  vhost-user,name=NAME,socket=PATH[,KEY=VALUE...]\n"
	"    mode=server        listen on the socket (default), or\n"
	"    mode=client        connect to it, again and again until somebody listens\n"
	"    queues=N           offer up to N queue pairs (1 to 128, default 16)\n"
	"    mac=ADDRESS        offer this address to the guest\n"
	"    mtu=N              offer this MTU (68 to 65535)\n"
	"    permissions=MODE   of the socket made (octal, default 0600)\n"
	"    group=GROUP        of the socket made\n"
	"  tap,name=NAME[,interface=NAME]\n"
	"    interface=NAME     of the host (default: the port's name); made when it is\n"
	"                       not there, which takes CAP_NET_ADMIN\n"
	"\n"
	"Examples:\n"
	"  slipring switch --port vhost-user,name=a,socket=/tmp/a.sock \\\n"
	"                  --port vhost-user,name=b,socket=/tmp/b.sock,mode=client \\\n"
	"                  --port tap,name=t0\n"
	"  slipring switch --threads 2 --cpus 2,3 --poll-us busy --port ...\n"
	"\n"
	"Ports come and go later with slipring ctl add and slipring ctl remove.";

enum {
	OPT_PORT = 'p',
	OPT_SETTING = 256
};

static char option_names[SR_SETTINGS][32];
static struct argp_option options[SR_SETTINGS + 2] = {
	{ "port", OPT_PORT, "TYPE,KEY=VALUE...", 0, "add a port; may be repeated (see below)", -1 },
};

/* The settings' options come from the same table as the keys of the YAML file. */
static void fill_options(void)
{
	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		sr_setting_option(i, option_names[i], sizeof(option_names[i]));
		options[i + 1] = (struct argp_option){ .name = option_names[i],
						       .key = OPT_SETTING + (int)i,
						       .arg = sr_settings[i].arg,
						       .doc = sr_settings[i].help };
	}
}

static void add_port(struct sr_config *c, const char *spec, struct argp_state *state)
{
	struct sr_port_config p;
	struct sr_clash clash;
	struct sr_error e;

	if (sr_kind_parse(&sr_port_kind, spec, &p, &e))
		argp_error(state, "--port %s", e.text);
	if (sr_config_add(c, SR_PORTS, &p, &e))
		argp_error(state, "--port '%s': %s", spec, e.text);
	if (sr_config_check_last(c, SR_PORTS, &clash))
		argp_error(state, "--port '%s': key '%s': %s", spec,
			   sr_port_kind.keys[clash.key].name, clash.text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sr_config *c = state->input;
	struct sr_fault fault;

	if (key == OPT_PORT) {
		add_port(c, arg, state);
		return 0;
	}
	if (key >= OPT_SETTING && key < OPT_SETTING + (int)SR_SETTINGS) {
		int i = key - OPT_SETTING;

		if (sr_key_store(&sr_settings[i], c, arg, &fault))
			argp_error(state, "--%s: %s", option_names[i], fault.text);
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected '%s', expected only options such as --port", arg);
	if (key == ARGP_KEY_END && sr_config_settle(c, &fault))
		argp_error(state, "--%s: %s", option_names[fault.key], fault.text);
	return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

int sr_cli_switch(int argc, char **argv)
{
	static const struct argp argp = { .options = options, .parser = parse, .doc = doc };
	struct sr_config c;
	int code = SR_EXIT_USAGE;

	fill_options();
	sr_config_init(&c);
	if (!argp_parse(&argp, argc, argv, 0, NULL, &c))
		code = sr_cli_run(&c);
	sr_config_finish(&c);
	return code;
}
