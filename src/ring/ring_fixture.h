/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a guest of 8 MiB in two regions that touch, seen through the test's own mapping
 * as the guest would and through a `struct sr_mem` as the device does; a device queue; and raw
 * pointers into a ring at the start of the memory.
 */
#ifndef SR_RING_FIXTURE_H
#define SR_RING_FIXTURE_H

#include "queue.h"

#include <slipring/drvq.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUEST_SIZE 0x800000u
#define GUEST_GPA  0x100000ull
#define GUEST_UVA  0x7f0000000000ull
#define GUEST_SEAM 0x400000u /* where the second region starts */
#define GUEST_DATA 0x200000u /* rings lie below */

struct ring_fixture {
	uint8_t *guest; /* the test's mapping */
	struct sr_mem *mem;
	struct sr_vq *q;
	struct sr_iov_pool pool;
	struct sr_vq_config config;
	struct split_desc *desc;
	struct split_avail *avail;
	struct split_used *used;
	int fd;
};

static inline void fixture_init(struct ring_fixture *f)
{
	struct sr_error e;

	memset(f, 0, sizeof(*f));
	f->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, GUEST_SIZE), 0);
	f->guest = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_true(f->guest != MAP_FAILED);
	struct sr_region r[2] = {
		{ GUEST_GPA, GUEST_UVA, GUEST_SEAM, 0, f->fd },
		{ GUEST_GPA + GUEST_SEAM, GUEST_UVA + GUEST_SEAM, GUEST_SIZE - GUEST_SEAM,
		  GUEST_SEAM, f->fd },
	};

	f->mem = sr_mem_create();
	assert_int_equal(sr_mem_set_regions(f->mem, r, 2, &e), 0);
	f->q = sr_vq_create();
	assert_int_equal(sr_iov_pool_init(&f->pool, 64), 0);
}

static inline void fixture_finish(struct ring_fixture *f)
{
	sr_vq_stop(f->q);
	sr_vq_destroy(f->q);
	sr_mem_destroy(f->mem);
	sr_iov_pool_finish(&f->pool);
	munmap(f->guest, GUEST_SIZE);
	close(f->fd);
}

/* The ring's place for that size; does not start. */
static inline void fixture_place(struct ring_fixture *f, uint32_t size, uint64_t features)
{
	struct sr_drvq_layout l = sr_drvq_layout(size);

	f->config = (struct sr_vq_config){
		.size = size,
		.features = features,
		.desc = GUEST_UVA + l.desc,
		.avail = GUEST_UVA + l.avail,
		.used = GUEST_UVA + l.used,
	};
	f->desc = (void *)(f->guest + l.desc);
	f->avail = (void *)(f->guest + l.avail);
	f->used = (void *)(f->guest + l.used);
}

static inline void fixture_start(struct ring_fixture *f, uint32_t size, uint64_t features)
{
	struct sr_error e = { 0 };

	fixture_place(f, size, features);
	if (sr_vq_start(f->q, &f->config, f->mem, &e))
		fail_msg("%s", e.text);
}

/* An address as the guest's driver would write it. */
static inline uint64_t gpa(uint32_t offset)
{
	return GUEST_GPA + offset;
}

/* Shows descriptor `head` to the device. */
static inline void offer(struct ring_fixture *f, uint16_t head)
{
	uint16_t idx = f->avail->idx;

	f->avail->ring[idx & (f->config.size - 1)] = head;
	ring_store_release(&f->avail->idx, (uint16_t)(idx + 1));
}

static inline int pop(struct ring_fixture *f, struct sr_chain *c, unsigned n)
{
	sr_iov_pool_reset(&f->pool);
	return sr_vq_pop(f->q, c, n, &f->pool);
}

/* That piece of ours lies where the guest's `offset` is, and is `len` long. */
static inline bool piece_is(const struct ring_fixture *f, const struct iovec *v, uint32_t offset,
			    size_t len)
{
	struct iovec w;

	return sr_mem_to_iov(f->mem, gpa(offset), 1, SR_MEM_READ, &w, 1) == 1 &&
	       w.iov_base == v->iov_base && v->iov_len == len;
}

#endif
