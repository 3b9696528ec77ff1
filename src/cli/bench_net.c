/* SPDX-License-Identifier: BSD-3-Clause */
/* Of `slipring bench net` the options and the report. */
#include "base.h"
#include "bench.h"
#include "cli.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <slipring/port.h>
#include <slipring/vq.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *const mode_names[] = { "tx", "rx", "forward", "pingpong", "self" };

enum {
	KEY_PEER = 256,
	KEY_RING,
	KEY_MERGEABLE,
	KEY_JSON,
	KEY_BUSY,
	KEY_VERIFY,
	KEY_BOTH,
	KEY_LISTEN,
	KEY_HUGEPAGES,
	KEY_TSO,
};

static const struct argp_option options[] = {
	{ "mode", 'm', "MODE", 0,
	  "tx: send; rx: receive what others send, or --peer; forward (default): send on SOCKET, "
	  "receive on --peer, or on SOCKET from a back-end that returns frames; pingpong: one "
	  "frame to the peer and one back, the round trip is timed; self: no SOCKET, a back-end in "
	  "this process that returns every frame shows what this client can do at most",
	  0 },
	{ "peer", KEY_PEER, "SOCKET", 0, "A second back-end, that frames come out of", 0 },
	{ "size", 's', "BYTES", 0, "Bytes of a frame without FCS, 60 to 65550 (64)", 0 },
	{ "seconds", 't', "SECONDS", 0, "Time to measure (2)", 0 },
	{ "queues", 'q', "N", 0, "Queue pairs of each connection, 1 to 128 (1)", 0 },
	{ "batch", 'b', "N", 0, "Frames sent or received at once, 1 to 256 (32)", 0 },
	{ "ring", KEY_RING, "N", 0, "Entries of each ring, a power of two, 2 to 32768 (256)", 0 },
	{ "mergeable", KEY_MERGEABLE, "on|off", 0, "Negotiate MRG_RXBUF (on)", 0 },
	{ "both", KEY_BOTH, NULL, 0, "Mode forward: the peer sends to SOCKET as well", 0 },
	{ "tso", KEY_TSO, NULL, 0, "TCP frames, to be segmented by whoever cannot take them whole",
	  0 },
	{ "busy", KEY_BUSY, NULL, 0, "Poll, never sleep", 0 },
	{ "verify", KEY_VERIFY, NULL, 0,
	  "Number the frames; count lost, duplicated and reordered ones", 0 },
	{ "hugepages", KEY_HUGEPAGES, NULL, 0, "Take the guest's memory from 2 MiB pages", 0 },
	{ "listen", KEY_LISTEN, NULL, 0, "Make the sockets and wait 30 s for the back-end", 0 },
	{ "json", KEY_JSON, NULL, 0, "One JSON object instead of the table", 0 },
	{ 0 },
};

static enum bench_mode parse_mode(struct argp_state *state, const char *arg)
{
	for (unsigned i = 0; i < SR_ARRAY_LEN(mode_names); i++)
		if (!strcmp(arg, mode_names[i]))
			return (enum bench_mode)i;
	argp_error(state, "--mode: got '%s', expected tx, rx, forward, pingpong or self", arg);
	return BENCH_TX;
}

static bool parse_switch(struct argp_state *state, const char *name, const char *arg)
{
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		argp_error(state, "--%s: got '%s', expected on or off", name, arg);
	return !strcmp(arg, "on");
}

/* Two names of one socket as well; one that is not there fails later, with a better text. */
static bool same_socket(const char *a, const char *b)
{
	struct stat at_a, at_b;

	return !strcmp(a, b) || (!stat(a, &at_a) && !stat(b, &at_b) && at_a.st_dev == at_b.st_dev &&
				 at_a.st_ino == at_b.st_ino);
}

static void check_options(struct argp_state *state, const struct bench_options *o)
{
	if (o->mode == BENCH_SELF && (o->socket[0] || o->socket[1] || o->queues > 1 || o->tso))
		argp_error(state, "--mode self has no sockets, one queue pair and no --tso");
	if (o->mode != BENCH_SELF && !o->socket[0])
		argp_error(state, "expected the path of a back-end's socket");
	if (o->mode == BENCH_TX && o->socket[1])
		argp_error(state, "--mode tx has no --peer: frames that arrive are --mode forward");
	if (o->socket[0] && o->socket[1] && same_socket(o->socket[0], o->socket[1]))
		argp_error(state, "--peer: got '%s', expected another socket than SOCKET",
			   o->socket[1]);
	if (o->both && (o->mode != BENCH_FORWARD || !o->socket[1]))
		argp_error(state, "--both needs --mode forward and --peer");
	if (o->ring & (o->ring - 1))
		argp_error(state, "--ring: got '%u', expected a power of two", o->ring);
	if (o->size < bench_frame_min(o->tso))
		argp_error(state, "--size: got '%u', expected at least %u with --tso", o->size,
			   bench_frame_min(o->tso));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_options *o = state->input;

	switch (key) {
	case 'm':
		o->mode = parse_mode(state, arg);
		return 0;
	case 's':
		o->size = bench_parse_number(state, "size", arg, 60, 65550);
		return 0;
	case 't':
		o->seconds = bench_parse_seconds(state, arg);
		return 0;
	case 'q':
		o->queues = bench_parse_number(state, "queues", arg, 1, SR_NET_DRIVER_PAIRS_MAX);
		return 0;
	case 'b':
		o->batch = bench_parse_number(state, "batch", arg, 1, BENCH_BATCH_MAX);
		return 0;
	case KEY_RING:
		o->ring = bench_parse_number(state, "ring", arg, 2, SR_VQ_SIZE_MAX);
		return 0;
	case KEY_MERGEABLE:
		o->mergeable = parse_switch(state, "mergeable", arg);
		return 0;
	case KEY_PEER:
		o->socket[1] = arg;
		return 0;
	case KEY_BOTH:
		o->both = true;
		return 0;
	case KEY_TSO:
		o->tso = true;
		return 0;
	case KEY_BUSY:
		o->busy = true;
		return 0;
	case KEY_VERIFY:
		o->verify = true;
		return 0;
	case KEY_HUGEPAGES:
		o->hugepages = true;
		return 0;
	case KEY_LISTEN:
		o->listen = true;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->socket[0])
			argp_error(state,
				   "unexpected '%s', expected one SOCKET; a second is --peer", arg);
		o->socket[0] = arg;
		return 0;
	case ARGP_KEY_END:
		check_options(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse,
	"SOCKET",
	"Measures a vhost-user network back-end by playing one guest on it, or two with --peer.",
	NULL,
	NULL,
	NULL
};

static const double percents[] = { 50, 99, 99.9 };

static void report_text(const struct bench_options *o, const struct bench_result *r)
{
	double pps = (double)r->frames / r->seconds;

	printf("%-9s %6s %3s  %8s %9s %8s  %s\n", "mode", "bytes", "q", "Mpps", "Gbit/s",
	       "ns/frame", o->verify ? "lost/duplicated/reordered" : "lost");
	printf("%-9s %6u %3u  %8.3f %9.3f %8.1f  %" PRIu64, mode_names[o->mode], o->size, o->queues,
	       pps / 1e6, (double)r->bytes * 8 / r->seconds / 1e9, pps > 0 ? 1e9 / pps : 0.0,
	       r->lost);
	if (o->verify)
		printf("/%" PRIu64 "/%" PRIu64, r->duplicated, r->reordered);
	printf("\n");
	if (o->mode != BENCH_PINGPONG)
		return;
	printf("round trip, us:");
	for (unsigned i = 0; i < SR_ARRAY_LEN(percents); i++)
		printf(" p%g %.2f", percents[i],
		       (double)bench_times_percentile(&r->times, percents[i]) / 1e3);
	printf(" max %.2f\n", (double)r->times.max / 1e3);
}

static void report_json(const struct bench_options *o, const struct bench_result *r)
{
	double pps = (double)r->frames / r->seconds;

	printf("{\"name\": \"net-%s-%u\", \"mode\": \"%s\", \"size\": %u, \"queues\": %u, "
	       "\"ring\": %u, \"batch\": %u, \"mergeable\": %s, \"busy\": %s, \"seconds\": %.3f, ",
	       mode_names[o->mode], o->size, mode_names[o->mode], o->size, o->queues, o->ring,
	       o->batch, o->mergeable ? "true" : "false", o->busy ? "true" : "false", r->seconds);
	printf("\"pps\": %.0f, \"bytes_per_second\": %.0f, \"ns_per_frame\": %.2f, ", pps,
	       (double)r->bytes / r->seconds, pps > 0 ? 1e9 / pps : 0.0);
	printf("\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"foreign\": %" PRIu64,
	       r->sent, r->received, r->lost, r->foreign);
	if (o->verify)
		printf(", \"duplicated\": %" PRIu64 ", \"reordered\": %" PRIu64, r->duplicated,
		       r->reordered);
	if (o->mode == BENCH_PINGPONG) {
		printf(", \"latency_us\": {");
		for (unsigned i = 0; i < SR_ARRAY_LEN(percents); i++)
			printf("\"p%g\": %.3f, ", percents[i],
			       (double)bench_times_percentile(&r->times, percents[i]) / 1e3);
		printf("\"max\": %.3f}", (double)r->times.max / 1e3);
	}
	printf("}\n");
}

static int measure(const struct bench_options *o, struct bench_result *r, struct sr_error *e)
{
	struct bench_client clients[BENCH_SIDES] = { 0 };
	unsigned n = o->socket[1] ? 2 : 1;
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++)
		rc = bench_client_open(&clients[i], o, i, n - 1 - i, e);
	if (!rc)
		rc = bench_run(o, clients, r, e);
	for (unsigned i = 0; i < n; i++)
		bench_client_close(&clients[i]);
	return rc;
}

static int measure_self(struct bench_options *o, struct bench_result *r, struct sr_error *e)
{
	struct bench_self *self;
	int rc;

	self = bench_self_create(o->busy, e);
	if (!self)
		return e->code;
	o->socket[0] = bench_self_socket(self);
	o->mergeable = false;
	rc = measure(o, r, e);
	bench_self_destroy(self);
	return rc;
}

int bench_net(int argc, char **argv)
{
	struct bench_options o = { .mode = BENCH_FORWARD,
				   .size = 64,
				   .seconds = 2,
				   .queues = 1,
				   .batch = 32,
				   .ring = 256,
				   .mergeable = true };
	struct bench_result r = { 0 };
	struct sr_error e;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return SR_EXIT_USAGE;
	rc = o.mode == BENCH_SELF ? measure_self(&o, &r, &e) : measure(&o, &r, &e);
	if (rc)
		fprintf(stderr, "slipring bench net: %s\n", e.text);
	else if (o.json)
		report_json(&o, &r);
	else
		report_text(&o, &r);
	return rc ? SR_EXIT_FAILED : SR_EXIT_OK;
}
