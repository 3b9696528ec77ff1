/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER 12u /* request, flags, size: the first three fields of sr_vu_message */

union fd_control {
	char bytes[CMSG_SPACE(SR_VU_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

void sr_vu_channel_init(struct sr_vu_channel *c, int fd)
{
	c->fd = fd;
	c->got = 0;
	c->m.nfds = 0;
}

void sr_vu_channel_finish(struct sr_vu_channel *c)
{
	sr_vu_message_close_fds(&c->m);
}

/* Moves the descriptors of one recvmsg into the message. All of them are ours to close from
 * here on, whatever is wrong with them. */
static void take_fds(struct sr_vu_message *m, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->nfds < SR_VU_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
}

/* One recvmsg of at most `len` bytes. Bytes taken, 0 = none now, or as the public call. */
static ssize_t receive_some(struct sr_vu_channel *c, void *to, size_t len, struct sr_error *e)
{
	union fd_control control;
	struct iovec iov = { to, len };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	unsigned before = c->m.nfds;
	ssize_t n;

	do
		n = recvmsg(c->fd, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return sr_error_set(e, -errno, "recvmsg: %s", strerror(errno));
	take_fds(&c->m, &h);
	if (h.msg_flags & MSG_CTRUNC)
		return sr_error_set(
			e, -EPROTO,
			c->m.nfds < SR_VU_FDS_MAX
				? "a message's file descriptors: only %u arrived, no room for more "
				  "in this process (RLIMIT_NOFILE)"
				: "a message has more than %u file descriptors",
			c->m.nfds);
	if (c->got > 0 && c->m.nfds > before)
		return sr_error_set(e, -EPROTO,
				    "file descriptors at byte %" PRIu32
				    " of a message, expected at its first",
				    c->got);
	if (n == 0 && c->got == 0)
		return sr_error_set(e, -EPIPE, "the peer closed the connection");
	if (n == 0)
		return sr_error_set(e, -EPROTO,
				    "the connection ended after %" PRIu32 " bytes of a message",
				    c->got);
	return n;
}

int sr_vu_channel_receive(struct sr_vu_channel *c, struct sr_error *e)
{
	if (c->got >= HEADER && c->got == HEADER + c->m.size) {
		sr_vu_message_close_fds(&c->m);
		c->got = 0;
	}
	for (;;) {
		bool header = c->got < HEADER;
		uint8_t *to = header ? (uint8_t *)&c->m + c->got : c->m.p.bytes + (c->got - HEADER);
		uint32_t want = header ? HEADER - c->got : HEADER + c->m.size - c->got;
		ssize_t n = want ? receive_some(c, to, want, e) : 0;

		if (n < 0 || (n == 0 && want))
			return (int)n;
		c->got += (uint32_t)n;
		if (c->got < HEADER)
			continue;
		if (c->m.size > SR_VU_PAYLOAD_MAX)
			return sr_error_set(e, -EPROTO,
					    "request %" PRIu32 ": %" PRIu32
					    " bytes of payload, expected at most %u",
					    c->m.request, c->m.size, SR_VU_PAYLOAD_MAX);
		if (c->got == HEADER + c->m.size)
			return 1;
	}
}

int sr_vu_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	       const int *fds, unsigned nfds)
{
	union fd_control control;
	uint32_t header[3] = { request, flags, size };
	/* sendmsg only reads, its iovec cannot say so. */
	struct iovec iov[2] = { { header, HEADER }, { (void *)(uintptr_t)payload, size } };
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };
	ssize_t n;

	assert(nfds <= SR_VU_FDS_MAX && size <= SR_VU_PAYLOAD_MAX);
	if (nfds) {
		memset(&control, 0, sizeof(control));
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == HEADER + size ? 0 : -EIO;
}
