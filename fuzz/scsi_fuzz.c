/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands with any CDB and any data, from two initiators on two lanes, to a unit over a disk
 * that finishes when the input says so, with an error when it says so; aborted, reset and resized
 * in between. The disk judges what it is asked: it is what disk.h promises. Every command is
 * completed once, with an outcome that can be, and nothing is written past its buffers.
 */
#include "input.h"
#include "iov.h"
#include "scsi_command.h"

#include <errno.h>
#include <slipring/disk_engine.h>
#include <slipring/loop.h>

#define DISK	 0x80000u
#define COMMANDS 24u
#define LANES	 2u
#define NEXUSES	 2u
#define ROOM	 0x4000u

/* ---- the disk ---- */

struct slow_channel {
	struct sr_disk_channel base;
	struct sr_disk_req *first, **last;
};

static uint8_t bytes[DISK];
static int disk_error;
static unsigned disk_budget; /* requests that may finish */

static void slow_destroy(struct sr_disk *d)
{
	sr_disk_finish_base(d);
	free(d);
}

static int slow_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	(void)e;
	sr_disk_set_size(d, size);
	return 0;
}

static struct sr_disk_channel *slow_channel_create(struct sr_disk *d, struct sr_loop *loop,
						   struct sr_error *e)
{
	struct slow_channel *c = calloc(1, sizeof(*c));

	(void)d;
	(void)loop;
	(void)e;
	MUST(c);
	c->last = &c->first;
	return &c->base;
}

static void slow_channel_destroy(struct sr_disk_channel *c)
{
	MUST(!((struct slow_channel *)c)->first);
	free(c);
}

/* The size may have shrunk since the command was judged: the engine's own look at the range. */
static void check(const struct sr_disk *d, const struct sr_disk_req *r)
{
	uint32_t block = d->info.block_size;
	bool has_data = r->op == SR_DISK_READ || r->op == SR_DISK_WRITE;

	MUST(r->op <= SR_DISK_ZEROES);
	MUST(r->op == SR_DISK_FLUSH || r->len);
	MUST(r->offset % block == 0 && r->len % block == 0);
	MUST(sr_range_fits(r->offset, r->len, DISK));
	MUST(!has_data || sr_iov_bytes(r->iov, r->niov) == r->len);
	MUST(r->op != SR_DISK_DISCARD || d->info.can_discard);
	MUST(r->op != SR_DISK_ZEROES || (d->info.can_zero && r->len <= d->info.zero_max));
}

static void slow_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct slow_channel *c = (struct slow_channel *)base;

	for (unsigned i = 0; i < n; i++) {
		check(base->disk, r[i]);
		r[i]->next = NULL;
		*c->last = r[i];
		c->last = &r[i]->next;
	}
}

static void perform(struct sr_disk_req *r)
{
	if (r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, 0, bytes + r->offset, r->len);
	else if (r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, 0, bytes + r->offset, r->len);
	else if (r->op == SR_DISK_ZEROES)
		memset(bytes + r->offset, 0, r->len);
}

static void slow_reap(struct sr_disk_channel *base)
{
	struct slow_channel *c = (struct slow_channel *)base;
	struct sr_disk_req *r;

	while ((r = c->first) && disk_budget) {
		disk_budget--;
		c->first = r->next;
		if (!c->first)
			c->last = &c->first;
		perform(r);
		sr_disk_finish(base, r, disk_error);
	}
}

static bool slow_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct slow_channel *c = (struct slow_channel *)base;
	struct sr_disk_req **at = &c->first;

	while (*at && *at != r)
		at = &(*at)->next;
	if (!*at || r->op == SR_DISK_WRITE)
		return false;
	*at = r->next;
	if (!*at)
		c->last = at;
	sr_disk_finish(base, r, -ECANCELED);
	return true;
}

static const struct sr_disk_ops slow_ops = {
	.name = "slow",
	.destroy = slow_destroy,
	.resize = slow_resize,
	.channel_create = slow_channel_create,
	.channel_destroy = slow_channel_destroy,
	.submit = slow_submit,
	.reap = slow_reap,
	.cancel = slow_cancel,
};

static struct sr_disk *disk_create(uint8_t how)
{
	struct sr_disk *d = calloc(1, sizeof(*d));
	uint32_t block = how & 1 ? 4096 : 512;
	struct sr_disk_info info = { .block_size = block,
				     .physical_size = 4096,
				     .volatile_cache = how & 2,
				     .can_discard = how & 4,
				     .can_zero = how & 8,
				     .zero_max = 0x8000,
				     .read_only = (how & 0x70) == 0x70 };

	MUST(d && !sr_disk_init(d, &slow_ops, "slow", &info, DISK, NULL));
	return d;
}

/* ---- the guest ---- */

struct command {
	struct sr_scsi_cmd c;
	struct iovec out[2], in[2], pi;
	uint8_t *out_data, *in_data, *pi_data;
	struct sr_scsi_lane *lane;
	bool under_way;
};

static struct command commands[COMMANDS];
static struct sr_loop *loop;
static struct sr_disk *disk;
static struct sr_scsi_unit *unit;
static struct sr_scsi_nexus *nexus[NEXUSES];
static struct sr_scsi_lane *lanes[LANES];

static void complete(void *ctx, struct sr_scsi_cmd *const *c, unsigned n)
{
	(void)ctx;
	for (unsigned i = 0; i < n; i++) {
		struct command *k = (struct command *)c[i];

		MUST(k->under_way);
		k->under_way = false;
		MUST(c[i]->sense_len <= SR_SCSI_SENSE_MAX);
		MUST((c[i]->status == SR_SCSI_CHECK_CONDITION) == (c[i]->sense_len > 0));
		MUST(c[i]->transferred <= c[i]->in_len + c[i]->out_len);
		MUST(c[i]->residual == c[i]->in_len + c[i]->out_len - c[i]->transferred);
		free(k->out_data);
		free(k->in_data);
		free(k->pi_data);
	}
}

/* In two pieces, so that no end of a piece is where one expects it. */
static uint32_t pieces(struct iovec *iov, uint8_t *data, uint32_t len, uint8_t cut)
{
	uint32_t first = (uint32_t)sr_min(cut, len);

	iov[0] = (struct iovec){ data, first };
	iov[1] = (struct iovec){ data + first, len - first };
	return 2;
}

static void fill_command(struct command *k, struct input *in)
{
	uint16_t out = input_u16(in) % ROOM, room = input_u16(in) % ROOM;
	uint8_t cut = input_u8(in), n = input_u8(in) % 33;

	k->out_data = calloc(1, out + 1u);
	k->in_data = calloc(1, room + 1u);
	k->pi_data = calloc(1, 64);
	MUST(k->out_data && k->in_data && k->pi_data);
	k->c = (struct sr_scsi_cmd){ .nexus = nexus[cut % NEXUSES],
				     .out_len = out,
				     .in_len = room };
	input_bytes(in, k->c.cdb, n);
	k->c.cdb_len = n;
	input_bytes(in, k->out_data, sr_min(out, 64));
	k->c.out = k->out;
	k->c.in = k->in;
	k->c.nout = pieces(k->out, k->out_data, out, cut);
	k->c.nin = pieces(k->in, k->in_data, room, cut);
	k->pi = (struct iovec){ k->pi_data, 64 };
	k->c.pi_out = k->c.pi_in = &k->pi;
	k->c.npi_out = k->c.npi_in = 1;
	k->c.pi_out_len = k->c.pi_in_len = 64;
}

static void submit(struct input *in)
{
	struct command *k = &commands[input_u8(in) % COMMANDS];
	struct sr_scsi_cmd *c = &k->c;

	if (k->under_way)
		return;
	k->lane = lanes[input_u8(in) % LANES];
	fill_command(k, in);
	k->under_way = true;
	sr_scsi_submit(k->lane, &c, 1);
	MUST(k->under_way);
}

static void abort_one(struct input *in)
{
	struct command *k = &commands[input_u8(in) % COMMANDS];

	if (k->under_way)
		sr_scsi_abort(k->lane, &k->c);
}

static void attach_again(unsigned which)
{
	sr_scsi_unit_detach(unit, nexus[which]);
	MUST(!sr_scsi_unit_attach(unit, nexus[which], NULL));
}

static void step(struct input *in)
{
	uint8_t what = input_u8(in);

	switch (what % 16) {
	case 0:
		disk_error = what & 0x80 ? -EIO : what & 0x40 ? -EOPNOTSUPP : 0;
		break;
	case 1:
		sr_scsi_unit_reset(unit);
		break;
	case 2:
		attach_again(what >> 4 & 1);
		break;
	case 3:
		sr_disk_resize(disk, what & 0x80 ? DISK / 2 : DISK, NULL);
		break;
	case 4:
		abort_one(in);
		break;
	case 5:
		sr_scsi_unit_attention(unit, NULL, input_u16(in) | 1);
		break;
	case 6:
	case 7:
	case 8:
		disk_budget = what >> 4;
		sr_scsi_poll(lanes[what & 1]);
		break;
	default:
		submit(in);
	}
}

static void finish_all(void)
{
	unsigned idle = 0;

	disk_error = 0;
	while (idle < 4) {
		unsigned n = 0;

		disk_budget = UINT32_MAX;
		for (unsigned i = 0; i < LANES; i++)
			n += sr_scsi_poll(lanes[i]);
		idle = n ? 0 : idle + 1;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct sr_loop_config lc = { .name = "fuzz", .cpu = -1 };

	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	loop = sr_loop_create(&lc, NULL);
	MUST(loop);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[NEXUSES] = { "a", "b" };
	struct input in = { data, data + size };
	uint8_t how = input_u8(&in);
	struct sr_scsi_unit_config c = { .protection = how & 0x80 };

	disk_error = 0;
	disk = c.disk = disk_create(how);
	unit = sr_scsi_unit_create(&c, NULL);
	for (unsigned i = 0; i < LANES; i++)
		lanes[i] = sr_scsi_lane_create(unit, loop, complete, NULL, NULL);
	for (unsigned i = 0; i < NEXUSES; i++) {
		nexus[i] = sr_scsi_nexus_create(names[i], (uint16_t)i, NULL);
		MUST(!sr_scsi_unit_attach(unit, nexus[i], NULL));
	}
	while (input_more(&in))
		step(&in);
	finish_all();
	for (unsigned i = 0; i < COMMANDS; i++)
		MUST(!commands[i].under_way);
	for (unsigned i = 0; i < NEXUSES; i++) {
		sr_scsi_unit_detach(unit, nexus[i]);
		sr_scsi_nexus_destroy(nexus[i]);
	}
	for (unsigned i = 0; i < LANES; i++)
		sr_scsi_lane_destroy(lanes[i]);
	sr_scsi_unit_destroy(unit);
	sr_disk_destroy(disk);
	return 0;
}
