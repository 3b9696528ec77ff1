/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random requests in random framing, many at once on disjoint ranges, against a model that is an
 * array of bytes: each answer and the whole medium must be what the model says.
 */
#include "blk_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define SECTORS (RIG_SIZE / 512)
#define AT_ONCE 40u
#define MOST	64u /* sectors of one request */

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

struct asked {
	struct rig_req q;
	uint8_t bytes[MOST * 512];
	struct range ranges[4];
	unsigned nranges;
	uint8_t expected;
};

struct model {
	struct rig *r;
	uint8_t bytes[RIG_SIZE];
	bool busy[SECTORS];
	uint32_t block; /* sectors */
	struct asked asked[AT_ONCE];
};

static unsigned rnd(struct model *m, unsigned below)
{
	return (unsigned)rand_r(&m->r->seed) % below;
}

/* A range that nobody uses at the moment; false: not found. */
static bool choose_range(struct model *m, unsigned most, uint64_t *sector, uint32_t *n)
{
	*n = (1 + rnd(m, most / m->block)) * m->block;
	*sector = rnd(m, SECTORS / m->block) * (uint64_t)m->block;
	if (*sector + *n > SECTORS)
		return false;
	for (uint32_t i = 0; i < *n; i++)
		if (m->busy[*sector + i])
			return false;
	memset(&m->busy[*sector], true, *n);
	return true;
}

static bool ask_read(struct model *m, struct asked *a)
{
	uint32_t n;

	if (!choose_range(m, MOST, &a->q.sector, &n))
		return false;
	a->q.type = BLK_T_IN;
	a->q.in_len = n * 512;
	return true;
}

static bool ask_write(struct model *m, struct asked *a)
{
	uint32_t n;

	if (!choose_range(m, MOST, &a->q.sector, &n))
		return false;
	rig_fill(a->bytes, n * 512, rnd(m, 256));
	a->q.type = BLK_T_OUT;
	a->q.out = a->bytes;
	a->q.out_len = n * 512;
	return true;
}

static bool ask_zeroes(struct model *m, struct asked *a)
{
	unsigned want = 1 + rnd(m, SR_ARRAY_LEN(a->ranges));

	for (a->nranges = 0; a->nranges < want; a->nranges++) {
		struct range *v = &a->ranges[a->nranges];

		if (!choose_range(m, 16, &v->sector, &v->sectors))
			break;
		v->flags = rnd(m, 2);
	}
	a->q.type = BLK_T_WRITE_ZEROES;
	a->q.out = a->ranges;
	a->q.out_len = a->nranges * sizeof(struct range);
	return a->nranges;
}

static bool ask_flush(struct model *m, struct asked *a)
{
	(void)m;
	a->q.type = BLK_T_FLUSH;
	return true;
}

static bool ask_nonsense(struct model *m, struct asked *a)
{
	static const uint32_t types[] = { BLK_T_IN, BLK_T_OUT, BLK_T_DISCARD, BLK_T_WRITE_ZEROES };

	a->q.type = types[rnd(m, SR_ARRAY_LEN(types))];
	a->q.sector = SECTORS - 1 + rnd(m, 1000) * 0x10000000000ull;
	a->q.out = a->bytes;
	a->q.out_len = 1024;
	a->q.in_len = 1024;
	/* As a list of ranges: 64, each past the end. */
	memset(a->bytes, 0xff, 1024);
	a->expected = BLK_S_IOERR;
	return true;
}

static bool ask_nothing_known(struct model *m, struct asked *a)
{
	a->q.type = 100 + rnd(m, 1000);
	a->q.out = a->bytes;
	a->q.out_len = rnd(m, 600);
	a->q.in_len = rnd(m, 600);
	a->expected = BLK_S_UNSUPP;
	return true;
}

static void ask(struct model *m, struct asked *a)
{
	static bool (*const kinds[])(struct model *, struct asked *) = {
		ask_read,  ask_read,   ask_read,  ask_write,	ask_write,
		ask_write, ask_zeroes, ask_flush, ask_nonsense, ask_nothing_known,
	};

	do {
		memset(&a->q, 0, sizeof(a->q));
		a->nranges = 0;
		a->expected = BLK_S_OK;
	} while (!kinds[rnd(m, SR_ARRAY_LEN(kinds))](m, a));
	m->r->cut = rnd(m, 3) ? rig_cut_random : NULL;
	/* A chain has a most; long requests in tiny pieces would pass it. */
	if (a->q.in_len + a->q.out_len > 2048 && m->r->cut) {
		m->r->cut = rig_cut_same;
		m->r->piece = 64 + rnd(m, 3000);
	}
	rig_add(m->r, 0, &a->q);
}

static void judge(struct model *m, struct asked *a)
{
	static uint8_t got[MOST * 512];

	assert_true(a->q.done);
	assert_int_equal(a->q.status, a->expected);
	if (a->expected != BLK_S_OK)
		return;
	if (a->q.type == BLK_T_OUT)
		memcpy(m->bytes + a->q.sector * 512, a->q.out, a->q.out_len);
	for (unsigned i = 0; i < a->nranges; i++)
		memset(m->bytes + a->ranges[i].sector * 512, 0, a->ranges[i].sectors * 512);
	if (a->q.type == BLK_T_IN) {
		rig_data(m->r, &a->q, got);
		assert_memory_equal(got, m->bytes + a->q.sector * 512, a->q.in_len);
	}
}

static void round_of(struct model *m)
{
	unsigned n = 1 + rnd(m, AT_ONCE), back = 0;
	size_t used = m->r->used;

	memset(m->busy, false, sizeof(m->busy));
	for (unsigned i = 0; i < n; i++) {
		ask(m, &m->asked[i]);
		if (rnd(m, 4) == 0)
			rig_process(m->r, 0);
	}
	while (back < n) {
		rig_process(m->r, 0);
		if (m->r->fake)
			sr_disk_poll(&m->r->fake->channel->base);
		back += rig_collect(m->r, 0);
	}
	for (unsigned i = 0; i < n; i++)
		judge(m, &m->asked[i]);
	m->r->used = used;
}

static void rounds_over(struct sr_disk *d, struct fake *f, unsigned rounds)
{
	struct model *m = calloc(1, sizeof(*m));
	uint8_t *all = malloc(RIG_SIZE);

	assert_true(m && all);
	m->r = rig_create(d, NULL);
	m->r->fake = f;
	m->r->seed = 7;
	m->block = sr_disk_info(d)->block_size / 512;
	rig_start(m->r, 0, 1024);
	for (unsigned i = 0; i < rounds; i++)
		round_of(m);
	m->r->cut = NULL;
	assert_int_equal(rig_read(m->r, 0, all, RIG_SIZE), BLK_S_OK);
	assert_memory_equal(all, m->bytes, RIG_SIZE);
	rig_destroy(m->r);
	free(all);
	free(m);
}

static void a_disk_that_finishes_in_any_order_holds_what_the_model_holds(void **state)
{
	struct sr_disk_info i = fake_info();

	(void)state;
	for (i.block_size = 512; i.block_size <= 4096; i.block_size *= 8) {
		struct fake *f = fake_create(&i, RIG_SIZE);

		f->late = true;
		rounds_over(&f->disk, f, 300);
	}
}

static void memory_holds_what_the_model_holds(void **state)
{
	struct sr_disk_mem_config c = { .name = "mem", .size = RIG_SIZE };
	struct sr_error e;
	struct sr_disk *d = sr_disk_mem_create(&c, &e);

	(void)state;
	assert_non_null(d);
	rounds_over(d, NULL, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_finishes_in_any_order_holds_what_the_model_holds),
		cmocka_unit_test(memory_holds_what_the_model_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
