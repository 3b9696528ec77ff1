/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <stdio.h>
#include <stdlib.h>

bool disk_rig_fail(struct disk_rig *rig, const char *format, ...)
{
	va_list a;

	if (!rig->failure[0]) {
		va_start(a, format);
		vsnprintf(rig->failure, sizeof(rig->failure), format, a);
		va_end(a);
	}
	return false;
}

static void complete(void *ctx, struct sr_disk_req *const *r, unsigned n)
{
	struct disk_rig *rig = ctx;

	if (rig->submitting)
		disk_rig_fail(rig, "completed inside submit or cancel");
	if (n == 0 || n > SR_DISK_BATCH || n > rig->under_way)
		disk_rig_fail(rig, "%u completed at once, %u were under way", n, rig->under_way);
	rig->under_way -= n;
	rig->completed += n;
	rig->batches++;
	if (n > rig->largest_batch)
		rig->largest_batch = n;
	for (unsigned i = 0; i < n; i++) {
		if (r[i]->result > 0)
			disk_rig_fail(rig, "result %d is neither 0 nor a negative errno",
				      r[i]->result);
		if (rig->completed_one)
			rig->completed_one(rig, r[i]);
		if (r[i] == rig->until)
			rig->until = NULL;
	}
	if (rig->waiting && rig->under_way <= rig->enough && !rig->until) {
		rig->waiting = false;
		sr_loop_stop(rig->loop);
	}
}

static void out_of_patience(void *ctx)
{
	struct disk_rig *rig = ctx;

	disk_rig_fail(rig, "%u requests were not completed in %d s", rig->under_way,
		      DISK_RIG_PATIENCE_S);
	rig->waiting = false;
	sr_loop_stop(rig->loop);
}

bool disk_rig_start(struct disk_rig *rig, struct sr_disk *d)
{
	const struct sr_loop_config c = { .name = "rig", .cpu = -1, .poll_us = SR_POLL_NEVER };
	struct sr_error e = { .text = "out of memory" };

	*rig = (struct disk_rig){ .disk = d };
	rig->loop = sr_loop_create(&c, &e);
	if (!rig->loop)
		return disk_rig_fail(rig, "%s", e.text);
	rig->patience = sr_timer_create(rig->loop, out_of_patience, rig);
	rig->channel =
		rig->patience ? sr_disk_channel_create(d, rig->loop, complete, rig, &e) : NULL;
	return rig->channel || disk_rig_fail(rig, "channel: %s", e.text);
}

bool disk_rig_stop(struct disk_rig *rig)
{
	if (rig->channel && !disk_rig_wait(rig, 0))
		return false; /* what is under way would be freed: leave it all alone */
	sr_disk_channel_destroy(rig->channel);
	sr_timer_destroy(rig->patience);
	sr_loop_destroy(rig->loop);
	return !rig->failure[0];
}

void disk_rig_open(struct disk_rig *rig, struct sr_disk *d)
{
	if (!disk_rig_start(rig, d))
		fail_msg("%s", rig->failure);
}

void disk_rig_close(struct disk_rig *rig)
{
	if (!disk_rig_stop(rig))
		fail_msg("%s", rig->failure);
}

void disk_rig_submit(struct disk_rig *rig, struct sr_disk_req *const *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		r[i]->result = DISK_RIG_PENDING;
	rig->under_way += n;
	rig->submitting = true;
	sr_disk_submit(rig->channel, r, n);
	rig->submitting = false;
}

void disk_rig_submit_one(struct disk_rig *rig, struct sr_disk_req *r)
{
	disk_rig_submit(rig, &r, 1);
}

static bool wait_for(struct disk_rig *rig, unsigned under_way, const struct sr_disk_req *r)
{
	rig->enough = under_way;
	rig->until = r;
	if (rig->under_way > under_way || r) {
		rig->waiting = true;
		sr_timer_set(rig->patience, DISK_RIG_PATIENCE_S * 1000000000ull);
		sr_loop_run(rig->loop, NULL);
		sr_timer_cancel(rig->patience);
	}
	return rig->under_way <= under_way && !rig->until && !rig->failure[0];
}

bool disk_rig_wait(struct disk_rig *rig, unsigned under_way)
{
	return wait_for(rig, under_way, NULL);
}

static void stop_loop(void *ctx)
{
	sr_loop_stop(ctx);
}

void disk_rig_run_for(struct disk_rig *rig, uint64_t ns)
{
	struct sr_timer *t = sr_timer_create(rig->loop, stop_loop, rig->loop);

	sr_timer_set(t, ns);
	sr_loop_run(rig->loop, NULL);
	sr_timer_destroy(t);
}

int disk_rig_do(struct disk_rig *rig, struct sr_disk_req *r)
{
	disk_rig_submit_one(rig, r);
	wait_for(rig, UINT32_MAX, r);
	return r->result;
}

int disk_rig_read(struct disk_rig *rig, uint64_t offset, void *to, uint64_t len)
{
	const struct iovec iov = { to, len };
	struct sr_disk_req r = {
		.op = SR_DISK_READ, .offset = offset, .len = len, .iov = &iov, .niov = 1
	};

	return disk_rig_do(rig, &r);
}

int disk_rig_write(struct disk_rig *rig, uint64_t offset, const void *from, uint64_t len)
{
	const struct iovec iov = { (void *)(uintptr_t)from, len };
	struct sr_disk_req r = {
		.op = SR_DISK_WRITE, .offset = offset, .len = len, .iov = &iov, .niov = 1
	};

	return disk_rig_do(rig, &r);
}

int disk_rig_command(struct disk_rig *rig, enum sr_disk_op op, uint8_t flags, uint64_t offset,
		     uint64_t len)
{
	struct sr_disk_req r = { .op = (uint8_t)op, .flags = flags, .offset = offset, .len = len };

	return disk_rig_do(rig, &r);
}

void *disk_rig_buffer(size_t len, uint8_t fill)
{
	void *p = aligned_alloc(4096, (len + 4095) / 4096 * 4096);

	if (!p)
		abort();
	return memset(p, fill, len);
}
