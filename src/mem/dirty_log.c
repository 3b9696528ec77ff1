/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log: one bit for each 4 KiB page of guest-physical space, shared with the
 * front-end, which takes bits away while we set them.
 *
 * A bit is always set with an atomic "or", after the write that it stands for. Looking
 * first whether it is set already would save the "or", but needs a full barrier between
 * the write and the look: without it the front-end may take the bit away and copy the page
 * before our write arrives there.
 */
#include "memory.h"

#include <assert.h>
#include <errno.h>

#define LOG_PAGE_SHIFT 12

static void log_update(struct sr_mem *m)
{
	m->log_active = m->log_on && m->log.data;
}

int sr_mem_set_log(struct sr_mem *m, int fd, uint64_t offset, uint64_t size, struct sr_error *e)
{
	struct sr_mapping map = { 0 };

	if (fd >= 0) {
		if (size == 0)
			return sr_error_set(e, -EINVAL, "dirty log: size 0x0, expected at least 1");
		int rc = sr_mapping_open(&map, fd, offset, size, &m->log_torn, "dirty log", e);

		if (rc)
			return rc;
	}
	sr_mapping_close(&m->log);
	m->log = map;
	atomic_store(&m->log_torn, false);
	m->log_size = fd >= 0 ? size : 0;
	log_update(m);
	return 0;
}

void sr_mem_log_enable(struct sr_mem *m, bool on)
{
	m->log_on = on;
	log_update(m);
}

bool sr_mem_log_active(const struct sr_mem *m)
{
	return m->log_active;
}

bool sr_mem_log_covers(const struct sr_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t last;

	if (len == 0)
		return true;
	return sr_add_u64(gpa, len - 1, &last) && last >> LOG_PAGE_SHIFT >> 3 < m->log_size;
}

void sr_mem_log_gpa(const struct sr_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t last;

	if (!m->log_active || len == 0)
		return;
	if (!sr_add_u64(gpa, len - 1, &last))
		last = UINT64_MAX;
	uint64_t page = gpa >> LOG_PAGE_SHIFT, last_page = last >> LOG_PAGE_SHIFT;

	for (uint64_t byte = page / 8; byte <= last_page / 8 && byte < m->log_size; byte++) {
		unsigned mask = 0xff;

		if (byte == page / 8)
			mask &= 0xffu << page % 8;
		if (byte == last_page / 8)
			mask &= 0xffu >> (7 - last_page % 8);
		/* Release pairs with the front-end's atomic exchange: who takes the bit sees
		 * the write (vhost-user, "Migration"). */
		__atomic_fetch_or(&m->log.data[byte], (uint8_t)mask, __ATOMIC_RELEASE);
	}
}

/* Only while migrating, and few guests have more than a handful of regions: no index. */
static void log_pointer(const struct sr_mem *m, const uint8_t *p, uint64_t len)
{
	for (unsigned i = 0; i < m->table->n; i++) {
		const struct mem_region *f = &m->table->v[i];

		if (p >= f->map.data && (uint64_t)(p - f->map.data) < f->r.size) {
			sr_mem_log_gpa(m, f->r.gpa + (uint64_t)(p - f->map.data), len);
			return;
		}
	}
	assert(!"a piece that this memory did not make");
}

void sr_mem_log_iov(const struct sr_mem *m, const struct iovec *iov, unsigned n, uint64_t len)
{
	if (!m->log_active)
		return;
	for (unsigned i = 0; i < n && len; i++) {
		uint64_t part = sr_min(len, iov[i].iov_len);

		log_pointer(m, iov[i].iov_base, part);
		len -= part;
	}
}
