/* SPDX-License-Identifier: BSD-3-Clause */
/* `slipring bench blk` and `slipring bench scsi`: the options. */
#include "bench_disk.h"
#include "base.h"
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <slipring/vq.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KEY_RW = 256,
	KEY_MIX,
	KEY_THREADS,
	KEY_RING,
	KEY_RANGE,
	KEY_VERIFY,
	KEY_FLUSH_EVERY,
	KEY_SEED,
	KEY_POLL,
	KEY_SLEEP,
	KEY_DESTROY,
	KEY_TIMEOUT,
	KEY_HUGEPAGES,
	KEY_JSON,
	KEY_TARGET,
	KEY_LUN,
	KEY_SELF,
};

#define COMMON_OPTIONS                                                                                  \
	{ "rw",                                                                                         \
	  KEY_RW,                                                                                       \
	  "MODE",                                                                                       \
	  0,                                                                                            \
	  "randread (default), read, randwrite, write, randrw or rw: at random or in order, "           \
	  "reading, writing or both",                                                                   \
	  0 },                                                                                          \
		{ "mix", KEY_MIX, "PERCENT", 0, "Reads of randrw and rw, 1 to 99 (50)", 0 },            \
		{ "bs", 'b', "BYTES", 0, "Bytes of a request, such as 4k or 1M (4k)", 0 },              \
		{ "depth", 'd', "N", 0, "Requests under way on each queue, 1 to 4096 (64)", 0 },        \
		{ "queues", 'q', "N", 0, "Queues, each with a part of the range, 1 to 254 (1)", 0 },    \
		{ "threads",                                                                            \
		  KEY_THREADS,                                                                          \
		  "N",                                                                                  \
		  0,                                                                                    \
		  "Threads of this client that the queues are spread over, 1 to 64 (1)",                \
		  0 },                                                                                  \
		{ "seconds", 't', "SECONDS", 0, "Time to measure (5)", 0 },                             \
		{ "range", KEY_RANGE, "BYTES", 0, "Use only the first so many bytes (all)", 0 },        \
		{ "destroy-data",                                                                       \
		  KEY_DESTROY,                                                                          \
		  NULL,                                                                                 \
		  0,                                                                                    \
		  "Allow modes that write: what is on the disk is lost",                                \
		  0 },                                                                                  \
		{ "verify",                                                                             \
		  KEY_VERIFY,                                                                           \
		  NULL,                                                                                 \
		  0,                                                                                    \
		  "Write blocks that say what they are and compare what is read; in the end "           \
		  "everything written is read once more. With modes that only read: check blocks "      \
		  "that an earlier run wrote",                                                          \
		  0 },                                                                                  \
		{ "flush-every", KEY_FLUSH_EVERY, "N", 0, "Flush after each N writes of a queue", 0 },  \
		{ "seed", KEY_SEED, "N", 0, "Same choice of blocks in each run with the same N", 0 },   \
		{ "poll", KEY_POLL, NULL, 0, "Poll for returns, never sleep (default)", 0 },            \
		{ "sleep", KEY_SLEEP, NULL, 0, "Sleep until the device calls", 0 },                     \
		{ "timeout",                                                                            \
		  KEY_TIMEOUT,                                                                          \
		  "SECONDS",                                                                            \
		  0,                                                                                    \
		  "Give up when nothing comes back for so long, 1 to 3600 (10)",                        \
		  0 },                                                                                  \
		{ "ring",                                                                               \
		  KEY_RING,                                                                             \
		  "N",                                                                                  \
		  0,                                                                                    \
		  "Entries of each ring, a power of two up to 32768 (128, more for more depth)",        \
		  0 },                                                                                  \
		{ "hugepages", KEY_HUGEPAGES, NULL, 0, "Take the guest's memory from 2 MiB pages", 0 }, \
	{                                                                                               \
		"json", KEY_JSON, NULL, 0, "One JSON object instead of the table", 0                    \
	}

static const struct argp_option blk_options[] = {
	COMMON_OPTIONS,
	{ "self", KEY_SELF, NULL, 0,
	  "No SOCKET: a disk in this process that answers at once, on another CPU, shows what this "
	  "client can do at most",
	  0 },
	{ 0 },
};
static const struct argp_option scsi_options[] = {
	{ "target", KEY_TARGET, "N", 0, "Target of the unit, 0 to 255 (0)", 0 },
	{ "lun", KEY_LUN, "N", 0, "Its logical unit number, 0 to 16383 (0)", 0 },
	COMMON_OPTIONS,
	{ 0 },
};

static const struct {
	const char *name;
	bool random, reads, writes;
} modes[] = {
	{ "randread", true, true, false },  { "read", false, true, false },
	{ "randwrite", true, false, true }, { "write", false, false, true },
	{ "randrw", true, true, true },	    { "rw", false, true, true },
};

static void set_mode(struct argp_state *state, struct disk_options *o, const char *arg)
{
	for (unsigned i = 0; i < SR_ARRAY_LEN(modes); i++)
		if (!strcmp(arg, modes[i].name)) {
			o->rw = modes[i].name;
			o->random = modes[i].random;
			o->reads = modes[i].reads;
			o->writes = modes[i].writes;
			return;
		}
	argp_error(state,
		   "--rw: got '%s', expected one of randread, read, randwrite, write, randrw, rw",
		   arg);
}

static uint64_t parse_seed(struct argp_state *state, const char *arg)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-')
		argp_error(state, "--seed: got '%s', expected a number", arg);
	return v;
}

static void check_options(struct argp_state *state, const struct disk_options *o)
{
	if (o->self && (o->socket || o->verify))
		argp_error(state, "--self has no SOCKET, and keeps nothing to --verify");
	if (!o->self && !o->socket)
		argp_error(state, "expected the path of a back-end's socket");
	if (o->writes && !o->destroy)
		argp_error(state,
			   "--rw %s overwrites what is on the disk: if that is meant, say "
			   "--destroy-data",
			   o->rw);
	if (o->read_percent && o->reads != o->writes)
		argp_error(state, "--mix: --rw %s does not mix, expected randrw or rw", o->rw);
	if (o->flush_every && !o->writes)
		argp_error(state, "--flush-every: --rw %s writes nothing to flush", o->rw);
	if (o->bs % DISK_SECTOR)
		argp_error(state, "--bs: got '%u', expected a multiple of 512", o->bs);
	if (o->ring & (o->ring - 1))
		argp_error(state, "--ring: got '%u', expected a power of two", o->ring);
	if (o->threads > o->queues)
		argp_error(state, "--threads: got '%u', expected at most --queues, %u", o->threads,
			   o->queues);
}

static error_t parse_switch(int key, struct disk_options *o)
{
	switch (key) {
	case KEY_VERIFY:
		o->verify = true;
		return 0;
	case KEY_POLL:
		o->sleep = false;
		return 0;
	case KEY_SLEEP:
		o->sleep = true;
		return 0;
	case KEY_DESTROY:
		o->destroy = true;
		return 0;
	case KEY_HUGEPAGES:
		o->hugepages = true;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_SELF:
		o->self = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_value(int key, char *arg, struct argp_state *state, struct disk_options *o)
{
	switch (key) {
	case KEY_RW:
		set_mode(state, o, arg);
		return 0;
	case KEY_MIX:
		o->read_percent = bench_parse_number(state, "mix", arg, 1, 99);
		return 0;
	case 'b':
		o->bs = (uint32_t)bench_parse_bytes(state, "bs", arg, DISK_SECTOR, DISK_BS_MAX);
		return 0;
	case 'd':
		o->depth = bench_parse_number(state, "depth", arg, 1, DISK_DEPTH_MAX);
		return 0;
	case 'q':
		o->queues = bench_parse_number(state, "queues", arg, 1, DISK_QUEUES_MAX);
		return 0;
	case KEY_THREADS:
		o->threads = bench_parse_number(state, "threads", arg, 1, DISK_THREADS_MAX);
		return 0;
	case 't':
		o->seconds = bench_parse_seconds(state, arg);
		return 0;
	case KEY_RANGE:
		o->range = bench_parse_bytes(state, "range", arg, DISK_SECTOR, INT64_MAX);
		return 0;
	case KEY_FLUSH_EVERY:
		o->flush_every = bench_parse_number(state, "flush-every", arg, 1, UINT32_MAX);
		return 0;
	case KEY_SEED:
		o->seed = parse_seed(state, arg);
		return 0;
	case KEY_TIMEOUT:
		o->timeout_s = bench_parse_number(state, "timeout", arg, 1, 3600);
		return 0;
	case KEY_RING:
		o->ring = bench_parse_number(state, "ring", arg, 2, SR_VQ_SIZE_MAX);
		return 0;
	case KEY_TARGET:
		o->target =
			bench_parse_number(state, "target", arg, 0, SR_SCSI_DRIVER_TARGETS_MAX - 1);
		return 0;
	case KEY_LUN:
		o->lun = bench_parse_number(state, "lun", arg, 0, SR_SCSI_DRIVER_LUNS_MAX - 1);
		return 0;
	default:
		return parse_switch(key, o);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct disk_options *o = state->input;

	if (key == ARGP_KEY_END) {
		check_options(state, o);
		return 0;
	}
	if (key != ARGP_KEY_ARG)
		return parse_value(key, arg, state, o);
	if (o->socket)
		argp_error(state, "unexpected '%s', expected one SOCKET", arg);
	o->socket = arg;
	return 0;
}

/* As SIGINT ends programs, so that a script that started us ends as well. */
static void end_interrupted(void)
{
	fflush(stdout);
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
}

/* The exit code. */
static int measure(const struct disk_options *o)
{
	struct disk_result *r = calloc(1, sizeof(*r));
	struct disk_client c = { 0 };
	struct sr_error e;
	int rc = -ENOMEM;

	if (!r)
		sr_error_set(&e, rc, "out of memory");
	else if (!(rc = disk_client_open(&c, o, &e)))
		rc = disk_run(&c, r, &e);
	if (rc)
		fprintf(stderr, "slipring bench %s: %s\n", o->kind->name, e.text);
	else if (!o->json)
		disk_report_text(&c, r);
	else if (disk_report_json(&c, r))
		fprintf(stderr, "slipring bench %s: out of memory\n", o->kind->name);
	if (!rc && r->errors.total)
		fprintf(stderr, "slipring bench %s: %s: %llu requests failed\n", o->kind->name,
			o->socket, (unsigned long long)r->errors.total);
	if (r)
		disk_client_close(&c);
	if (r && r->interrupted)
		end_interrupted();
	rc = rc || r->errors.total ? SR_EXIT_FAILED : SR_EXIT_OK;
	free(r);
	return rc;
}

static int measure_self(struct disk_options *o)
{
	struct sr_error e;
	struct disk_self *self = disk_self_create(!o->sleep, &e);
	int rc;

	if (!self) {
		fprintf(stderr, "slipring bench %s: %s\n", o->kind->name, e.text);
		return SR_EXIT_FAILED;
	}
	o->socket = disk_self_socket(self);
	rc = measure(o);
	disk_self_destroy(self);
	return rc;
}

static int run(const struct argp *argp, const struct disk_kind *kind, int argc, char **argv)
{
	struct disk_options o = { .kind = kind,
				  .rw = "randread",
				  .random = true,
				  .reads = true,
				  .bs = 4096,
				  .depth = 64,
				  .queues = 1,
				  .threads = 1,
				  .seconds = 5,
				  .timeout_s = 10 };

	o.seed = sr_now_ns();
	if (argp_parse(argp, argc, argv, 0, NULL, &o))
		return SR_EXIT_USAGE;
	if (!o.read_percent)
		o.read_percent = 50;
	return o.self ? measure_self(&o) : measure(&o);
}

int bench_blk(int argc, char **argv)
{
	static const struct argp argp = {
		.options = blk_options,
		.parser = parse,
		.args_doc = "SOCKET",
		.doc = "Measures a vhost-user disk (virtio-blk), of Slipring or any other "
		       "back-end, "
		       "by playing a guest on it. Reads, unless told otherwise."
	};

	return run(&argp, &disk_blk, argc, argv);
}

int bench_scsi(int argc, char **argv)
{
	static const struct argp argp = {
		.options = scsi_options,
		.parser = parse,
		.args_doc = "SOCKET",
		.doc = "Measures a logical unit of a vhost-user SCSI host, of Slipring or any "
		       "other "
		       "back-end, by playing a guest on it. Reads, unless told otherwise."
	};

	return run(&argp, &disk_scsi, argc, argv);
}
