/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device offers and tells about itself, and what a guest or operator may change. */
#include "blk_rig.h"

#include <errno.h>
#include <stdlib.h>

#define ALWAYS                                                                  \
	(SR_F_RING | SR_BLK_F_SIZE_MAX | SR_BLK_F_SEG_MAX | SR_BLK_F_BLK_SIZE | \
	 SR_BLK_F_TOPOLOGY | SR_BLK_F_FLUSH | SR_BLK_F_CONFIG_WCE)
#define RANGES (SR_BLK_F_DISCARD | SR_BLK_F_WRITE_ZEROES | SR_BLK_F_SECURE_ERASE)

static uint64_t offer_of(const struct sr_disk_info *i, const struct sr_blk_config *c)
{
	struct fake *f = fake_create(i, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, c);
	uint64_t offer = r->dev->ops->features(r->dev);

	rig_destroy(r);
	return offer;
}

static void the_offer_follows_the_medium(void **state)
{
	struct sr_blk_config c = { .name = "vda" };
	struct sr_disk_info i = fake_info(), plain = { .block_size = 512, .physical_size = 512 };

	(void)state;
	assert_int_equal(offer_of(&plain, &c), ALWAYS);
	assert_int_equal(offer_of(&i, &c), ALWAYS | RANGES);
	i.has_lifetime = true;
	assert_int_equal(offer_of(&i, &c), ALWAYS | RANGES | SR_BLK_F_LIFETIME);
	i.read_only = true;
	assert_int_equal(offer_of(&i, &c), ALWAYS | SR_BLK_F_RO | SR_BLK_F_LIFETIME);
	plain.zone_size = 65536;
	plain.can_discard = plain.can_zero = plain.can_erase = true;
	assert_int_equal(offer_of(&plain, &c), ALWAYS | SR_BLK_F_ZONED);
}

static void the_offer_follows_the_configuration(void **state)
{
	struct sr_blk_config c = { .name = "vda", .queues = 2 };
	uint64_t all = ALWAYS | RANGES | SR_BLK_F_MQ;

	(void)state;
	assert_int_equal(offer_of(NULL, &c), all);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t off = SR_BIT(bit);

		c.features_off = off;
		if (off & SR_BLK_F_FLUSH)
			off |= SR_BLK_F_CONFIG_WCE; /* 5.2.5.2: not without FLUSH */
		assert_int_equal(offer_of(NULL, &c), all & ~off);
	}
	c = (struct sr_blk_config){ .name = "vda", .read_only = true };
	assert_int_equal(offer_of(NULL, &c), ALWAYS | SR_BLK_F_RO);
}

static void a_configuration_that_cannot_be_is_refused(void **state)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct sr_blk_config c = { .name = "vda", .disk = &f->disk, .queues = 257 };
	struct sr_error e;

	(void)state;
	assert_null(sr_blk_create(&c, &e));
	assert_non_null(strstr(e.text, "257 queues"));
	c.queues = 256;
	c.serial = "123456789012345678901";
	assert_null(sr_blk_create(&c, &e));
	assert_non_null(strstr(e.text, "21 bytes"));
	c.serial = NULL;
	c.seg_max = 1023;
	assert_null(sr_blk_create(&c, &e));
	assert_non_null(strstr(e.text, "1023"));
	sr_disk_destroy(&f->disk);
	sr_blk_destroy(NULL);
}

static uint64_t field(struct rig *r, uint32_t offset, uint32_t len)
{
	uint64_t v = 0;

	r->dev->ops->config_read(r->dev, offset, &v, len);
	return v; /* little-endian, as is this machine's */
}

static void the_space_tells_the_medium(void **state)
{
	struct sr_disk_info i = fake_info();
	struct sr_blk_config c = { .name = "vda", .queues = 3, .seg_max = 126 };
	struct fake *f;
	struct rig *r;

	(void)state;
	i.discard_granularity = 65536;
	i.discard_max = 1 << 20;
	i.zero_max = 5000;
	f = fake_create(&i, RIG_SIZE);
	r = rig_create(&f->disk, &c);
	assert_int_equal(r->dev->ops->config_size, 96);
	assert_int_equal(field(r, 0, 8), RIG_SIZE / 512);
	assert_int_equal(field(r, 8, 4), 4 << 20);
	assert_int_equal(field(r, 12, 4), 126);
	assert_int_equal(field(r, 20, 4), 512);
	assert_int_equal(field(r, 24, 1), 3);	/* 4096 physical */
	assert_int_equal(field(r, 26, 2), 8);	/* io_min */
	assert_int_equal(field(r, 28, 4), 128); /* io_opt */
	assert_int_equal(field(r, 32, 1), 1);
	assert_int_equal(field(r, 34, 2), 3);
	assert_int_equal(field(r, 36, 4), 2048);
	assert_int_equal(field(r, 40, 4), BLK_RANGES_MAX);
	assert_int_equal(field(r, 44, 4), 128);
	assert_int_equal(field(r, 48, 4), 9);
	assert_int_equal(field(r, 52, 4), BLK_RANGES_MAX);
	assert_int_equal(field(r, 56, 1), 1);
	assert_int_equal(field(r, 60, 4), BLK_RANGE_SECTORS);
	assert_int_equal(field(r, 64, 4), BLK_RANGES_MAX);
	assert_int_equal(field(r, 68, 4), 128);
	for (uint32_t at = 72; at < 96; at++)
		assert_int_equal(field(r, at, 1), 0);
	rig_destroy(r);
}

static void the_space_of_a_medium_of_large_blocks_counts_them(void **state)
{
	struct sr_disk_info i = { .block_size = 4096,
				  .physical_size = 16384,
				  .io_min = 16384,
				  .io_opt = 1 << 20,
				  .can_zero = true,
				  .zero_max = 6000 };
	struct fake *f = fake_create(&i, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);

	(void)state;
	assert_int_equal(field(r, 0, 8), RIG_SIZE / 512);
	assert_int_equal(field(r, 20, 4), 4096);
	assert_int_equal(field(r, 24, 1), 2);
	assert_int_equal(field(r, 26, 2), 4);
	assert_int_equal(field(r, 28, 4), 256);
	assert_int_equal(field(r, 36, 4), 0);
	assert_int_equal(field(r, 48, 4), 8);
	assert_int_equal(field(r, 56, 1), 0);
	rig_destroy(r);
}

static void only_the_cache_mode_can_be_written(void **state)
{
	struct rig *r = rig_usual();
	uint8_t bytes[8] = { 0 };

	(void)state;
	for (uint32_t at = 0; at < 96; at++)
		assert_int_equal(r->dev->ops->config_write(r->dev, at, bytes, 1),
				 at == 32 ? 0 : -EINVAL);
	assert_false(sr_blk_info(r->blk).writeback);
	assert_int_equal(field(r, 32, 1), 0);
	bytes[0] = 2;
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, bytes, 1), -EINVAL);
	bytes[0] = 1;
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, bytes, 2), -EINVAL);
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, bytes, 1), 0);
	assert_int_equal(field(r, 32, 1), 1);
	rig_destroy(r);
}

static bool writeback_at_first(bool volatile_cache, bool writethrough)
{
	struct sr_disk_info i = fake_info();
	struct sr_blk_config c = { .name = "vda", .writethrough = writethrough };
	struct fake *f;
	struct rig *r;
	bool mode;

	i.volatile_cache = volatile_cache;
	f = fake_create(&i, RIG_SIZE);
	r = rig_create(&f->disk, &c);
	mode = sr_blk_info(r->blk).writeback;
	rig_destroy(r);
	return mode;
}

static void the_cache_mode_is_writeback_where_there_is_a_cache(void **state)
{
	(void)state;
	assert_true(writeback_at_first(true, false));
	assert_false(writeback_at_first(true, true));
	assert_false(writeback_at_first(false, false));
}

static void a_reset_takes_the_guests_choices_back(void **state)
{
	struct rig *r = rig_usual();
	uint8_t off = 0;

	(void)state;
	rig_stop(r, 0);
	assert_int_equal(r->dev->ops->config_write(r->dev, 32, &off, 1), 0);
	/* The same features again are no choice. */
	r->dev->ops->features_set(r->dev, r->dev->ops->features(r->dev));
	assert_false(sr_blk_info(r->blk).writeback);
	r->dev->ops->reset(r->dev);
	assert_true(sr_blk_info(r->blk).writeback);
	assert_int_equal(sr_blk_info(r->blk).features, 0);
	/* 5.2.5.2: who cannot flush begins with writethrough. */
	r->dev->ops->features_set(r->dev, RIG_MODERN | SR_BLK_F_CONFIG_WCE);
	assert_false(sr_blk_info(r->blk).writeback);
	rig_destroy(r);
}

static void a_new_size_reaches_the_guest(void **state)
{
	struct rig *r = rig_usual();
	static uint8_t bytes[512];

	(void)state;
	assert_int_equal(rig_read(r, RIG_SIZE / 512, bytes, 512), BLK_S_IOERR);
	fake_set_size(r->fake, 2 * RIG_SIZE);
	assert_int_equal(r->config_changes, 1);
	assert_int_equal(field(r, 0, 8), 2 * RIG_SIZE / 512);
	assert_int_equal(rig_write(r, RIG_SIZE / 512, bytes, 512), BLK_S_OK);
	fake_set_size(r->fake, RIG_SIZE / 2);
	assert_int_equal(r->config_changes, 2);
	assert_int_equal(rig_read(r, RIG_SIZE / 512 - 1, bytes, 512), BLK_S_IOERR);
	rig_destroy(r);
}

static void queues_start_stop_and_start_again(void **state)
{
	struct sr_blk_config c = { .name = "vda", .queues = 4 };
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, &c);
	struct rig_req q = { .type = BLK_T_IN, .in_len = 512 };

	(void)state;
	assert_int_equal(r->dev->ops->queue_count(r->dev), 4);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++)
			rig_start(r, i, 16);
		for (unsigned i = 0; i < 4; i++) {
			rig_add(r, i, &q);
			rig_process(r, i);
			assert_int_equal(rig_collect(r, i), 1);
			assert_int_equal(q.status, BLK_S_OK);
			assert_true(r->dev->ops->queue_drain(r->dev, i));
			rig_stop(r, i);
		}
	}
	assert_int_equal(sr_blk_counters(r->blk)->reads, 12);
	/* Stopped ones mind nothing. */
	assert_int_equal(r->dev->ops->process(r->dev, 0, 1), 0);
	assert_false(r->dev->ops->arm(r->dev, 0));
	assert_true(r->dev->ops->queue_drain(r->dev, 0));
	assert_true(r->dev->ops->queue_abandon(r->dev, 0));
	rig_destroy(r);
}

static void a_queue_without_a_channel_to_the_disk_is_broken(void **state)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);
	struct rig_req q = { .type = BLK_T_IN, .in_len = 512 };

	(void)state;
	f->fail_channels = true;
	rig_start(r, 0, 16);
	assert_non_null(strstr(r->q[0].broken, "no channel today"));
	rig_add(r, 0, &q);
	assert_int_equal(r->dev->ops->process(r->dev, 0, 1), 0);
	rig_stop(r, 0);
	f->fail_channels = false;
	rig_start(r, 0, 16);
	rig_process(r, 0);
	assert_int_equal(rig_collect(r, 0), 1);
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_offer_follows_the_medium),
		cmocka_unit_test(the_offer_follows_the_configuration),
		cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
		cmocka_unit_test(the_space_tells_the_medium),
		cmocka_unit_test(the_space_of_a_medium_of_large_blocks_counts_them),
		cmocka_unit_test(only_the_cache_mode_can_be_written),
		cmocka_unit_test(the_cache_mode_is_writeback_where_there_is_a_cache),
		cmocka_unit_test(a_reset_takes_the_guests_choices_back),
		cmocka_unit_test(a_new_size_reaches_the_guest),
		cmocka_unit_test(queues_start_stop_and_start_again),
		cmocka_unit_test(a_queue_without_a_channel_to_the_disk_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
