/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of `slipring ctl`: cmd_ctl.c judges the command line, the others have the
 * commands, by subject. */
#ifndef SR_CLI_CTL_H
#define SR_CLI_CTL_H

#include "rpc_client.h"

#include "kind.h"

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

struct ctl_command;

struct ctl {
	const char *socket;
	bool json, shrink;
	unsigned watch_s;
	const struct ctl_command *command;
	int argc;
	char **argv;	/* the command and its arguments */
	json_t *params; /* of call */
	struct sr_rpc_client *client;
	struct sr_error error;
};

struct ctl_command {
	const char *name;
	int args_min, args_max;
	const char *usage;
	int (*run)(struct ctl *c);
	void (*check)(struct ctl *c, struct argp_state *state); /* the arguments; or NULL */
	bool watches;
};

#define CTL_PORT_COMMANDS    9u
#define CTL_STORAGE_COMMANDS 14u
extern const struct ctl_command ctl_port_commands[CTL_PORT_COMMANDS];
extern const struct ctl_command ctl_storage_commands[CTL_STORAGE_COMMANDS];

/* Prints a result, which it takes, in one of the two forms. */
int ctl_show(struct ctl *c, json_t *result, void (*people)(const json_t *, FILE *));

/* Takes the parameters. NULL with c->error filled. */
json_t *ctl_call(struct ctl *c, const char *method, json_t *params);

/* {"name": name} */
json_t *ctl_named(const char *name);

/* With --watch: asks again and again, shows what has changed. */
int ctl_watch(struct ctl *c, const char *method,
	      void (*rates)(const json_t *before, const json_t *now, double seconds, FILE *to));

/* A spec as parameters: texts under their keys. A relative path under one of `paths` means our
 * working directory; the daemon's is another. NULL with c->error filled. */
json_t *ctl_spec_params(struct ctl *c, const struct sr_kind *kind, const char *spec,
			const char *const *paths);

#endif
