/* SPDX-License-Identifier: BSD-3-Clause */
/* Discard, write zeroes and secure erase. */
#include "blk_rig.h"

#include <errno.h>
#include <stdlib.h>

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

static uint8_t ranges_do(struct rig *r, uint32_t type, const struct range *v, size_t bytes)
{
	struct rig_req q = { .type = type, .out = v, .out_len = bytes };

	return rig_do(r, &q);
}

static uint8_t range_do(struct rig *r, uint32_t type, uint64_t sector, uint32_t sectors,
			uint32_t flags)
{
	struct range v = { sector, sectors, flags };

	return ranges_do(r, type, &v, sizeof(v));
}

static const struct {
	uint32_t type;
	uint8_t op;
} kinds[] = { { BLK_T_DISCARD, SR_DISK_DISCARD },
	      { BLK_T_WRITE_ZEROES, SR_DISK_ZEROES },
	      { BLK_T_SECURE_ERASE, SR_DISK_ERASE } };

static void each_range_goes_to_the_disk(void **state)
{
	static const struct range v[] = { { 8, 4, 0 }, { 100, 1, 0 }, { 0, 8, 0 } };
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned k = 0; k < SR_ARRAY_LEN(kinds); k++) {
		r->fake->logged = 0;
		assert_int_equal(ranges_do(r, kinds[k].type, v, sizeof(v)), BLK_S_OK);
		assert_int_equal(r->fake->logged, 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(r->fake->log[i].op, kinds[k].op);
			assert_int_equal(r->fake->log[i].flags, 0);
			assert_int_equal(r->fake->log[i].offset, v[i].sector * 512);
			assert_int_equal(r->fake->log[i].len, v[i].sectors * 512);
		}
	}
	assert_int_equal(sr_blk_counters(r->blk)->discards, 3);
	rig_destroy(r);
}

static void the_most_ranges_fit_in_any_framing_and_one_more_does_not(void **state)
{
	struct range v[BLK_RANGES_MAX + 1];
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(v); i++)
		v[i] = (struct range){ i * 3, 2, 0 };
	r->cut = rig_cut_same;
	for (r->piece = 1; r->piece < 40; r->piece += 6) {
		r->fake->logged = 0;
		assert_int_equal(ranges_do(r, BLK_T_DISCARD, v, BLK_RANGES_MAX * sizeof(*v)),
				 BLK_S_OK);
		assert_int_equal(r->fake->logged, BLK_RANGES_MAX);
		assert_int_equal(r->fake->log[BLK_RANGES_MAX - 1].offset,
				 (BLK_RANGES_MAX - 1) * 3 * 512);
	}
	r->fake->logged = 0;
	assert_int_equal(ranges_do(r, BLK_T_DISCARD, v, sizeof(v)), BLK_S_IOERR);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

static void a_list_that_is_none_fails(void **state)
{
	struct range v[2] = { { 0, 1, 0 }, { 1, 1, 0 } };
	struct rig *r = rig_usual();

	(void)state;
	for (size_t n = 0; n < sizeof(v); n++)
		if (n % sizeof(*v) || n == 0)
			assert_int_equal(ranges_do(r, BLK_T_DISCARD, v, n), BLK_S_IOERR);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

/* The first is sound: the list is judged whole before any of it is done. */
static void one_bad_range_spoils_the_list(void **state)
{
	static const struct {
		struct range bad;
		uint8_t status;
	} cases[] = { { { RIG_SIZE / 512, 1, 0 }, BLK_S_IOERR },
		      { { RIG_SIZE / 512 - 1, 2, 0 }, BLK_S_IOERR },
		      { { UINT64_MAX, 1, 0 }, BLK_S_IOERR },
		      { { UINT64_MAX, UINT32_MAX, 0 }, BLK_S_IOERR },
		      { { 0, UINT32_MAX, 0 }, BLK_S_IOERR },
		      { { 0, BLK_RANGE_SECTORS + 1, 0 }, BLK_S_IOERR },
		      { { 0, 1, 2 }, BLK_S_UNSUPP },
		      { { 0, 1, 0x80000000 }, BLK_S_UNSUPP } };
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		for (unsigned k = 0; k < SR_ARRAY_LEN(kinds); k++) {
			struct range v[2] = { { 0, 1, 0 }, cases[i].bad };

			assert_int_equal(ranges_do(r, kinds[k].type, v, sizeof(v)),
					 cases[i].status);
		}
	}
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

/* As Linux sends it; the list is in what a device may write, and nothing else is taken so. */
static void an_erase_list_may_be_in_the_writable_part(void **state)
{
	static const struct range v[] = { { 8, 4, 0 }, { 100, 1, 0 } };
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned k = 0; k < SR_ARRAY_LEN(kinds); k++) {
		bool erase = kinds[k].type == BLK_T_SECURE_ERASE;
		struct rig_req q = { .type = kinds[k].type, .in_len = sizeof(v) };

		rig_add(r, 0, &q);
		memcpy(rig_at(r, q.sg[1].addr), v, sizeof(v));
		rig_process(r, 0);
		assert_int_equal(rig_collect(r, 0), 1);
		assert_int_equal(q.status, erase ? BLK_S_OK : BLK_S_IOERR);
	}
	assert_int_equal(r->fake->logged, 2);
	assert_int_equal(r->fake->log[0].op, SR_DISK_ERASE);
	assert_int_equal(r->fake->log[1].offset, 100 * 512);
	rig_destroy(r);
}

static void only_zeroes_may_unmap(void **state)
{
	struct sr_disk_info i = fake_info();
	struct rig *r = rig_usual();

	(void)state;
	assert_int_equal(range_do(r, BLK_T_DISCARD, 0, 1, 1), BLK_S_UNSUPP);
	assert_int_equal(range_do(r, BLK_T_SECURE_ERASE, 0, 1, 1), BLK_S_UNSUPP);
	assert_int_equal(r->fake->logged, 0);
	assert_int_equal(range_do(r, BLK_T_WRITE_ZEROES, 0, 1, 1), BLK_S_OK);
	assert_int_equal(r->fake->log[0].flags, SR_DISK_UNMAP);
	rig_destroy(r);
	/* Where the medium cannot, zeroes are written. */
	i.can_discard = false;
	r = rig_create(&fake_create(&i, RIG_SIZE)->disk, NULL);
	r->fake = SR_CONTAINER_OF(r->disk, struct fake, disk);
	rig_start(r, 0, 128);
	assert_int_equal(range_do(r, BLK_T_WRITE_ZEROES, 0, 1, 1), BLK_S_OK);
	assert_int_equal(r->fake->log[0].flags, 0);
	rig_destroy(r);
}

static void zeroes_are_durable_in_writethrough(void **state)
{
	struct rig *r = rig_usual();
	uint8_t off = 0;

	(void)state;
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, &off, 1), 0);
	assert_int_equal(range_do(r, BLK_T_WRITE_ZEROES, 0, 1, 0), BLK_S_OK);
	assert_int_equal(r->fake->log[0].flags, SR_DISK_FUA);
	assert_int_equal(range_do(r, BLK_T_DISCARD, 0, 1, 0), BLK_S_OK);
	assert_int_equal(r->fake->log[1].flags, 0);
	rig_destroy(r);
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	struct rig *r = rig_usual();

	(void)state;
	rig_stop(r, 0);
	r->dev->ops->features_set(r->dev, RIG_MODERN);
	rig_start(r, 0, 128);
	for (unsigned k = 0; k < SR_ARRAY_LEN(kinds); k++)
		assert_int_equal(range_do(r, kinds[k].type, 0, 1, 0), BLK_S_UNSUPP);
	assert_int_equal(r->fake->logged, 0);
	rig_destroy(r);
}

static void ranges_are_whole_blocks(void **state)
{
	struct sr_disk_info i = fake_info();
	struct rig *r;

	(void)state;
	i.block_size = 4096;
	r = rig_create(&fake_create(&i, RIG_SIZE)->disk, NULL);
	r->fake = SR_CONTAINER_OF(r->disk, struct fake, disk);
	rig_start(r, 0, 128);
	assert_int_equal(range_do(r, BLK_T_DISCARD, 0, 7, 0), BLK_S_IOERR);
	assert_int_equal(range_do(r, BLK_T_DISCARD, 7, 8, 0), BLK_S_IOERR);
	assert_int_equal(range_do(r, BLK_T_DISCARD, 8, 8, 0), BLK_S_OK);
	rig_destroy(r);
}

static void empty_ranges_are_done_without_the_disk(void **state)
{
	static const struct range v[] = { { 4, 0, 0 }, { 8, 2, 0 }, { 9, 0, 0 }, { 20, 1, 0 } };
	struct rig *r = rig_usual();

	(void)state;
	assert_int_equal(range_do(r, BLK_T_DISCARD, 4, 0, 0), BLK_S_OK);
	assert_int_equal(r->fake->logged, 0);
	assert_int_equal(ranges_do(r, BLK_T_DISCARD, v, sizeof(v)), BLK_S_OK);
	assert_int_equal(r->fake->logged, 2);
	rig_destroy(r);
}

static int fail_at_sector(struct fake *f, struct sr_disk_req *r)
{
	const int *errors = f->ctx;

	return errors[r->offset / 512];
}

static void the_first_error_of_any_range_is_the_answer(void **state)
{
	static const struct range v[] = { { 0, 1, 0 }, { 1, 1, 0 }, { 2, 1, 0 }, { 3, 1, 0 } };
	struct rig_req q = { .type = BLK_T_DISCARD, .out = v, .out_len = sizeof(v) };
	int errors[4] = { 0, -EOPNOTSUPP, 0, -EIO };
	struct rig *r = rig_usual();

	(void)state;
	r->fake->hook = fail_at_sector;
	r->fake->ctx = errors;
	assert_int_equal(ranges_do(r, BLK_T_DISCARD, v, sizeof(v)), BLK_S_UNSUPP);
	/* They end in another order: and not before the last of them. */
	r->fake->hold = true;
	rig_add(r, 0, &q);
	rig_process(r, 0);
	assert_int_equal(r->fake->channel->n, 4);
	assert_int_equal(sr_blk_in_flight(r->blk), 1);
	for (unsigned left = 4; left; left--) {
		assert_int_equal(rig_collect(r, 0), 0);
		fake_finish(r->fake, left - 1);
		fake_poll(r->fake);
	}
	assert_int_equal(rig_collect(r, 0), 1);
	assert_int_equal(q.status, BLK_S_IOERR);
	rig_destroy(r);
}

/* More parts in one pass than a batch of the disk holds. */
static void many_lists_go_at_once(void **state)
{
	static struct rig_req q[60];
	struct range v[BLK_RANGES_MAX];
	struct rig *r = rig_usual();

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(v); i++)
		v[i] = (struct range){ i, 1, 0 };
	r->fake->hold = true;
	for (unsigned i = 0; i < SR_ARRAY_LEN(q); i++) {
		q[i] = (struct rig_req){ .type = BLK_T_DISCARD, .out = v, .out_len = sizeof(v) };
		rig_add(r, 0, &q[i]);
	}
	rig_process(r, 0);
	assert_int_equal(r->fake->channel->n, SR_ARRAY_LEN(q) * BLK_RANGES_MAX);
	fake_finish_all_backwards(r->fake);
	assert_int_equal(rig_collect(r, 0), SR_ARRAY_LEN(q));
	for (unsigned i = 0; i < SR_ARRAY_LEN(q); i++)
		assert_int_equal(q[i].status, BLK_S_OK);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_range_goes_to_the_disk),
		cmocka_unit_test(the_most_ranges_fit_in_any_framing_and_one_more_does_not),
		cmocka_unit_test(a_list_that_is_none_fails),
		cmocka_unit_test(one_bad_range_spoils_the_list),
		cmocka_unit_test(an_erase_list_may_be_in_the_writable_part),
		cmocka_unit_test(only_zeroes_may_unmap),
		cmocka_unit_test(zeroes_are_durable_in_writethrough),
		cmocka_unit_test(what_was_not_negotiated_is_unsupported),
		cmocka_unit_test(ranges_are_whole_blocks),
		cmocka_unit_test(empty_ranges_are_done_without_the_disk),
		cmocka_unit_test(the_first_error_of_any_range_is_the_answer),
		cmocka_unit_test(many_lists_go_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
