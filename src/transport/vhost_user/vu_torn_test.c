/* SPDX-License-Identifier: BSD-3-Clause */
/* A program of its own: the test library takes SIGBUS away from the memory room at the start
 * of every test, so only the first one in a process can have a page go missing. */
#include "vu_slow.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* A session whose memory is in the file that is returned. */
static int begin(struct rig *r)
{
	int file = memfd_create("slipring-rig", MFD_CLOEXEC);
	struct sr_vu_mem_table t = rig_table();

	assert_int_equal(ftruncate(file, RIG_MEM), 0);
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_equal(rig_ask(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), &file, 1), 0);
	rig_start(r, 0, 0);
	return file;
}

static void shrink(struct rig *r, int file)
{
	assert_int_equal(ftruncate(file, 0), 0);
	close(file);
	eventfd_write(r->kick[0], 1);
}

/* Requests are under way, and `file` gets shorter. */
static void lose(struct rig *r, int file, uint64_t size, const char *error)
{
	rig_occupy(r, 0, 3);
	assert_int_equal(ftruncate(file, 0), 0);
	rig_finish(r, 0, 1);
	eventfd_write(r->kick[0], 1);
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
	rig_finish_all(r, 0);
	rig_expect_closed(r, error);
	assert_int_equal(ftruncate(file, (off_t)size), 0);
}

static void requests_are_finished_first(struct rig *r)
{
	rig_up(r);
	lose(r, r->memfd, RIG_MEM, "behind a region");
}

static void a_record_that_shrinks_ends_the_session(struct rig *r)
{
	struct sr_vu_inflight f = { .size = 65536, .queues = 1, .queue_size = RIG_RING };
	int record = memfd_create("slipring-rig", MFD_CLOEXEC);

	assert_int_equal(ftruncate(record, 65536), 0);
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	assert_int_equal(rig_ask(r, SR_VU_SET_INFLIGHT_FD, &f, sizeof(f), &record, 1), 0);
	rig_start(r, 0, 0);
	lose(r, record, 65536, "behind the in-flight record");
	close(record);
}

static void memory_that_shrinks_in_use_ends_the_session(void **state)
{
	struct rig *r = *state, *slow = rig_slow_beside(r);
	unsigned broken;
	int file;

	requests_are_finished_first(slow);
	a_record_that_shrinks_ends_the_session(slow);
	rig_teardown((void **)&slow);

	shrink(r, begin(r));
	rig_expect_closed(r, "cut short");
	/* Also when the control loop has no room to be told at first. */
	file = begin(r);
	rig_hold_control(r);
	rig_fill_control(r);
	broken = r->d.broken[0];
	shrink(r, file);
	RIG_WAIT(r->d.broken[0] > broken);
	usleep(5000);
	rig_release_control(r);
	rig_expect_closed(r, "cut short");
	rig_up(r);
	rig_echo(r, 0, 3, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(memory_that_shrinks_in_use_ends_the_session) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
