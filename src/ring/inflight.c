/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process that is killed stops between any two stores, so their order is the whole design.
 * Taking: the counter, then `inflight`. Giving back: the list of the batch, then the used
 * index of the ring, then `inflight` of each, then our copy of the used index. Whoever comes
 * next sees by that copy whether the batch that the list names was shown to the driver: if the
 * copy lags behind, the heads of the last batch are done, whatever `inflight` says.
 */
#include "inflight.h"
#include "base.h"
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define RECORD_VERSION 1

struct split_record_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};
_Static_assert(sizeof(struct split_record_entry) == 16, "as in the protocol");

struct split_record {
	uint64_t features;
	uint16_t version; /* 0: never used */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct split_record_entry desc[];
};
_Static_assert(sizeof(struct split_record) == 16, "as in the protocol");

/* What is read of an entry, once. */
struct taken {
	uint64_t counter;
	uint16_t head;
};

size_t sr_vq_inflight_bytes(uint32_t size, uint64_t features)
{
	size_t bytes = sizeof(struct split_record) + size * sizeof(struct split_record_entry);

	if (size == 0 || size > SR_VQ_SIZE_MAX || features & SR_F_RING_PACKED)
		return 0;
	/* The text names no alignment; 64 is what all implementations use. */
	return (bytes + 63) & ~(size_t)63;
}

static void set_inflight(struct split_record_entry *d, uint8_t v)
{
	__atomic_store_n(&d->inflight, v, __ATOMIC_RELEASE);
}

static void record_init(struct split_record *r, uint32_t size, uint16_t used_idx)
{
	memset(r->desc, 0, size * sizeof(*r->desc));
	r->features = 0;
	ring_store(&r->desc_num, (uint16_t)size);
	ring_store(&r->last_batch_head, 0);
	/* Not 0: a ring that has run without a record would look like a batch half shown. */
	ring_store(&r->used_idx, used_idx);
	ring_store_release(&r->version, RECORD_VERSION);
}

/* The last batch was shown to the driver, but not all of it was cleared. */
static int clear_batch(struct split_record *r, uint32_t size, uint16_t used_idx, struct sr_error *e)
{
	uint16_t n = (uint16_t)(used_idx - ring_load(&r->used_idx));
	uint16_t head = ring_load(&r->last_batch_head);

	if (n > size)
		return sr_error_set(
			e, -EINVAL,
			"in-flight record: used index %u while the ring's is %u, expected at "
			"most %" PRIu32 " behind it",
			(uint16_t)(used_idx - n), used_idx, size);
	for (unsigned i = 0; i < n; i++) {
		if (head >= size)
			return sr_error_set(
				e, -EINVAL,
				"in-flight record: descriptor %u in the last batch, expected < "
				"%" PRIu32,
				head, size);
		set_inflight(&r->desc[head], 0);
		head = ring_load(&r->desc[head].next);
	}
	ring_store_release(&r->used_idx, used_idx);
	return 0;
}

static int by_counter(const void *a, const void *b)
{
	uint64_t x = ((const struct taken *)a)->counter, y = ((const struct taken *)b)->counter;

	return (x > y) - (x < y);
}

static int collect(struct sr_inflight *f, uint32_t size, struct sr_error *e)
{
	struct taken *t = malloc(size * sizeof(*t));
	uint32_t n = 0;

	if (!t)
		return sr_error_set(e, -ENOMEM, "in-flight record: out of memory");
	for (uint32_t i = 0; i < size; i++) {
		const struct split_record_entry *d = &f->record->desc[i];

		if (__atomic_load_n(&d->inflight, __ATOMIC_RELAXED))
			t[n++] = (struct taken){ __atomic_load_n(&d->counter, __ATOMIC_RELAXED),
						 (uint16_t)i };
	}
	qsort(t, n, sizeof(*t), by_counter);
	for (uint32_t i = 0; i < n; i++)
		f->again[i] = t[i].head;
	f->again_n = n;
	f->counter = n ? t[n - 1].counter + 1 : 0;
	free(t);
	return 0;
}

static int check(const struct split_record *r, uint32_t size, struct sr_error *e)
{
	uint16_t version = ring_load(&r->version), entries = ring_load(&r->desc_num);

	if (version != RECORD_VERSION)
		return sr_error_set(e, -EINVAL,
				    "in-flight record: version %u, expected 0 (unused) or %u",
				    version, RECORD_VERSION);
	if (entries != size)
		return sr_error_set(
			e, -EINVAL,
			"in-flight record: %u descriptors, expected the ring's %" PRIu32, entries,
			size);
	return 0;
}

int sr_inflight_start(struct sr_inflight *f, void *record, uint32_t size, uint16_t used_idx,
		      struct sr_error *e)
{
	int rc = 0;

	*f = (struct sr_inflight){ .record = record };
	f->again = malloc(2 * size * sizeof(*f->again));
	if (!f->again)
		return sr_error_set(e, -ENOMEM, "in-flight record: out of memory");
	f->batch = f->again + size;
	f->known = ring_load(&f->record->version) != 0;
	if (f->known)
		rc = check(f->record, size, e);
	else
		record_init(f->record, size, used_idx);
	if (!rc)
		rc = clear_batch(f->record, size, used_idx, e);
	if (!rc)
		rc = collect(f, size, e);
	if (rc)
		sr_inflight_stop(f);
	return rc;
}

void sr_inflight_stop(struct sr_inflight *f)
{
	free(f->again);
	*f = (struct sr_inflight){ 0 };
}

void sr_inflight_take(struct sr_inflight *f, uint16_t head)
{
	struct split_record_entry *d = &f->record->desc[head];

	__atomic_store_n(&d->counter, f->counter++, __ATOMIC_RELAXED);
	set_inflight(d, 1);
}

void sr_inflight_push(struct sr_inflight *f, uint16_t head)
{
	struct split_record *r = f->record;

	/* Before the first of a batch the list is over: the last one's `next` is never followed. */
	ring_store(&r->desc[head].next, f->batch_n ? f->batch[f->batch_n - 1] : 0);
	ring_store_release(&r->last_batch_head, head);
	f->batch[f->batch_n++] = head;
}

void sr_inflight_published(struct sr_inflight *f, uint16_t used_idx)
{
	for (uint32_t i = 0; i < f->batch_n; i++)
		set_inflight(&f->record->desc[f->batch[i]], 0);
	f->batch_n = 0;
	ring_store_release(&f->record->used_idx, used_idx);
}
