/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"

#include <argp.h>
#include <stdio.h>

static const char doc[] =
	"Runs the switch, the disks and the devices that FILE describes, in the foreground until "
	"SIGTERM or SIGINT."
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
	"  disks:\n"
	"    - type: file\n"
	"      name: d0\n"
	"      path: /var/lib/d0.img\n"
	"    - type: mem\n"
	"      name: d1\n"
	"      size: 1G\n"
	"  blk:\n"
	"    - name: b0\n"
	"      disk: d0\n"
	"      socket: /run/b0.sock\n"
	"  scsi:\n"
	"    - name: s0\n"
	"      socket: /run/s0.sock\n"
	"      luns: [\"0:0=d1\"]\n"
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

/* "2 ports, 1 disk" */
static void print_counts(const struct sr_config *c)
{
	unsigned devices = c->lists[SR_BLKS].n + c->lists[SR_SCSIS].n;
	const struct {
		const char *noun;
		unsigned n;
	} all[] = { { "port", c->lists[SR_PORTS].n },
		    { "disk", c->lists[SR_DISKS].n },
		    { "device", devices } };
	const char *comma = "";

	for (unsigned i = 0; i < SR_ARRAY_LEN(all); i++) {
		if (!all[i].n && (i || devices || c->lists[SR_DISKS].n))
			continue;
		printf("%s%u %s%s", comma, all[i].n, all[i].noun, all[i].n == 1 ? "" : "s");
		comma = ", ";
	}
	putchar('\n');
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
	if (choice.check) {
		printf("%s: right, ", choice.file);
		print_counts(&c);
	} else {
		code = sr_cli_run(&c);
	}
	sr_config_finish(&c);
	return code;
}
