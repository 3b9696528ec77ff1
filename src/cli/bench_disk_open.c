/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a socket to a disk that is ready to be measured: what it is, memory with rings,
 * requests laid out once, and what the options ask of it held against what it has.
 */
#include "base.h"
#include "bench_disk.h"
#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/vq.h>
#include <stdlib.h>

#define PAGE	     4096u
#define RING_DEFAULT 128u
#define LOW_BITS     0xffffffull /* the device type's own feature bits */
#define NET_BITS     0xfc0000ull /* control queue and MQ; no disk has these */

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* Of one queue in the shared memory; rings of all queues come first. */
struct layout {
	unsigned rings;	     /* queues before the request queues included */
	uint32_t entries;    /* of a ring */
	uint32_t table;	     /* entries of an indirect table; 0: none */
	size_t ring, tables; /* bytes */
	size_t meta, data;
};

static unsigned power_of_two(uint64_t least)
{
	unsigned n = 1;

	while (n < least)
		n *= 2;
	return n;
}

static int lay_out(const struct disk_client *c, struct layout *l, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	unsigned chain = o->kind->pieces(c) + 2;
	bool indirect = sr_frontend_features(c->frontend) & SR_F_INDIRECT_DESC;
	uint64_t need = (uint64_t)o->depth * (indirect ? 1 : chain);

	l->rings = o->kind->first_queue + o->queues;
	l->entries = o->ring ? o->ring : power_of_two(sr_max(need, RING_DEFAULT));
	if (need > l->entries || l->entries > SR_VQ_SIZE_MAX)
		return sr_error_set(e, -EINVAL,
				    "%s: --depth %u takes a ring of %" PRIu64
				    " entries, expected at most %u",
				    o->socket, o->depth, need, o->ring ? o->ring : SR_VQ_SIZE_MAX);
	/* A table is whole cache lines. */
	l->table = indirect ? (uint32_t)round_up(chain, SR_CACHE_LINE / 16) : 0;
	l->ring = round_up(sr_drvq_bytes(l->entries), PAGE);
	l->tables = round_up((size_t)l->entries * l->table * 16, PAGE);
	l->meta = round_up((size_t)o->depth * o->kind->meta_bytes, PAGE);
	l->data = round_up((size_t)o->depth * o->bs, PAGE);
	return 0;
}

static int queue_init(struct disk_client *c, unsigned n, const struct layout *l, uint8_t *mem,
		      struct sr_error *e)
{
	const struct disk_options *o = c->options;
	struct disk_queue *q = &c->queues[n];
	unsigned index = o->kind->first_queue + n;
	size_t at = l->rings * l->ring + n * (l->tables + l->meta + l->data);
	uint64_t gpa = sr_frontend_gpa(c->frontend) + at;
	struct sr_drvq_config vc = { .size = l->entries,
				     .features = sr_frontend_features(c->frontend),
				     .ring = mem + index * l->ring,
				     .indirect = l->table ? mem + at : NULL,
				     .indirect_gpa = gpa,
				     .indirect_max = l->table };

	*q = (struct disk_queue){ .options = o,
				  .index = index,
				  .block_size = c->info.block_size,
				  .kick = -1,
				  .call = -1,
				  .ring = vc.ring,
				  .data = mem + at + l->tables + l->meta };
	q->slots = calloc(o->depth, sizeof(*q->slots));
	q->sg = calloc((size_t)o->depth * (o->kind->pieces(c) + 2), sizeof(*q->sg));
	if (!q->slots || !q->sg)
		return sr_error_set(e, -ENOMEM, "out of memory for %u requests", o->depth);
	q->vq = sr_drvq_create(&vc, e);
	if (!q->vq)
		return e->code;
	sr_drvq_quiet(q->vq);
	for (unsigned i = 0; i < o->depth; i++) {
		size_t meta = l->tables + (size_t)i * o->kind->meta_bytes;

		o->kind->slot_init(c, q, i, mem + at + meta, gpa + meta,
				   gpa + l->tables + l->meta + (uint64_t)i * o->bs);
	}
	return 0;
}

static int start_rings(struct disk_client *c, const struct layout *l, const uint8_t *mem,
		       struct sr_error *e)
{
	int rc = 0;

	for (unsigned i = 0; i < l->rings && !rc; i++)
		rc = sr_frontend_ring_start(c->frontend, i, mem + i * l->ring, l->entries, 0, e);
	for (unsigned i = 0; i < l->rings && !rc; i++)
		rc = sr_frontend_ring_enable(c->frontend, i, true, e);
	for (unsigned i = 0; i < c->options->queues && !rc; i++) {
		struct disk_queue *q = &c->queues[i];

		q->kick = sr_frontend_kick_fd(c->frontend, q->index);
		q->call = sr_frontend_call_fd(c->frontend, q->index);
	}
	return rc;
}

static int make_queues(struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	struct layout l = { 0 };
	size_t bytes;
	uint8_t *mem;
	int rc = lay_out(c, &l, e);

	if (rc)
		return rc;
	bytes = l.rings * l.ring + o->queues * (l.tables + l.meta + l.data);
	mem = sr_frontend_share(c->frontend, bytes, o->hugepages, e);
	if (!mem)
		return bench_not_shared(o->hugepages, 1, bytes, e);
	c->queues = calloc(o->queues, sizeof(*c->queues));
	if (!c->queues)
		return sr_error_set(e, -ENOMEM, "out of memory for %u queues", o->queues);
	for (unsigned i = 0; i < o->queues && !rc; i++)
		rc = queue_init(c, i, &l, mem, e);
	return rc ? rc : start_rings(c, &l, mem, e);
}

/* vhost-user has no message that says what a device is: its features have to. */
static int check_type(const struct disk_client *c, struct sr_error *e)
{
	const struct disk_kind *k = c->options->kind;
	uint64_t offer = sr_frontend_offer(c->frontend);
	uint64_t protocol = sr_frontend_protocol_offer(c->frontend);

	if (offer & LOW_BITS & ~k->known)
		return sr_error_set(
			e, -ENODEV,
			"%s: the back-end offers features 0x%" PRIx64 ", expected %s: it is %s",
			c->options->socket, offer, k->peer,
			offer & NET_BITS ? "a network device" : "another kind of device");
	if (!(protocol & SR_BIT(SR_VU_P_CONFIG)))
		return sr_error_set(e, -ENOTSUP,
				    "%s: the back-end has no CONFIG protocol feature, expected it "
				    "of %s",
				    c->options->socket, k->peer);
	return 0;
}

/* Names the socket before what a driver found wrong. */
static int with_socket(const struct disk_client *c, int rc, struct sr_error *e)
{
	struct sr_error why = *e;

	return rc ? sr_error_set(e, rc, "%s: %.400s", c->options->socket, why.text) : 0;
}

static int open_frontend(struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	struct sr_frontend_config fc = {
		.socket = o->socket,
		.features =
			o->kind->features | SR_F_VERSION_1 | SR_F_EVENT_IDX | SR_F_INDIRECT_DESC,
		.required = SR_F_VERSION_1,
		.protocol_features =
			SR_BIT(SR_VU_P_MQ) | SR_BIT(SR_VU_P_REPLY_ACK) | SR_BIT(SR_VU_P_CONFIG),
		.queues_unsaid = o->kind->first_queue + 1,
	};
	uint8_t config[64];
	int rc;

	c->frontend = sr_frontend_connect(&fc, e);
	if (!c->frontend)
		return bench_not_answered(false, e);
	rc = check_type(c, e);
	rc = rc ? rc : sr_frontend_get_config(c->frontend, 0, config, o->kind->config_bytes, e);
	if (rc)
		return rc;
	rc = o->kind->configure(c, config, e);
	return rc ? with_socket(c, rc, e) : 0;
}

static int check_queues(const struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	unsigned most = sr_frontend_queue_max(c->frontend);

	most = most > o->kind->first_queue ? most - o->kind->first_queue : 0;
	most = (unsigned)sr_min(most, c->info.queues);
	if (o->queues > most)
		return sr_error_set(e, -EINVAL,
				    "--queues: got '%u', expected at most %u: %s has no more",
				    o->queues, most, o->socket);
	return 0;
}

/* What could not be laid out. */
static int check_request(const struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;

	if (o->bs > c->info.bytes_max)
		return sr_error_set(e, -EINVAL,
				    "--bs: got '%" PRIu32 "', expected at most %" PRIu32
				    ": %s takes no larger requests",
				    o->bs, c->info.bytes_max, o->socket);
	return 0;
}

static int check_disk(const struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	const struct disk_info *i = &c->info;

	if (o->writes && i->read_only)
		return sr_error_set(e, -EROFS, "%s: the disk is read-only: --rw %s can't write",
				    o->socket, o->rw);
	if (o->flush_every && !i->can_flush)
		return sr_error_set(e, -ENOTSUP, "--flush-every: %s has no FLUSH", o->socket);
	if (o->bs % i->block_size)
		return sr_error_set(e, -EINVAL,
				    "--bs: got '%" PRIu32 "', expected a multiple of %" PRIu32
				    ", the block size of %s",
				    o->bs, i->block_size, o->socket);
	if (o->range > i->capacity)
		return sr_error_set(e, -EINVAL,
				    "--range: got '%" PRIu64 "', expected at most %" PRIu64
				    ", the size of %s",
				    o->range, i->capacity, o->socket);
	return 0;
}

/* A part of the range for each queue. */
static int share_range(struct disk_client *c, struct sr_error *e)
{
	const struct disk_options *o = c->options;
	uint64_t range = o->range ? o->range : c->info.capacity, part = range / o->bs / o->queues;
	bool keep = o->verify && o->writes;
	uint64_t least = keep ? o->depth : 1;

	if (part < least)
		return sr_error_set(e, -EINVAL,
				    "%s: %" PRIu64
				    " bytes for %u queues, expected at least %" PRIu64
				    " blocks of %" PRIu32 " bytes for each",
				    o->socket, range, o->queues, least, o->bs);
	if (keep && part * o->queues > DISK_BLOCKS_MAX)
		return sr_error_set(e, -EINVAL,
				    "--verify: %" PRIu64
				    " blocks, expected at most %llu: give it a smaller --range",
				    part * o->queues, DISK_BLOCKS_MAX);
	for (unsigned i = 0; i < o->queues; i++)
		if (disk_pick_init(&c->queues[i].pick, i * part, part, o->random,
				   o->seed + i * 0x9e3779b97f4a7c15, keep))
			return sr_error_set(e, -ENOMEM,
					    "--verify: out of memory for %" PRIu64
					    " blocks: give it a smaller --range",
					    part);
	c->range = part * o->queues * o->bs;
	return 0;
}

int disk_client_open(struct disk_client *c, const struct disk_options *o, struct sr_error *e)
{
	int rc;

	*c = (struct disk_client){ .options = o };
	if ((rc = open_frontend(c, e)) || (rc = check_queues(c, e)) || (rc = check_request(c, e)) ||
	    (rc = make_queues(c, e)))
		return rc;
	rc = o->kind->probe ? o->kind->probe(c, e) : 0;
	if (rc || (rc = check_disk(c, e)))
		return rc;
	return share_range(c, e);
}

void disk_client_close(struct disk_client *c)
{
	/* Stops the rings; then nobody writes to what the queues hold. */
	sr_frontend_disconnect(c->frontend);
	for (unsigned i = 0; c->queues && i < c->options->queues; i++) {
		struct disk_queue *q = &c->queues[i];

		sr_drvq_destroy(q->vq);
		disk_pick_finish(&q->pick);
		free(q->slots);
		free(q->sg);
	}
	free(c->queues);
	*c = (struct disk_client){ 0 };
}
