/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests as the kernel takes them. */
#include "file_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdatomic.h>

/* Linux 6.12, later than the headers that this is built with: start in addr, length in addr3. */
#ifndef BLOCK_URING_CMD_DISCARD
#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0)
#endif

/* By which way the range is zeroed is kept in the request: another channel may learn meanwhile
 * that the medium has not got it. False: by writing. */
static bool choose_way(const struct file_disk *f, struct sr_disk_req *r)
{
	r->own[1].u &= ~(uint64_t)(FILE_PUNCH | FILE_ZERO_RANGE);
	if ((r->flags & SR_DISK_UNMAP) && !atomic_load_explicit(&f->no_punch, memory_order_relaxed))
		r->own[1].u |= FILE_PUNCH;
	else if (!atomic_load_explicit(&f->no_zero_range, memory_order_relaxed))
		r->own[1].u |= FILE_ZERO_RANGE;
	return r->own[1].u & (FILE_PUNCH | FILE_ZERO_RANGE);
}

static bool is_aligned(const struct file_disk *f, const struct sr_disk_req *r)
{
	uintptr_t base = 0, len = 0;

	for (uint32_t i = 0; i < r->niov; i++) {
		base |= (uintptr_t)r->iov[i].iov_base;
		len |= r->iov[i].iov_len;
	}
	return !(base & f->mem_mask) && !(len & f->len_mask);
}

static bool is_transfer(const struct sr_disk_req *r)
{
	return r->op == SR_DISK_READ || r->op == SR_DISK_WRITE;
}

static bool needs_moves(const struct file_disk *f, struct sr_disk_req *r)
{
	if (SR_LIKELY(is_transfer(r)))
		return (r->own[1].u & FILE_BOUNCED) || r->niov > IOV_MAX || !is_aligned(f, r);
	return r->op == SR_DISK_ZEROES && !(r->own[1].u & FILE_SYNCING) && !choose_way(f, r);
}

int file_ready(struct file_disk *f, struct sr_disk_req *r)
{
	return !r->own[0].p && needs_moves(f, r) ? file_moves_begin(f, r) : 0;
}

static void prep_transfer(const struct sr_disk_req *r, struct io_uring_sqe *sqe)
{
	const struct file_moves *m = r->own[0].p;
	const struct iovec *iov = m ? m->iov : r->iov;
	unsigned niov = m ? m->niov : r->niov;
	uint64_t at = r->offset + (m ? m->done : 0);
	bool is_read = r->op == SR_DISK_READ;

	/* One piece spares the kernel the copy of the list. */
	if (niov == 1 && iov->iov_len <= INT_MAX)
		io_uring_prep_rw(is_read ? IORING_OP_READ : IORING_OP_WRITE, sqe, 0, iov->iov_base,
				 (unsigned)iov->iov_len, at);
	else
		io_uring_prep_rw(is_read ? IORING_OP_READV : IORING_OP_WRITEV, sqe, 0, iov, niov,
				 at);
	if (!is_read && (r->flags & SR_DISK_FUA))
		sqe->rw_flags = RWF_DSYNC;
}

static void prep_discard(const struct file_disk *f, const struct sr_disk_req *r,
			 struct io_uring_sqe *sqe)
{
	if (!f->is_block) {
		io_uring_prep_fallocate(sqe, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)r->offset, (off_t)r->len);
		return;
	}
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, 0, NULL, 0, 0);
	sqe->cmd_op = BLOCK_URING_CMD_DISCARD;
	sqe->addr = r->offset;
	sqe->addr3 = r->len;
}

void file_prep(const struct file_disk *f, const struct sr_disk_req *r, struct io_uring_sqe *sqe)
{
	if (SR_LIKELY(is_transfer(r)) || r->own[0].p)
		prep_transfer(r, sqe);
	else if (r->op == SR_DISK_FLUSH || (r->own[1].u & FILE_SYNCING))
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
	else if (r->op == SR_DISK_ZEROES)
		io_uring_prep_fallocate(sqe, 0,
					FALLOC_FL_KEEP_SIZE |
						(r->own[1].u & FILE_PUNCH ? FALLOC_FL_PUNCH_HOLE
									  : FALLOC_FL_ZERO_RANGE),
					(off_t)r->offset, (off_t)r->len);
	else
		prep_discard(f, r, sqe);
	/* To a worker of the kernel, which may wait: what was sent back, and zeroes, which are
	 * many. */
	if (r->own[1].u >= FILE_TRY || (r->own[0].p && r->op == SR_DISK_ZEROES))
		sqe->flags |= IOSQE_ASYNC;
	/* To drop what the page cache has of a device takes the file that has it exclusively. */
	if (f->is_block &&
	    (sqe->opcode == IORING_OP_FALLOCATE || sqe->opcode == IORING_OP_URING_CMD))
		sqe->fd = f->lock_fd;
	else
		sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = (uintptr_t)r;
}
