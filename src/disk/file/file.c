/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: files and block devices, used by many loops at once, at a cost for each request
 * that is small beside the medium's own, without a call that blocks a loop.
 *
 * Rejected: threads that call pread (two switches for each request), one ring for a disk (a lock
 * for each request), a kernel thread that polls the ring (a CPU that is never idle).
 *
 * Chosen: a ring for each channel, all work of a batch in one system call (file_ring.c). A
 * request is one or more steps (file_io.c); nearly all have one, which uses the submitter's
 * pieces as they are. What does not fit, or came back short, goes on with pieces of our own
 * (file_moves.c). What the kernel has only as a blocking call, and only for block devices
 * (secure erase, zones, discard before Linux 6.12), is done by one thread of the disk
 * (file_helper.c).
 *
 * Direct or through the page cache is decided once for a disk, never for a request: a write
 * through the cache that shares a page with a direct one may bring the older half back. So direct
 * is used where the disk's block size satisfies the medium, and guest memory that is not aligned
 * goes through aligned memory of ours. Direct is what AUTO means, as QEMU's cache=none. The cache
 * is faster as long as all is in it, 1.2 M against 0.11 M 4-KiB reads/s at depth 64 (256 MiB on
 * ext4, a virtual disk, one CPU), and writes return at 0.35 M/s instead of 0.09 M until the dirty
 * pages must go. But a guest caches by itself, so that every byte is kept twice, and a flush waits
 * for whatever has piled up. "direct: off" is there for those who want it.
 *
 * Files of tmpfs are opened O_NONBLOCK (and O_DIRECT, which means nothing there since Linux 6.6):
 * else the kernel gives each request to a worker thread: 1.29 M reads/s instead of 0.60 M, and
 * 1.01 M writes/s instead of 0.52 M. Nothing there waits, but for pages that were swapped out.
 *
 * Exclusive use: file_lock.c.
 *
 * Registered guest memory is left out: a channel is not told whose memory the pieces are in.
 */
#include "file_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static void file_free(struct file_disk *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	free(f->path);
	free(f);
}

static void file_destroy(struct sr_disk *d)
{
	struct file_disk *f = SR_CONTAINER_OF(d, struct file_disk, base);

	file_helper_stop(f);
	sr_disk_finish_base(d);
	file_free(f);
}

static int change_size(struct file_disk *f, uint64_t size, struct sr_error *e)
{
	uint64_t now;

	if (f->base.info.read_only)
		return sr_error_set(e, -EROFS, "disk %s: %s is opened read-only", f->base.name,
				    f->path);
	if (f->is_block) {
		int r = file_size(f, f->base.name, f->base.info.block_size, &now, e);

		if (r || now == size)
			return r;
		return sr_error_set(e, -EOPNOTSUPP,
				    "disk %s: %s is a block device of %" PRIu64
				    " bytes; change it by its own tools, then look again (size 0)",
				    f->base.name, f->path, now);
	}
	if (size > INT64_MAX || ftruncate(f->fd, (off_t)size))
		return sr_error_set(e, size > INT64_MAX ? -EFBIG : -errno,
				    "disk %s: %s cannot be made %" PRIu64 " bytes long: %s",
				    f->base.name, f->path, size,
				    strerror(size > INT64_MAX ? EFBIG : errno));
	return 0;
}

static int file_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	struct file_disk *f = SR_CONTAINER_OF(d, struct file_disk, base);
	int r = size ? change_size(f, size, e) : 0;

	if (!r)
		r = file_size(f, d->name, d->info.block_size, &size, e);
	if (!r)
		sr_disk_set_size(d, size);
	return r;
}

static const struct sr_disk_ops file_ops = {
	.name = "file",
	.destroy = file_destroy,
	.resize = file_resize,
	.channel_create = file_channel_create,
	.channel_destroy = file_channel_destroy,
	.submit = file_submit,
	.reap = file_reap,
	.arm = file_arm,
	.event_fd = file_event_fd,
	.cancel = file_cancel,
};

static int file_init(struct file_disk *f, const struct sr_disk_file_config *c, struct sr_error *e)
{
	struct sr_disk_info info = { .read_only = c->read_only };
	uint64_t size;
	int r;

	f->path = strdup(c->path);
	if (!f->path)
		return sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
	r = file_ring_probe(c->name, e);
	if (!r)
		r = file_open(f, c, &info, e);
	if (!r)
		r = file_size(f, c->name, info.block_size, &size, e);
	if (r)
		return r;
	file_look(f, &info);
	if (info.zone_size && !f->direct && !c->read_only)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s is a zoned device, which can only be written "
				    "with direct I/O",
				    c->name, c->path);
	r = sr_disk_init(&f->base, &file_ops, c->name, &info, size, e);
	if (r || !f->is_block)
		return r;
	r = file_helper_start(f, e);
	if (r)
		sr_disk_finish_base(&f->base);
	return r;
}

struct sr_disk *sr_disk_file_create(const struct sr_disk_file_config *c, struct sr_error *e)
{
	struct file_disk *f = calloc(1, sizeof(*f));

	if (!f) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
		return NULL;
	}
	f->fd = f->lock_fd = -1;
	if (file_init(f, c, e)) {
		file_free(f);
		return NULL;
	}
	return &f->base;
}
