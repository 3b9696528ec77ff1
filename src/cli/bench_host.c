/* SPDX-License-Identifier: BSD-3-Clause */
/* A device of our own behind a real socket, served by this process on another CPU. */
#include "base.h"
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <slipring/log.h>
#include <slipring/loop.h>
#include <slipring/vhost_user.h>
#include <stdlib.h>
#include <unistd.h>

#define NAP_US 50 /* how long a loop that may sleep polls */

static struct sr_loop *spawn(const char *name, int cpu, uint32_t poll_us, struct sr_error *e)
{
	struct sr_loop_config c = { .name = name, .cpu = cpu, .poll_us = poll_us };
	struct sr_loop *l = sr_loop_create(&c, e);

	if (l && sr_loop_spawn(l, e)) {
		sr_loop_destroy(l);
		l = NULL;
	}
	return l;
}

struct creation {
	struct bench_host *host;
	const struct sr_vhost_user_config *config;
	struct sr_error *error;
};

/* What belongs to a loop is made on its thread. */
static void create(void *ctx)
{
	struct creation *c = ctx;

	c->host->backend = sr_vhost_user_create(c->config, c->error);
}

int bench_host_start(struct bench_host *h, struct sr_device *d, bool busy, struct sr_error *e)
{
	struct sr_vhost_user_config c = { .device = d, .nworkers = 1, .fd = -1 };
	int other = (sched_getcpu() + 1) % (int)sysconf(_SC_NPROCESSORS_ONLN);

	*h = (struct bench_host){ .folder = "/tmp/slipring-bench-XXXXXX" };
	/* That our own front-end comes and goes is no news. */
	sr_log_level(SR_LOG_WARN);
	if (!mkdtemp(h->folder)) {
		h->folder[0] = 0;
		return sr_error_set(e, -errno, "/tmp: %s", strerror(errno));
	}
	strcpy(h->socket, h->folder);
	strcat(h->socket, "/self");
	h->control = spawn("self", -1, SR_POLL_NEVER, e);
	h->worker = h->control ? spawn("self-0", other, busy ? SR_POLL_ALWAYS : NAP_US, e) : NULL;
	if (!h->worker)
		return e->code;
	c.control = h->control;
	c.workers = &h->worker;
	c.socket = h->socket;
	sr_loop_call(h->control, create, &(struct creation){ h, &c, e });
	return h->backend ? 0 : e->code;
}

static void stop(void *ctx)
{
	struct bench_host *h = ctx;

	sr_vhost_user_destroy(h->backend);
}

void bench_host_stop(struct bench_host *h)
{
	if (h->backend)
		sr_loop_call(h->control, stop, h);
	if (h->worker)
		sr_loop_destroy(h->worker);
	if (h->control)
		sr_loop_destroy(h->control);
	if (h->folder[0])
		rmdir(h->folder);
	*h = (struct bench_host){ 0 };
}
