/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "window.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static int file_of(size_t size)
{
	int fd = memfd_create("mem_test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Three regions: two touch in guest-physical space, the third stands apart; uva elsewhere. */
static struct sr_region three[3];

static int setup(void **state)
{
	int fd = file_of(16 * PAGE);

	three[0] = (struct sr_region){ 0x10000, 0x7f0000000000, 4 * PAGE, 0, fd };
	three[1] = (struct sr_region){ 0x14000, 0x7e0000000000, 4 * PAGE, 4 * PAGE, fd };
	three[2] = (struct sr_region){ 0x90000, 0x7d0000000000, 2 * PAGE, 8 * PAGE, fd };
	*state = sr_mem_create();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	sr_mem_destroy(*state);
	close(three[0].fd);
	return 0;
}

static void set_three(struct sr_mem *m)
{
	struct sr_error e;

	assert_int_equal(sr_mem_set_regions(m, three, 3, &e), 0);
}

static void refuses(struct sr_mem *m, const struct sr_region *r, unsigned n, int code,
		    const char *text)
{
	struct sr_error e = { 0 };

	assert_int_equal(sr_mem_set_regions(m, r, n, &e), code);
	assert_int_equal(e.code, code);
	assert_string_equal(e.text, text);
}

static void sorts_regions_and_forgets_the_descriptors(void **state)
{
	struct sr_mem *m = *state;
	struct sr_region swapped[3] = { three[2], three[1], three[0] };

	assert_int_equal(sr_mem_set_regions(m, swapped, 3, NULL), 0);
	assert_int_equal(sr_mem_region_count(m), 3);
	for (unsigned i = 0; i < 3; i++) {
		struct sr_region r = sr_mem_region_get(m, i);

		assert_true(r.gpa == three[i].gpa && r.uva == three[i].uva);
		assert_int_equal(r.fd, -1);
	}
}

static void translates_within_and_across_regions(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v[3];

	set_three(m);
	assert_int_equal(sr_mem_to_iov(m, 0x10010, 16, SR_MEM_READ, v, 3), 1);
	memcpy(v[0].iov_base, "sixteen bytes...", 16);
	char back[16];

	assert_int_equal(pread(three[0].fd, back, 16, 0x10), 16);
	assert_memory_equal(back, "sixteen bytes...", 16);

	assert_int_equal(sr_mem_to_iov(m, 0x13ffe, 4, SR_MEM_READ, v, 3), 2);
	assert_int_equal(v[0].iov_len, 2);
	assert_int_equal(v[1].iov_len, 2);
	memcpy(v[1].iov_base, "zz", 2);
	assert_int_equal(pread(three[0].fd, back, 2, 4 * PAGE), 2);
	assert_memory_equal(back, "zz", 2);
	assert_int_equal(sr_mem_to_iov(m, 0x13ffe, 4, SR_MEM_READ, v, 1), -ENOBUFS);
}

static void refuses_addresses_that_are_not_mapped(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v[4];

	set_three(m);
	assert_int_equal(sr_mem_to_iov(m, 0, 1, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0xffff, 1, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0x17fff, 2, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0x92000, 1, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, UINT64_MAX, 2, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0x10000, UINT64_MAX, SR_MEM_READ, v, 4), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0, 0, SR_MEM_READ, v, 4), 0);
}

static void finds_front_end_addresses_whole_in_one_region(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v;

	set_three(m);
	assert_int_equal(sr_mem_to_iov(m, 0x14100, 8, SR_MEM_READ, &v, 1), 1);
	assert_ptr_equal(sr_mem_from_uva(m, 0x7e0000000100, 8), v.iov_base);
	assert_non_null(sr_mem_from_uva(m, 0x7e0000000000, 4 * PAGE));
	assert_null(sr_mem_from_uva(m, 0x7e0000000000, 4 * PAGE + 1));
	assert_null(sr_mem_from_uva(m, 0x7e0000000001, UINT64_MAX));
	assert_null(sr_mem_from_uva(m, 0x10000, 1));
}

static void windows_hold_exactly_one_region(void **state)
{
	struct sr_mem *m = *state;
	struct sr_mem_window w = { 0 };

	set_three(m);
	assert_null(sr_mem_window_get(&w, 0, 1));
	assert_false(sr_mem_window_move(&w, m, 0xffff));
	assert_true(sr_mem_window_move(&w, m, 0x14001));
	assert_non_null(sr_mem_window_get(&w, 0x14000, 4 * PAGE));
	assert_null(sr_mem_window_get(&w, 0x14000, 4 * PAGE + 1));
	assert_null(sr_mem_window_get(&w, 0x13fff, 1));
	assert_null(sr_mem_window_get(&w, 0x14001, UINT64_MAX));
	assert_null(sr_mem_window_get(&w, 0x18000, 1));
}

static void refuses_a_region_of_no_size(void **state)
{
	three[1].size = 0;
	refuses(*state, three, 3, -EINVAL, "region 1: size 0x0, expected at least 1");
}

static void refuses_sums_that_wrap(void **state)
{
	struct sr_region r = three[0];

	r.gpa = UINT64_MAX - PAGE;
	refuses(*state, &r, 1, -EOVERFLOW,
		"region 0: gpa 0xffffffffffffefff + size 0x4000, expected a sum below 2^64");
	r = three[0];
	r.uva = UINT64_MAX - 4 * PAGE + 1;
	refuses(*state, &r, 1, -EOVERFLOW,
		"region 0: uva 0xffffffffffffc000 + size 0x4000, expected a sum below 2^64");
	r = three[0];
	r.mmap_offset = UINT64_MAX - 1;
	refuses(*state, &r, 1, -EOVERFLOW,
		"region 0: offset 0xfffffffffffffffe + size 0x4000, expected a sum below 2^63");
	r.mmap_offset = INT64_MAX - 4 * PAGE;
	refuses(*state, &r, 1, -EOVERFLOW,
		"region 0: offset 0x7fffffffffffbfff + size 0x4000, expected a sum below 2^63");
}

static void refuses_overlap_in_either_space(void **state)
{
	struct sr_region r[2] = { three[0], three[2] };

	r[1].gpa = r[0].gpa + r[0].size - 1;
	refuses(*state, r, 2, -EEXIST,
		"region 1: gpa 0x13fff size 0x2000, expected no overlap with region 0: "
		"gpa 0x10000 size 0x4000");
	r[1].gpa = three[2].gpa;
	r[1].uva = r[0].uva - r[1].size + 1;
	refuses(*state, r, 2, -EEXIST,
		"region 1: uva 0x7effffffe001 size 0x2000, expected no overlap with region 0: "
		"uva 0x7f0000000000 size 0x4000");
}

static void refuses_a_file_shorter_than_its_region(void **state)
{
	three[2].mmap_offset = 15 * PAGE;
	refuses(*state, three, 3, -EFBIG,
		"region 2: file of 0x10000 bytes, expected at least offset 0xf000 + size 0x2000");
}

static void refuses_what_cannot_be_mapped(void **state)
{
	struct sr_error e;
	struct sr_region r = three[0];
	int p[2];

	assert_int_equal(pipe(p), 0);
	r.fd = p[0];
	assert_true(sr_mem_set_regions(*state, &r, 1, &e) < 0);
	close(p[0]);
	close(p[1]);
	r.fd = -1;
	assert_int_equal(sr_mem_set_regions(*state, &r, 1, &e), -EBADF);
	assert_string_equal(e.text, "region 0: fd -1: Bad file descriptor");
}

static void a_refused_table_leaves_the_old_one(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v;

	set_three(m);
	assert_int_equal(sr_mem_to_iov(m, 0x10000, 1, SR_MEM_READ, &v, 1), 1);
	void *before = v.iov_base;
	struct sr_region bad[2] = { three[2], three[0] };

	bad[1].mmap_offset = 16 * PAGE;
	assert_int_equal(sr_mem_set_regions(m, bad, 2, NULL), -EFBIG);
	assert_int_equal(sr_mem_region_count(m), 3);
	assert_int_equal(sr_mem_to_iov(m, 0x10000, 1, SR_MEM_READ, &v, 1), 1);
	assert_ptr_equal(v.iov_base, before);
	memset(v.iov_base, 1, PAGE);
}

static void adds_and_removes_single_regions(void **state)
{
	struct sr_mem *m = *state;
	struct sr_error e;
	struct iovec v;

	assert_int_equal(sr_mem_add_region(m, &three[2], &e), 0);
	assert_int_equal(sr_mem_add_region(m, &three[0], &e), 0);
	assert_true(sr_mem_region_get(m, 0).gpa == three[0].gpa);
	assert_int_equal(sr_mem_add_region(m, &three[0], &e), -EEXIST);
	assert_string_equal(e.text,
			    "region 2: gpa 0x10000 size 0x4000, expected no overlap with region 0: "
			    "gpa 0x10000 size 0x4000");
	struct sr_region other_offset = three[0];

	other_offset.mmap_offset = 99;
	assert_int_equal(sr_mem_remove_region(m, &other_offset, &e), 0);
	assert_int_equal(sr_mem_remove_region(m, &three[0], &e), -ENOENT);
	assert_string_equal(e.text, "no region with gpa 0x10000, uva 0x7f0000000000 and size "
				    "0x4000 among 1");
	assert_int_equal(sr_mem_to_iov(m, 0x10000, 1, SR_MEM_READ, &v, 1), -EFAULT);
	assert_int_equal(sr_mem_to_iov(m, 0x90000, 1, SR_MEM_READ, &v, 1), 1);
}

static void holds_509_regions_and_no_more(void **state)
{
	struct sr_mem *m = *state;
	struct sr_region r[SR_MEM_REGIONS_MAX + 1];
	int fd = file_of(PAGE);
	struct iovec v[SR_MEM_REGIONS_MAX];
	struct sr_error e;

	for (unsigned i = 0; i < SR_ARRAY_LEN(r); i++)
		r[i] = (struct sr_region){ i * PAGE, (uint64_t)i * PAGE, PAGE, 0, fd };
	refuses(m, r, SR_MEM_REGIONS_MAX + 1, -ENOSPC, "510 regions, expected at most 509");
	assert_int_equal(sr_mem_set_regions(m, r, SR_MEM_REGIONS_MAX, &e), 0);
	assert_int_equal(
		sr_mem_to_iov(m, 0, SR_MEM_REGIONS_MAX * PAGE, SR_MEM_READ, v, SR_MEM_REGIONS_MAX),
		SR_MEM_REGIONS_MAX);
	for (unsigned i = 0; i < SR_MEM_REGIONS_MAX; i++) {
		assert_int_equal(sr_mem_to_iov(m, i * PAGE + 7, 1, SR_MEM_READ, v, 1), 1);
		assert_int_equal((uintptr_t)v[0].iov_base % PAGE, 7);
	}
	assert_int_equal(sr_mem_add_region(m, &r[SR_MEM_REGIONS_MAX], &e), -ENOSPC);
	assert_string_equal(e.text, "region 509: expected at most 509 regions");
	close(fd);
}

static void maps_offsets_that_no_page_starts_at(void **state)
{
	struct sr_mem *m = *state;
	struct sr_region r = { 0x5001, 0x5001, PAGE, PAGE + 0x123, three[0].fd };
	struct iovec v;
	char c;

	assert_int_equal(sr_mem_set_regions(m, &r, 1, NULL), 0);
	assert_int_equal(sr_mem_to_iov(m, 0x5001, PAGE, SR_MEM_WRITE, &v, 1), 1);
	((char *)v.iov_base)[0] = 'Q';
	((char *)v.iov_base)[PAGE - 1] = 'R';
	assert_int_equal(pread(r.fd, &c, 1, PAGE + 0x123), 1);
	assert_int_equal(c, 'Q');
	assert_int_equal(pread(r.fd, &c, 1, 2 * PAGE + 0x122), 1);
	assert_int_equal(c, 'R');
}

static void an_empty_table_maps_nothing(void **state)
{
	struct sr_mem *m = *state;
	struct iovec v;

	set_three(m);
	assert_int_equal(sr_mem_set_regions(m, NULL, 0, NULL), 0);
	assert_int_equal(sr_mem_region_count(m), 0);
	assert_int_equal(sr_mem_to_iov(m, 0x10000, 1, SR_MEM_READ, &v, 1), -EFAULT);
}

static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "mem_test (deleted)") != NULL;
	fclose(f);
	return n;
}

static void nothing_is_left_mapped_after_many_changes(void **state)
{
	struct sr_mem *m = *state;
	struct sr_region bad[3] = { three[0], three[1], three[2] };

	bad[2].mmap_offset = 16 * PAGE;
	for (unsigned i = 0; i < 1000; i++) {
		set_three(m);
		assert_int_equal(sr_mem_set_regions(m, bad, 3, NULL), -EFBIG);
		assert_int_equal(sr_mem_remove_region(m, &three[1], NULL), 0);
		assert_int_equal(sr_mem_add_region(m, &three[1], NULL), 0);
	}
	assert_in_range(mappings(), 1, 3); /* the kernel joins neighbours */
	sr_mem_set_regions(m, NULL, 0, NULL);
	assert_int_equal(mappings(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sorts_regions_and_forgets_the_descriptors),
		TEST(translates_within_and_across_regions),
		TEST(refuses_addresses_that_are_not_mapped),
		TEST(finds_front_end_addresses_whole_in_one_region),
		TEST(windows_hold_exactly_one_region),
		TEST(refuses_a_region_of_no_size),
		TEST(refuses_sums_that_wrap),
		TEST(refuses_overlap_in_either_space),
		TEST(refuses_a_file_shorter_than_its_region),
		TEST(refuses_what_cannot_be_mapped),
		TEST(a_refused_table_leaves_the_old_one),
		TEST(adds_and_removes_single_regions),
		TEST(holds_509_regions_and_no_more),
		TEST(maps_offsets_that_no_page_starts_at),
		TEST(an_empty_table_maps_nothing),
		TEST(nothing_is_left_mapped_after_many_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
