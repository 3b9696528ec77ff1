/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * One thread plays all guests: it sends a batch on every pair that sends, receives a batch on
 * every pair that receives, and round again. With one client on one CPU and the back-end on
 * another, this fits two CPUs, and a back-end is compared with another under the same load.
 *
 * Rejected: a thread for each side. On two CPUs they would take turns with the back-end's own
 * thread, and the scheduler would be measured.
 *
 * A run: both sides send until the other has heard them (a switch learns their addresses by
 * that, and a back-end that does not forward is found out), 0.3 s of load to warm up, the
 * measured time, then a drain so that frames under way are not called lost.
 */
#include "base.h"
#include "bench.h"

#include <errno.h>
#include <inttypes.h>

#define WARM_UP_NS  300000000ull
#define QUIET_NS    100000000ull  /* nothing more comes after so long without a frame */
#define DRAIN_NS    2000000000ull /* at most */
#define HELLO_NS    5000000000ull /* until both sides have heard each other */
#define HELLO_GAP   50000000ull
#define PING_NS	    1000000000ull /* a frame not back by then is lost */
#define CHECK_NS    100000000ull  /* between looks at the connections */
#define CLOCK_TURNS 16u /* of a poller between looks at the clock, which costs 20 ns here */
#define WAIT_MS	    10

struct run {
	const struct bench_options *options;
	struct bench_client *clients;
	unsigned n; /* clients */
	uint64_t check_due;
	struct sr_error *error;
};

static int broken(struct run *r, const struct bench_client *c)
{
	return sr_error_set(r->error, -EPROTO, "%s: the device broke its ring: %s",
			    r->options->socket[c->side], sr_net_driver_error(c->driver));
}

/* A back-end that is gone leaves rings that nobody works on. */
static int check_connections(struct run *r, uint64_t now)
{
	if (now < r->check_due)
		return 0;
	r->check_due = now + CHECK_NS;
	for (unsigned i = 0; i < r->n; i++)
		if (sr_frontend_is_closed(r->clients[i].frontend))
			return sr_error_set(r->error, -EPIPE,
					    "%s: the back-end closed the connection",
					    r->options->socket[i]);
	return 0;
}

/* One batch everywhere; sleeps when nothing was to do. */
static int turn(struct run *r, uint64_t now)
{
	int work = 0, rc = check_connections(r, now);

	if (rc)
		return rc;
	for (unsigned i = 0; i < r->n; i++) {
		struct bench_client *c = &r->clients[i];

		for (unsigned pair = 0; c->sends && pair < r->options->queues; pair++) {
			rc = bench_client_send(c, pair, r->options->batch);
			if (rc < 0)
				return broken(r, c);
			work += rc;
		}
		/* Also where no frames are expected: a switch may flood some there. */
		rc = bench_client_receive_all(c, r->options->batch);
		if (rc < 0)
			return broken(r, c);
		work += rc;
	}
	if (!work && !r->options->busy)
		bench_client_wait(r->clients, r->n, WAIT_MS);
	return work;
}

static void set_roles(struct run *r)
{
	const struct bench_options *o = r->options;
	struct bench_client *a = &r->clients[0], *b = &r->clients[r->n - 1];

	a->sends = o->mode != BENCH_RX;
	b->sends = b->sends || (o->mode == BENCH_RX && r->n > 1) || o->both;
	for (unsigned i = 0; i < r->n; i++)
		r->clients[i].receives = true;
}

static uint64_t total(const struct run *r, uint64_t (*of)(const struct bench_client *))
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < r->n; i++)
		sum += of(&r->clients[i]);
	return sum;
}

static uint64_t received(const struct bench_client *c)
{
	return c->received;
}

static uint64_t received_bytes(const struct bench_client *c)
{
	return c->received_bytes;
}

/* Takes in what is still under way. */
static int drain(struct run *r)
{
	uint64_t now = sr_now_ns(), end = now + DRAIN_NS, quiet = now + QUIET_NS;

	for (unsigned i = 0; i < r->n; i++)
		r->clients[i].sends = false;
	for (; now < end && now < quiet; now = sr_now_ns()) {
		int rc = turn(r, now);

		if (rc < 0)
			return rc;
		if (rc > 0)
			quiet = now + QUIET_NS;
	}
	return 0;
}

static bool all_heard(const struct run *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (!r->clients[i].received)
			return false;
	return true;
}

/* Who has seen no frame has measured nothing, and zeros would look like a slow back-end. */
static int nothing_came(const struct run *r, uint64_t foreign)
{
	const struct bench_options *o = r->options;
	const char *socket = o->socket[0];

	if (o->mode == BENCH_TX)
		return sr_error_set(r->error, -ENODATA, "%s: the back-end took no frame", socket);
	if (o->mode == BENCH_RX && r->n == 1)
		return sr_error_set(
			r->error, -ENODATA,
			"%s: nobody sent: with --peer SOCKET2 this program does (%" PRIu64
			" frames of others came)",
			socket, foreign);
	if (r->n == 1 && o->mode != BENCH_SELF)
		return sr_error_set(r->error, -ENODATA,
				    "nothing came back on %s: a switch needs --peer SOCKET2; a "
				    "back-end that returns frames does not",
				    socket);
	return sr_error_set(r->error, -ENODATA, "%s: no frame came through in the time measured",
			    socket);
}

/* Frames to and fro, until every side has got one. */
static int hello(struct run *r)
{
	uint64_t now = sr_now_ns(), end = now + HELLO_NS, due = now;
	int rc;

	for (; !all_heard(r); now = sr_now_ns()) {
		if (now >= end && r->n == 1)
			return nothing_came(r, 0);
		if (now >= end)
			return sr_error_set(
				r->error, -ETIMEDOUT,
				"%s: no frame came through in %llu s, expected those "
				"sent on %s",
				r->options->socket[r->clients[0].received ? r->n - 1 : 0],
				HELLO_NS / 1000000000, r->options->socket[r->n - 1]);
		for (unsigned i = 0; now >= due && i < r->n; i++)
			if (bench_client_send(&r->clients[i], 0, 1) < 0)
				return broken(r, &r->clients[i]);
		if (now >= due)
			due = now + HELLO_GAP;
		rc = turn(r, now);
		if (rc < 0)
			return rc;
	}
	rc = drain(r);
	for (unsigned i = 0; i < r->n; i++)
		bench_client_reset(&r->clients[i]);
	return rc;
}

static int run_for(struct run *r, uint64_t ns)
{
	uint64_t now = sr_now_ns(), end = now + ns;

	for (unsigned turns = 1; now < end; turns++) {
		int rc = turn(r, now);

		if (rc < 0)
			return rc;
		if (turns % CLOCK_TURNS == 0 || !r->options->busy)
			now = sr_now_ns();
	}
	return 0;
}

static int run_stream(struct run *r, struct bench_result *res)
{
	bool tx = r->options->mode == BENCH_TX;
	uint64_t began, frames, bytes;
	int rc;

	set_roles(r);
	rc = run_for(r, WARM_UP_NS);
	if (rc)
		return rc;
	began = sr_now_ns();
	frames = total(r, tx ? bench_client_sent_done : received);
	bytes = total(r, received_bytes);
	rc = run_for(r, (uint64_t)(r->options->seconds * 1e9));
	if (rc)
		return rc;
	res->frames = total(r, tx ? bench_client_sent_done : received) - frames;
	res->bytes = tx ? res->frames * r->options->size : total(r, received_bytes) - bytes;
	res->seconds = (double)(sr_now_ns() - began) / 1e9;
	return drain(r);
}

/* Until `c` has received `want` frames in all. */
static int await(struct run *r, struct bench_client *c, uint64_t want)
{
	uint64_t end = sr_now_ns() + PING_NS;

	while (c->received < want) {
		int rc = bench_client_receive_all(c, r->options->batch);

		if (rc < 0)
			return broken(r, c);
		if (rc == 0 && sr_now_ns() >= end)
			return -ETIMEDOUT;
		if (rc == 0 && !r->options->busy)
			bench_client_wait(c, 1, WAIT_MS);
	}
	return 0;
}

/* One frame there and one back. With one connection the back-end itself sends it back. */
static int ping(struct run *r)
{
	struct bench_client *a = &r->clients[0], *b = &r->clients[r->n - 1];
	uint64_t want_a = a->received + 1, want_b = b->received + 1;
	int rc;

	if (bench_client_send(a, 0, 1) < 0)
		return broken(r, a);
	if (a == b)
		return await(r, a, want_a);
	rc = await(r, b, want_b);
	if (rc)
		return rc;
	if (bench_client_send(b, 0, 1) < 0)
		return broken(r, b);
	return await(r, a, want_a);
}

static int run_pingpong(struct run *r, struct bench_result *res)
{
	uint64_t began = sr_now_ns(), warm = began + WARM_UP_NS;
	uint64_t end = warm + (uint64_t)(r->options->seconds * 1e9), now = began;

	for (unsigned i = 0; i < r->n; i++)
		r->clients[i].receives = true;
	while (now < end) {
		uint64_t start = now;
		int rc = check_connections(r, now);

		rc = rc ? rc : ping(r);
		if (rc && rc != -ETIMEDOUT)
			return rc;
		now = sr_now_ns();
		if (rc == 0 && start >= warm)
			bench_times_add(&res->times, now - start);
	}
	res->seconds = r->options->seconds;
	res->frames = res->times.count * r->n;
	res->bytes = res->frames * r->options->size;
	return drain(r);
}

static void count(const struct run *r, struct bench_result *res)
{
	for (unsigned i = 0; i < r->n; i++) {
		const struct bench_client *c = &r->clients[i];

		res->sent += bench_client_sent(c);
		res->received += c->received;
		res->foreign += c->foreign;
		for (unsigned p = 0; p < r->options->queues; p++) {
			res->duplicated += c->checks[p].duplicated;
			res->reordered += c->checks[p].reordered;
		}
	}
	if (res->sent > res->received - res->duplicated)
		res->lost = res->sent - (res->received - res->duplicated);
}

int bench_run(const struct bench_options *o, struct bench_client *clients, struct bench_result *res,
	      struct sr_error *e)
{
	struct run r = { .options = o, .clients = clients, .n = o->socket[1] ? 2 : 1, .error = e };
	int rc = 0;

	if (r.n > 1 || o->mode == BENCH_PINGPONG)
		rc = hello(&r);
	if (!rc)
		rc = o->mode == BENCH_PINGPONG ? run_pingpong(&r, res) : run_stream(&r, res);
	if (!rc)
		count(&r, res);
	/* Frames sent into a device that keeps them are not lost, nor does anybody know what
	 * another has sent. */
	if (o->mode == BENCH_TX || (o->mode == BENCH_RX && r.n == 1))
		res->lost = 0;
	return rc || res->frames ? rc : nothing_came(&r, res->foreign);
}
