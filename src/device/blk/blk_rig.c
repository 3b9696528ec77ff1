/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_rig.h"

#include <slipring/loop.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE (64u << 20)
#define RAM_GPA	 0x100000u
#define RAM_UVA	 0x7f5500000000u /* differs from gpa and from our own mapping */
#define GUARD	 0xee

struct sr_session {
	struct rig *rig;
};

static void session_call(struct sr_session *s, unsigned queue)
{
	atomic_fetch_add(&s->rig->q[queue].calls, 1);
}

static void session_broken(struct sr_session *s, unsigned queue, const char *why)
{
	assert_string_equal(s->rig->q[queue].broken, ""); /* once */
	snprintf(s->rig->q[queue].broken, sizeof(s->rig->q[queue].broken), "%s", why);
}

static void session_config_changed(struct sr_session *s)
{
	s->rig->config_changes++;
}

static struct sr_loop *session_queue_loop(struct sr_session *s, unsigned queue)
{
	(void)queue;
	return s->rig->loop;
}

static void session_queue_drained(struct sr_session *s, unsigned queue)
{
	s->rig->q[queue].drained++;
}

static const struct sr_session_ops session_ops = {
	.call = session_call,
	.queue_broken = session_broken,
	.config_changed = session_config_changed,
	.queue_loop = session_queue_loop,
	.queue_drained = session_queue_drained,
};

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

struct rig *rig_create(struct sr_disk *disk, const struct sr_blk_config *c)
{
	struct sr_blk_config config = c ? *c : (struct sr_blk_config){ .name = "vda" };
	struct sr_loop_config lc = { .name = "rig", .cpu = -1 };
	struct rig *r = calloc(1, sizeof(*r));
	struct sr_session *s = calloc(1, sizeof(*s));
	struct sr_error e;

	assert_true(r && s);
	ram_map(r);
	r->loop = sr_loop_create(&lc, &e);
	assert_non_null(r->loop);
	r->disk = config.disk = disk;
	r->blk = sr_blk_create(&config, &e);
	assert_non_null(r->blk);
	r->dev = sr_blk_device(r->blk);
	s->rig = r;
	r->dev->session = s;
	r->dev->session_ops = &session_ops;
	r->dev->ops->features_set(r->dev, r->dev->ops->features(r->dev));
	return r;
}

struct rig *rig_usual(void)
{
	struct fake *f = fake_create(NULL, RIG_SIZE);
	struct rig *r = rig_create(&f->disk, NULL);

	r->fake = f;
	rig_start(r, 0, 128);
	return r;
}

void rig_destroy(struct rig *r)
{
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		if (r->q[i].vq)
			rig_stop(r, i);
		sr_vq_destroy(r->q[i].vq);
		sr_drvq_destroy(r->q[i].drv);
	}
	free(r->dev->session);
	sr_blk_destroy(r->blk);
	sr_disk_destroy(r->disk);
	sr_loop_destroy(r->loop);
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

static uint64_t room_aligned(struct rig *r, size_t len)
{
	r->used = (r->used + 4095) & ~(size_t)4095;
	return rig_room(r, len);
}

#define TABLE 1024u /* entries of an indirect table */

static void ring_make(struct rig *r, struct rig_queue *q, unsigned size)
{
	struct sr_drvq_config dc = { .size = size,
				     .features = sr_blk_info(r->blk).features,
				     .indirect_max = TABLE };
	struct sr_error e;

	q->size = size;
	q->ring = room_aligned(r, sr_drvq_bytes(size));
	dc.indirect_gpa = room_aligned(r, size * TABLE * 16);
	dc.ring = rig_at(r, q->ring);
	dc.indirect = rig_at(r, dc.indirect_gpa);
	q->drv = sr_drvq_create(&dc, &e);
	assert_non_null(q->drv);
	sr_drvq_rearm(q->drv);
}

void rig_start(struct rig *r, unsigned i, unsigned size)
{
	struct sr_drvq_layout l = sr_drvq_layout(size);
	struct rig_queue *q = &r->q[i];
	struct sr_vq_config c = { .size = size,
				  .features = sr_blk_info(r->blk).features,
				  .base = q->base,
				  .chain_max = r->dev->ops->chain_max(r->dev, i),
				  .inflight = q->record };
	uint64_t uva;
	struct sr_error e;

	if (!q->drv)
		ring_make(r, q, size);
	uva = q->ring - RAM_GPA + RAM_UVA;
	c.desc = uva + l.desc;
	c.avail = uva + l.avail;
	c.used = uva + l.used;
	q->vq = sr_vq_create();
	assert_non_null(q->vq);
	assert_int_equal(sr_vq_start(q->vq, &c, r->mem, &e), 0);
	q->broken[0] = 0;
	r->dev->ops->queue_start(r->dev, i, q->vq);
	r->dev->ops->queue_enable(r->dev, i, true);
}

void rig_stop(struct rig *r, unsigned i)
{
	struct rig_queue *q = &r->q[i];

	r->dev->ops->queue_stop(r->dev, i);
	q->base = sr_vq_stop(q->vq);
	sr_vq_destroy(q->vq);
	q->vq = NULL;
}

/* Each piece lies alone, with a byte behind it that nobody may touch. */
static unsigned pieces_make(struct rig *r, struct sr_sg *sg, const uint8_t *bytes, size_t len,
			    size_t first, size_t last)
{
	unsigned n = 0;

	for (size_t at = 0, now; at < len; at += now, n++) {
		now = r->cut ? r->cut(r, len - at) : at == 0 && first ? first : len - at - last;
		if (!now)
			now = len - at;
		assert_true(now <= len - at && n < RIG_PIECES);
		sg[n] = (struct sr_sg){ rig_room(r, now + 1), (uint32_t)now };
		if (bytes)
			memcpy(rig_at(r, sg[n].addr), bytes + at, now);
		else
			memset(rig_at(r, sg[n].addr), 0xff, now);
		rig_at(r, sg[n].addr)[now] = GUARD;
	}
	return n;
}

bool rig_add(struct rig *r, unsigned i, struct rig_req *q)
{
	size_t header = q->header ? q->header : 16, in = q->in_len + !q->no_status;
	uint8_t *bytes = calloc(1, 16 + q->out_len);

	assert_non_null(bytes);
	memcpy(bytes, &q->type, 4);
	memcpy(bytes + 8, &q->sector, 8);
	if (q->out_len)
		memcpy(bytes + header, q->out, q->out_len);
	q->nout = pieces_make(r, q->sg, bytes, header + q->out_len, header, 0);
	q->nin = pieces_make(r, q->sg + q->nout, NULL, in, q->in_len, q->in_len ? 1 : 0);
	free(bytes);
	q->done = false;
	q->status = 0xff;
	assert_int_equal(sr_drvq_add(r->q[i].drv, q->sg, q->nout, q->sg + q->nout, q->nin, q), 0);
	return sr_drvq_publish(r->q[i].drv);
}

int rig_process(struct rig *r, unsigned i)
{
	int n;

	do
		n = r->dev->ops->process(r->dev, i, 128);
	while (n > 0);
	return n;
}

static void req_done(struct rig *r, struct rig_req *q)
{
	struct sr_sg *last = &q->sg[q->nout + q->nin - 1];

	assert_false(q->done);
	q->done = true;
	q->status = rig_at(r, last->addr)[last->len - 1];
	for (unsigned i = 0; i < q->nout + q->nin; i++)
		assert_int_equal(rig_at(r, q->sg[i].addr)[q->sg[i].len], GUARD);
}

unsigned rig_collect(struct rig *r, unsigned i)
{
	struct sr_used u[64];
	unsigned total = 0;
	int n;

	while ((n = sr_drvq_get(r->q[i].drv, u, 64)) > 0) {
		for (int k = 0; k < n; k++) {
			struct rig_req *q = u[k].token;

			req_done(r, q);
			assert_int_equal(u[k].len, q->in_len + 1);
		}
		total += (unsigned)n;
	}
	assert_int_equal(n, 0);
	return total;
}

uint8_t rig_do(struct rig *r, struct rig_req *q)
{
	rig_add(r, 0, q);
	rig_process(r, 0);
	if (r->fake)
		fake_poll(r->fake);
	assert_int_equal(rig_collect(r, 0), 1);
	return q->status;
}

void rig_data(struct rig *r, const struct rig_req *q, void *to)
{
	uint8_t *at = to;
	size_t left = q->in_len;

	for (unsigned i = q->nout; left; i++) {
		size_t now = sr_min(left, q->sg[i].len);

		memcpy(at, rig_at(r, q->sg[i].addr), now);
		at += now;
		left -= now;
	}
}

uint8_t rig_read(struct rig *r, uint64_t sector, void *to, size_t len)
{
	struct rig_req q = { .type = BLK_T_IN, .sector = sector, .in_len = len };
	uint8_t status = rig_do(r, &q);

	rig_data(r, &q, to);
	return status;
}

uint8_t rig_write(struct rig *r, uint64_t sector, const void *from, size_t len)
{
	struct rig_req q = { .type = BLK_T_OUT, .sector = sector, .out = from, .out_len = len };

	return rig_do(r, &q);
}

uint8_t rig_command(struct rig *r, uint32_t type, uint64_t sector)
{
	struct rig_req q = { .type = type, .sector = sector };

	return rig_do(r, &q);
}

size_t rig_cut_same(struct rig *r, size_t left)
{
	return sr_min(r->piece, left);
}

size_t rig_cut_random(struct rig *r, size_t left)
{
	static const size_t upto[] = { 1, 3, 17, 600, 5000, 70000 };
	size_t most = upto[(unsigned)rand_r(&r->seed) % SR_ARRAY_LEN(upto)];

	return sr_min(left, 1 + (unsigned)rand_r(&r->seed) % most);
}

void rig_fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed * 31);
}
