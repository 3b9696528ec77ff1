/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about one ring. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <slipring/virtio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A front-end that sets the size or base of a ring which we think runs is setting it up
 * again without GET_VRING_BASE, as User-mode Linux does: the ring is over and starts at its
 * next SET_VRING_KICK. */
static void set_up_again(struct sr_vu_queue *q)
{
	if (q->running)
		sr_vu_queue_stop(q);
}

int sr_vu_set_vring_num(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	uint32_t n = m->p.state.num;
	bool packed = s->features & SR_F_RING_PACKED;

	if (n == 0 || n > SR_VQ_SIZE_MAX || (!packed && n & (n - 1)))
		return sr_error_set(&s->error, -EPROTO,
				    "SET_VRING_NUM: ring %u: %" PRIu32
				    " entries, expected %s1 to %u",
				    q->index, n, packed ? "" : "a power of two, ", SR_VQ_SIZE_MAX);
	set_up_again(q);
	q->size = n;
	return SR_VU_DONE;
}

int sr_vu_set_vring_base(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	if (m->p.state.num > UINT16_MAX)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_VRING_BASE: ring %u: 0x%" PRIx32 ", expected 16 bits",
				    q->index, m->p.state.num);
	set_up_again(q);
	q->base = (uint16_t)m->p.state.num;
	return SR_VU_DONE;
}

/* While the ring runs this is how a migration turns the log of the used ring on and off. */
int sr_vu_set_vring_addr(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	if (m->p.addr.flags & ~SR_VU_ADDR_LOG)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_VRING_ADDR: ring %u: flags 0x%" PRIx32 ", expected 0 or 1",
				    q->index, m->p.addr.flags);
	sr_vu_queue_pause(q);
	q->addr = m->p.addr;
	q->have_addr = true;
	return sr_vu_queue_try_start(q, &s->error);
}

/* Call and error descriptors stay: QEMU does not send them again when it starts the ring. */
int sr_vu_get_vring_base(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_vu_state state = { .index = q->index };

	sr_vu_queue_stop(q);
	state.num = q->base;
	return sr_session_reply(s, m, &state, sizeof(state));
}

/* For honest front-ends, where events must be written; one that shares the open file can undo
 * it behind our back, see vu_signal.c. */
static int make_nonblocking(struct sr_session *s, const char *name, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return sr_error_set(&s->error, -EPROTO, "%s: file descriptor not usable", name);
	return 0;
}

/* Anonymous inodes have no file type; /proc knows which kind it is, where there is one. */
static bool is_eventfd(int fd, const struct stat *st)
{
	char path[32], target[32] = "";
	ssize_t n;

	if (st->st_mode & S_IFMT)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	return n < 0 || strcmp(target, "anon_inode:[eventfd]") == 0;
}

/* Takes the message's descriptor over, if it is one for events. Written to, a pipe would end us
 * with SIGPIPE and a file would grow; read from, a signalfd would take our own signals away,
 * SIGTERM for one. */
static int take_event_fd(struct sr_session *s, struct sr_vu_message *m, const char *name,
			 bool *is_socket)
{
	struct stat st;
	int r = make_nonblocking(s, name, m->fds[0]);

	if (r)
		return r;
	if (fstat(m->fds[0], &st) || (!S_ISSOCK(st.st_mode) && !is_eventfd(m->fds[0], &st)))
		return sr_error_set(&s->error, -EPROTO,
				    "%s: not a file descriptor for events, expected an eventfd or "
				    "a socket",
				    name);
	*is_socket = S_ISSOCK(st.st_mode);
	return sr_vu_message_take_fd(m, 0);
}

/* Starts the ring. A broken one starts again. */
int sr_vu_set_vring_kick(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	bool is_socket; /* the poller looks for itself */
	int fd = m->nfds ? take_event_fd(s, m, "SET_VRING_KICK", &is_socket) : -1, r;

	if (m->nfds && fd < 0)
		return fd;
	/* One that has broken since the message came is not quiet: it is stopped when it is. */
	if (atomic_load(&q->health) != SR_VU_SOUND && sr_vu_queue_is_quiet(q))
		sr_vu_queue_stop(q);
	r = sr_vu_queue_set_kick(q, fd, &s->error);
	if (r)
		return r;
	q->wanted = true;
	return sr_vu_queue_try_start(q, &s->error);
}

/* Whether the call descriptor changes in a way that threads which write to it must not see. */
bool sr_vu_call_needs_pause(const struct sr_vu_queue *q, const struct sr_vu_message *m)
{
	struct stat st;

	if (q->call < 0)
		return false;
	return !m->nfds || fstat(m->fds[0], &st) || S_ISSOCK(st.st_mode) != q->call_is_socket;
}

static void pause_and_set_call(struct sr_vu_queue *q, int fd, bool is_socket)
{
	sr_vu_queue_pause(q);
	close(q->call);
	q->call = fd;
	q->call_is_socket = is_socket;
}

/* Guests that mask interrupts make QEMU send this all the time, so a running ring is not held up
 * where it can be helped: dup3 puts one open file in the other's place while threads are
 * writing to it. They know what kind it is; only a change of that needs a pause. What was
 * written to the old file and not seen is said again at the end. */
int sr_vu_set_vring_call(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	bool is_socket = false;
	bool must_pause = sr_vu_call_needs_pause(q, m);
	int fd = m->nfds ? take_event_fd(s, m, "SET_VRING_CALL", &is_socket) : -1, r = 0;

	if (m->nfds && fd < 0)
		return fd;
	if (must_pause) {
		pause_and_set_call(q, fd, is_socket);
		r = sr_vu_queue_try_start(q, &s->error);
	} else if (q->call < 0) {
		q->call_is_socket = is_socket;
		q->call = fd;
	} else {
		if (dup3(fd, q->call, O_CLOEXEC) < 0)
			r = sr_error_set(&s->error, -EPROTO, "SET_VRING_CALL: %s", strerror(errno));
		close(fd);
	}
	if (!r && q->running && q->call >= 0)
		sr_session_signal(q->call, is_socket);
	return r;
}

int sr_vu_set_vring_err(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	bool is_socket = false;
	int fd = m->nfds ? take_event_fd(s, m, "SET_VRING_ERR", &is_socket) : -1;

	if (m->nfds && fd < 0)
		return fd;
	if (q->err >= 0)
		close(q->err);
	q->err = fd;
	q->err_is_socket = is_socket;
	return SR_VU_DONE;
}

int sr_vu_set_vring_enable(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	if (m->p.state.num > 1)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_VRING_ENABLE: ring %u: %" PRIu32 ", expected 0 or 1",
				    q->index, m->p.state.num);
	sr_vu_queue_enable(q, m->p.state.num);
	return SR_VU_DONE;
}
