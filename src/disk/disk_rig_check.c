/* SPDX-License-Identifier: BSD-3-Clause */
/* What every engine must be able to do: requests of many shapes against a model in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define WINDOW	  (512u << 10)
#define LARGEST	  (128u << 10) /* of the random requests */
#define PIECES	  8u
#define ROUNDS	  150u
#define MANY	  (2 * SR_DISK_BATCH)
#define FOUR_GIB  (1ull << 32)
#define SEED(at)  (0x9e3779b97f4a7c15ull ^ (at))
#define MIN_BYTES (2ull * WINDOW)

/* A part of the disk, and what it must hold. */
struct window {
	struct disk_rig *rig;
	uint64_t start;
	uint32_t block;
	uint64_t random;
	uint8_t *model, *buffer;
};

static uint32_t pick(struct window *w, uint32_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 32) % below;
}

static void fill(struct window *w, uint8_t *p, uint64_t len)
{
	uint8_t first = (uint8_t)pick(w, 256);

	for (uint64_t i = 0; i < len; i++)
		p[i] = (uint8_t)(first + i * 7 + i / 256);
}

/* Cuts the buffer at bytes as they come, which need not be those of blocks. */
static unsigned cut(struct window *w, struct iovec *iov, uint8_t *p, uint64_t len)
{
	unsigned n = 0;

	while (len) {
		bool last = n + 1 == PIECES;
		uint64_t piece = last ? len : 1 + pick(w, (uint32_t)len);

		if (!last && pick(w, 2) && piece > w->block)
			piece -= piece % w->block;
		iov[n++] = (struct iovec){ p, piece };
		p += piece;
		len -= piece;
	}
	return n;
}

static int move(struct window *w, enum sr_disk_op op, uint8_t flags, uint64_t at, uint8_t *p,
		uint64_t len, bool pieces)
{
	struct iovec iov[PIECES] = { { p, len } };
	struct sr_disk_req r = { .op = (uint8_t)op,
				 .flags = flags,
				 .offset = w->start + at,
				 .len = len,
				 .iov = iov,
				 .niov = pieces ? cut(w, iov, p, len) : 1 };

	return disk_rig_do(w->rig, &r);
}

static bool went_well(struct window *w, const char *what, int result, uint64_t at, uint64_t len)
{
	if (result == 0)
		return true;
	return disk_rig_fail(w->rig, "%s of %" PRIu64 " bytes at %" PRIu64 ": %s", what, len,
			     w->start + at, strerror(-result));
}

static bool holds_model(struct window *w, uint64_t at, uint64_t len, const char *after)
{
	uint64_t i = 0;

	memset(w->buffer, 0xee, len);
	if (!went_well(w, "read", move(w, SR_DISK_READ, 0, at, w->buffer, len, pick(w, 2)), at,
		       len))
		return false;
	while (i < len && w->buffer[i] == w->model[at + i])
		i++;
	if (i == len)
		return true;
	return disk_rig_fail(w->rig, "after %s: byte %" PRIu64 " is %02x, expected %02x", after,
			     w->start + at + i, w->buffer[i], w->model[at + i]);
}

static bool write_model(struct window *w, uint64_t at, uint64_t len, uint8_t flags)
{
	fill(w, w->model + at, len);
	memcpy(w->buffer, w->model + at, len);
	return went_well(w, flags & SR_DISK_FUA ? "write with FUA" : "write",
			 move(w, SR_DISK_WRITE, flags, at, w->buffer, len, pick(w, 2)), at, len);
}

static bool may_be_so_long(uint64_t max, uint64_t len)
{
	return !max || len <= max;
}

static bool zero_range(struct window *w, uint64_t at, uint64_t len)
{
	const struct sr_disk_info *i = sr_disk_info(w->rig->disk);
	uint8_t flags = pick(w, 2) ? SR_DISK_UNMAP : SR_DISK_FUA;

	if (!i->can_zero || !may_be_so_long(i->zero_max, len))
		return true;
	memset(w->model + at, 0, len);
	return went_well(w, "zeroes",
			 disk_rig_command(w->rig, SR_DISK_ZEROES, flags, w->start + at, len), at,
			 len);
}

/* What is in the range afterwards does not matter: it is written again. */
static bool discard_range(struct window *w, uint64_t at, uint64_t len)
{
	const struct sr_disk_info *i = sr_disk_info(w->rig->disk);
	bool erase = i->can_erase && pick(w, 4) == 0;
	enum sr_disk_op op = erase ? SR_DISK_ERASE : SR_DISK_DISCARD;

	if ((!erase && !i->can_discard) ||
	    !may_be_so_long(erase ? i->erase_max : i->discard_max, len))
		return true;
	return went_well(w, erase ? "erase" : "discard",
			 disk_rig_command(w->rig, op, 0, w->start + at, len), at, len) &&
	       write_model(w, at, len, 0);
}

static bool flush(struct window *w)
{
	return went_well(w, "flush", disk_rig_command(w->rig, SR_DISK_FLUSH, 0, 0, 0), 0, 0);
}

static bool one_round(struct window *w)
{
	uint64_t blocks = 1 + pick(w, 1 + pick(w, LARGEST / w->block)), len = blocks * w->block;
	uint64_t at = (uint64_t)pick(w, (uint32_t)((WINDOW - len) / w->block + 1)) * w->block;

	switch (pick(w, 8)) {
	case 0:
		return zero_range(w, at, len);
	case 1:
		return discard_range(w, at, len);
	case 2:
		return write_model(w, at, len, SR_DISK_FUA) && flush(w);
	case 3:
	case 4:
	case 5:
		return write_model(w, at, len, 0);
	default:
		return holds_model(w, at, len, "random requests");
	}
}

static bool check_window(struct disk_rig *rig, uint64_t start)
{
	struct window w = { .rig = rig,
			    .start = start,
			    .block = sr_disk_info(rig->disk)->block_size,
			    .random = SEED(start),
			    .model = disk_rig_buffer(WINDOW, 0),
			    .buffer = disk_rig_buffer(WINDOW, 0) };
	/* The first write gives the whole window a known content, in one request. */
	bool ok = write_model(&w, 0, WINDOW, 0);

	for (unsigned i = 0; ok && i < ROUNDS; i++)
		ok = one_round(&w);
	ok = ok && holds_model(&w, 0, WINDOW, "all of it") && flush(&w);
	free(w.model);
	free(w.buffer);
	return ok;
}

/* Many one-block requests that go in together: of all writes, then of all reads. */
struct many {
	struct sr_disk_req req[MANY], *list[MANY];
	struct iovec iov[MANY];
	uint8_t *data;
	uint32_t block;
};

static void submit_many(struct disk_rig *rig, struct many *m, enum sr_disk_op op)
{
	for (unsigned i = 0; i < MANY; i++) {
		m->iov[i] = (struct iovec){ m->data + (size_t)i * m->block, m->block };
		/* Every other block, from the last one down: nothing to be merged. */
		m->req[i] = (struct sr_disk_req){ .op = (uint8_t)op,
						  .offset = 2ull * (MANY - 1 - i) * m->block,
						  .len = m->block,
						  .iov = &m->iov[i],
						  .niov = 1 };
		m->list[i] = &m->req[i];
	}
	disk_rig_submit(rig, m->list, MANY);
}

static bool many_went_well(struct disk_rig *rig, const struct many *m, int or_else)
{
	if (!disk_rig_wait(rig, 0))
		return false;
	for (unsigned i = 0; i < MANY; i++)
		if (m->req[i].result && m->req[i].result != or_else)
			return disk_rig_fail(rig, "request %u of %u together: %s", i, MANY,
					     strerror(-m->req[i].result));
	return true;
}

static bool check_data(struct disk_rig *rig, const struct many *m)
{
	for (size_t i = 0; i < (size_t)MANY * m->block; i++)
		if (m->data[i] != (uint8_t)(i / m->block + 1))
			return disk_rig_fail(rig, "request %zu of %u together read %02x",
					     i / m->block, MANY, m->data[i]);
	return true;
}

/* Each that was taken back is completed by the next poll, and its buffer is left alone. */
static bool check_cancel(struct disk_rig *rig, struct many *m)
{
	bool taken[MANY];

	submit_many(rig, m, SR_DISK_READ);
	rig->submitting = true;
	for (unsigned i = 0; i < MANY; i++)
		taken[i] = sr_disk_cancel(rig->channel, &m->req[i]);
	rig->submitting = false;
	sr_disk_poll(rig->channel);
	for (unsigned i = 0; i < MANY; i++)
		if (taken[i] && m->req[i].result == DISK_RIG_PENDING)
			return disk_rig_fail(rig, "a cancelled read was not completed by the next "
						  "poll");
	return many_went_well(rig, m, -ECANCELED);
}

static bool check_many(struct disk_rig *rig)
{
	struct many m = { .block = sr_disk_info(rig->disk)->block_size };
	size_t bytes = (size_t)MANY * m.block;
	bool ok;

	m.data = disk_rig_buffer(bytes, 0);
	for (size_t i = 0; i < bytes; i++)
		m.data[i] = (uint8_t)(i / m.block + 1);
	submit_many(rig, &m, SR_DISK_WRITE);
	ok = many_went_well(rig, &m, 0);
	memset(m.data, 0, bytes);
	if (ok) {
		submit_many(rig, &m, SR_DISK_READ);
		ok = many_went_well(rig, &m, 0) && check_data(rig, &m) && check_cancel(rig, &m);
	}
	free(m.data);
	return ok;
}

/* One user of the disk on a thread of its own. */
struct user {
	struct sr_disk *disk;
	uint64_t start;
	pthread_t thread;
	char failure[256];
};

static void *use(void *ctx)
{
	struct user *u = ctx;
	struct disk_rig rig;

	if (disk_rig_start(&rig, u->disk)) {
		check_window(&rig, u->start);
		disk_rig_stop(&rig);
	}
	memcpy(u->failure, rig.failure, sizeof(u->failure));
	return NULL;
}

static void check_two_loops(struct sr_disk *d)
{
	struct user u[2] = { { .disk = d, .start = 0 }, { .disk = d, .start = WINDOW } };

	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&u[i].thread, NULL, use, &u[i]))
			fail_msg("no thread");
	for (unsigned i = 0; i < 2; i++)
		pthread_join(u[i].thread, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (u[i].failure[0])
			fail_msg("%s, loop %u of two: %s", sr_disk_engine(d), i, u[i].failure);
}

void disk_rig_check_engine(struct sr_disk *d)
{
	uint64_t size = sr_disk_size(d);
	struct disk_rig rig;
	bool ok;

	if (size < MIN_BYTES || sr_disk_info(d)->zone_size || sr_disk_info(d)->read_only)
		fail_msg("disk %s: the check wants a writable one of 1 MiB, not zoned",
			 sr_disk_name(d));
	disk_rig_open(&rig, d);
	ok = check_window(&rig, 0) && check_window(&rig, size - WINDOW);
	if (size >= FOUR_GIB + WINDOW)
		ok = ok && check_window(&rig, FOUR_GIB - WINDOW / 2);
	if (size >= 2 * FOUR_GIB + WINDOW)
		ok = ok && check_window(&rig, 2 * FOUR_GIB - WINDOW / 2);
	ok = ok && check_many(&rig);
	if (!ok)
		fail_msg("%s: %s", sr_disk_engine(d), rig.failure);
	disk_rig_close(&rig);
	check_two_loops(d);
}
