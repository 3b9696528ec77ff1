/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest of the rig: requests as a driver makes them. */
#include "vscsi_rig.h"

#include <stdlib.h>
#include <sys/eventfd.h>

static uint32_t piece_of(struct rig *r, uint32_t left)
{
	uint32_t n;

	if (!r->seed)
		return left;
	n = (uint32_t)rand_r(&r->seed) % (rand_r(&r->seed) % 4 ? 64 : 2048) + 1;
	return (uint32_t)sr_min(n, left);
}

/* Cuts [at, at + len) into pieces behind `n` of them; parts of a request share pieces only
 * where the framing is random. */
static unsigned cut(struct rig *r, struct sr_sg *sg, unsigned n, uint64_t at, uint32_t len)
{
	while (len) {
		uint32_t now = n > RIG_PIECES / 2 - 4 ? len : piece_of(r, len);

		sg[n++] = (struct sr_sg){ at, now };
		at += now;
		len -= now;
	}
	return n;
}

static unsigned cut_parts(struct rig *r, struct sr_sg *sg, uint64_t at, const uint32_t *parts,
			  unsigned count)
{
	unsigned n = 0;
	uint32_t whole = 0;

	for (unsigned i = 0; i < count; i++)
		whole += parts[i];
	if (r->seed)
		return cut(r, sg, 0, at, whole);
	for (unsigned i = 0; i < count; at += parts[i++])
		n = cut(r, sg, n, at, parts[i]);
	return n;
}

static uint32_t config_u32(struct rig *r, uint32_t offset)
{
	uint32_t v;

	r->dev->ops->config_read(r->dev, offset, &v, sizeof(v));
	return v;
}
static uint32_t sense_size(struct rig *r)
{
	return config_u32(r, 20);
}
static uint32_t cdb_size(struct rig *r)
{
	return config_u32(r, 24);
}

struct rig_cmd rig_cmd(unsigned target, unsigned lun, const void *cdb, size_t cdb_len)
{
	static uint64_t tag;
	struct rig_cmd c = { .tag = ++tag };

	vscsi_address_make(c.lun, target, lun);
	memcpy(c.cdb, cdb, cdb_len);
	return c;
}

struct rig_cmd rig_read(unsigned target, unsigned lun, uint32_t block, uint16_t blocks)
{
	uint8_t cdb[10] = { 0x28 };
	struct rig_cmd c;

	sr_put_be32(cdb + 2, block);
	sr_put_be16(cdb + 7, blocks);
	c = rig_cmd(target, lun, cdb, sizeof(cdb));
	c.in_len = blocks * 512u;
	return c;
}

struct rig_cmd rig_write(unsigned target, unsigned lun, uint32_t block, const void *data,
			 uint16_t blocks)
{
	struct rig_cmd c = rig_read(target, lun, block, blocks);

	c.cdb[0] = 0x2a;
	c.out = data;
	c.out_len = c.in_len;
	c.in_len = 0;
	return c;
}

static void add(struct rig *r, unsigned queue, struct rig_cmd *c)
{
	c->done = false;
	c->response = 0xff;
	assert_true(c->nout + c->nin <= RIG_PIECES);
	assert_int_equal(sr_drvq_add(r->q[queue].drv, c->sg, c->nout, c->sg + c->nout, c->nin, c),
			 0);
}

void rig_send_raw(struct rig *r, unsigned queue, struct rig_cmd *c, const void *out, uint32_t len,
		  uint32_t in_len)
{
	uint64_t at = rig_room(r, len);

	memcpy(rig_at(r, at), out, len);
	c->nout = cut(r, c->sg, 0, at, len);
	c->in_at = rig_room(r, in_len + 1u);
	memset(rig_at(r, c->in_at), 0xee, in_len + 1u);
	c->nin = cut(r, c->sg + c->nout, 0, c->in_at, in_len);
	add(r, queue, c);
}

/* Laid out by hand and not with the device's own structures. */
static uint32_t head_put(struct rig *r, const struct rig_cmd *c, uint8_t *to)
{
	bool pi = r->features & SR_SCSI_F_T10_PI;
	uint32_t cdb = cdb_size(r), at = 19;

	memcpy(to, c->lun, 8);
	memcpy(to + 8, &c->tag, 8);
	to[16] = c->attr;
	to[17] = to[18] = 0;
	if (pi) {
		memcpy(to + 19, &c->pi_out_len, 4);
		memcpy(to + 23, &c->pi_in_len, 4);
		at += 8;
	}
	memset(to + at, 0, cdb);
	memcpy(to + at, c->cdb, sr_min(cdb, sizeof(c->cdb)));
	return at + cdb;
}

void rig_send(struct rig *r, unsigned queue, struct rig_cmd *c)
{
	uint8_t head[27 + VSCSI_CDB_MAX];
	uint32_t out[3] = { head_put(r, c, head), c->pi_out_len, c->out_len };
	uint32_t in[3] = { 12 + sense_size(r), c->pi_in_len, c->in_len };
	uint64_t at = rig_room(r, out[0] + out[1] + out[2]);

	memcpy(rig_at(r, at), head, out[0]);
	if (c->pi_out_len)
		memcpy(rig_at(r, at + out[0]), c->pi_out, out[1]);
	if (c->out_len)
		memcpy(rig_at(r, at + out[0] + out[1]), c->out, out[2]);
	c->nout = cut_parts(r, c->sg, at, out, 3);
	/* A write past the end shows. */
	c->in_at = rig_room(r, in[0] + in[1] + in[2] + 1u);
	memset(rig_at(r, c->in_at), 0xee, in[0] + in[1] + in[2] + 1u);
	c->nin = cut_parts(r, c->sg + c->nout, c->in_at, in, 3);
	add(r, queue, c);
}

void rig_kick(struct rig *r, unsigned queue)
{
	if (sr_drvq_publish(r->q[queue].drv))
		eventfd_write(r->q[queue].kick, 1);
}

/* What a command's answer says; those of the other queues are read by who sent them. */
static void take(struct rig *r, struct rig_cmd *c, uint32_t used)
{
	uint32_t room = 0;
	uint8_t *at = rig_at(r, c->in_at);

	for (unsigned i = 0; i < c->nin; i++)
		room += c->sg[c->nout + i].len;
	assert_int_equal(at[room], 0xee);
	c->done = true;
	c->used = used;
	if (room < 12)
		return;
	memcpy(&c->sense_len, at, 4);
	memcpy(&c->residual, at + 4, 4);
	c->status = at[10];
	c->response = at[11];
	memcpy(c->sense, at + 12, sr_min(sr_min(room - 12, sense_size(r)), sizeof(c->sense)));
}

unsigned rig_collect(struct rig *r, unsigned queue)
{
	struct sr_used u[64];
	int n = sr_drvq_get(r->q[queue].drv, u, 64);

	if (n < 0)
		fail_msg("%s", sr_drvq_error(r->q[queue].drv));
	for (int i = 0; i < n; i++)
		take(r, u[i].token, u[i].len);
	return (unsigned)n;
}

struct want {
	struct rig *r;
	unsigned queue;
	struct rig_cmd *c;
};

static bool is_done(void *ctx)
{
	struct want *w = ctx;

	rig_collect(w->r, w->queue);
	return w->c->done;
}

void rig_until_done(struct rig *r, unsigned queue, struct rig_cmd *c)
{
	struct want w = { r, queue, c };

	rig_until(r, is_done, &w);
}

uint8_t rig_do(struct rig *r, unsigned queue, struct rig_cmd *c)
{
	rig_send(r, queue, c);
	rig_kick(r, queue);
	rig_until_done(r, queue, c);
	return c->response;
}

void rig_data(struct rig *r, const struct rig_cmd *c, void *to, uint32_t len)
{
	memcpy(to, rig_at(r, c->in_at + 12 + sense_size(r) + c->pi_in_len), len);
}

struct tmf_bytes {
	uint32_t type, subtype;
	uint8_t lun[8];
	uint64_t id;
} __attribute__((packed));

void rig_tmf(struct rig *r, struct rig_cmd *c, uint32_t subtype, unsigned target, unsigned lun,
	     uint64_t tag)
{
	struct tmf_bytes b = { 0, subtype, { 0 }, tag };

	memset(c, 0, sizeof(*c));
	vscsi_address_make(b.lun, target, lun);
	rig_send_raw(r, VSCSI_CTRL, c, &b, sizeof(b), 1);
	rig_kick(r, VSCSI_CTRL);
}

uint8_t rig_tmf_do(struct rig *r, uint32_t subtype, unsigned target, unsigned lun, uint64_t tag)
{
	struct rig_cmd c;

	rig_tmf(r, &c, subtype, target, lun, tag);
	rig_until_done(r, VSCSI_CTRL, &c);
	return *rig_at(r, c.in_at);
}

void rig_event_buffer(struct rig *r, struct rig_cmd *c, uint32_t len)
{
	memset(c, 0, sizeof(*c));
	rig_send_raw(r, VSCSI_EVENT, c, "", 0, len);
	rig_kick(r, VSCSI_EVENT);
}

struct rig_event rig_event(struct rig *r, const struct rig_cmd *c)
{
	struct rig_event e;

	assert_int_equal(c->used, sizeof(e));
	memcpy(&e, rig_at(r, c->in_at), sizeof(e));
	return e;
}

void rig_clear_attention(struct rig *r, unsigned queue, unsigned target, unsigned lun)
{
	struct rig_cmd c = rig_cmd(target, lun, (uint8_t[6]){ 0 }, 6);

	rig_do(r, queue, &c);
}
