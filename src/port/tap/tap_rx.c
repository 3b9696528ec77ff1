/* SPDX-License-Identifier: BSD-3-Clause */
/* From the switch to the host's stack: one write for each frame, on the sender's loop. */
#include "iov.h"
#include "tap_internal.h"

#include <errno.h>
#include <limits.h>

/* A chain in more pieces than the kernel takes at once is copied together. */
static __attribute__((noinline)) ssize_t write_copied(int fd, struct iovec *v,
						      const struct sr_frame *f)
{
	uint8_t rest[SR_FRAME_MAX];

	v[2] = (struct iovec){ rest, sr_iov_read(f->iov, f->niov, 0, rest, f->len - f->head_len) };
	return writev(fd, v, 3);
}

/* 0 or a negative errno. */
static int write_one(int fd, const struct sr_frame *f)
{
	struct tap_header h;
	struct iovec v[IOV_MAX];
	ssize_t n;

	tap_header_make(&h, f->len, &f->off);
	v[0] = (struct iovec){ &h, sizeof(h) };
	/* writev has no const, and does not write. */
	v[1] = (struct iovec){ (void *)(uintptr_t)f->head, f->head_len };
	if (SR_UNLIKELY(f->niov > IOV_MAX - 2)) {
		n = write_copied(fd, v, f);
	} else {
		memcpy(v + 2, f->iov, f->niov * sizeof(*v));
		n = writev(fd, v, 2 + (int)f->niov);
	}
	return n < 0 ? -errno : 0;
}

/*
 * Takes everything unless the interface has a send buffer that is full (somebody else's
 * TUNSETSNDBUF; there is none by default). What the kernel refuses is taken and counted as
 * dropped: an interface that is down (EIO), no memory, a header that it does not believe.
 */
static unsigned tap_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
			 unsigned lane)
{
	struct sr_tap *t = SR_CONTAINER_OF(p, struct sr_tap, port);
	uint64_t frames = 0, bytes = 0;
	unsigned taken = 0;

	(void)lane;
	if (!atomic_load_explicit(&p->link, memory_order_relaxed))
		return 0;
	for (; taken < n; taken++) {
		int r = write_one(t->fd, f[taken]);

		if (r == -EAGAIN)
			break;
		if (r == 0) {
			frames++;
			bytes += f[taken]->len;
		}
	}
	sr_count(&p->counters.rx_frames, frames);
	sr_count(&p->counters.rx_bytes, bytes);
	sr_count(&p->counters.rx_dropped, taken - frames);
	return taken;
}

/* The kernel says nothing when its send buffer has room again to a port that does not watch
 * for it, and is fast: what it has no room for now is dropped. */
const struct sr_port_ops tap_rx_ops = { .send = tap_send, .can_wait = false };
