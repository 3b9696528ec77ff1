/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <slipring/error.h>
#include <slipring/log.h>

static unsigned lines;
static char last[1100];

static void keep(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	lines++;
	snprintf(last, sizeof(last), "%d %s: %s", (int)level, subject, text);
}

static void one_event_is_one_line(void **state)
{
	(void)state;
	lines = 0;
	sr_log_to(keep, NULL);
	sr_log(SR_LOG_WARN, "port a", "message %d: %s", 5, "two\nlines\x1b[0m");
	assert_int_equal(lines, 1);
	assert_string_equal(last, "1 port a: message 5: two?lines?[0m");
	sr_log_to(NULL, NULL);
}

static void a_subject_that_floods_is_cut_off_and_no_other(void **state)
{
	(void)state;
	lines = 0;
	sr_log_to(keep, NULL);
	for (int i = 0; i < 1000; i++)
		sr_log(SR_LOG_WARN, "mallory", "again");
	assert_int_equal(lines, 201);
	assert_non_null(strstr(last, "left out"));
	sr_log(SR_LOG_WARN, "alice", "here");
	sr_log(SR_LOG_ERROR, "mallory", "but this");
	assert_int_equal(lines, 203);
	sr_log_to(NULL, NULL);
}

static void levels_hide_lines(void **state)
{
	(void)state;
	lines = 0;
	sr_log_to(keep, NULL);
	sr_log(SR_LOG_DEBUG, "x", "hidden");
	sr_log_level(SR_LOG_DEBUG);
	sr_log(SR_LOG_DEBUG, "x", "shown");
	sr_log_level(SR_LOG_INFO);
	assert_int_equal(lines, 1);
	assert_int_equal(sr_log_level_parse("debug"), SR_LOG_DEBUG);
	assert_int_equal(sr_log_level_parse("loud"), -EINVAL);
	sr_log_to(NULL, NULL);
}

static void errors_carry_code_and_text(void **state)
{
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_error_set(&e, -EINVAL, "size %d, expected %d", 3, 4), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "size 3, expected 4");
	assert_int_equal(sr_error_set(NULL, -EIO, "nobody listens"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_event_is_one_line),
		cmocka_unit_test(a_subject_that_floods_is_cut_off_and_no_other),
		cmocka_unit_test(levels_hide_lines),
		cmocka_unit_test(errors_carry_code_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
