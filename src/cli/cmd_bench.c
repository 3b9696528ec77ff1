/* SPDX-License-Identifier: BSD-3-Clause */
/* `slipring bench`: finds out what is to be measured. */
#include "base.h"
#include "bench.h"
#include "cli.h"

static const struct subject {
	const char *name;
	int (*run)(int argc, char **argv);
	char called[24]; /* what its argp calls itself */
} subjects[] = {
	{ "net", bench_net, "slipring bench net" },
	{ "blk", bench_blk, "slipring bench blk" },
	{ "scsi", bench_scsi, "slipring bench scsi" },
};

static const char bench_doc[] =
	"Measures back-ends by playing the guest."
	"\v"
	"What can be measured:\n"
	"  net      a vhost-user network back-end: frames a second, loss, round trips\n"
	"  blk      a vhost-user disk: requests a second, latency, whether data is kept\n"
	"  scsi     a unit of a vhost-user SCSI host, likewise\n"
	"\n"
	"Two ports of a switch, and what this machine allows at most:\n"
	"  slipring bench net a.sock --peer b.sock\n"
	"  slipring bench net --mode self\n"
	"A disk, read at random:\n"
	"  slipring bench blk disk.sock --rw randread --bs 4k --depth 64\n"
	"\n"
	"More: slipring bench net --help, and likewise for the others.";

struct choice {
	const struct subject *subject;
	int at; /* its name in argv */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *c = state->input;

	if (key == ARGP_KEY_NO_ARGS)
		argp_error(state, "nothing to measure given, expected net, blk or scsi");
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	for (unsigned i = 0; i < SR_ARRAY_LEN(subjects); i++)
		if (!strcmp(arg, subjects[i].name))
			c->subject = &subjects[i];
	if (!c->subject)
		argp_error(state, "got '%s', expected net, blk or scsi", arg);
	/* What follows is the subject's own. */
	c->at = state->next - 1;
	state->next = state->argc;
	return 0;
}

int sr_cli_bench(int argc, char **argv)
{
	static const struct argp argp = { .parser = parse,
					  .args_doc = "net|blk|scsi [ARGUMENT...]",
					  .doc = bench_doc };
	struct choice c = { NULL, 0 };
	char name[sizeof(c.subject->called)];

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &c) || !c.subject)
		return SR_EXIT_USAGE;
	memcpy(name, c.subject->called, sizeof(name));
	argv[c.at] = name;
	return c.subject->run(argc - c.at, argv + c.at);
}
