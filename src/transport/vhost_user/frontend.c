/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The problem: set up a device of a back-end that may be old, lack features, hang or lie.
 *
 * Rejected: pipelining the messages and collecting acks afterwards. It saves a few dozen
 * round trips once a session, and an error would come long after its cause.
 *
 * Chosen: one message at a time. Those with a reply wait for it. With REPLY_ACK every other
 * message asks for an ack, so that a refusal is known by its message; without it the
 * back-end can only say no by closing, which the next message finds out. Every wait is a
 * poll() with a deadline. Replies pass the same table check as requests do on the other side.
 */
#include "frontend.h"

#include "channel.h"
#include "unix_socket.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <slipring/drvq.h>
#include <slipring/virtio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HUGE_PAGE  (2u << 20)
#define SMALL_PAGE 4096u
/* Not 0, and not equal to any address or offset: whoever mixes up address spaces shall fail. */
#define GUEST_START 0x40000000ull

struct ring {
	int kick, call; /* -1: not started */
};

struct sr_frontend {
	char *socket;
	int fd;
	struct sr_unix_listener file; /* where we listen */
	bool listens;
	unsigned timeout_ms;
	struct sr_vu_channel channel;
	uint64_t features, protocol;
	uint64_t offer, protocol_offer;
	unsigned queue_max;
	bool failed; /* the stream cannot be trusted any more */
	void *mem;
	size_t mem_bytes;
	struct ring rings[SR_FRONTEND_QUEUES_MAX];
};

/* Prefixes the peer's name to what a lower layer said. */
static int fail(struct sr_frontend *f, struct sr_error *e, int code, const struct sr_error *why)
{
	f->failed = true;
	return sr_error_set(e, code, "%s: %.400s", f->socket, why->text);
}

/* Waits for `events`. 0, -ETIMEDOUT or poll's errno. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { fd, events, 0 };
		uint64_t now = sr_now_ns();
		int n = poll(&p, 1, now < deadline ? (int)((deadline - now) / 1000000 + 1) : 0);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && now >= deadline)
			return -ETIMEDOUT;
	}
}

static uint64_t deadline_of(const struct sr_frontend *f)
{
	return sr_now_ns() + (uint64_t)f->timeout_ms * 1000000;
}

static int send_request(struct sr_frontend *f, uint32_t request, uint32_t flags,
			const void *payload, uint32_t size, int fd, struct sr_error *e)
{
	uint64_t deadline = deadline_of(f);
	int rc;

	if (f->failed)
		return sr_error_set(e, -EPIPE, "%s: the session has failed before", f->socket);
	do
		rc = sr_vu_send(f->fd, request, flags, payload, size, &fd, fd >= 0);
	while (rc == -EAGAIN && (rc = wait_for(f->fd, POLLOUT, deadline)) == 0);
	if (!rc)
		return 0;
	f->failed = true;
	return sr_error_set(e, rc, "%s: cannot send %s: %s", f->socket,
			    sr_vu_front_row(request)->name, strerror(-rc));
}

/* The reply is in f->channel.m when it returns 0. */
static int receive_reply(struct sr_frontend *f, uint32_t request, bool ack, struct sr_error *e)
{
	const struct sr_vu_row *row = sr_vu_front_row(request);
	uint64_t deadline = deadline_of(f);
	struct sr_error why;
	int rc;

	while ((rc = sr_vu_channel_receive(&f->channel, &why)) == 0) {
		rc = wait_for(f->fd, POLLIN, deadline);
		if (rc) {
			f->failed = true;
			return sr_error_set(e, rc, "%s: no reply to %s within %u ms", f->socket,
					    row->name, f->timeout_ms);
		}
	}
	if (rc < 0) {
		f->failed = true;
		return sr_error_set(e, rc, "%s: waiting for the reply to %s: %.300s", f->socket,
				    row->name, why.text);
	}
	rc = sr_vu_check_reply(&f->channel.m, request, row, ack, &why);
	return rc ? fail(f, e, rc, &why) : 0;
}

/* A message that is answered in any case. */
static int ask(struct sr_frontend *f, uint32_t request, const void *payload, uint32_t size,
	       struct sr_error *e)
{
	int rc = send_request(f, request, SR_VU_VERSION, payload, size, -1, e);

	return rc ? rc : receive_reply(f, request, false, e);
}

static int ask_u64(struct sr_frontend *f, uint32_t request, uint64_t *value, struct sr_error *e)
{
	int rc = ask(f, request, NULL, 0, e);

	if (!rc)
		*value = f->channel.m.p.u64;
	return rc;
}

/* A message that is answered only when we ask for an ack. `fd` may be -1. */
static int tell(struct sr_frontend *f, uint32_t request, const void *payload, uint32_t size, int fd,
		struct sr_error *e)
{
	bool ack = f->protocol & SR_BIT(SR_VU_P_REPLY_ACK);
	int rc = send_request(f, request, SR_VU_VERSION | (ack ? SR_VU_NEED_REPLY : 0), payload,
			      size, fd, e);

	if (rc || !ack)
		return rc;
	rc = receive_reply(f, request, true, e);
	if (!rc && f->channel.m.p.u64)
		rc = sr_error_set(e, -EREMOTEIO, "%s: the back-end refused %s (%" PRIu64 ")",
				  f->socket, sr_vu_front_row(request)->name, f->channel.m.p.u64);
	return rc;
}

static int tell_u64(struct sr_frontend *f, uint32_t request, uint64_t value, struct sr_error *e)
{
	return tell(f, request, &value, sizeof(value), -1, e);
}

static int tell_state(struct sr_frontend *f, uint32_t request, unsigned queue, uint32_t num,
		      struct sr_error *e)
{
	struct sr_vu_state s = { queue, num };

	return tell(f, request, &s, sizeof(s), -1, e);
}

/* Listens for one back-end. Its connected socket, or a negative errno. */
static int accept_one(struct sr_frontend *f, struct sr_error *e)
{
	int fd = sr_unix_listen(&f->file, f->socket, 0, NULL, e);

	if (fd < 0)
		return fd;
	f->listens = true;
	fd = wait_for(f->file.fd, POLLIN, deadline_of(f));
	if (fd < 0)
		return sr_error_set(e, fd, "%s: no back-end connected within %u ms", f->socket,
				    f->timeout_ms);
	fd = accept4(f->file.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd >= 0 ? fd : sr_error_set(e, -errno, "%s: accept: %s", f->socket, strerror(errno));
}

static int negotiate(struct sr_frontend *f, const struct sr_frontend_config *c, struct sr_error *e)
{
	uint64_t offer, wanted, queues = c->queues_unsaid ? c->queues_unsaid : 2;
	int rc;

	if ((rc = tell(f, SR_VU_SET_OWNER, NULL, 0, -1, e)) ||
	    (rc = ask_u64(f, SR_VU_GET_FEATURES, &f->offer, e)))
		return rc;
	offer = f->offer;
	if (c->required & ~offer)
		return sr_error_set(e, -ENOTSUP,
				    "%s: the back-end offers features 0x%" PRIx64
				    ", expected 0x%" PRIx64 " among them",
				    f->socket, offer, c->required);
	f->features = offer & c->features;
	if (offer & SR_F_PROTOCOL_FEATURES) {
		rc = ask_u64(f, SR_VU_GET_PROTOCOL_FEATURES, &f->protocol_offer, e);
		if (rc)
			return rc;
		wanted = f->protocol_offer & c->protocol_features;
		if ((rc = tell_u64(f, SR_VU_SET_PROTOCOL_FEATURES, wanted, e)))
			return rc;
		f->protocol = wanted;
		f->features |= SR_F_PROTOCOL_FEATURES;
	}
	if (f->protocol & SR_BIT(SR_VU_P_MQ) && (rc = ask_u64(f, SR_VU_GET_QUEUE_NUM, &queues, e)))
		return rc;
	f->queue_max = (unsigned)sr_min(queues, SR_FRONTEND_QUEUES_MAX);
	return tell_u64(f, SR_VU_SET_FEATURES, f->features, e);
}

struct sr_frontend *sr_frontend_connect(const struct sr_frontend_config *c, struct sr_error *e)
{
	struct sr_frontend *f = calloc(1, sizeof(*f));

	if (f)
		f->socket = strdup(c->socket);
	if (!f || !f->socket) {
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->socket);
		free(f);
		return NULL;
	}
	f->fd = -1;
	f->timeout_ms = c->timeout_ms ? c->timeout_ms : SR_FRONTEND_TIMEOUT_MS;
	for (unsigned i = 0; i < SR_FRONTEND_QUEUES_MAX; i++)
		f->rings[i] = (struct ring){ -1, -1 };
	sr_vu_channel_init(&f->channel, -1);
	f->fd = c->listen ? accept_one(f, e) : sr_unix_connect(c->socket, e);
	f->channel.fd = f->fd;
	if (f->fd < 0 || negotiate(f, c, e)) {
		sr_frontend_disconnect(f);
		return NULL;
	}
	return f;
}

static void close_ring(struct ring *r)
{
	if (r->kick >= 0)
		close(r->kick);
	if (r->call >= 0)
		close(r->call);
	*r = (struct ring){ -1, -1 };
}

void sr_frontend_disconnect(struct sr_frontend *f)
{
	uint16_t base;

	if (!f)
		return;
	for (unsigned i = 0; i < SR_FRONTEND_QUEUES_MAX; i++) {
		if (f->rings[i].kick >= 0 && !f->failed)
			sr_frontend_ring_stop(f, i, &base, NULL);
		close_ring(&f->rings[i]);
	}
	sr_vu_channel_finish(&f->channel);
	if (f->fd >= 0)
		close(f->fd);
	if (f->listens)
		sr_unix_unlisten(&f->file);
	if (f->mem)
		munmap(f->mem, f->mem_bytes);
	free(f->socket);
	free(f);
}

uint64_t sr_frontend_features(const struct sr_frontend *f)
{
	return f->features & ~SR_F_PROTOCOL_FEATURES;
}

uint64_t sr_frontend_protocol_features(const struct sr_frontend *f)
{
	return f->protocol;
}

uint64_t sr_frontend_offer(const struct sr_frontend *f)
{
	return f->offer & ~SR_F_PROTOCOL_FEATURES;
}

uint64_t sr_frontend_protocol_offer(const struct sr_frontend *f)
{
	return f->protocol_offer;
}

unsigned sr_frontend_queue_max(const struct sr_frontend *f)
{
	return f->queue_max;
}

/* Makes and maps the memory. The file descriptor, or a negative errno. */
static int map_memory(struct sr_frontend *f, size_t bytes, bool hugepages, struct sr_error *e)
{
	size_t page = hugepages ? HUGE_PAGE : SMALL_PAGE;
	int rc, fd = memfd_create("guest", MFD_CLOEXEC | (hugepages ? MFD_HUGETLB : 0));

	if (fd < 0)
		return sr_error_set(e, -errno, "memfd_create: %s", strerror(errno));
	bytes = (bytes + page - 1) / page * page;
	rc = ftruncate(fd, (off_t)bytes);
	if (!rc) {
		f->mem =
			mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
		if (f->mem != MAP_FAILED) {
			f->mem_bytes = bytes;
			return fd;
		}
		f->mem = NULL;
	}
	rc = sr_error_set(e, -errno, "%zu bytes of %s memory: %s", bytes,
			  hugepages ? "huge page" : "shared", strerror(errno));
	close(fd);
	return rc;
}

void *sr_frontend_share(struct sr_frontend *f, size_t bytes, bool hugepages, struct sr_error *e)
{
	struct sr_vu_mem_table t = { .n = 1 };
	int fd, rc;

	assert(!f->mem && bytes);
	fd = map_memory(f, bytes, hugepages, e);
	if (fd < 0)
		return NULL;
	t.regions[0] = (struct sr_vu_region){ .gpa = GUEST_START,
					      .size = f->mem_bytes,
					      .uva = (uintptr_t)f->mem };
	rc = tell(f, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), fd, e);
	close(fd);
	return rc ? NULL : f->mem;
}

uint64_t sr_frontend_gpa(const struct sr_frontend *f)
{
	(void)f;
	return GUEST_START;
}

static int tell_fd(struct sr_frontend *f, uint32_t request, unsigned queue, int fd,
		   struct sr_error *e)
{
	uint64_t value = queue;

	return tell(f, request, &value, sizeof(value), fd, e);
}

int sr_frontend_ring_start(struct sr_frontend *f, unsigned queue, const void *ring, uint32_t size,
			   uint16_t base, struct sr_error *e)
{
	struct sr_drvq_layout at = sr_drvq_layout(size);
	struct sr_vu_addr addr = { .index = queue,
				   .desc = (uintptr_t)ring + at.desc,
				   .avail = (uintptr_t)ring + at.avail,
				   .used = (uintptr_t)ring + at.used };
	struct ring *r;
	int rc;

	assert(queue < SR_FRONTEND_QUEUES_MAX && f->rings[queue].kick < 0);
	if (queue >= f->queue_max)
		return sr_error_set(e, -EINVAL, "%s: queue %u, the back-end has %u", f->socket,
				    queue, f->queue_max);
	r = &f->rings[queue];
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->kick < 0 || r->call < 0)
		rc = sr_error_set(e, -errno, "%s: eventfd: %s", f->socket, strerror(errno));
	else if (!(rc = tell_state(f, SR_VU_SET_VRING_NUM, queue, size, e)) &&
		 !(rc = tell_state(f, SR_VU_SET_VRING_BASE, queue, base, e)) &&
		 !(rc = tell(f, SR_VU_SET_VRING_ADDR, &addr, sizeof(addr), -1, e)) &&
		 !(rc = tell_fd(f, SR_VU_SET_VRING_CALL, queue, r->call, e)))
		rc = tell_fd(f, SR_VU_SET_VRING_KICK, queue, r->kick, e);
	if (rc)
		close_ring(r);
	return rc;
}

int sr_frontend_ring_enable(struct sr_frontend *f, unsigned queue, bool on, struct sr_error *e)
{
	/* Without the wire's feature bit 30 rings are always enabled. */
	if (!(f->features & SR_F_PROTOCOL_FEATURES))
		return on ? 0
			  : sr_error_set(e, -ENOTSUP, "%s: rings cannot be disabled", f->socket);
	return tell_state(f, SR_VU_SET_VRING_ENABLE, queue, on, e);
}

int sr_frontend_ring_stop(struct sr_frontend *f, unsigned queue, uint16_t *base, struct sr_error *e)
{
	struct sr_vu_state s = { queue, 0 };
	int rc = ask(f, SR_VU_GET_VRING_BASE, &s, sizeof(s), e);

	if (rc)
		return rc;
	s = f->channel.m.p.state;
	if (s.index != queue || s.num > UINT16_MAX) {
		f->failed = true;
		return sr_error_set(e, -EPROTO,
				    "%s: reply to GET_VRING_BASE: ring %" PRIu32 " base %" PRIu32
				    ", expected ring %u and at most 65535",
				    f->socket, s.index, s.num, queue);
	}
	*base = (uint16_t)s.num;
	close_ring(&f->rings[queue]);
	return 0;
}

int sr_frontend_kick_fd(const struct sr_frontend *f, unsigned queue)
{
	return f->rings[queue].kick;
}

int sr_frontend_call_fd(const struct sr_frontend *f, unsigned queue)
{
	return f->rings[queue].call;
}

int sr_frontend_get_config(struct sr_frontend *f, uint32_t offset, void *to, uint32_t len,
			   struct sr_error *e)
{
	struct sr_vu_config c = { .offset = offset, .size = len };
	const struct sr_vu_message *m = &f->channel.m;
	int rc;

	assert(len <= SR_VU_CONFIG_MAX);
	if (!(f->protocol & SR_BIT(SR_VU_P_CONFIG)))
		return sr_error_set(e, -ENOTSUP, "%s: no CONFIG protocol feature", f->socket);
	rc = ask(f, SR_VU_GET_CONFIG, &c, SR_VU_CONFIG_HEADER + len, e);
	if (rc)
		return rc;
	if (m->size == 0)
		return sr_error_set(e, -EINVAL, "%s: the back-end refused to read config %u+%u",
				    f->socket, offset, len);
	if (m->size != SR_VU_CONFIG_HEADER + len || m->p.config.size != len) {
		f->failed = true;
		return sr_error_set(e, -EPROTO,
				    "%s: reply to GET_CONFIG: %" PRIu32
				    " bytes of payload, expected %u",
				    f->socket, m->size, SR_VU_CONFIG_HEADER + len);
	}
	memcpy(to, m->p.config.bytes, len);
	return 0;
}

bool sr_frontend_is_closed(const struct sr_frontend *f)
{
	struct pollfd p = { f->fd, POLLRDHUP, 0 };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}
