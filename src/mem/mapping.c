/* SPDX-License-Identifier: BSD-3-Clause */
#include "mapping.h"
#include "base.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Mappings of huge pages start, end and are replaced only at whole ones. */
static uint64_t file_granule(int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return sr_max(page, (uint64_t)fs.f_bsize);
	return page;
}

/* Files say how long they are. Devices (dax, for one) do not: there mmap is the judge, and the
 * guard where it judges late. */
static int file_check(int fd, uint64_t offset, uint64_t size, const char *what, struct sr_error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return sr_error_set(e, -errno, "%s: fd %d: %s", what, fd, strerror(errno));
	if (!S_ISREG(st.st_mode) && st.st_size == 0)
		return 0;
	if (!sr_range_fits(offset, size, (uint64_t)st.st_size))
		return sr_error_set(e, -EFBIG,
				    "%s: file of 0x%" PRIx64 " bytes, expected at least offset "
				    "0x%" PRIx64 " + size 0x%" PRIx64,
				    what, (uint64_t)st.st_size, offset, size);
	return 0;
}

int sr_mapping_open(struct sr_mapping *map, int fd, uint64_t offset, uint64_t size,
		    atomic_bool *torn, const char *what, struct sr_error *e)
{
	uint64_t granule = file_granule(fd);
	uint64_t lead = offset & (granule - 1);
	uint64_t end;

	memset(map, 0, sizeof(*map));
	/* Files end at 2^63; the granule on top is for rounding up. */
	if (!sr_add_u64(offset, size, &end) || end > INT64_MAX - granule)
		return sr_error_set(e, -EOVERFLOW,
				    "%s: offset 0x%" PRIx64 " + size 0x%" PRIx64
				    ", expected a sum below 2^63",
				    what, offset, size);
	int rc = file_check(fd, offset, size, what, e);

	if (rc)
		return rc;
	map->length = (lead + size + granule - 1) & ~(granule - 1);
	map->base = mmap(NULL, map->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			 (off_t)(offset - lead));
	if (map->base == MAP_FAILED)
		return sr_error_set(e, -errno,
				    "%s: mapping 0x%" PRIx64 " bytes at offset 0x%" PRIx64
				    " of its fd: %s",
				    what, size, offset, strerror(errno));
	/* A guest's memory has no place in our core dump; not every kernel can leave it out. */
	(void)madvise(map->base, map->length, MADV_DONTDUMP);
	map->guard = sr_sigbus_guard_add(map->base, map->length, granule, torn);
	if (!map->guard) {
		munmap(map->base, map->length);
		return sr_error_set(e, -ENOMEM, "%s: out of memory", what);
	}
	map->data = (uint8_t *)map->base + lead;
	return 0;
}

void sr_mapping_close(struct sr_mapping *map)
{
	if (!map->data)
		return;
	sr_sigbus_guard_remove(map->guard);
	munmap(map->base, map->length);
	map->data = NULL;
}
