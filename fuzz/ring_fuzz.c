/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a split ring over a memory image that is the input's: a ring, its
 * buffers and indirect tables lie anywhere in two regions with a hole between them. The rest of
 * the input is a list of steps: the device's calls, and the driver rewriting memory between them.
 *
 * Holds: pieces lie inside the regions and add up to the chain's lengths, which a second walk
 * of the descriptors finds too; no more chains are
 * held than there are entries; a broken ring stays broken and says why; what is pushed comes to
 * be seen, in order, in the used ring.
 */
#include "input.h"

#include "queue.h"

#include <errno.h>
#include <slipring/virtio.h>
#include <slipring/vq.h>
#include <sys/mman.h>
#include <unistd.h>

#define PART  0x8000u /* bytes of each region */
#define HOLE  0x1000u
#define GPA   0x10000ull
#define UVA   0x7f0000000000ull
#define STEPS 200u
#define HELD  64u

static int fd;
static uint8_t *guest; /* our view: both parts, no hole */
static struct sr_mem *mem;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sr_region r[2];

	(void)argc;
	(void)argv;
	fd = memfd_create("ring_fuzz", MFD_CLOEXEC);
	MUST(fd >= 0 && !ftruncate(fd, 2 * PART));
	guest = mmap(NULL, 2 * PART, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(guest != MAP_FAILED);
	r[0] = (struct sr_region){ GPA, UVA, PART, 0, fd };
	r[1] = (struct sr_region){ GPA + PART + HOLE, UVA + PART, PART, PART, fd };
	mem = sr_mem_create();
	MUST(mem && !sr_mem_set_regions(mem, r, 2, NULL));
	return 0;
}

struct device {
	struct sr_vq *q;
	struct sr_vq_config c;
	struct sr_iov_pool pool;
	struct sr_chain held[HELD];
	unsigned nheld;
	bool broken;
	uint16_t used_before, pushed; /* since start */
};

static void check_pieces(const struct iovec *v, unsigned n, uint64_t len)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		/* Touches each end: an address sanitizer does not know what is mapped. */
		volatile uint8_t *p = v[i].iov_base;

		MUST(v[i].iov_len > 0);
		(void)p[0];
		(void)p[v[i].iov_len - 1];
		sum += v[i].iov_len;
	}
	MUST(sum == len);
}

/* A second opinion on chains without indirect tables. Memory is as it was at the pop: nobody
 * else writes there. A look past the table would not be noticed by a sanitizer. */
static void walk_again(const struct device *d, const struct sr_chain *c)
{
	const struct split_desc *t = sr_mem_from_uva(mem, d->c.desc, 16ull * d->c.size);
	uint64_t sum = 0;
	unsigned i = c->id;

	for (unsigned steps = 1;; steps++) {
		MUST(i < d->c.size && steps <= d->c.size);
		if (t[i].flags & SPLIT_DESC_INDIRECT)
			return;
		sum += t[i].len;
		if (!(t[i].flags & SPLIT_DESC_NEXT))
			break;
		i = t[i].next;
	}
	MUST(sum == (uint64_t)c->out_len + c->in_len);
}

static void check_chain(const struct device *d, const struct sr_chain *c)
{
	MUST(c->id < d->c.size && c->written == 0);
	MUST(c->in == c->out + c->nout);
	walk_again(d, c);
	check_pieces(c->out, c->nout, c->out_len);
	check_pieces(c->in, c->nin, c->in_len);
}

/* The pool is given up, so what is held is returned unwritten afterwards. */
static void pop(struct device *d, unsigned n)
{
	int got;

	n = (unsigned)sr_min(n, HELD - d->nheld);
	sr_iov_pool_reset(&d->pool);
	got = sr_vq_pop(d->q, d->held + d->nheld, n, &d->pool);
	MUST(got <= (int)n);
	MUST(!d->broken || got == -EPROTO);
	if (got == -EPROTO) {
		d->broken = true;
		MUST(sr_vq_error(d->q) && *sr_vq_error(d->q));
	}
	MUST(got >= 0 || got == -EPROTO || got == -ENOMEM);
	for (int i = 0; i < got; i++)
		check_chain(d, &d->held[d->nheld + (unsigned)i]);
	d->nheld += got > 0 ? (unsigned)got : 0;
	MUST(d->nheld <= d->c.size);
}

static void push(struct device *d, unsigned n, bool write)
{
	n = (unsigned)sr_min(n, d->nheld);
	for (unsigned i = 0; i < n; i++)
		d->held[i].written = write ? d->held[i].in_len : 0;
	sr_vq_push(d->q, d->held, n);
	d->pushed = (uint16_t)(d->pushed + n);
	d->nheld -= n;
	memmove(d->held, d->held + n, d->nheld * sizeof(*d->held));
}

static void publish(struct device *d)
{
	const struct split_used *u = sr_mem_from_uva(mem, d->c.used, 4);

	if (sr_vq_publish(d->q))
		MUST(ring_load(&u->idx) == (uint16_t)(d->used_before + d->pushed));
}

static void rewrite(struct input *in)
{
	unsigned at = input_u16(in), len = input_u8(in) % 32;

	input_bytes(in, guest + sr_min(at, 2 * PART - len), len);
}

/* A descriptor near to sound: buffers and tables in mapped memory, one flag or none. */
static void describe(const struct device *d, struct input *in)
{
	struct split_desc *t = sr_mem_from_uva(mem, d->c.desc, 16ull * d->c.size);
	uint8_t i = input_u8(in), how = input_u8(in), next = input_u8(in);
	struct split_desc e = { .addr = GPA + input_u16(in),
				.len = (how & 8 ? 16u : 1u) * input_u8(in),
				.flags = how & 7,
				.next = how & 16 ? next * 257u : next % d->c.size };

	if (how & 32) /* into an indirect table */
		memcpy(guest + 0x4000 + i * sizeof(e), &e, sizeof(e));
	else
		memcpy(t + i % d->c.size, &e, sizeof(e));
	if (how & 64 && !(how & 32))
		t[i % d->c.size].addr = GPA + 0x4000;
}

static void offer(const struct device *d, struct input *in)
{
	struct split_avail *a = sr_mem_from_uva(mem, d->c.avail, 4 + 2ull * d->c.size);

	ring_store(&a->ring[a->idx % d->c.size], input_u8(in));
	ring_store(&a->idx, (uint16_t)(a->idx + 1));
}

static void step(struct device *d, struct input *in)
{
	uint8_t op = input_u8(in), arg = op >> 3;

	switch (op & 7) {
	case 0:
	case 1:
		pop(d, arg + 1);
		break;
	case 2:
		push(d, arg + 1, true);
		break;
	case 3:
		push(d, arg + 1, false);
		publish(d);
		break;
	case 4:
		arg = (uint8_t)sr_min(arg, d->nheld);
		sr_vq_unpop(d->q, arg);
		d->nheld -= arg;
		break;
	case 5:
		MUST(!sr_vq_rearm(d->q) || !d->broken);
		break;
	case 6:
		MUST(sr_vq_available(d->q) <= d->c.size);
		offer(d, in);
		break;
	default:
		if (arg & 3)
			describe(d, in);
		else
			rewrite(in);
	}
}

/* A ring of few entries at the start of the memory, unless the input says else. */
static bool start(struct device *d, struct input *in)
{
	uint8_t how = input_u8(in), features = input_u8(in);
	struct sr_error e = { 0 };
	const struct split_used *u;
	int r;

	d->c.size = 1u << (how & 7);
	d->c.base = input_u8(in);
	d->c.features = SR_F_VERSION_1 | (features & 1 ? SR_F_EVENT_IDX : 0) |
			(features & 2 ? SR_F_INDIRECT_DESC : 0);
	d->c.desc = UVA;
	d->c.avail = d->c.desc + 16ull * d->c.size;
	d->c.used = d->c.avail + 0x200;
	if (how & 0x80) {
		d->c.size = input_u16(in);
		d->c.desc = UVA + input_u16(in);
		d->c.avail = UVA + input_u16(in);
		d->c.used = UVA + input_u16(in);
	}
	input_bytes(in, guest, sr_min(input_u16(in), 2 * PART));
	r = sr_vq_start(d->q, &d->c, mem, &e);
	MUST(!r || (r == -EINVAL && e.text[0]));
	if (r)
		return false;
	u = sr_mem_from_uva(mem, d->c.used, 4);
	d->used_before = ring_load(&u->idx);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct device d = { .q = sr_vq_create() };

	memset(guest, 0, 2 * PART);
	MUST(d.q && !sr_iov_pool_init(&d.pool, 16));
	if (start(&d, &in)) {
		for (unsigned i = 0; i < STEPS && input_more(&in); i++)
			step(&d, &in);
		push(&d, d.nheld, false);
		sr_vq_publish(d.q);
		sr_vq_stop(d.q);
	}
	sr_iov_pool_finish(&d.pool);
	sr_vq_destroy(d.q);
	return 0;
}
