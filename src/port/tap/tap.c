/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: the host's own network stack takes part in the switch like a guest, at the
 * speed that a character device allows: one system call for each frame, whatever we do. So
 * frames must be large: checksums and segmentation stay undone in both directions, and a
 * frame is up to 64 KiB.
 *
 * Rejected: an AF_PACKET ring on a veth, which moves batches, but cannot pass large frames
 * with their offloads both ways. Also rejected: writing the frames of other loops on the
 * tap's own loop, which would need a buffer for them; the kernel lets any number of threads
 * write at a time.
 *
 * Chosen: reading is a poller on one loop (tap_tx.c) with room for one batch. Frames whose
 * receiver is full stay in that room, and nothing more is read until they are gone: the
 * kernel's own queue (txqueuelen) fills, and drops. Writing happens at once on whatever loop
 * has the frame, from the sender's memory (tap_rx.c). "tx" is what the host's stack sends,
 * "rx" what it receives, as with any guest.
 *
 * The room is 64 slots of 68 KiB of address space; memory is behind those parts only that
 * large frames have touched.
 */
#include "tap_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS_BYTES ((size_t)SR_FRAME_BATCH * TAP_SLOT_BYTES)

static void readable(void *ctx, uint32_t events)
{
	struct sr_tap *t = ctx;

	(void)events;
	sr_poller_wake(t->poller);
}

struct start {
	struct sr_tap *tap;
	struct sr_error *e;
	int result;
};

/* On the tap's loop. */
static void do_start(void *ctx)
{
	struct start *s = ctx;
	struct sr_tap *t = s->tap;

	s->result = -ENOMEM;
	t->watch = sr_watch_create(t->loop, t->fd, EPOLLIN | EPOLLONESHOT, readable, t, s->e);
	if (!t->watch)
		return;
	t->poller = sr_poller_create(t->loop, &tap_tx_ops, t, s->e);
	if (t->poller)
		s->result = 0;
}

static void do_stop(void *ctx)
{
	struct sr_tap *t = ctx;

	sr_poller_destroy(t->poller);
	sr_watch_destroy(t->watch);
}

static int tap_start(struct sr_tap *t, const struct sr_tap_config *c, struct sr_error *e)
{
	struct start s = { .tap = t, .e = e };
	int r = tap_open(t, c->interface, e);

	if (r < 0)
		return r;
	t->slots = mmap(NULL, SLOTS_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->slots == MAP_FAILED) {
		t->slots = NULL;
		return sr_error_set(e, -ENOMEM, "tap %s: no memory for %zu bytes of frames",
				    t->name, SLOTS_BYTES);
	}
	atomic_store(&t->port.link, true);
	sr_loop_call(t->loop, do_start, &s);
	return s.result;
}

struct sr_tap *sr_tap_create(const struct sr_tap_config *c, struct sr_error *e)
{
	struct sr_tap *t = calloc(1, sizeof(*t));
	char *name = strdup(c->name);

	if (!t || !name) {
		free(t);
		free(name);
		sr_error_set(e, -ENOMEM, "tap %s: out of memory", c->name);
		return NULL;
	}
	t->name = name;
	t->fd = -1;
	t->loop = c->loop;
	t->port.ops = &tap_rx_ops;
	t->port.name = name;
	if (tap_start(t, c, e) < 0) {
		sr_tap_destroy(t);
		return NULL;
	}
	return t;
}

void sr_tap_destroy(struct sr_tap *t)
{
	if (!t)
		return;
	sr_loop_call(t->loop, do_stop, t);
	if (t->slots)
		munmap(t->slots, SLOTS_BYTES);
	if (t->fd >= 0)
		close(t->fd);
	free(t->name);
	free(t);
}

struct sr_port *sr_tap_port(struct sr_tap *t)
{
	return &t->port;
}

const char *sr_tap_interface(const struct sr_tap *t)
{
	return t->interface;
}
