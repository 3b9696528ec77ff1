/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"

#include <errno.h>
#include <slipring/mem.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE  4096u
#define PAGES 64u

static int log_fd;
static uint8_t bits[PAGES / 8];

/* Two regions, pages 0 to 15 and 32 to 47, and a log of 8 bytes at an odd offset of its file. */
static int setup(void **state)
{
	struct sr_mem *m = sr_mem_create();
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct sr_region r[2] = { { 0, 0x100000, 16 * PAGE, 0, fd },
				  { 32 * PAGE, 0x200000, 16 * PAGE, 16 * PAGE, fd } };

	assert_int_equal(ftruncate(fd, 32 * PAGE), 0);
	assert_int_equal(sr_mem_set_regions(m, r, 2, NULL), 0);
	close(fd);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(log_fd, 5 + PAGES / 8 + 1), 0);
	assert_int_equal(sr_mem_set_log(m, log_fd, 5, PAGES / 8, NULL), 0);
	sr_mem_log_enable(m, true);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	sr_mem_destroy(*state);
	close(log_fd);
	return 0;
}

/* What was marked since the last call; no byte beside the log may ever change. */
static const uint8_t *marked(void)
{
	uint8_t file[5 + PAGES / 8 + 1], zero[sizeof(file)] = { 0 };

	assert_int_equal(pread(log_fd, file, sizeof(file), 0), sizeof(file));
	assert_memory_equal(file, zero, 5);
	assert_int_equal(file[5 + PAGES / 8], 0);
	assert_int_equal(pwrite(log_fd, zero, sizeof(zero), 0), sizeof(zero));
	memcpy(bits, file + 5, sizeof(bits));
	return bits;
}

static void marks_each_touched_page_once(void **state)
{
	struct sr_mem *m = *state;

	sr_mem_log_gpa(m, 3 * PAGE + 10, 1);
	assert_memory_equal(marked(), "\x08\0\0\0\0\0\0\0", 8);
	sr_mem_log_gpa(m, 4 * PAGE - 1, 2);
	assert_memory_equal(marked(), "\x18\0\0\0\0\0\0\0", 8);
	sr_mem_log_gpa(m, 4 * PAGE, PAGE);
	assert_memory_equal(marked(), "\x10\0\0\0\0\0\0\0", 8);
	sr_mem_log_gpa(m, 7 * PAGE, 18 * PAGE);
	assert_memory_equal(marked(), "\x80\xff\xff\x01\0\0\0\0", 8);
	sr_mem_log_gpa(m, 7 * PAGE, 0);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\0", 8);
}

static void leaves_out_what_lies_past_the_log(void **state)
{
	struct sr_mem *m = *state;

	sr_mem_log_gpa(m, 63 * PAGE, 100 * PAGE);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\x80", 8);
	sr_mem_log_gpa(m, 64 * PAGE, PAGE);
	sr_mem_log_gpa(m, UINT64_MAX, 1);
	sr_mem_log_gpa(m, UINT64_MAX - 5, UINT64_MAX);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\0", 8);
	assert_true(sr_mem_log_covers(m, 63 * PAGE, PAGE));
	assert_true(sr_mem_log_covers(m, UINT64_MAX, 0));
	assert_false(sr_mem_log_covers(m, 63 * PAGE, PAGE + 1));
	assert_false(sr_mem_log_covers(m, UINT64_MAX - 1, 3));
}

static void marks_the_written_part_of_pieces(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v[2];

	assert_int_equal(sr_mem_to_iov(m, 2 * PAGE, 2 * PAGE, SR_MEM_WRITE, &v[0], 1), 1);
	assert_int_equal(sr_mem_to_iov(m, 33 * PAGE + 4000, 200, SR_MEM_WRITE, &v[1], 1), 1);
	sr_mem_log_iov(m, v, 2, PAGE);
	assert_memory_equal(marked(), "\x04\0\0\0\0\0\0\0", 8);
	sr_mem_log_iov(m, v, 2, 2 * PAGE + 96);
	assert_memory_equal(marked(), "\x0c\0\0\0\x02\0\0\0", 8);
	sr_mem_log_iov(m, v, 2, 1u << 30);
	assert_memory_equal(marked(), "\x0c\0\0\0\x06\0\0\0", 8);
	sr_mem_log_iov(m, v, 2, 0);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\0", 8);
}

static void marks_nothing_while_off_or_without_a_log(void **state)
{
	struct sr_mem *m = *state;

	assert_true(sr_mem_log_active(m));
	sr_mem_log_enable(m, false);
	assert_false(sr_mem_log_active(m));
	sr_mem_log_gpa(m, 0, PAGE);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\0", 8);
	sr_mem_log_enable(m, true);
	assert_int_equal(sr_mem_set_log(m, -1, 0, 0, NULL), 0);
	assert_false(sr_mem_log_active(m));
	assert_false(sr_mem_log_covers(m, 0, 1));
	sr_mem_log_gpa(m, 0, PAGE);
	assert_memory_equal(marked(), "\0\0\0\0\0\0\0\0", 8);
}

static void a_refused_log_leaves_the_old_one(void **state)
{
	struct sr_mem *m = *state;
	struct sr_error e;

	assert_int_equal(sr_mem_set_log(m, log_fd, 7, PAGES / 8, &e), -EFBIG);
	assert_string_equal(e.text, "dirty log: file of 0xe bytes, expected at least offset 0x7 + "
				    "size 0x8");
	assert_int_equal(sr_mem_set_log(m, log_fd, 7, UINT64_MAX, &e), -EOVERFLOW);
	assert_int_equal(sr_mem_set_log(m, log_fd, 0, 0, &e), -EINVAL);
	assert_string_equal(e.text, "dirty log: size 0x0, expected at least 1");
	sr_mem_log_gpa(m, 0, 1);
	assert_memory_equal(marked(), "\x01\0\0\0\0\0\0\0", 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(marks_each_touched_page_once),
		TEST(leaves_out_what_lies_past_the_log),
		TEST(marks_the_written_part_of_pieces),
		TEST(marks_nothing_while_off_or_without_a_log),
		TEST(a_refused_log_leaves_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
