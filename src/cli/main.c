/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "cli.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "switch", sr_cli_switch }, { "serve", sr_cli_serve }, { "blk", sr_cli_blk },
	{ "scsi", sr_cli_scsi },     { "ctl", sr_cli_ctl },	{ "bench", sr_cli_bench },
};

static const char doc[] =
	"Slipring gives virtual machines and containers their network and their disks: a fast "
	"virtual switch, block devices and SCSI hosts, as virtio devices over vhost-user, without "
	"root, hugepages or kernel modules."
	"\v"
	"Commands:\n"
	"  switch   run a switch; its ports are named on the command line\n"
	"  serve    run a switch and disks described by a YAML file\n"
	"  blk      serve one disk to one guest\n"
	"  scsi     serve a SCSI host with disks to one guest\n"
	"  ctl      look into a running daemon and change it\n"
	"  bench    measure a vhost-user back-end: network, disk or SCSI host\n"
	"  help     explain the program, or a COMMAND that follows\n"
	"  version  print the version\n"
	"\n"
	"Two virtual machines on one switch:\n"
	"  slipring switch --port vhost-user,name=a,socket=/tmp/a.sock \\\n"
	"                  --port vhost-user,name=b,socket=/tmp/b.sock\n"
	"and each QEMU gets (with b.sock for the second):\n"
	"  -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\\n"
	"  -chardev socket,id=c,path=/tmp/a.sock \\\n"
	"  -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n\n"
	"\n"
	"A disk for one of them, which gets the memory as above:\n"
	"  slipring blk --socket-path=/tmp/d.sock --blk-file=disk.img\n"
	"  -chardev socket,id=d,path=/tmp/d.sock -device vhost-user-blk-pci,chardev=d\n"
	"\n"
	"What goes on in the switch:\n"
	"  slipring ctl ports\n"
	"\n"
	"Each command explains itself: slipring COMMAND --help. The manual: man slipring.";

const char *argp_program_version = "slipring " SLIPRING_VERSION;

struct choice {
	const struct command *command;
	int at; /* its name in argv */
	bool help;
};

static void refuse(const char *what, const char *name, struct argp_state *state)
{
	char list[128] = "";

	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++) {
		size_t used = strlen(list);

		snprintf(list + used, sizeof(list) - used, "%s, ", commands[i].name);
	}
	argp_error(state, "%s%s%s%s, expected one of %shelp, version", what, name ? " '" : "",
		   name ? name : "", name ? "'" : "", list);
}

static bool is_command(const char *arg, struct choice *choice)
{
	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, arg))
			choice->command = &commands[i];
	return choice->command;
}

static error_t parse_word(const char *arg, struct choice *choice, struct argp_state *state)
{
	if (is_command(arg, choice)) {
		/* What follows is the command's own. */
		choice->at = state->next - 1;
		state->next = state->argc;
		return 0;
	}
	if (!strcmp(arg, "version") && !choice->help) {
		puts(argp_program_version);
		exit(SR_EXIT_OK);
	}
	if (strcmp(arg, "help") && strcmp(arg, "version")) {
		refuse("unknown command", arg, state);
		return EINVAL;
	}
	if (choice->help || state->next == state->argc)
		argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
	choice->help = true; /* with the command that follows */
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_NO_ARGS)
		refuse("no command given", NULL, state);
	return key == ARGP_KEY_ARG ? parse_word(arg, state->input, state) : ARGP_ERR_UNKNOWN;
}

/* What was printed may only fail when it leaves our buffer, at the very end. */
static void check_stdout(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (!fflush(stdout) && !failed)
		return;
	fprintf(stderr, "slipring: can't write to standard output%s%s\n", errno ? ": " : "",
		errno ? strerror(errno) : "");
	_exit(SR_EXIT_FAILED);
}

static char help_option[] = "--help";

/* argp's own letter for it is -?, which few try. */
static void accept_h(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "-h"))
			argv[i] = help_option;
}

/* "help bench net" becomes "bench net --help". */
static void put_help_last(int argc, char **argv, struct choice *choice)
{
	for (int i = choice->at--; i < argc; i++)
		argv[i - 1] = argv[i];
	argv[argc - 1] = help_option;
}

/* Started by a name that stands for one command, as the files for managers of virtual machines
 * do it. */
static const struct command *program_called(const char *path)
{
	static const char prefix[] = "slipring-vhost-user-";
	const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;

	for (unsigned i = 0; i < SR_ARRAY_LEN(commands); i++)
		if (name && !strncmp(name, prefix, sizeof(prefix) - 1) &&
		    !strcmp(name + sizeof(prefix) - 1, commands[i].name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { .parser = parse,
					  .args_doc = "COMMAND [ARGUMENT...]",
					  .doc = doc };
	struct choice choice = { NULL };
	char name[64];

	atexit(check_stdout);
	argp_err_exit_status = SR_EXIT_USAGE;
	accept_h(argc, argv);
	choice.command = program_called(argc ? argv[0] : NULL);
	if (choice.command)
		return choice.command->run(argc, argv);
	/* In order, so that the command's options stay the command's. */
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice) || !choice.command)
		return SR_EXIT_USAGE;
	if (choice.help)
		put_help_last(argc, argv, &choice);
	/* A command's argp calls itself by argv[0] in what it prints. */
	snprintf(name, sizeof(name), "slipring %s", choice.command->name);
	argv[choice.at] = name;
	return choice.command->run(argc - choice.at, argv + choice.at);
}
