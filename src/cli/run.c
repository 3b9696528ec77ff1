/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"
#include "daemon.h"

#include <signal.h>
#include <slipring/log.h>
#include <stdio.h>

/* The loops' threads must not get the signals that end the daemon, so they are blocked
 * before any is made. SIGHUP is ignored: the log goes to standard error, there is nothing
 * to open again, and a closed terminal must not cut off the guests. */
static void prepare_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

int sr_cli_run(const struct sr_config *c)
{
	struct sr_daemon *d;
	struct sr_error e;
	int err;

	prepare_signals();
	d = sr_daemon_create(c, &e);
	if (!d) {
		fprintf(stderr, "slipring: %s\n", e.text);
		return SR_EXIT_FAILED;
	}
	if (!c->lists[SR_PORTS].n && !c->lists[SR_BLKS].n && !c->lists[SR_SCSIS].n)
		sr_log(SR_LOG_INFO, "slipring", "no ports yet: slipring ctl add brings them");
	err = sr_daemon_run(d, &e);
	if (err)
		fprintf(stderr, "slipring: %s\n", e.text);
	sr_daemon_destroy(d);
	return err ? SR_EXIT_FAILED : SR_EXIT_OK;
}
