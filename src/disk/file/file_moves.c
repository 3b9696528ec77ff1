/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of several steps: came back short, have more pieces than the kernel takes, are not
 * aligned as direct I/O needs it, or write zeroes. Each step has pieces of our own: parts of the
 * submitter's, or aligned memory through which the data is copied.
 */
#include "file_internal.h"
#include "iov.h"

#include <errno.h>
#include <stdlib.h>

static const uint8_t zeroes[64u << 10] __attribute__((aligned(FILE_BOUNCE_ALIGN)));

static void *writable(const void *p)
{
	return (void *)(uintptr_t)p; /* what is written to the medium is only read */
}

static void zero_pieces(struct file_moves *m, uint64_t left)
{
	for (m->niov = 0; left && m->niov < FILE_PIECES; m->niov++) {
		uint64_t n = sr_min(left, sizeof(zeroes));

		m->iov[m->niov] = (struct iovec){ writable(zeroes), n };
		left -= n;
	}
}

/* What comes next of the submitter's pieces. False: not as they are. */
static bool own_pieces(const struct file_disk *f, struct file_moves *m, const struct sr_disk_req *r)
{
	uint64_t skip = m->done;
	uintptr_t base = 0, len = 0;

	m->niov = 0;
	for (uint32_t i = 0; i < r->niov && m->niov < FILE_PIECES; i++) {
		const struct iovec *v = &r->iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		m->iov[m->niov] = (struct iovec){ (char *)v->iov_base + skip, v->iov_len - skip };
		base |= (uintptr_t)m->iov[m->niov].iov_base;
		len |= m->iov[m->niov].iov_len;
		m->niov++;
		skip = 0;
	}
	return !(base & f->mem_mask) && !(len & f->len_mask);
}

static int make_bounce(struct file_disk *f, struct file_moves *m, uint64_t len)
{
	bool plenty = atomic_load(&f->bounced) < FILE_BOUNCE_PLENTY;
	size_t room = sr_min(len, plenty ? FILE_BOUNCE_BYTES : FILE_BOUNCE_LITTLE);

	if (posix_memalign(&m->bounce, FILE_BOUNCE_ALIGN, room)) {
		m->bounce = NULL;
		return -ENOMEM;
	}
	m->room = room;
	atomic_fetch_add(&f->bounced, room);
	return 0;
}

static int bounce_piece(struct file_disk *f, struct file_moves *m, const struct sr_disk_req *r)
{
	uint64_t left = r->len - m->done;
	int ret = m->bounce ? 0 : make_bounce(f, m, left);
	size_t n = sr_min(left, m->room);

	if (ret)
		return ret;
	if (r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, m->done, m->bounce, n);
	m->iov[0] = (struct iovec){ m->bounce, n };
	m->niov = 1;
	return 0;
}

static int next_step(struct file_disk *f, struct sr_disk_req *r)
{
	struct file_moves *m = r->own[0].p;

	if (r->op == SR_DISK_ZEROES) {
		zero_pieces(m, r->len - m->done);
		return 0;
	}
	if (!m->bounce && !(r->own[1].u & FILE_BOUNCED) && own_pieces(f, m, r))
		return 0;
	return bounce_piece(f, m, r);
}

int file_moves_begin(struct file_disk *f, struct sr_disk_req *r)
{
	r->own[0].p = calloc(1, sizeof(struct file_moves));
	return r->own[0].p ? next_step(f, r) : -ENOMEM;
}

int64_t file_moves_add(struct file_disk *f, struct sr_disk_req *r, uint32_t moved)
{
	struct file_moves *m = r->own[0].p;
	int ret;

	if (m->bounce && r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, m->done, m->bounce, moved);
	m->done += moved;
	if (m->done >= r->len)
		return 0;
	/* Direct I/O ends inside a block only where the medium does. */
	if (m->done & f->len_mask)
		return -EIO;
	ret = next_step(f, r);
	return ret ? ret : (int64_t)(r->len - m->done);
}

void file_moves_end(struct file_disk *f, struct sr_disk_req *r)
{
	struct file_moves *m = r->own[0].p;

	if (m) {
		atomic_fetch_sub(&f->bounced, m->room);
		free(m->bounce);
	}
	free(m);
	r->own[0].p = NULL;
}
