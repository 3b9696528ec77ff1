/* SPDX-License-Identifier: BSD-3-Clause */
/* A run: starts the threads, looks after the connection meanwhile, and adds up. */
#include "bench_disk_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MS	    1000000ull
#define WARM_UP_NS  (300 * MS)
#define PROGRESS_NS 1000000000ull

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = true;
}

/* -EPIPE with what is lost by it. */
static int closed(const struct disk_run *r, struct sr_error *e)
{
	const struct disk_client *c = r->client;
	char what[200] = "";

	for (unsigned i = 0; i < c->options->queues; i++)
		if (c->queues[i].outstanding) {
			disk_queue_outstanding(&c->queues[i], sr_now_ns(), what, sizeof(what));
			break;
		}
	return sr_error_set(e, -EPIPE, "%s: the back-end closed the connection; outstanding: %s",
			    c->options->socket, *what ? what : "nothing");
}

static void show_progress(const struct disk_run *r, const struct disk_worker *w, uint64_t *due,
			  uint64_t *before)
{
	const struct disk_options *o = r->client->options;
	uint64_t now = sr_now_ns(), done = 0;

	if (now < *due || o->seconds <= 2 || !isatty(STDERR_FILENO))
		return;
	for (unsigned i = 0; i < o->threads; i++)
		done += atomic_load_explicit(&w[i].done, memory_order_relaxed);
	if (now >= atomic_load(&r->until))
		fprintf(stderr, "\r\033[Kreading back");
	else
		fprintf(stderr, "\r\033[K%.0f of %.0f s: %.0f IOPS",
			now < r->from ? 0.0 : (double)(now - r->from) / 1e9, o->seconds,
			(double)(done - *before) * 1e9 / (double)(now - *due + PROGRESS_NS));
	*before = done;
	*due = now + PROGRESS_NS;
}

/* What was measured until then is reported, and what was written is verified. */
static void cut_short(struct disk_run *r)
{
	uint64_t now = sr_now_ns();

	if (now < r->from + MS)
		atomic_store(&r->stop, true);
	else if (now < atomic_load(&r->until))
		atomic_store(&r->until, now);
}

/* Looks after the connection while the workers are busy. */
static bool supervise(struct disk_run *r, const struct disk_worker *w)
{
	uint64_t due = sr_now_ns() + PROGRESS_NS, before = 0, ended = 0;
	bool gone = false;

	while (ended < r->client->options->threads) {
		struct pollfd p = { r->ended, POLLIN, 0 };
		uint64_t n;

		if (poll(&p, 1, DISK_WAIT_MS) > 0 && read(r->ended, &n, sizeof(n)) == sizeof(n))
			ended += n;
		if (!gone && sr_frontend_is_closed(r->client->frontend)) {
			gone = ended < r->client->options->threads;
			atomic_store(&r->stop, true);
		}
		if (interrupted)
			cut_short(r);
		show_progress(r, w, &due, &before);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return gone;
}

static void merge_errors(struct disk_errors *to, const struct disk_errors *from)
{
	to->total += from->total;
	for (unsigned i = 0; i < from->n; i++) {
		unsigned k = 0;

		while (k < to->n && to->list[k].code != from->list[i].code)
			k++;
		if (k == DISK_ERRORS_MAX)
			continue;
		if (k == to->n)
			to->list[to->n++] = from->list[i];
		else
			to->list[k].count += from->list[i].count;
	}
}

static void merge(struct disk_result *to, const struct disk_worker *w)
{
	for (unsigned i = 0; i < DISK_OPS; i++) {
		bench_times_merge(&to->ops[i].times, &w->ops[i].times);
		to->ops[i].bytes += w->ops[i].bytes;
		to->ops[i].failed += w->ops[i].failed;
	}
	merge_errors(&to->errors, &w->errors);
	to->verified += w->verified;
	to->unknown += w->unknown;
}

/* Starts the threads; how many run. */
static unsigned start(struct disk_run *r, struct disk_worker *w, struct sr_error *e)
{
	unsigned n = 0;

	for (; n < r->client->options->threads; n++) {
		int rc;

		w[n].run = r;
		w[n].first = n;
		rc = pthread_create(&w[n].thread, NULL, disk_worker_main, &w[n]);
		if (rc) {
			sr_error_set(e, -rc, "thread %u: %s", n, strerror(rc));
			atomic_store(&r->stop, true);
			break;
		}
	}
	return n;
}

static int run_workers(struct disk_run *r, struct disk_worker *w, struct disk_result *res,
		       struct sr_error *e)
{
	const struct disk_options *o = r->client->options;
	unsigned n = start(r, w, e);
	bool gone = n == o->threads && supervise(r, w);
	int rc = n < o->threads ? e->code : 0;

	for (unsigned i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		merge(res, &w[i]);
		if (!rc && w[i].rc) {
			*e = w[i].error;
			rc = w[i].rc;
		}
	}
	return !rc && gone ? closed(r, e) : rc;
}

/* A run that has measured nothing has no figures. */
static int check_result(const struct disk_options *o, const struct disk_result *res,
			struct sr_error *e)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < DISK_OPS; i++)
		done += res->ops[i].times.count + res->ops[i].failed;
	if (!done && interrupted)
		return sr_error_set(e, -EINTR, "%s: interrupted before anything was measured",
				    o->socket);
	if (!done)
		return sr_error_set(e, -ETIMEDOUT,
				    "%s: no request ended within the %g s measured, expected some",
				    o->socket, o->seconds);
	if (o->verify && !o->writes && !res->verified && !res->errors.total)
		return sr_error_set(e, -ENODATA,
				    "%s: nothing to verify: none of the blocks read was written "
				    "with --verify",
				    o->socket);
	return 0;
}

int disk_run(struct disk_client *c, struct disk_result *res, struct sr_error *e)
{
	static const struct sigaction on_sigint = { .sa_handler = on_interrupt,
						    .sa_flags = (int)SA_RESETHAND };
	struct disk_run r = { .client = c };
	struct timespec t;
	struct disk_worker *w = aligned_alloc(SR_CACHE_LINE, c->options->threads * sizeof(*w));
	int rc;

	/* A second one ends us at once. */
	sigaction(SIGINT, &on_sigint, NULL);
	r.ended = eventfd(0, EFD_CLOEXEC);
	if (!w || r.ended < 0) {
		rc = sr_error_set(e, w ? -errno : -ENOMEM, "eventfd: %s",
				  strerror(w ? errno : ENOMEM));
	} else {
		memset(w, 0, c->options->threads * sizeof(*w));
		clock_gettime(CLOCK_REALTIME, &t);
		r.mark = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		r.from = sr_now_ns() + WARM_UP_NS;
		atomic_store(&r.until, r.from + (uint64_t)(c->options->seconds * 1e9));
		rc = run_workers(&r, w, res, e);
		res->seconds = (double)(r.until - r.from) / 1e9;
		res->interrupted = interrupted;
		rc = rc ? rc : check_result(c->options, res, e);
	}
	if (r.ended >= 0)
		close(r.ended);
	free(w);
	return rc;
}
