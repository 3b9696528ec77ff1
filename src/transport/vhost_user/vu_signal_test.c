/* SPDX-License-Identifier: BSD-3-Clause */
/* Events reach an eventfd, and whoever sends them never waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "vu_signal.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <slipring/log.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t take(int fd)
{
	uint64_t v = 0;

	assert_int_equal(read(fd, &v, 8), 8);
	return v;
}

static void every_event_adds_one(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		sr_session_signal(fd, false);
	assert_int_equal(take(fd), 10000);
	sr_session_signal(fd, false);
	assert_int_equal(take(fd), 1);
	close(fd);
}

static void a_full_eventfd_that_blocks_is_not_waited_for(void **state)
{
	int fd = eventfd(0, 0);

	(void)state;
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	for (unsigned i = 0; i < 1000; i++)
		sr_session_signal(fd, false);
	assert_true(take(fd) >= UINT64_MAX - 1);
	sr_session_signal(fd, false);
	assert_int_equal(take(fd), 1);
	close(fd);
}

/* Of those that this process has: each is a mapping of that name. */
static unsigned count_contexts(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "[aio]") != NULL;
	fclose(f);
	return n;
}

static void *signal_in_a_thread(void *ctx)
{
	for (unsigned i = 0; i < 100; i++)
		sr_session_signal(*(int *)ctx, false);
	return (void *)(uintptr_t)count_contexts();
}

static void threads_leave_nothing_behind(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned before = count_contexts();
	void *during;
	pthread_t t;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pthread_create(&t, NULL, signal_in_a_thread, &fd), 0);
		pthread_join(t, &during);
		assert_int_equal((uintptr_t)during, before + 1);
		assert_int_equal(take(fd), 100);
	}
	assert_int_equal(count_contexts(), before);
	close(fd);
}

/* Forbids one system call to the calling thread, without a way back. */
static int forbid(unsigned call)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = SR_ARRAY_LEN(code), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

struct poor {
	int fd;
	unsigned call;
	bool forbidden;
};

static void *signal_without_aio(void *ctx)
{
	struct poor *p = ctx;

	p->forbidden = forbid(p->call) == 0;
	for (unsigned i = 0; i < 100; i++)
		sr_session_signal(p->fd, false);
	return NULL;
}

static void count_lines(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)subject;
	*(unsigned *)ctx += level == SR_LOG_WARN && strstr(text, "asynchronous I/O");
}

static void without_aio_events_are_written_and_the_log_says_so_once(void **state)
{
	const unsigned calls[] = { SYS_io_setup, SYS_io_submit };
	struct poor p = { .fd = eventfd(0, EFD_NONBLOCK) };
	unsigned lines = 0;
	pthread_t t;

	(void)state;
	sr_log_to(count_lines, &lines);
	for (unsigned i = 0; i < SR_ARRAY_LEN(calls); i++) {
		p.call = calls[i];
		assert_int_equal(pthread_create(&t, NULL, signal_without_aio, &p), 0);
		pthread_join(t, NULL);
		assert_true(p.forbidden);
		assert_int_equal(take(p.fd), 100);
	}
	sr_log_to(NULL, NULL);
	assert_int_equal(lines, 1);
	close(p.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_adds_one),
		cmocka_unit_test(a_full_eventfd_that_blocks_is_not_waited_for),
		cmocka_unit_test(threads_leave_nothing_behind),
		cmocka_unit_test(without_aio_events_are_written_and_the_log_says_so_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
