/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's requests, in any framing and with any content, to a block device over a disk in
 * memory that finishes when the input says so: plain or zoned, of either block size, with any
 * features. The disk judges what it is asked: it is what disk.h promises, whatever the guest
 * says. Every chain that has a byte for it must come back with one status, once, and with nothing
 * written past its end, also when the queue is drained or abandoned in the middle.
 */
#include <slipring/blk.h>
#include <slipring/disk_engine.h>
#include <slipring/drvq.h>
#include <slipring/loop.h>
#include <slipring/virtio.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "iov.h"

#define MEM	 0x200000u
#define GPA	 0x40000000u
#define UVA	 0x7f0000000000ull
#define ENTRIES	 256u
#define BUFFERS	 0x20000u /* after the ring */
#define ROOM	 0x10000u /* of one request */
#define REQUESTS 16u
#define PIECES	 24u
#define DISK	 0x40000u
#define ZONE	 0x4000u
#define PENDING	 1024u
#define HEADER	 16u

/* ---- the disk ---- */

struct slow_channel {
	struct sr_disk_channel base;
	struct sr_disk_req *pending[PENDING];
	unsigned n;
};

struct slow_disk {
	struct sr_disk base;
	uint8_t bytes[DISK];
};

static struct slow_disk *disk;
static struct slow_channel *channel;

static struct sr_disk_channel *slow_channel_create(struct sr_disk *d, struct sr_loop *loop,
						   struct sr_error *e)
{
	(void)d;
	(void)loop;
	(void)e;
	channel = calloc(1, sizeof(*channel));
	MUST(channel);
	return &channel->base;
}

static void slow_channel_destroy(struct sr_disk_channel *c)
{
	MUST(c == &channel->base && channel->n == 0);
	free(channel);
	channel = NULL;
}

static void check_data(const struct sr_disk_req *r)
{
	MUST(r->len && r->niov && sr_iov_bytes(r->iov, r->niov) == r->len);
	for (unsigned i = 0; i < r->niov; i++)
		MUST(r->iov[i].iov_len);
}

/* What every submitter has judged before (disk.h). */
static void check(const struct sr_disk_req *r)
{
	const struct sr_disk_info *i = &disk->base.info;

	if (r->op == SR_DISK_FLUSH || r->op == SR_DISK_ZONE_RESET_ALL)
		return;
	MUST(r->offset < DISK && r->offset % 512 == 0);
	if (r->op >= SR_DISK_ZONE_REPORT)
		MUST(i->zone_size);
	if (r->op == SR_DISK_ZONE_REPORT) {
		MUST(r->zones && r->nzones);
		return;
	}
	if (r->op >= SR_DISK_ZONE_OPEN)
		MUST(r->offset % i->zone_size == 0);
	if (r->op >= SR_DISK_ZONE_OPEN && r->op <= SR_DISK_ZONE_RESET)
		return;
	MUST(r->len && r->len % i->block_size == 0 && r->offset % i->block_size == 0);
	MUST(sr_range_fits(r->offset, r->len, DISK));
	MUST(r->op == SR_DISK_READ || !i->read_only);
	if (r->op == SR_DISK_READ || r->op == SR_DISK_WRITE || r->op == SR_DISK_ZONE_APPEND)
		check_data(r);
}

static void slow_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	(void)c;
	for (unsigned i = 0; i < n; i++) {
		check(r[i]);
		MUST(channel->n < PENDING);
		channel->pending[channel->n++] = r[i];
	}
}

static struct sr_disk_req *take(unsigned i)
{
	struct sr_disk_req *r = channel->pending[i];

	channel->pending[i] = channel->pending[--channel->n];
	return r;
}

static void report(struct sr_disk_req *r)
{
	unsigned first = (unsigned)(r->offset / ZONE);

	r->nzones = (uint32_t)sr_min(r->nzones, DISK / ZONE - first);
	for (unsigned i = 0; i < r->nzones; i++)
		r->zones[i] = (struct sr_disk_zone){ (first + i) * (uint64_t)ZONE, ZONE, 0,
						     SR_DISK_ZONE_SEQ_WRITE_REQUIRED,
						     SR_DISK_ZONE_EMPTY };
}

static void finish(unsigned i, int result)
{
	struct sr_disk_req *r = take(i);

	if (result == 0 && r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, 0, disk->bytes + r->offset, r->len);
	else if (result == 0 && r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, 0, disk->bytes + r->offset, r->len);
	else if (result == 0 && r->op == SR_DISK_ZONE_REPORT)
		report(r);
	sr_disk_finish(&channel->base, r, result);
}

static bool slow_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	(void)c;
	for (unsigned i = 0; i < channel->n; i++) {
		if (channel->pending[i] != r)
			continue;
		finish(i, -ECANCELED);
		return true;
	}
	MUST(!"a request that the disk does not have");
	return false;
}

static const struct sr_disk_ops slow_ops = {
	.name = "slow",
	.channel_create = slow_channel_create,
	.channel_destroy = slow_channel_destroy,
	.submit = slow_submit,
	.cancel = slow_cancel,
};

static void disk_make(uint8_t how)
{
	struct sr_disk_info i = { .block_size = how & 1 ? 4096 : 512,
				  .physical_size = 4096,
				  .read_only = (how & 6) == 6,
				  .volatile_cache = how & 8,
				  .can_discard = how & 16,
				  .can_zero = how & 32,
				  .can_erase = how & 64,
				  .has_lifetime = how & 8 };

	if (how & 128) {
		i.zone_size = ZONE;
		i.append_max = 8192;
	}
	disk = calloc(1, sizeof(*disk));
	MUST(disk && !sr_disk_init(&disk->base, &slow_ops, "slow", &i, DISK, NULL));
	memset(disk->bytes, 0x5a, sizeof(disk->bytes));
}

/* ---- the guest ---- */

struct request {
	struct sr_sg sg[PIECES];
	unsigned nout, nin;
	uint32_t in_len;
	uint8_t *status; /* NULL: no room for it */
	bool added, back;
};

static uint8_t *guest;
static struct sr_mem *mem;
static struct sr_loop *loop;
static struct sr_blk *blk;
static struct sr_device *dev;
static struct sr_vq *vq;
static struct sr_drvq *drv;
static struct request requests[REQUESTS];
static unsigned added, back;
static bool broken, drained;

static void session_call(struct sr_session *s, unsigned queue)
{
	(void)s;
	(void)queue;
}

static void session_broken(struct sr_session *s, unsigned queue, const char *why)
{
	(void)s;
	(void)queue;
	MUST(why && *why && !broken);
	broken = true;
}

static void session_config(struct sr_session *s)
{
	(void)s;
}

static struct sr_loop *session_loop(struct sr_session *s, unsigned queue)
{
	(void)s;
	(void)queue;
	return loop;
}

static void session_drained(struct sr_session *s, unsigned queue)
{
	(void)s;
	(void)queue;
	MUST(!drained);
	drained = true;
}

static const struct sr_session_ops session_ops = { session_call, session_broken, session_config,
						   session_loop, session_drained };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sr_loop_config lc = { .name = "blk_fuzz", .cpu = -1 };
	int fd = memfd_create("blk_fuzz", MFD_CLOEXEC);
	struct sr_region r = { GPA, UVA, MEM, 0, fd };

	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	MUST(fd >= 0 && !ftruncate(fd, MEM));
	guest = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mem = sr_mem_create();
	loop = sr_loop_create(&lc, NULL);
	vq = sr_vq_create();
	MUST(guest != MAP_FAILED && mem && loop && vq && !sr_mem_set_regions(mem, &r, 1, NULL));
	return 0;
}

static void start(uint8_t how, uint64_t features)
{
	struct sr_drvq_layout l = sr_drvq_layout(ENTRIES);
	struct sr_drvq_config dc = { .size = ENTRIES, .ring = guest };
	struct sr_vq_config c = {
		.size = ENTRIES, .desc = UVA + l.desc, .avail = UVA + l.avail, .used = UVA + l.used
	};
	struct sr_blk_config bc = { .name = "fuzz", .disk = &disk->base, .read_only = how & 1 };

	blk = sr_blk_create(&bc, NULL);
	MUST(blk);
	dev = sr_blk_device(blk);
	dev->session_ops = &session_ops;
	dc.features = c.features = (features | SR_F_VERSION_1) & dev->ops->features(dev);
	c.chain_max = dev->ops->chain_max(dev, 0);
	memset(guest, 0, sr_drvq_bytes(ENTRIES));
	drv = sr_drvq_create(&dc, NULL);
	dev->ops->features_set(dev, dc.features);
	MUST(drv && !sr_vq_start(vq, &c, mem, NULL));
	dev->ops->queue_start(dev, 0, vq);
	dev->ops->queue_enable(dev, 0, true);
	memset(requests, 0, sizeof(requests));
	added = back = 0;
	broken = drained = false;
}

static void stop(void)
{
	dev->ops->queue_stop(dev, 0);
	sr_vq_stop(vq);
	sr_drvq_destroy(drv);
	sr_blk_destroy(blk);
	sr_disk_finish_base(&disk->base);
	free(disk);
}

/* Header and content, sound more often than chance would have it. */
static uint32_t make_out(struct input *in, uint8_t *at)
{
	static const uint8_t types[] = { 0, 1, 4, 8, 10, 11, 13, 14, 15, 16, 18, 20, 22, 24, 26 };
	uint8_t how = input_u8(in);
	uint32_t type = how & 0x80 ? input_u32(in) : types[how % sizeof(types)], len;
	uint64_t sector = how & 0x40 ? input_u64(in) : input_u16(in) % (DISK / 512 + 4) & ~7u;

	memcpy(at, &type, 4);
	memcpy(at + 8, &sector, 8);
	switch (input_u8(in) % 4) {
	case 0:
		len = 0;
		break;
	case 1:
		len = 512 * (input_u8(in) % 48);
		break;
	case 2:
		len = 16 * (input_u8(in) % 40);
		for (uint32_t i = 0; i < len && input_more(in); i += 16) {
			sector = input_u16(in) & ~7u;
			memset(at + HEADER + i, 0, 16);
			memcpy(at + HEADER + i, &sector, 8);
			at[HEADER + i + 8] = input_u8(in) & ~7u;
			at[HEADER + i + 12] = input_u8(in) & 3;
		}
		break;
	default:
		len = input_u16(in) % 4096;
		input_bytes(in, at + HEADER, sr_min(len, 64));
		break;
	}
	return input_u8(in) == 0xff ? input_u8(in) % HEADER : HEADER + len;
}

static uint32_t make_in_len(struct input *in)
{
	uint8_t how = input_u8(in);

	switch (how % 4) {
	case 0:
		return 1;
	case 1:
		return 1 + 512 * (uint32_t)input_u8(in) % 0x6000;
	case 2:
		return 1 + input_u16(in) % 0x4000;
	default:
		return how == 0xff ? 0 : 1 + (how >> 2);
	}
}

static unsigned cut(struct input *in, struct sr_sg *sg, uint64_t addr, uint32_t len)
{
	unsigned n = 0;

	while (len && n < PIECES / 2 - 1 && input_u8(in) & 1) {
		uint32_t now = input_u16(in) % (len + 1);

		sg[n++] = (struct sr_sg){ addr, now };
		addr += now;
		len -= now;
	}
	if (len)
		sg[n++] = (struct sr_sg){ addr, len };
	return n;
}

static void send(struct input *in)
{
	struct request *q = &requests[added];
	uint32_t at = BUFFERS + added * ROOM, out;

	if (added == REQUESTS)
		return;
	out = make_out(in, guest + at);
	q->in_len = make_in_len(in);
	q->nout = cut(in, q->sg, GPA + at, out);
	q->nin = cut(in, q->sg + q->nout, GPA + at + ROOM / 2, q->in_len);
	if (!q->nout && !q->nin)
		return;
	q->status = q->in_len ? guest + at + ROOM / 2 + q->in_len - 1 : NULL;
	if (q->status)
		*q->status = 0xee;
	/* What nobody may touch. */
	guest[at + ROOM / 2 + q->in_len] = 0xcc;
	MUST(!sr_drvq_add(drv, q->sg, q->nout, q->sg + q->nout, q->nin, q));
	sr_drvq_publish(drv);
	added++;
}

static void collect(void)
{
	struct sr_used u;
	int n;

	while ((n = sr_drvq_get(drv, &u, 1)) == 1) {
		struct request *q = u.token;

		MUST(!q->back && q->status && *q->status <= 6 && u.len == q->in_len);
		MUST(q->status[1] == 0xcc);
		q->back = true;
		back++;
	}
	MUST(n == 0);
}

static void poll_disk(void)
{
	while (sr_disk_poll(&channel->base))
		;
}

static void finish_some(struct input *in)
{
	static const int results[] = { 0, 0, 0, 0, -EIO, -EOPNOTSUPP, -EPROTO, -ENODEV };
	unsigned n = input_u8(in) % 8;

	for (; n && channel->n; n--)
		finish(input_u8(in) % channel->n, results[input_u8(in) % SR_ARRAY_LEN(results)]);
	poll_disk();
}

/* Nothing is left out: all that was taken comes back, and what is taken is all there is unless
 * the queue broke. */
static void come_to_an_end(uint8_t how)
{
	bool quiet;

	if (how & 1)
		dev->ops->process(dev, 0, 128);
	quiet = dev->ops->queue_drain(dev, 0);
	if (!quiet && how & 2) {
		MUST(dev->ops->queue_abandon(dev, 0));
		MUST(!drained);
	} else if (!quiet) {
		while (channel->n)
			finish(0, 0);
		poll_disk();
		MUST(drained);
	}
	collect();
	MUST(!sr_blk_in_flight(blk) && !channel->n);
	if (how & 1 && !broken)
		MUST(back == added);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	uint64_t lacks = input_u64(&in);
	uint8_t how;

	disk_make(input_u8(&in));
	start(input_u8(&in), ~lacks);
	how = input_u8(&in);
	while (input_more(&in)) {
		switch (input_u8(&in) % 4) {
		case 0:
			dev->ops->process(dev, 0, input_u8(&in));
			break;
		case 1:
			finish_some(&in);
			break;
		default:
			send(&in);
			break;
		}
		collect();
	}
	come_to_an_end(how);
	stop();
	return 0;
}
