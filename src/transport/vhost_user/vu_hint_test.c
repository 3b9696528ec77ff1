/* SPDX-License-Identifier: BSD-3-Clause */
/* The hint about memory that is not shared. Its patience is real time: these tests take it. */
#include "vu_rig.h"

#include <slipring/log.h>
#include <unistd.h>

static _Atomic unsigned no_region, untouched;

static void keep(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	(void)subject;
	if (level == SR_LOG_WARN && strstr(text, "no memory region"))
		no_region++;
	if (level == SR_LOG_WARN && strstr(text, "nothing in any of its 1 rings"))
		untouched++;
}

static void features_without_memory_are_remarked_once(void **state)
{
	struct rig *r = *state;

	sr_log_to(keep, NULL);
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	RIG_WAIT(no_region == 1);
	rig_negotiate(r, SR_F_VERSION_1);
	sleep(6);
	assert_int_equal(no_region, 1);
	assert_int_equal(untouched, 0);
}

static void rings_that_stay_empty_are_remarked_and_used_ones_not(void **state)
{
	struct rig *r = *state;

	no_region = untouched = 0;
	sr_log_to(keep, NULL);
	rig_up(r);
	RIG_WAIT(untouched == 1);
	rig_hangup(r);
	rig_up(r);
	rig_echo(r, 0, 1, true);
	sleep(6);
	assert_int_equal(untouched, 1);
	assert_int_equal(no_region, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_without_memory_are_remarked_once),
		TEST(rings_that_stay_empty_are_remarked_and_used_ones_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
