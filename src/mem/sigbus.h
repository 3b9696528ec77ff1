/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Surviving a peer that cuts its file short under our mapping.
 *
 * A guarded range is one mapping of ours. When touching it raises SIGBUS, the pages from
 * there to its end become private zero pages, the range's `torn` flag is set and the
 * access is done again. Any other SIGBUS goes to whoever handled it before us.
 *
 * The handler is installed for the process when the first range is guarded. A program that
 * installs its own afterwards must pass on to ours what it does not know, and no thread
 * that touches a guest's memory may block SIGBUS.
 */
#ifndef SR_SIGBUS_H
#define SR_SIGBUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sr_sigbus_guard;

/* `start` and `length` are multiples of `granule`, the page size of that mapping. NULL: out of
 * memory. `torn` must live until the guard is removed. */
struct sr_sigbus_guard *sr_sigbus_guard_add(void *start, size_t length, size_t granule,
					    atomic_bool *torn);
/* Before the range is unmapped, when nobody touches it any more. */
void sr_sigbus_guard_remove(struct sr_sigbus_guard *g);

#endif
