/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the host's stack to the switch: reads a batch, passes it on. Runs on the tap's loop.
 *
 * The tap is readable as long as frames wait in it, so it is no kick fd, which is read
 * empty: it is watched for one event, and watched again each time the poller goes to sleep.
 */
#include "tap_internal.h"

#include <errno.h>
#include <sys/epoll.h>

#define RETRY_US 50 /* a receiver's driver refills in about this time */

/* Somebody deleted the interface: there is nothing to wait for any more. */
static void interface_gone(struct sr_tap *t, int code)
{
	sr_log(SR_LOG_ERROR, t->name, "interface %s: %s; this port is dead until it is made again",
	       t->interface, code == EBADFD ? "it was deleted" : strerrordesc_np(code));
	atomic_store(&t->port.link, false);
	sr_watch_destroy(t->watch);
	t->watch = NULL;
}

/* Reads the next frame into slot i. 1, 0 when it is malformed, or a negative errno. */
static int read_one(struct sr_tap *t, unsigned i)
{
	struct sr_frame *f = &t->frames[i];
	uint8_t *slot = t->slots + (size_t)i * TAP_SLOT_BYTES;
	struct tap_header h;
	const struct iovec to[] = { { &h, sizeof(h) },
				    { f->head, SR_FRAME_HEAD },
				    { slot, TAP_SLOT_BYTES } };
	ssize_t n = readv(t->fd, to, SR_ARRAY_LEN(to));

	if (n < 0)
		return errno == EINVAL ? 0 : -errno; /* EINVAL: a frame no header can describe */
	if (n < (ssize_t)(sizeof(h) + SR_FRAME_MIN) || n > (ssize_t)(sizeof(h) + SR_FRAME_MAX))
		return 0;
	f->len = (uint32_t)n - (uint32_t)sizeof(h);
	f->head_len = (uint16_t)sr_min(f->len, SR_FRAME_HEAD);
	t->rest[i] = (struct iovec){ slot, f->len - f->head_len };
	f->iov = &t->rest[i];
	f->niov = f->len > f->head_len;
	return tap_header_parse(&h, f->len, &f->off);
}

/* Returns a mask of good frames in t->frames[0 .. t->count - 1]. */
static uint64_t read_batch(struct sr_tap *t)
{
	uint64_t which = 0, bad = 0;
	int r = 1;

	for (t->count = 0; t->count < SR_FRAME_BATCH; t->count++) {
		r = read_one(t, t->count);
		if (r < 0)
			break;
		which |= (uint64_t)r << t->count;
		bad += !r;
	}
	sr_count(&t->port.counters.tx_bad, bad);
	if (r < 0 && r != -EAGAIN && r != -EINTR)
		interface_gone(t, -r);
	return which;
}

static int tap_poll(void *ctx)
{
	struct sr_tap *t = ctx;

	if (!t->waiting && t->watch)
		t->waiting = read_batch(t);
	else if (!t->waiting)
		return 0;
	if (t->waiting)
		t->waiting = sr_port_forward(&t->port, t->frames, t->count, t->waiting, 0);
	return t->waiting ? -RETRY_US : (int)t->count;
}

/* epoll looks at the tap when it is told to watch it, so nothing can come in between. */
static bool tap_arm(void *ctx)
{
	struct sr_tap *t = ctx;

	return t->watch && sr_watch_events(t->watch, EPOLLIN | EPOLLONESHOT) < 0;
}

const struct sr_poller_ops tap_tx_ops = { tap_poll, tap_arm };
