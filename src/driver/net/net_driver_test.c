/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver against the device side of the ring room, in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "iov.h"
#include "net_driver.h"

#include <errno.h>
#include <slipring/virtio.h>
#include <slipring/vq.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define GPA    0x10000000ull
#define RING   8u
#define ROOM   100u /* of a frame in a buffer */
#define MODERN (SR_F_VERSION_1 | SR_NET_F_MRG_RXBUF)

/* A driver with one pair, and the device's side of its queues. */
struct rig {
	struct sr_net_driver *driver;
	struct sr_mem *mem;
	struct sr_vq *vq[2];
	struct sr_iov_pool pool;
	struct sr_chain chains[RING];
	void *at;
	size_t bytes;
	int fd;
	uint32_t hdr_len;
};

static void start_queue(struct rig *r, unsigned queue, uint64_t features)
{
	struct sr_drvq_layout at = sr_drvq_layout(RING);
	uint64_t ring = (uintptr_t)sr_net_driver_ring(r->driver, queue);
	struct sr_vq_config c = { .size = RING,
				  .features = features,
				  .desc = ring + at.desc,
				  .avail = ring + at.avail,
				  .used = ring + at.used };
	struct sr_error e;

	r->vq[queue] = sr_vq_create();
	assert_non_null(r->vq[queue]);
	assert_int_equal(sr_vq_start(r->vq[queue], &c, r->mem, &e), 0);
}

static void rig_init(struct rig *r, uint64_t features)
{
	struct sr_net_driver_config c = { .features = features,
					  .pairs = 1,
					  .ring_size = RING,
					  .tx_bytes = ROOM,
					  .rx_bytes = ROOM,
					  .gpa = GPA };
	struct sr_region region = { .gpa = GPA };
	struct sr_error e;

	memset(r, 0, sizeof(*r));
	r->hdr_len = features & MODERN ? 12 : 10;
	r->bytes = sr_net_driver_bytes(&c);
	r->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->fd, (off_t)r->bytes), 0);
	r->at = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	assert_true(r->at != MAP_FAILED);
	c.mem = r->at;
	r->driver = sr_net_driver_create(&c, &e);
	assert_non_null(r->driver);
	r->mem = sr_mem_create();
	region.uva = (uintptr_t)r->at;
	region.size = r->bytes;
	region.fd = r->fd;
	assert_int_equal(sr_mem_set_regions(r->mem, &region, 1, &e), 0);
	assert_int_equal(sr_iov_pool_init(&r->pool, 64), 0);
	start_queue(r, 0, features);
	start_queue(r, 1, features);
}

static void rig_finish(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++) {
		sr_vq_stop(r->vq[i]);
		sr_vq_destroy(r->vq[i]);
	}
	sr_net_driver_destroy(r->driver);
	sr_iov_pool_finish(&r->pool);
	sr_mem_destroy(r->mem);
	munmap(r->at, r->bytes);
	close(r->fd);
}

static unsigned device_pop(struct rig *r, unsigned queue, unsigned n)
{
	int got;

	sr_iov_pool_reset(&r->pool);
	got = sr_vq_pop(r->vq[queue], r->chains, n, &r->pool);
	assert_true(got >= 0);
	return (unsigned)got;
}

static void device_push(struct rig *r, unsigned queue, unsigned n)
{
	sr_vq_push(r->vq[queue], r->chains, n);
	sr_vq_publish(r->vq[queue]);
}

/* Writes a frame with bytes 0, 1, 2, ... into `buffers` chains; says it is in `num` of them. */
static void device_receive(struct rig *r, unsigned len, unsigned buffers, uint16_t num)
{
	struct sr_net_driver_hdr hdr = { .gso_size = 42, .num_buffers = num };
	unsigned at = 0, skip = r->hdr_len;

	assert_int_equal(device_pop(r, 0, buffers), buffers);
	sr_iov_write(r->chains[0].in, r->chains[0].nin, 0, &hdr, r->hdr_len);
	for (unsigned i = 0; i < buffers; i++, skip = 0) {
		struct sr_chain *c = &r->chains[i];
		unsigned n = (unsigned)sr_min(len - at, c->in_len - skip);
		uint8_t bytes[ROOM + sizeof(hdr)];

		for (unsigned k = 0; k < n; k++)
			bytes[k] = (uint8_t)(at + k);
		sr_iov_write(c->in, c->nin, skip, bytes, n);
		c->written = skip + n;
		at += n;
	}
	device_push(r, 0, buffers);
}

static void frames_sent_arrive_and_buffers_come_back(void **state)
{
	struct sr_net_tx t[RING];
	struct rig r;
	uint8_t got[16];

	(void)state;
	rig_init(&r, MODERN);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, 2), 2);
	for (unsigned i = 0; i < 2; i++) {
		memset(t[i].data, 'a' + (int)i, 3);
		t[i].len = 3;
	}
	sr_net_driver_tx_send(r.driver, 0, t, 2);
	assert_int_equal(sr_net_driver_tx_pending(r.driver, 0), 2);
	assert_int_equal(device_pop(&r, 1, RING), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(r.chains[i].out_len, 12 + 3);
		sr_iov_read(r.chains[i].out, r.chains[i].nout, 0, got, 15);
		assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
		assert_memory_equal(got + 12, i ? "bbb" : "aaa", 3);
	}
	device_push(&r, 1, 2);
	assert_int_equal(sr_net_driver_tx_done(r.driver, 0), 0);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, 0), 0);
	assert_int_equal(sr_net_driver_tx_done(r.driver, 0), 2);
	assert_int_equal(sr_net_driver_tx_pending(r.driver, 0), 0);
	rig_finish(&r);
}

static void a_full_ring_gives_no_buffers_and_prefilled_ones_keep_their_frames(void **state)
{
	struct sr_net_tx t[RING + 1];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, RING + 1), RING);
	for (unsigned i = 0; i < RING; i++) {
		t[i].data[0] = (uint8_t)(t[i].buffer + 100);
		t[i].len = 1;
	}
	sr_net_driver_tx_give(r.driver, 0, t, 3);
	sr_net_driver_tx_send(r.driver, 0, t + 3, RING - 3);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, RING), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(t[i].data[0], t[i].buffer + 100);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, 1), 0);
	rig_finish(&r);
}

static void a_frame_in_one_buffer_is_received(void **state)
{
	struct sr_net_rx rx[RING];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, RING), 0);
	device_receive(&r, 60, 1, 1);
	device_receive(&r, 61, 1, 1);
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, RING), 2);
	assert_int_equal(rx[0].len, 60);
	assert_int_equal(rx[0].piece, 60);
	assert_int_equal(rx[0].hdr.gso_size, 42);
	assert_int_equal(rx[0].data[59], 59);
	assert_int_equal(rx[1].len, 61);
	sr_net_driver_rx_release(r.driver, 0, rx, 2);
	assert_int_equal(device_pop(&r, 0, RING), RING);
	rig_finish(&r);
}

static void a_frame_in_many_buffers_is_put_together_and_all_are_offered_again(void **state)
{
	struct sr_net_rx rx[RING];
	uint8_t whole[300];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	for (unsigned turn = 0; turn < 3 * RING; turn++) {
		device_receive(&r, 10, 1, 1);
		device_receive(&r, 250, 3, 3);
		/* Taken one by one: the second frame's buffers are got when it needs them. */
		assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, 1), 1);
		assert_int_equal(rx[0].len, 10);
		assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx + 1, 1), 1);
		assert_int_equal(rx[1].len, 250);
		assert_int_equal(rx[1].piece, ROOM);
		assert_int_equal(rx[1].buffers, 3);
		assert_int_equal(sr_net_driver_rx_copy(r.driver, 0, &rx[1], 0, whole, 300), 250);
		for (unsigned i = 0; i < 250; i++)
			assert_int_equal(whole[i], i);
		assert_int_equal(sr_net_driver_rx_copy(r.driver, 0, &rx[1], 240, whole, 300), 10);
		assert_int_equal(whole[0], 240);
		sr_net_driver_rx_release(r.driver, 0, rx, 2);
	}
	assert_int_equal(device_pop(&r, 0, RING), RING);
	rig_finish(&r);
}

static void a_legacy_header_has_ten_bytes(void **state)
{
	struct sr_net_rx rx[1];
	struct sr_net_tx t[1];
	struct rig r;

	(void)state;
	rig_init(&r, 0);
	device_receive(&r, 60, 1, 0);
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, 1), 1);
	assert_int_equal(rx[0].len, 60);
	assert_int_equal(rx[0].data[1], 1);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, 1), 1);
	t[0].len = 14;
	sr_net_driver_tx_send(r.driver, 0, t, 1);
	assert_int_equal(device_pop(&r, 1, 1), 1);
	assert_int_equal(r.chains[0].out_len, 24);
	rig_finish(&r);
}

/* Rewrites the length in a used element: our own device side would not push such a one. */
static void lie_about_length(struct rig *r, unsigned queue, unsigned element, uint32_t len)
{
	uint8_t *ring = sr_net_driver_ring(r->driver, queue);

	memcpy(ring + sr_drvq_layout(RING).used + 4 + 8 * (size_t)element + 4, &len, sizeof(len));
}

/* What the driver says to a device that returns one buffer with this length and number. */
static void expect_broken(uint32_t written, uint16_t num_buffers, const char *text)
{
	struct sr_net_driver_hdr hdr = { .num_buffers = num_buffers };
	struct sr_net_rx rx[RING];
	struct rig r;

	rig_init(&r, MODERN);
	assert_null(sr_net_driver_error(r.driver));
	assert_int_equal(device_pop(&r, 0, 1), 1);
	sr_iov_write(r.chains[0].in, r.chains[0].nin, 0, &hdr, sizeof(hdr));
	device_push(&r, 0, 1);
	lie_about_length(&r, 0, 0, written);
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, RING), -EPROTO);
	assert_non_null(strstr(sr_net_driver_error(r.driver), text));
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, RING), -EPROTO);
	rig_finish(&r);
}

static void lies_about_lengths_and_buffers_break_the_queue(void **state)
{
	(void)state;
	expect_broken(11, 1, "length");
	expect_broken(0, 1, "length");
	expect_broken(12 + ROOM + 1, 1, "length");
	expect_broken(UINT32_MAX, 1, "length");
	expect_broken(20, 0, "num_buffers");
	expect_broken(20, RING + 1, "num_buffers");
	expect_broken(20, 0xffff, "num_buffers");
	expect_broken(20, 2, "num_buffers");
}

static void later_buffers_are_judged_as_well(void **state)
{
	struct sr_net_driver_hdr hdr = { .num_buffers = 2 };
	struct sr_net_rx rx[RING];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	assert_int_equal(device_pop(&r, 0, 2), 2);
	sr_iov_write(r.chains[0].in, r.chains[0].nin, 0, &hdr, sizeof(hdr));
	r.chains[0].written = 12 + ROOM;
	device_push(&r, 0, 2);
	lie_about_length(&r, 0, 1, 12 + ROOM + 1);
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, RING), -EPROTO);
	rig_finish(&r);
}

static unsigned bells(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

static void kicks_are_sent_when_asked_for_and_kept_until_there_is_a_bell(void **state)
{
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct sr_net_tx t[2];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	/* The device had not said that it polls when the receive buffers were offered. */
	sr_net_driver_doorbell(r.driver, 0, bell);
	assert_int_equal(bells(bell), 1);
	sr_net_driver_doorbell(r.driver, 1, bell);
	assert_int_equal(bells(bell), 0);
	assert_int_equal(sr_net_driver_tx_take(r.driver, 0, t, 2), 2);
	t[0].len = t[1].len = 20;
	sr_net_driver_tx_send(r.driver, 0, t, 1);
	assert_int_equal(bells(bell), 0);
	assert_int_equal(device_pop(&r, 1, 1), 1);
	assert_false(sr_vq_rearm(r.vq[1]));
	sr_net_driver_tx_send(r.driver, 0, t + 1, 1);
	assert_int_equal(bells(bell), 1);
	close(bell);
	rig_finish(&r);
}

static void arming_asks_for_calls_and_sees_what_is_there(void **state)
{
	struct sr_net_rx rx[RING];
	struct rig r;

	(void)state;
	rig_init(&r, MODERN);
	assert_int_equal(device_pop(&r, 0, 1), 1);
	r.chains[0].written = 12;
	sr_vq_push(r.vq[0], r.chains, 1);
	assert_false(sr_vq_publish(r.vq[0]));
	assert_true(sr_net_driver_arm(r.driver, 0));
	sr_net_driver_quiet(r.driver, 0);
	/* num_buffers is 0 in that frame: it only had to be seen. */
	assert_int_equal(sr_net_driver_rx_take(r.driver, 0, rx, 1), -EPROTO);
	rig_finish(&r);

	rig_init(&r, MODERN);
	assert_false(sr_net_driver_arm(r.driver, 0));
	assert_int_equal(device_pop(&r, 0, 1), 1);
	sr_vq_push(r.vq[0], r.chains, 1);
	assert_true(sr_vq_publish(r.vq[0]));
	rig_finish(&r);
}

static void a_bad_ring_size_is_told(void **state)
{
	struct sr_net_driver_config c = {
		.pairs = 1, .ring_size = 12, .tx_bytes = 64, .rx_bytes = 64
	};
	struct sr_error e;

	(void)state;
	c.mem = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_null(sr_net_driver_create(&c, &e));
	assert_int_equal(e.code, -EINVAL);
	munmap(c.mem, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_sent_arrive_and_buffers_come_back),
		cmocka_unit_test(a_full_ring_gives_no_buffers_and_prefilled_ones_keep_their_frames),
		cmocka_unit_test(a_frame_in_one_buffer_is_received),
		cmocka_unit_test(a_frame_in_many_buffers_is_put_together_and_all_are_offered_again),
		cmocka_unit_test(a_legacy_header_has_ten_bytes),
		cmocka_unit_test(lies_about_lengths_and_buffers_break_the_queue),
		cmocka_unit_test(later_buffers_are_judged_as_well),
		cmocka_unit_test(kicks_are_sent_when_asked_for_and_kept_until_there_is_a_bell),
		cmocka_unit_test(arming_asks_for_calls_and_sees_what_is_there),
		cmocka_unit_test(a_bad_ring_size_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
