/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which block is read or written next. Where the content matters, a block has one request at
 * a time: of two that overlap nobody could say which was first.
 */
#include "base.h"
#include "bench_disk.h"

#include <errno.h>
#include <stdlib.h>

#define BUSY 0x80000000u

int disk_pick_init(struct disk_pick *p, uint64_t first, uint64_t blocks, bool random, uint64_t seed,
		   bool keep_state)
{
	*p = (struct disk_pick){
		.first = first, .blocks = blocks, .rng = seed | 1, .random = random
	};
	if (!keep_state)
		return 0;
	p->state = calloc(blocks, sizeof(*p->state));
	return p->state ? 0 : -ENOMEM;
}

void disk_pick_finish(struct disk_pick *p)
{
	free(p->state);
	p->state = NULL;
}

/* xorshift64*; the product's upper half scales without a division. */
uint64_t disk_pick_random(struct disk_pick *p, uint64_t below)
{
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint64_t)((__uint128_t)(p->rng * 0x2545f4914f6cdd1d) * below >> 64);
}

uint64_t disk_pick_take(struct disk_pick *p)
{
	uint64_t block = p->random ? disk_pick_random(p, p->blocks) : p->next;

	while (p->state && p->state[block] & BUSY)
		block = block + 1 < p->blocks ? block + 1 : 0;
	if (p->state)
		p->state[block] |= BUSY;
	if (!p->random)
		p->next = block + 1 < p->blocks ? block + 1 : 0;
	return block;
}

void disk_pick_put(struct disk_pick *p, uint64_t block, uint32_t generation)
{
	if (p->state)
		p->state[block] = generation & ~BUSY;
}

uint32_t disk_pick_generation(const struct disk_pick *p, uint64_t block)
{
	return p->state ? p->state[block] & ~BUSY : 0;
}

bool disk_pick_written(struct disk_pick *p, uint64_t *at, uint64_t *block)
{
	while (p->state && *at < p->blocks)
		if (disk_pick_generation(p, (*at)++)) {
			*block = *at - 1;
			p->state[*block] |= BUSY;
			return true;
		}
	return false;
}
