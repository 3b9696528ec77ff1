/* SPDX-License-Identifier: BSD-3-Clause */
/* The in-flight record: given, taken back, believed in nothing; and what it is for. */
#include "vu_slow.h"

#include "channel.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void begin(struct rig *r)
{
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
}

static uint64_t stride(unsigned size)
{
	return sr_vq_inflight_bytes(size, SR_F_VERSION_1);
}

/* `size` is what front-ends send: 20 bytes, or 24 with padding. The record's descriptor, or -1
 * when the session has ended. */
static int ask_record(struct rig *r, unsigned queues, unsigned queue_size, uint32_t size,
		      struct sr_vu_message *m)
{
	uint8_t payload[24];
	struct sr_vu_inflight f = { .queues = (uint16_t)queues,
				    .queue_size = (uint16_t)queue_size };

	memset(payload, 0xee, sizeof(payload));
	memcpy(payload, &f, sizeof(f));
	rig_send(r, SR_VU_GET_INFLIGHT_FD, SR_VU_VERSION, payload, size, NULL, 0);
	return rig_receive(r, m) ? sr_vu_message_take_fd(m, 0) : -1;
}

static int get_record(struct rig *r)
{
	struct sr_vu_message m;
	int fd = ask_record(r, RIG_QUEUES, RIG_RING, 20, &m);

	assert_true(fd >= 0);
	return fd;
}

static struct sr_vu_inflight description(unsigned queues, unsigned size)
{
	return (struct sr_vu_inflight){ .size = queues * stride(size),
					.queues = (uint16_t)queues,
					.queue_size = (uint16_t)size };
}

static uint64_t set_record(struct rig *r, struct sr_vu_inflight f, int fd)
{
	return rig_ask(r, SR_VU_SET_INFLIGHT_FD, &f, sizeof(f), &fd, 1);
}

/* ---- giving ---- */

static void a_record_is_offered_only_where_requests_take_time(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	assert_int_equal(rig_get(r, SR_VU_GET_PROTOCOL_FEATURES) >> SR_VU_P_INFLIGHT_SHMFD & 1,
			 r->d.slow != NULL);
}

static void a_new_record_is_zero_and_cannot_shrink(void **state)
{
	struct rig *r = *state;

	begin(r);
	for (uint32_t size = 20; size <= 24; size += 4) {
		static const uint8_t padding[4];
		struct sr_vu_message m;
		int fd = ask_record(r, 3, 128, size, &m);
		struct stat st;
		uint8_t *p;

		assert_int_equal(m.flags, SR_VU_REPLY_FLAGS);
		assert_int_equal(m.size, size);
		assert_int_equal(m.nfds, 1);
		assert_int_equal(m.p.inflight.size, 3 * stride(128));
		assert_int_equal(m.p.inflight.offset, 0);
		assert_int_equal(m.p.inflight.queues, 3);
		assert_int_equal(m.p.inflight.queue_size, 128);
		assert_memory_equal(m.p.bytes + 20, padding, size - 20);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 3 * stride(128));
		assert_int_not_equal(ftruncate(fd, 0), 0);
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		assert_true(p != MAP_FAILED);
		for (off_t i = 0; i < st.st_size; i++)
			assert_int_equal(p[i], 0);
		munmap(p, (size_t)st.st_size);
		close(fd);
	}
}

static void records_for_rings_that_cannot_be_end_the_session(void **state)
{
	struct rig *r = *state;
	static const struct {
		unsigned queues, size;
		const char *error;
	} bad[] = { { 0, 128, "0 queues, expected 1 to 4" },
		    { RIG_QUEUES + 1, 128, "5 queues" },
		    { 65535, 65535, "65535 queues" },
		    { 1, 0, "queue size 0, expected 1 to 32768" },
		    { 1, 32769, "queue size 32769" } };

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		struct sr_vu_message m;

		begin(r);
		assert_int_equal(ask_record(r, bad[i].queues, bad[i].size, 24, &m), -1);
		rig_expect_closed(r, bad[i].error);
	}
}

/* ---- taking back ---- */

static int file_of(uint64_t size)
{
	int fd = memfd_create("slipring-rig", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void expect_refused(struct rig *r, struct sr_vu_inflight f, int fd, const char *error)
{
	begin(r);
	assert_int_equal(set_record(r, f, fd), 1);
	close(fd);
	rig_expect_closed(r, error);
}

static void hostile_descriptions_end_the_session(void **state)
{
	struct rig *r = *state;
	const uint64_t size = 4 * stride(RIG_RING);
	static const struct {
		int64_t size, offset, file; /* added to what is right */
		int queues, queue_size;	    /* instead, unless -1 */
		const char *error;
	} bad[] = {
		{ 0, 0, 0, 0, -1, "0 queues" },
		{ 0, 0, 0, 5, -1, "5 queues" },
		{ 0, 0, 0, 65535, -1, "65535 queues" },
		{ 0, 0, 0, -1, 0, "queue size 0" },
		{ 0, 0, 0, -1, 32769, "queue size 32769" },
		{ 0, 0, 0, -1, 512, "expected" },
		{ -1, 0, 0, -1, -1, "bytes, expected" },
		{ INT64_MIN, 0, 0, -1, -1, "at most 536870912" },
		{ 1ll << 29, 0, 1ll << 30, -1, -1, "at most 536870912" },
		{ -1 - (int64_t)(4 * 4160), 0, 0, -1, -1, "at most" },
		{ 0, 1, 64, -1, -1, "multiple of 64" },
		{ 0, 63, 64, -1, -1, "multiple of 64" },
		{ 0, -64, 0, -1, -1, "below 2^63" },
		{ 0, INT64_MIN, 0, -1, -1, "below 2^63" },
		{ 0, INT64_MAX - 63, 0, -1, -1, "below 2^63" },
		{ 0, 0, -1, -1, -1, "file of" },
		{ 0, 64, 0, -1, -1, "file of" },
		{ 0, 1ll << 40, 0, -1, -1, "file of" },
		{ 1, 0, 0, -1, -1, "file of" },
	};

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		struct sr_vu_inflight f = description(RIG_QUEUES, RIG_RING);

		f.size += (uint64_t)bad[i].size;
		f.offset += (uint64_t)bad[i].offset;
		if (bad[i].queues >= 0)
			f.queues = (uint16_t)bad[i].queues;
		if (bad[i].queue_size >= 0)
			f.queue_size = (uint16_t)bad[i].queue_size;
		expect_refused(r, f, file_of(size + (uint64_t)bad[i].file), bad[i].error);
	}
}

static void descriptors_that_cannot_be_mapped_end_the_session(void **state)
{
	struct rig *r = *state;
	struct sr_vu_inflight f = description(1, RIG_RING);
	int file = file_of(f.size), s[2];
	char path[32];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	r->fds += 2; /* file, s[1] */
	expect_refused(r, f, s[0], "in-flight record");
	close(s[1]);
	r->fds--;
	expect_refused(r, f, eventfd(0, 0), "in-flight record");
	expect_refused(r, f, open("/dev/null", O_RDWR), "in-flight record");
	expect_refused(r, f, open("/", O_RDONLY), "in-flight record");
	expect_refused(r, f, file_of(0), "file of 0x0 bytes");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	expect_refused(r, f, open(path, O_RDONLY), "in-flight record");
	close(file);
	r->fds--;
}

static void the_number_of_descriptors_must_be_one(void **state)
{
	struct rig *r = *state;
	struct sr_vu_inflight f = description(1, RIG_RING);

	for (unsigned n = 0; n <= 2; n += 2) {
		int fds[2] = { r->memfd, r->memfd };

		begin(r);
		assert_int_equal(rig_ask(r, SR_VU_SET_INFLIGHT_FD, &f, sizeof(f), fds, n), 1);
		rig_expect_closed(r, "expected 1");
	}
}

static void a_record_may_lie_anywhere_in_its_file_and_be_larger_than_needed(void **state)
{
	struct rig *r = *state;
	struct sr_vu_inflight f = description(RIG_QUEUES, 2 * RIG_RING);
	int fd = file_of(f.size + 128);

	r->fds++;
	f.offset = 64;
	f.size += 64;
	begin(r);
	assert_int_equal(set_record(r, f, fd), 0);
	for (unsigned q = 0; q < RIG_QUEUES; q++) {
		unsigned done;

		rig_start(r, q, 0);
		rig_occupy(r, q, 5);
		rig_finish_all(r, q);
		assert_int_equal(rig_collect(r, q, &done), 5);
		assert_int_equal(done, 5);
	}
	rig_hangup(r);
	close(fd);
	r->fds--;
}

static void the_same_record_a_thousand_times_is_mapped_once(void **state)
{
	struct rig *r = *state;
	int fd, maps;

	begin(r);
	maps = rig_count_maps();
	fd = get_record(r);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(set_record(r, description(RIG_QUEUES, RIG_RING), fd), 0);
	assert_int_equal(rig_count_maps(), maps + 1);
	for (unsigned i = 0; i < 1000; i++)
		close(get_record(r));
	close(fd);
	rig_hangup(r);
}

static void a_record_for_running_rings_ends_the_session(void **state)
{
	struct rig *r = *state;
	int fd;

	rig_up(r);
	fd = get_record(r);
	assert_int_equal(set_record(r, description(RIG_QUEUES, RIG_RING), fd), 1);
	close(fd);
	rig_expect_closed(r, "while 1 rings run");
}

static void rings_that_the_record_has_no_room_for_end_the_session(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct sr_vu_inflight f = description(1, i ? RIG_RING : RIG_RING / 2);
		int fd = file_of(f.size);
		uint64_t kick = i;

		begin(r);
		assert_int_equal(set_record(r, f, fd), 0);
		close(fd);
		rig_describe(r, i, 0);
		assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &kick, 8, &r->kick[i], 1), 1);
		rig_expect_closed(r, i ? "ring 1: has no part in the in-flight record"
				       : "ring 0: 256 entries, expected at most the in-flight "
					 "record's 128");
	}
}

/* ---- what it is for ---- */

/* Ring 0 as it is, not made anew. */
static void take_up(struct rig *r, uint16_t base)
{
	struct sr_vu_addr a = rig_addr(0, 0);
	eventfd_t count;

	eventfd_read(r->kick[0], &count);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, 0, RIG_RING), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_BASE, 0, base), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
	rig_kick_on(r, 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
}

/* A session with a record; eight requests, of which the third and sixth are finished. */
static int leave_six(struct rig *r)
{
	unsigned done;
	int fd;

	begin(r);
	fd = get_record(r);
	assert_int_equal(set_record(r, description(RIG_QUEUES, RIG_RING), fd), 0);
	rig_start(r, 0, 0);
	rig_occupy(r, 0, 8);
	rig_finish(r, 0, 5);
	rig_finish(r, 0, 2);
	assert_int_equal(rig_collect(r, 0, &done), 2);
	assert_int_equal(done, 2);
	return fd;
}

static void expect_six(struct rig *r)
{
	static const char left[] = "abdegh";
	unsigned done;

	RIG_WAIT(r->d.slow[0].held >= 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(rig_peek(r, 0, i), left[i]);
	usleep(5000);
	assert_int_equal(r->d.slow[0].held, 6);
	for (unsigned i = 6; i--;)
		rig_finish(r, 0, i);
	assert_int_equal(rig_collect(r, 0, &done), 6);
	assert_int_equal(done, 6);
	rig_occupy(r, 0, 4);
	rig_finish_all(r, 0);
	assert_int_equal(rig_collect(r, 0, &done), 4);
	assert_int_equal(done, 4);
}

static void requests_of_a_dead_session_are_taken_up_in_order_without_a_kick(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 5; i++) {
		int fd = leave_six(r);

		r->fds++;
		rig_hangup(r); /* the device forgets them, as a killed one would */
		begin(r);
		assert_int_equal(set_record(r, description(RIG_QUEUES, RIG_RING), fd), 0);
		take_up(r, 2); /* what QEMU makes of the used index */
		expect_six(r);
		close(fd);
		r->fds--;
		rig_hangup(r);
	}
}

static void a_stop_that_takes_too_long_keeps_requests_for_the_next_start(void **state)
{
	struct rig *r = *state;
	uint64_t zero = 0;
	unsigned done;

	close(leave_six(r));
	rig_get_base(r, 0);
	assert_int_equal(rig_collect(r, 0, &done), 0);
	assert_int_equal(r->d.slow[0].held, 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &zero, 8, &r->kick[0], 1), 0);
	expect_six(r);
}

static void a_change_of_memory_that_waits_too_long_starts_requests_again(void **state)
{
	struct rig *r = *state;

	close(leave_six(r));
	rig_share(r);
	expect_six(r);
}

static void a_record_outlives_a_reset_when_it_is_given_again(void **state)
{
	struct rig *r = *state;
	int fd = leave_six(r);

	rig_get_base(r, 0);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 0), 0);
	assert_int_equal(set_record(r, description(RIG_QUEUES, RIG_RING), fd), 0);
	close(fd);
	take_up(r, 2);
	expect_six(r);
}

static void a_reset_forgets_the_record(void **state)
{
	struct rig *r = *state;
	unsigned done;

	close(leave_six(r));
	assert_int_equal(rig_ask(r, SR_VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(rig_count_maps(), 1);
	rig_start(r, 0, 0);
	rig_occupy(r, 0, 2);
	rig_get_base(r, 0);
	assert_int_equal(rig_collect(r, 0, &done), 2); /* failed, not kept */
	assert_int_equal(done, 0);
}

/* Whatever is in it, in the shape of a record or not: the ring runs or is refused. */
static void hostile_contents_harm_nobody(void **state)
{
	struct rig *r = *state;
	struct sr_vu_inflight f = description(RIG_QUEUES, RIG_RING);
	int fd = file_of(f.size);
	uint8_t *p = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned seed = 1;

	assert_true(p != MAP_FAILED);
	for (unsigned i = 0; i < 200; i++) {
		uint16_t head[8] = { 0, 0, 0, 0, 1, RIG_RING, (uint16_t)(rand_r(&seed) % 300), 0 };
		uint64_t kick = 0;

		for (uint64_t k = 0; k < f.size; k++)
			p[k] = i % 2 ? (uint8_t)rand_r(&seed) : rand_r(&seed) % 16 == 0;
		if (i % 5)
			memcpy(p, head, sizeof(head));
		rig_connect(r);
		rig_negotiate(r, SR_F_VERSION_1);
		rig_share(r);
		assert_int_equal(set_record(r, f, fd), 0);
		rig_describe(r, 0, 0);
		if (rig_ask(r, SR_VU_SET_VRING_KICK, &kick, 8, &r->kick[0], 1) == 0)
			assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
		close(r->fd);
		r->fd = -1;
		RIG_WAIT(rig_info(r).state == SR_VHOST_USER_WAITING);
	}
	munmap(p, f.size);
	close(fd);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define SLOW(name)  cmocka_unit_test_setup_teardown(name, rig_setup_slow, rig_teardown)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, rig_setup_hasty, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_is_offered_only_where_requests_take_time),
		SLOW(a_record_is_offered_only_where_requests_take_time),
		SLOW(a_new_record_is_zero_and_cannot_shrink),
		SLOW(records_for_rings_that_cannot_be_end_the_session),
		SLOW(hostile_descriptions_end_the_session),
		SLOW(descriptors_that_cannot_be_mapped_end_the_session),
		SLOW(the_number_of_descriptors_must_be_one),
		SLOW(a_record_may_lie_anywhere_in_its_file_and_be_larger_than_needed),
		SLOW(the_same_record_a_thousand_times_is_mapped_once),
		SLOW(a_record_for_running_rings_ends_the_session),
		SLOW(rings_that_the_record_has_no_room_for_end_the_session),
		HASTY(requests_of_a_dead_session_are_taken_up_in_order_without_a_kick),
		HASTY(a_stop_that_takes_too_long_keeps_requests_for_the_next_start),
		HASTY(a_change_of_memory_that_waits_too_long_starts_requests_again),
		HASTY(a_record_outlives_a_reset_when_it_is_given_again),
		HASTY(a_reset_forgets_the_record),
		HASTY(hostile_contents_harm_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
