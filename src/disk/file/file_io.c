/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests from submit to completion, step by step. */
#include "file_internal.h"

#include <errno.h>
#include <slipring/log.h>
#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FILE_TELL_S  10u
#define FILE_TELL_NS (FILE_TELL_S * 1000000000ull)

/* The errors that users of disks know. */
static int known_error(int code)
{
	switch (code) {
	case 0:
	case -EIO:
	case -ENOSPC:
	case -EROFS:
	case -EOPNOTSUPP:
	case -ECANCELED:
	case -ETIMEDOUT:
	case -ENODEV:
	case -EPROTO:
	case -EMFILE:
	case -EOVERFLOW:
		return code;
	case -EDQUOT:
	case -EFBIG: /* RLIMIT_FSIZE */
		return -ENOSPC;
	case -ETOOMANYREFS: /* zones: what block devices say for "too many open" */
		return -EMFILE;
	case -EBADF:
	case -EPERM:
		return -EROFS;
	default:
		return -EIO;
	}
}

/* What the medium did, not what a guest did wrong. */
static bool is_trouble(int error)
{
	return error == -EIO || error == -ENOSPC || error == -EROFS || error == -ETIMEDOUT ||
	       error == -ENODEV;
}

/* The guest sees no more than an error; whoever looks after the medium must learn why. A broken one
 * fails thousands of requests a second, so most of them are not told. */
static void tell_trouble(struct file_disk *f, const struct sr_disk_req *r, int error)
{
	static const char *const ops[] = {
		[SR_DISK_READ] = "read",     [SR_DISK_WRITE] = "write",
		[SR_DISK_FLUSH] = "flush",   [SR_DISK_DISCARD] = "discard",
		[SR_DISK_ZEROES] = "zeroes", [SR_DISK_ERASE] = "erase"
	};
	uint64_t now = sr_now_ns(), told = atomic_load(&f->told_ns);

	if (told && now - told < FILE_TELL_NS)
		return;
	if (!atomic_compare_exchange_strong(&f->told_ns, &told, now))
		return;
	sr_log(SR_LOG_WARN, f->base.name,
	       "%s: %s of %llu bytes at offset %llu failed: %s (told once in %u s)", f->path,
	       r->op < SR_ARRAY_LEN(ops) && ops[r->op] ? ops[r->op] : "request",
	       (unsigned long long)r->len, (unsigned long long)r->offset, strerror(-error),
	       FILE_TELL_S);
}

void file_finish(struct file_channel *c, struct sr_disk_req *r, int result)
{
	if (SR_UNLIKELY(r->own[0].p))
		file_moves_end(file_of(&c->base), r);
	r->own[1].u = FILE_DONE;
	if (SR_UNLIKELY(result) && is_trouble(known_error(result)))
		tell_trouble(file_of(&c->base), r, result);
	sr_disk_finish(&c->base, r, result ? known_error(result) : 0);
}

static void wait_for_room(struct file_channel *c, struct sr_disk_req *r)
{
	r->own[1].u |= FILE_WAITING;
	r->next = NULL;
	*c->waiting_tail = r;
	c->waiting_tail = &r->next;
}

static void issue(struct file_channel *c, struct sr_disk_req *r)
{
	struct file_disk *f = file_of(&c->base);
	struct io_uring_sqe *sqe = NULL;
	int ret = file_ready(f, r);

	if (SR_UNLIKELY(ret)) {
		file_finish(c, r, ret);
		return;
	}
	if (c->in_kernel < FILE_IN_KERNEL_MAX)
		sqe = file_sqe(c);
	if (SR_UNLIKELY(!sqe)) {
		wait_for_room(c, r);
		return;
	}
	c->in_kernel++;
	file_prep(f, r, sqe);
}

static void issue_waiting(struct file_channel *c)
{
	struct sr_disk_req *list = c->waiting, *r;

	c->waiting = NULL;
	c->waiting_tail = &c->waiting;
	while ((r = list)) {
		list = r->next;
		r->own[1].u &= ~(uint64_t)FILE_WAITING;
		/* Those that still find no room come back in the order that they had. */
		if (c->waiting)
			wait_for_room(c, r);
		else
			issue(c, r);
	}
}

/* What there is only as a call that blocks, all of it for block devices. */
static bool is_for_helper(const struct file_disk *f, const struct sr_disk_req *r)
{
	switch (r->op) {
	case SR_DISK_READ:
	case SR_DISK_WRITE:
	case SR_DISK_FLUSH:
	case SR_DISK_ZEROES:
		return false;
	case SR_DISK_DISCARD:
		return f->is_block &&
		       atomic_load_explicit(&f->no_discard_cmd, memory_order_relaxed);
	default:
		return true;
	}
}

/* 0, or why nothing is tried. */
static int refusal(const struct file_disk *f, const struct sr_disk_req *r, bool for_helper)
{
	if (r->op == SR_DISK_FLUSH)
		return atomic_load_explicit(&f->flush_failed, memory_order_relaxed) ? -EIO : 0;
	if (!sr_range_fits(r->offset, r->len, sr_disk_size(&f->base)))
		return -EIO; /* a file would grow; it is shorter by now than the submitter thinks */
	return for_helper && !f->helper ? -EOPNOTSUPP : 0;
}

static void start(struct file_channel *c, struct sr_disk_req *r)
{
	const struct file_disk *f = file_of(&c->base);
	bool for_helper = is_for_helper(f, r);
	int refused = refusal(f, r, for_helper);

	r->own[0].p = NULL;
	r->own[1].u = 0;
	if (SR_UNLIKELY(refused))
		file_finish(c, r, refused);
	else if (SR_UNLIKELY(for_helper))
		file_helper_push(c, r);
	else if (SR_UNLIKELY(c->waiting))
		wait_for_room(c, r);
	else
		issue(c, r);
}

void file_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct file_channel *c = SR_CONTAINER_OF(base, struct file_channel, base);

	for (unsigned i = 0; i < n; i++)
		start(c, r[i]);
	file_ring_submit(c);
}

/* False: as often as it makes sense. */
static bool try_again(struct file_channel *c, struct sr_disk_req *r)
{
	if (r->own[1].u / FILE_TRY >= FILE_TRIES_MAX || (r->own[1].u & FILE_CANCELLED))
		return false;
	r->own[1].u += FILE_TRY;
	issue(c, r);
	return true;
}

/* Of a zone the kernel says no more than EIO. */
static void transfer_failed(struct file_channel *c, struct sr_disk_req *r, int res)
{
	struct file_disk *f = file_of(&c->base);

	if (res == -EINVAL && f->direct && !(r->own[1].u & FILE_BOUNCED) && !r->own[0].p) {
		/* The medium wants more alignment than it has told. */
		r->own[1].u |= FILE_BOUNCED;
		issue(c, r);
	} else if (r->op == SR_DISK_WRITE && f->base.info.zone_size && res != -ECANCELED) {
		r->own[1].u |= FILE_JUDGED;
		r->result = res;
		file_helper_push(c, r);
	} else {
		file_finish(c, r, res);
	}
}

/* Came back short: 0 bytes mean that the file ends there, whoever cut it. */
static void go_on(struct file_channel *c, struct sr_disk_req *r, uint32_t moved)
{
	struct file_disk *f = file_of(&c->base);
	int64_t left = -EIO;

	if (moved) {
		if (!r->own[0].p)
			r->own[0].p = calloc(1, sizeof(struct file_moves));
		left = r->own[0].p ? file_moves_add(f, r, moved) : -ENOMEM;
	}
	if (left > 0 && !(r->own[1].u & FILE_CANCELLED))
		issue(c, r);
	else
		file_finish(c, r, left > 0 ? -ECANCELED : (int)left);
}

static void transfer_done(struct file_channel *c, struct sr_disk_req *r, int res)
{
	if (SR_LIKELY(res == (int64_t)r->len && !r->own[0].p))
		file_finish(c, r, 0);
	else if (res < 0)
		transfer_failed(c, r, res);
	else
		go_on(c, r, (uint32_t)res);
}

static void zeroes_done(struct file_channel *c, struct sr_disk_req *r, int res)
{
	struct file_disk *f = file_of(&c->base);
	bool last = r->own[1].u & FILE_SYNCING;

	if (r->own[0].p) {
		transfer_done(c, r, res);
	} else if (res == -EOPNOTSUPP && !last) {
		atomic_store(r->own[1].u & FILE_PUNCH ? &f->no_punch : &f->no_zero_range, true);
		issue(c, r);
	} else if (res == 0 && (r->flags & SR_DISK_FUA) && !last) {
		r->own[1].u |= FILE_SYNCING;
		issue(c, r);
	} else {
		file_finish(c, r, res);
	}
}

static void discard_done(struct file_channel *c, struct sr_disk_req *r, int res)
{
	struct file_disk *f = file_of(&c->base);

	if (!f->is_block || (res != -EOPNOTSUPP && res != -EINVAL && res != -ENOTTY)) {
		file_finish(c, r, res);
		return;
	}
	/* Not known to this kernel or driver; the ioctl says what it is. */
	atomic_store(&f->no_discard_cmd, true);
	file_helper_push(c, r);
}

static void step_done(struct file_channel *c, struct sr_disk_req *r, int res)
{
	if (SR_UNLIKELY(res == -EAGAIN || res == -EINTR) && try_again(c, r))
		return;
	if (SR_UNLIKELY(res < 0 && (r->own[1].u & FILE_CANCELLED)))
		res = res == -EINTR || res == -EAGAIN ? -ECANCELED : res;
	switch (r->op) {
	case SR_DISK_READ:
	case SR_DISK_WRITE:
		transfer_done(c, r, res);
		break;
	case SR_DISK_ZEROES:
		zeroes_done(c, r, res);
		break;
	case SR_DISK_FLUSH:
		if (res < 0 && res != -ECANCELED)
			atomic_store(&file_of(&c->base)->flush_failed, true);
		file_finish(c, r, res);
		break;
	default:
		discard_done(c, r, res);
	}
}

/* The answers leave the queue before they are worked on: that may submit, which brings more. */
static unsigned take(struct file_channel *c, struct io_uring_cqe *to)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&c->ring, head, cqe)
	{
		to[n++] = (struct io_uring_cqe){ .user_data = cqe->user_data, .res = cqe->res };
		if (n == SR_DISK_BATCH)
			break;
	}
	io_uring_cq_advance(&c->ring, n);
	return n;
}

void file_reap(struct sr_disk_channel *base)
{
	struct file_channel *c = SR_CONTAINER_OF(base, struct file_channel, base);
	struct io_uring_cqe batch[SR_DISK_BATCH];
	unsigned n, left = FILE_CQ_ENTRIES;

	if (c->armed)
		file_disarm(c);
	if (SR_UNLIKELY(atomic_load_explicit(&c->has_helped, memory_order_relaxed)))
		file_helper_collect(c);
	if (!c->in_kernel && SR_LIKELY(!c->waiting))
		return;
	file_ring_submit(c);
	for (; left && (n = take(c, batch)); left -= sr_min(left, n)) {
		c->in_kernel -= n;
		for (unsigned i = 0; i < n; i++)
			if (SR_LIKELY(batch[i].user_data))
				step_done(c, (void *)(uintptr_t)batch[i].user_data, batch[i].res);
	}
	if (SR_UNLIKELY(c->waiting))
		issue_waiting(c);
	if (io_uring_sq_ready(&c->ring))
		file_ring_submit(c);
}

static void forget_waiting(struct file_channel *c, struct sr_disk_req *r)
{
	struct sr_disk_req **at = &c->waiting;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (!*at)
		c->waiting_tail = at;
}

/* Takes what the kernel has not begun; what it has begun is signalled, and may end early. */
static void cancel_in_kernel(struct file_channel *c, struct sr_disk_req *r)
{
	struct io_uring_sqe *sqe;

	file_ring_submit(c);
	sqe = file_sqe(c);
	if (!sqe)
		return;
	r->own[1].u |= FILE_CANCELLED;
	io_uring_prep_cancel64(sqe, (uintptr_t)r, 0);
	sqe->user_data = 0;
	c->in_kernel++;
	file_ring_submit(c);
	/* Others may have ended as well, and the eventfd is silent from here on. */
	file_reap(&c->base);
	sr_poller_wake(c->base.poller);
}

bool file_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct file_channel *c = SR_CONTAINER_OF(base, struct file_channel, base);

	if (r->own[1].u & FILE_WAITING) {
		forget_waiting(c, r);
		file_finish(c, r, -ECANCELED);
	} else if (r->own[1].u & FILE_AT_HELPER) {
		if (file_helper_take_back(c, r))
			file_finish(c, r, -ECANCELED);
		else
			file_helper_collect(c);
	} else {
		cancel_in_kernel(c, r);
	}
	return r->own[1].u & FILE_DONE;
}
