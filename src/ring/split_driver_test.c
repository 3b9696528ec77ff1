/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "split_layout.h"

#include <errno.h>
#include <slipring/drvq.h>
#include <slipring/virtio.h>
#include <stdlib.h>

/* A driver queue and the raw words that a device would write. */
struct driver_fixture {
	struct sr_drvq *q;
	void *ring, *indirect;
	struct split_desc *desc;
	struct split_avail *avail;
	struct split_used *used;
	uint32_t size;
};

#define INDIRECT_GPA 0x5000
#define INDIRECT_MAX 4

static void driver_start(struct driver_fixture *f, uint32_t size, uint64_t features, uint16_t base)
{
	struct sr_drvq_layout l = sr_drvq_layout(size);
	size_t bytes = (sr_drvq_bytes(size) + 4095) & ~4095ul;
	struct sr_error e;

	f->size = size;
	f->ring = aligned_alloc(4096, bytes);
	memset(f->ring, 0, bytes);
	f->indirect = calloc((size_t)size * INDIRECT_MAX, 16);
	f->desc = (void *)((char *)f->ring + l.desc);
	f->avail = (void *)((char *)f->ring + l.avail);
	f->used = (void *)((char *)f->ring + l.used);
	struct sr_drvq_config c = { .size = size,
				    .features = features,
				    .ring = f->ring,
				    .indirect = f->indirect,
				    .indirect_gpa = INDIRECT_GPA,
				    .indirect_max = INDIRECT_MAX,
				    .base = base };

	f->q = sr_drvq_create(&c, &e);
	assert_non_null(f->q);
}

static void driver_stop(struct driver_fixture *f)
{
	sr_drvq_destroy(f->q);
	free(f->ring);
	free(f->indirect);
}

static void add(struct driver_fixture *f, unsigned nout, unsigned nin, void *token)
{
	struct sr_sg out[8], in[8];

	for (unsigned i = 0; i < nout; i++)
		out[i] = (struct sr_sg){ 0x1000 + i, 10 + i };
	for (unsigned i = 0; i < nin; i++)
		in[i] = (struct sr_sg){ 0x2000 + i, 20 + i };
	assert_int_equal(sr_drvq_add(f->q, out, nout, in, nin, token), 0);
}

static void device_returns(struct driver_fixture *f, uint32_t id, uint32_t len)
{
	uint16_t idx = f->used->idx;

	f->used->ring[idx & (f->size - 1)] = (struct split_used_elem){ id, len };
	f->used->idx = (uint16_t)(idx + 1);
}

static void lays_out_areas_apart_and_aligned(void **state)
{
	(void)state;
	for (uint32_t size = 1; size <= 32768; size *= 2) {
		struct sr_drvq_layout l = sr_drvq_layout(size);

		assert_int_equal(l.desc % 16, 0);
		assert_int_equal(l.avail % 64, 0);
		assert_int_equal(l.used % 64, 0);
		assert_true(l.avail >= l.desc + 16 * size);
		assert_true(l.used >= l.avail + 6 + 2 * size);
		assert_true(sr_drvq_bytes(size) >= l.used + 6 + 8 * size);
	}
}

static void refuses_sizes_that_no_split_ring_has(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 65536 };
	struct sr_error e;

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(sizes); i++) {
		struct sr_drvq_config c = { .size = sizes[i] };

		assert_null(sr_drvq_create(&c, &e));
		assert_int_equal(e.code, -EINVAL);
	}
	assert_string_equal(e.text, "size 65536, expected a power of two from 1 to 32768");
}

static void writes_a_chain_of_descriptors(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_VERSION_1, 0);
	add(&f, 2, 1, &f);
	assert_int_equal(f.avail->idx, 0);
	assert_true(sr_drvq_publish(f.q));
	assert_false(sr_drvq_publish(f.q));
	assert_int_equal(f.avail->idx, 1);
	assert_int_equal(sr_drvq_free(f.q), 5);
	struct split_desc *d = &f.desc[f.avail->ring[0]];

	assert_true(d->addr == 0x1000 && d->len == 10 && d->flags == SPLIT_DESC_NEXT);
	d = &f.desc[d->next];
	assert_true(d->addr == 0x1001 && d->len == 11 && d->flags == SPLIT_DESC_NEXT);
	d = &f.desc[d->next];
	assert_true(d->addr == 0x2000 && d->len == 20 && d->flags == SPLIT_DESC_WRITE);
	driver_stop(&f);
}

static void writes_an_indirect_table_for_several_pieces(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 0, &f);
	add(&f, 2, 2, &f);
	add(&f, 3, 2, &f); /* one more than INDIRECT_MAX: direct */
	assert_int_equal(sr_drvq_free(f.q), 1);
	assert_int_equal(f.desc[f.avail->ring[0]].flags, 0);
	uint16_t head = f.avail->ring[1];
	struct split_desc *d = &f.desc[head];

	assert_int_equal(d->flags, SPLIT_DESC_INDIRECT);
	assert_int_equal(d->len, 64);
	assert_int_equal(d->addr, INDIRECT_GPA + 64 * head);
	struct split_desc *t = (struct split_desc *)f.indirect + INDIRECT_MAX * head;

	assert_true(t[0].addr == 0x1000 && t[0].flags == SPLIT_DESC_NEXT && t[0].next == 1);
	assert_true(t[3].addr == 0x2001 && t[3].flags == SPLIT_DESC_WRITE);
	assert_int_equal(f.desc[f.avail->ring[2]].flags, SPLIT_DESC_NEXT);
	driver_stop(&f);
}

static void says_when_descriptors_are_used_up(void **state)
{
	struct driver_fixture f;
	struct sr_sg sg[5] = { { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } };
	struct sr_used u;

	(void)state;
	driver_start(&f, 4, SR_F_VERSION_1, 0);
	assert_int_equal(sr_drvq_add(f.q, sg, 5, NULL, 0, NULL), -E2BIG);
	add(&f, 3, 0, &f);
	assert_int_equal(sr_drvq_add(f.q, sg, 2, NULL, 0, NULL), -ENOSPC);
	assert_int_equal(sr_drvq_add(f.q, sg, 0, sg, 1, NULL), 0);
	assert_int_equal(sr_drvq_free(f.q), 0);
	sr_drvq_publish(f.q);
	device_returns(&f, f.avail->ring[0], 0);
	assert_int_equal(sr_drvq_get(f.q, &u, 1), 1);
	assert_ptr_equal(u.token, &f);
	assert_int_equal(sr_drvq_free(f.q), 3);
	driver_stop(&f);
}

static void returns_tokens_in_the_devices_order(void **state)
{
	struct driver_fixture f;
	struct sr_used u[4];
	char a, b, c;

	(void)state;
	driver_start(&f, 8, SR_F_RING, 65534);
	add(&f, 1, 1, &a);
	add(&f, 0, 2, &b);
	add(&f, 2, 0, &c);
	sr_drvq_publish(f.q);
	assert_int_equal(f.avail->idx, 1);
	assert_int_equal(sr_drvq_get(f.q, u, 4), 0);
	device_returns(&f, f.avail->ring[0], 0); /* 65536 % 8: the third */
	device_returns(&f, f.avail->ring[6], 20);
	device_returns(&f, f.avail->ring[7], 41);
	assert_int_equal(sr_drvq_get(f.q, u, 2), 2);
	assert_ptr_equal(u[0].token, &c);
	assert_ptr_equal(u[1].token, &a);
	assert_int_equal(u[1].len, 20);
	assert_int_equal(sr_drvq_get(f.q, u, 4), 1);
	assert_ptr_equal(u[0].token, &b);
	assert_int_equal(u[0].len, 41);
	assert_int_equal(sr_drvq_free(f.q), 8);
	driver_stop(&f);
}

static void breaks(struct driver_fixture *f, const char *text)
{
	struct sr_used u[8];

	assert_int_equal(sr_drvq_get(f->q, u, 8), -EPROTO);
	assert_string_equal(sr_drvq_error(f->q), text);
	assert_int_equal(sr_drvq_get(f->q, u, 8), -EPROTO);
	driver_stop(f);
}

static void hostile_device_returns_what_it_was_not_given(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, 8, 0);
	breaks(&f, "used entry 0: id 8, expected < 8");

	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, 3, 0);
	breaks(&f, "used entry 0: id 3, expected a chain in flight");

	driver_start(&f, 8, SR_F_VERSION_1, 0);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, f.desc[f.avail->ring[0]].next, 0);
	breaks(&f, "used entry 0: id 1, expected a chain in flight");

	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, f.avail->ring[0], 21);
	breaks(&f, "used entry 0: length 21, expected at most 20");
}

static void hostile_device_returns_a_chain_twice(void **state)
{
	struct driver_fixture f;
	struct sr_used u[8];

	(void)state;
	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 1, &f);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, f.avail->ring[0], 0);
	device_returns(&f, f.avail->ring[0], 0);
	assert_int_equal(sr_drvq_get(f.q, u, 8), 1);
	breaks(&f, "used entry 1: id 0, expected a chain in flight");
}

static void hostile_device_moves_its_index_too_far(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_RING, 0);
	add(&f, 1, 1, &f);
	sr_drvq_publish(f.q);
	f.used->idx = 2;
	breaks(&f, "used index 2, expected at most 1 more than 0");

	driver_start(&f, 8, SR_F_RING, 0);
	f.used->idx = 65535;
	breaks(&f, "used index 65535, expected at most 0 more than 0");
}

static void obeys_the_devices_wish_for_kicks(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_VERSION_1, 0);
	f.used->flags = SPLIT_USED_NO_NOTIFY;
	add(&f, 1, 0, &f);
	assert_false(sr_drvq_publish(f.q));
	f.used->flags = 0;
	add(&f, 1, 0, &f);
	assert_true(sr_drvq_publish(f.q));
	driver_stop(&f);

	driver_start(&f, 8, SR_F_RING, 65535);
	*split_avail_event(f.used, 8) = 0;
	add(&f, 1, 0, &f);
	assert_false(sr_drvq_publish(f.q));
	add(&f, 1, 0, &f);
	assert_true(sr_drvq_publish(f.q));
	add(&f, 1, 0, &f);
	assert_false(sr_drvq_publish(f.q));
	driver_stop(&f);
}

static void asks_for_calls_and_looks_again(void **state)
{
	struct driver_fixture f;

	(void)state;
	driver_start(&f, 8, SR_F_VERSION_1, 0);
	assert_int_equal(f.avail->flags, SPLIT_AVAIL_NO_INTERRUPT);
	assert_false(sr_drvq_rearm(f.q));
	assert_int_equal(f.avail->flags, 0);
	sr_drvq_quiet(f.q);
	assert_int_equal(f.avail->flags, SPLIT_AVAIL_NO_INTERRUPT);
	add(&f, 1, 0, &f);
	sr_drvq_publish(f.q);
	device_returns(&f, f.avail->ring[0], 0);
	assert_true(sr_drvq_rearm(f.q));
	assert_int_equal(f.avail->flags, SPLIT_AVAIL_NO_INTERRUPT);
	driver_stop(&f);

	driver_start(&f, 8, SR_F_RING, 0);
	uint16_t *event = split_used_event(f.avail, 8);

	/* Quiet: the next 65535 entries do not pass the event. */
	assert_false(split_event_passed(*event, 65535, 0));
	assert_false(sr_drvq_rearm(f.q));
	assert_true(split_event_passed(*event, 1, 0));
	assert_int_equal(f.avail->flags, 0);
	driver_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lays_out_areas_apart_and_aligned),
		cmocka_unit_test(refuses_sizes_that_no_split_ring_has),
		cmocka_unit_test(writes_a_chain_of_descriptors),
		cmocka_unit_test(writes_an_indirect_table_for_several_pieces),
		cmocka_unit_test(says_when_descriptors_are_used_up),
		cmocka_unit_test(returns_tokens_in_the_devices_order),
		cmocka_unit_test(hostile_device_returns_what_it_was_not_given),
		cmocka_unit_test(hostile_device_returns_a_chain_twice),
		cmocka_unit_test(hostile_device_moves_its_index_too_far),
		cmocka_unit_test(obeys_the_devices_wish_for_kicks),
		cmocka_unit_test(asks_for_calls_and_looks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
