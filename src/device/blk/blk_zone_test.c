/* SPDX-License-Identifier: BSD-3-Clause */
/* Zoned media: what the device judges itself and what it makes of the disk's answers. */
#include "blk_rig.h"

#include <errno.h>
#include <stdlib.h>

#define ZONE 65536u /* bytes; 128 sectors */

static struct rig *rig_zoned(uint32_t append_max)
{
	struct sr_disk_info i = fake_info();
	struct fake *f;
	struct rig *r;

	i.zone_size = ZONE;
	i.zones = RIG_SIZE / ZONE;
	i.max_open = 5;
	i.max_active = 7;
	i.append_max = append_max;
	f = fake_create(&i, RIG_SIZE);
	r = rig_create(&f->disk, NULL);
	r->fake = f;
	rig_start(r, 0, 128);
	return r;
}

static void the_space_tells_the_zones(void **state)
{
	struct rig *r = rig_zoned(8192);
	uint32_t v[6];

	(void)state;
	assert_true(r->dev->ops->features(r->dev) & SR_BLK_F_ZONED);
	r->dev->ops->config_read(r->dev, 72, v, sizeof(v));
	assert_int_equal(v[0], 128);
	assert_int_equal(v[1], 5);
	assert_int_equal(v[2], 7);
	assert_int_equal(v[3], 16);
	assert_int_equal(v[4], 512);
	assert_int_equal(v[5], 1); /* host-managed, and padding */
	rig_destroy(r);
}

static void zone_commands_go_to_the_zone(void **state)
{
	static const struct {
		uint32_t type;
		uint8_t op;
	} kinds[] = { { BLK_T_ZONE_OPEN, SR_DISK_ZONE_OPEN },
		      { BLK_T_ZONE_CLOSE, SR_DISK_ZONE_CLOSE },
		      { BLK_T_ZONE_FINISH, SR_DISK_ZONE_FINISH },
		      { BLK_T_ZONE_RESET, SR_DISK_ZONE_RESET } };
	struct rig *r = rig_zoned(8192);

	(void)state;
	for (unsigned k = 0; k < SR_ARRAY_LEN(kinds); k++) {
		r->fake->logged = 0;
		assert_int_equal(rig_command(r, kinds[k].type, 256), BLK_S_OK);
		assert_int_equal(r->fake->log[0].op, kinds[k].op);
		assert_int_equal(r->fake->log[0].offset, 2 * ZONE);
		assert_int_equal(rig_command(r, kinds[k].type, 257), BLK_S_ZONE_INVALID_CMD);
		assert_int_equal(rig_command(r, kinds[k].type, RIG_SIZE / 512),
				 BLK_S_ZONE_INVALID_CMD);
		assert_int_equal(rig_command(r, kinds[k].type, UINT64_MAX / 128 * 128),
				 BLK_S_ZONE_INVALID_CMD);
		assert_int_equal(r->fake->logged, 1);
	}
	assert_int_equal(rig_command(r, BLK_T_ZONE_RESET_ALL, 77), BLK_S_OK);
	assert_int_equal(r->fake->log[1].op, SR_DISK_ZONE_RESET_ALL);
	rig_destroy(r);
}

static int answer_append(struct fake *f, struct sr_disk_req *r)
{
	(void)f;
	if (r->op == SR_DISK_ZONE_APPEND)
		r->offset += 3 * 512;
	return 0;
}

static void an_append_tells_where(void **state)
{
	struct rig *r = rig_zoned(8192);
	uint8_t data[1024] = { 0 };
	uint64_t where;
	struct rig_req q = { .type = BLK_T_ZONE_APPEND,
			     .sector = 128,
			     .out = data,
			     .out_len = sizeof(data),
			     .in_len = 8 };

	(void)state;
	r->fake->hook = answer_append;
	for (r->piece = 1; r->piece < 32; r->piece += 5) {
		assert_int_equal(rig_do(r, &q), BLK_S_OK);
		rig_data(r, &q, &where);
		assert_int_equal(where, 131);
		r->cut = rig_cut_same;
	}
	/* It is before the status, wherever that is. */
	uint8_t more[24];

	q.in_len = sizeof(more);
	assert_int_equal(rig_do(r, &q), BLK_S_OK);
	rig_data(r, &q, more);
	memcpy(&where, more + 16, 8);
	assert_int_equal(where, 131);
	assert_int_equal(more[15], 0xff);
	assert_int_equal(r->fake->log[0].op, SR_DISK_ZONE_APPEND);
	assert_int_equal(r->fake->log[0].offset, ZONE);
	assert_int_equal(r->fake->log[0].len, sizeof(data));
	rig_destroy(r);
}

static uint8_t append(struct rig *r, uint64_t sector, size_t len, size_t in)
{
	static const uint8_t data[16384];
	struct rig_req q = { .type = BLK_T_ZONE_APPEND,
			     .sector = sector,
			     .out = data,
			     .out_len = len,
			     .in_len = in };

	return rig_do(r, &q);
}

static void an_append_that_cannot_be_is_refused(void **state)
{
	struct rig *r = rig_zoned(8192);

	(void)state;
	assert_int_equal(append(r, 0, 8192 + 512, 8), BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(r, 1, 512, 8), BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(r, RIG_SIZE / 512, 512, 8), BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(r, 0, 511, 8), BLK_S_IOERR);
	assert_int_equal(append(r, 0, 0, 8), BLK_S_IOERR);
	assert_int_equal(append(r, 0, 512, 7), BLK_S_IOERR);
	assert_int_equal(append(r, 0, 512, 0), BLK_S_IOERR);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
	r = rig_zoned(0);
	assert_int_equal(append(r, 0, 512, 8), BLK_S_UNSUPP);
	rig_destroy(r);
}

static int answer_report(struct fake *f, struct sr_disk_req *r)
{
	unsigned first = (unsigned)(r->offset / ZONE), all = RIG_SIZE / ZONE;

	(void)f;
	r->nzones = (uint32_t)sr_min(r->nzones, all - first);
	for (unsigned i = 0; i < r->nzones; i++)
		r->zones[i] = (struct sr_disk_zone){ (first + i) * (uint64_t)ZONE, ZONE - 512,
						     (first + i) * (uint64_t)ZONE + 1024,
						     SR_DISK_ZONE_SEQ_WRITE_REQUIRED,
						     SR_DISK_ZONE_CLOSED };
	return 0;
}

static void a_report_describes_as_many_zones_as_fit(void **state)
{
	struct rig *r = rig_zoned(8192);

	(void)state;
	r->fake->hook = answer_report;
	for (size_t room = 64; room < 64 + 20 * 64; room += 37) {
		uint64_t sector = room % 300, zone = sector / 128;
		uint64_t expected = sr_min((room - 64) / 64, RIG_SIZE / ZONE - zone);
		struct rig_req q = { .type = BLK_T_ZONE_REPORT, .sector = sector, .in_len = room };
		uint8_t bytes[64 + 20 * 64];
		uint64_t n, w[3];

		assert_int_equal(rig_do(r, &q), BLK_S_OK);
		rig_data(r, &q, bytes);
		memcpy(&n, bytes, 8);
		assert_int_equal(n, expected);
		for (unsigned i = 0; i < n; i++) {
			const uint8_t *d = bytes + 64 + 64 * i;

			memcpy(w, d, sizeof(w));
			assert_int_equal(w[0], 127);
			assert_int_equal(w[1], (zone + i) * 128);
			assert_int_equal(w[2], (zone + i) * 128 + 2);
			assert_int_equal(d[24], 2);
			assert_int_equal(d[25], 4);
		}
		r->cut = rig_cut_same;
		r->piece = room % 7 + 2;
	}
	rig_destroy(r);
}

static void a_report_that_cannot_be_is_refused(void **state)
{
	struct rig *r = rig_zoned(8192);
	struct rig_req q = { .type = BLK_T_ZONE_REPORT, .in_len = 63 };

	(void)state;
	assert_int_equal(rig_do(r, &q), BLK_S_ZONE_INVALID_CMD);
	q = (struct rig_req){ .type = BLK_T_ZONE_REPORT, .sector = RIG_SIZE / 512, .in_len = 256 };
	assert_int_equal(rig_do(r, &q), BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

static int fail_with(struct fake *f, struct sr_disk_req *r)
{
	(void)r;
	return *(int *)f->ctx;
}

static void errors_of_zones_have_codes_of_their_own(void **state)
{
	static const struct {
		int error;
		uint8_t status;
	} cases[] = { { -EPROTO, BLK_S_ZONE_UNALIGNED_WP },
		      { -EMFILE, BLK_S_ZONE_OPEN_RESOURCE },
		      { -EOVERFLOW, BLK_S_ZONE_ACTIVE_RESOURCE },
		      { -ENODEV, BLK_S_ZONE_INVALID_CMD },
		      { -EROFS, BLK_S_ZONE_INVALID_CMD },
		      { -EINVAL, BLK_S_ZONE_INVALID_CMD },
		      { -EIO, BLK_S_IOERR },
		      { -EOPNOTSUPP, BLK_S_UNSUPP } };
	struct rig *r = rig_zoned(8192);
	static uint8_t data[512];
	int error;

	(void)state;
	r->fake->hook = fail_with;
	r->fake->ctx = &error;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		error = cases[i].error;
		assert_int_equal(rig_write(r, 0, data, 512), cases[i].status);
		assert_int_equal(append(r, 0, 512, 8), cases[i].status);
		assert_int_equal(rig_command(r, BLK_T_ZONE_OPEN, 0), cases[i].status);
	}
	rig_destroy(r);
}

static void without_zoned_there_are_no_zones(void **state)
{
	struct rig *r = rig_zoned(8192);
	static uint8_t data[512];
	int error = -EPROTO;

	(void)state;
	rig_stop(r, 0);
	r->dev->ops->features_set(r->dev, r->dev->ops->features(r->dev) & ~SR_BLK_F_ZONED);
	rig_start(r, 0, 128);
	for (uint32_t t = BLK_T_ZONE_APPEND; t < BLK_TYPES; t++)
		assert_int_equal(rig_command(r, t, 0), BLK_S_UNSUPP);
	assert_int_equal(r->fake->logged, 0);
	r->fake->hook = fail_with;
	r->fake->ctx = &error;
	assert_int_equal(rig_write(r, 0, data, 512), BLK_S_IOERR);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_space_tells_the_zones),
		cmocka_unit_test(zone_commands_go_to_the_zone),
		cmocka_unit_test(an_append_tells_where),
		cmocka_unit_test(an_append_that_cannot_be_is_refused),
		cmocka_unit_test(a_report_describes_as_many_zones_as_fit),
		cmocka_unit_test(a_report_that_cannot_be_is_refused),
		cmocka_unit_test(errors_of_zones_have_codes_of_their_own),
		cmocka_unit_test(without_zoned_there_are_no_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
