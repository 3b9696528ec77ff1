/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The client has to be faster than every disk. So a request is laid out once and sent again
 * and again in its slot; returns are taken, judged and answered with new requests by batches;
 * the clock is read once a batch, and nothing is allocated, locked or asked of the kernel
 * on the way.
 *
 * Rejected: a thread for each queue in any case. Where the server shall have a CPU to itself
 * and only one more is there, threads would take turns and the scheduler would be measured.
 * By default one thread serves all queues; --threads spreads them.
 *
 * A request's time runs from the moment its batch is made to the moment the batch in which it
 * comes back is found. A run: load to warm up, the measured time, a wait for what is under
 * way, and, where data was written to be verified, a pass that reads all of it. A device
 * that keeps requests too long ends the run with an error that says which.
 */
#include "bench_disk_worker.h"

#include <errno.h>
#include <poll.h>
#include <slipring/virtio.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLOCK_TURNS 16u /* without returns between looks at the clock, which costs 20 ns here */

static const struct disk_options *options_of(const struct disk_worker *w)
{
	return w->run->client->options;
}

static int fail(struct disk_worker *w, int rc, const char *text)
{
	char copy[SR_ERROR_TEXT];

	snprintf(copy, sizeof(copy), "%s", text);
	w->rc = sr_error_set(&w->error, rc, "%s: %.400s", options_of(w)->socket, copy);
	return w->rc;
}

static int broken(struct disk_worker *w, const struct disk_queue *q)
{
	w->rc = sr_error_set(&w->error, -EPROTO, "%s: queue %u: the device broke its ring: %s",
			     options_of(w)->socket, q->index, sr_drvq_error(q->vq));
	return w->rc;
}

static enum disk_op next_op(struct disk_queue *q)
{
	const struct disk_options *o = q->options;

	if (o->flush_every && q->writes >= o->flush_every)
		return DISK_FLUSH;
	if (!o->writes || (o->reads && disk_pick_random(&q->pick, 100) < o->read_percent))
		return DISK_READ;
	return DISK_WRITE;
}

/* Decides what a slot does next. False: nothing in this phase. */
static bool choose(struct disk_worker *w, struct disk_queue *q, struct disk_slot *s)
{
	if (w->readback) {
		s->op = DISK_READ;
		if (!disk_pick_written(&q->pick, &q->readback, &s->block))
			return false;
	} else {
		s->op = next_op(q);
		if (s->op != DISK_FLUSH)
			s->block = disk_pick_take(&q->pick);
	}
	return true;
}

static void prepare(struct disk_worker *w, struct disk_queue *q, struct disk_slot *s)
{
	s->generation = disk_pick_generation(&q->pick, s->block);
	if (s->op == DISK_READ) {
		/* What a device leaves as it was must not pass for what it was to bring. */
		memset(disk_slot_data(q, s), 0xee, q->options->bs);
	} else {
		struct disk_mark m = { disk_slot_offset(q, s), w->run->mark, ++s->generation };

		disk_block_fill(disk_slot_data(q, s), q->options->bs, &m);
	}
}

static int send_one(struct disk_worker *w, struct disk_queue *q, struct disk_slot *s)
{
	const struct disk_options *o = q->options;
	int rc;

	if (!choose(w, q, s))
		return 0;
	q->writes = s->op == DISK_FLUSH ? 0 : q->writes + (s->op == DISK_WRITE);
	if (o->verify && s->op != DISK_FLUSH)
		prepare(w, q, s);
	rc = o->kind->add(q, s, (enum disk_op)s->op, disk_slot_offset(q, s));
	if (SR_UNLIKELY(rc))
		return fail(w, rc, "a request does not fit into the ring");
	s->since = w->now;
	s->sent = true;
	q->outstanding++;
	w->under++;
	return 0;
}

static void note_error(struct disk_worker *w, struct disk_queue *q, const struct disk_slot *s,
		       uint64_t code)
{
	struct disk_errors *e = &w->errors;
	unsigned i = 0;

	e->total++;
	while (i < e->n && e->list[i].code != code)
		i++;
	if (i == DISK_ERRORS_MAX)
		return;
	if (i == e->n) {
		e->list[e->n].code = code;
		e->list[e->n].op = s->op;
		e->list[e->n++].offset = s->op == DISK_FLUSH ? 0 : disk_slot_offset(q, s);
	}
	e->list[i].count++;
}

static int verify(struct disk_worker *w, struct disk_queue *q, const struct disk_slot *s)
{
	struct disk_mark m = { disk_slot_offset(q, s), w->run->mark, s->generation };
	struct sr_error why;
	int rc;

	if (!q->options->writes) {
		rc = disk_block_check_any(disk_slot_data(q, s), q->options->bs, m.offset, &why);
		w->verified += rc > 0;
		w->unknown += rc == 0;
	} else if (s->generation) {
		rc = disk_block_check(disk_slot_data(q, s), q->options->bs, &m, &why);
		w->verified += rc == 0;
	} else {
		w->unknown++;
		return 0;
	}
	return rc < 0 ? fail(w, rc, why.text) : 0;
}

/* What came back in a slot. 0, or the error that ends the run. */
static int finish_one(struct disk_worker *w, struct disk_queue *q, struct disk_slot *s)
{
	struct disk_tally *t = &w->ops[s->op];
	uint64_t code;
	bool good = q->options->kind->result(s, &code);
	int rc = 0;

	s->sent = false;
	q->outstanding--;
	w->under--;
	if (SR_UNLIKELY(!good))
		note_error(w, q, s, code);
	if (w->measures && good) {
		bench_times_add(&t->times, w->now - s->since);
		t->bytes += s->op == DISK_FLUSH ? 0 : q->options->bs;
	} else if (w->measures) {
		t->failed++;
	}
	if (q->options->verify && s->op != DISK_FLUSH) {
		if (good && s->op == DISK_READ)
			rc = verify(w, q, s);
		/* Nobody knows what a failed write has left. */
		disk_pick_put(&q->pick, s->block, s->op == DISK_WRITE && !good ? 0 : s->generation);
	}
	return rc;
}

/* Shows what was sent. */
static void publish(struct disk_queue *q)
{
	if (sr_drvq_publish(q->vq))
		disk_queue_kick(q);
}

static void look_at_clock(struct disk_worker *w)
{
	const struct disk_run *r = w->run;
	uint64_t until = atomic_load_explicit(&r->until, memory_order_relaxed);

	w->now = sr_now_ns();
	w->measures = !w->readback && w->now >= r->from && w->now < until;
	w->over = !w->readback && w->now >= until;
}

/* One batch of one queue. How many came back, or an error. */
static int turn(struct disk_worker *w, struct disk_queue *q)
{
	struct sr_used used[DISK_BATCH];
	int n = sr_drvq_get(q->vq, used, DISK_BATCH), rc = 0;

	if (n <= 0)
		return n ? broken(w, q) : 0;
	look_at_clock(w);
	q->moved = w->now;
	for (int i = 0; i < n && !rc; i++) {
		struct disk_slot *s = used[i].token;

		rc = finish_one(w, q, s);
		if (!rc && !w->over)
			rc = send_one(w, q, s);
	}
	publish(q);
	atomic_store_explicit(&w->done,
			      atomic_load_explicit(&w->done, memory_order_relaxed) + (unsigned)n,
			      memory_order_relaxed);
	return rc ? rc : n;
}

static struct disk_queue *queue_at(const struct disk_worker *w, unsigned i)
{
	unsigned n = w->first + i * options_of(w)->threads;

	return n < options_of(w)->queues ? &w->run->client->queues[n] : NULL;
}

/* Fills all queues. */
static int begin(struct disk_worker *w)
{
	struct disk_queue *q;
	int rc = 0;

	look_at_clock(w);
	for (unsigned i = 0; (q = queue_at(w, i)); i++) {
		for (unsigned s = 0; s < q->options->depth && !rc; s++)
			rc = send_one(w, q, &q->slots[s]);
		q->moved = w->now;
		publish(q);
	}
	return rc;
}

static int check_progress(struct disk_worker *w)
{
	uint64_t limit = options_of(w)->timeout_s * 1000000000ull;
	struct disk_queue *q;
	char what[200], text[300];

	for (unsigned i = 0; (q = queue_at(w, i)); i++) {
		if (!q->outstanding || w->now - q->moved < limit)
			continue;
		disk_queue_outstanding(q, w->now, what, sizeof(what));
		snprintf(text, sizeof(text), "nothing came back for %u s; outstanding: %s",
			 options_of(w)->timeout_s, what);
		return fail(w, -ETIMEDOUT, text);
	}
	return 0;
}

/* Sleeps until one of the queues calls. */
static void wait_for_calls(struct disk_worker *w)
{
	struct pollfd p[DISK_QUEUES_MAX];
	unsigned n = 0;
	bool ready = false;
	struct disk_queue *q;

	for (; (q = queue_at(w, n)) && !ready; n++) {
		p[n] = (struct pollfd){ q->call, POLLIN, 0 };
		ready = sr_drvq_rearm(q->vq);
	}
	if (!ready && poll(p, n, DISK_WAIT_MS) > 0)
		for (unsigned i = 0; i < n; i++) {
			uint64_t calls;

			if (p[i].revents & POLLIN && read(p[i].fd, &calls, sizeof(calls)) < 0)
				continue;
		}
	for (unsigned i = 0; i < n; i++)
		sr_drvq_quiet(queue_at(w, i)->vq);
}

/* Until nothing is under way any more. */
static int work(struct disk_worker *w)
{
	unsigned idle = 0;
	int rc = begin(w);

	while (!rc && w->under) {
		int got = 0;
		struct disk_queue *q;

		for (unsigned i = 0; (q = queue_at(w, i)) && got >= 0; i++) {
			rc = turn(w, q);
			got = rc < 0 ? rc : got + rc;
		}
		rc = got < 0 ? got : 0;
		idle = got ? 0 : idle + 1;
		if (!idle || rc)
			continue;
		if (options_of(w)->sleep)
			wait_for_calls(w);
		else if (idle % CLOCK_TURNS)
			continue;
		look_at_clock(w);
		rc = check_progress(w);
		if (atomic_load_explicit(&w->run->stop, memory_order_relaxed))
			break;
	}
	return rc;
}

void *disk_worker_main(void *arg)
{
	static const uint64_t one = 1;
	struct disk_worker *w = arg;
	const struct disk_options *o = options_of(w);
	int rc = work(w);

	if (!rc && !w->under && o->verify && o->writes) {
		w->readback = true;
		rc = work(w);
	}
	if (rc)
		atomic_store(&w->run->stop, true);
	if (write(w->run->ended, &one, sizeof(one)) < 0)
		abort();
	return NULL;
}
