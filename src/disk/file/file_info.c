/* SPDX-License-Identifier: BSD-3-Clause */
/* What the medium is: by ioctl where there is one, else by what sysfs tells about the device. */
#include "file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PHYSICAL_MAX (64u << 10)

/* Large enough to be slow, short enough to be taken back. */
#define ZERO_WRITTEN_MAX (64ull << 20)

/* A partition has neither queue nor device: its disk, one step up, has them. */
static bool read_sysfs(const struct file_disk *f, const char *file, char *text, size_t room)
{
	static const char *const up[] = { "", "../" };
	struct stat st;
	ssize_t n = -1;

	if (fstat(f->fd, &st))
		return false;
	for (unsigned i = 0; i < SR_ARRAY_LEN(up) && n <= 0; i++) {
		char path[128];
		int fd;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s%s", major(st.st_rdev),
			 minor(st.st_rdev), up[i], file);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, text, room - 1);
		if (fd >= 0)
			close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

uint64_t file_sysfs_number(const struct file_disk *f, const char *file)
{
	char text[64];

	return read_sysfs(f, file, text, sizeof(text)) ? strtoull(text, NULL, 0) : 0;
}

int file_block_size(const struct file_disk *f, const struct sr_disk_file_config *c,
		    struct sr_error *e)
{
	int logical = 512;

	if (f->is_block && ioctl(f->fd, BLKSSZGET, &logical))
		return sr_error_set(e, -errno, "disk %s: %s: BLKSSZGET: %m", c->name, c->path);
	if (!c->block_size)
		return logical;
	if (c->block_size < (uint32_t)logical)
		return sr_error_set(e, -EINVAL,
				    "disk %s: block size %" PRIu32
				    ", but %s has blocks of %d bytes",
				    c->name, c->block_size, c->path, logical);
	return (int)c->block_size;
}

int file_size(const struct file_disk *f, const char *name, uint32_t block_size, uint64_t *size,
	      struct sr_error *e)
{
	struct stat st;

	if (f->is_block ? ioctl(f->fd, BLKGETSIZE64, size) : fstat(f->fd, &st))
		return sr_error_set(e, -errno, "disk %s: %s: its size is not known: %m", name,
				    f->path);
	if (!f->is_block)
		*size = (uint64_t)st.st_size;
	if (*size == 0)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s is empty; give it a size first, as by truncate -s",
				    name, f->path);
	if (*size % block_size)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s has %" PRIu64
				    " bytes, expected a multiple of the block size %" PRIu32
				    "; truncate -s %%%" PRIu32
				    " makes it longer by what is missing",
				    name, f->path, *size, block_size, block_size);
	return 0;
}

static uint32_t sane_physical(uint64_t physical, uint32_t block_size)
{
	if (physical < block_size || physical > PHYSICAL_MAX || (physical & (physical - 1)))
		return block_size;
	return (uint32_t)physical;
}

/* eMMC: "0x01 0x02", and one number for the reserve. */
static void look_at_wear(const struct file_disk *f, struct sr_disk_info *info)
{
	char text[64], *rest;

	if (!read_sysfs(f, "device/life_time", text, sizeof(text)))
		return;
	info->has_lifetime = true;
	info->lifetime_a = (uint16_t)strtoul(text, &rest, 0);
	info->lifetime_b = (uint16_t)strtoul(rest, NULL, 0);
	info->pre_eol_info = (uint16_t)file_sysfs_number(f, "device/pre_eol_info");
}

/* The kernel asks whether the device can before it looks at a range, which here is a wrong one. */
static bool can_erase(const struct file_disk *f)
{
	uint64_t odd[2] = { 1, 1 };

	return ioctl(f->fd, BLKSECDISCARD, odd) && errno == EINVAL;
}

static void look_at_block(const struct file_disk *f, struct sr_disk_info *info)
{
	unsigned physical = 0, io_min = 0, io_opt = 0;
	unsigned short rotational = 0;
	char text[64];

	ioctl(f->fd, BLKPBSZGET, &physical);
	ioctl(f->fd, BLKIOMIN, &io_min);
	ioctl(f->fd, BLKIOOPT, &io_opt);
	ioctl(f->fd, BLKROTATIONAL, &rotational);
	info->physical_size = sane_physical(physical, info->block_size);
	info->io_min = io_min;
	info->io_opt = io_opt;
	info->rotational = rotational;
	/* Without direct I/O the page cache is one, whatever the device has. */
	info->volatile_cache = !f->direct ||
			       !read_sysfs(f, "queue/write_cache", text, sizeof(text)) ||
			       strncmp(text, "write back", 10) == 0;
	info->can_discard = file_sysfs_number(f, "queue/discard_max_bytes") > 0;
	info->discard_granularity = (uint32_t)file_sysfs_number(f, "queue/discard_granularity");
	info->can_zero = true;
	info->can_erase = !info->read_only && can_erase(f);
	look_at_wear(f, info);
	if (read_sysfs(f, "queue/zoned", text, sizeof(text)) &&
	    strncmp(text, "host-managed", 12) == 0)
		file_zone_look(f, info);
}

/* Past the end of a file there is nothing to change, yet the file system says whether it could. */
static bool can_fallocate(const struct file_disk *f, int mode, uint32_t block_size)
{
	struct stat st;

	return fstat(f->fd, &st) == 0 &&
	       fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, st.st_size, block_size) == 0;
}

static void look_at_file(const struct file_disk *f, struct sr_disk_info *info)
{
	struct stat st;

	info->volatile_cache = true;
	info->can_zero = true;
	info->physical_size = info->block_size;
	if (fstat(f->fd, &st) == 0)
		info->physical_size = sane_physical((uint64_t)st.st_blksize, info->block_size);
	if (info->read_only)
		return;
	info->can_discard = can_fallocate(f, FALLOC_FL_PUNCH_HOLE, info->block_size);
	info->discard_granularity = info->can_discard ? info->physical_size : 0;
	if (!info->can_discard)
		info->zero_max = ZERO_WRITTEN_MAX;
}

void file_look(const struct file_disk *f, struct sr_disk_info *info)
{
	if (f->is_block)
		look_at_block(f, info);
	else
		look_at_file(f, info);
}
