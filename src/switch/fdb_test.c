/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fdb.h"

static uint64_t key(uint32_t host, unsigned vlan)
{
	uint8_t mac[6] = { 2 };

	sr_put_be32(mac + 2, host);
	return sr_fdb_key(mac, vlan);
}

static void an_address_is_found_where_it_was_last_heard(void **state)
{
	struct sr_fdb t;

	(void)state;
	assert_int_equal(sr_fdb_init(&t, 64, 300), 0);
	assert_int_equal(sr_fdb_find(&t, key(1, 0)), -1);
	assert_true(sr_fdb_learn(&t, key(1, 0), 1023));
	assert_false(sr_fdb_learn(&t, key(1, 0), 1023));
	assert_int_equal(sr_fdb_find(&t, key(1, 0)), 1023);
	assert_int_equal(sr_fdb_find(&t, key(1, 7)), -1);
	assert_true(sr_fdb_learn(&t, key(1, 0), 0));
	assert_int_equal(sr_fdb_find(&t, key(1, 0)), 0);
	assert_int_equal(t.count, 1);
	sr_fdb_finish(&t);
}

/* For limits of every shape, and random seeds: no bucket overflows below the limit. */
static void exactly_as_many_addresses_as_the_limit_are_learned(void **state)
{
	static const uint32_t limits[] = { 1, 2, 3, 5, 64, 1000, 8192, 65536 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(limits); i++) {
		uint32_t n = limits[i];
		struct sr_fdb t;

		assert_int_equal(sr_fdb_init(&t, n, 300), 0);
		for (uint32_t k = 0; k < n; k++)
			assert_true(sr_fdb_learn(&t, key(k, 0), k % 1024));
		assert_false(sr_fdb_tick(&t));
		assert_false(sr_fdb_learn(&t, key(n, 0), 1));
		assert_int_equal(sr_fdb_find(&t, key(n, 0)), -1);
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(sr_fdb_find(&t, key(k, 0)), k % 1024);
		assert_true(sr_fdb_learn(&t, key(0, 0), 99)); /* known ones still move */
		assert_int_equal(sr_fdb_find(&t, key(0, 0)), 99);
		assert_true(sr_fdb_tick(&t)); /* told once ... */
		sr_fdb_learn(&t, key(n, 0), 1);
		assert_false(sr_fdb_tick(&t)); /* ... and not again while it lasts */
		sr_fdb_finish(&t);
	}
}

static uint32_t learn_many(struct sr_fdb *t, uint32_t from, unsigned slot)
{
	uint32_t n = 0;

	while (n < 10000 && sr_fdb_learn(t, key(from + n, 0), slot))
		n++;
	return n;
}

static void no_slot_fills_the_table_alone(void **state)
{
	struct sr_fdb t;

	(void)state;
	assert_int_equal(sr_fdb_init(&t, 900, 300), 0);
	assert_in_range(learn_many(&t, 0, 1), 800, 810);
	assert_in_range(learn_many(&t, 10000, 2), 64, 89); /* the surest of greedy neighbours */
	assert_true(sr_fdb_tick(&t));
	/* What moves to another slot counts there, and what is forgotten no more. */
	for (uint32_t k = 0; k < 100; k++)
		assert_true(sr_fdb_learn(&t, key(k, 0), 3));
	assert_int_equal(t.of_slot[3], 100);
	sr_fdb_forget(&t, 1);
	assert_int_equal(t.of_slot[1], 0);
	assert_int_equal(t.count, t.of_slot[2] + t.of_slot[3]);
	assert_true(sr_fdb_learn(&t, key(20000, 0), 4));
	sr_fdb_finish(&t);
}

static void an_address_unheard_of_for_its_age_is_forgotten(void **state)
{
	struct sr_fdb t;

	(void)state;
	assert_int_equal(sr_fdb_init(&t, 64, 3), 0);
	sr_fdb_learn(&t, key(1, 0), 5);
	sr_fdb_learn(&t, key(2, 0), 5);
	for (int i = 0; i < 2; i++)
		sr_fdb_tick(&t);
	assert_false(sr_fdb_learn(&t, key(2, 0), 5)); /* heard again */
	sr_fdb_tick(&t);
	assert_int_equal(sr_fdb_find(&t, key(1, 0)), -1);
	assert_int_equal(sr_fdb_find(&t, key(2, 0)), 5);
	assert_int_equal(t.count, 1);
	sr_fdb_tick(&t);
	assert_int_equal(sr_fdb_find(&t, key(2, 0)), 5);
	sr_fdb_tick(&t);
	assert_int_equal(sr_fdb_find(&t, key(2, 0)), -1);
	assert_int_equal(t.count, 0);
	sr_fdb_finish(&t);
}

static void forgetting_a_slot_frees_its_entries_and_no_others(void **state)
{
	struct sr_fdb t;

	(void)state;
	assert_int_equal(sr_fdb_init(&t, 100, 300), 0);
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t k = 0; k < 100; k++)
			sr_fdb_learn(&t, key(round * 100 + k, 0), k % 2);
		sr_fdb_forget(&t, 1);
		assert_int_equal(t.count, 50);
		for (uint32_t k = 0; k < 100; k++)
			assert_int_equal(sr_fdb_find(&t, key(round * 100 + k, 0)), k % 2 ? -1 : 0);
		sr_fdb_forget(&t, 0);
		assert_int_equal(t.count, 0);
	}
	sr_fdb_finish(&t);
}

/* Address k is only ever learned behind slots k % 16 and 512 + k % 16, on a table so small
 * that entries are reused all the time. */
struct race {
	struct sr_fdb t;
	_Atomic bool stop;
	_Atomic unsigned wrong, found;
};

static void *race_learn(void *ctx)
{
	struct race *r = ctx;
	uint32_t seed = 1;

	while (!r->stop) {
		uint32_t k = (seed = seed * 1664525 + 1013904223) >> 26;

		sr_fdb_learn(&r->t, key(k, 0), (seed >> 8 & 1) * 512 + k % 16);
	}
	return NULL;
}

static void *race_find(void *ctx)
{
	struct race *r = ctx;

	for (uint32_t k = 0; !r->stop; k++) {
		int slot = sr_fdb_find(&r->t, key(k % 64, 0));

		if (slot < 0)
			continue;
		r->found++;
		if ((uint32_t)slot % 512 != k % 16)
			r->wrong++;
	}
	return NULL;
}

static void readers_are_never_misdirected_while_entries_are_reused(void **state)
{
	struct race r = { .stop = false };
	pthread_t thread[4];

	(void)state;
	assert_int_equal(sr_fdb_init(&r.t, 8, 2), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, i % 2 ? race_find : race_learn, &r);
	for (unsigned i = 0; i < 2000 || r.found < 1000; i++) {
		sr_fdb_forget(&r.t, i % 16);
		if (i % 8 == 0)
			sr_fdb_tick(&r.t);
		if (i % 64 == 0)
			sched_yield();
	}
	r.stop = true;
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(r.wrong, 0);
	assert_true(r.t.count <= 8);
	sr_fdb_finish(&r.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_found_where_it_was_last_heard),
		cmocka_unit_test(exactly_as_many_addresses_as_the_limit_are_learned),
		cmocka_unit_test(no_slot_fills_the_table_alone),
		cmocka_unit_test(an_address_unheard_of_for_its_age_is_forgotten),
		cmocka_unit_test(forgetting_a_slot_frees_its_entries_and_no_others),
		cmocka_unit_test(readers_are_never_misdirected_while_entries_are_reused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
