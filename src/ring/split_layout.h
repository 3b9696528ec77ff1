/* SPDX-License-Identifier: BSD-3-Clause */
/* A split virtqueue as it lies in memory (virtio 1.3, section 2.7). */
#ifndef SR_SPLIT_LAYOUT_H
#define SR_SPLIT_LAYOUT_H

#include "barrier.h"

#include <stdbool.h>
#include <stddef.h>

#define SPLIT_DESC_NEXT		 1
#define SPLIT_DESC_WRITE	 2
#define SPLIT_DESC_INDIRECT	 4

#define SPLIT_AVAIL_NO_INTERRUPT 1
#define SPLIT_USED_NO_NOTIFY	 1

struct split_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
_Static_assert(sizeof(struct split_desc) == 16, "as in the specification");

struct split_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* after ring[size - 1]: used_event, with EVENT_IDX */
};

struct split_used_elem {
	uint32_t id;
	uint32_t len;
};

struct split_used {
	uint16_t flags;
	uint16_t idx;
	struct split_used_elem ring[]; /* after ring[size - 1]: avail_event, with EVENT_IDX */
};

static inline uint16_t *split_used_event(struct split_avail *a, uint32_t size)
{
	return &a->ring[size];
}

static inline uint16_t *split_avail_event(struct split_used *u, uint32_t size)
{
	return (uint16_t *)(void *)&u->ring[size];
}

/* Bytes of the three areas. Without EVENT_IDX the event words are not ours to count on. */
static inline uint64_t split_desc_bytes(uint32_t size)
{
	return 16ull * size;
}
static inline uint64_t split_avail_bytes(uint32_t size, bool event_idx)
{
	return 4 + 2ull * size + (event_idx ? 2 : 0);
}
static inline uint64_t split_used_bytes(uint32_t size, bool event_idx)
{
	return 4 + 8ull * size + (event_idx ? 2 : 0);
}

/* True when an index going from `before` to `now` passed `event`, that is, the entry that
 * `event` names is among the new ones (section 2.7.7.1). All of them wrap at 2^16. */
static inline bool split_event_passed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

#endif
