/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A zone in one number, so that a write claims its place with one compare-and-swap: the bytes
 * written in the lower 48 bits, above them 12 bits of its life (how often it was reset, so that a
 * write of the life before cannot move the pointer of this one), above them the state.
 */
#ifndef SR_ZONE_WORD_H
#define SR_ZONE_WORD_H

#include <slipring/disk.h>

#define ZONE_BYTES_MAX	((1ull << 48) - 1)
#define ZONE_LIFE_SHIFT 48
#define ZONE_LIFE_MASK	0xfffu
#define ZONE_STATE_BITS 60

static inline uint64_t zone_word(unsigned state, uint32_t life, uint64_t written)
{
	return (uint64_t)state << ZONE_STATE_BITS |
	       (uint64_t)(life & ZONE_LIFE_MASK) << ZONE_LIFE_SHIFT | written;
}

static inline unsigned zone_word_state(uint64_t w)
{
	return (unsigned)(w >> ZONE_STATE_BITS);
}

static inline uint32_t zone_word_life(uint64_t w)
{
	return (uint32_t)(w >> ZONE_LIFE_SHIFT) & ZONE_LIFE_MASK;
}

static inline uint64_t zone_word_written(uint64_t w)
{
	return w & ZONE_BYTES_MAX;
}

static inline bool zone_word_is_open(uint64_t w)
{
	unsigned s = zone_word_state(w);

	return s == SR_DISK_ZONE_IMPLICIT_OPEN || s == SR_DISK_ZONE_EXPLICIT_OPEN;
}

#endif
