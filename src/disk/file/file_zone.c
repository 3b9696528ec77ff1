/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zoned block devices. Linux has no append for user space: the helper's thread, of which there is
 * one for the disk, asks for the write pointer and writes there. Nobody else may write to the
 * zone at that moment, and who appends does not.
 */
#include "file_internal.h"
#include "iov.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define REPORT_ZONES 128u

static struct blk_zone_report *new_report(unsigned n)
{
	return malloc(sizeof(struct blk_zone_report) + n * sizeof(struct blk_zone));
}

/* How many zones came, from the one that holds `offset` on. */
static int report(const struct file_disk *f, uint64_t offset, unsigned n,
		  struct blk_zone_report *to)
{
	*to = (struct blk_zone_report){ .sector = offset >> 9, .nr_zones = n };
	return ioctl(f->fd, BLKREPORTZONE, to) ? -errno : (int)to->nr_zones;
}

static struct sr_disk_zone zone_of(const struct blk_zone_report *from, unsigned i)
{
	const struct blk_zone *z = &from->zones[i];
	bool has_capacity = from->flags & BLK_ZONE_REP_CAPACITY;

	return (struct sr_disk_zone){ .start = z->start << 9,
				      .capacity = (has_capacity ? z->capacity : z->len) << 9,
				      .wp = z->wp << 9,
				      .type = z->type,
				      .state = z->cond };
}

static int report_all(const struct file_disk *f, struct sr_disk_req *r)
{
	uint64_t at = r->offset - r->offset % f->base.info.zone_size, size = sr_disk_size(&f->base);
	struct blk_zone_report *some = new_report(REPORT_ZONES);
	uint32_t got = 0;
	int n = some ? 1 : -ENOMEM;

	while (n > 0 && got < r->nzones && at < size) {
		n = report(f, at, (unsigned)sr_min(REPORT_ZONES, r->nzones - got), some);
		for (int i = 0; i < n; i++)
			r->zones[got++] = zone_of(some, (unsigned)i);
		at += (uint64_t)(n > 0 ? n : 0) * f->base.info.zone_size;
	}
	free(some);
	r->nzones = got;
	return n < 0 ? n : 0;
}

static int one_zone(const struct file_disk *f, uint64_t offset, struct sr_disk_zone *z)
{
	struct blk_zone_report *one = new_report(1);
	int n = one ? report(f, offset, 1, one) : -ENOMEM;

	if (n == 1)
		*z = zone_of(one, 0);
	free(one);
	return n == 1 ? 0 : n < 0 ? n : -EIO;
}

static int manage(const struct file_disk *f, unsigned long command, uint64_t offset, uint64_t len)
{
	struct blk_zone_range range = { .sector = offset >> 9, .nr_sectors = len >> 9 };

	return ioctl(f->lock_fd, command, &range) ? -errno : 0;
}

static int write_at(const struct file_disk *f, const struct sr_disk_req *r, uint64_t at)
{
	struct iovec all = { .iov_len = r->len };
	int flags = r->flags & SR_DISK_FUA ? RWF_DSYNC : 0;
	ssize_t n;

	if (posix_memalign(&all.iov_base, FILE_BOUNCE_ALIGN, r->len))
		return -ENOMEM;
	sr_iov_read(r->iov, r->niov, 0, all.iov_base, r->len);
	do
		n = pwritev2(f->fd, &all, 1, (off_t)at, flags);
	while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : n;
	free(all.iov_base);
	return n < 0 ? (int)n : (uint64_t)n == r->len ? 0 : -EIO;
}

static int zone_append(const struct file_disk *f, struct sr_disk_req *r)
{
	struct sr_disk_zone z;
	int ret = one_zone(f, r->offset, &z);

	if (ret)
		return ret;
	if (z.type == SR_DISK_ZONE_CONVENTIONAL || z.start != r->offset)
		return -EPROTO;
	if (z.state == SR_DISK_ZONE_OFFLINE)
		return -ENODEV;
	/* Of a full zone, and of some others, the write pointer means nothing. */
	if (z.state == SR_DISK_ZONE_FULL || z.state == SR_DISK_ZONE_READ_ONLY ||
	    !sr_range_fits(z.wp - z.start, r->len, z.capacity))
		return -EPROTO;
	ret = write_at(f, r, z.wp);
	if (!ret)
		r->offset = z.wp;
	return ret;
}

int file_zone_run(struct file_disk *f, struct sr_disk_req *r)
{
	uint64_t size = sr_disk_size(&f->base);
	uint64_t len = sr_min(f->base.info.zone_size, size - r->offset);

	switch (r->op) {
	case SR_DISK_ZONE_REPORT:
		return report_all(f, r);
	case SR_DISK_ZONE_OPEN:
		return manage(f, BLKOPENZONE, r->offset, len);
	case SR_DISK_ZONE_CLOSE:
		return manage(f, BLKCLOSEZONE, r->offset, len);
	case SR_DISK_ZONE_FINISH:
		return manage(f, BLKFINISHZONE, r->offset, len);
	case SR_DISK_ZONE_RESET:
		return manage(f, BLKRESETZONE, r->offset, len);
	case SR_DISK_ZONE_RESET_ALL:
		return manage(f, BLKRESETZONE, 0, size);
	case SR_DISK_ZONE_APPEND:
		return zone_append(f, r);
	default:
		return -EOPNOTSUPP;
	}
}

int file_zone_judge(struct file_disk *f, const struct sr_disk_req *r)
{
	struct sr_disk_zone z;

	if (r->result == -EOVERFLOW || r->result == -ETOOMANYREFS || one_zone(f, r->offset, &z))
		return r->result;
	if (z.state == SR_DISK_ZONE_OFFLINE)
		return -ENODEV;
	if (z.type == SR_DISK_ZONE_SEQ_WRITE_REQUIRED &&
	    (z.state == SR_DISK_ZONE_FULL || z.wp != r->offset))
		return -EPROTO;
	return r->result;
}

static uint32_t queue_number(const struct file_disk *f, const char *file)
{
	return (uint32_t)sr_min(file_sysfs_number(f, file), UINT32_MAX);
}

void file_zone_look(const struct file_disk *f, struct sr_disk_info *info)
{
	uint32_t sectors = 0, zones = 0;

	if (ioctl(f->fd, BLKGETZONESZ, &sectors) || ioctl(f->fd, BLKGETNRZONES, &zones))
		return;
	info->zone_size = (uint64_t)sectors << 9;
	info->zones = zones;
	info->max_open = queue_number(f, "queue/max_open_zones");
	info->max_active = queue_number(f, "queue/max_active_zones");
	info->append_max =
		(uint32_t)sr_min(queue_number(f, "queue/zone_append_max_bytes"), FILE_BOUNCE_BYTES);
	if (!info->append_max)
		info->append_max = FILE_BOUNCE_BYTES;
}
