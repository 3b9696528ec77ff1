/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands against the device side of the ring room, in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "iov.h"
#include "scsi_driver.h"

#include <errno.h>
#include <slipring/virtio.h>
#include <slipring/vq.h>
#include <sys/mman.h>
#include <unistd.h>

#define GPA	0x10000000ull
#define BYTES	0x10000u
#define RING	16u
#define META_AT 0x2000u
#define DATA_AT 0x4000u
#define LEN	4096u
#define HEADER	51u
#define ANSWER	108u

/* One command's memory behind a ring, and the device's side of it. */
struct rig {
	struct sr_drvq *drvq;
	struct sr_vq *vq;
	struct sr_mem *mem;
	struct sr_iov_pool pool;
	struct sr_scsi_driver_req req;
	struct sr_chain chain;
	uint8_t *at;
	int fd;
};

static void rig_start(struct rig *r)
{
	struct sr_drvq_layout at = sr_drvq_layout(RING);
	uint64_t ring = (uintptr_t)r->at;
	struct sr_vq_config vc = { .size = RING,
				   .features = SR_F_VERSION_1,
				   .desc = ring + at.desc,
				   .avail = ring + at.avail,
				   .used = ring + at.used };
	struct sr_drvq_config dc = { .size = RING, .features = SR_F_VERSION_1, .ring = r->at };
	struct sr_error e;

	r->drvq = sr_drvq_create(&dc, &e);
	assert_non_null(r->drvq);
	r->vq = sr_vq_create();
	assert_int_equal(sr_vq_start(r->vq, &vc, r->mem, &e), 0);
}

static void rig_init(struct rig *r)
{
	struct sr_region region = { .gpa = GPA, .size = BYTES };
	struct sr_error e;

	memset(r, 0, sizeof(*r));
	r->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->fd, BYTES), 0);
	r->at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	assert_true(r->at != MAP_FAILED);
	region.uva = (uintptr_t)r->at;
	region.fd = r->fd;
	r->mem = sr_mem_create();
	assert_int_equal(sr_mem_set_regions(r->mem, &region, 1, &e), 0);
	assert_int_equal(sr_iov_pool_init(&r->pool, 64), 0);
	rig_start(r);
	sr_scsi_driver_req_init(&r->req, (void *)(r->at + META_AT), GPA + META_AT, GPA + DATA_AT,
				LEN, 5, 300);
}

static void rig_finish(struct rig *r)
{
	sr_vq_stop(r->vq);
	sr_vq_destroy(r->vq);
	sr_drvq_destroy(r->drvq);
	sr_iov_pool_finish(&r->pool);
	sr_mem_destroy(r->mem);
	munmap(r->at, BYTES);
	close(r->fd);
}

/* Sends the command and shows it to the device. */
static void send(struct rig *r, enum sr_scsi_driver_data direction, uint64_t tag)
{
	assert_int_equal(sr_scsi_driver_add(r->drvq, &r->req, direction, tag, r), 0);
	sr_drvq_publish(r->drvq);
	sr_iov_pool_reset(&r->pool);
	assert_int_equal(sr_vq_pop(r->vq, &r->chain, 1, &r->pool), 1);
}

/* The device answers with `len` bytes of a response. */
static bool answer(struct rig *r, const void *response, uint32_t len,
		   struct sr_scsi_driver_result *result)
{
	struct sr_used used;

	sr_iov_write(r->chain.in, r->chain.nin, 0, response, len);
	r->chain.written = ANSWER;
	sr_vq_push(r->vq, &r->chain, 1);
	sr_vq_publish(r->vq);
	assert_int_equal(sr_drvq_get(r->drvq, &used, 1), 1);
	assert_ptr_equal(used.token, r);
	return sr_scsi_driver_result(&r->req, result);
}

static void commands_are_framed_as_virtio_says(void **state)
{
	static const uint8_t good[ANSWER] = { 0 };
	static const uint8_t lun[8] = { 1, 5, 0x41, 0x2c };
	struct sr_scsi_driver_result result;
	uint8_t header[HEADER];
	uint64_t tag;
	struct rig r;

	(void)state;
	rig_init(&r);
	for (unsigned round = 0; round < 3 * RING; round++) {
		sr_scsi_driver_io(r.req.meta->cdb, true, 7, 8);
		send(&r, SR_SCSI_DRIVER_WRITES, round + 1);
		assert_int_equal(r.chain.out_len, HEADER + LEN);
		assert_int_equal(r.chain.in_len, ANSWER);
		sr_iov_read(r.chain.out, r.chain.nout, 0, header, HEADER);
		assert_memory_equal(header, lun, 8);
		memcpy(&tag, header + 8, 8);
		assert_int_equal(tag, round + 1);
		assert_int_equal(header[19], 0x2a);
		assert_true(answer(&r, good, ANSWER, &result));

		send(&r, SR_SCSI_DRIVER_READS, 1);
		assert_int_equal(r.chain.out_len, HEADER);
		assert_int_equal(r.chain.in_len, ANSWER + LEN);
		assert_true(answer(&r, good, ANSWER, &result));

		send(&r, SR_SCSI_DRIVER_NONE, 1);
		assert_int_equal(r.chain.out_len, HEADER);
		assert_int_equal(r.chain.in_len, ANSWER);
		assert_true(answer(&r, good, ANSWER, &result));
	}
	rig_finish(&r);
}

static void check_name(const struct sr_scsi_driver_result *result, const char *want)
{
	char name[64];

	sr_scsi_driver_result_name(result, name, sizeof(name));
	assert_string_equal(name, want);
}

static void what_went_wrong_is_named(void **state)
{
	/* sense_len, residual, qualifier, status, response, sense */
	uint8_t fixed[ANSWER] = { 18, [10] = 2, [12] = 0x70, [14] = 3, [24] = 0x11 };
	uint8_t by_descriptor[ANSWER] = { 8, [10] = 2, [12] = 0x72, [13] = 5, [14] = 0x21 };
	uint8_t no_sense[ANSWER] = { 255, 255, 255, 255, [10] = 2, [12] = 0x13 };
	uint8_t busy[ANSWER] = { [10] = 8 }, bad_target[ANSWER] = { [10] = 2, [11] = 3 };
	struct sr_scsi_driver_result result;
	struct rig r;

	(void)state;
	rig_init(&r);
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, fixed, ANSWER, &result));
	check_name(&result, "CHECK CONDITION, MEDIUM ERROR, 11/00");
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, by_descriptor, ANSWER, &result));
	check_name(&result, "CHECK CONDITION, ILLEGAL REQUEST, 21/00");
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, no_sense, ANSWER, &result));
	check_name(&result, "CHECK CONDITION, NO SENSE, 00/00");
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, busy, ANSWER, &result));
	check_name(&result, "BUSY");
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, bad_target, ANSWER, &result));
	check_name(&result, "BAD TARGET");
	send(&r, SR_SCSI_DRIVER_NONE, 1);
	assert_false(answer(&r, busy, 4, &result));
	check_name(&result, "response not written");
	rig_finish(&r);
}

static void a_long_way_takes_a_long_command(void **state)
{
	static const uint8_t near[32] = { 0x28, [2] = 0xff, 0xff, 0xff, 0xff, [7] = 1 };
	static const uint8_t far[32] = { 0x88, [5] = 1, [13] = 8 };
	static const uint8_t many[32] = { 0x8a, [9] = 9, [11] = 1 };
	uint8_t cdb[32];

	(void)state;
	sr_scsi_driver_io(cdb, false, UINT32_MAX, 256);
	assert_memory_equal(cdb, near, 32);
	sr_scsi_driver_io(cdb, false, UINT32_MAX + 1ull, 8);
	assert_memory_equal(cdb, far, 32);
	sr_scsi_driver_io(cdb, true, 9, 65536);
	assert_memory_equal(cdb, many, 32);
}

static void the_configuration_is_judged(void **state)
{
	uint8_t config[SR_SCSI_DRIVER_CONFIG] = {
		[0] = 4, [4] = 126, [9] = 0x10, [20] = 96, [24] = 32, [31] = 1, [33] = 0x40,
	};
	struct sr_scsi_driver_info i;
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_scsi_driver_probe(config, &i, &e), 0);
	assert_int_equal(i.queues, 4);
	assert_int_equal(i.seg_max, 126);
	assert_int_equal(i.bytes_max, 4096 * 512);
	assert_int_equal(i.target_max, 256);
	assert_int_equal(i.lun_max, 16384);
	config[9] = 0;
	assert_int_equal(sr_scsi_driver_probe(config, &i, &e), -EPROTO);
	assert_non_null(strstr(e.text, "max_sectors 0"));
	config[20] = 0;
	assert_int_equal(sr_scsi_driver_probe(config, &i, &e), -EPROTO);
	assert_non_null(strstr(e.text, "sense_size 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_framed_as_virtio_says),
		cmocka_unit_test(what_went_wrong_is_named),
		cmocka_unit_test(a_long_way_takes_a_long_command),
		cmocka_unit_test(the_configuration_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
