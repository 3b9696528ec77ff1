/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk for the tests of the block device that does as it is told: at once, late, in another
 * order, never; with errors; and that remembers what it was asked.
 */
#ifndef BLK_FAKE_H
#define BLK_FAKE_H

#include <slipring/disk_engine.h>

#define FAKE_PENDING 4096u
#define FAKE_LOG     256u

struct fake_channel {
	struct sr_disk_channel base;
	struct sr_disk_req *pending[FAKE_PENDING];
	unsigned n;
	unsigned seed;
};

struct fake_entry {
	uint8_t op, flags;
	uint64_t offset, len;
	uint32_t niov;
};

struct fake {
	struct sr_disk disk;
	uint8_t *bytes;
	/* How it behaves; set before requests come. */
	bool hold;     /* until fake_finish */
	bool late;     /* some at each poll, in any order */
	bool stubborn; /* cancel says no */
	bool fail_channels;
	/* Called when a request is carried out, before; not 0: its result. Optional. */
	int (*hook)(struct fake *f, struct sr_disk_req *r);
	void *ctx;
	struct fake_channel *channel; /* opened last */
	struct fake_entry log[FAKE_LOG];
	_Atomic unsigned logged;
};

/* `info` is the default with 512-byte blocks and all that it can do when NULL. Destroyed by
 * sr_disk_destroy. */
struct fake *fake_create(const struct sr_disk_info *info, uint64_t size);
struct sr_disk_info fake_info(void);

/* Carries out a held request, by place. */
void fake_finish(struct fake *f, unsigned i);
void fake_finish_all_backwards(struct fake *f);
/* Hands completions over. */
void fake_poll(struct fake *f);
void fake_set_size(struct fake *f, uint64_t size);

#endif
