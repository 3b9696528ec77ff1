/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of the one binary. Each gets argv from its own name on and returns the
 * exit code of the program. */
#ifndef SR_CLI_H
#define SR_CLI_H

#include "config.h"

enum {
	SR_EXIT_OK = 0,
	SR_EXIT_FAILED = 1,
	SR_EXIT_USAGE = 2
};

int sr_cli_switch(int argc, char **argv);
int sr_cli_serve(int argc, char **argv);
int sr_cli_ctl(int argc, char **argv);
int sr_cli_blk(int argc, char **argv);
int sr_cli_scsi(int argc, char **argv);
int sr_cli_bench(int argc, char **argv);

/* Runs a daemon in the foreground until it is told to end. */
int sr_cli_run(const struct sr_config *c);

#endif
