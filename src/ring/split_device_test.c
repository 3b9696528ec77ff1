/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iov.h"
#include "ring_fixture.h"

#include <errno.h>
#include <stdlib.h>

#define NEXT	 SPLIT_DESC_NEXT
#define WRITE	 SPLIT_DESC_WRITE
#define INDIRECT SPLIT_DESC_INDIRECT

static int setup(void **state)
{
	struct ring_fixture *f = malloc(sizeof(*f));

	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_finish(*state);
	free(*state);
	return 0;
}

/* ---- chains ---- */

static void gives_readable_pieces_then_writable_ones(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c;

	fixture_start(f, 8, SR_F_RING);
	f->desc[3] = (struct split_desc){ gpa(GUEST_DATA), 12, NEXT, 5 };
	f->desc[5] = (struct split_desc){ gpa(GUEST_DATA + 100), 20, NEXT, 1 };
	f->desc[1] = (struct split_desc){ gpa(GUEST_DATA + 200), 30, NEXT | WRITE, 7 };
	f->desc[7] = (struct split_desc){ gpa(GUEST_DATA + 300), 40, WRITE, 99 };
	offer(f, 3);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(c.nout, 2);
	assert_int_equal(c.nin, 2);
	assert_int_equal(c.out_len, 32);
	assert_int_equal(c.in_len, 70);
	assert_int_equal(c.written, 0);
	assert_ptr_equal(c.in, c.out + 2);
	assert_true(piece_is(f, &c.out[0], GUEST_DATA, 12));
	assert_true(piece_is(f, &c.out[1], GUEST_DATA + 100, 20));
	assert_true(piece_is(f, &c.in[0], GUEST_DATA + 200, 30));
	assert_true(piece_is(f, &c.in[1], GUEST_DATA + 300, 40));
	assert_int_equal(pop(f, &c, 1), 0);

	c.written = 50;
	sr_vq_push(f->q, &c, 1);
	assert_int_equal(f->used->idx, 0);
	sr_vq_publish(f->q);
	assert_int_equal(f->used->idx, 1);
	assert_int_equal(f->used->ring[0].id, 3);
	assert_int_equal(f->used->ring[0].len, 50);
}

static void passes_over_descriptors_of_no_length(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[3];

	fixture_start(f, 8, SR_F_RING);
	f->desc[0] = (struct split_desc){ 0xdead0000, 0, NEXT | WRITE, 1 };
	f->desc[1] = (struct split_desc){ gpa(GUEST_DATA), 4, NEXT, 2 };
	f->desc[2] = (struct split_desc){ 0, 0, 0, 0 };
	f->desc[3] = (struct split_desc){ 0xdead0000, 0, 0, 0 };
	f->desc[4] = (struct split_desc){ gpa(GUEST_DATA), 0, WRITE, 0 };
	offer(f, 0);
	offer(f, 3);
	offer(f, 4);
	assert_int_equal(pop(f, c, 3), 3);
	assert_int_equal(c[0].nout, 1);
	assert_int_equal(c[0].nin, 0);
	assert_int_equal(c[1].nout + c[1].nin, 0);
	assert_int_equal(c[1].out_len + c[1].in_len, 0);
	assert_int_equal(c[1].id, 3);
	assert_int_equal(c[2].nout + c[2].nin, 0);
	assert_int_equal(f->pool.used, 1);
}

static void a_buffer_across_regions_becomes_two_pieces(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c;

	fixture_start(f, 8, SR_F_RING);
	f->desc[0] = (struct split_desc){ gpa(GUEST_SEAM - 10), 30, 0, 0 };
	offer(f, 0);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(c.nout, 2);
	assert_int_equal(c.out_len, 30);
	assert_true(piece_is(f, &c.out[0], GUEST_SEAM - 10, 10));
	assert_true(piece_is(f, &c.out[1], GUEST_SEAM, 20));
}

static void put_entry(struct ring_fixture *f, uint32_t table, unsigned i, struct split_desc d)
{
	memcpy(f->guest + table + i * sizeof(d), &d, sizeof(d));
}

/* A table of three entries, out of order, at `table`; `first` descriptors before it. */
static void walks_an_indirect_table_at(struct ring_fixture *f, uint32_t table)
{
	struct sr_chain c;

	put_entry(f, table, 0, (struct split_desc){ gpa(GUEST_DATA), 5, NEXT, 2 });
	put_entry(f, table, 2, (struct split_desc){ gpa(GUEST_DATA + 50), 6, NEXT | WRITE, 1 });
	put_entry(f, table, 1, (struct split_desc){ gpa(GUEST_DATA + 90), 7, WRITE, 0 });
	f->desc[4] = (struct split_desc){ gpa(GUEST_DATA + 1000), 8, NEXT, 2 };
	/* The device ignores WRITE here (virtio 1.3, section 2.7.5.3.2). */
	f->desc[2] = (struct split_desc){ gpa(table), 48, INDIRECT | WRITE, 0 };
	offer(f, 2);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(c.id, 2);
	assert_int_equal(c.nout, 1);
	assert_int_equal(c.nin, 2);
	assert_int_equal(c.out_len, 5);
	assert_int_equal(c.in_len, 13);
	assert_true(piece_is(f, &c.out[0], GUEST_DATA, 5));
	assert_true(piece_is(f, &c.in[0], GUEST_DATA + 50, 6));
	assert_true(piece_is(f, &c.in[1], GUEST_DATA + 90, 7));
	offer(f, 4);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(c.id, 4);
	assert_int_equal(c.nout, 2);
	assert_int_equal(c.nin, 2);
	assert_true(piece_is(f, &c.out[0], GUEST_DATA + 1000, 8));
	assert_true(piece_is(f, &c.out[1], GUEST_DATA, 5));
}

static void walks_indirect_tables_anywhere(void **state)
{
	struct ring_fixture *f = *state;

	fixture_start(f, 8, SR_F_RING);
	walks_an_indirect_table_at(f, GUEST_DATA + 0x1000);
	walks_an_indirect_table_at(f, GUEST_DATA + 0x2001);
	walks_an_indirect_table_at(f, GUEST_SEAM - 16);
}

static void joins_table_entries_that_cross_regions(void **state)
{
	for (unsigned shift = 1; shift < 48; shift++) {
		setup(state);
		fixture_start(*state, 8, SR_F_RING);
		walks_an_indirect_table_at(*state, GUEST_SEAM - shift);
		teardown(state);
	}
	setup(state);
}

static void takes_rings_of_one_and_of_32768(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[3];

	fixture_start(f, 1, SR_F_RING);
	f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 4, 0, 0 };
	for (unsigned i = 0; i < 3; i++) {
		offer(f, 0);
		assert_int_equal(pop(f, c, 3), 1);
		sr_vq_push(f->q, c, 1);
		sr_vq_publish(f->q);
	}
	sr_vq_stop(f->q);
	memset(f->guest, 0, GUEST_DATA);
	fixture_start(f, 32768, SR_F_RING);
	for (unsigned i = 0; i < 32767; i++)
		f->desc[i] = (struct split_desc){ gpa(GUEST_DATA + i), 1, NEXT, (uint16_t)(i + 1) };
	f->desc[32767] = (struct split_desc){ gpa(GUEST_DATA), 1, WRITE, 0 };
	offer(f, 0);
	assert_int_equal(pop(f, c, 3), 1);
	assert_int_equal(c[0].nout, 32767);
	assert_int_equal(c[0].nin, 1);
}

/* ---- batches and the pool ---- */

static void offer_singles(struct ring_fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		f->desc[i] = (struct split_desc){ gpa(GUEST_DATA + 64 * i), 64, 0, 0 };
		offer(f, (uint16_t)i);
	}
}

static void takes_no_more_than_asked_and_keeps_the_order(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	fixture_start(f, 8, SR_F_RING);
	offer_singles(f, 8);
	assert_int_equal(sr_vq_available(f->q), 8);
	assert_int_equal(pop(f, c, 0), 0);
	assert_int_equal(pop(f, c, 3), 3);
	assert_int_equal(sr_vq_available(f->q), 5);
	assert_int_equal(c[2].id, 2);
	assert_int_equal(pop(f, c, 8), 5);
	assert_int_equal(c[0].id, 3);
	assert_int_equal(c[4].id, 7);
	assert_int_equal(pop(f, c, 8), 0);
}

static void unpopped_chains_come_again(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	fixture_start(f, 8, SR_F_RING);
	offer_singles(f, 8);
	assert_int_equal(pop(f, c, 5), 5);
	sr_vq_unpop(f->q, 3);
	sr_vq_push(f->q, c, 2);
	assert_int_equal(pop(f, c, 8), 6);
	assert_int_equal(c[0].id, 2);
	sr_vq_unpop(f->q, 6);
	assert_int_equal(sr_vq_available(f->q), 6);
	assert_int_equal(sr_vq_stop(f->q), 2);
}

static void pushes_in_the_order_given(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8], back[2];

	fixture_start(f, 8, SR_F_RING);
	offer_singles(f, 4);
	assert_int_equal(pop(f, c, 4), 4);
	back[0] = c[2];
	back[1] = c[0];
	sr_vq_push(f->q, back, 2);
	sr_vq_push(f->q, &c[3], 1);
	sr_vq_publish(f->q);
	assert_int_equal(f->used->idx, 3);
	assert_int_equal(f->used->ring[0].id, 2);
	assert_int_equal(f->used->ring[1].id, 0);
	assert_int_equal(f->used->ring[2].id, 3);
}

static void a_full_pool_ends_the_batch(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	fixture_start(f, 8, SR_F_RING);
	sr_iov_pool_finish(&f->pool);
	assert_int_equal(sr_iov_pool_init(&f->pool, 3), 0);
	offer_singles(f, 2);
	f->desc[2] = (struct split_desc){ gpa(GUEST_DATA), 1, NEXT, 3 };
	f->desc[3] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	offer(f, 2);
	assert_int_equal(pop(f, c, 8), 2);
	assert_int_equal(f->pool.used, 2);
	/* What stands in the pool is in use: it cannot grow, and nothing fits. */
	f->pool.used = 2;
	assert_int_equal(sr_vq_pop(f->q, c, 8, &f->pool), -ENOBUFS);
	assert_null(sr_vq_error(f->q));
	assert_int_equal(pop(f, c, 8), 1);
	assert_int_equal(c[0].id, 2);
	assert_int_equal(f->pool.cap, 3);
}

static void a_pool_grows_for_one_large_chain(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	fixture_start(f, 256, SR_F_RING);
	sr_iov_pool_finish(&f->pool);
	assert_int_equal(sr_iov_pool_init(&f->pool, 0), 0);
	for (unsigned i = 0; i < 200; i++)
		f->desc[i] = (struct split_desc){ gpa(GUEST_DATA + i), 1, i < 199 ? NEXT : WRITE,
						  (uint16_t)(i + 1) };
	offer(f, 0);
	assert_int_equal(pop(f, c, 8), 1);
	assert_int_equal(c[0].nout, 199);
	assert_int_equal(c[0].nin, 1);
	assert_true(f->pool.cap >= 200);
	for (unsigned i = 0; i < 200; i++)
		assert_true(piece_is(f, &c[0].out[i], GUEST_DATA + i, 1));
}

/* ---- notification ---- */

static void return_n(struct ring_fixture *f, unsigned n)
{
	struct sr_chain c[64];

	for (unsigned i = 0; i < n; i++)
		offer(f, 0);
	assert_int_equal(pop(f, c, n), n);
	sr_vq_push(f->q, c, n);
}

static void obeys_the_drivers_interrupt_flag(void **state)
{
	struct ring_fixture *f = *state;

	fixture_start(f, 8, SR_F_VERSION_1);
	f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	assert_false(sr_vq_publish(f->q));
	return_n(f, 1);
	assert_true(sr_vq_publish(f->q));
	assert_false(sr_vq_publish(f->q));
	f->avail->flags = SPLIT_AVAIL_NO_INTERRUPT;
	return_n(f, 2);
	assert_false(sr_vq_publish(f->q));
	assert_int_equal(f->used->idx, 3);
}

/* Publishes batches through the wrap of the index and compares with the definition: notify
 * exactly when the entry that used_event names is among the new ones. */
static void notifies_exactly_when_used_event_passes(void **state)
{
	static const unsigned sizes[] = { 1, 2, 256, 32768 };
	struct ring_fixture *f = *state;
	uint16_t idx = 65500;

	for (unsigned s = 0; s < SR_ARRAY_LEN(sizes); s++) {
		fixture_place(f, sizes[s], SR_F_RING);
		memset(f->guest, 0, GUEST_DATA);
		f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
		f->config.base = idx;
		f->avail->idx = f->used->idx = idx;
		assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
		for (unsigned round = 0; round < 300; round++) {
			uint16_t before = f->used->idx;
			unsigned n = 1 + round % 3;
			uint16_t event = (uint16_t)(before + round % 7 - 2);

			if (n > sizes[s])
				n = 1;
			*split_used_event(f->avail, sizes[s]) = event;
			return_n(f, n);
			bool expected = round == 0 || (uint16_t)(event - before) < n;

			assert_int_equal(sr_vq_publish(f->q), expected);
		}
		assert_int_equal(sr_vq_stop(f->q), f->avail->idx);
	}
}

static void asks_for_kicks_by_flag_without_event_idx(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c;

	fixture_start(f, 8, SR_F_VERSION_1);
	f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	assert_int_equal(f->used->flags, SPLIT_USED_NO_NOTIFY);
	assert_false(sr_vq_rearm(f->q));
	assert_int_equal(f->used->flags, 0);
	assert_int_equal(pop(f, &c, 1), 0);
	assert_int_equal(f->used->flags, SPLIT_USED_NO_NOTIFY);
	assert_false(sr_vq_rearm(f->q));
	offer(f, 0);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(f->used->flags, SPLIT_USED_NO_NOTIFY);
	offer(f, 0);
	assert_true(sr_vq_rearm(f->q));
	assert_int_equal(f->used->flags, SPLIT_USED_NO_NOTIFY);
}

static void asks_for_kicks_by_index_with_event_idx(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[64];

	fixture_place(f, 64, SR_F_RING);
	f->used->flags = 77;
	f->avail->idx = f->config.base = 65535;
	assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
	assert_int_equal(f->used->flags, 0);
	assert_false(sr_vq_rearm(f->q));
	assert_int_equal(*split_avail_event(f->used, 64), 65535);
	f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	offer(f, 0);
	assert_true(sr_vq_rearm(f->q));
	assert_int_equal(pop(f, c, 64), 1);
	assert_int_equal(*split_avail_event(f->used, 64), 65535);
	assert_false(sr_vq_rearm(f->q));
	assert_int_equal(*split_avail_event(f->used, 64), 0);
	assert_int_equal(f->used->flags, 0);
}

/* ---- start and stop ---- */

static void start_refuses(struct ring_fixture *f, const char *text)
{
	struct sr_error e;

	assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, &e), -EINVAL);
	assert_string_equal(e.text, text);
	assert_false(sr_vq_is_running(f->q));
}

static void start_refuses_sizes_that_no_split_ring_has(void **state)
{
	struct ring_fixture *f = *state;

	fixture_place(f, 8, SR_F_RING);
	f->config.size = 0;
	start_refuses(f, "size 0, expected a power of two from 1 to 32768");
	f->config.size = 3;
	start_refuses(f, "size 3, expected a power of two from 1 to 32768");
	f->config.size = 65536;
	start_refuses(f, "size 65536, expected a power of two from 1 to 32768");
}

static void start_refuses_misaligned_areas(void **state)
{
	struct ring_fixture *f = *state;

	fixture_place(f, 8, SR_F_RING);
	f->config.desc += 8;
	start_refuses(f, "desc 0x7f0000000008: expected alignment to 16 bytes");
	fixture_place(f, 8, SR_F_RING);
	f->config.avail += 1;
	start_refuses(f, "avail 0x7f0000000081: expected alignment to 2 bytes");
	fixture_place(f, 8, SR_F_RING);
	f->config.used += 2;
	start_refuses(f, "used 0x7f00000000c2: expected alignment to 4 bytes");
}

/* The front-end's addresses are aligned, ours would not be. */
static void start_refuses_areas_in_a_region_mapped_askew(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_region r = { GUEST_GPA, GUEST_UVA, GUEST_SEAM, 8, f->fd };

	assert_int_equal(sr_mem_set_regions(f->mem, &r, 1, NULL), 0);
	fixture_place(f, 8, SR_F_RING);
	start_refuses(f, "desc 0x7f0000000000: expected alignment to 16 bytes");
}

static void start_refuses_areas_outside_one_region(void **state)
{
	struct ring_fixture *f = *state;

	fixture_place(f, 8, SR_F_RING);
	f->config.desc = GUEST_UVA + GUEST_SEAM - 64;
	start_refuses(f, "desc 0x7f00003fffc0: 128 bytes, expected all of them in one memory "
			 "region");
	fixture_place(f, 8, SR_F_RING);
	f->config.avail = 0x1000;
	start_refuses(f, "avail 0x1000: 22 bytes, expected all of them in one memory region");
	fixture_place(f, 8, SR_F_RING);
	f->config.used = GUEST_UVA + GUEST_SIZE - 4;
	start_refuses(f, "used 0x7f00007ffffc: 70 bytes, expected all of them in one memory "
			 "region");
	f->config.used = UINT64_MAX - 3;
	start_refuses(f, "used 0xfffffffffffffffc: 70 bytes, expected all of them in one memory "
			 "region");
}

static void start_refuses_packed_rings(void **state)
{
	struct ring_fixture *f = *state;

	fixture_place(f, 8, SR_F_RING_PACKED);
	start_refuses(f, "features 0x400000000: RING_PACKED, expected a split ring");
}

static void continues_from_the_base_and_the_rings_used_index(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	fixture_place(f, 8, SR_F_RING);
	f->avail->idx = 65535;
	f->used->idx = 65534;
	f->config.base = 65534;
	f->avail->ring[65534 % 8] = 2;
	f->desc[2] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
	offer(f, 2);
	offer(f, 2);
	assert_int_equal(pop(f, c, 8), 3);
	sr_vq_push(f->q, c, 2);
	sr_vq_publish(f->q);
	assert_int_equal(f->used->idx, 0);
	assert_int_equal(f->used->ring[65534 % 8].id, 2);
	assert_true(sr_vq_is_running(f->q));
	/* One chain is still ours: it is offered again. */
	assert_int_equal(sr_vq_stop(f->q), 0);
	assert_false(sr_vq_is_running(f->q));
	assert_int_equal(sr_vq_stop(f->q), 0);
	f->config.base = 0;
	assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
	assert_int_equal(pop(f, c, 8), 1);
}

static void notifies_once_after_start_whatever_used_event_says(void **state)
{
	struct ring_fixture *f = *state;

	fixture_start(f, 8, SR_F_RING);
	f->desc[0] = (struct split_desc){ gpa(GUEST_DATA), 1, 0, 0 };
	*split_used_event(f->avail, 8) = 65000;
	return_n(f, 1);
	assert_true(sr_vq_publish(f->q));
	return_n(f, 1);
	assert_false(sr_vq_publish(f->q));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_readable_pieces_then_writable_ones),
		TEST(passes_over_descriptors_of_no_length),
		TEST(a_buffer_across_regions_becomes_two_pieces),
		TEST(walks_indirect_tables_anywhere),
		cmocka_unit_test_teardown(joins_table_entries_that_cross_regions, teardown),
		TEST(takes_rings_of_one_and_of_32768),
		TEST(takes_no_more_than_asked_and_keeps_the_order),
		TEST(unpopped_chains_come_again),
		TEST(pushes_in_the_order_given),
		TEST(a_full_pool_ends_the_batch),
		TEST(a_pool_grows_for_one_large_chain),
		TEST(obeys_the_drivers_interrupt_flag),
		TEST(notifies_exactly_when_used_event_passes),
		TEST(asks_for_kicks_by_flag_without_event_idx),
		TEST(asks_for_kicks_by_index_with_event_idx),
		TEST(start_refuses_sizes_that_no_split_ring_has),
		TEST(start_refuses_misaligned_areas),
		TEST(start_refuses_areas_in_a_region_mapped_askew),
		TEST(start_refuses_areas_outside_one_region),
		TEST(start_refuses_packed_rings),
		TEST(continues_from_the_base_and_the_rings_used_index),
		TEST(notifies_once_after_start_whatever_used_event_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
