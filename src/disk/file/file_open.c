/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens the medium and decides how it is accessed. */
#include "file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *open_hint(int code, bool is_block)
{
	switch (code) {
	case EROFS:
		return "; to serve it read-only, say so in its configuration";
	case EACCES:
	case EPERM:
		return "; it needs read and write access, or serve it read-only";
	case EBUSY:
		return is_block ? "; the system uses it: mounted, swap, RAID or LVM, itself or a "
				  "part of it"
				: "";
	default:
		return "";
	}
}

static int open_one(const struct file_disk *f, const struct sr_disk_file_config *c, int flags,
		    struct sr_error *e)
{
	int fd = open(c->path, flags | O_CLOEXEC | (c->read_only ? O_RDONLY : O_RDWR));

	return fd >= 0 ? fd
		       : sr_error_set(e, -errno, "disk %s: %s: %s%s", c->name, c->path,
				      strerror(errno), open_hint(errno, f->is_block));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_rdev == b->st_rdev;
}

static int open_path(struct file_disk *f, const struct sr_disk_file_config *c, struct sr_error *e)
{
	struct stat st, locked, used;

	if (stat(c->path, &st))
		return sr_error_set(e, -errno, "disk %s: %s: %m", c->name, c->path);
	f->is_block = S_ISBLK(st.st_mode);
	if (!f->is_block && !S_ISREG(st.st_mode)) /* a pipe would not come back from open */
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s is neither a regular file nor a block device",
				    c->name, c->path);
	f->lock_fd = open_one(f, c, f->is_block && !c->read_only ? O_EXCL : 0, e);
	if (f->lock_fd < 0)
		return f->lock_fd;
	f->fd = open_one(f, c, 0, e);
	if (f->fd < 0)
		return f->fd;
	if (fstat(f->lock_fd, &locked) || fstat(f->fd, &used) || !is_same(&st, &used) ||
	    !is_same(&locked, &used))
		return sr_error_set(e, -EAGAIN, "disk %s: %s was replaced while it was opened",
				    c->name, c->path);
	return 0;
}

/* A device that was made read-only by hand can still be opened for writing by some kernels. */
static int check_writable(const struct file_disk *f, const char *name, struct sr_error *e)
{
	int ro = 0;

	if (f->is_block && ioctl(f->fd, BLKROGET, &ro) == 0 && ro)
		return sr_error_set(e, -EROFS, "disk %s: %s is read-only%s", name, f->path,
				    open_hint(EROFS, true));
	return 0;
}

static bool is_tmpfs(const struct file_disk *f)
{
	struct statfs s;

	return !f->is_block && fstatfs(f->fd, &s) == 0 && s.f_type == TMPFS_MAGIC;
}

/* Sets *mem and *offset to the alignment that direct I/O asks for; false: there is none. */
static bool direct_alignment(const struct file_disk *f, uint32_t *mem, uint32_t *offset)
{
	struct statx s;
	int logical;

	if (is_tmpfs(f)) {
		*mem = *offset = 1;
		return true;
	}
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) == 0 &&
	    (s.stx_mask & STATX_DIOALIGN)) {
		*mem = s.stx_dio_mem_align;
		*offset = s.stx_dio_offset_align;
		return *mem && *offset;
	}
	/* An older kernel: what suits all it has. */
	*mem = *offset = FILE_BOUNCE_ALIGN;
	if (f->is_block && ioctl(f->fd, BLKSSZGET, &logical) == 0)
		*offset = (uint32_t)logical;
	return true;
}

/* 0, or why it is not possible. */
static int try_direct(struct file_disk *f, uint32_t block_size, uint32_t *offset)
{
	uint32_t mem;
	int flags = fcntl(f->fd, F_GETFL);

	if (!direct_alignment(f, &mem, offset))
		return -EOPNOTSUPP;
	if (*offset > block_size)
		return -EINVAL;
	if (flags < 0 || fcntl(f->fd, F_SETFL, flags | O_DIRECT))
		return -EOPNOTSUPP;
	f->direct = true;
	f->mem_mask = mem - 1;
	f->len_mask = *offset - 1;
	return 0;
}

static int choose_direct(struct file_disk *f, const struct sr_disk_file_config *c,
			 uint32_t block_size, struct sr_error *e)
{
	uint32_t offset = 0;
	int r = c->direct == SR_DISK_DIRECT_OFF ? 0 : try_direct(f, block_size, &offset);

	if (c->direct != SR_DISK_DIRECT_ON || !r)
		return 0;
	if (r == -EINVAL)
		return sr_error_set(e, r,
				    "disk %s: %s: direct I/O goes by blocks of %" PRIu32
				    " bytes there, the disk has %" PRIu32
				    "; give it a block size of %" PRIu32 ", or leave direct out",
				    c->name, c->path, offset, block_size, offset);
	return sr_error_set(e, r,
			    "disk %s: %s: its file system has no direct I/O; leave direct out",
			    c->name, c->path);
}

int file_open(struct file_disk *f, const struct sr_disk_file_config *c, struct sr_disk_info *info,
	      struct sr_error *e)
{
	int r = open_path(f, c, e);

	if (!r && !c->read_only)
		r = check_writable(f, c->name, e);
	if (!r)
		r = file_lock(f, c->name, c->read_only, e);
	if (!r)
		r = file_block_size(f, c, e);
	if (r < 0)
		return r;
	info->block_size = (uint32_t)r;
	r = choose_direct(f, c, info->block_size, e);
	if (!r && is_tmpfs(f))
		fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) | O_NONBLOCK);
	return r;
}
