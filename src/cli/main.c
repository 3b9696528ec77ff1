/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "switch", sr_cli_switch },
	{ "serve", sr_cli_serve },
	{ "ctl", sr_cli_ctl },
	{ "bench", sr_cli_bench },
};

static const char doc[] =
	"Slipring connects virtual machines, containers and the host with a fast virtual switch: "
	"virtio network devices over vhost-user, without root, hugepages or kernel modules."
	"\v"
	"Commands:\n"
	"  switch   run a switch; its ports are named on the command line\n"
	"  serve    run a switch described by a YAML file\n"
	"  ctl      look into a running switch and change it\n"
	"  bench    measure a vhost-user network back-end\n"
	"\n"
	"Two virtual machines on one switch:\n"
	"  slipring switch --port vhost-user,name=a,socket=/tmp/a.sock \\\n"
	"                  --port vhost-user,name=b,socket=/tmp/b.sock\n"
	"and each QEMU gets (with b.sock for the second):\n"
	"  -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\\n"
	"  -chardev socket,id=c,path=/tmp/a.sock \\\n"
	"  -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n\n"
	"\n"
	"What goes on in there:\n"
	"  slipring ctl ports\n"
	"\n"
	"Each command explains itself: slipring COMMAND --help. The manual: man slipring.";

const char *argp_program_version = "slipring " SLIPRING_VERSION;

struct choice {
	const struct command *command;
	int at; /* its name in argv */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	if (key == ARGP_KEY_NO_ARGS)
		argp_error(state, "no command given, expected one such as switch or ctl");
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, arg))
			continue;
		/* What follows is the command's own. */
		choice->command = &commands[i];
		choice->at = state->next - 1;
		state->next = state->argc;
		return 0;
	}
	argp_error(state, "unknown command '%s'", arg);
	return EINVAL;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { .parser = parse,
					  .args_doc = "COMMAND [ARGUMENT...]",
					  .doc = doc };
	struct choice choice = { NULL };
	char name[64];

	argp_err_exit_status = SR_EXIT_USAGE;
	/* In order, so that the command's options stay the command's. */
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice) || !choice.command)
		return SR_EXIT_USAGE;
	/* A command's argp calls itself by argv[0] in what it prints. */
	snprintf(name, sizeof(name), "slipring %s", choice.command->name);
	argv[choice.at] = name;
	return choice.command->run(argc - choice.at, argv + choice.at);
}
