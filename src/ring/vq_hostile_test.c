/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile driver can put into a split ring: each class, with the text that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#define NEXT	 SPLIT_DESC_NEXT
#define WRITE	 SPLIT_DESC_WRITE
#define INDIRECT SPLIT_DESC_INDIRECT
#define TABLE	 GUEST_DATA

static int setup(void **state)
{
	struct ring_fixture *f = malloc(sizeof(*f));

	fixture_init(f);
	fixture_start(f, 256, SR_F_RING);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_finish(*state);
	free(*state);
	return 0;
}

static void put(struct ring_fixture *f, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
		unsigned next)
{
	f->desc[i] = (struct split_desc){ addr, len, (uint16_t)flags, (uint16_t)next };
}

static void put_entry(struct ring_fixture *f, unsigned i, uint64_t addr, uint32_t len,
		      unsigned flags, unsigned next)
{
	struct split_desc d = { addr, len, (uint16_t)flags, (uint16_t)next };

	memcpy(f->guest + TABLE + i * sizeof(d), &d, sizeof(d));
}

/* The next pop breaks the queue, every later one says so too, and nothing else is touched. */
static void breaks(struct ring_fixture *f, const char *text)
{
	struct sr_chain c[8];
	uint16_t used = f->used->idx;

	assert_int_equal(pop(f, c, 8), -EPROTO);
	assert_string_equal(sr_vq_error(f->q), text);
	assert_int_equal(pop(f, c, 8), -EPROTO);
	assert_false(sr_vq_rearm(f->q));
	assert_int_equal(sr_vq_available(f->q), 0);
	assert_false(sr_vq_publish(f->q));
	assert_int_equal(f->used->idx, used);
	/* A new start makes it whole. */
	sr_vq_stop(f->q);
	memset(f->guest, 0, GUEST_DATA);
	fixture_start(f, f->config.size, f->config.features);
	assert_null(sr_vq_error(f->q));
	assert_int_equal(pop(f, c, 8), 0);
}

static void breaks_at_0(struct ring_fixture *f, const char *text)
{
	offer(f, 0);
	breaks(f, text);
}

static void avail_index_that_jumps(void **state)
{
	struct ring_fixture *f = *state;

	f->avail->idx = 257;
	breaks(f, "avail index 257, expected at most 256 more than 0");
	f->avail->idx = 65535;
	breaks(f, "avail index 65535, expected at most 256 more than 0");
}

static void more_chains_offered_than_descriptors(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[256];

	put(f, 0, gpa(GUEST_DATA), 1, 0, 0);
	f->avail->idx = 60;
	assert_int_equal(pop(f, c, 256), 60);
	f->avail->idx = 257;
	assert_int_equal(pop(f, c, 256), -EPROTO);
	assert_string_equal(sr_vq_error(f->q), "avail index 257, expected at most 256 more than 0");
}

static void head_out_of_range(void **state)
{
	struct ring_fixture *f = *state;

	offer(f, 256);
	breaks(f, "avail ring entry 0: descriptor 256, expected < 256");
	offer(f, 65535);
	breaks(f, "avail ring entry 0: descriptor 65535, expected < 256");
}

static void next_out_of_range(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, gpa(GUEST_DATA), 1, NEXT, 5);
	put(f, 5, gpa(GUEST_DATA), 1, NEXT, 300);
	breaks_at_0(f, "descriptor 5: next 300, expected < 256");
}

static void chain_that_loops(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, gpa(GUEST_DATA), 1, NEXT, 0);
	breaks_at_0(f, "descriptor 0: next 0 after 256 descriptors, expected an end");
	put(f, 0, gpa(GUEST_DATA), 1, NEXT, 7);
	put(f, 7, gpa(GUEST_DATA), 1, NEXT | WRITE, 9);
	put(f, 9, 0, 0, NEXT, 7);
	breaks_at_0(f, "descriptor 7: next 9 after 256 descriptors, expected an end");
}

static void chain_of_4_gib(void **state)
{
	struct ring_fixture *f = *state;

	sr_vq_stop(f->q);
	memset(f->guest, 0, GUEST_DATA);
	fixture_start(f, 1024, SR_F_RING);
	for (unsigned i = 0; i < 1024; i++)
		put(f, i, gpa(0), GUEST_SIZE, NEXT, i + 1);
	breaks_at_0(f, "descriptor 511: chain of 0x100000000 bytes, expected less than 4 GiB");
}

static void readable_after_writable(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, gpa(GUEST_DATA), 1, NEXT | WRITE, 1);
	put(f, 1, gpa(GUEST_DATA), 1, 0, 0);
	breaks_at_0(f, "descriptor 1: device-readable, expected none after a device-writable one");
}

static void buffers_that_are_not_mapped(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, 0xfffff, 1, 0, 0);
	breaks_at_0(f, "descriptor 0: address 0xfffff length 0x1, expected mapped guest memory");
	put(f, 0, gpa(GUEST_SIZE - 1), 2, WRITE, 0);
	breaks_at_0(f, "descriptor 0: address 0x8fffff length 0x2, expected mapped guest memory");
	put(f, 0, UINT64_MAX, 0xffffffff, 0, 0);
	breaks_at_0(f, "descriptor 0: address 0xffffffffffffffff length 0xffffffff, expected "
		       "mapped guest memory");
	put(f, 0, gpa(0), 0xffffffff, 0, 0);
	breaks_at_0(f, "descriptor 0: address 0x100000 length 0xffffffff, expected mapped guest "
		       "memory");
}

static void indirect_table_of_odd_length(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, gpa(TABLE), 0, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table of 0 bytes, expected a multiple of 16 from 16 "
		       "to 524288");
	put(f, 0, gpa(TABLE), 17, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table of 17 bytes, expected a multiple of 16 from "
		       "16 to 524288");
	put(f, 0, gpa(TABLE), 15, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table of 15 bytes, expected a multiple of 16 from "
		       "16 to 524288");
	put(f, 0, gpa(TABLE), 524304, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table of 524304 bytes, expected a multiple of 16 "
		       "from 16 to 524288");
	put(f, 0, gpa(TABLE), 0xfffffff0, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table of 4294967280 bytes, expected a multiple of "
		       "16 from 16 to 524288");
}

static void indirect_table_that_is_not_mapped(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, 0x1000, 16, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0, indirect entry 0: at address 0x1000, expected mapped guest "
		       "memory");
	put(f, 0, UINT64_MAX - 15, 16, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: indirect table at 0xfffffffffffffff0, expected its end below "
		       "2^64");
	/* The first entry is there, the second is cut by the end of memory. */
	struct split_desc d = { gpa(GUEST_DATA), 1, NEXT, 1 };

	memcpy(f->guest + GUEST_SIZE - 24, &d, sizeof(d));
	put(f, 0, gpa(GUEST_SIZE - 24), 32, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0, indirect entry 1: at address 0x8ffff8, expected mapped guest "
		       "memory");
}

static void nested_indirect_table(void **state)
{
	struct ring_fixture *f = *state;

	put_entry(f, 0, gpa(TABLE), 16, NEXT, 1);
	put_entry(f, 1, gpa(TABLE), 32, INDIRECT, 0);
	put(f, 0, gpa(TABLE), 32, INDIRECT, 0);
	breaks_at_0(f,
		    "descriptor 0, indirect entry 1: INDIRECT, expected no table inside a table");
}

static void indirect_with_next(void **state)
{
	struct ring_fixture *f = *state;

	put_entry(f, 0, gpa(GUEST_DATA), 16, 0, 0);
	put(f, 0, gpa(TABLE), 16, INDIRECT | NEXT, 1);
	put(f, 1, gpa(GUEST_DATA), 16, 0, 1);
	breaks_at_0(f, "descriptor 0: INDIRECT with NEXT, expected one of them");
}

static void indirect_without_the_feature(void **state)
{
	struct ring_fixture *f = *state;

	sr_vq_stop(f->q);
	fixture_start(f, 256, SR_F_VERSION_1);
	put_entry(f, 0, gpa(GUEST_DATA), 16, 0, 0);
	put(f, 0, gpa(TABLE), 16, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0: INDIRECT, expected none without feature INDIRECT_DESC");
}

static void indirect_table_that_loops_or_leaves(void **state)
{
	struct ring_fixture *f = *state;

	put_entry(f, 0, gpa(GUEST_DATA), 16, NEXT, 1);
	put_entry(f, 1, gpa(GUEST_DATA), 16, NEXT, 0);
	put(f, 0, gpa(TABLE), 32, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0, indirect entry 1: next 0 after 2 descriptors, expected an "
		       "end");
	put_entry(f, 1, gpa(GUEST_DATA), 16, NEXT, 2);
	put(f, 0, gpa(TABLE), 32, INDIRECT, 0);
	breaks_at_0(f, "descriptor 0, indirect entry 1: next 2, expected < 2");
	put_entry(f, 1, 0, 16, 0, 0);
	put(f, 3, gpa(GUEST_DATA), 32, NEXT, 0);
	put(f, 0, gpa(TABLE), 32, INDIRECT, 0);
	offer(f, 3);
	breaks(f, "descriptor 0, indirect entry 1: address 0x0 length 0x10, expected mapped guest "
		  "memory");
}

static void more_than_32768_descriptors(void **state)
{
	struct ring_fixture *f = *state;

	put(f, 0, gpa(GUEST_DATA), 1, NEXT, 1);
	for (unsigned i = 0; i < 32768; i++)
		put_entry(f, i, gpa(0), 1, i < 32767 ? NEXT : 0, i + 1);
	put(f, 1, gpa(TABLE), 524288, INDIRECT, 0);
	breaks_at_0(f, "descriptor 1, indirect entry 32767: chain of more than 32768 descriptors, "
		       "expected fewer");
	struct sr_chain c;

	put(f, 1, gpa(TABLE), 524288, INDIRECT, 0);
	offer(f, 1);
	assert_int_equal(pop(f, &c, 1), 1);
	assert_int_equal(c.nout, 32768);
}

/* Descriptors without bytes are work too; a table that is only referred to is not counted. */
static void chains_longer_than_the_device_wants(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[2];

	sr_vq_stop(f->q);
	f->config.chain_max = 3;
	assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
	put(f, 0, gpa(TABLE), 4 * 16, INDIRECT, 0);
	put_entry(f, 0, 0, 0, NEXT | WRITE, 1);
	put_entry(f, 1, 0, 0, NEXT | WRITE, 2);
	put_entry(f, 2, gpa(GUEST_DATA), 100, WRITE, 3);
	offer(f, 0);
	assert_int_equal(pop(f, c, 2), 1);
	assert_int_equal(c[0].in_len, 100);
	sr_vq_push(f->q, c, 1);
	sr_vq_publish(f->q);
	put_entry(f, 2, 0, 0, NEXT | WRITE, 3);
	put_entry(f, 3, gpa(GUEST_DATA), 100, WRITE, 0);
	f->config.chain_max = 0; /* for the start after */
	breaks_at_0(f, "descriptor 0, indirect entry 3: chain of more than 3 descriptors, "
		       "expected fewer");
}

static void more_pieces_than_a_chain_may_have(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_region r[SR_MEM_REGIONS_MAX] = {
		{ GUEST_GPA, GUEST_UVA, GUEST_SEAM, 0, f->fd },
	};

	/* 508 regions of one byte: 140 buffers over all of them. */
	for (unsigned i = 1; i < SR_MEM_REGIONS_MAX; i++)
		r[i] = (struct sr_region){ 0x1000 + i, 0x1000 + i, 1, i, f->fd };
	sr_vq_stop(f->q);
	assert_int_equal(sr_mem_set_regions(f->mem, r, SR_MEM_REGIONS_MAX, NULL), 0);
	fixture_start(f, 256, SR_F_RING);
	for (unsigned i = 0; i < 140; i++)
		put(f, i, 0x1001, 508, NEXT, i + 1);
	breaks_at_0(f, "descriptor 129: chain of more than 65536 pieces, expected fewer");
}

static void good_chains_before_a_bad_one_are_served(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[8];

	put(f, 0, gpa(GUEST_DATA), 8, WRITE, 0);
	put(f, 1, 0, 8, WRITE, 0);
	offer(f, 0);
	offer(f, 0);
	offer(f, 1);
	assert_int_equal(pop(f, c, 8), 2);
	assert_int_equal(pop(f, &c[2], 6), -EPROTO);
	c[0].written = c[1].written = 8;
	sr_vq_push(f->q, c, 2);
	assert_true(sr_vq_publish(f->q));
	assert_int_equal(f->used->idx, 2);
	assert_int_equal(sr_vq_stop(f->q), 2);
}

/* ---- a driver that rewrites what we read ---- */

#define REWRITES_CHAINS 20000u
#define REWRITES_POPS	200000u /* the most, where the other thread gets little time */

static atomic_bool stop_rewriting;

/* Fair game for both: everything a legal or hostile descriptor can say, with addresses in,
 * across and outside of memory. */
static uint64_t random_word(unsigned *seed)
{
	return (uint64_t)rand_r(seed) << 31 ^ rand_r(seed);
}

static struct split_desc random_desc(unsigned *seed)
{
	static const uint32_t places[] = { GUEST_DATA, TABLE, GUEST_SEAM - 8, GUEST_SIZE - 4 };
	unsigned dice = (unsigned)rand_r(seed);
	struct split_desc d = {
		.addr = gpa(places[dice % 4]),
		.len = dice % 3 ? 16 * (dice >> 8 & 3) : dice & 31,
		.flags = (uint16_t)(dice >> 12 & 7),
		.next = (uint16_t)(dice >> 16 & 15),
	};

	if (dice >> 24 & 1 && dice >> 25 & 1 && dice >> 26 & 1)
		d.addr = random_word(seed);
	return d;
}

static void store_desc(struct split_desc *to, struct split_desc d)
{
	uint64_t words[2];

	memcpy(words, &d, sizeof(d));
	__atomic_store_n(&((uint64_t *)(void *)to)[0], words[0], __ATOMIC_RELAXED);
	__atomic_store_n(&((uint64_t *)(void *)to)[1], words[1], __ATOMIC_RELAXED);
}

static void *rewrite(void *arg)
{
	struct ring_fixture *f = arg;
	unsigned seed = 1;

	while (!atomic_load(&stop_rewriting)) {
		store_desc(&f->desc[rand_r(&seed) % 16], random_desc(&seed));
		store_desc((struct split_desc *)(void *)(f->guest + TABLE) + rand_r(&seed) % 4,
			   random_desc(&seed));
		ring_store(&f->avail->ring[rand_r(&seed) % 16],
			   (uint16_t)(rand_r(&seed) % (rand_r(&seed) % 64 ? 16 : 20)));
	}
	return NULL;
}

/* Every piece is ours to touch, and the sums are right. */
static void touch(const struct sr_chain *c)
{
	uint64_t out = 0, in = 0;
	volatile uint8_t sink = 0;

	for (unsigned i = 0; i < c->nout; i++) {
		const uint8_t *p = c->out[i].iov_base;

		for (size_t k = 0; k < c->out[i].iov_len; k++)
			sink = (uint8_t)(sink + __atomic_load_n(&p[k], __ATOMIC_RELAXED));
		out += c->out[i].iov_len;
	}
	for (unsigned i = 0; i < c->nin; i++)
		in += c->in[i].iov_len;
	assert_int_equal(out, c->out_len);
	assert_int_equal(in, c->in_len);
	assert_ptr_equal(c->in, c->out + c->nout);
}

static void descriptors_rewritten_while_we_read(void **state)
{
	struct ring_fixture *f = *state;
	struct sr_chain c[16];
	unsigned good = 0, bad = 0, pops = 0;
	pthread_t t;

	sr_vq_stop(f->q);
	fixture_start(f, 16, SR_F_RING);
	atomic_store(&stop_rewriting, false);
	assert_int_equal(pthread_create(&t, NULL, rewrite, f), 0);
	while ((good < REWRITES_CHAINS || bad < 100) && pops++ < REWRITES_POPS) {
		ring_store_release(&f->avail->idx, (uint16_t)(ring_load(&f->used->idx) + 16));
		int n = pop(f, c, 16);

		for (int i = 0; i < n; i++)
			touch(&c[i]);
		if (n > 0) {
			good += (unsigned)n;
			sr_vq_push(f->q, c, (unsigned)n);
			sr_vq_publish(f->q);
			continue;
		}
		assert_int_equal(n, -EPROTO);
		assert_non_null(sr_vq_error(f->q));
		bad++;
		sched_yield(); /* what we met would be met again */
		f->config.base = sr_vq_stop(f->q);
		assert_int_equal(sr_vq_start(f->q, &f->config, f->mem, NULL), 0);
	}
	atomic_store(&stop_rewriting, true);
	pthread_join(t, NULL);
	assert_true(good > 100 && bad > 10);
}

/* cmocka puts a SIGBUS handler of its own around each test, so this uses a child, and runs before
 * any test has installed ours. */
static void use_a_cut_guest(void)
{
	struct ring_fixture f;
	struct sr_chain c[8];

	signal(SIGBUS, SIG_DFL);
	fixture_init(&f);
	fixture_start(&f, 256, SR_F_RING);
	if (ftruncate(f.fd, 0))
		_exit(1);
	if (pop(&f, c, 8) != -EPROTO)
		_exit(2);
	_exit(strcmp(sr_vq_error(f.q), "guest memory: its file was cut short, expected its whole "
				       "size while it is mapped")
		      ? 3
		      : 0);
}

static void guest_file_cut_under_a_running_ring(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		use_a_cut_guest();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_file_cut_under_a_running_ring),
		TEST(avail_index_that_jumps),
		TEST(more_chains_offered_than_descriptors),
		TEST(head_out_of_range),
		TEST(next_out_of_range),
		TEST(chain_that_loops),
		TEST(chain_of_4_gib),
		TEST(readable_after_writable),
		TEST(buffers_that_are_not_mapped),
		TEST(indirect_table_of_odd_length),
		TEST(indirect_table_that_is_not_mapped),
		TEST(nested_indirect_table),
		TEST(indirect_with_next),
		TEST(indirect_without_the_feature),
		TEST(indirect_table_that_loops_or_leaves),
		TEST(more_than_32768_descriptors),
		TEST(chains_longer_than_the_device_wants),
		TEST(more_pieces_than_a_chain_may_have),
		TEST(good_chains_before_a_bad_one_are_served),
		TEST(descriptors_rewritten_while_we_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
