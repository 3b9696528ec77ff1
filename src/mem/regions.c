/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation. A peer describes its memory as up to 509 pieces of files. One bad
 * piece must leave the memory in use as it was, so a new table is judged whole, mapped
 * whole and then takes the place of the old one; patching the live table piece by piece,
 * as the messages come, was rejected because each failure would need its own way back.
 *
 * The table is sorted by guest-physical address; translate.c searches it by halves.
 * No hint of the last hit is kept in it: several threads read one table, and a shared hint
 * would bounce between their caches. Who wants one keeps its own (window.h).
 *
 * sigbus.c keeps us alive when the file behind a region shrinks, dirty_log.c marks what we
 * write while the guest migrates.
 */
#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define X64 "0x%" PRIx64

static struct mem_table *table_create(unsigned cap)
{
	return calloc(1, sizeof(struct mem_table) + cap * sizeof(struct mem_region));
}

static void table_destroy(struct mem_table *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n; i++)
		sr_mapping_close(&t->v[i].map);
	free(t);
}

struct sr_mem *sr_mem_create(void)
{
	struct sr_mem *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->table = table_create(0);
	if (!m->table) {
		free(m);
		return NULL;
	}
	return m;
}

void sr_mem_destroy(struct sr_mem *m)
{
	if (!m)
		return;
	sr_mapping_close(&m->log);
	table_destroy(m->table);
	free(m);
}

static int region_check(const struct sr_region *r, unsigned index, struct sr_error *e)
{
	uint64_t end;

	if (r->size == 0)
		return sr_error_set(e, -EINVAL, "region %u: size 0x0, expected at least 1", index);
	if (!sr_add_u64(r->gpa, r->size, &end))
		return sr_error_set(e, -EOVERFLOW,
				    "region %u: gpa " X64 " + size " X64
				    ", expected a sum below 2^64",
				    index, r->gpa, r->size);
	if (!sr_add_u64(r->uva, r->size, &end))
		return sr_error_set(e, -EOVERFLOW,
				    "region %u: uva " X64 " + size " X64
				    ", expected a sum below 2^64",
				    index, r->uva, r->size);
	return 0;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Both are checked regions; `before` and `index` only name them. */
static int overlap_check(const struct sr_region *r, unsigned index, const struct sr_region *o,
			 unsigned before, struct sr_error *e)
{
	const char *field = NULL;
	uint64_t a = 0, b = 0;

	if (ranges_overlap(r->gpa, r->size, o->gpa, o->size)) {
		field = "gpa";
		a = r->gpa;
		b = o->gpa;
	} else if (ranges_overlap(r->uva, r->size, o->uva, o->size)) {
		field = "uva";
		a = r->uva;
		b = o->uva;
	}
	if (!field)
		return 0;
	return sr_error_set(e, -EEXIST,
			    "region %u: %s " X64 " size " X64 ", expected no overlap with region "
			    "%u: %s " X64 " size " X64,
			    index, field, a, r->size, before, field, b, o->size);
}

static int regions_check(const struct sr_region *r, unsigned n, struct sr_error *e)
{
	if (n > SR_MEM_REGIONS_MAX)
		return sr_error_set(e, -ENOSPC, "%u regions, expected at most %u", n,
				    SR_MEM_REGIONS_MAX);
	for (unsigned i = 0; i < n; i++) {
		int rc = region_check(&r[i], i, e);

		for (unsigned k = 0; k < i && !rc; k++)
			rc = overlap_check(&r[i], i, &r[k], k, e);
		if (rc)
			return rc;
	}
	return 0;
}

static int region_map(struct sr_mem *m, struct mem_region *to, const struct sr_region *r,
		      unsigned index, struct sr_error *e)
{
	char what[32];

	snprintf(what, sizeof(what), "region %u", index);
	to->r = *r;
	to->r.fd = -1;
	return sr_mapping_open(&to->map, r->fd, r->mmap_offset, r->size, &m->torn, what, e);
}

static int by_gpa(const void *a, const void *b)
{
	const struct mem_region *x = a, *y = b;

	return x->r.gpa < y->r.gpa ? -1 : x->r.gpa > y->r.gpa;
}

int sr_mem_set_regions(struct sr_mem *m, const struct sr_region *r, unsigned n, struct sr_error *e)
{
	int rc = regions_check(r, n, e);

	if (rc)
		return rc;
	struct mem_table *t = table_create(n);

	if (!t)
		return sr_error_set(e, -ENOMEM, "out of memory for %u regions", n);
	for (; t->n < n; t->n++) {
		rc = region_map(m, &t->v[t->n], &r[t->n], t->n, e);
		if (rc) {
			table_destroy(t);
			return rc;
		}
	}
	qsort(t->v, n, sizeof(t->v[0]), by_gpa);
	table_destroy(m->table);
	m->table = t;
	/* What was torn is gone, and nobody has touched the new table yet. */
	atomic_store(&m->torn, false);
	return 0;
}

int sr_mem_add_region(struct sr_mem *m, const struct sr_region *r, struct sr_error *e)
{
	unsigned n = m->table->n;
	int rc = region_check(r, n, e);

	if (rc)
		return rc;
	if (n == SR_MEM_REGIONS_MAX)
		return sr_error_set(e, -ENOSPC, "region %u: expected at most %u regions", n,
				    SR_MEM_REGIONS_MAX);
	for (unsigned i = 0; i < n; i++) {
		rc = overlap_check(r, n, &m->table->v[i].r, i, e);
		if (rc)
			return rc;
	}
	struct mem_table *t = realloc(m->table, sizeof(*t) + (n + 1) * sizeof(struct mem_region));

	if (!t)
		return sr_error_set(e, -ENOMEM, "region %u: out of memory", n);
	m->table = t;
	rc = region_map(m, &t->v[n], r, n, e);
	if (rc)
		return rc;
	t->n++;
	qsort(t->v, t->n, sizeof(t->v[0]), by_gpa);
	return 0;
}

int sr_mem_remove_region(struct sr_mem *m, const struct sr_region *r, struct sr_error *e)
{
	struct mem_table *t = m->table;

	for (unsigned i = 0; i < t->n; i++) {
		struct mem_region *f = &t->v[i];

		if (f->r.gpa != r->gpa || f->r.uva != r->uva || f->r.size != r->size)
			continue;
		sr_mapping_close(&f->map);
		t->n--;
		memmove(f, f + 1, (t->n - i) * sizeof(*f));
		return 0;
	}
	return sr_error_set(e, -ENOENT,
			    "no region with gpa " X64 ", uva " X64 " and size " X64 " among %u",
			    r->gpa, r->uva, r->size, t->n);
}

unsigned sr_mem_region_count(const struct sr_mem *m)
{
	return m->table->n;
}

struct sr_region sr_mem_region_get(const struct sr_mem *m, unsigned i)
{
	assert(i < m->table->n);
	return m->table->v[i].r;
}

bool sr_mem_is_torn(const struct sr_mem *m)
{
	return atomic_load_explicit(&m->torn, memory_order_relaxed) ||
	       atomic_load_explicit(&m->log_torn, memory_order_relaxed);
}
