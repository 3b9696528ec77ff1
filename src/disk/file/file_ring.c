/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring of a channel: made, fed, and asked to wake its loop.
 *
 * Completions are seen in shared memory. Where the kernel can (6.1), it does its own part of them
 * only when we enter it, so that it never interrupts the loop, and says by IORING_SQ_TASKRUN that
 * there is something; submitting enters anyway and takes that along.
 *
 * A sleeping loop is woken through an eventfd, which is switched off while the loop is awake.
 */
#include "file_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The best first. The ring starts disabled because it belongs to the thread that enables it: who
 * makes the channel may not be the one that uses it. */
static const unsigned flag_choices[] = {
	IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,			 /* 6.1 */
	IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, /* 5.19 */
	0
};

static bool sysctl_forbids(void)
{
	FILE *s = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int c = s ? fgetc(s) : '0';

	if (s)
		fclose(s);
	return c > '0';
}

static int ring_error(const char *name, int code, struct sr_error *e)
{
	const char *hint = "";

	if (code == -ENOSYS)
		hint = "; the kernel was built without io_uring, or a seccomp filter hides it";
	else if (code == -EPERM && sysctl_forbids())
		hint = "; sysctl kernel.io_uring_disabled=0 allows it";
	else if (code == -EPERM)
		hint = "; a seccomp filter forbids it (of a container, perhaps): allow "
		       "io_uring_setup, io_uring_enter and io_uring_register";
	else if (code == -ENOMEM)
		hint = "; older kernels count it as locked memory: raise RLIMIT_MEMLOCK";
	return sr_error_set(e, code, "disk %s: io_uring: %s%s", name, strerror(-code), hint);
}

static int ring_init(struct io_uring *ring, bool *disabled)
{
	int r = -EINVAL;

	for (unsigned i = 0; r == -EINVAL && i < SR_ARRAY_LEN(flag_choices); i++) {
		struct io_uring_params p = { .flags = flag_choices[i] | IORING_SETUP_CQSIZE,
					     .cq_entries = FILE_CQ_ENTRIES };

		r = io_uring_queue_init_params(FILE_SQ_ENTRIES, ring, &p);
		*disabled = p.flags & IORING_SETUP_R_DISABLED;
	}
	return r;
}

/* So that a disk that cannot work fails when it is made, not when somebody uses it. */
int file_ring_probe(const char *name, struct sr_error *e)
{
	struct io_uring ring;
	bool disabled;
	int r = ring_init(&ring, &disabled);

	if (r)
		return ring_error(name, r, e);
	io_uring_queue_exit(&ring);
	return 0;
}

static int channel_init(struct file_channel *c, struct file_disk *f)
{
	int r = ring_init(&c->ring, &c->disabled);

	if (r)
		return r;
	c->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = c->event_fd < 0 ? -errno : io_uring_register_files(&c->ring, &f->fd, 1);
	if (!r)
		r = io_uring_register_eventfd(&c->ring, c->event_fd);
	if (!r) {
		io_uring_cq_eventfd_toggle(&c->ring, false);
		return 0;
	}
	if (c->event_fd >= 0)
		close(c->event_fd);
	io_uring_queue_exit(&c->ring);
	return r;
}

struct sr_disk_channel *file_channel_create(struct sr_disk *d, struct sr_loop *loop,
					    struct sr_error *e)
{
	struct file_disk *f = SR_CONTAINER_OF(d, struct file_disk, base);
	struct file_channel *c = calloc(1, sizeof(*c));
	int r;

	(void)loop;
	if (!c) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", d->name);
		return NULL;
	}
	c->waiting_tail = &c->waiting;
	r = channel_init(c, f);
	if (r) {
		ring_error(d->name, r, e);
		free(c);
		return NULL;
	}
	return &c->base;
}

void file_channel_destroy(struct sr_disk_channel *base)
{
	struct file_channel *c = SR_CONTAINER_OF(base, struct file_channel, base);

	file_helper_forget(c);
	/* The kernel frees a ring at its leisure; the file must not be in use until then. */
	io_uring_unregister_files(&c->ring);
	io_uring_queue_exit(&c->ring);
	close(c->event_fd);
	free(c);
}

static bool kernel_waits(const struct file_channel *c)
{
	return IO_URING_READ_ONCE(*c->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

/* liburing 2.3 has io_uring_enable_rings in its header, but does not export it. */
static int enable(struct io_uring *ring)
{
	long r = syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
			 0);

	return r < 0 ? -errno : 0;
}

struct io_uring_sqe *file_sqe(struct file_channel *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

	if (SR_LIKELY(sqe))
		return sqe;
	file_ring_submit(c);
	return io_uring_get_sqe(&c->ring);
}

/* What the kernel does not take now (it has no memory) stays in the queue for the next poll. */
void file_ring_submit(struct file_channel *c)
{
	int r;

	if (SR_UNLIKELY(c->disabled)) {
		r = enable(&c->ring);
		assert(r == 0);
		c->disabled = false;
	}
	if (kernel_waits(c))
		r = io_uring_submit_and_get_events(&c->ring);
	else if (io_uring_sq_ready(&c->ring))
		r = io_uring_submit(&c->ring);
	else
		r = 0;
	assert(r != -EEXIST); /* a channel belongs to one thread */
	(void)r;
}

bool file_ring_has_work(const struct file_channel *c)
{
	return io_uring_cq_ready(&c->ring) || io_uring_sq_ready(&c->ring) || kernel_waits(c) ||
	       atomic_load_explicit(&c->has_helped, memory_order_relaxed);
}

bool file_arm(struct sr_disk_channel *base)
{
	struct file_channel *c = SR_CONTAINER_OF(base, struct file_channel, base);

	if (!c->armed)
		io_uring_cq_eventfd_toggle(&c->ring, true);
	c->armed = true;
	/* The kernel makes the completion visible, then looks at the switch; we do the opposite.
	 * Pairs with the ordered read-modify-write by which it queues its work. */
	atomic_thread_fence(memory_order_seq_cst);
	return file_ring_has_work(c);
}

void file_disarm(struct file_channel *c)
{
	io_uring_cq_eventfd_toggle(&c->ring, false);
	c->armed = false;
}

int file_event_fd(struct sr_disk_channel *base)
{
	return SR_CONTAINER_OF(base, struct file_channel, base)->event_fd;
}
