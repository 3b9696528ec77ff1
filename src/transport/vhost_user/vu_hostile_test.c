/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends that break the protocol: their session ends, nothing else does, and nothing of it
 * is left. rig_expect_closed and rig_hangup count file descriptors and mappings. */
#include "vu_slow.h"

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void an_unknown_request_is_refused_and_the_session_goes_on(void **state)
{
	struct rig *r = *state;
	static const uint32_t unknown[] = { 0, 45, 99, 1000, UINT32_MAX };
	uint8_t payload[1000] = { 0 };

	rig_up(r);
	for (unsigned i = 0; i < SR_ARRAY_LEN(unknown); i++) {
		assert_int_not_equal(rig_ask(r, unknown[i], NULL, 0, NULL, 0), 0);
		assert_int_not_equal(rig_ask(r, unknown[i], payload, 1000, &r->memfd, 1), 0);
		/* Without NEED_REPLY there is no answer: the next one is to the next request. */
		rig_send(r, unknown[i], SR_VU_VERSION, payload, 8, NULL, 0);
		assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 0);
	}
	rig_echo(r, 0, 3, true);
}

/* What a row says about a message that is known but not negotiated or not served. */
static void expect_refusal(struct rig *r, uint32_t request, const struct sr_vu_row *row)
{
	uint8_t payload[SR_VU_PAYLOAD_MAX] = { 0 };
	int fds[SR_VU_FDS_MAX];
	struct sr_vu_message m;

	for (unsigned i = 0; i < SR_VU_FDS_MAX; i++)
		fds[i] = r->memfd;
	rig_send(r, request, SR_VU_VERSION | SR_VU_NEED_REPLY, payload, row->min, fds,
		 row->fds_min);
	assert_true(rig_receive(r, &m));
	assert_int_equal(m.flags, SR_VU_REPLY_FLAGS);
	assert_int_equal(m.request, request);
	if (row->refusal == SR_VU_REFUSE_EMPTY) {
		assert_int_equal(m.size, 0);
	} else {
		assert_int_equal(m.size, 8);
		assert_int_not_equal(m.p.u64, 0);
	}
	if (row->refusal == SR_VU_REFUSE_STATE)
		assert_int_equal(m.p.u64 & SR_VU_NO_FD, SR_VU_NO_FD);
}

static void known_messages_that_are_not_negotiated_are_refused_as_their_row_says(void **state)
{
	struct rig *r = *state;

	for (uint32_t i = 1; i < SR_VU_REQUESTS; i++) {
		const struct sr_vu_row *row = sr_vu_front_row(i);

		if (row->gate == SR_VU_NO_GATE)
			continue;
		rig_connect(r); /* nothing negotiated */
		if (row->refusal == SR_VU_REFUSE_CLOSE) {
			rig_send(r, i, SR_VU_VERSION, (uint8_t[64]){ 0 }, row->min, NULL, 0);
			rig_expect_closed(r, row->name);
			continue;
		}
		expect_refusal(r, i, row);
		assert_int_equal(rig_ask(r, SR_VU_SET_OWNER, NULL, 0, NULL, 0), 0);
		rig_hangup(r);
	}
}

static void known_messages_that_nobody_serves_are_refused(void **state)
{
	struct rig *r = *state;
	static const uint32_t unserved[] = { SR_VU_IOTLB_MSG, SR_VU_GPU_SET_SOCKET };

	rig_up(r);
	for (unsigned i = 0; i < SR_ARRAY_LEN(unserved); i++)
		expect_refusal(r, unserved[i], sr_vu_front_row(unserved[i]));
	rig_echo(r, 0, 3, true);
}

/* Sends each message with n fds; the session may end or go on. */
static void try_fds(struct rig *r, uint32_t request, unsigned n)
{
	const struct sr_vu_row *row = sr_vu_front_row(request);
	uint8_t payload[SR_VU_PAYLOAD_MAX] = { 0 };
	int fds[SR_VU_FDS_MAX];

	for (unsigned i = 0; i < SR_VU_FDS_MAX; i++)
		fds[i] = i % 2 ? r->memfd : r->call[1];
	rig_send(r, request, SR_VU_VERSION, payload, row ? row->min : 8, fds, n);
}

static void surplus_and_missing_fds_are_never_kept(void **state)
{
	struct rig *r = *state;

	for (uint32_t request = 1; request <= SR_VU_REQUESTS; request++)
		for (unsigned n = 0; n <= SR_VU_FDS_MAX; n++) {
			rig_connect(r);
			rig_negotiate(r, SR_F_VERSION_1);
			try_fds(r, request, n);
			rig_hangup(r); /* counts */
		}
}

static void the_same_message_a_thousand_times_keeps_fds_constant(void **state)
{
	struct rig *r = *state;
	static const uint32_t requests[] = { SR_VU_SET_VRING_KICK, SR_VU_SET_VRING_CALL,
					     SR_VU_SET_VRING_ERR, SR_VU_SET_LOG_FD };
	int sv[2], fds = 0;

	rig_up(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1), 0);
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < SR_ARRAY_LEN(requests); k++) {
			int fd = requests[k] == SR_VU_SET_VRING_KICK ? r->kick[0] : r->call[0];

			assert_int_equal(rig_ask(r, requests[k], &(uint64_t){ 0 }, 8, &fd, 1), 0);
		}
		assert_int_equal(rig_ask(r, SR_VU_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1), 0);
		assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 1), 0);
		if (i == 0)
			fds = rig_count_fds();
	}
	assert_int_equal(rig_count_fds(), fds);
	rig_echo(r, 0, 3, true);
	close(sv[0]);
	close(sv[1]);
}

static void messages_may_come_byte_by_byte(void **state)
{
	struct rig *r = *state;
	uint8_t bytes[20] = { [0] = SR_VU_SET_STATUS, [4] = 9, [8] = 8, [12] = 5 };
	uint8_t reply[20];

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(send(r->fd, bytes + i, 1, MSG_NOSIGNAL), 1);
		usleep(i < 14 ? 500 : 0);
	}
	assert_int_equal(recv(r->fd, reply, sizeof(reply), MSG_WAITALL), 20);
	assert_int_equal(reply[12], 0);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 5);
}

static void a_front_end_that_dies_inside_a_message_ends_its_session(void **state)
{
	struct rig *r = *state;
	uint8_t bytes[20] = { [0] = SR_VU_SET_STATUS, [4] = 1, [8] = 8 };

	for (size_t len = 1; len < sizeof(bytes); len++) {
		rig_up(r);
		assert_int_equal(send(r->fd, bytes, len, MSG_NOSIGNAL), len);
		rig_hangup(r);
		assert_non_null(strstr(rig_info(r).last_error, "bytes of a message"));
	}
}

static void a_huge_message_ends_the_session_at_its_header(void **state)
{
	struct rig *r = *state;
	uint32_t header[3] = { SR_VU_SET_MEM_TABLE, 1, 0 };

	for (unsigned bit = 12; bit < 32; bit++) {
		header[2] = 1u << bit;
		rig_up(r);
		assert_int_equal(send(r->fd, header, 12, MSG_NOSIGNAL), 12);
		rig_expect_closed(r, "bytes of payload, expected at most 2056");
	}
}

static void wrong_sizes_end_the_session(void **state)
{
	struct rig *r = *state;

	for (uint32_t i = 1; i < SR_VU_REQUESTS; i++) {
		const struct sr_vu_row *row = sr_vu_front_row(i);
		uint8_t payload[SR_VU_PAYLOAD_MAX] = { 0 };

		if (row->max == SR_VU_PAYLOAD_MAX || row->gate == SR_VU_P_PAGEFAULT)
			continue;
		rig_connect(r);
		rig_negotiate(r, SR_F_VERSION_1);
		/* What was not negotiated is refused before its size is looked at. */
		if (row->gate >= 0 && !(rig_info(r).protocol_features >> row->gate & 1)) {
			rig_hangup(r);
			continue;
		}
		rig_send(r, i, SR_VU_VERSION, payload, row->max + 1u, NULL, 0);
		rig_expect_closed(r, row->name);
	}
}

static void wrong_flags_end_the_session(void **state)
{
	struct rig *r = *state;
	static const uint32_t bad[] = { 0, 2, 3, 5, 13 };

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		rig_up(r);
		rig_send(r, SR_VU_GET_FEATURES, bad[i], NULL, 0, NULL, 0);
		rig_expect_closed(r, "GET_FEATURES: ");
	}
}

static void ring_indices_out_of_range_end_the_session(void **state)
{
	struct rig *r = *state;
	static const uint32_t states[] = { SR_VU_SET_VRING_NUM, SR_VU_SET_VRING_BASE,
					   SR_VU_GET_VRING_BASE, SR_VU_SET_VRING_ENABLE,
					   SR_VU_SET_VRING_ADDR };
	static const uint32_t fds[] = { SR_VU_SET_VRING_KICK, SR_VU_SET_VRING_CALL,
					SR_VU_SET_VRING_ERR };
	static const uint32_t bad[] = { RIG_QUEUES, 0xff, 0x100, 0x10000, UINT32_MAX };

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		for (unsigned k = 0; k < SR_ARRAY_LEN(states); k++) {
			struct sr_vu_addr a = rig_addr(0, 0);

			a.index = bad[i];
			rig_up(r);
			rig_send(r, states[k], SR_VU_VERSION, &a,
				 states[k] == SR_VU_SET_VRING_ADDR ? sizeof(a) : 8, NULL, 0);
			rig_expect_closed(r, sr_vu_front_row(states[k])->name);
		}
		for (unsigned k = 0; k < SR_ARRAY_LEN(fds); k++) {
			if (bad[i] == 0x100)
				continue; /* that is ring 0 without an fd, and there is one */
			rig_up(r);
			rig_send(r, fds[k], SR_VU_VERSION, &(uint64_t){ bad[i] }, 8, &r->call[0],
				 1);
			rig_expect_closed(r, sr_vu_front_row(fds[k])->name);
		}
	}
}

static void ring_sizes_out_of_range_end_the_session(void **state)
{
	struct rig *r = *state;
	static const uint32_t bad[] = { 0, 3, 255, 32767, 32769, 65536, 0x80000000, UINT32_MAX };

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		rig_up(r);
		assert_int_not_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, 0, bad[i]), 0);
		rig_expect_closed(r, "SET_VRING_NUM: ring 0: ");
	}
	rig_connect(r);
	for (uint32_t n = 1; n <= SR_VQ_SIZE_MAX; n *= 2)
		assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, 0, n), 0);
}

static void bases_enables_and_flags_out_of_range_end_the_session(void **state)
{
	struct rig *r = *state;
	struct sr_vu_addr a = rig_addr(0, 2);

	rig_up(r);
	assert_int_not_equal(rig_ask_state(r, SR_VU_SET_VRING_BASE, 0, 0x10000), 0);
	rig_expect_closed(r, "SET_VRING_BASE: ring 0: 0x10000");
	rig_up(r);
	assert_int_not_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 2), 0);
	rig_expect_closed(r, "SET_VRING_ENABLE: ring 0: 2");
	rig_up(r);
	assert_int_not_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
	rig_expect_closed(r, "SET_VRING_ADDR: ring 0: flags 0x2");
	rig_up(r);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 0x100), 0);
	rig_expect_closed(r, "SET_STATUS: 0x100");
}

static void hostile_ring_addresses_end_the_session(void **state)
{
	struct rig *r = *state;
	static const size_t which[3] = { offsetof(struct sr_vu_addr, desc),
					 offsetof(struct sr_vu_addr, avail),
					 offsetof(struct sr_vu_addr, used) };

	for (unsigned i = 0; i < 12; i++) {
		struct sr_vu_addr a = rig_addr(0, 0);
		uint64_t *at = (uint64_t *)(void *)((uint8_t *)&a + which[i % 3]);

		switch (i / 3) {
		case 0:
			*at += 1; /* misaligned */
			break;
		case 1:
			*at = RIG_UVA - 0x10000; /* unmapped */
			break;
		case 2:
			*at = RIG_UVA + RIG_MEM - 64; /* past the end */
			break;
		case 3:
			*at = UINT64_MAX - 63; /* wraps */
			break;
		}
		rig_connect(r);
		rig_negotiate(r, SR_F_VERSION_1);
		rig_share(r);
		rig_describe(r, 0, 0);
		assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
		assert_int_not_equal(
			rig_ask(r, SR_VU_SET_VRING_KICK, &(uint64_t){ 0 }, 8, &r->kick[0], 1), 0);
		rig_expect_closed(r, "ring 0: ");
		/* The same while the ring runs. */
		rig_up(r);
		rig_echo(r, 0, 3, true);
		assert_int_not_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
		rig_expect_closed(r, "ring 0: ");
	}
}

static void a_ring_across_two_regions_ends_the_session(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = { .n = 2 };
	int fds[2] = { r->memfd, r->memfd };

	t.regions[0] = (struct sr_vu_region){ RIG_GPA, 4096, RIG_UVA, 0 };
	t.regions[1] =
		(struct sr_vu_region){ RIG_GPA + RIG_MEM, RIG_MEM - 4096, RIG_UVA + 4096, 4096 };
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_equal(rig_ask(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(2), fds, 2), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, 0, 512), 0);
	rig_send(r, SR_VU_SET_VRING_ADDR, SR_VU_VERSION,
		 &(struct sr_vu_addr){
			 .desc = RIG_UVA, .avail = RIG_UVA + 0x8000, .used = RIG_UVA + 0xa000 },
		 40, NULL, 0);
	assert_int_not_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &(uint64_t){ 0 }, 8, &r->kick[0], 1),
			     0);
	rig_expect_closed(r, "ring 0: ");
}

static void descriptors_of_the_wrong_kind_end_the_session(void **state)
{
	struct rig *r = *state;
	static const uint32_t requests[] = { SR_VU_SET_VRING_CALL, SR_VU_SET_VRING_ERR,
					     SR_VU_SET_VRING_KICK };
	int ends[2], signals;
	sigset_t set;

	sigemptyset(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	assert_true(signals >= 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	r->fds += 3;
	for (unsigned i = 0; i < SR_ARRAY_LEN(requests); i++) {
		rig_up(r);
		assert_int_not_equal(rig_ask(r, requests[i], &(uint64_t){ 0 }, 8, &ends[1], 1), 0);
		rig_expect_closed(r, "expected an eventfd or a socket");
		rig_up(r);
		assert_int_not_equal(rig_ask(r, requests[i], &(uint64_t){ 0 }, 8, &r->memfd, 1), 0);
		rig_expect_closed(r, "expected an eventfd or a socket");
		rig_up(r);
		assert_int_not_equal(rig_ask(r, requests[i], &(uint64_t){ 0 }, 8, &signals, 1), 0);
		rig_expect_closed(r, "expected an eventfd or a socket");
	}
	rig_up(r);
	assert_int_not_equal(rig_ask(r, SR_VU_SET_BACKEND_REQ_FD, NULL, 0, &r->call[0], 1), 0);
	rig_expect_closed(r, "SET_BACKEND_REQ_FD");
	close(signals);
	close(ends[0]);
	close(ends[1]);
	r->fds -= 3;
}

static void config_sizes_that_contradict_each_other_end_the_session(void **state)
{
	struct rig *r = *state;
	struct sr_vu_config c = { .size = 8 };

	rig_up(r);
	rig_send(r, SR_VU_GET_CONFIG, SR_VU_VERSION, &c, SR_VU_CONFIG_HEADER + 7, NULL, 0);
	rig_expect_closed(r, "GET_CONFIG: size 8");
	rig_up(r);
	c.size = UINT32_MAX;
	rig_send(r, SR_VU_SET_CONFIG, SR_VU_VERSION, &c, SR_VU_CONFIG_HEADER, NULL, 0);
	rig_expect_closed(r, "SET_CONFIG: size ");
	rig_up(r);
	c = (struct sr_vu_config){ .size = 1, .flags = 2 };
	rig_send(r, SR_VU_SET_CONFIG, SR_VU_VERSION, &c, SR_VU_CONFIG_HEADER + 1, NULL, 0);
	rig_expect_closed(r, "SET_CONFIG: flags 0x2");
}

static void a_front_end_that_reads_no_replies_is_given_up(void **state)
{
	struct rig *r = *state;
	struct sr_vhost_user_info info;

	rig_up(r);
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 100000; i++)
		if (sr_vu_send(r->fd, SR_VU_GET_FEATURES, SR_VU_VERSION, NULL, 0, NULL, 0) ==
		    -EPIPE)
			break;
	RIG_WAIT((info = rig_info(r)).state == SR_VHOST_USER_WAITING);
	assert_non_null(strstr(info.last_error, "does not read our replies"));
	rig_hangup(r);
	rig_up(r);
	rig_echo(r, 0, 3, true);
}

static void the_kick_before_everything_else_does_nothing(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_kick_on(r, 0);
	eventfd_write(r->kick[0], 1);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(rig_get_base(r, 0), 0);
	assert_int_equal(rig_info(r).queues_started, 0);
}

/* Any bytes at all: what comes of them is an answer, a refusal or the session's end. */
static void random_messages_leave_nothing_behind(void **state)
{
	struct rig *r = *state;
	unsigned seed = 1;

	for (unsigned round = 0; round < 300; round++) {
		rig_connect(r);
		rig_negotiate(r, SR_F_VERSION_1);
		rig_share(r);
		for (unsigned i = 0; i < 30; i++) {
			uint32_t request = (uint32_t)rand_r(&seed) % (SR_VU_REQUESTS + 1);
			const struct sr_vu_row *row = sr_vu_front_row(request);
			unsigned spread = row ? row->max - row->min + 1u : 64;
			uint32_t size = (row ? row->min : 0) + (uint32_t)rand_r(&seed) % spread;
			unsigned n = (unsigned)rand_r(&seed) % 3;
			int fds[3] = { r->memfd, r->call[1], r->kick[1] };
			uint8_t payload[SR_VU_PAYLOAD_MAX] = { 0 };

			for (uint32_t k = 0; k < size; k++)
				payload[k] = rand_r(&seed) % 4 ? 0 : (uint8_t)rand_r(&seed);
			rig_send(r, request, SR_VU_VERSION, payload, size, fds + n % 2,
				 row && n > row->fds_max ? row->fds_max : n);
		}
		rig_hangup(r);
	}
	rig_up(r);
	rig_echo(r, 0, 3, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
/* Over a device whose requests take time. */
#define LATE(name)                                                       \
	{                                                                \
#name ", late", name, rig_setup_auto, rig_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_request_is_refused_and_the_session_goes_on),
		TEST(known_messages_that_are_not_negotiated_are_refused_as_their_row_says),
		TEST(known_messages_that_nobody_serves_are_refused),
		TEST(surplus_and_missing_fds_are_never_kept),
		TEST(the_same_message_a_thousand_times_keeps_fds_constant),
		TEST(messages_may_come_byte_by_byte),
		TEST(a_front_end_that_dies_inside_a_message_ends_its_session),
		TEST(a_huge_message_ends_the_session_at_its_header),
		TEST(wrong_sizes_end_the_session),
		TEST(wrong_flags_end_the_session),
		TEST(ring_indices_out_of_range_end_the_session),
		TEST(ring_sizes_out_of_range_end_the_session),
		TEST(bases_enables_and_flags_out_of_range_end_the_session),
		TEST(hostile_ring_addresses_end_the_session),
		TEST(a_ring_across_two_regions_ends_the_session),
		TEST(descriptors_of_the_wrong_kind_end_the_session),
		TEST(config_sizes_that_contradict_each_other_end_the_session),
		TEST(a_front_end_that_reads_no_replies_is_given_up),
		TEST(the_kick_before_everything_else_does_nothing),
		TEST(random_messages_leave_nothing_behind),
		LATE(the_same_message_a_thousand_times_keeps_fds_constant),
		LATE(random_messages_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
