/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small things that every room needs and that have no better home: likely branches,
 * checked arithmetic, unaligned loads, the clock. Knows no other room.
 */
#ifndef SR_BASE_H
#define SR_BASE_H

#include <slipring/error.h>
#include <slipring/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define SR_LIKELY(x)			   __builtin_expect(!!(x), 1)
#define SR_UNLIKELY(x)			   __builtin_expect(!!(x), 0)
#define SR_ARRAY_LEN(a)			   (sizeof(a) / sizeof((a)[0]))
#define SR_CACHE_LINE			   64
#define SR_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t sr_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
static inline uint64_t sr_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* False when a + b does not fit; *sum is set only when it does. */
static inline bool sr_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* True when [offset, offset + len) lies in [0, size), without overflow. */
static inline bool sr_range_fits(uint64_t offset, uint64_t len, uint64_t size)
{
	return len <= size && offset <= size - len;
}

/* Nanoseconds of a clock that never goes back. */
static inline uint64_t sr_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Network byte order at any alignment. */
static inline uint16_t sr_get_be16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t sr_get_be32(const void *p)
{
	return (uint32_t)sr_get_be16(p) << 16 | sr_get_be16((const uint8_t *)p + 2);
}

static inline void sr_put_be16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static inline void sr_put_be32(void *p, uint32_t v)
{
	sr_put_be16(p, (uint16_t)(v >> 16));
	sr_put_be16((uint8_t *)p + 2, (uint16_t)v);
}

#endif
