/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a disk has requests under way, and nobody knows when they end. Until then they
 * write to the guest's memory, so neither ring nor memory may change, and the one thread
 * that handles the messages of all front-ends must not wait.
 *
 * Rejected: to wait inside each handler (a stuck disk would stop the control of all); handlers
 * in two halves (a dozen of them, each with a state of its own); threads that wait (they would
 * share what now has one owner).
 *
 * Chosen: a message that stops or pauses rings is parked before its handler runs. The rings that
 * it is about are asked, on their loops, to take nothing more and to come to an end. Most have
 * nothing under way: then the handler runs at once, as for devices that finish within a call,
 * which are not asked at all. Else the session reads no further messages, they wait in
 * the socket, and each ring that has become quiet is reported to the control loop; after the last
 * one the handler runs, on quiet rings, and knows nothing of it.
 *
 *     FLOWING --drain--> DRAINING --limit, abandon says no--> STUCK
 *        ^                  | drained, or abandon says yes      | drained
 *        +------start------ QUIET <-----------------------------+
 *
 * The wait has a limit. Then the device abandons what it can. Where it cannot, the session ends
 * for its front-end, but its memory and rings stay until the last request is back.
 *
 * The end of a session waits in the same way: what a dead guest has written shall be on the disk
 * before the next session reads it. A broken ring waits alone and without a limit, nobody needs
 * its answer.
 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define MS 1000000ull /* ns */

static const struct sr_device_ops *ops_of(const struct sr_vu_queue *q)
{
	return q->s->device->ops;
}

bool sr_vu_queue_is_quiet(const struct sr_vu_queue *q)
{
	return !q->running || !ops_of(q)->queue_drain || atomic_load(&q->drain) == SR_VU_QUIET;
}

static void drain_on_loop(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	if (atomic_load(&q->drain) != SR_VU_FLOWING)
		return;
	atomic_store(&q->drain, SR_VU_DRAINING);
	if (ops_of(q)->queue_drain(q->s->device, q->index))
		atomic_store(&q->drain, SR_VU_QUIET);
}

static void abandon_on_loop(void *ctx)
{
	struct sr_vu_queue *q = ctx;

	if (atomic_load(&q->drain) != SR_VU_DRAINING)
		return;
	atomic_store(&q->drain, SR_VU_STUCK);
	if (ops_of(q)->queue_abandon(q->s->device, q->index))
		atomic_store(&q->drain, SR_VU_QUIET);
}

bool sr_vu_queue_drain(struct sr_vu_queue *q)
{
	if (!sr_vu_queue_is_quiet(q))
		sr_loop_call(q->loop, drain_on_loop, q);
	return sr_vu_queue_is_quiet(q);
}

/* The next ring from *i on that the session waits for. */
static struct sr_vu_queue *next_awaited(const struct sr_session *s, unsigned *i)
{
	while (*i < s->nqueues) {
		struct sr_vu_queue *q = s->queues[(*i)++];

		if (q && (!s->awaited || s->awaited == q) && !sr_vu_queue_is_quiet(q))
			return q;
	}
	return NULL;
}

static bool awaits_nobody(const struct sr_session *s)
{
	return !next_awaited(s, &(unsigned){ 0 });
}

/* False: still waiting. True: `then` has run, and the session may be gone. */
static bool go_on(struct sr_session *s)
{
	sr_vu_then *then = s->then;

	if (!then || !awaits_nobody(s))
		return false;
	s->then = NULL;
	sr_timer_cancel(s->limit);
	then(s, s->awaited);
	return true;
}

/* On the control loop. The ring may have been started again since. */
static void drained(struct sr_session *s, unsigned index)
{
	struct sr_vu_queue *q = s->queues[index];

	if (q->breaking && sr_vu_queue_is_quiet(q))
		sr_vu_queue_stop(q);
	go_on(s);
}

bool sr_vu_queue_report_quiet(struct sr_vu_queue *q)
{
	q->quiet_untold = !sr_session_post(q->s, drained, q->index);
	return !q->quiet_untold;
}

void sr_session_queue_drained(struct sr_session *s, unsigned queue)
{
	struct sr_vu_queue *q = s->queues[queue];

	atomic_store(&q->drain, SR_VU_QUIET);
	if (!sr_vu_queue_report_quiet(q))
		sr_poller_wake(q->poller);
}

static void list_awaited(const struct sr_session *s, char *buf, size_t size)
{
	struct sr_vu_queue *q;
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned i = 0; used < size && (q = next_awaited(s, &i));)
		used += (size_t)snprintf(buf + used, size - used, "%s%u", used ? ", " : "",
					 q->index);
}

static unsigned abandon_all(struct sr_session *s)
{
	struct sr_vu_queue *q;
	unsigned n = 0;

	for (unsigned i = 0; (q = next_awaited(s, &i)); n++)
		sr_loop_call(q->loop, abandon_on_loop, q);
	return n;
}

static void limit_passed(void *ctx)
{
	struct sr_session *s = ctx;
	char rings[80];
	unsigned n;

	list_awaited(s, rings, sizeof(rings));
	s->late_at = sr_now_ns();
	n = abandon_all(s);
	if (n)
		sr_log(SR_LOG_WARN, s->device->name,
		       "%s: %s: %u of %u running rings (%s) have unfinished requests after %u ms; "
		       "%s",
		       s->peer, s->awaited_for, n, sr_vu_queues_running(s), rings, s->limit_ms,
		       awaits_nobody(s) ? "abandoned"
					: "they cannot be abandoned, memory and rings stay "
					  "until they are finished");
	if (go_on(s) || s->ending)
		return;
	sr_error_set(&s->error, -ETIMEDOUT,
		     "%s: ring %s: requests that can neither be finished in %u ms nor abandoned",
		     s->awaited_for, rings, s->limit_ms);
	sr_session_fail_parked(s);
}

bool sr_session_drain_init(struct sr_session *s)
{
	s->limit = sr_timer_create(s->config.control, limit_passed, s);
	return s->limit;
}

/* Rings are mostly stopped one by one, by a front-end that stands still meanwhile: a disk that has
 * just used up its time does not get it again for each of them. */
static unsigned limit_of(const struct sr_session *s)
{
	unsigned ms = s->config.drain_ms;

	if (s->ending || !s->late_at || sr_now_ns() - s->late_at >= ms * MS)
		return ms;
	return sr_max(ms / 10, 1u);
}

static void drain_all(struct sr_session *s)
{
	struct sr_vu_queue *q;

	for (unsigned i = 0; (q = next_awaited(s, &i));)
		sr_vu_queue_drain(q);
}

bool sr_session_await(struct sr_session *s, struct sr_vu_queue *q, const char *what,
		      sr_vu_then *then)
{
	s->awaited = q;
	s->awaited_for = what;
	drain_all(s);
	s->then = awaits_nobody(s) ? NULL : then;
	if (!s->then)
		return true;
	s->limit_ms = limit_of(s);
	sr_timer_set(s->limit, s->limit_ms * MS);
	return false;
}

void sr_session_drain_now(struct sr_session *s)
{
	struct sr_vu_queue *q;

	s->awaited = NULL;
	s->then = NULL;
	drain_all(s);
	abandon_all(s);
	for (unsigned i = 0; (q = next_awaited(s, &i));) {
		sr_log(SR_LOG_WARN, s->device->name,
		       "%s: waiting for requests of ring %u that cannot be abandoned", s->peer,
		       q->index);
		assert(q->loop != s->config.control);
		while (!sr_vu_queue_is_quiet(q))
			usleep(1000);
	}
}
