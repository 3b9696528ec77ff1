/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a SCSI unit is full of state that every command must respect: reservations,
 * attentions, mode pages, a stopped medium, a range that a COMPARE AND WRITE has for itself.
 * And one unit is used on several loops at once, by several guests, where all but one command in
 * a million are a READ or a WRITE that none of it concerns.
 *
 * Rejected: one loop that owns a unit (every command of the others would cross threads twice); a
 * lock for each command; a table of busy ranges (kept up by millions of commands for the sake of
 * a rare one).
 *
 * Chosen: what concerns READ and WRITE is summed up in one word of bits. A command reads it
 * once; while none says "more to know", no lock is taken and nothing shared is written. All
 * state is behind the unit's mutex and rare. Who needs others out of his way (gate.c) sets a
 * bit, so that new commands look at the list of exclusive ranges, and then asks each lane to
 * tell when those of its commands are through that came before: each lane knows its own, on its
 * own thread.
 *
 * A command goes: lane.c (submit), ops.c (table, what is checked for all), a handler by
 * subject, perhaps the disk, perhaps several times, then sense.c (how it ends) and lane.c
 * (completion by batches). Parameter lists are copied once, then judged.
 *
 * Protection information (pi.c): media keep none. It is what a controller does that strips and
 * inserts: checked on writes, made on reads, so it guards the way between guest and unit.
 */
#include "mode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void resized(void *ctx)
{
	struct sr_scsi_unit *u = ctx;
	struct sr_scsi_listener *next;

	sr_scsi_unit_attention(u, NULL, LU_ASC_CAPACITY);
	for (struct sr_scsi_listener *l = u->listeners; l; l = next) {
		next = l->next;
		l->changed(l->ctx, u, LU_ASC_CAPACITY);
	}
}

/* FNV-1a, then the top four bits say "locally assigned" (NAA 3). */
static uint64_t naa_of(const struct sr_scsi_unit *u)
{
	const char *parts[] = { u->vendor, u->product, u->serial };
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < SR_ARRAY_LEN(parts); i++)
		for (const char *p = parts[i];; p++) {
			h = (h ^ (uint8_t)*p) * 0x100000001b3u;
			if (!*p)
				break;
		}
	return (h ^ h >> 60) << 4 >> 4 | 3ull << 60;
}

/* SCSI texts are printable ASCII, filled up with spaces. */
static void set_text(char *to, size_t size, const char *from, bool pad)
{
	size_t n = 0;

	for (; n < size - 1 && from[n]; n++)
		to[n] = from[n] >= 0x20 && from[n] < 0x7f ? from[n] : '_';
	for (; pad && n < size - 1; n++)
		to[n] = ' ';
	to[n] = 0;
}

static void set_identity(struct sr_scsi_unit *u, const struct sr_scsi_unit_config *c)
{
	set_text(u->vendor, sizeof(u->vendor), c->vendor ? c->vendor : "SLIPRING", true);
	set_text(u->product, sizeof(u->product), c->product ? c->product : "DISK", true);
	set_text(u->revision, sizeof(u->revision), c->revision ? c->revision : SR_SCSI_REVISION,
		 true);
	set_text(u->serial, sizeof(u->serial), c->serial ? c->serial : sr_disk_name(c->disk),
		 false);
	u->naa = naa_of(u);
}

struct lu_mode lu_mode_first(const struct sr_scsi_unit *u)
{
	return (struct lu_mode){ .write_cache = u->info->volatile_cache && !u->writethrough };
}

/* As at power on and after a reset. The lock is held, or nobody else is there. */
static void set_defaults(struct sr_scsi_unit *u)
{
	lu_mode_set(u, lu_mode_first(u));
	lu_word_set(u, LU_STOPPED, false);
	u->pr.reserved = NULL;
	lu_reserved_update(u);
}

struct sr_scsi_unit *sr_scsi_unit_create(const struct sr_scsi_unit_config *c, struct sr_error *e)
{
	struct sr_scsi_unit *u = calloc(1, sizeof(*u));

	if (!u) {
		sr_error_set(e, -ENOMEM, "unit on disk %s: out of memory", sr_disk_name(c->disk));
		return NULL;
	}
	u->disk = c->disk;
	u->info = sr_disk_info(c->disk);
	u->block_size = u->info->block_size;
	u->shift = (uint32_t)__builtin_ctz(u->block_size);
	u->protection = c->protection;
	u->read_only = c->read_only || u->info->read_only;
	u->writethrough = c->writethrough;
	u->thin = u->info->can_discard;
	u->reads_zeroes = u->info->can_discard && u->info->can_zero;
	u->parked_tail = &u->parked;
	pthread_mutex_init(&u->lock, NULL);
	set_identity(u, c);
	set_defaults(u);
	lu_protect_init();
	u->on_disk = (struct sr_disk_listener){ .resized = resized, .ctx = u };
	sr_disk_listen(u->disk, &u->on_disk);
	return u;
}

void sr_scsi_unit_destroy(struct sr_scsi_unit *u)
{
	struct lu_registration *r;

	if (!u)
		return;
	assert(!u->initiators && !u->lanes && !u->listeners);
	sr_disk_unlisten(u->disk, &u->on_disk);
	while ((r = u->pr.list)) {
		u->pr.list = r->next;
		free(r);
	}
	pthread_mutex_destroy(&u->lock);
	free(u);
}

struct sr_disk *sr_scsi_unit_disk(const struct sr_scsi_unit *u)
{
	return u->disk;
}

void sr_scsi_unit_reset(struct sr_scsi_unit *u)
{
	pthread_mutex_lock(&u->lock);
	set_defaults(u);
	lu_attend_others(u, NULL, LU_ASC_RESET);
	pthread_mutex_unlock(&u->lock);
}

void sr_scsi_unit_listen(struct sr_scsi_unit *u, struct sr_scsi_listener *l)
{
	l->next = u->listeners;
	u->listeners = l;
}

void sr_scsi_unit_unlisten(struct sr_scsi_unit *u, struct sr_scsi_listener *l)
{
	struct sr_scsi_listener **at = &u->listeners;

	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
}
