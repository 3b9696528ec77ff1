/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of this room: a port that keeps what it is sent, and frames made by hand.
 */
#ifndef SR_FAKE_PORT_H
#define SR_FAKE_PORT_H

#include "base.h"
#include "iov.h"

#include <slipring/port.h>

#include <stdlib.h>

struct fake_frame {
	uint8_t *bytes;
	uint32_t len;
	unsigned lane;
	struct sr_offload off;
};

struct fake_port {
	struct sr_port port;
	struct sr_port_ops ops;
	char name[16];
	unsigned room;	/* frames it takes from now on */
	unsigned calls; /* of send */
	unsigned n;	/* frames kept */
	unsigned wrong; /* frames that break the rules of struct sr_frame */
	struct fake_frame got[8192];
};

static unsigned fake_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
			  unsigned lane)
{
	struct fake_port *fp = SR_CONTAINER_OF(p, struct fake_port, port);
	unsigned taken = (unsigned)sr_min(n, fp->room);

	fp->calls++;
	fp->wrong += n == 0 || n > SR_FRAME_BATCH;
	for (unsigned i = 0; i < taken && fp->n < SR_ARRAY_LEN(fp->got); i++) {
		struct fake_frame *to = &fp->got[fp->n++];
		size_t rest = f[i]->len - f[i]->head_len;

		fp->wrong += f[i]->head_len != sr_min(f[i]->len, SR_FRAME_HEAD);
		fp->wrong += sr_iov_bytes(f[i]->iov, f[i]->niov) != rest;
		*to = (struct fake_frame){ malloc(f[i]->len), f[i]->len, lane, f[i]->off };
		memcpy(to->bytes, f[i]->head, f[i]->head_len);
		sr_iov_read(f[i]->iov, f[i]->niov, 0, to->bytes + f[i]->head_len, rest);
	}
	fp->room -= taken;
	return taken;
}

static inline struct fake_port *fake_create(const char *name)
{
	struct fake_port *fp = calloc(1, sizeof(*fp));

	fp->ops = (struct sr_port_ops){ .send = fake_send, .can_wait = true };
	fp->room = UINT32_MAX;
	fp->port.ops = &fp->ops;
	memccpy(fp->name, name, 0, sizeof(fp->name) - 1);
	fp->port.name = fp->name;
	atomic_store(&fp->port.link, true);
	return fp;
}

static inline void fake_clear(struct fake_port *fp)
{
	for (unsigned i = 0; i < fp->n; i++)
		free(fp->got[i].bytes);
	fp->n = fp->calls = 0;
}

static inline void fake_destroy(struct fake_port *fp)
{
	fake_clear(fp);
	free(fp);
}

/* A frame of `len` bytes at `bytes`, the part behind the head in pieces of `piece` bytes in
 * iov[cap]. */
static inline struct sr_frame frame_of(const uint8_t *bytes, uint32_t len, struct iovec *iov,
				       unsigned cap, uint32_t piece)
{
	struct sr_frame f = { .iov = iov, .len = len };
	uint32_t at = f.head_len = (uint16_t)sr_min(len, SR_FRAME_HEAD);

	memcpy(f.head, bytes, f.head_len);
	for (; at < len && f.niov < cap; at += piece)
		iov[f.niov++] =
			(struct iovec){ (void *)(uintptr_t)(bytes + at), sr_min(piece, len - at) };
	return f;
}

#endif
