/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of disks: a loop and a channel that do requests and wait for them, and what every
 * engine must be able to do. Buffers, offsets and lengths are bytes.
 *
 * The loop never polls longer than it must (poll_us 0), so that a wake-up that an engine
 * forgets hangs the test; after DISK_RIG_PATIENCE_S of that it fails with a text.
 */
#ifndef SR_DISK_RIG_H
#define SR_DISK_RIG_H

#include <slipring/disk.h>
#include <slipring/loop.h>

#define DISK_RIG_PATIENCE_S 60
#define DISK_RIG_PENDING    1 /* `result` until a request is complete */

struct disk_rig {
	struct sr_disk *disk;
	struct sr_loop *loop;
	struct sr_disk_channel *channel;
	struct sr_timer *patience;
	/* Called for each completed request when set. */
	void (*completed_one)(struct disk_rig *rig, struct sr_disk_req *r);
	void *ctx; /* the test's */
	unsigned under_way, completed, batches, largest_batch;
	unsigned enough;		 /* disk_rig_wait ends at so many under way ... */
	const struct sr_disk_req *until; /* ... and when this one is complete */
	bool waiting, submitting;
	char failure[256]; /* the first thing that went wrong, or empty */
};

/* On the thread that calls, which is the loop's from then on. These two fail the test (cmocka)
 * when they cannot, so other threads than the test's use disk_rig_start and _stop. */
void disk_rig_open(struct disk_rig *rig, struct sr_disk *d);
void disk_rig_close(struct disk_rig *rig); /* waits for what is under way */
/* False with `failure` set. */
bool disk_rig_start(struct disk_rig *rig, struct sr_disk *d);
bool disk_rig_stop(struct disk_rig *rig);

void disk_rig_submit(struct disk_rig *rig, struct sr_disk_req *const *r, unsigned n);
void disk_rig_submit_one(struct disk_rig *rig, struct sr_disk_req *r);
/* Runs the loop until no more than `under_way` are left. False with `failure` set. */
bool disk_rig_wait(struct disk_rig *rig, unsigned under_way);
/* Runs the loop for a while, whatever happens. */
void disk_rig_run_for(struct disk_rig *rig, uint64_t ns);

/* One request from submit to completion: its result. */
int disk_rig_do(struct disk_rig *rig, struct sr_disk_req *r);
int disk_rig_read(struct disk_rig *rig, uint64_t offset, void *to, uint64_t len);
int disk_rig_write(struct disk_rig *rig, uint64_t offset, const void *from, uint64_t len);
/* Flush, discard, zeroes, zone commands: those without data. */
int disk_rig_command(struct disk_rig *rig, enum sr_disk_op op, uint8_t flags, uint64_t offset,
		     uint64_t len);

/* Aligned to 4096 bytes, filled with a byte; free() it. */
void *disk_rig_buffer(size_t len, uint8_t fill);
/* Notes the first failure of the rig; from any thread that has it. False. */
bool disk_rig_fail(struct disk_rig *rig, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * What every writable disk that is not zoned must do, at least 1 MiB large: reads back what was
 * written at many sizes and offsets (past 4 GiB and at the end of the medium as well), in one
 * piece and in many of odd lengths; zeroes, discard, erase where it says that it can, without
 * harm to neighbours; flush, FUA; large batches; early ends (cancel); two loops at once. Writes
 * all over the disk. Fails the test.
 */
void disk_rig_check_engine(struct sr_disk *d);

#endif
