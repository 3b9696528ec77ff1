/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iov.h"

#define RAM_SIZE (64u << 20)
#define RAM_GPA	 0x100000u
#define RAM_UVA	 0x7f5500000000u /* differs from gpa and from our own mapping */

struct sr_session {
	struct rig *rig;
};

static void session_call(struct sr_session *s, unsigned queue)
{
	atomic_fetch_add(&s->rig->q[queue].calls, 1);
}

static void session_broken(struct sr_session *s, unsigned queue, const char *why)
{
	snprintf(s->rig->q[queue].broken, sizeof(s->rig->q[queue].broken), "%s", why);
}

static void session_config_changed(struct sr_session *s)
{
	s->rig->config_changes++;
}

static const struct sr_session_ops session_ops = {
	.call = session_call,
	.queue_broken = session_broken,
	.config_changed = session_config_changed,
};

static void sink_keep(struct rig *r, const struct sr_frame *f, unsigned lane)
{
	struct rig_frame *g = &r->got[r->ngot++];

	assert_true(r->ngot <= RIG_SINK);
	*g = (struct rig_frame){ malloc(f->len + 1u), f->len, lane, f->off };
	assert_int_equal(f->len, f->head_len + sr_iov_bytes(f->iov, f->niov));
	memcpy(g->bytes, f->head, f->head_len);
	sr_iov_read(f->iov, f->niov, 0, g->bytes + f->head_len, f->len - f->head_len);
}

static uint64_t sink_forward(void *sink, struct sr_port *from, struct sr_frame *f, unsigned n,
			     uint64_t which, unsigned lane)
{
	struct rig *r = sink;
	uint64_t again = 0;

	assert_ptr_equal(from, r->port);
	assert_true(n <= SR_FRAME_BATCH);
	for (unsigned i = 0; i < n; i++) {
		if (!(which >> i & 1))
			continue;
		r->offered++;
		if (r->refuse && r->refuse(r, &f[i]))
			again |= 1ULL << i;
		else
			sink_keep(r, &f[i], lane);
	}
	return again;
}

static const struct sr_sink_ops sink_ops = { .forward = sink_forward };

static void ram_map(struct rig *r)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);
	struct sr_region region = { RAM_GPA, RAM_UVA, RAM_SIZE, 0, fd };
	struct sr_error e;

	assert_true(fd >= 0 && !ftruncate(fd, RAM_SIZE));
	r->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(r->ram != MAP_FAILED);
	r->mem = sr_mem_create();
	assert_non_null(r->mem);
	assert_int_equal(sr_mem_set_regions(r->mem, &region, 1, &e), 0);
	close(fd);
}

struct rig *rig_create(const struct sr_net_config *c)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sr_session *s = calloc(1, sizeof(*s));
	struct sr_error e;

	assert_true(r && s);
	ram_map(r);
	r->net = sr_net_create(c, &e);
	assert_non_null(r->net);
	r->dev = sr_net_device(r->net);
	s->rig = r;
	r->dev->session = s;
	r->dev->session_ops = &session_ops;
	r->port = sr_net_port(r->net);
	r->port->sink_ops = &sink_ops;
	atomic_store(&r->port->sink, r);
	return r;
}

void rig_destroy(struct rig *r)
{
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		if (r->q[i].vq)
			rig_stop(r, i);
	for (unsigned i = 0; i < r->ngot; i++)
		free(r->got[i].bytes);
	free(r->dev->session);
	sr_net_destroy(r->net);
	sr_mem_destroy(r->mem);
	munmap(r->ram, RAM_SIZE);
	free(r);
}

uint64_t rig_room(struct rig *r, size_t len)
{
	uint64_t at = RAM_GPA + r->used;

	r->used += len;
	assert_true(r->used <= RAM_SIZE);
	return at;
}

uint8_t *rig_at(struct rig *r, uint64_t addr)
{
	return r->ram + (addr - RAM_GPA);
}

struct sr_sg rig_sg(struct rig *r, const void *bytes, size_t len)
{
	struct sr_sg s = { rig_room(r, len), (uint32_t)len };

	memcpy(rig_at(r, s.addr), bytes, len);
	return s;
}

static uint64_t room_aligned(struct rig *r, size_t len)
{
	r->used = (r->used + 4095) & ~(size_t)4095;
	return rig_room(r, len);
}

void rig_start(struct rig *r, unsigned i, unsigned size)
{
	struct sr_drvq_layout l = sr_drvq_layout(size);
	uint64_t ring = room_aligned(r, sr_drvq_bytes(size));
	uint64_t uva = ring - RAM_GPA + RAM_UVA, tables = room_aligned(r, size * 64 * 16);
	uint64_t features = sr_net_info(r->net).features;
	struct sr_drvq_config dc = { .size = size,
				     .features = features,
				     .ring = rig_at(r, ring),
				     .indirect = rig_at(r, tables),
				     .indirect_gpa = tables,
				     .indirect_max = 64 };
	struct sr_vq_config c = { .size = size,
				  .features = features,
				  .desc = uva + l.desc,
				  .avail = uva + l.avail,
				  .used = uva + l.used };
	struct sr_error e;

	r->q[i].drv = sr_drvq_create(&dc, &e);
	r->q[i].vq = sr_vq_create();
	assert_true(r->q[i].drv && r->q[i].vq);
	assert_int_equal(sr_vq_start(r->q[i].vq, &c, r->mem, &e), 0);
	r->q[i].broken[0] = 0;
	sr_drvq_rearm(r->q[i].drv);
	r->dev->ops->queue_start(r->dev, i, r->q[i].vq);
	r->dev->ops->queue_enable(r->dev, i, true);
}

void rig_stop(struct rig *r, unsigned i)
{
	r->dev->ops->queue_stop(r->dev, i);
	sr_vq_stop(r->q[i].vq);
	sr_vq_destroy(r->q[i].vq);
	sr_drvq_destroy(r->q[i].drv);
	r->q[i].vq = NULL;
	r->q[i].drv = NULL;
}

void rig_tx(struct rig *r, unsigned i, const void *hdr, size_t hdr_len, const void *data,
	    size_t len, size_t first, size_t piece)
{
	uint64_t at = rig_room(r, hdr_len + len);
	size_t left = hdr_len + len, now = first ? first : left;
	struct sr_sg sg[512];
	unsigned n = 0;

	memcpy(rig_at(r, at), hdr, hdr_len);
	memcpy(rig_at(r, at) + hdr_len, data, len);
	for (; left; left -= now, at += now, n++) {
		if (n)
			now = piece ? piece : left;
		now = sr_min(now, left);
		assert_true(n < SR_ARRAY_LEN(sg));
		sg[n] = (struct sr_sg){ at, (uint32_t)now };
	}
	assert_int_equal(sr_drvq_add(r->q[i].drv, sg, n, NULL, 0, r), 0);
	sr_drvq_publish(r->q[i].drv);
}

int rig_process(struct rig *r, unsigned i)
{
	int n;

	do
		n = r->dev->ops->process(r->dev, i, 256);
	while (n > 0);
	return n;
}

unsigned rig_used(struct rig *r, unsigned i, struct sr_used *u, unsigned n)
{
	int got = sr_drvq_get(r->q[i].drv, u, n);

	assert_true(got >= 0);
	return (unsigned)got;
}

void rig_rx_add(struct rig *r, unsigned i, struct rig_buffer *b, const uint32_t *lens, unsigned n)
{
	assert_true(n <= SR_ARRAY_LEN(b->sg));
	b->n = n;
	for (unsigned k = 0; k < n; k++) {
		b->sg[k] = (struct sr_sg){ rig_room(r, lens[k] + 1u), lens[k] };
		/* A write past a piece shows. */
		memset(rig_at(r, b->sg[k].addr), 0xee, lens[k] + 1u);
	}
	assert_int_equal(sr_drvq_add(r->q[i].drv, NULL, 0, b->sg, n, b), 0);
	sr_drvq_publish(r->q[i].drv);
}

void rig_rx_read(struct rig *r, const struct rig_buffer *b, void *to, size_t len)
{
	uint8_t *at = to;

	for (unsigned k = 0; k < b->n; k++) {
		size_t now = sr_min(len, b->sg[k].len);

		assert_int_equal(rig_at(r, b->sg[k].addr)[b->sg[k].len], 0xee);
		memcpy(at, rig_at(r, b->sg[k].addr), now);
		at += now;
		len -= now;
	}
	assert_int_equal(len, 0);
}

void rig_fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed * 31);
}

void rig_frame(struct sr_frame *f, uint8_t *bytes, uint32_t len, struct iovec *iov, unsigned cap,
	       size_t piece)
{
	uint32_t at;

	*f = (struct sr_frame){ .iov = iov, .len = len };
	f->head_len = (uint16_t)sr_min(len, SR_FRAME_HEAD);
	memcpy(f->head, bytes, f->head_len);
	for (at = f->head_len; at < len; at += (uint32_t)iov[f->niov++].iov_len) {
		assert_true(f->niov < cap);
		iov[f->niov].iov_base = bytes + at;
		iov[f->niov].iov_len = piece ? sr_min(piece, len - at) : len - at;
	}
}

unsigned rig_send(struct rig *r, struct sr_frame *f, unsigned n, unsigned lane)
{
	const struct sr_frame *p[256];

	assert_true(n <= SR_ARRAY_LEN(p));
	for (unsigned i = 0; i < n; i++)
		p[i] = &f[i];
	return sr_port_send(r->port, p, n, lane);
}
