/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"
#include "window.h"

#include <errno.h>

int sr_mem_to_iov(const struct sr_mem *m, uint64_t addr, uint64_t len, unsigned perm,
		  struct iovec *iov, unsigned cap)
{
	unsigned n = 0;

	(void)perm;
	while (len) {
		const struct mem_region *f = mem_find(m, addr);

		if (!f)
			return -EFAULT;
		if (n == cap)
			return -ENOBUFS;
		uint64_t offset = addr - f->r.gpa;
		uint64_t take = sr_min(len, f->r.size - offset);

		iov[n].iov_base = f->map.data + offset;
		iov[n].iov_len = take;
		n++;
		addr += take; /* no wrap: a region's end is below 2^64 */
		len -= take;
	}
	return (int)n;
}

bool sr_mem_window_move(struct sr_mem_window *w, const struct sr_mem *m, uint64_t gpa)
{
	const struct mem_region *f = mem_find(m, gpa);

	if (!f)
		return false;
	w->gpa = f->r.gpa;
	w->size = f->r.size;
	w->data = f->map.data;
	return true;
}

/* Few callers, at the start of a queue: no need for an index by uva. */
void *sr_mem_from_uva(const struct sr_mem *m, uint64_t uva, uint64_t len)
{
	for (unsigned i = 0; i < m->table->n; i++) {
		const struct mem_region *f = &m->table->v[i];

		if (uva >= f->r.uva && sr_range_fits(uva - f->r.uva, len, f->r.size))
			return f->map.data + (uva - f->r.uva);
	}
	return NULL;
}
