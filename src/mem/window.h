/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The region of the last look-up, kept by the caller for as long as the memory does not
 * change: translation without a call where addresses stay near each other. It is the
 * caller's because a `struct sr_mem` is read by several threads.
 */
#ifndef SR_WINDOW_H
#define SR_WINDOW_H

#include <slipring/mem.h>

struct sr_mem_window {
	uint64_t gpa, size; /* size 0: holds nothing */
	uint8_t *data;
};

/* Moves the window to the region that holds gpa; false where nothing is mapped. */
bool sr_mem_window_move(struct sr_mem_window *w, const struct sr_mem *m, uint64_t gpa);

/* A pointer to [gpa, gpa + len), or NULL where that is not all in the window. */
static inline void *sr_mem_window_get(const struct sr_mem_window *w, uint64_t gpa, uint64_t len)
{
	uint64_t offset = gpa - w->gpa; /* wraps to a large number below the window */

	return offset < w->size && len <= w->size - offset ? w->data + offset : NULL;
}

#endif
