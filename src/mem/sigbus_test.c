/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"

#include <pthread.h>
#include <signal.h>
#include <slipring/mem.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

struct guest {
	struct sr_mem *m;
	int fd;
	volatile uint8_t *p;
};

static struct guest guest_create(unsigned pages)
{
	struct guest g = { .m = sr_mem_create(), .fd = memfd_create("guest", MFD_CLOEXEC) };
	struct sr_region r = { 0, 0, pages * PAGE, 0, g.fd };
	struct iovec v;

	assert_int_equal(ftruncate(g.fd, pages * PAGE), 0);
	assert_int_equal(sr_mem_set_regions(g.m, &r, 1, NULL), 0);
	assert_int_equal(sr_mem_to_iov(g.m, 0, 1, SR_MEM_READ, &v, 1), 1);
	g.p = v.iov_base;
	return g;
}

/* cmocka puts handlers of its own in place around each test; ours is installed only once. */
static void handler_restore(void)
{
	static struct sigaction ours;

	if (!ours.sa_sigaction) {
		struct guest g = guest_create(1);

		sigaction(SIGBUS, NULL, &ours);
		sr_mem_destroy(g.m);
		close(g.fd);
	}
	assert_int_equal(sigaction(SIGBUS, &ours, NULL), 0);
}

static void guest_destroy(struct guest *g)
{
	sr_mem_destroy(g->m);
	close(g->fd);
}

static void a_cut_file_reads_as_zeroes_and_tears_only_its_guest(void **state)
{
	struct guest a = guest_create(8), b = guest_create(8);

	(void)state;
	handler_restore();
	a.p[0] = 1;
	a.p[7 * PAGE] = 7;
	assert_int_equal(ftruncate(a.fd, PAGE), 0);
	assert_false(sr_mem_is_torn(a.m));
	assert_int_equal(a.p[7 * PAGE + 5], 0);
	assert_true(sr_mem_is_torn(a.m));
	assert_false(sr_mem_is_torn(b.m));
	assert_int_equal(a.p[0], 1);
	a.p[3 * PAGE] = 3;
	assert_int_equal(a.p[3 * PAGE], 3);
	guest_destroy(&a);
	guest_destroy(&b);
}

static void a_new_table_mends_a_torn_guest(void **state)
{
	struct guest g = guest_create(2);
	struct sr_region r = { 0, 0, 2 * PAGE, 0, g.fd };

	(void)state;
	handler_restore();
	assert_int_equal(ftruncate(g.fd, 0), 0);
	g.p[0] = 1;
	assert_true(sr_mem_is_torn(g.m));
	assert_int_equal(ftruncate(g.fd, 2 * PAGE), 0);
	assert_int_equal(sr_mem_set_regions(g.m, &r, 1, NULL), 0);
	assert_false(sr_mem_is_torn(g.m));
	guest_destroy(&g);
}

static void a_cut_dirty_log_tears_too(void **state)
{
	struct guest g = guest_create(2);
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	handler_restore();
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(sr_mem_set_log(g.m, fd, 0, PAGE, NULL), 0);
	sr_mem_log_enable(g.m, true);
	assert_int_equal(ftruncate(fd, 0), 0);
	sr_mem_log_gpa(g.m, 0, 1);
	assert_true(sr_mem_is_torn(g.m));
	assert_int_equal(sr_mem_set_log(g.m, -1, 0, 0, NULL), 0);
	assert_false(sr_mem_is_torn(g.m));
	close(fd);
	guest_destroy(&g);
}

/* More guests than a chunk has guards, made and removed by one thread while another touches
 * files that are being cut. */
static atomic_bool stop;

static void *churn(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		struct guest g[140];

		for (unsigned i = 0; i < SR_ARRAY_LEN(g); i++)
			g[i] = guest_create(1);
		for (unsigned i = 0; i < SR_ARRAY_LEN(g); i++)
			guest_destroy(&g[i]);
	}
	return NULL;
}

static void faults_are_mended_while_guests_come_and_go(void **state)
{
	pthread_t t;

	(void)state;
	handler_restore();
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&t, NULL, churn, NULL), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct guest g = guest_create(4);

		assert_int_equal(ftruncate(g.fd, PAGE * (i % 4)), 0);
		for (unsigned k = 4; k--;)
			g.p[k * PAGE] = 1;
		assert_true(sr_mem_is_torn(g.m));
		guest_destroy(&g);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
}

/* The rest runs in children, where the handler is not yet installed. */
static int child_status(void (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		body();
		_exit(0);
	}
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* An empty file, mapped on both sides of a guest. */
static volatile char *foreign_map(void)
{
	return mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd_create("foreign", MFD_CLOEXEC), 0);
}

static void touch_foreign(bool above)
{
	volatile char *first = foreign_map();
	struct guest g = guest_create(1);
	volatile char *last = foreign_map();

	bool first_is_above = (uintptr_t)first > (uintptr_t)g.p;

	(void)*(first_is_above == above ? first : last);
}

static void earlier_info(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	_exit(41);
}

static void earlier_plain(int number)
{
	(void)number;
	_exit(42);
}

static void handle_with_info(void)
{
	struct sigaction a = { .sa_sigaction = earlier_info, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &a, NULL);
	touch_foreign(true);
}

static void handle_plainly(void)
{
	signal(SIGBUS, earlier_plain);
	touch_foreign(false);
}

static void handle_by_default(void)
{
	signal(SIGBUS, SIG_DFL);
	touch_foreign(false);
}

static void ignore_and_touch(void)
{
	signal(SIGBUS, SIG_IGN);
	touch_foreign(false);
}

static void ignore_and_send(void)
{
	signal(SIGBUS, SIG_IGN);
	guest_create(1);
	raise(SIGBUS);
}

static void send_by_default(void)
{
	signal(SIGBUS, SIG_DFL);
	guest_create(1);
	raise(SIGBUS);
}

static void a_foreign_sigbus_goes_where_it_went_before(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(child_status(handle_with_info)), 41);
	assert_int_equal(WEXITSTATUS(child_status(handle_plainly)), 42);
	assert_int_equal(WTERMSIG(child_status(handle_by_default)), SIGBUS);
	assert_int_equal(WTERMSIG(child_status(ignore_and_touch)), SIGBUS);
	assert_int_equal(WTERMSIG(child_status(send_by_default)), SIGBUS);
	assert_int_equal(child_status(ignore_and_send), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: its children must find the handler not yet installed. */
		cmocka_unit_test(a_foreign_sigbus_goes_where_it_went_before),
		cmocka_unit_test(a_cut_file_reads_as_zeroes_and_tears_only_its_guest),
		cmocka_unit_test(a_new_table_mends_a_torn_guest),
		cmocka_unit_test(a_cut_dirty_log_tears_too),
		cmocka_unit_test(faults_are_mended_while_guests_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
