/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access to words that the other side of a ring reads or writes at the same time. Only the
 * ring room may need these; each use says who the other party is.
 */
#ifndef SR_BARRIER_H
#define SR_BARRIER_H

#include <stdint.h>

/* Virtio rings are little-endian (virtio 1.3, section 2.7, "le16"); this room does not convert. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings need a little-endian host");

static inline uint16_t ring_load(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint16_t ring_load_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void ring_store(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void ring_store_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Our earlier store is seen before our later load is done: the one order that acquire and
 * release do not give. A builtin that the thread sanitizer knows; it needs no more, as what
 * the two sides hand over is ordered by the release and acquire of the index. */
static inline void ring_full_barrier(void)
{
	__sync_synchronize();
}

#endif
