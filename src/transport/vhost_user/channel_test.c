/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes to messages and back, over a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int to, from;
	struct sr_vu_channel c;
	int fds; /* open before the test */
	int fd;	 /* something to pass */
};

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	int sv[2];

	p->fds = count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	p->to = sv[0];
	p->from = sv[1];
	p->fd = eventfd(0, 0);
	sr_vu_channel_init(&p->c, p->from);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	sr_vu_channel_finish(&p->c);
	if (p->to >= 0)
		close(p->to);
	close(p->from);
	close(p->fd);
	assert_int_equal(count_fds(), p->fds);
	free(p);
	return 0;
}

/* Bytes with fds, without regard to messages; more fds than the protocol knows, too. */
static void put(struct pair *p, const void *bytes, size_t len, unsigned nfds)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &p->fd, sizeof(int));
	}
	assert_int_equal(sendmsg(p->to, &h, MSG_NOSIGNAL), len);
}

static int take(struct pair *p, struct sr_error *e)
{
	return sr_vu_channel_receive(&p->c, e);
}

static void a_message_arrives_as_it_was_sent(void **state)
{
	struct pair *p = *state;
	int fds[8] = { p->fd, p->fd, p->fd, p->fd, p->fd, p->fd, p->fd, p->fd };

	for (unsigned n = 0; n <= 8; n++) {
		uint8_t payload[SR_VU_PAYLOAD_MAX];
		uint32_t size = n * SR_VU_PAYLOAD_MAX / 8;

		memset(payload, (int)n, sizeof(payload));
		assert_int_equal(sr_vu_send(p->to, n + 1, 0x9, payload, size, fds, n), 0);
		assert_int_equal(take(p, NULL), 1);
		assert_int_equal(p->c.m.request, n + 1);
		assert_int_equal(p->c.m.flags, 0x9);
		assert_int_equal(p->c.m.size, size);
		assert_int_equal(p->c.m.nfds, n);
		assert_memory_equal(p->c.m.p.bytes, payload, size);
		for (unsigned i = 0; i < n; i++)
			assert_true(fcntl(p->c.m.fds[i], F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(take(p, NULL), 0);
	assert_int_equal(count_fds(), p->fds + 3); /* the last message's fds are closed */
}

static void a_message_may_come_byte_by_byte(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[12 + 40] = { [0] = 9, [4] = 1, [8] = 40 };

	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			put(p, &bytes[i], 1, i ? 0 : round);
			assert_int_equal(take(p, NULL), i + 1 == sizeof(bytes));
		}
		assert_int_equal(p->c.m.request, 9);
		assert_int_equal(p->c.m.size, 40);
		assert_int_equal(p->c.m.nfds, round);
	}
}

static void several_messages_in_one_write_are_taken_one_by_one(void **state)
{
	struct pair *p = *state;
	uint32_t words[] = { 1, 1, 0, 2, 1, 4, 0xabcd, 3, 1, 0 };

	put(p, words, sizeof(words), 0);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(take(p, NULL), 1);
		assert_int_equal(p->c.m.request, i);
	}
	assert_int_equal(take(p, NULL), 0);
}

static void a_huge_payload_is_refused_at_the_header(void **state)
{
	static const uint32_t sizes[] = { SR_VU_PAYLOAD_MAX + 1, 0x7fffffff, 0x80000000, UINT32_MAX,
					  UINT32_MAX - 11 };

	for (unsigned i = 0; i < SR_ARRAY_LEN(sizes); i++) {
		struct pair *p;
		uint32_t header[3] = { 5, 1, sizes[i] };
		struct sr_error e;

		if (i) {
			teardown(state);
			setup(state);
		}
		p = *state;
		put(p, header, sizeof(header), 2);
		assert_int_equal(take(p, &e), -EPROTO);
		assert_non_null(strstr(e.text, "request 5"));
	}
}

static void an_end_between_messages_is_told_from_one_inside(void **state)
{
	uint8_t bytes[12 + 8] = { [0] = 2, [4] = 1, [8] = 8 };

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct pair *p;

		if (len) {
			teardown(state);
			setup(state);
		}
		p = *state;
		if (len)
			put(p, bytes, len, 1);
		close(p->to);
		p->to = -1;
		if (len == sizeof(bytes))
			assert_int_equal(take(p, NULL), 1);
		assert_int_equal(take(p, NULL), len && len < sizeof(bytes) ? -EPROTO : -EPIPE);
	}
}

static void more_than_eight_fds_are_refused_and_closed(void **state)
{
	struct pair *p = *state;
	uint32_t header[3] = { 5, 1, 0 };
	struct sr_error e;

	put(p, header, sizeof(header), 9);
	assert_int_equal(take(p, &e), -EPROTO);
	assert_non_null(strstr(e.text, "more than 8"));
	teardown(state);
	setup(state);
	p = *state;
	put(p, header, sizeof(header), 16);
	assert_int_equal(take(p, &e), -EPROTO);
}

static void fds_after_the_first_byte_are_refused_and_closed(void **state)
{
	uint8_t bytes[12 + 8] = { [0] = 2, [4] = 1, [8] = 8 };

	for (size_t at = 1; at < sizeof(bytes); at++) {
		struct pair *p;
		struct sr_error e;

		if (at > 1) {
			teardown(state);
			setup(state);
		}
		p = *state;
		put(p, bytes, at, 1);
		put(p, bytes + at, sizeof(bytes) - at, 1);
		assert_int_equal(take(p, &e), -EPROTO);
		assert_non_null(strstr(e.text, "expected at its first"));
	}
}

static void no_room_for_fds_in_this_process_is_said_so(void **state)
{
	struct pair *p = *state;
	uint32_t header[3] = { 5, 1, 0 };
	struct rlimit before, tight;
	struct sr_error e;

	put(p, header, sizeof(header), 8);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)p->fd + 3;
	setrlimit(RLIMIT_NOFILE, &tight);
	assert_int_equal(take(p, &e), -EPROTO);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_non_null(strstr(e.text, "RLIMIT_NOFILE"));
}

static void sending_to_a_peer_that_does_not_read_never_waits(void **state)
{
	struct pair *p = *state;
	uint64_t v = 0;
	int r, sent = 0;

	fcntl(p->to, F_SETFL, 0); /* not even on a blocking socket */
	while ((r = sr_vu_send(p->to, 1, SR_VU_REPLY_FLAGS, &v, 8, NULL, 0)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	/* Nothing was cut. */
	for (int i = 0; i < sent; i++)
		assert_int_equal(take(p, NULL), 1);
	assert_int_equal(take(p, NULL), 0);
}

static void sending_to_a_peer_that_is_gone_raises_no_signal(void **state)
{
	struct pair *p = *state;

	assert_int_equal(sr_vu_send(p->from, 1, 1, NULL, 0, NULL, 0), 0);
	close(p->to);
	p->to = -1;
	assert_int_equal(sr_vu_send(p->from, 1, 1, NULL, 0, NULL, 0), -EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_as_it_was_sent),
		TEST(a_message_may_come_byte_by_byte),
		TEST(several_messages_in_one_write_are_taken_one_by_one),
		TEST(a_huge_payload_is_refused_at_the_header),
		TEST(an_end_between_messages_is_told_from_one_inside),
		TEST(more_than_eight_fds_are_refused_and_closed),
		TEST(fds_after_the_first_byte_are_refused_and_closed),
		TEST(no_room_for_fds_in_this_process_is_said_so),
		TEST(sending_to_a_peer_that_does_not_read_never_waits),
		TEST(sending_to_a_peer_that_is_gone_raises_no_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
