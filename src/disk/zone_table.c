/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: several loops write to the same zones. A write is right only at the write
 * pointer, an append gets its place from it, and how many zones are open and active is counted
 * over the whole disk.
 *
 * Rejected: a lock around every write; a write pointer that moves when a write is done (two
 * appends would be given the same place).
 *
 * Chosen: the pointer moves when a write is let through, with one compare-and-swap on the zone's
 * word. Only that which changes a state (the first write to a zone, the one that fills it, zone
 * commands) takes the lock; since writes to open zones pass it by, the word is changed by
 * compare-and-swap under the lock, too.
 *
 * What is remembered (`saved`) is another number: it moves when a write is done, before its
 * submitter hears of it. So after the end of the process, however sudden, whatever was reported
 * as written lies below the write pointer, and a write that was not reported finds the pointer
 * where it must be to be sent again, unless one behind it was done. A reset is remembered before
 * the zone takes new writes.
 */
#include "zone_table.h"
#include "base.h"
#include "zone_word.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

static uint32_t index_of(const struct zone_table *t, const struct zone *z)
{
	return (uint32_t)(z - t->zone);
}

/* Keeps life and bytes, which may move meanwhile. Returns the word before. */
static uint64_t set_state(struct zone *z, unsigned state)
{
	uint64_t w = atomic_load(&z->word);

	while (!atomic_compare_exchange_weak(
		&z->word, &w, zone_word(state, zone_word_life(w), zone_word_written(w))))
		;
	return w;
}

/* The counts, when a zone that was in the state of `before` is in another now. */
static void leave_state(struct zone_table *t, struct zone *z, uint64_t before)
{
	unsigned s = zone_word_state(before);

	if (s == SR_DISK_ZONE_IMPLICIT_OPEN)
		TAILQ_REMOVE(&t->implicit, z, link);
	if (zone_word_is_open(before))
		t->open--;
	if (zone_word_is_open(before) || s == SR_DISK_ZONE_CLOSED)
		t->active--;
}

static void close_zone(struct zone_table *t, struct zone *z)
{
	uint64_t w = atomic_load(&z->word);
	unsigned state;

	do
		state = zone_word_written(w) ? SR_DISK_ZONE_CLOSED : SR_DISK_ZONE_EMPTY;
	while (!atomic_compare_exchange_weak(
		&z->word, &w, zone_word(state, zone_word_life(w), zone_word_written(w))));
	leave_state(t, z, w);
	t->active += state == SR_DISK_ZONE_CLOSED;
}

/* A closed or empty zone is to be opened: is there room, and if not, who makes some? */
static int find_room(struct zone_table *t, unsigned state)
{
	if (state == SR_DISK_ZONE_EMPTY && t->max_active && t->active >= t->max_active)
		return -EOVERFLOW;
	if (!t->max_open || t->open < t->max_open)
		return 0;
	if (TAILQ_EMPTY(&t->implicit))
		return -EMFILE;
	close_zone(t, TAILQ_FIRST(&t->implicit));
	return 0;
}

static int open_zone(struct zone_table *t, struct zone *z, unsigned how)
{
	uint64_t w = atomic_load(&z->word);
	int r = zone_word_is_open(w) ? 0 : find_room(t, zone_word_state(w));

	if (r)
		return r;
	leave_state(t, z, set_state(z, how));
	t->open++;
	t->active++;
	if (how == SR_DISK_ZONE_IMPLICIT_OPEN)
		TAILQ_INSERT_TAIL(&t->implicit, z, link);
	return 0;
}

/* May `len` bytes be written to a zone of this word, `in` bytes from its start? */
static int judge(const struct zone_table *t, uint64_t w, bool append, uint64_t in, uint64_t len)
{
	if (zone_word_state(w) == SR_DISK_ZONE_FULL)
		return -EINVAL;
	if (!append && in != zone_word_written(w))
		return -EPROTO;
	return len > t->zone_size - zone_word_written(w) ? -EINVAL : 0;
}

static int claim_locked(struct zone_table *t, struct zone *z, bool append, uint64_t in,
			uint64_t len, uint64_t *before)
{
	uint64_t w = atomic_load(&z->word), next;
	int r;

	do {
		r = judge(t, w, append, in, len);
		if (!r && !zone_word_is_open(w)) {
			r = open_zone(t, z, SR_DISK_ZONE_IMPLICIT_OPEN);
			w = atomic_load(&z->word);
			r = r ? r : judge(t, w, append, in, len);
		}
		if (r)
			return r;
		next = w + len;
		if (zone_word_written(next) == t->zone_size)
			next = zone_word(SR_DISK_ZONE_FULL, zone_word_life(w), t->zone_size);
	} while (!atomic_compare_exchange_weak(&z->word, &w, next));
	if (zone_word_state(next) == SR_DISK_ZONE_FULL)
		leave_state(t, z, w);
	*before = w;
	return 0;
}

/* Most writes: to an open zone, which they do not fill. */
static bool claim_freely(struct zone_table *t, struct zone *z, bool append, uint64_t in,
			 uint64_t len, uint64_t *before)
{
	uint64_t w = atomic_load(&z->word);

	do
		if (!zone_word_is_open(w) || judge(t, w, append, in, len) ||
		    zone_word_written(w) + len == t->zone_size)
			return false;
	while (!atomic_compare_exchange_weak(&z->word, &w, w + len));
	*before = w;
	return true;
}

static int claim_sequential(struct zone_table *t, struct zone *z, bool append, uint64_t in,
			    struct zone_claim *c)
{
	uint64_t before;
	int r = 0;

	if (!claim_freely(t, z, append, in, c->len, &before)) {
		pthread_mutex_lock(&t->lock);
		r = claim_locked(t, z, append, in, c->len, &before);
		pthread_mutex_unlock(&t->lock);
	}
	if (r)
		return r;
	c->offset = index_of(t, z) * t->zone_size + zone_word_written(before);
	c->life = zone_word_life(before);
	return 0;
}

int zone_table_claim(struct zone_table *t, bool append, uint64_t offset, uint64_t len,
		     struct zone_claim *c)
{
	uint64_t in = offset % t->zone_size, n = offset / t->zone_size;
	uint64_t random = t->conventional * t->zone_size; /* where writes may go anywhere */

	*c = (struct zone_claim){ .offset = offset, .len = len };
	if (append && (in || n < t->conventional))
		return -EINVAL;
	if (n < t->conventional)
		return len > random - offset ? -EINVAL : 0;
	if (len > t->zone_size - in)
		return -EINVAL;
	return claim_sequential(t, &t->zone[n], append, in, c);
}

void zone_table_written(struct zone_table *t, const struct zone_claim *c)
{
	uint64_t n = c->offset / t->zone_size, end = c->offset % t->zone_size + c->len, s;

	if (n < t->conventional)
		return;
	s = atomic_load(&t->saved[n]);
	while (zone_word_life(s) == c->life && zone_word_written(s) < end)
		if (atomic_compare_exchange_weak(&t->saved[n], &s, zone_word(0, c->life, end)))
			break;
}

void zone_table_unclaim(struct zone_table *t, const struct zone_claim *c)
{
	uint64_t n = c->offset / t->zone_size, in = c->offset % t->zone_size, w;

	if (n < t->conventional)
		return;
	w = atomic_load(&t->zone[n].word);
	while (zone_word_is_open(w) && zone_word_life(w) == c->life &&
	       zone_word_written(w) == in + c->len)
		if (atomic_compare_exchange_weak(&t->zone[n].word, &w, w - c->len))
			break;
}

static struct zone *command(struct zone_table *t, uint64_t offset)
{
	uint64_t n = offset / t->zone_size;

	if (offset % t->zone_size || n < t->conventional || n >= t->zones)
		return NULL;
	pthread_mutex_lock(&t->lock);
	return &t->zone[n];
}

int zone_table_open(struct zone_table *t, uint64_t offset)
{
	struct zone *z = command(t, offset);
	int r = -EINVAL;

	if (!z)
		return r;
	if (zone_word_state(atomic_load(&z->word)) != SR_DISK_ZONE_FULL)
		r = open_zone(t, z, SR_DISK_ZONE_EXPLICIT_OPEN);
	pthread_mutex_unlock(&t->lock);
	return r;
}

int zone_table_close(struct zone_table *t, uint64_t offset)
{
	struct zone *z = command(t, offset);

	if (!z)
		return -EINVAL;
	/* Empty, closed and full ones have nothing to close. */
	if (zone_word_is_open(atomic_load(&z->word)))
		close_zone(t, z);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

int zone_table_end(struct zone_table *t, uint64_t offset)
{
	struct zone *z = command(t, offset);
	uint64_t w;

	if (!z)
		return -EINVAL;
	w = atomic_load(&z->word);
	while (!atomic_compare_exchange_weak(
		&z->word, &w, zone_word(SR_DISK_ZONE_FULL, zone_word_life(w), t->zone_size)))
		;
	leave_state(t, z, w);
	zone_table_written(t, &(struct zone_claim){ .offset = offset,
						    .len = t->zone_size,
						    .life = zone_word_life(w) });
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static void reset_zone(struct zone_table *t, struct zone *z)
{
	uint32_t life = zone_word_life(atomic_load(&z->word)) + 1;

	atomic_store(&t->saved[index_of(t, z)], zone_word(0, life, 0));
	leave_state(t, z, atomic_exchange(&z->word, zone_word(SR_DISK_ZONE_EMPTY, life, 0)));
}

int zone_table_reset(struct zone_table *t, uint64_t offset)
{
	struct zone *z = command(t, offset);

	if (!z)
		return -EINVAL;
	reset_zone(t, z);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void zone_table_reset_all(struct zone_table *t)
{
	pthread_mutex_lock(&t->lock);
	for (uint32_t n = t->conventional; n < t->zones; n++)
		if (zone_word_state(atomic_load(&t->zone[n].word)) != SR_DISK_ZONE_EMPTY)
			reset_zone(t, &t->zone[n]);
	pthread_mutex_unlock(&t->lock);
}

uint64_t zone_table_filled(const struct zone_table *t, uint32_t n)
{
	return n < t->conventional ? t->zone_size
				   : zone_word_written(atomic_load(&t->zone[n].word));
}

void zone_table_describe(const struct zone_table *t, uint32_t n, struct sr_disk_zone *z)
{
	uint64_t w = atomic_load(&t->zone[n].word), start = n * t->zone_size;
	bool random = n < t->conventional;

	*z = (struct sr_disk_zone){
		.start = start,
		.capacity = t->zone_size,
		.wp = start + (random ? t->zone_size : zone_word_written(w)),
		.type = random ? SR_DISK_ZONE_CONVENTIONAL : SR_DISK_ZONE_SEQ_WRITE_REQUIRED,
		.state = (uint8_t)zone_word_state(w),
	};
}

/* As after a power cycle: what was open is closed. */
static void restore_zone(struct zone_table *t, uint32_t n)
{
	uint64_t s = atomic_load(&t->saved[n]), written = zone_word_written(s);
	unsigned state = n < t->conventional	   ? SR_DISK_ZONE_NOT_WP
			 : written == 0		   ? SR_DISK_ZONE_EMPTY
			 : written == t->zone_size ? SR_DISK_ZONE_FULL
						   : SR_DISK_ZONE_CLOSED;

	atomic_init(&t->zone[n].word, zone_word(state, zone_word_life(s), written));
	t->active += state == SR_DISK_ZONE_CLOSED;
}

int zone_table_init(struct zone_table *t, const char *name, const struct sr_disk_zoned_config *c,
		    uint32_t zones, uint32_t block_size, struct sr_error *e)
{
	int r;

	*t = (struct zone_table){ .zone_size = c->zone_size,
				  .zones = zones,
				  .conventional = c->conventional,
				  .max_open = c->max_open,
				  .max_active = c->max_active };
	TAILQ_INIT(&t->implicit);
	t->zone = calloc(zones, sizeof(*t->zone));
	if (!t->zone)
		return sr_error_set(e, -ENOMEM, "disk %s: out of memory for %" PRIu32 " zones",
				    name, zones);
	r = zone_file_open(t, name, c->state, block_size, e);
	if (r) {
		free(t->zone);
		return r;
	}
	pthread_mutex_init(&t->lock, NULL);
	for (uint32_t n = 0; n < zones; n++)
		restore_zone(t, n);
	return 0;
}

void zone_table_finish(struct zone_table *t)
{
	pthread_mutex_destroy(&t->lock);
	zone_file_close(t);
	free(t->zone);
}
