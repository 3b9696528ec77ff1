/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two sides back to back: chains of random shape go through a ring, the device checks
 * what it can read and writes a part of what it may, completes in random order, and the
 * driver checks what comes back. Runs are seeded; a failure names its run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iov.h"
#include "ring_fixture.h"

#include <errno.h>
#include <stdlib.h>

#define SLOT	    4096u     /* bytes of guest memory for one chain */
#define SLOTS	    1000u     /* the most chains in flight */
#define SLOT_AT	    0x200f3cu /* so that one of them lies across the regions */
#define PIECES_MAX  64u
#define INDIRECT_AT 0x100000u
#define CANARY	    0xa5

struct slot {
	uint32_t out_len, in_len, written;
	unsigned nout, nin;
	struct sr_sg out[PIECES_MAX], in[PIECES_MAX];
	uint8_t tag;
	bool busy, seen;
};

struct held {
	struct sr_chain c;
	struct slot *slot;
};

struct run {
	struct ring_fixture f;
	struct sr_drvq *d;
	struct slot slots[SLOTS];
	struct slot *order[SLOTS]; /* given to the device, oldest first */
	unsigned norder;
	struct held held[SLOTS]; /* popped, not pushed */
	unsigned nheld;
	uint32_t size;
	uint64_t random;
	unsigned chains; /* returned so far */
};

static unsigned below(struct run *r, unsigned n)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (unsigned)((r->random >> 11) % n);
}

static uint8_t *slot_bytes(const struct run *r, const struct slot *s)
{
	return r->f.guest + SLOT_AT + SLOT * (unsigned)(s - r->slots);
}

/* Byte i of what the driver (or, from 4096 on, the device) writes into a slot. */
static uint8_t pattern(const struct slot *s, uint32_t i)
{
	return (uint8_t)(s->tag + 7 * i);
}

static uint32_t piece_length(struct run *r, uint32_t room)
{
	static const uint32_t kinds[] = { 0, 1, 1, 2, 64, 1500 };
	uint32_t len = kinds[below(r, SR_ARRAY_LEN(kinds))];

	if (len > 2)
		len = below(r, len + 1);
	return (uint32_t)sr_min(len, room);
}

/* Cuts the next pieces out of a slot. Returns the bytes. */
static uint32_t cut(struct run *r, const struct slot *s, struct sr_sg *sg, unsigned n,
		    uint32_t from)
{
	uint32_t at = from;
	uint32_t base = SLOT_AT + SLOT * (uint32_t)(s - r->slots);

	for (unsigned i = 0; i < n; i++) {
		sg[i].len = piece_length(r, SLOT - at);
		sg[i].addr = gpa(base + at);
		at += sg[i].len;
	}
	return at - from;
}

static void shape(struct run *r, struct slot *s)
{
	unsigned most = below(r, 4) ? 4 : PIECES_MAX;

	most = (unsigned)sr_min(most, r->size);
	unsigned n = 1 + below(r, most);

	s->nout = below(r, n + 1);
	s->nin = n - s->nout;
	s->out_len = cut(r, s, s->out, s->nout, 0);
	s->in_len = cut(r, s, s->in, s->nin, s->out_len);
	s->tag = (uint8_t)below(r, 256);
	s->seen = false;
	memset(slot_bytes(r, s), CANARY, SLOT);
	for (uint32_t i = 0; i < s->out_len; i++)
		slot_bytes(r, s)[i] = pattern(s, i);
}

static void driver_adds(struct run *r)
{
	for (unsigned n = below(r, 9); n; n--) {
		struct slot *s = &r->slots[below(r, SLOTS)];

		if (s->busy || r->norder == SLOTS)
			continue;
		shape(r, s);
		if (sr_drvq_add(r->d, s->out, s->nout, s->in, s->nin, s) == -ENOSPC)
			break;
		s->busy = true;
		r->order[r->norder++] = s;
	}
	if (below(r, 3))
		sr_drvq_publish(r->d);
}

/* The oldest chain given comes first, with its bytes. */
static void device_checks(struct run *r, const struct sr_chain *c, const struct slot *s)
{
	uint8_t bytes[SLOT];

	assert_int_equal(c->out_len, s->out_len);
	assert_int_equal(c->in_len, s->in_len);
	assert_int_equal(c->written, 0);
	assert_int_equal(sr_iov_bytes(c->out, c->nout), s->out_len);
	assert_int_equal(sr_iov_bytes(c->in, c->nin), s->in_len);
	assert_int_equal(sr_iov_read(c->out, c->nout, 0, bytes, SLOT), s->out_len);
	assert_memory_equal(bytes, slot_bytes(r, s), s->out_len);
	for (uint32_t i = 0; i < s->out_len; i++)
		assert_int_equal(bytes[i], pattern(s, i));
}

static void device_writes(struct run *r, struct sr_chain *c, struct slot *s)
{
	uint8_t bytes[SLOT];

	s->written = below(r, s->in_len + 1);
	for (uint32_t i = 0; i < s->written; i++)
		bytes[i] = pattern(s, SLOT + i);
	assert_int_equal(sr_iov_write(c->in, c->nin, 0, bytes, s->written), s->written);
	c->written = s->written;
	s->seen = true;
}

static void device_takes(struct run *r)
{
	struct sr_chain c[32];
	int n = pop(&r->f, c, below(r, 33));

	if (n < 0)
		fail_msg("%s", sr_vq_error(r->f.q));
	for (int i = 0; i < n; i++)
		device_checks(r, &c[i], r->order[i]);
	if (n && below(r, 4) == 0) {
		unsigned back = 1 + below(r, (unsigned)n);

		sr_vq_unpop(r->f.q, back);
		n -= (int)back;
	}
	for (int i = 0; i < n; i++) {
		device_writes(r, &c[i], r->order[i]);
		r->held[r->nheld++] = (struct held){ c[i], r->order[i] };
	}
	r->norder -= (unsigned)n;
	memmove(r->order, r->order + n, r->norder * sizeof(r->order[0]));
}

static void device_returns(struct run *r, bool all)
{
	unsigned n = all ? r->nheld : below(r, r->nheld + 1);

	for (; n; n--) {
		unsigned i = below(r, r->nheld);

		sr_vq_push(r->f.q, &r->held[i].c, 1);
		r->held[i] = r->held[--r->nheld];
	}
	if (all || below(r, 2))
		sr_vq_publish(r->f.q);
}

static void driver_takes(struct run *r)
{
	struct sr_used u[32];
	int n = sr_drvq_get(r->d, u, below(r, 33));

	if (n < 0)
		fail_msg("%s", sr_drvq_error(r->d));
	for (int i = 0; i < n; i++) {
		struct slot *s = u[i].token;
		const uint8_t *in = slot_bytes(r, s) + s->out_len;

		assert_true(s->busy && s->seen);
		assert_int_equal(u[i].len, s->written);
		for (uint32_t k = 0; k < SLOT - s->out_len; k++)
			assert_int_equal(in[k], k < s->written ? pattern(s, SLOT + k) : CANARY);
		s->busy = false;
		r->chains++;
	}
}

static void restarts(struct run *r)
{
	device_returns(r, true);
	r->f.config.base = sr_vq_stop(r->f.q);
	assert_int_equal(sr_vq_start(r->f.q, &r->f.config, r->f.mem, NULL), 0);
}

static void run_start(struct run *r, uint32_t size, uint64_t features, uint16_t base)
{
	struct sr_drvq_config c = { .size = size,
				    .features = features,
				    .ring = r->f.guest,
				    .indirect = r->f.guest + INDIRECT_AT,
				    .indirect_gpa = gpa(INDIRECT_AT),
				    .indirect_max = size > 1000 ? 2 : 40,
				    .base = base };

	fixture_place(&r->f, size, features);
	memset(r->f.guest, 0, GUEST_DATA);
	r->f.config.base = base;
	r->size = size;
	r->d = sr_drvq_create(&c, NULL);
	assert_non_null(r->d);
	assert_int_equal(sr_vq_start(r->f.q, &r->f.config, r->f.mem, NULL), 0);
}

static void run_steps(struct run *r, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		switch (below(r, 8)) {
		case 0:
		case 1:
			driver_adds(r);
			break;
		case 2:
		case 3:
			device_takes(r);
			break;
		case 4:
		case 5:
			device_returns(r, false);
			break;
		default:
			driver_takes(r);
		}
		if (below(r, 500) == 0)
			restarts(r);
	}
}

/* Everything that was given comes back. */
static void run_finish(struct run *r)
{
	sr_drvq_publish(r->d);
	while (r->norder)
		device_takes(r);
	device_returns(r, true);
	while (sr_drvq_free(r->d) < r->size)
		driver_takes(r);
	for (unsigned i = 0; i < SLOTS; i++)
		assert_false(r->slots[i].busy);
	sr_vq_stop(r->f.q);
	sr_drvq_destroy(r->d);
}

static const uint64_t feature_sets[] = {
	SR_F_VERSION_1,
	SR_F_VERSION_1 | SR_F_EVENT_IDX,
	SR_F_VERSION_1 | SR_F_INDIRECT_DESC,
	SR_F_RING,
};

static void random_chains_come_back_whole_over_rings_of_every_size(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	(void)state;
	fixture_init(&r->f);
	for (uint32_t size = 1; size <= 32768; size *= 2) {
		for (unsigned i = 0; i < SR_ARRAY_LEN(feature_sets); i++) {
			uint16_t base = (uint16_t)(65536 - 50 * i);

			r->random = 0x9e3779b97f4a7c15 + size * 8 + i;
			r->chains = 0;
			run_start(r, size, feature_sets[i], base);
			run_steps(r, 3000);
			run_finish(r);
			print_message("size %u, features 0x%llx, base %u: %u chains\n", size,
				      (unsigned long long)feature_sets[i], base, r->chains);
			assert_true(r->chains > 100);
		}
	}
	fixture_finish(&r->f);
	free(r);
}

/* Small chains, so that the 16-bit indices go all the way round. */
static void indices_wrap_more_than_once(void **state)
{
	struct ring_fixture f;
	struct sr_drvq_config dc = { .size = 256, .features = SR_F_RING };
	struct sr_sg sg = { gpa(GUEST_DATA), 64 };
	struct sr_chain c[64];
	struct sr_used u[64];
	uintptr_t given = 0, back = 0;

	(void)state;
	fixture_init(&f);
	fixture_place(&f, dc.size, dc.features);
	dc.ring = f.guest;
	struct sr_drvq *d = sr_drvq_create(&dc, NULL);

	assert_int_equal(sr_vq_start(f.q, &f.config, f.mem, NULL), 0);
	while (back < 200000) {
		for (unsigned i = 0; i < 1 + given % 90; i++)
			if (sr_drvq_add(d, &sg, 1, NULL, 0, (void *)(given + 1)) == 0)
				given++;
		sr_drvq_publish(d);
		int n = pop(&f, c, 64);

		assert_true(n > 0);
		sr_vq_push(f.q, c, (unsigned)n);
		sr_vq_publish(f.q);
		n = sr_drvq_get(d, u, 64);
		assert_true(n > 0);
		for (int i = 0; i < n; i++)
			assert_int_equal((uintptr_t)u[i].token, ++back);
	}
	sr_drvq_destroy(d);
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_chains_come_back_whole_over_rings_of_every_size),
		cmocka_unit_test(indices_wrap_more_than_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
