/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a virtqueue: what a guest does. For front-ends (containers,
 * benchmarks) and for tests of devices. It checks what the device writes: a used id out of
 * range or not outstanding, or more bytes written than there was room for, breaks the queue.
 */
#ifndef SLIPRING_DRVQ_H
#define SLIPRING_DRVQ_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_drvq;

/* A buffer as the device will see it: guest-physical address and bytes. */
struct sr_sg {
	uint64_t addr;
	uint32_t len;
};

struct sr_drvq_config {
	uint32_t size;	   /* entries: split: a power of two up to SR_VQ_SIZE_MAX */
	uint64_t features; /* negotiated */
	void *ring;	   /* sr_drvq_bytes(size) zeroed bytes, 4096-aligned, shared with
			    * the device; the caller's, must outlive the queue */
	/* Indirect tables, used when INDIRECT_DESC was negotiated and a chain has more than
	 * one piece: size * indirect_max entries of 16 bytes, shared; 0 = never indirect. */
	void *indirect;
	uint64_t indirect_gpa;
	uint32_t indirect_max;
	uint16_t base; /* index to start from; 0 on a fresh ring */
};

/* Bytes of a ring, and the offsets of its three areas in it. */
size_t sr_drvq_bytes(uint32_t size);
struct sr_drvq_layout {
	size_t desc, avail, used;
};
struct sr_drvq_layout sr_drvq_layout(uint32_t size);

struct sr_drvq *sr_drvq_create(const struct sr_drvq_config *c, struct sr_error *e);
void sr_drvq_destroy(struct sr_drvq *q); /* NULL is allowed */

/* Adds one chain: nout pieces for the device to read, then nin for it to write. `token`
 * comes back from sr_drvq_get. 0, -ENOSPC when the descriptors are used up, or -E2BIG when a
 * whole free ring could not hold it. Seen by the device after sr_drvq_publish. */
int sr_drvq_add(struct sr_drvq *q, const struct sr_sg *out, unsigned nout, const struct sr_sg *in,
		unsigned nin, void *token);

/* Shows the added chains. True: the device asked for a kick. */
bool sr_drvq_publish(struct sr_drvq *q);

struct sr_used {
	void *token;
	uint32_t len; /* bytes the device says it wrote */
};
/* Takes up to n finished chains. Returns how many, or -EPROTO when the device broke the
 * ring (sr_drvq_error says how). */
int sr_drvq_get(struct sr_drvq *q, struct sr_used *u, unsigned n);

/* Asks the device for calls, then looks again: true = something is there already. */
bool sr_drvq_rearm(struct sr_drvq *q);
/* Ends the asking: no calls while polling. */
void sr_drvq_quiet(struct sr_drvq *q);

unsigned sr_drvq_free(const struct sr_drvq *q);	    /* descriptors left */
const char *sr_drvq_error(const struct sr_drvq *q); /* or NULL */

#ifdef __cplusplus
}
#endif
#endif
