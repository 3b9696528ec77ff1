/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who else uses the file. QEMU marks what it does by read locks on bytes 100 and up (one for
 * each permission that it has) and what it does not bear by read locks on bytes 200 and up; before
 * that counts, it asks whether somebody has locked the opposite bytes. Doing the same keeps apart
 * two of us, and us and QEMU. Of a block device O_EXCL asks as well that nothing else in the
 * system has it, mounts above all.
 *
 * Both belong to an open file and end with it. It is one of its own, which ends with our process.
 * The file that rings work on does not: after a kill -9 the kernel goes on with what it was given,
 * for minutes if the medium hangs, and a late write would fall on newer ones of who starts again, a
 * late read into memory that the guest has put to other use. So that file has a lock, too, on one
 * byte more, and who comes next waits for it: mostly for milliseconds, and for no longer than
 * PATIENCE. Only readers that follow readers cannot tell a dead one from a living one that shares
 * the file.
 */
#include "file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define WORKED_ON   300
#define PATIENCE_NS 5000000000ull
#define PAUSE_US    2000

enum {
	HAS = 100,
	BARS = 200
};
enum {
	CONSISTENT_READ,
	WRITE,
	WRITE_UNCHANGED,
	RESIZE,
	PERMISSIONS
};

static int lock_byte(int fd, int byte)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &l) ? -errno : 0;
}

/* 1: another has it. */
static int is_locked(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &l) ? -errno : l.l_type != F_UNLCK;
}

/* First mark, then look: of two that come at the same time at least one sees the other. */
static int mark_and_look(int fd, unsigned has, unsigned bars)
{
	int r = 0;

	for (int i = 0; i < PERMISSIONS && !r; i++) {
		if (has & 1u << i)
			r = lock_byte(fd, HAS + i);
		if (!r && (bars & 1u << i))
			r = lock_byte(fd, BARS + i);
	}
	for (int i = 0; i < PERMISSIONS && !r; i++) {
		if (has & 1u << i)
			r = is_locked(fd, BARS + i);
		if (!r && (bars & 1u << i))
			r = is_locked(fd, HAS + i);
	}
	return r;
}

static int await_predecessor(const struct file_disk *f, bool read_only)
{
	struct flock l = { .l_type = read_only ? F_RDLCK : F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = WORKED_ON,
			   .l_len = 1 };
	uint64_t end = sr_now_ns() + PATIENCE_NS;

	while (fcntl(f->fd, F_OFD_SETLK, &l)) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (sr_now_ns() >= end)
			return -EBUSY;
		usleep(PAUSE_US);
	}
	return 0;
}

int file_lock(const struct file_disk *f, const char *name, bool read_only, struct sr_error *e)
{
	unsigned bars = 1u << WRITE | 1u << RESIZE, has = 1u << CONSISTENT_READ;
	int r;

	if (!read_only)
		has |= 1u << WRITE | 1u << WRITE_UNCHANGED | 1u << RESIZE;
	r = mark_and_look(f->lock_fd, has, bars);
	if (r == 1 || r == -EAGAIN || r == -EACCES)
		return sr_error_set(e, -EBUSY,
				    "disk %s: %s is in use by another program that %s it, or by "
				    "another disk of this one; end that first%s",
				    name, f->path, read_only ? "writes" : "reads or writes",
				    read_only ? ""
					      : " (several may share it when all are read-only)");
	if (!r)
		r = await_predecessor(f, read_only);
	if (r == -EBUSY)
		return sr_error_set(
			e, r,
			"disk %s: %s: requests of a process that has ended are still "
			"under way after 5 s; try again when the medium has answered them",
			name, f->path);
	if (r < 0)
		sr_log(SR_LOG_WARN, name,
		       "%s cannot be locked (%s): make sure that nobody else uses it", f->path,
		       strerror(-r));
	return 0;
}
