/* SPDX-License-Identifier: BSD-3-Clause */
/* A program of its own: the test library takes SIGBUS away from the memory room at the start
 * of every test, so only the first one in a process can have a page go missing. */
#include "vu_rig.h"

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

static void memory_that_shrinks_in_use_ends_the_session(void **state)
{
	struct rig *r = *state;
	unsigned broken;
	int file;

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
