/* SPDX-License-Identifier: BSD-3-Clause */
/* Every byte that a device queue changes lies in a page that the dirty log marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring_fixture.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE	  4096u
#define PAGES	  ((GUEST_GPA + GUEST_SIZE) / PAGE)
#define LOG_BYTES (PAGES / 8)
#define SIZE	  1024u /* descriptors: the used ring takes more than two pages */

struct log_fixture {
	struct ring_fixture ring;
	uint8_t *before; /* a copy of the guest's memory */
	uint8_t *bits;	 /* the test's mapping of the log */
	int fd;
};

static int setup(void **state)
{
	struct log_fixture *f = calloc(1, sizeof(*f));

	fixture_init(&f->ring);
	f->before = malloc(GUEST_SIZE);
	f->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->fd, LOG_BYTES), 0);
	f->bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_true(f->bits != MAP_FAILED);
	assert_int_equal(sr_mem_set_log(f->ring.mem, f->fd, 0, LOG_BYTES, NULL), 0);
	sr_mem_log_enable(f->ring.mem, true);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct log_fixture *f = *state;

	fixture_finish(&f->ring);
	munmap(f->bits, LOG_BYTES);
	close(f->fd);
	free(f->before);
	free(f);
	return 0;
}

static void remember(struct log_fixture *f)
{
	memset(f->bits, 0, LOG_BYTES);
	memcpy(f->before, f->ring.guest, GUEST_SIZE);
}

static bool is_marked(const struct log_fixture *f, uint64_t address)
{
	uint64_t page = address / PAGE;

	return f->bits[page / 8] >> page % 8 & 1;
}

static unsigned marks(const struct log_fixture *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOG_BYTES; i++)
		n += (unsigned)__builtin_popcount(f->bits[i]);
	return n;
}

/* Exactly the pages that changed since remember() are marked; what changed is `changed` pages. */
static void log_is_exact(struct log_fixture *f, unsigned changed)
{
	unsigned n = 0;

	for (uint32_t at = 0; at < GUEST_SIZE; at += PAGE) {
		if (!memcmp(f->before + at, f->ring.guest + at, PAGE))
			continue;
		n++;
		assert_true(is_marked(f, gpa(at)));
	}
	assert_int_equal(n, changed);
	assert_int_equal(marks(f), changed);
	remember(f);
}

static void start(struct log_fixture *f, uint64_t features)
{
	fixture_place(&f->ring, SIZE, features);
	f->ring.config.log_used = true;
	f->ring.config.log_gpa = GUEST_GPA + (f->ring.config.used - GUEST_UVA);
	remember(f);
	assert_int_equal(sr_vq_start(f->ring.q, &f->ring.config, f->ring.mem, NULL), 0);
}

static void put(struct log_fixture *f, unsigned i, uint32_t at, uint32_t len, unsigned flags)
{
	f->ring.desc[i] = (struct split_desc){ gpa(at), len, (uint16_t)flags, (uint16_t)(i + 1) };
}

static void fill(struct sr_chain *c, uint32_t written)
{
	c->written = written;
	for (unsigned i = 0; i < c->nin && written; i++) {
		uint32_t part = (uint32_t)sr_min(written, c->in[i].iov_len);

		memset(c->in[i].iov_base, 0xee, part);
		written -= part;
	}
}

static void marks_data_used_entries_index_and_requests(void **state)
{
	struct log_fixture *f = *state;
	struct ring_fixture *r = &f->ring;
	struct sr_chain c[2];

	start(f, SR_F_RING);
	put(f, 0, GUEST_DATA + 10, 100, SPLIT_DESC_NEXT);
	put(f, 1, GUEST_DATA + 3 * PAGE, 2 * PAGE, SPLIT_DESC_NEXT | SPLIT_DESC_WRITE);
	put(f, 2, GUEST_SEAM - 5, PAGE, SPLIT_DESC_WRITE);
	for (unsigned i = 0; i < 700; i++)
		offer(r, 0);
	remember(f);
	assert_int_equal(pop(r, c, 1), 1);
	log_is_exact(f, 0);
	fill(c, 2 * PAGE + 10);
	sr_vq_push(r->q, c, 1);
	log_is_exact(f, 5); /* two pages, two beside the seam, the used entry */
	sr_vq_publish(r->q);
	log_is_exact(f, 1);
	for (unsigned i = 1; i < 700; i++) {
		assert_int_equal(pop(r, c, 1), 1);
		sr_vq_push(r->q, c, 1);
	}
	assert_int_equal(marks(f), 2); /* 700 entries of 8 bytes */
	remember(f);
	assert_false(sr_vq_rearm(r->q));
	log_is_exact(f, 1); /* avail_event, far from the index */
}

static void marks_the_flags_without_event_idx(void **state)
{
	struct log_fixture *f = *state;
	struct sr_chain c;

	start(f, SR_F_VERSION_1);
	log_is_exact(f, 1);
	assert_false(sr_vq_rearm(f->ring.q));
	log_is_exact(f, 1);
	assert_int_equal(pop(&f->ring, &c, 1), 0);
	log_is_exact(f, 1);
}

static void marks_the_used_ring_where_the_front_end_says(void **state)
{
	struct log_fixture *f = *state;
	struct sr_chain c;

	fixture_place(&f->ring, SIZE, SR_F_RING);
	f->ring.config.log_used = true;
	f->ring.config.log_gpa = 0x4000; /* outside of all regions, within the log */
	assert_int_equal(sr_vq_start(f->ring.q, &f->ring.config, f->ring.mem, NULL), 0);
	put(f, 0, GUEST_DATA, 100, 0);
	offer(&f->ring, 0);
	remember(f);
	assert_int_equal(pop(&f->ring, &c, 1), 1);
	sr_vq_push(f->ring.q, &c, 1);
	sr_vq_publish(f->ring.q);
	assert_true(is_marked(f, 0x4000));
	assert_int_equal(marks(f), 1);
}

static void marks_no_used_ring_unless_asked_but_data_always(void **state)
{
	struct log_fixture *f = *state;
	struct sr_chain c;

	fixture_start(&f->ring, SIZE, SR_F_RING);
	put(f, 0, GUEST_DATA, 100, SPLIT_DESC_WRITE);
	offer(&f->ring, 0);
	remember(f);
	assert_int_equal(pop(&f->ring, &c, 1), 1);
	fill(&c, 100);
	sr_vq_push(f->ring.q, &c, 1);
	sr_vq_publish(f->ring.q);
	assert_true(is_marked(f, gpa(GUEST_DATA)));
	assert_int_equal(marks(f), 1);
}

static void marks_nothing_while_the_log_is_off(void **state)
{
	struct log_fixture *f = *state;
	struct sr_chain c;

	sr_mem_log_enable(f->ring.mem, false);
	start(f, SR_F_RING);
	put(f, 0, GUEST_DATA, 100, SPLIT_DESC_WRITE);
	offer(&f->ring, 0);
	assert_int_equal(pop(&f->ring, &c, 1), 1);
	fill(&c, 100);
	sr_vq_push(f->ring.q, &c, 1);
	sr_vq_publish(f->ring.q);
	assert_int_equal(marks(f), 0);
}

static void start_refuses(struct log_fixture *f, uint64_t log_gpa, const char *text)
{
	struct sr_error e;

	fixture_place(&f->ring, SIZE, SR_F_RING);
	f->ring.config.log_used = true;
	f->ring.config.log_gpa = log_gpa;
	assert_int_equal(sr_vq_start(f->ring.q, &f->ring.config, f->ring.mem, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void start_refuses_a_log_that_misses_the_used_ring(void **state)
{
	struct log_fixture *f = *state;

	start_refuses(
		f, PAGES * PAGE - 4096,
		"log address 0x8ff000 of the used ring: 8198 bytes, expected a dirty log that "
		"covers them");
	start_refuses(f, UINT64_MAX - 4096,
		      "log address 0xffffffffffffefff of the used ring: expected its end below "
		      "2^64");
	sr_mem_log_enable(f->ring.mem, false);
	start_refuses(f, UINT64_MAX - 4096,
		      "log address 0xffffffffffffefff of the used ring: expected its end below "
		      "2^64");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(marks_data_used_entries_index_and_requests),
		TEST(marks_the_flags_without_event_idx),
		TEST(marks_the_used_ring_where_the_front_end_says),
		TEST(marks_no_used_ring_unless_asked_but_data_always),
		TEST(marks_nothing_while_the_log_is_off),
		TEST(start_refuses_a_log_that_misses_the_used_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
