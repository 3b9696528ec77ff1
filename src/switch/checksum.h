/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071). Sums are 16 bits as they lie in memory: what is loaded
 * from a frame and stored into it needs no swapping; numbers go through htons first.
 */
#ifndef SR_CHECKSUM_H
#define SR_CHECKSUM_H

#include <slipring/port.h>

/* One's complement addition. */
static inline uint16_t sr_sum_add(uint16_t a, uint16_t b)
{
	uint32_t s = (uint32_t)a + b;

	return (uint16_t)(s + (s >> 16));
}

/* Takes b out of a sum that it is in. */
static inline uint16_t sr_sum_sub(uint16_t a, uint16_t b)
{
	return sr_sum_add(a, (uint16_t)~b);
}

/* The sum of len bytes that start at an even place. */
uint16_t sr_sum_bytes(const void *p, size_t len);

/* The sum of a frame from its byte `start`, which counts as even, to its end. */
uint16_t sr_sum_frame(const struct sr_frame *f, unsigned start);

#endif
