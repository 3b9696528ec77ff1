/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file that remembers write pointers: a header that says whose they are, then a word for
 * each zone, in the byte order of the machine. It is mapped and shared, so that a store is
 * remembered by the kernel however this process ends.
 */
#include "base.h"
#include "zone_table.h"
#include "zone_word.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SRZONES1";

struct header {
	char magic[8]; /* written last: a file without it was never finished */
	uint64_t zone_size;
	uint32_t zones, conventional;
	uint8_t reserved[40];
};
_Static_assert(sizeof(struct header) == 64, "the words behind it start at a cache line");

static size_t file_bytes(const struct zone_table *t)
{
	return sizeof(struct header) + t->zones * sizeof(uint64_t);
}

static int in_memory(struct zone_table *t, const char *name, struct sr_error *e)
{
	t->file.fd = -1;
	t->saved = calloc(t->zones, sizeof(*t->saved));
	return t->saved ? 0 : sr_error_set(e, -ENOMEM, "disk %s: out of memory", name);
}

/* A new file must have all its room: a store to a page without any would be a SIGBUS. */
static int give_size(struct zone_table *t, const char *name, const char *path, struct sr_error *e)
{
	struct stat st;
	int r;

	if (fstat(t->file.fd, &st))
		return sr_error_set(e, -errno, "disk %s: %s: %m", name, path);
	if (st.st_size == (off_t)t->file.bytes)
		return 0;
	if (st.st_size)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s: %jd bytes, expected %zu: not the state of these "
				    "zones",
				    name, path, (intmax_t)st.st_size, t->file.bytes);
	r = posix_fallocate(t->file.fd, 0, (off_t)t->file.bytes);
	return r ? sr_error_set(e, -r, "disk %s: %s: no %zu bytes: %s", name, path, t->file.bytes,
				strerrordesc_np(r))
		 : 0;
}

static int open_and_map(struct zone_table *t, const char *name, const char *path,
			struct sr_error *e)
{
	int r;

	t->file.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (t->file.fd < 0)
		return sr_error_set(e, -errno, "disk %s: %s: %m", name, path);
	if (flock(t->file.fd, LOCK_EX | LOCK_NB))
		return sr_error_set(e, -EBUSY, "disk %s: %s: in use by another disk", name, path);
	r = give_size(t, name, path, e);
	if (r)
		return r;
	t->file.map = mmap(NULL, t->file.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->file.fd, 0);
	if (t->file.map != MAP_FAILED)
		return 0;
	t->file.map = NULL;
	sr_error_set(e, -ENOMEM, "disk %s: %s: mmap: %m", name, path);
	return -ENOMEM;
}

static void write_header(struct zone_table *t)
{
	struct header *h = t->file.map;

	memset(t->file.map, 0, t->file.bytes);
	h->zone_size = t->zone_size;
	h->zones = t->zones;
	h->conventional = t->conventional;
	atomic_signal_fence(memory_order_seq_cst); /* who else looks does so after our end */
	memcpy(h->magic, magic, sizeof(magic));
}

static int check_header(const struct zone_table *t, const char *name, const char *path,
			struct sr_error *e)
{
	const struct header *h = t->file.map;

	if (memcmp(h->magic, magic, sizeof(magic)))
		return sr_error_set(e, -EINVAL, "disk %s: %s: not a state file of zones", name,
				    path);
	if (h->zone_size != t->zone_size)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s: zones of %" PRIu64 " bytes, expected %" PRIu64,
				    name, path, h->zone_size, t->zone_size);
	if (h->zones != t->zones || h->conventional != t->conventional)
		return sr_error_set(e, -EINVAL,
				    "disk %s: %s: %" PRIu32 " zones, %" PRIu32
				    " of them conventional, expected %" PRIu32 " and %" PRIu32,
				    name, path, h->zones, h->conventional, t->zones,
				    t->conventional);
	return 0;
}

static int check_words(const struct zone_table *t, const char *name, const char *path,
		       uint32_t block_size, struct sr_error *e)
{
	for (uint32_t n = 0; n < t->zones; n++) {
		uint64_t w = atomic_load(&t->saved[n]), written = zone_word_written(w);

		if (zone_word_state(w) || written > t->zone_size || written % block_size ||
		    (n < t->conventional && w))
			return sr_error_set(e, -EINVAL,
					    "disk %s: %s: zone %" PRIu32 ": %#" PRIx64
					    " is no write pointer of a zone of %" PRIu64 " bytes",
					    name, path, n, w, t->zone_size);
	}
	return 0;
}

int zone_file_open(struct zone_table *t, const char *name, const char *path, uint32_t block_size,
		   struct sr_error *e)
{
	static const char nothing[sizeof(magic)];
	int r;

	if (!path)
		return in_memory(t, name, e);
	t->file.bytes = file_bytes(t);
	r = open_and_map(t, name, path, e);
	if (!r) {
		t->saved = (void *)((char *)t->file.map + sizeof(struct header));
		if (!memcmp(t->file.map, nothing, sizeof(nothing)))
			write_header(t);
		r = check_header(t, name, path, e);
	}
	if (!r)
		r = check_words(t, name, path, block_size, e);
	if (r)
		zone_file_close(t);
	return r;
}

void zone_file_close(struct zone_table *t)
{
	if (t->file.fd < 0 && !t->file.map)
		free(t->saved);
	if (t->file.map)
		munmap(t->file.map, t->file.bytes);
	if (t->file.fd >= 0)
		close(t->file.fd);
}
