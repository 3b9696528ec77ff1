/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum.h"

#include <string.h>

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffu) + (sum >> 16);
	sum = (sum & 0xffffu) + (sum >> 16);
	return (uint16_t)sum;
}

/* Adds 32-bit words into 64 bits: no carry is lost below 16 GiB. */
uint16_t sr_sum_bytes(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t sum = 0;
	uint32_t word[4], rest;

	for (; len >= sizeof(word); len -= sizeof(word), b += sizeof(word)) {
		memcpy(word, b, sizeof(word));
		sum += (uint64_t)word[0] + word[1] + word[2] + word[3];
	}
	for (; len; len -= len < 4 ? len : 4, b += 4) {
		rest = 0;
		memcpy(&rest, b, len < 4 ? len : 4);
		sum += rest;
	}
	return fold(sum);
}

/* The sum of a piece whose first byte is at an odd place is that of an even one, swapped. */
static uint16_t sum_append(uint16_t sum, size_t place, const void *p, size_t len)
{
	uint16_t more = sr_sum_bytes(p, len);

	return sr_sum_add(sum, place & 1 ? (uint16_t)(more << 8 | more >> 8) : more);
}

uint16_t sr_sum_frame(const struct sr_frame *f, unsigned start)
{
	size_t place = 0, skip = 0;
	uint16_t sum = 0;

	if (start < f->head_len) {
		place = f->head_len - start;
		sum = sr_sum_bytes(f->head + start, place);
	} else {
		skip = start - f->head_len;
	}
	for (unsigned i = 0; i < f->niov; i++) {
		const struct iovec *v = &f->iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		sum = sum_append(sum, place, (const char *)v->iov_base + skip, v->iov_len - skip);
		place += v->iov_len - skip;
		skip = 0;
	}
	return sum;
}
