/* SPDX-License-Identifier: BSD-3-Clause */
/* What `slipring bench blk` and `slipring bench scsi` print. */
#include "base.h"
#include "bench_disk.h"
#include "feature_names.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define RING_BITS 24u /* feature bits from here on are the same for all devices */
#define BAR	  40u

static const char *const op_names[DISK_OPS] = { "read", "write", "flush" };

static const struct {
	const char *name;
	double percent;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p99.9", 99.9 } };

static double mean_us(const struct bench_times *t)
{
	return t->count ? (double)t->sum / (double)t->count / 1e3 : 0;
}

/* Reads and writes; a flush is work, but moves nothing. */
static struct disk_tally total_of(const struct disk_result *r)
{
	struct disk_tally t = r->ops[DISK_READ];

	bench_times_merge(&t.times, &r->ops[DISK_WRITE].times);
	t.bytes += r->ops[DISK_WRITE].bytes;
	t.failed += r->ops[DISK_WRITE].failed;
	return t;
}

static void text_cell(struct sr_table *t, const char *format, double v)
{
	char text[32];

	/* The formats are those below. */
	snprintf(text, sizeof(text), strcmp(format, "0") == 0 ? "%.0f" : "%.1f", v);
	sr_table_cell(t, text);
}

static void text_row(struct sr_table *table, const char *name, const struct disk_tally *t,
		     double seconds)
{
	sr_table_cell(table, name);
	text_cell(table, "0", (double)t->times.count / seconds);
	text_cell(table, "1", (double)t->bytes / seconds / 1e6);
	text_cell(table, "1", mean_us(&t->times));
	for (unsigned i = 0; i < SR_ARRAY_LEN(percentiles); i++)
		text_cell(table, "1",
			  (double)bench_times_percentile(&t->times, percentiles[i].percent) / 1e3);
	text_cell(table, "1", (double)t->times.max / 1e3);
	sr_table_number(table, (long long)t->failed);
}

static void text_table(const struct disk_result *r, const struct disk_tally *total)
{
	static const char *const titles[] = { "",     ">IOPS", ">MB/s",	 ">MEAN us", ">P50",
					      ">P90", ">P99",  ">P99.9", ">MAX",     ">FAILED" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	unsigned rows = 0;

	if (!t)
		return;
	for (unsigned i = 0; i < DISK_OPS; i++)
		if (r->ops[i].times.count || r->ops[i].failed) {
			text_row(t, op_names[i], &r->ops[i], r->seconds);
			rows += i != DISK_FLUSH;
		}
	if (rows > 1)
		text_row(t, "both", total, r->seconds);
	sr_table_print(t, stdout);
	sr_table_destroy(t);
}

/* Steps of a factor of two, in microseconds, from the first to the last that has something. */
static void text_histogram(const struct bench_times *t)
{
	static const char bar[BAR + 1] = "########################################";
	uint64_t seen = 0;

	if (!t->count)
		return;
	printf("\nlatency, us\n");
	for (uint64_t top = 250; seen < t->count; top *= 2) {
		uint64_t from = top == 250 ? 0 : top / 2, n = bench_times_between(t, from, top);
		double share = (double)n / (double)t->count;

		seen += n;
		if (seen)
			printf("%9g - %-9g %6.2f %%  %.*s\n", (double)from / 1e3, (double)top / 1e3,
			       share * 100, (int)(share * BAR + 0.999), bar);
	}
}

static void text_errors(const struct disk_client *c, const struct disk_result *r)
{
	for (unsigned i = 0; i < r->errors.n; i++) {
		char name[80];

		c->options->kind->error_name(r->errors.list[i].code, name, sizeof(name));
		printf("%" PRIu64 " failed: %s; the first a %s at offset %" PRIu64 "\n",
		       r->errors.list[i].count, name, op_names[r->errors.list[i].op],
		       r->errors.list[i].offset);
	}
}

void disk_report_text(const struct disk_client *c, const struct disk_result *r)
{
	const struct disk_options *o = c->options;
	const struct disk_info *i = &c->info;
	struct disk_tally total = total_of(r);

	printf("%s: %s%s%" PRIu64 " bytes in blocks of %" PRIu32 ", %u queue%s%s\n", o->socket,
	       i->model, *i->model ? ", " : "", i->capacity, i->block_size, i->queues,
	       i->queues == 1 ? "" : "s", i->read_only ? ", read-only" : "");
	printf("%s of %" PRIu32 " bytes, depth %u, %u queue%s on %u thread%s, %s, %.3g s\n\n",
	       o->rw, o->bs, o->depth, o->queues, o->queues == 1 ? "" : "s", o->threads,
	       o->threads == 1 ? "" : "s", o->sleep ? "sleeping" : "polling", r->seconds);
	text_table(r, &total);
	text_histogram(&total.times);
	text_errors(c, r);
	if (o->verify)
		printf("\nverified: %" PRIu64 " blocks as expected, %" PRIu64
		       " of unknown content\n",
		       r->verified, r->unknown);
}

static json_t *json_number(double v)
{
	return json_real((double)(int64_t)(v * 1000 + 0.5) / 1000);
}

static json_t *json_latency(const struct bench_times *t)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < SR_ARRAY_LEN(percentiles); i++)
		json_object_set_new(
			o, percentiles[i].name,
			json_number((double)bench_times_percentile(t, percentiles[i].percent) /
				    1e3));
	json_object_set_new(o, "max", json_number((double)t->max / 1e3));
	json_object_set_new(o, "mean", json_number(mean_us(t)));
	return o;
}

static void json_tally(json_t *o, const struct disk_tally *t, double seconds)
{
	json_object_set_new(o, "iops", json_number((double)t->times.count / seconds));
	json_object_set_new(o, "bytes_per_second", json_number((double)t->bytes / seconds));
	json_object_set_new(o, "failed", json_integer((json_int_t)t->failed));
	json_object_set_new(o, "latency_us", json_latency(&t->times));
}

static json_t *json_errors(const struct disk_client *c, const struct disk_errors *e)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < e->n; i++) {
		char name[80];

		c->options->kind->error_name(e->list[i].code, name, sizeof(name));
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:s, s:I}", "error", name, "count",
						(json_int_t)e->list[i].count, "first_op",
						op_names[e->list[i].op], "first_offset",
						(json_int_t)e->list[i].offset));
	}
	return list;
}

static json_t *json_features(const struct disk_client *c, uint64_t features)
{
	json_t *names = json_array();

	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = bit >= RING_BITS ? sr_net_feature_name(bit)
						    : c->options->kind->feature_names[bit];
		char number[8];

		snprintf(number, sizeof(number), "%u", bit);
		if (features & SR_BIT(bit))
			json_array_append_new(names, json_string(name ? name : number));
	}
	return names;
}

static json_t *json_back_end(const struct disk_client *c)
{
	const struct disk_info *i = &c->info;

	return json_pack("{s:o, s:o, s:I, s:I, s:s, s:{s:I, s:I, s:I, s:I, s:I, s:b, s:b}}",
			 "features", json_features(c, sr_frontend_offer(c->frontend)), "negotiated",
			 json_features(c, sr_frontend_features(c->frontend)), "protocol_features",
			 (json_int_t)sr_frontend_protocol_offer(c->frontend), "queues_max",
			 (json_int_t)sr_frontend_queue_max(c->frontend), "model", i->model,
			 "config", "capacity", (json_int_t)i->capacity, "blk_size",
			 (json_int_t)i->block_size, "seg_max", (json_int_t)i->seg_max, "bytes_max",
			 (json_int_t)i->bytes_max, "num_queues", (json_int_t)i->queues, "read_only",
			 (int)i->read_only, "flush", (int)i->can_flush);
}

static json_t *json_head(const struct disk_client *c, double seconds)
{
	const struct disk_options *o = c->options;
	char name[64];

	snprintf(name, sizeof(name), "%s-%s-%" PRIu32 "-%u", o->kind->name, o->rw, o->bs, o->depth);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:f, s:I}", "name", name, "rw", o->rw,
			 "bs", (json_int_t)o->bs, "depth", (json_int_t)o->depth, "queues",
			 (json_int_t)o->queues, "threads", (json_int_t)o->threads, "poll",
			 (int)!o->sleep, "seconds", seconds, "range", (json_int_t)c->range);
}

int disk_report_json(const struct disk_client *c, const struct disk_result *r)
{
	struct disk_tally total = total_of(r);
	json_t *o = json_head(c, r->seconds);
	int rc;

	json_tally(o, &total, r->seconds);
	for (unsigned i = 0; i < DISK_OPS; i++)
		if (r->ops[i].times.count || r->ops[i].failed) {
			json_t *part = json_object();

			json_tally(part, &r->ops[i], r->seconds);
			json_object_set_new(o, op_names[i], part);
		}
	json_object_set_new(o, "errors", json_errors(c, &r->errors));
	if (c->options->verify)
		json_object_set_new(o, "verified",
				    json_pack("{s:I, s:I}", "blocks", (json_int_t)r->verified,
					      "unknown", (json_int_t)r->unknown));
	rc = json_object_set_new(o, "back_end", json_back_end(c));
	if (!rc)
		rc = json_dumpf(o, stdout, JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(o);
	return rc ? -ENOMEM : 0;
}
