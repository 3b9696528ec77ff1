/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight record: memory of ours that the front-end keeps over our death, one part for each
 * ring. Made here on request and forgotten at once; used only when the front-end gives it back,
 * and then it is as trustworthy as anything else that comes from there. What is in it the
 * ring room writes and judges.
 *
 * A reset of the device ends its use but leaves its contents alone: QEMU resets the status at
 * every stop of the guest and gives the same record back when it goes on, and asks for a
 * new one when the guest itself has reset the device.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <slipring/vq.h>
#include <sys/mman.h>
#include <unistd.h>

/* The largest that a front-end may have us map: 257 packed rings of 32768 take half of it. */
#define RECORD_MAX (UINT64_C(512) << 20)

static int check_rings(struct sr_session *s, const char *message, const struct sr_vu_inflight *f)
{
	if (f->queues == 0 || f->queues > s->nqueues)
		return sr_error_set(&s->error, -EPROTO, "%s: %u queues, expected 1 to %u", message,
				    f->queues, s->nqueues);
	if (!sr_vq_inflight_bytes(f->queue_size, s->features))
		return sr_error_set(&s->error, -EPROTO, "%s: queue size %u, expected 1 to %u",
				    message, f->queue_size, SR_VQ_SIZE_MAX);
	return 0;
}

/* Nobody can cut it short: who has the record can rely on it as we do. */
static int make_record(uint64_t size)
{
	int fd = memfd_create("slipring-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int sr_vu_get_inflight_fd(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_vu_inflight f = m->p.inflight;
	int r = check_rings(s, "GET_INFLIGHT_FD", &f), fd;

	(void)q;
	if (r)
		return r;
	f.offset = 0;
	f.size = f.queues * (uint64_t)sr_vq_inflight_bytes(f.queue_size, s->features);
	fd = make_record(f.size);
	if (fd < 0)
		return sr_error_set(&s->error, fd, "GET_INFLIGHT_FD: %" PRIu64 " bytes: %s", f.size,
				    strerror(-fd));
	/* In the size of the question: some pad it, and want the padding back. */
	memset(m->p.bytes, 0, m->size);
	m->p.inflight = f;
	r = sr_session_reply_fd(s, m, m->p.bytes, m->size, fd);
	close(fd);
	return r;
}

static int check_record(struct sr_session *s, const struct sr_vu_inflight *f, uint64_t stride)
{
	if (f->offset % 64)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_INFLIGHT_FD: offset 0x%" PRIx64
				    ", expected a multiple of 64",
				    f->offset);
	if (f->size < f->queues * stride || f->size > RECORD_MAX)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_INFLIGHT_FD: %" PRIu64 " bytes, expected %" PRIu64
				    " for %u queues of %u, and at most %" PRIu64,
				    f->size, f->queues * stride, f->queues, f->queue_size,
				    RECORD_MAX);
	if (sr_vu_queues_running(s))
		return sr_error_set(&s->error, -EPROTO,
				    "SET_INFLIGHT_FD: while %u rings run, expected all to be "
				    "stopped",
				    sr_vu_queues_running(s));
	return 0;
}

int sr_vu_set_inflight_fd(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	const struct sr_vu_inflight f = m->p.inflight;
	uint64_t stride = sr_vq_inflight_bytes(f.queue_size, s->features);
	struct sr_mapping map;
	struct sr_error why;
	int r = check_rings(s, "SET_INFLIGHT_FD", &f);

	(void)q;
	if (!r)
		r = check_record(s, &f, stride);
	if (r)
		return r;
	r = sr_mapping_open(&map, m->fds[0], f.offset, f.size, &s->torn_inflight,
			    "in-flight record", &why);
	if (r)
		return sr_error_set(&s->error, -EPROTO, "SET_INFLIGHT_FD: %s", why.text);
	sr_vu_inflight_drop(s);
	s->inflight = map;
	s->inflight_queues = f.queues;
	s->inflight_size = f.queue_size;
	s->inflight_stride = stride;
	return SR_VU_DONE;
}

/* Guests may use fewer entries than QEMU has made room for. */
int sr_vu_inflight_part(const struct sr_vu_queue *q, void **part, struct sr_error *e)
{
	const struct sr_session *s = q->s;

	*part = NULL;
	if (!s->inflight.data)
		return 0;
	if (q->index >= s->inflight_queues)
		return sr_error_set(e, -EPROTO,
				    "ring %u: has no part in the in-flight record, which is for "
				    "%u queues",
				    q->index, s->inflight_queues);
	if (sr_vq_inflight_bytes(q->size, s->features) > s->inflight_stride)
		return sr_error_set(e, -EPROTO,
				    "ring %u: %" PRIu32
				    " entries, expected at most the in-flight record's %u",
				    q->index, q->size, s->inflight_size);
	*part = s->inflight.data + q->index * s->inflight_stride;
	return 0;
}

void sr_vu_inflight_drop(struct sr_session *s)
{
	sr_mapping_close(&s->inflight);
	atomic_store(&s->torn_inflight, false);
}
