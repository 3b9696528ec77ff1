/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * Each frame looks up two addresses, on all threads at once, while addresses hardly ever
 * change. So readers must neither take a lock nor write to memory. A read-write lock was
 * rejected: its own word would be the cache line all threads fight for. Tables per thread
 * were rejected: an answer would go unheard on the thread that needs it.
 *
 * The table is an array of buckets, each one cache line of four entries; an address lives in
 * one of two buckets that its hash names. Buckets are as many as addresses are allowed, so
 * that the first holds it nearly always. When both are full one entry is moved to its own
 * other bucket; without that one insertion in some thousands would fail below the limit.
 * The hash is seeded at random, so a guest cannot aim at one bucket.
 *
 * An entry is a key and a value. Writers hold the lock; they clear the key, write the value
 * and then the new key. Readers load key, value, and key again: had the entry been given to
 * another address in between, the second key differs. Every reuse also counts up a
 * generation in the key, so it differs although the same address has come back. A reader
 * that loses the race sees a miss and its frame is flooded.
 *
 * "Heard now" is written at most once a second for an entry, by compare-and-exchange of the
 * value that was read with it: a value that somebody has replaced stays. Time is a count of
 * ticks: no clock is read for a frame.
 *
 * Learning only tries the lock. When it is taken the frame goes on unlearned and the next one
 * from that address teaches it: a guest that sends from ever new addresses, or two that
 * claim the same one, hold up nobody. A full table learns no more until addresses age
 * out; old ones are not replaced, for then one guest with random addresses would push out
 * everybody else's. Nor may it fill the table, or what its neighbours say would be flooded, to
 * it as well: beyond SHARE_SURE addresses a slot gets new ones only while it has no more than
 * SHARE times what is free. One that takes all it can leaves a ninth to the others, two leave a
 * seventeenth; a fixed share for each would starve an uplink that has a whole network behind it.
 */
#include "fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define SHARE		    8u
#define SHARE_SURE	    64u

#define KEY_VALID	    1u
#define KEY_GENERATION	    0xeu
#define KEY_GENERATION_STEP 2u

static uint64_t value_make(unsigned slot, uint32_t heard)
{
	return (uint64_t)slot << 32 | heard;
}
static unsigned value_slot(uint64_t v)
{
	return (unsigned)(v >> 32);
}
static uint32_t value_heard(uint64_t v)
{
	return (uint32_t)v;
}

int sr_fdb_init(struct sr_fdb *t, uint32_t limit, uint32_t age_s)
{
	uint32_t n = 1;

	while (n < limit)
		n *= 2;
	*t = (struct sr_fdb){ .mask = n - 1, .limit = limit, .age_s = age_s };
	/* calloc and not aligned_alloc: pages that no address falls into are never touched. */
	t->memory = calloc((size_t)n + 1, sizeof(struct sr_fdb_bucket));
	if (!t->memory)
		return -ENOMEM;
	t->buckets = (void *)(((uintptr_t)t->memory + SR_CACHE_LINE - 1) &
			      ~(uintptr_t)(SR_CACHE_LINE - 1));
	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
		t->seed = sr_now_ns();
	pthread_mutex_init(&t->lock, NULL);
	return 0;
}

void sr_fdb_finish(struct sr_fdb *t)
{
	pthread_mutex_destroy(&t->lock);
	free(t->memory);
}

struct places {
	struct sr_fdb_bucket *first, *second;
};

static struct places key_places(const struct sr_fdb *t, uint64_t key)
{
	uint64_t h = (key ^ t->seed) * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return (struct places){ &t->buckets[(h >> 40) & t->mask],
				&t->buckets[((h >> 16) ^ (h >> 36)) & t->mask] };
}

static struct sr_fdb_entry *bucket_find(struct sr_fdb_bucket *b, uint64_t key, uint64_t *value)
{
	for (unsigned i = 0; i < SR_FDB_WAYS; i++) {
		struct sr_fdb_entry *e = &b->entry[i];
		uint64_t k = atomic_load_explicit(&e->key, memory_order_acquire);

		if ((k & ~(uint64_t)KEY_GENERATION) != (key | KEY_VALID))
			continue;
		*value = atomic_load_explicit(&e->value, memory_order_acquire);
		/* Pairs with the release of the value in entry_put: who saw a later owner's
		 * value sees that the key was cleared before. */
		if (SR_LIKELY(atomic_load_explicit(&e->key, memory_order_relaxed) == k))
			return e;
	}
	return NULL;
}

static struct sr_fdb_entry *entry_find(const struct sr_fdb *t, uint64_t key, uint64_t *value)
{
	struct places p = key_places(t, key);
	struct sr_fdb_entry *e = bucket_find(p.first, key, value);

	return SR_LIKELY(e != NULL) ? e : bucket_find(p.second, key, value);
}

int sr_fdb_find(const struct sr_fdb *t, uint64_t key)
{
	uint64_t value;

	return entry_find(t, key, &value) ? (int)value_slot(value) : -1;
}

/* The rest changes keys and slots and holds the lock. */

static void entry_put(struct sr_fdb_entry *e, uint64_t key, uint64_t value)
{
	uint64_t generation = atomic_load_explicit(&e->key, memory_order_relaxed) & KEY_GENERATION;

	atomic_store_explicit(&e->value, value, memory_order_release);
	atomic_store_explicit(&e->key, key | generation | KEY_VALID, memory_order_release);
}

static void entry_clear(struct sr_fdb_entry *e)
{
	uint64_t k = atomic_load_explicit(&e->key, memory_order_relaxed);

	atomic_store_explicit(&e->key, (k + KEY_GENERATION_STEP) & KEY_GENERATION,
			      memory_order_relaxed);
}

static struct sr_fdb_entry *bucket_free(struct sr_fdb_bucket *b)
{
	for (unsigned i = 0; i < SR_FDB_WAYS; i++)
		if (!(atomic_load_explicit(&b->entry[i].key, memory_order_relaxed) & KEY_VALID))
			return &b->entry[i];
	return NULL;
}

/* Moves one entry of a full bucket to the other bucket it may live in. */
static struct sr_fdb_entry *bucket_make_room(struct sr_fdb *t, struct sr_fdb_bucket *b)
{
	for (unsigned i = 0; i < SR_FDB_WAYS; i++) {
		struct sr_fdb_entry *e = &b->entry[i], *to;
		uint64_t key = atomic_load_explicit(&e->key, memory_order_relaxed);

		key &= ~(uint64_t)(KEY_GENERATION | KEY_VALID);
		struct places p = key_places(t, key);

		to = bucket_free(p.first == b ? p.second : p.first);
		if (!to)
			continue;
		entry_put(to, key, atomic_load_explicit(&e->value, memory_order_relaxed));
		entry_clear(e);
		return e;
	}
	return NULL;
}

static void slot_count(struct sr_fdb *t, unsigned slot, uint32_t by)
{
	atomic_store_explicit(&t->of_slot[slot],
			      atomic_load_explicit(&t->of_slot[slot], memory_order_relaxed) + by,
			      memory_order_relaxed);
}

static bool has_room(const struct sr_fdb *t, unsigned slot)
{
	uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed);
	uint32_t own = atomic_load_explicit(&t->of_slot[slot], memory_order_relaxed);

	return count < t->limit && (own < SHARE_SURE || own / SHARE < t->limit - count);
}

static bool refuse(struct sr_fdb *t)
{
	if (!atomic_load_explicit(&t->refused, memory_order_relaxed))
		atomic_store_explicit(&t->refused, true, memory_order_relaxed);
	return false;
}

static bool entry_add(struct sr_fdb *t, uint64_t key, uint64_t value)
{
	uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed);
	struct places p = key_places(t, key);
	struct sr_fdb_entry *e;

	if (!has_room(t, value_slot(value)))
		return refuse(t);
	e = bucket_free(p.first);
	if (!e)
		e = bucket_free(p.second);
	if (!e)
		e = bucket_make_room(t, p.first);
	if (!e)
		return refuse(t);
	entry_put(e, key, value);
	atomic_store_explicit(&t->count, count + 1, memory_order_relaxed);
	slot_count(t, value_slot(value), 1);
	return true;
}

static bool learn_locked(struct sr_fdb *t, uint64_t key, unsigned slot, uint32_t now)
{
	uint64_t old, value = value_make(slot, now);
	struct sr_fdb_entry *e = entry_find(t, key, &old);

	if (!e)
		return entry_add(t, key, value);
	slot_count(t, value_slot(old), (uint32_t)-1);
	slot_count(t, slot, 1);
	atomic_store_explicit(&e->value, value, memory_order_release);
	return true;
}

bool sr_fdb_learn(struct sr_fdb *t, uint64_t key, unsigned slot)
{
	uint32_t now = atomic_load_explicit(&t->now_s, memory_order_relaxed);
	uint64_t value;
	struct sr_fdb_entry *e = entry_find(t, key, &value);
	bool changed;

	if (SR_LIKELY(e && value_slot(value) == slot)) {
		if (SR_UNLIKELY(value_heard(value) != now))
			atomic_compare_exchange_strong_explicit(
				&e->value, &value, value_make(slot, now), memory_order_release,
				memory_order_relaxed);
		return false;
	}
	if (!e && !has_room(t, slot))
		return refuse(t);
	if (atomic_load_explicit(&t->control, memory_order_relaxed) ||
	    pthread_mutex_trylock(&t->lock))
		return false;
	changed = learn_locked(t, key, slot, now);
	pthread_mutex_unlock(&t->lock);
	return changed;
}

/* Threads that learn all the time would leave the lock free only for moments that a sleeper
 * misses: they stand back. */
static void control_lock(struct sr_fdb *t)
{
	atomic_store_explicit(&t->control, true, memory_order_relaxed);
	pthread_mutex_lock(&t->lock);
}

static void control_unlock(struct sr_fdb *t)
{
	pthread_mutex_unlock(&t->lock);
	atomic_store_explicit(&t->control, false, memory_order_relaxed);
}

/* Calls fn for each valid entry; those it returns false for are removed. */
static void sweep(struct sr_fdb *t, bool (*keep)(void *ctx, uint64_t key, uint64_t value),
		  void *ctx)
{
	uint32_t left = atomic_load_explicit(&t->count, memory_order_relaxed);

	for (uint32_t b = 0; left && b <= t->mask; b++) {
		for (unsigned i = 0; i < SR_FDB_WAYS; i++) {
			struct sr_fdb_entry *e = &t->buckets[b].entry[i];
			uint64_t k = atomic_load_explicit(&e->key, memory_order_relaxed);
			uint64_t value = atomic_load_explicit(&e->value, memory_order_relaxed);

			if (!(k & KEY_VALID))
				continue;
			left--;
			k &= ~(uint64_t)(KEY_GENERATION | KEY_VALID);
			if (keep(ctx, k, value))
				continue;
			entry_clear(e);
			slot_count(t, value_slot(value), (uint32_t)-1);
			atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
		}
	}
}

static bool keep_other_slots(void *ctx, uint64_t key, uint64_t value)
{
	(void)key;
	return value_slot(value) != *(unsigned *)ctx;
}

void sr_fdb_forget(struct sr_fdb *t, unsigned slot)
{
	control_lock(t);
	sweep(t, keep_other_slots, &slot);
	control_unlock(t);
}

static bool keep_young(void *ctx, uint64_t key, uint64_t value)
{
	const struct sr_fdb *t = ctx;

	(void)key;
	return atomic_load_explicit(&t->now_s, memory_order_relaxed) - value_heard(value) <
	       t->age_s;
}

bool sr_fdb_tick(struct sr_fdb *t)
{
	bool refused = atomic_exchange_explicit(&t->refused, false, memory_order_relaxed);
	bool news = refused && !t->refused_before;

	t->refused_before = refused;
	control_lock(t);
	atomic_fetch_add_explicit(&t->now_s, 1, memory_order_relaxed);
	sweep(t, keep_young, t);
	control_unlock(t);
	return news;
}

struct each {
	const struct sr_fdb *t;
	void (*fn)(void *ctx, uint64_t key, unsigned slot, uint32_t age_s);
	void *ctx;
};

static bool keep_all(void *ctx, uint64_t key, uint64_t value)
{
	const struct each *e = ctx;
	uint32_t now = atomic_load_explicit(&e->t->now_s, memory_order_relaxed);

	e->fn(e->ctx, key, value_slot(value), now - value_heard(value));
	return true;
}

void sr_fdb_each(struct sr_fdb *t,
		 void (*fn)(void *ctx, uint64_t key, unsigned slot, uint32_t age_s), void *ctx)
{
	struct each e = { t, fn, ctx };

	control_lock(t);
	sweep(t, keep_all, &e);
	control_unlock(t);
}
