/* SPDX-License-Identifier: BSD-3-Clause */
#include "vscsi_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define Q VSCSI_REQUEST

static const struct sr_scsi_config plain = { .name = "s", .queues = 1 };
static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36, 0 };

struct usual {
	struct rig *r;
	struct slow *disk;
	struct sr_scsi_unit *unit;
};

/* One unit at target 3, unit 5, on one loop. */
static struct usual usual_begin(uint64_t features)
{
	struct usual u = { .r = rig_create(&plain, 0, features),
			   .disk = slow_create("d", RIG_DISK) };

	u.unit = rig_unit(&u.disk->disk);
	rig_attach(u.r, 3, 5, u.unit);
	rig_start_all(u.r);
	rig_clear_attention(u.r, Q, 3, 5);
	return u;
}

static void usual_end(struct usual *u)
{
	rig_destroy(u->r);
	rig_unit_free(u->unit);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed * 31);
}

static void offers_what_it_serves_less_what_is_switched_off(void **state)
{
	struct sr_scsi_config c = { .name = "s", .features_off = SR_SCSI_F_T10_PI };
	struct rig *r = rig_create(&c, 0, 0);

	(void)state;
	assert_int_equal(r->dev->ops->features(r->dev),
			 SR_F_RING | SR_SCSI_F_INOUT | SR_SCSI_F_HOTPLUG | SR_SCSI_F_CHANGE);
	assert_int_equal(r->dev->ops->queue_count(r->dev), 3);
	rig_destroy(r);
}

static void refuses_a_senseless_configuration(void **state)
{
	struct sr_scsi_config many = { .name = "s", .queues = 129 };
	struct sr_error e;

	(void)state;
	assert_null(sr_scsi_create(&many, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_null(sr_scsi_create(&plain, &e)); /* no control loop */
	assert_int_equal(e.code, -EINVAL);
	sr_scsi_destroy(NULL);
}

static uint32_t u32_at(struct rig *r, uint32_t offset)
{
	uint32_t v;

	r->dev->ops->config_read(r->dev, offset, &v, 4);
	return v;
}

static int set_u32(struct rig *r, uint32_t offset, uint32_t v)
{
	return r->dev->ops->config_write(r->dev, offset, &v, 4);
}

static void the_driver_may_change_two_sizes_within_bounds_until_the_next_reset(void **state)
{
	struct rig *r = rig_create(&plain, 0, RIG_MODERN);
	uint8_t all[36];

	(void)state;
	assert_int_equal(r->dev->ops->config_size, sizeof(all));
	r->dev->ops->config_read(r->dev, 0, all, sizeof(all));
	assert_memory_equal(all,
			    "\1\0\0\0\xfe\0\0\0\xff\xff\0\0\0\4\0\0\x10\0\0\0\x60\0\0\0\x20\0\0\0"
			    "\0\0\xff\0\xff\x3f\0\0",
			    sizeof(all));
	assert_int_equal(set_u32(r, 20, 252), 0);
	assert_int_equal(set_u32(r, 20, 253), -EINVAL);
	assert_int_equal(set_u32(r, 24, 260), 0);
	assert_int_equal(set_u32(r, 24, 261), -EINVAL);
	assert_int_equal(set_u32(r, 24, 0), -EINVAL);
	assert_int_equal(u32_at(r, 20), 252);
	assert_int_equal(u32_at(r, 24), 260);
	assert_int_equal(set_u32(r, 0, 2), -EINVAL);
	assert_int_equal(set_u32(r, 32, 1), -EINVAL);
	assert_int_equal(r->dev->ops->config_write(r->dev, 0, all, sizeof(all)), 0);
	assert_int_equal(u32_at(r, 20), 96);
	set_u32(r, 24, 16);
	rig_reset(r);
	assert_int_equal(u32_at(r, 24), 32);
	rig_destroy(r);
}

static void reads_what_was_written(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	uint8_t data[4096], back[4096];
	struct rig_cmd w = rig_write(3, 5, 100, data, 8), rd = rig_read(3, 5, 100, 8);
	const struct sr_scsi_counters *n = sr_scsi_counters(u.r->scsi);

	(void)state;
	fill(data, sizeof(data), 1);
	assert_int_equal(rig_do(u.r, Q, &w), VSCSI_OK);
	assert_int_equal(w.status, SR_SCSI_GOOD);
	assert_int_equal(w.residual, 0);
	assert_int_equal(w.used, 108);
	assert_memory_equal(u.disk->bytes + 100 * 512, data, sizeof(data));
	assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
	assert_int_equal(rd.used, 108 + sizeof(data));
	rig_data(u.r, &rd, back, sizeof(back));
	assert_memory_equal(back, data, sizeof(back));
	assert_int_equal(atomic_load(&n->commands), 3);
	assert_int_equal(atomic_load(&n->read_bytes), sizeof(data));
	assert_int_equal(atomic_load(&n->written_bytes), sizeof(data));
	assert_int_equal(atomic_load(&n->check_conditions), 1);
	assert_int_equal(sr_scsi_in_flight(u.r->scsi), 0);
	usual_end(&u);
}

static void sense_data_and_residual_come_back(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd past = rig_read(3, 5, RIG_DISK / 512, 1);
	struct rig_cmd inq = rig_cmd(3, 5, inquiry, 6);

	(void)state;
	assert_int_equal(rig_do(u.r, Q, &past), VSCSI_OK);
	assert_int_equal(past.status, SR_SCSI_CHECK_CONDITION);
	assert_true(past.sense_len >= 18);
	assert_int_equal(past.sense[2] & 0xf, 5);
	assert_int_equal(past.sense[12], 0x21);
	assert_int_equal(past.residual, 512);
	inq.in_len = 100;
	assert_int_equal(rig_do(u.r, Q, &inq), VSCSI_OK);
	assert_int_equal(inq.residual, 64);
	assert_int_equal(inq.used, 108 + 36);
	usual_end(&u);
}

static void a_cdb_that_asks_for_more_than_the_buffers_hold_overruns(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd rd = rig_read(3, 5, 0, 8);

	(void)state;
	rd.in_len = 512;
	assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OVERRUN);
	usual_end(&u);
}

static void a_smaller_sense_size_cuts_sense_data_and_moves_the_data(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd past = rig_read(3, 5, RIG_DISK / 512, 1), rd = rig_read(3, 5, 0, 1);
	uint8_t back[512];

	(void)state;
	memset(u.disk->bytes, 0x5a, 512);
	assert_int_equal(set_u32(u.r, 20, 8), 0);
	assert_int_equal(set_u32(u.r, 24, 12), 0);
	assert_int_equal(rig_do(u.r, Q, &past), VSCSI_OK);
	assert_int_equal(past.sense_len, 8);
	assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
	assert_int_equal(rd.used, 20 + 512);
	rig_data(u.r, &rd, back, sizeof(back));
	assert_memory_equal(back, u.disk->bytes, sizeof(back));
	assert_int_equal(set_u32(u.r, 24, 260), 0);
	assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
	usual_end(&u);
}

struct address {
	uint8_t lun[8];
	uint8_t response, status;
};

static void addresses_are_taken_in_the_forms_that_the_specification_has(void **state)
{
	static const struct address as[] = {
		{ { 1, 3, 0, 5 }, VSCSI_OK, SR_SCSI_GOOD },
		{ { 1, 3, 0x40, 5 }, VSCSI_OK, SR_SCSI_GOOD },
		{ { 1, 3, 0x7f, 0xff }, VSCSI_OK, SR_SCSI_GOOD },
		{ { 1, 3, 0, 6 }, VSCSI_OK, SR_SCSI_CHECK_CONDITION },
		{ { 1, 3, 0xc1, 1 }, VSCSI_OK, SR_SCSI_CHECK_CONDITION },
		{ { 0xc1, 1 }, VSCSI_OK, SR_SCSI_CHECK_CONDITION },
		{ { 1, 2, 0, 5 }, VSCSI_BAD_TARGET },
		{ { 0, 3, 0, 5 }, VSCSI_BAD_TARGET },
		{ { 1, 3, 0x80, 5 }, VSCSI_BAD_TARGET },
		{ { 1, 3, 1, 5 }, VSCSI_BAD_TARGET },
		{ { 1, 3, 0xc1, 2 }, VSCSI_BAD_TARGET },
		{ { 0xc1, 2 }, VSCSI_BAD_TARGET },
		{ { 0xc1, 1, 0, 5 }, VSCSI_BAD_TARGET },
		{ { 1, 3, 0, 5, 1 }, VSCSI_BAD_TARGET },
		{ { 1, 3, 0, 5, 0, 0, 0, 1 }, VSCSI_BAD_TARGET },
	};
	struct usual u = usual_begin(RIG_MODERN);
	struct sr_scsi_unit *last = rig_unit(&slow_create("last", RIG_DISK)->disk);

	(void)state;
	rig_attach(u.r, 3, SR_SCSI_LUN_MAX, last);
	rig_clear_attention(u.r, Q, 3, SR_SCSI_LUN_MAX);
	rig_clear_attention(u.r, Q, 3, 5);
	for (unsigned i = 0; i < SR_ARRAY_LEN(as); i++) {
		struct rig_cmd c = rig_cmd(0, 0, (uint8_t[6]){ 0 }, 6);

		memcpy(c.lun, as[i].lun, 8);
		assert_int_equal(rig_do(u.r, Q, &c), as[i].response);
		assert_int_equal(c.status, as[i].status);
	}
	usual_end(&u);
	rig_unit_free(last);
}

static void a_target_without_that_unit_says_so_in_its_inquiry(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd c = rig_cmd(3, 0, inquiry, 6);
	uint8_t first;

	(void)state;
	c.in_len = 36;
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_GOOD);
	rig_data(u.r, &c, &first, 1);
	assert_int_equal(first, 0x7f);
	usual_end(&u);
}

static unsigned report_luns(struct rig *r, const uint8_t lun[8], uint8_t *to, uint32_t room)
{
	uint8_t cdb[12] = { 0xa0 };
	struct rig_cmd c;

	sr_put_be32(cdb + 6, room);
	c = rig_cmd(0, 0, cdb, sizeof(cdb));
	memcpy(c.lun, lun, 8);
	c.in_len = room;
	assert_int_equal(rig_do(r, Q, &c), VSCSI_OK);
	assert_int_equal(c.status, SR_SCSI_GOOD);
	rig_data(r, &c, to, room);
	return sr_get_be32(to) / 8;
}

static void units_report_all_of_their_target_and_the_well_known_one_all_there_are(void **state)
{
	static struct sr_scsi_unit *units[400];
	static uint8_t got[8 + 8 * 512];
	struct usual u = usual_begin(RIG_MODERN);

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		units[i] = rig_unit(&slow_create("d", 4096)->disk);
		rig_attach(u.r, 200, i, units[i]);
	}
	assert_int_equal(report_luns(u.r, (uint8_t[8]){ 1, 3, 0, 5 }, got, sizeof(got)), 1);
	assert_memory_equal(got + 8, "\0\5\0\0\0\0\0\0", 8);
	assert_int_equal(report_luns(u.r, (uint8_t[8]){ 1, 200, 0, 9 }, got, sizeof(got)), 400);
	assert_memory_equal(got + 8 + 8 * 255, "\0\xff\0\0\0\0\0\0\x41\0\0\0\0\0\0\0", 16);
	assert_int_equal(report_luns(u.r, (uint8_t[8]){ 1, 200, 0xc1, 1 }, got, sizeof(got)), 400);
	assert_int_equal(report_luns(u.r, (uint8_t[8]){ 0xc1, 1 }, got, sizeof(got)), 401);
	assert_memory_equal(got + 8, "\1\3\0\5\0\0\0\0\1\xc8\0\0\0\0\0\0", 16);
	usual_end(&u);
	for (unsigned i = 0; i < 400; i++)
		rig_unit_free(units[i]);
}

static void data_in_both_directions_needs_inout(void **state)
{
	uint8_t data[512] = { 1 };

	(void)state;
	for (unsigned on = 0; on < 2; on++) {
		struct usual u = usual_begin(RIG_MODERN | (on ? SR_SCSI_F_INOUT : 0));
		struct rig_cmd c = rig_read(3, 5, 0, 1);

		c.out = data;
		c.out_len = sizeof(data);
		assert_int_equal(rig_do(u.r, Q, &c), on ? VSCSI_OK : VSCSI_FAILURE);
		assert_int_equal(c.residual, on ? 512 : 1024);
		usual_end(&u);
	}
}

static void hostile_frames_are_refused_and_the_ring_goes_on(void **state)
{
	struct usual u = usual_begin(RIG_MODERN | SR_SCSI_F_T10_PI);
	uint8_t head[59] = { 1, 3, 0, 5 };
	struct rig_cmd c = { 0 };

	(void)state;
	for (uint32_t len = 0; len < sizeof(head); len += 7) {
		rig_send_raw(u.r, Q, &c, head, len, 108);
		rig_kick(u.r, Q);
		rig_until_done(u.r, Q, &c);
		assert_int_equal(c.response, VSCSI_FAILURE);
	}
	for (uint32_t room = 0; room < 108; room += 3) {
		rig_send_raw(u.r, Q, &c, head, sizeof(head), room);
		rig_kick(u.r, Q);
		rig_until_done(u.r, Q, &c);
		assert_int_equal(c.used, room);
		assert_int_equal(c.response, room < 12 ? 0xff : VSCSI_FAILURE);
	}
	/* More protection information than there are bytes. */
	for (unsigned i = 0; i < 2; i++) {
		memset(head + 19, 0, 8);
		memcpy(head + 19 + 4 * i, "\xff\xff\xff\xff", 4);
		rig_send_raw(u.r, Q, &c, head, sizeof(head), 108);
		rig_kick(u.r, Q);
		rig_until_done(u.r, Q, &c);
		assert_int_equal(c.response, VSCSI_FAILURE);
	}
	assert_int_equal(atomic_load(&sr_scsi_counters(u.r->scsi)->malformed), 9 + 36 + 2);
	assert_false(atomic_load(&u.r->q[Q].broken));
	rig_clear_attention(u.r, Q, 3, 5);
	usual_end(&u);
}

static void a_unit_that_cannot_be_used_now_is_busy(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct slow *dead = slow_create("dead", RIG_DISK);
	struct sr_scsi_unit *unit = rig_unit(&dead->disk);
	struct rig_cmd c = rig_cmd(3, 7, inquiry, 6);

	(void)state;
	c.in_len = 36;
	atomic_store(&dead->dead, true);
	rig_attach(u.r, 3, 7, unit);
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_BUSY);
	atomic_store(&dead->dead, false);
	assert_int_equal(rig_do(u.r, Q, &c), VSCSI_OK);
	usual_end(&u);
	rig_unit_free(unit);
}

static bool all_held(void *ctx)
{
	struct slow *d = ctx;

	return atomic_load(&d->held) == VSCSI_COMMANDS_MAX;
}

static bool none_left(void *ctx)
{
	struct rig *r = ctx;

	rig_collect(r, Q + 1);
	return sr_drvq_free(r->q[Q + 1].drv) == 2048 && !sr_scsi_in_flight(r->scsi);
}

/* Past the limit a queue waits for its own commands, not for ever. */
static void a_queue_has_a_limited_number_of_commands_under_way(void **state)
{
	const struct sr_scsi_config two = { .name = "s", .queues = 2 };
	static struct rig_cmd c[1500];
	struct slow *disk = slow_create("d", RIG_DISK);
	struct sr_scsi_unit *unit = rig_unit(&disk->disk);
	struct rig *r = rig_create(&two, 0, RIG_MODERN);

	(void)state;
	rig_attach(r, 3, 5, unit);
	rig_start(r, Q, 128);
	rig_start(r, Q + 1, 2048);
	rig_clear_attention(r, Q, 3, 5);
	atomic_store(&disk->hold, true);
	for (unsigned i = 0; i < SR_ARRAY_LEN(c); i++) {
		c[i] = rig_read(3, 5, i, 1);
		rig_send(r, Q + 1, &c[i]);
	}
	rig_kick(r, Q + 1);
	rig_until(r, all_held, disk);
	rig_settle(r);
	assert_int_equal(sr_scsi_in_flight(r->scsi), VSCSI_COMMANDS_MAX);
	atomic_store(&disk->hold, false);
	rig_until(r, none_left, r);
	for (unsigned i = 0; i < SR_ARRAY_LEN(c); i++)
		assert_true(c[i].done && c[i].response == VSCSI_OK);
	rig_destroy(r);
	rig_unit_free(unit);
}

/* Protection information is before the data and is not taken for it. */
static void protection_information_is_kept_apart_from_data(void **state)
{
	struct usual u = usual_begin(RIG_MODERN | SR_SCSI_F_T10_PI);
	uint8_t data[2048], back[2048], pi[32];

	(void)state;
	memset(pi, 0x99, sizeof(pi));
	for (unsigned round = 0; round < 200; round++) {
		struct rig_cmd w = rig_write(3, 5, 8, data, 4), rd = rig_read(3, 5, 8, 4);

		fill(data, sizeof(data), round);
		u.r->seed = round;
		w.pi_out = pi;
		w.pi_out_len = round % 2 ? sizeof(pi) : 0;
		rd.pi_in_len = round % 3 ? 32 : 0;
		assert_int_equal(rig_do(u.r, Q, &w), VSCSI_OK);
		assert_int_equal(w.status, SR_SCSI_GOOD);
		assert_memory_equal(u.disk->bytes + 8 * 512, data, sizeof(data));
		assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
		rig_data(u.r, &rd, back, sizeof(back));
		assert_memory_equal(back, data, sizeof(data));
	}
	usual_end(&u);
}

/* Any framing gives what the plain one does. */
static void framing_does_not_matter(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	static uint8_t data[16 * 512], back[16 * 512];
	unsigned dice = 7;
	size_t used = u.r->used;

	(void)state;
	for (unsigned round = 1; round <= 2000; round++) {
		uint32_t block = (uint32_t)rand_r(&dice) % 1000;
		uint16_t n = (uint16_t)(rand_r(&dice) % 16 + 1);
		struct rig_cmd w = rig_write(3, 5, block, data, n), rd = rig_read(3, 5, block, n);

		u.r->used = used;
		u.r->seed = round;
		fill(data, n * 512u, round);
		rig_send(u.r, Q, &w);
		assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
		assert_true(w.done && w.response == VSCSI_OK && w.status == SR_SCSI_GOOD);
		assert_int_equal(w.residual, 0);
		assert_memory_equal(u.disk->bytes + block * 512, data, n * 512u);
		assert_int_equal(rd.used, 108 + n * 512u);
		rig_data(u.r, &rd, back, n * 512u);
		assert_memory_equal(back, data, n * 512u);
	}
	usual_end(&u);
}

/* All bytes from the response to the end of the data, whatever piece they lie in. */
static void all_that_was_written_is_in_the_dirty_log(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	static uint8_t bits[4096];
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct sr_error e;

	(void)state;
	assert_true(fd >= 0 && !ftruncate(fd, sizeof(bits)));
	assert_int_equal(sr_mem_set_log(u.r->mem, fd, 0, sizeof(bits), &e), 0);
	sr_mem_log_enable(u.r->mem, true);
	for (unsigned round = 0; round < 50; round++) {
		struct rig_cmd rd = rig_read(3, 5, 0, 32);
		uint64_t last;

		u.r->seed = round;
		assert_int_equal(rig_do(u.r, Q, &rd), VSCSI_OK);
		last = (rd.in_at + rd.used - 1) / 4096;
		assert_int_equal(pread(fd, bits, sizeof(bits), 0), sizeof(bits));
		for (uint64_t p = rd.in_at / 4096; p <= last; p++)
			assert_true(bits[p / 8] >> p % 8 & 1);
	}
	close(fd);
	usual_end(&u);
}

static void a_broken_ring_is_told_and_ends_what_was_taken(void **state)
{
	struct usual u = usual_begin(RIG_MODERN);
	struct rig_cmd rd = rig_read(3, 5, 0, 1);

	(void)state;
	atomic_store(&u.disk->hold, true);
	rig_send(u.r, Q, &rd);
	rig_kick(u.r, Q);
	rig_settle(u.r);
	assert_int_equal(sr_scsi_in_flight(u.r->scsi), 1);
	/* The avail index jumps. */
	*(uint16_t *)(void *)(rig_at(u.r, u.r->q[Q].ring) + sr_drvq_layout(128).avail + 2) += 999;
	eventfd_write(u.r->q[Q].kick, 1);
	rig_settle(u.r);
	assert_true(atomic_load(&u.r->q[Q].broken));
	atomic_store(&u.disk->hold, false);
	rig_until_done(u.r, Q, &rd);
	assert_int_equal(rd.response, VSCSI_OK);
	usual_end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers_what_it_serves_less_what_is_switched_off),
		cmocka_unit_test(refuses_a_senseless_configuration),
		cmocka_unit_test(
			the_driver_may_change_two_sizes_within_bounds_until_the_next_reset),
		cmocka_unit_test(reads_what_was_written),
		cmocka_unit_test(sense_data_and_residual_come_back),
		cmocka_unit_test(a_cdb_that_asks_for_more_than_the_buffers_hold_overruns),
		cmocka_unit_test(a_smaller_sense_size_cuts_sense_data_and_moves_the_data),
		cmocka_unit_test(addresses_are_taken_in_the_forms_that_the_specification_has),
		cmocka_unit_test(a_target_without_that_unit_says_so_in_its_inquiry),
		cmocka_unit_test(
			units_report_all_of_their_target_and_the_well_known_one_all_there_are),
		cmocka_unit_test(data_in_both_directions_needs_inout),
		cmocka_unit_test(hostile_frames_are_refused_and_the_ring_goes_on),
		cmocka_unit_test(a_unit_that_cannot_be_used_now_is_busy),
		cmocka_unit_test(a_queue_has_a_limited_number_of_commands_under_way),
		cmocka_unit_test(protection_information_is_kept_apart_from_data),
		cmocka_unit_test(framing_does_not_matter),
		cmocka_unit_test(all_that_was_written_is_in_the_dirty_log),
		cmocka_unit_test(a_broken_ring_is_told_and_ends_what_was_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
