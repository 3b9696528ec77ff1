/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests against the device side of the ring room, in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "blk_driver.h"
#include "iov.h"

#include <errno.h>
#include <slipring/virtio.h>
#include <slipring/vq.h>
#include <sys/mman.h>
#include <unistd.h>

#define GPA	 0x10000000ull
#define BYTES	 0x10000u
#define RING	 16u
#define META_AT	 0x2000u
#define TABLE_AT 0x3000u
#define DATA_AT	 0x4000u
#define LEN	 4096u

/* One request's memory behind a ring, and the device's side of it. */
struct rig {
	struct sr_drvq *drvq;
	struct sr_vq *vq;
	struct sr_mem *mem;
	struct sr_iov_pool pool;
	struct sr_blk_driver_info info;
	struct sr_blk_driver_req req;
	struct sr_sg sg[SR_BLK_DRIVER_SG(16)];
	uint8_t *at;
	int fd;
};

static void rig_start(struct rig *r, uint64_t features)
{
	struct sr_drvq_layout at = sr_drvq_layout(RING);
	uint64_t ring = (uintptr_t)r->at;
	struct sr_vq_config vc = { .size = RING,
				   .features = features,
				   .desc = ring + at.desc,
				   .avail = ring + at.avail,
				   .used = ring + at.used };
	struct sr_drvq_config dc = { .size = RING,
				     .features = features,
				     .ring = r->at,
				     .indirect = r->at + TABLE_AT,
				     .indirect_gpa = GPA + TABLE_AT,
				     .indirect_max = 8 };
	struct sr_error e;

	r->drvq = sr_drvq_create(&dc, &e);
	assert_non_null(r->drvq);
	r->vq = sr_vq_create();
	assert_int_equal(sr_vq_start(r->vq, &vc, r->mem, &e), 0);
}

static void rig_init(struct rig *r, uint64_t features, uint32_t size_max)
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
	rig_start(r, features);
	r->info = (struct sr_blk_driver_info){ .size_max = size_max };
	sr_blk_driver_req_init(&r->req, &r->info, r->sg, (void *)(r->at + META_AT), GPA + META_AT,
			       GPA + DATA_AT, LEN);
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

static struct sr_chain device_pop(struct rig *r)
{
	struct sr_chain c;

	sr_iov_pool_reset(&r->pool);
	assert_int_equal(sr_vq_pop(r->vq, &c, 1, &r->pool), 1);
	return c;
}

static void device_push(struct rig *r, struct sr_chain *c, uint8_t status)
{
	assert_int_equal(sr_iov_write(c->in, c->nin, c->in_len - 1, &status, 1), 1);
	c->written = c->in_len;
	sr_vq_push(r->vq, c, 1);
	sr_vq_publish(r->vq);
}

/* Takes the request back; its status. */
static uint8_t finish(struct rig *r)
{
	struct sr_used used;

	assert_int_equal(sr_drvq_get(r->drvq, &used, 1), 1);
	assert_ptr_equal(used.token, r);
	return sr_blk_driver_status(&r->req);
}

static void check_header(struct sr_chain *c, uint32_t type, uint64_t sector)
{
	struct sr_blk_driver_meta m;

	assert_int_equal(sr_iov_read(c->out, c->nout, 0, &m, 16), 16);
	assert_int_equal(m.type, type);
	assert_int_equal(m.sector, sector);
}

static void add(struct rig *r, enum sr_blk_driver_type type, uint64_t offset)
{
	assert_int_equal(sr_blk_driver_add(r->drvq, &r->req, type, offset, r), 0);
	sr_drvq_publish(r->drvq);
}

/* All requests on one layout, over and over. */
static void talk(struct rig *r)
{
	static uint8_t got[LEN];

	for (unsigned round = 0; round < 3 * RING; round++) {
		struct sr_chain c;

		add(r, SR_BLK_DRIVER_IN, 512);
		c = device_pop(r);
		assert_int_equal(c.out_len, 16);
		assert_int_equal(c.in_len, LEN + 1);
		check_header(&c, 0, 1);
		memset(got, (int)round, LEN);
		sr_iov_write(c.in, c.nin, 0, got, LEN);
		assert_int_equal(sr_blk_driver_status(&r->req), SR_BLK_DRIVER_UNWRITTEN);
		device_push(r, &c, 0);
		assert_int_equal(finish(r), 0);
		assert_memory_equal(r->at + DATA_AT, got, LEN);

		memset(r->at + DATA_AT, (int)~round, LEN);
		add(r, SR_BLK_DRIVER_OUT, 1ull << 50);
		c = device_pop(r);
		assert_int_equal(c.out_len, 16 + LEN);
		assert_int_equal(c.in_len, 1);
		check_header(&c, 1, 1ull << 41);
		sr_iov_read(c.out, c.nout, 16, got, LEN);
		assert_memory_equal(r->at + DATA_AT, got, LEN);
		device_push(r, &c, 1);
		assert_int_equal(finish(r), 1);

		add(r, SR_BLK_DRIVER_FLUSH, 0);
		c = device_pop(r);
		assert_int_equal(c.out_len, 16);
		assert_int_equal(c.in_len, 1);
		check_header(&c, 4, 0);
		device_push(r, &c, 0);
		assert_int_equal(finish(r), 0);
	}
}

static void requests_go_and_come_back_in_one_piece(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, SR_F_VERSION_1, 1u << 30);
	assert_int_equal(r.req.pieces, 1);
	talk(&r);
	rig_finish(&r);
}

static void requests_are_cut_as_the_device_wants(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, SR_F_VERSION_1 | SR_F_INDIRECT_DESC, 1000);
	assert_int_equal(sr_blk_driver_pieces(&r.info, LEN), 5);
	assert_int_equal(r.req.pieces, 5);
	assert_int_equal(r.sg[5].len, 96);
	talk(&r);
	rig_finish(&r);
}

static const uint8_t config[SR_BLK_DRIVER_CONFIG] = {
	[0] = 0x00,  [1] = 0x10, /* capacity: 4096 sectors */
	[9] = 0x20,		 /* size_max 8192 */
	[12] = 126,		 /* seg_max */
	[21] = 0x10,		 /* blk_size 4096 */
	[34] = 3,    [35] = 1,	 /* num_queues 259 */
};

static void configuration_counts_as_far_as_negotiated(void **state)
{
	struct sr_blk_driver_info i;

	(void)state;
	assert_int_equal(sr_blk_driver_probe(config, 0, &i, NULL), 0);
	assert_int_equal(i.capacity, 4096 * 512);
	assert_int_equal(i.block_size, 512);
	assert_int_equal(i.queues, 1);
	assert_false(i.read_only || i.can_flush);
	assert_int_equal(sr_blk_driver_probe(config, SR_BLK_DRIVER_FEATURES, &i, NULL), 0);
	assert_int_equal(i.block_size, 4096);
	assert_int_equal(i.size_max, 8192);
	assert_int_equal(i.seg_max, 126);
	assert_int_equal(i.queues, 259);
	assert_true(i.read_only && i.can_flush);
}

static void a_limit_of_zero_is_none(void **state)
{
	uint8_t zero[SR_BLK_DRIVER_CONFIG];
	struct sr_blk_driver_info i;

	(void)state;
	memcpy(zero, config, sizeof(zero));
	zero[9] = zero[12] = 0;
	assert_int_equal(sr_blk_driver_probe(zero, SR_BLK_DRIVER_FEATURES, &i, NULL), 0);
	assert_int_equal(i.seg_max, 1);
	assert_true(i.size_max >= 1u << 30);
}

static void nonsense_in_the_configuration_is_named(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
		const char *said;
	} cases[] = { { 21, 0, "blk_size 0" },
		      { 20, 1, "blk_size 4097" },
		      { 22, 2, "blk_size 135168" },
		      { 7, 1, "capacity" } };
	struct sr_blk_driver_info i;
	struct sr_error e;

	(void)state;
	for (unsigned n = 0; n < SR_ARRAY_LEN(cases); n++) {
		uint8_t bad[SR_BLK_DRIVER_CONFIG];

		memcpy(bad, config, sizeof(bad));
		bad[cases[n].at] = cases[n].value;
		assert_int_equal(sr_blk_driver_probe(bad, ~0ull, &i, &e), -EPROTO);
		assert_non_null(strstr(e.text, cases[n].said));
	}
}

static void each_status_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(sr_blk_driver_status_name(1), "IOERR");
	assert_string_equal(sr_blk_driver_status_name(2), "UNSUPP");
	assert_string_equal(sr_blk_driver_status_name(7), "unknown status");
	assert_string_equal(sr_blk_driver_status_name(SR_BLK_DRIVER_UNWRITTEN),
			    "status not written");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_go_and_come_back_in_one_piece),
		cmocka_unit_test(requests_are_cut_as_the_device_wants),
		cmocka_unit_test(configuration_counts_as_far_as_negotiated),
		cmocka_unit_test(a_limit_of_zero_is_none),
		cmocka_unit_test(nonsense_in_the_configuration_is_named),
		cmocka_unit_test(each_status_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
