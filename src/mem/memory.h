/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this room share. */
#ifndef SR_MEMORY_H
#define SR_MEMORY_H

#include "base.h"
#include "mapping.h"

#include <slipring/mem.h>

struct mem_region {
	struct sr_region r; /* fd = -1 */
	struct sr_mapping map;
};

/* One snapshot: by rising gpa, without overlap. */
struct mem_table {
	unsigned n;
	struct mem_region v[];
};

struct sr_mem {
	struct mem_table *table; /* never NULL */
	atomic_bool torn;
	/* The dirty log. */
	struct sr_mapping log;
	atomic_bool log_torn;
	uint64_t log_size; /* bytes */
	bool log_on;
	bool log_active; /* on and mapped */
};

/* The region that holds gpa, or NULL. */
static inline const struct mem_region *mem_find(const struct sr_mem *m, uint64_t gpa)
{
	const struct mem_region *v = m->table->v;
	unsigned low = 0, high = m->table->n;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (gpa < v[mid].r.gpa)
			high = mid;
		else if (gpa - v[mid].r.gpa >= v[mid].r.size)
			low = mid + 1;
		else
			return &v[mid];
	}
	return NULL;
}

#endif
