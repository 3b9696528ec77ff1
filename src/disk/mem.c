/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: a medium in memory that grows and shrinks while other loops copy to and from it,
 * and that takes no more room than what was written to it.
 *
 * Rejected: one mapping that is moved to grow (a loop in the middle of a copy would fall off
 * it); a lock around each copy; one huge reservation for every disk, whatever its size (address
 * space may be limited, and is under sanitizers).
 *
 * Chosen: spans that double. Span 0 is the first GiB, span n the part from 2^(n-1) to 2^n GiB;
 * each is mapped whole when the disk first reaches into it, takes room by pages as they are
 * written, and stays where it is for the disk's life. A pointer into one never goes stale;
 * shrinking gives pages back, not addresses.
 */
#include "base.h"
#include "iov.h"
#include "plain_channel.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/disk_engine.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SPAN_SHIFT 30
#define SPANS	   34 /* 2^33 GiB is INT64_MAX + 1 */
#define PAGE	   4096ull

struct mem_disk {
	struct sr_disk disk;
	unsigned spans; /* mapped ones; the control loop's */
	/* Written before the size that reaches into it is published. */
	char *span[SPANS];
};

static unsigned span_of(uint64_t offset)
{
	uint64_t gib = offset >> SPAN_SHIFT;

	return gib ? 64 - (unsigned)__builtin_clzll(gib) : 0;
}

static uint64_t span_start(unsigned n)
{
	return n ? 1ull << (SPAN_SHIFT + n - 1) : 0;
}

static uint64_t span_bytes(unsigned n)
{
	return n ? span_start(n) : 1ull << SPAN_SHIFT;
}

/* Where `offset` is, and in *len how much of *len is there in one piece. */
static char *span_at(const struct mem_disk *m, uint64_t offset, uint64_t *len)
{
	unsigned n = span_of(offset);
	uint64_t in = offset - span_start(n);

	*len = sr_min(*len, span_bytes(n) - in);
	return m->span[n] + in;
}

static int map_spans(struct mem_disk *m, uint64_t size, struct sr_error *e)
{
	while (m->spans <= span_of(size - 1)) {
		size_t bytes = span_bytes(m->spans);
		void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			return sr_error_set(e, -errno,
					    "disk %s: no %zu bytes of address space for %" PRIu64
					    " bytes: %m",
					    m->disk.name, bytes, size);
		/* What the guest keeps there is not ours to write into core dumps. */
		madvise(p, bytes, MADV_DONTDUMP);
		m->span[m->spans++] = p;
	}
	return 0;
}

static void unmap_spans(struct mem_disk *m)
{
	while (m->spans) {
		m->spans--;
		munmap(m->span[m->spans], span_bytes(m->spans));
	}
}

/* Zeroes one piece: whole pages go back to the kernel. That nothing is reserved for them
 * afterwards takes nothing away: nothing was before they were written first. */
static void clear(char *p, uint64_t len)
{
	uint64_t head = sr_min(-(uintptr_t)p % PAGE, len);
	uint64_t whole = (len - head) / PAGE * PAGE;

	memset(p, 0, head);
	/* Memory that is locked is not given back. */
	if (whole && madvise(p + head, whole, MADV_DONTNEED))
		memset(p + head, 0, whole);
	memset(p + head + whole, 0, len - head - whole);
}

static void clear_range(struct mem_disk *m, uint64_t offset, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		char *p = span_at(m, offset, &n);

		clear(p, n);
		offset += n;
		len -= n;
	}
}

static void copy(struct mem_disk *m, const struct sr_disk_req *r)
{
	uint64_t n;

	for (uint64_t done = 0; done < r->len; done += n) {
		char *p;

		n = r->len - done;
		p = span_at(m, r->offset + done, &n);
		if (r->op == SR_DISK_READ)
			sr_iov_write(r->iov, r->niov, done, p, n);
		else
			sr_iov_read(r->iov, r->niov, done, p, n);
	}
}

static int carry_out(struct mem_disk *m, const struct sr_disk_req *r)
{
	if (r->op == SR_DISK_FLUSH)
		return 0;
	if (r->op > SR_DISK_ERASE)
		return -EOPNOTSUPP;
	/* The submitter judged it by the size of a moment ago. */
	if (!sr_range_fits(r->offset, r->len,
			   atomic_load_explicit(&m->disk.size, memory_order_acquire)))
		return -EIO;
	if (r->op <= SR_DISK_WRITE)
		copy(m, r);
	else
		clear_range(m, r->offset, r->len);
	return 0;
}

static void mem_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	struct mem_disk *m = SR_CONTAINER_OF(c->disk, struct mem_disk, disk);

	for (unsigned i = 0; i < n; i++)
		sr_disk_finish(c, r[i], carry_out(m, r[i]));
}

static int mem_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	struct mem_disk *m = SR_CONTAINER_OF(d, struct mem_disk, disk);
	uint64_t before = sr_disk_size(d);
	int r;

	if (size == 0)
		return 0;
	r = map_spans(m, size, e);
	if (r)
		return r;
	/* A write that had passed the check may have come after the shrinking before this. */
	if (size > before)
		clear_range(m, before, size - before);
	sr_disk_set_size(d, size);
	if (size < before)
		clear_range(m, size, before - size);
	return 0;
}

static void mem_destroy(struct sr_disk *d)
{
	struct mem_disk *m = SR_CONTAINER_OF(d, struct mem_disk, disk);

	sr_disk_finish_base(d);
	unmap_spans(m);
	free(m);
}

static const struct sr_disk_ops mem_ops = {
	.name = "mem",
	.destroy = mem_destroy,
	.resize = mem_resize,
	.channel_create = plain_channel_create,
	.channel_destroy = plain_channel_destroy,
	.submit = mem_submit,
};

struct sr_disk *sr_disk_mem_create(const struct sr_disk_mem_config *c, struct sr_error *e)
{
	uint32_t block = c->block_size ? c->block_size : 512;
	struct sr_disk_info info = {
		.block_size = block,
		.physical_size = block,
		.can_discard = true,
		.can_zero = true,
		.can_erase = true,
		.discard_granularity = PAGE,
	};
	struct mem_disk *m = calloc(1, sizeof(*m));

	if (!m) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
		return NULL;
	}
	if (sr_disk_init(&m->disk, &mem_ops, c->name, &info, c->size, e)) {
		free(m);
		return NULL;
	}
	if (map_spans(m, c->size, e)) {
		mem_destroy(&m->disk);
		return NULL;
	}
	return &m->disk;
}
