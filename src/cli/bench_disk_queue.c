/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request queue can say about itself, and the waiting while a disk is being opened. */
#include "base.h"
#include "bench_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_MS 100

void disk_queue_kick(const struct disk_queue *q)
{
	static const uint64_t one = 1;

	/* A counter that is full has woken the device already. */
	if (write(q->kick, &one, sizeof(one)) < 0)
		return;
}

uint64_t disk_slot_offset(const struct disk_queue *q, const struct disk_slot *s)
{
	return (q->pick.first + s->block) * q->options->bs;
}

void disk_queue_outstanding(const struct disk_queue *q, uint64_t now, char *to, size_t room)
{
	static const char *const names[] = { "read", "write", "flush" };
	const struct disk_slot *oldest = NULL;

	for (unsigned i = 0; i < q->options->depth; i++)
		if (q->slots[i].sent && (!oldest || q->slots[i].since < oldest->since))
			oldest = &q->slots[i];
	if (!oldest)
		snprintf(to, room, "queue %u: nothing", q->index);
	else if (oldest->op == DISK_FLUSH)
		snprintf(to, room, "queue %u: %u requests, the oldest a flush, for %.1f s",
			 q->index, q->outstanding, (double)(now - oldest->since) / 1e9);
	else
		snprintf(to, room,
			 "queue %u: %u requests, the oldest a %s of %" PRIu32
			 " bytes at offset %" PRIu64 ", for %.1f s",
			 q->index, q->outstanding, names[oldest->op], q->options->bs,
			 disk_slot_offset(q, oldest), (double)(now - oldest->since) / 1e9);
}

int disk_queue_await(struct disk_client *c, struct disk_queue *q, struct sr_error *e)
{
	const char *socket = c->options->socket;
	uint64_t now = sr_now_ns(), end = now + c->options->timeout_s * 1000000000ull;
	struct sr_used used;
	int n;

	if (sr_drvq_publish(q->vq))
		disk_queue_kick(q);
	while ((n = sr_drvq_get(q->vq, &used, 1)) == 0) {
		struct pollfd p = { q->call, POLLIN, 0 };
		uint64_t calls;

		if (sr_frontend_is_closed(c->frontend))
			return sr_error_set(e, -EPIPE,
					    "%s: the back-end closed the connection instead of "
					    "answering the first command",
					    socket);
		if (sr_now_ns() >= end)
			return sr_error_set(e, -ETIMEDOUT,
					    "%s: no answer to the first command within %u s",
					    socket, c->options->timeout_s);
		if (!sr_drvq_rearm(q->vq) && poll(&p, 1, LOOK_MS) > 0 &&
		    read(q->call, &calls, sizeof(calls)) < 0)
			continue;
	}
	sr_drvq_quiet(q->vq);
	if (n < 0)
		return sr_error_set(e, -EPROTO, "%s: the device broke its ring: %s", socket,
				    sr_drvq_error(q->vq));
	return 0;
}
