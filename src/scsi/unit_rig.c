/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit_rig.h"

#include "iov.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct channel {
	struct sr_disk_channel base;
	struct sr_disk_req *held, **tail;
};

static void medium_destroy(struct sr_disk *d)
{
	struct rig_medium *m = (struct rig_medium *)d;

	sr_disk_finish_base(d);
	free(m->data);
	free(m);
}

static int medium_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	(void)e;
	sr_disk_set_size(d, size);
	return 0;
}

static struct sr_disk_channel *channel_create(struct sr_disk *d, struct sr_loop *loop,
					      struct sr_error *e)
{
	struct channel *c = calloc(1, sizeof(*c));

	(void)d;
	(void)loop;
	(void)e;
	c->tail = &c->held;
	return &c->base;
}

static void channel_destroy(struct sr_disk_channel *c)
{
	free(c);
}

static int perform(struct rig_medium *m, struct sr_disk_req *r)
{
	uint8_t *at = m->data + r->offset;

	if (m->fail)
		return m->fail;
	if (r->op == SR_DISK_READ || r->op == SR_DISK_WRITE)
		assert_int_equal(sr_iov_bytes(r->iov, r->niov), r->len);
	if (r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, 0, at, r->len);
	else if (r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, 0, at, r->len);
	else if (r->op == SR_DISK_ZEROES)
		memset(at, 0, r->len);
	else if (r->op == SR_DISK_DISCARD)
		memset(at, 0xdd, r->len);
	return 0;
}

static void finish_held(struct channel *c)
{
	struct rig_medium *m = (struct rig_medium *)c->base.disk;
	struct sr_disk_req *r, *next = c->held;

	c->held = NULL;
	c->tail = &c->held;
	while ((r = next)) {
		next = r->next;
		sr_disk_finish(&c->base, r, perform(m, r));
	}
}

static void channel_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct channel *c = (struct channel *)base;
	struct rig_medium *m = (struct rig_medium *)base->disk;

	for (unsigned i = 0; i < n; i++) {
		assert_true(r[i]->op == SR_DISK_FLUSH || r[i]->len);
		assert_true(r[i]->offset + r[i]->len <= sr_disk_size(base->disk));
		__atomic_fetch_add(&m->asked[r[i]->op], 1, __ATOMIC_RELAXED);
		__atomic_store_n(&m->flags, r[i]->flags, __ATOMIC_RELAXED);
		__atomic_store_n(&m->len, r[i]->len, __ATOMIC_RELAXED);
		r[i]->next = NULL;
		*c->tail = r[i];
		c->tail = &r[i]->next;
	}
}

static void channel_reap(struct sr_disk_channel *base)
{
	struct rig_medium *m = (struct rig_medium *)base->disk;

	if (!atomic_load(&m->hold))
		finish_held((struct channel *)base);
}

static bool channel_arm(struct sr_disk_channel *base)
{
	return ((struct channel *)base)->held;
}

static bool channel_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct channel *c = (struct channel *)base;
	struct sr_disk_req **at = &c->held;

	if (((struct rig_medium *)base->disk)->cannot_cancel)
		return false;
	while (*at && *at != r)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = r->next;
	if (!*at)
		c->tail = at;
	sr_disk_finish(base, r, -ECANCELED);
	return true;
}

static const struct sr_disk_ops medium_ops = {
	.name = "rig",
	.destroy = medium_destroy,
	.resize = medium_resize,
	.channel_create = channel_create,
	.channel_destroy = channel_destroy,
	.submit = channel_submit,
	.reap = channel_reap,
	.arm = channel_arm,
	.cancel = channel_cancel,
};

struct rig_medium *rig_medium_create(const struct rig_options *o)
{
	struct rig_medium *m = calloc(1, sizeof(*m));
	uint32_t block = o->block_size ? o->block_size : 512;
	struct sr_disk_info info = { .block_size = block,
				     .physical_size = 4096,
				     .io_opt = 64 * block,
				     .read_only = o->read_only,
				     .volatile_cache = o->volatile_cache,
				     .can_discard = !o->cannot_discard,
				     .can_zero = !o->cannot_zero,
				     .zero_max = o->zero_max };

	m->data = calloc(RIG_BLOCKS, block);
	assert_int_equal(sr_disk_init(&m->disk, &medium_ops, "medium", &info,
				      (uint64_t)RIG_BLOCKS * block, NULL),
			 0);
	return m;
}

static void rig_complete(void *ctx, struct sr_scsi_cmd *const *c, unsigned n)
{
	(void)ctx;
	for (unsigned i = 0; i < n; i++)
		((struct rig_cmd *)c[i])->completed++;
}

void rig_create(struct unit_rig *r, const struct rig_options *o)
{
	static const char *const names[RIG_INITIATORS] = { "iqn.a", "iqn.b", "iqn.c" };
	struct sr_loop_config lc = { .name = "rig", .cpu = -1 };
	struct sr_scsi_unit_config c = { .serial = "S1",
					 .read_only = o->read_only,
					 .protection = o->protection,
					 .writethrough = o->writethrough };

	r->medium = rig_medium_create(o);
	c.disk = &r->medium->disk;
	r->loop = sr_loop_create(&lc, NULL);
	r->unit = sr_scsi_unit_create(&c, NULL);
	r->lane = sr_scsi_lane_create(r->unit, r->loop, rig_complete, r, NULL);
	r->other = sr_scsi_lane_create(r->unit, r->loop, rig_complete, r, NULL);
	assert_true(r->lane && r->other);
	for (unsigned i = 0; i < RIG_INITIATORS; i++) {
		r->nexus[i] = sr_scsi_nexus_create(names[i], (uint16_t)(i + 1), NULL);
		assert_int_equal(sr_scsi_unit_attach(r->unit, r->nexus[i], NULL), 0);
		assert_int_equal(rig_do(r, i, "00 00 00 00 00 00", ""), RIG_CHECK(6, 0x2900));
	}
}

void rig_destroy(struct unit_rig *r)
{
	for (unsigned i = 0; i < RIG_INITIATORS; i++) {
		sr_scsi_unit_detach(r->unit, r->nexus[i]);
		sr_scsi_nexus_destroy(r->nexus[i]);
	}
	sr_scsi_lane_destroy(r->lane);
	sr_scsi_lane_destroy(r->other);
	sr_scsi_unit_destroy(r->unit);
	sr_disk_destroy(&r->medium->disk);
	sr_loop_destroy(r->loop);
}

size_t rig_hex(const char *text, uint8_t *to, size_t room)
{
	size_t n = 0;
	char *end;

	for (const char *at = text; *at; at++) {
		if (*at == ' ')
			continue;
		char pair[3] = { at[0], at[1], 0 };

		assert_true(n < room);
		to[n++] = (uint8_t)strtoul(pair, &end, 16);
		assert_true(end == pair + 2);
		at++;
	}
	return n;
}

struct rig_cmd *rig_cmd(struct unit_rig *r, unsigned initiator, const char *cdb, uint32_t out_len,
			uint32_t in_len)
{
	struct rig_cmd *k = calloc(1, sizeof(*k));

	k->data_out = calloc(1, RIG_BUFFER);
	k->data_in = calloc(1, RIG_BUFFER);
	k->out = (struct iovec){ k->data_out, out_len };
	k->in = (struct iovec){ k->data_in, in_len };
	k->c.cdb_len = (uint8_t)rig_hex(cdb, k->c.cdb, sizeof(k->c.cdb));
	k->c.nexus = r->nexus[initiator];
	k->c.out = &k->out;
	k->c.in = &k->in;
	k->c.nout = out_len > 0;
	k->c.nin = in_len > 0;
	k->c.out_len = out_len;
	k->c.in_len = in_len;
	k->c.pi_out = &k->pi_out;
	k->c.pi_in = &k->pi_in;
	return k;
}

void rig_cmd_free(struct rig_cmd *k)
{
	free(k->data_out);
	free(k->data_in);
	free(k);
}

void rig_submit(struct sr_scsi_lane *l, struct rig_cmd *k)
{
	struct sr_scsi_cmd *c = &k->c;

	sr_scsi_submit(l, &c, 1);
	assert_int_equal(k->completed, 0);
}

void rig_poll(struct unit_rig *r)
{
	/* A gate takes a few rounds in which nothing is completed. */
	for (unsigned quiet = 0; quiet < 5; quiet++)
		if (sr_scsi_poll(r->lane) + sr_scsi_poll(r->other))
			quiet = 0;
}

void rig_run(struct unit_rig *r, struct rig_cmd *k)
{
	rig_submit(r->lane, k);
	for (unsigned i = 0; i < 10000 && !k->completed; i++)
		rig_poll(r);
	assert_int_equal(k->completed, 1);
}

uint32_t rig_outcome(const struct rig_cmd *k)
{
	const uint8_t *s = k->c.sense;

	if (k->c.status != SR_SCSI_CHECK_CONDITION)
		return k->c.status;
	if (s[0] == 0x72)
		return RIG_CHECK(s[1], s[2] << 8 | s[3]);
	assert_int_equal(s[0] & 0x7f, 0x70);
	return RIG_CHECK(s[2], s[12] << 8 | s[13]);
}

uint32_t rig_do(struct unit_rig *r, unsigned initiator, const char *cdb, const char *out)
{
	uint8_t bytes[4096];
	size_t n = rig_hex(out, bytes, sizeof(bytes));
	struct rig_cmd *k = rig_cmd(r, initiator, cdb, (uint32_t)n, n ? 0 : 4096);
	uint32_t outcome;

	memcpy(k->data_out, bytes, n);
	rig_run(r, k);
	outcome = rig_outcome(k);
	rig_cmd_free(k);
	return outcome;
}

void rig_fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

uint32_t rig_send(struct unit_rig *r, const char *cdb, uint32_t len, int seed)
{
	struct rig_cmd *k = rig_cmd(r, 0, cdb, len, 0);
	uint32_t outcome;

	if (seed >= 0)
		rig_fill(k->data_out, len, (unsigned)seed);
	rig_run(r, k);
	outcome = rig_outcome(k);
	rig_cmd_free(k);
	return outcome;
}

bool rig_medium_is(const struct unit_rig *r, size_t at, size_t len, int seed)
{
	static uint8_t expected[RIG_BUFFER];

	memset(expected, 0, len);
	if (seed >= 0)
		rig_fill(expected, len, (unsigned)seed);
	return !memcmp(r->medium->data + at, expected, len);
}
