/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"

#include <argp.h>
#include <stdio.h>

static const char doc[] =
	"Runs the switch that FILE describes, in the foreground until SIGTERM or SIGINT."
	"\v"
	"A file:\n"
	"  threads: 2\n"
	"  poll-us: 50\n"
	"  control:\n"
	"    socket: /run/slipring.sock\n"
	"  ports:\n"
	"    - type: vhost-user\n"
	"      name: a\n"
	"      socket: /run/a.sock\n"
	"    - type: tap\n"
	"      name: t0\n"
	"\n"
	"All keys are in the manual: man slipring.yaml. Before a restart:\n"
	"  slipring serve --check FILE";

static const struct argp_option options[] = {
	{ "check", 'c', NULL, 0, "only say whether FILE is right" },
	{ NULL },
};

struct choice {
	const char *file;
	bool check;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *c = state->input;

	switch (key) {
	case 'c':
		c->check = true;
		return 0;
	case ARGP_KEY_ARG:
		if (c->file)
			argp_error(state, "unexpected '%s', expected one file", arg);
		c->file = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no file given");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sr_cli_serve(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "FILE", .doc = doc
	};
	struct choice choice = { 0 };
	struct sr_config c;
	struct sr_error e;
	int code = SR_EXIT_OK;

	if (argp_parse(&argp, argc, argv, 0, NULL, &choice))
		return SR_EXIT_USAGE;
	if (sr_config_load(choice.file, &c, &e)) {
		fprintf(stderr, "slipring: %s\n", e.text);
		return SR_EXIT_FAILED;
	}
	if (choice.check)
		printf("%s: right, %u port%s\n", choice.file, c.nports, c.nports == 1 ? "" : "s");
	else
		code = sr_cli_run(&c);
	sr_config_finish(&c);
	return code;
}
