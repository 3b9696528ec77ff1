/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every sector of a block carries its own offset, the generation of the write, the run, and a
 * checksum; what fills it follows from these. So a sector that is old, misplaced, torn or
 * damaged is not only found but called by its name.
 */
#include "base.h"
#include "bench_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define MAGIC 0x31564b5344525253ull
#define WORDS (DISK_SECTOR / sizeof(uint64_t))

/* Native order: only this program reads it. */
enum {
	AT_MAGIC,
	AT_OFFSET,
	AT_RUN,
	AT_GENERATION,
	AT_CHECKSUM,
	AT_FILL
};

/* splitmix64: every bit of the result depends on every bit given. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t checksum(const uint64_t *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORDS; i++)
		if (i != AT_CHECKSUM)
			sum = (sum << 7 | sum >> 57) ^ w[i] * 0x9e3779b97f4a7c15;
	return sum;
}

static void sector_make(uint64_t *w, const struct disk_mark *m, uint64_t offset)
{
	uint64_t x = mix(offset ^ mix(m->run ^ mix(m->generation)));

	w[AT_MAGIC] = MAGIC;
	w[AT_OFFSET] = offset;
	w[AT_RUN] = m->run;
	w[AT_GENERATION] = m->generation;
	for (unsigned i = AT_FILL; i < WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		w[i] = x;
	}
	w[AT_CHECKSUM] = checksum(w);
}

void disk_block_fill(void *buf, uint32_t len, const struct disk_mark *m)
{
	uint64_t w[WORDS];

	for (uint32_t at = 0; at < len; at += DISK_SECTOR) {
		sector_make(w, m, m->offset + at);
		memcpy((uint8_t *)buf + at, w, DISK_SECTOR);
	}
}

static bool all_zero(const uint64_t *w)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < WORDS; i++)
		any |= w[i];
	return !any;
}

/* What a sector is that is not what was expected at `offset` of `run`. */
static void describe(const uint64_t *w, uint64_t offset, uint64_t run, char *to, size_t room)
{
	const uint8_t *b = (const uint8_t *)w;
	bool whole = w[AT_CHECKSUM] == checksum(w);

	if (all_zero(w))
		snprintf(to, room, "zeroes");
	else if (w[AT_MAGIC] != MAGIC)
		snprintf(to, room,
			 "what no benchmark wrote: %02x %02x %02x %02x %02x %02x %02x %02x", b[0],
			 b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
	else
		snprintf(to, room, "%sgeneration %" PRIu64 "%s%s",
			 w[AT_OFFSET] == offset ? "" : "another place's, ", w[AT_GENERATION],
			 w[AT_RUN] == run ? "" : " of another run",
			 whole ? "" : ", damaged: its checksum is wrong");
	if (w[AT_MAGIC] == MAGIC && w[AT_OFFSET] != offset) {
		size_t used = strlen(to);

		snprintf(to + used, room - used, ", of offset %" PRIu64, w[AT_OFFSET]);
	}
}

static int mismatch(const uint64_t *w, uint64_t offset, const struct disk_mark *m,
		    struct sr_error *e)
{
	char found[160];

	describe(w, offset, m->run, found, sizeof(found));
	return sr_error_set(e, -EILSEQ,
			    "verify: offset %" PRIu64 ": expected generation %" PRIu32 ", found %s",
			    offset, m->generation, found);
}

int disk_block_check(const void *buf, uint32_t len, const struct disk_mark *m, struct sr_error *e)
{
	uint64_t want[WORDS], got[WORDS];

	for (uint32_t at = 0; at < len; at += DISK_SECTOR) {
		memcpy(got, (const uint8_t *)buf + at, DISK_SECTOR);
		sector_make(want, m, m->offset + at);
		if (memcmp(want, got, DISK_SECTOR))
			return mismatch(got, m->offset + at, m, e);
	}
	return 0;
}

/* Sector by sector: who wrote them may have had another block size, or have died half-way. */
int disk_block_check_any(const void *buf, uint32_t len, uint64_t offset, struct sr_error *e)
{
	int known = 0;

	for (uint32_t at = 0; at < len; at += DISK_SECTOR) {
		const uint8_t *sector = (const uint8_t *)buf + at;
		struct disk_mark m = { .offset = offset + at };
		uint64_t w[WORDS];

		memcpy(w, sector, DISK_SECTOR);
		if (w[AT_MAGIC] != MAGIC)
			continue;
		m.run = w[AT_RUN];
		m.generation = (uint32_t)w[AT_GENERATION];
		if (disk_block_check(w, DISK_SECTOR, &m, e))
			return -EILSEQ;
		known = 1;
	}
	return known;
}
