/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "zoned_rig.h"

#include <errno.h>
#include <pthread.h>
#include <slipring/disk_engine.h>
#include <stdlib.h>

static uint8_t ones[ZONE], buffer[3 * ZONE];

static void open_zoned(struct disk_rig *rig, const struct sr_disk_zoned_config *c)
{
	memset(ones, 1, sizeof(ones));
	disk_rig_open(rig, zoned_make(c));
}

static void end(struct disk_rig *rig)
{
	struct sr_disk *d = rig->disk;

	disk_rig_close(rig);
	sr_disk_destroy(d);
}

static const struct sr_disk_zoned_config plain = { .conventional = 0 };

static int write_ones(struct disk_rig *rig, uint64_t at, uint64_t len)
{
	return disk_rig_write(rig, at, ones, len);
}

static int command(struct disk_rig *rig, enum sr_disk_op op, uint64_t zone)
{
	return disk_rig_command(rig, op, 0, zone, 0);
}

static void the_disk_says_that_it_is_zoned(void **state)
{
	const struct sr_disk_info *i;
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_open = 2, .max_active = 3 });
	i = sr_disk_info(rig.disk);
	assert_int_equal(i->zone_size, ZONE);
	assert_int_equal(i->zones, ZONES);
	assert_int_equal(i->max_open, 2);
	assert_int_equal(i->max_active, 3);
	assert_int_equal(i->append_max, ZONE);
	assert_false(i->can_discard || i->can_zero || i->can_erase);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_DISCARD, 0, 0, SECTOR), -EOPNOTSUPP);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZEROES, 0, 0, SECTOR), -EOPNOTSUPP);
	end(&rig);
}

static void a_report_starts_at_the_zone_that_holds_the_offset(void **state)
{
	struct sr_disk_zone z[ZONES + 1];
	struct sr_disk_req r = { .op = SR_DISK_ZONE_REPORT, .zones = z, .nzones = ZONES + 1 };
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .conventional = 2 });
	assert_int_equal(disk_rig_do(&rig, &r), 0);
	assert_int_equal(r.nzones, ZONES);
	assert_int_equal(z[1].type, SR_DISK_ZONE_CONVENTIONAL);
	assert_int_equal(z[1].state, SR_DISK_ZONE_NOT_WP);
	assert_int_equal(z[2].type, SR_DISK_ZONE_SEQ_WRITE_REQUIRED);
	assert_int_equal(z[2].state, SR_DISK_ZONE_EMPTY);
	assert_int_equal(z[9].start, 9 * ZONE);
	r.offset = 8 * ZONE + 1024;
	r.nzones = ZONES;
	assert_int_equal(disk_rig_do(&rig, &r), 0);
	assert_int_equal(r.nzones, 2);
	assert_int_equal(z[0].start, 8 * ZONE);
	r.offset = ZONES * ZONE;
	assert_int_equal(disk_rig_do(&rig, &r), -EINVAL);
	end(&rig);
}

static void writes_must_start_at_the_write_pointer(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &plain);
	assert_int_equal(write_ones(&rig, ZONE + SECTOR, SECTOR), -EPROTO);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(write_ones(&rig, ZONE, 3 * SECTOR), 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, 3 * SECTOR);
	assert_int_equal(write_ones(&rig, ZONE, SECTOR), -EPROTO);
	assert_int_equal(write_ones(&rig, ZONE + 4 * SECTOR, SECTOR), -EPROTO);
	assert_int_equal(write_ones(&rig, ZONE + 3 * SECTOR, SECTOR), 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, 4 * SECTOR);
	assert_int_equal(disk_rig_read(&rig, ZONE, buffer, 4 * SECTOR), 0);
	assert_memory_equal(buffer, ones, 4 * SECTOR);
	end(&rig);
}

static void appends_are_told_where_they_went(void **state)
{
	struct disk_rig rig;
	uint64_t at;

	(void)state;
	open_zoned(&rig, &plain);
	assert_int_equal(zoned_append(&rig, 2 * ZONE, ones, SECTOR, &at), 0);
	assert_int_equal(at, 2 * ZONE);
	assert_int_equal(zoned_append(&rig, 2 * ZONE, ones, 2 * SECTOR, &at), 0);
	assert_int_equal(at, 2 * ZONE + SECTOR);
	assert_int_equal(zoned_append(&rig, 2 * ZONE + SECTOR, ones, SECTOR, NULL), -EINVAL);
	zoned_is(&rig, 2 * ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, 3 * SECTOR);
	assert_int_equal(zoned_append(&rig, 2 * ZONE, ones, ZONE, NULL), -EINVAL);
	end(&rig);
}

static void writes_stay_within_their_zone_and_the_disk(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .conventional = 2 });
	assert_int_equal(disk_rig_write(&rig, 2 * ZONE, buffer, ZONE + SECTOR), -EINVAL);
	assert_int_equal(write_ones(&rig, 2 * ZONE - SECTOR, 2 * SECTOR), -EINVAL);
	assert_int_equal(write_ones(&rig, ZONE - SECTOR, 2 * SECTOR), 0);
	assert_int_equal(write_ones(&rig, ZONES * ZONE, SECTOR), -EIO);
	assert_int_equal(zoned_append(&rig, ZONES * ZONE, ones, SECTOR, NULL), -EIO);
	assert_int_equal(disk_rig_read(&rig, ZONES * ZONE - SECTOR, buffer, 2 * SECTOR), -EIO);
	end(&rig);
}

static void a_zone_that_is_filled_is_full(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_open = 1, .max_active = 1 });
	assert_int_equal(write_ones(&rig, 0, ZONE - SECTOR), 0);
	assert_int_equal(write_ones(&rig, ZONE - SECTOR, SECTOR), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_FULL, ZONE);
	assert_int_equal(write_ones(&rig, 0, SECTOR), -EINVAL);
	assert_int_equal(zoned_append(&rig, 0, ones, SECTOR, NULL), -EINVAL);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), -EINVAL);
	assert_int_equal(command(&rig, SR_DISK_ZONE_CLOSE, 0), 0);
	/* It is neither open nor active any more. */
	assert_int_equal(write_ones(&rig, ZONE, ZONE), 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_FULL, ZONE);
	assert_int_equal(write_ones(&rig, 2 * ZONE, SECTOR), 0);
	end(&rig);
}

static void zones_open_and_close(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &plain);
	assert_int_equal(command(&rig, SR_DISK_ZONE_CLOSE, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EXPLICIT_OPEN, 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_CLOSE, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), 0);
	assert_int_equal(write_ones(&rig, 0, SECTOR), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EXPLICIT_OPEN, SECTOR);
	assert_int_equal(command(&rig, SR_DISK_ZONE_CLOSE, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_CLOSED, SECTOR);
	assert_int_equal(write_ones(&rig, 0, SECTOR), -EPROTO);
	zoned_is(&rig, 0, SR_DISK_ZONE_CLOSED, SECTOR);
	assert_int_equal(write_ones(&rig, SECTOR, SECTOR), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_IMPLICIT_OPEN, 2 * SECTOR);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EXPLICIT_OPEN, 2 * SECTOR);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, SECTOR), -EINVAL);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, ZONES * ZONE), -EINVAL);
	end(&rig);
}

static void the_oldest_implicitly_open_zone_makes_room(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_open = 2 });
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write_ones(&rig, i * ZONE, SECTOR), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_CLOSED, SECTOR);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, SECTOR);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 5 * ZONE), 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_CLOSED, SECTOR);
	zoned_is(&rig, 2 * ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, SECTOR);
	end(&rig);
}

static void explicitly_open_zones_make_no_room(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_open = 2 });
	assert_int_equal(write_ones(&rig, 4 * ZONE, SECTOR), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_CLOSE, 4 * ZONE), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 0), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, ZONE), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 2 * ZONE), -EMFILE);
	assert_int_equal(write_ones(&rig, 2 * ZONE, SECTOR), -EMFILE);
	assert_int_equal(write_ones(&rig, 4 * ZONE + SECTOR, SECTOR), -EMFILE);
	assert_int_equal(command(&rig, SR_DISK_ZONE_FINISH, 0), 0);
	assert_int_equal(write_ones(&rig, 2 * ZONE, SECTOR), 0);
	end(&rig);
}

static void no_more_zones_than_allowed_are_active(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_open = 1, .max_active = 2 });
	assert_int_equal(write_ones(&rig, 0, SECTOR), 0);
	assert_int_equal(write_ones(&rig, ZONE, SECTOR), 0);
	assert_int_equal(write_ones(&rig, 2 * ZONE, SECTOR), -EOVERFLOW);
	assert_int_equal(zoned_append(&rig, 2 * ZONE, ones, SECTOR, NULL), -EOVERFLOW);
	assert_int_equal(command(&rig, SR_DISK_ZONE_OPEN, 2 * ZONE), -EOVERFLOW);
	assert_int_equal(write_ones(&rig, SECTOR, SECTOR), 0); /* the closed one */
	assert_int_equal(command(&rig, SR_DISK_ZONE_RESET, ZONE), 0);
	assert_int_equal(write_ones(&rig, 2 * ZONE, SECTOR), 0);
	end(&rig);
}

static void finish_makes_full_and_reset_makes_empty(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .max_active = 1 });
	assert_int_equal(write_ones(&rig, 0, SECTOR), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_FINISH, 0), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_FINISH, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_FULL, ZONE);
	assert_int_equal(command(&rig, SR_DISK_ZONE_FINISH, ZONE), 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_FULL, ZONE);
	assert_int_equal(disk_rig_read(&rig, 0, buffer, 2 * SECTOR), 0);
	assert_memory_equal(buffer, ones, SECTOR);
	assert_int_equal(command(&rig, SR_DISK_ZONE_RESET, 0), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_RESET, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(disk_rig_read(&rig, 0, buffer, SECTOR), 0);
	assert_int_equal(buffer[0], 0);
	assert_int_equal(write_ones(&rig, 0, SECTOR), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EMPTY, 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(write_ones(&rig, ZONE, SECTOR), 0);
	end(&rig);
}

static void conventional_zones_take_writes_anywhere_and_no_commands(void **state)
{
	static const enum sr_disk_op ops[] = { SR_DISK_ZONE_OPEN, SR_DISK_ZONE_CLOSE,
					       SR_DISK_ZONE_FINISH, SR_DISK_ZONE_RESET };
	struct disk_rig rig;

	(void)state;
	open_zoned(&rig, &(struct sr_disk_zoned_config){ .conventional = 2, .max_open = 1 });
	assert_int_equal(write_ones(&rig, ZONE + 8 * SECTOR, SECTOR), 0);
	assert_int_equal(write_ones(&rig, SECTOR, SECTOR), 0);
	for (unsigned i = 0; i < SR_ARRAY_LEN(ops); i++)
		assert_int_equal(command(&rig, ops[i], ZONE), -EINVAL);
	assert_int_equal(zoned_append(&rig, ZONE, ones, SECTOR, NULL), -EINVAL);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0), 0);
	assert_int_equal(disk_rig_read(&rig, SECTOR, buffer, SECTOR), 0);
	assert_memory_equal(buffer, ones, SECTOR);
	end(&rig);
}

static void is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0);
}

static void reads_see_zeroes_behind_the_write_pointers(void **state)
{
	const struct sr_disk_zoned_config c = { .zone_size = ZONE, .conventional = 1 };
	struct sr_disk *below = zoned_below();
	struct disk_rig rig;

	(void)state;
	memset(ones, 1, sizeof(ones));
	disk_rig_open(&rig, below);
	for (unsigned i = 0; i < ZONES; i++)
		assert_int_equal(write_ones(&rig, i * ZONE, ZONE), 0);
	disk_rig_close(&rig);
	disk_rig_open(&rig, sr_disk_zoned_create(below, &c, NULL));
	assert_int_equal(write_ones(&rig, ZONE, 3 * SECTOR), 0);
	memset(buffer, 2, sizeof(buffer));
	/* The end of the conventional zone, one that is written in part, an empty one. */
	assert_int_equal(disk_rig_read(&rig, ZONE - SECTOR, buffer, 2 * ZONE), 0);
	assert_memory_equal(buffer, ones, 4 * SECTOR);
	is_zero(buffer + 4 * SECTOR, 2 * ZONE - 4 * SECTOR);
	end(&rig);
}

static void a_write_that_failed_gives_its_place_back(void **state)
{
	const struct sr_disk_zoned_config c = { .zone_size = ZONE };
	const struct sr_disk_fault f = { .ops = 1 << SR_DISK_WRITE, .error_share = 1 };
	struct sr_disk *below = sr_disk_fault_create(zoned_below(), &f, NULL);
	struct disk_rig rig;
	uint64_t at;

	(void)state;
	disk_rig_open(&rig, sr_disk_zoned_create(below, &c, NULL));
	assert_int_equal(write_ones(&rig, 0, SECTOR), -EIO);
	zoned_is(&rig, 0, SR_DISK_ZONE_IMPLICIT_OPEN, 0);
	assert_int_equal(zoned_append(&rig, 0, ones, SECTOR, NULL), -EIO);
	assert_int_equal(sr_disk_fault_set(rig.disk, &(struct sr_disk_fault){ 0 }, NULL), 0);
	assert_int_equal(zoned_append(&rig, 0, ones, SECTOR, &at), 0);
	assert_int_equal(at, 0);
	end(&rig);
}

static void what_is_under_way_is_cancelled_below(void **state)
{
	const struct sr_disk_zoned_config c = { .zone_size = ZONE };
	const struct sr_disk_fault f = { .delay_ns = UINT64_MAX };
	struct sr_disk *below = sr_disk_fault_create(zoned_below(), &f, NULL);
	const struct iovec iov = { ones, SECTOR };
	struct sr_disk_req r[2] = {
		{ .op = SR_DISK_WRITE, .len = SECTOR, .iov = &iov, .niov = 1 },
		{ .op = SR_DISK_ZONE_RESET, .offset = ZONE },
	};
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, sr_disk_zoned_create(below, &c, NULL));
	for (unsigned i = 0; i < 2; i++)
		disk_rig_submit_one(&rig, &r[i]);
	zoned_is(&rig, 0, SR_DISK_ZONE_IMPLICIT_OPEN, SECTOR);
	for (unsigned i = 0; i < 2; i++)
		assert_true(sr_disk_cancel(rig.channel, &r[i]));
	assert_int_equal(sr_disk_poll(rig.channel), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(r[i].result, -ECANCELED);
	zoned_is(&rig, 0, SR_DISK_ZONE_IMPLICIT_OPEN, 0);
	end(&rig);
}

static void a_reset_discards_as_much_at_a_time_as_the_disk_below_may(void **state)
{
	const struct sr_disk_zoned_config c = { .zone_size = ZONE };
	struct sr_disk *below = zoned_below();
	struct sr_disk_req reset = { .op = SR_DISK_ZONE_RESET };
	struct disk_rig rig, inside;

	(void)state;
	below->info.discard_max = ZONE / 4 + SECTOR;
	disk_rig_open(&rig, sr_disk_zoned_create(below, &c, NULL));
	disk_rig_open(&inside, below);
	memset(ones, 1, sizeof(ones));
	assert_int_equal(write_ones(&rig, 0, ZONE), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_RESET, 0), 0);
	assert_int_equal(disk_rig_read(&inside, 0, buffer, ZONE), 0);
	is_zero(buffer, ZONE);
	/* One that is taken back between two of them ends there. */
	assert_int_equal(write_ones(&rig, 0, ZONE), 0);
	disk_rig_submit_one(&rig, &reset);
	assert_true(sr_disk_cancel(rig.channel, &reset));
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	assert_int_equal(reset.result, -ECANCELED);
	zoned_is(&rig, 0, SR_DISK_ZONE_FULL, ZONE);
	disk_rig_close(&inside);
	end(&rig);
}

static void a_reset_goes_on_when_giving_room_back_fails(void **state)
{
	const struct sr_disk_zoned_config c = { .zone_size = ZONE };
	const struct sr_disk_fault f = { .ops = 1 << SR_DISK_DISCARD, .error_share = 1 };
	struct sr_disk *below = sr_disk_fault_create(zoned_below(), &f, NULL);
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, sr_disk_zoned_create(below, &c, NULL));
	assert_int_equal(write_ones(&rig, 0, SECTOR), 0);
	assert_int_equal(command(&rig, SR_DISK_ZONE_RESET, 0), 0);
	zoned_is(&rig, 0, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(disk_rig_read(&rig, 0, buffer, SECTOR), 0);
	is_zero(buffer, SECTOR);
	end(&rig);
}

static void a_zoned_disk_keeps_its_size(void **state)
{
	struct sr_disk *d = zoned_make(&plain);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_disk_resize(d, 20 * ZONE, &e), -EOPNOTSUPP);
	assert_string_equal(e.text, "disk z: a zoned disk keeps its size");
	assert_int_equal(sr_disk_resize(d, 0, NULL), 0);
	assert_int_equal(sr_disk_size(d), ZONES * ZONE);
	assert_int_equal(sr_disk_resize(d->below, 20 * ZONE, NULL), 0);
	assert_int_equal(sr_disk_size(d), ZONES * ZONE);
	sr_disk_destroy(d);
}

static void refuses(struct sr_disk_zoned_config c, const char *text)
{
	struct sr_disk *below = zoned_below();
	struct sr_error e;

	assert_null(sr_disk_zoned_create(below, &c, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, text);
	sr_disk_destroy(below);
}

static void zones_that_make_no_sense_are_refused(void **state)
{
	struct sr_disk *d = zoned_make(&plain);
	struct sr_error e;

	(void)state;
	refuses((struct sr_disk_zoned_config){ .zone_size = 0 },
		"disk z: zones of 0 bytes, expected a multiple of the block size 512 up to 128 "
		"TiB");
	refuses((struct sr_disk_zoned_config){ .zone_size = 1000 },
		"disk z: zones of 1000 bytes, expected a multiple of the block size 512 up to 128 "
		"TiB");
	refuses((struct sr_disk_zoned_config){ .zone_size = 3 * ZONE },
		"disk z: 655360 bytes, expected a multiple of the zone size 196608 and at most "
		"2^32 - 1 zones");
	refuses((struct sr_disk_zoned_config){ .zone_size = ZONE, .conventional = 11 },
		"disk z: 11 conventional zones, but only 10 zones");
	refuses((struct sr_disk_zoned_config){ .zone_size = ZONE, .max_open = 3, .max_active = 2 },
		"disk z: 3 zones may be open, but only 2 active");
	assert_null(
		sr_disk_zoned_create(d, &(struct sr_disk_zoned_config){ .zone_size = ZONE }, &e));
	assert_string_equal(e.text, "disk z: is zoned already");
	sr_disk_destroy(d);
}

/* Appends sectors to whatever zone has room, and notes where each went. */
#define USERS	3u
#define SECTORS (ZONES * ZONE / SECTOR)

struct user {
	struct sr_disk *disk;
	uint8_t mark;
	pthread_t thread;
	uint64_t at[SECTORS + 1]; /* one more is asked for in vain */
	unsigned n;
	bool ok;
};

static void append_until_full(struct user *u, struct disk_rig *rig)
{
	uint8_t sector[SECTOR];

	memset(sector, u->mark, SECTOR);
	for (unsigned zone = 0; zone < ZONES;) {
		int r = zoned_append(rig, zone * ZONE, sector, SECTOR, &u->at[u->n]);

		if (r == -EINVAL)
			zone++;
		else if (r == 0)
			u->n++;
		else if (r != -EMFILE)
			u->ok = false;
	}
}

static void *use(void *ctx)
{
	struct user *u = ctx;
	struct disk_rig rig;

	u->ok = disk_rig_start(&rig, u->disk);
	if (u->ok)
		append_until_full(u, &rig);
	u->ok = disk_rig_stop(&rig) && u->ok;
	return NULL;
}

static void appends_of_several_loops_never_meet(void **state)
{
	static struct user u[USERS];
	struct sr_disk *d = zoned_make(&(struct sr_disk_zoned_config){ .max_open = 2 });
	uint8_t sector[SECTOR];
	struct disk_rig rig;
	unsigned sum = 0;

	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		u[i] = (struct user){ .disk = d, .mark = (uint8_t)(i + 1) };
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	}
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(u[i].thread, NULL);
	disk_rig_open(&rig, d);
	for (unsigned i = 0; i < USERS; i++) {
		assert_true(u[i].ok);
		sum += u[i].n;
		for (unsigned k = 0; k < u[i].n; k++) {
			assert_int_equal(disk_rig_read(&rig, u[i].at[k], sector, SECTOR), 0);
			assert_int_equal(sector[0], u[i].mark);
		}
	}
	assert_int_equal(sum, SECTORS);
	for (unsigned i = 0; i < ZONES; i++)
		zoned_is(&rig, i * ZONE, SR_DISK_ZONE_FULL, ZONE);
	end(&rig);
}

/* Whatever several loops do to the same zones, the counts of open and active ones hold. */
static void *disturb(void *ctx)
{
	static const uint8_t ops[] = { SR_DISK_ZONE_OPEN, SR_DISK_ZONE_CLOSE, SR_DISK_ZONE_RESET,
				       SR_DISK_ZONE_FINISH, SR_DISK_ZONE_RESET_ALL };
	struct user *u = ctx;
	uint8_t sector[2 * SECTOR] = { 0 };
	struct disk_rig rig;
	unsigned random = u->mark;

	u->ok = disk_rig_start(&rig, u->disk);
	for (unsigned i = 0; u->ok && i < 3000; i++) {
		uint64_t zone;

		random = random * 1103515245 + 12345;
		zone = random / 65536 % 4 * ZONE;
		if (i % 3)
			zoned_append(&rig, zone, sector, SECTOR * (1 + i % 2), NULL);
		else
			disk_rig_command(&rig, ops[random / 1048576 % SR_ARRAY_LEN(ops)], 0, zone,
					 0);
	}
	u->ok = disk_rig_stop(&rig) && u->ok;
	return NULL;
}

static void after_a_quarrel_of_loops_the_counts_are_right(void **state)
{
	/* On a medium that keeps nothing: writes of two lives of a zone may meet there. */
	const struct sr_disk_null_config n = { .name = "n", .size = ZONES * ZONE };
	const struct sr_disk_zoned_config c = { .zone_size = ZONE, .max_open = 2, .max_active = 3 };
	static struct user u[USERS];
	struct sr_disk *d = sr_disk_zoned_create(sr_disk_null_create(&n, NULL), &c, NULL);
	struct disk_rig rig;

	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		u[i] = (struct user){ .disk = d, .mark = (uint8_t)(i + 1) };
		assert_int_equal(pthread_create(&u[i].thread, NULL, disturb, &u[i]), 0);
	}
	for (unsigned i = 0; i < USERS; i++) {
		pthread_join(u[i].thread, NULL);
		assert_true(u[i].ok);
	}
	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write_ones(&rig, i * ZONE, SECTOR), 0);
	assert_int_equal(write_ones(&rig, 3 * ZONE, SECTOR), -EOVERFLOW);
	zoned_is(&rig, 0, SR_DISK_ZONE_CLOSED, SECTOR);
	zoned_is(&rig, 2 * ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, SECTOR);
	end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_disk_says_that_it_is_zoned),
		cmocka_unit_test(a_report_starts_at_the_zone_that_holds_the_offset),
		cmocka_unit_test(writes_must_start_at_the_write_pointer),
		cmocka_unit_test(appends_are_told_where_they_went),
		cmocka_unit_test(writes_stay_within_their_zone_and_the_disk),
		cmocka_unit_test(a_zone_that_is_filled_is_full),
		cmocka_unit_test(zones_open_and_close),
		cmocka_unit_test(the_oldest_implicitly_open_zone_makes_room),
		cmocka_unit_test(explicitly_open_zones_make_no_room),
		cmocka_unit_test(no_more_zones_than_allowed_are_active),
		cmocka_unit_test(finish_makes_full_and_reset_makes_empty),
		cmocka_unit_test(conventional_zones_take_writes_anywhere_and_no_commands),
		cmocka_unit_test(reads_see_zeroes_behind_the_write_pointers),
		cmocka_unit_test(a_write_that_failed_gives_its_place_back),
		cmocka_unit_test(what_is_under_way_is_cancelled_below),
		cmocka_unit_test(a_reset_discards_as_much_at_a_time_as_the_disk_below_may),
		cmocka_unit_test(a_reset_goes_on_when_giving_room_back_fails),
		cmocka_unit_test(a_zoned_disk_keeps_its_size),
		cmocka_unit_test(zones_that_make_no_sense_are_refused),
		cmocka_unit_test(appends_of_several_loops_never_meet),
		cmocka_unit_test(after_a_quarrel_of_loops_the_counts_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
