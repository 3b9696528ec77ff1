/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base.h"
#include "iov.h"

static struct fake *fake_of(struct sr_disk *d)
{
	return SR_CONTAINER_OF(d, struct fake, disk);
}

static struct fake_channel *channel_of(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct fake_channel, base);
}

static void fake_destroy(struct sr_disk *d)
{
	struct fake *f = fake_of(d);

	sr_disk_finish_base(d);
	free(f->bytes);
	free(f);
}

static struct sr_disk_channel *fake_channel_create(struct sr_disk *d, struct sr_loop *loop,
						   struct sr_error *e)
{
	struct fake_channel *c;

	(void)loop;
	if (fake_of(d)->fail_channels) {
		sr_error_set(e, -ENOMEM, "disk %s: no channel today", d->name);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	assert(c);
	c->seed = 1;
	fake_of(d)->channel = c;
	return &c->base;
}

static void fake_channel_destroy(struct sr_disk_channel *c)
{
	struct fake *f = fake_of(c->disk);

	if (f->channel == channel_of(c))
		f->channel = NULL;
	free(channel_of(c));
}

/* What every submitter has judged before (disk.h). */
static void check(const struct fake *f, const struct sr_disk_req *r)
{
	if (r->op == SR_DISK_FLUSH || r->op >= SR_DISK_ZONE_REPORT)
		return;
	assert(r->len && sr_range_fits(r->offset, r->len, sr_disk_size(&f->disk)));
	assert(!((r->len | r->offset) % f->disk.info.block_size));
	if (r->op > SR_DISK_WRITE)
		return;
	assert(sr_iov_bytes(r->iov, r->niov) == r->len);
	for (unsigned i = 0; i < r->niov; i++)
		assert(r->iov[i].iov_len);
}

static void carry_out(struct fake_channel *c, struct sr_disk_req *r)
{
	struct fake *f = fake_of(c->base.disk);
	int result = f->hook ? f->hook(f, r) : 0;
	uint8_t *at = f->bytes + r->offset;

	if (result)
		;
	else if (r->op == SR_DISK_READ)
		sr_iov_write(r->iov, r->niov, 0, at, r->len);
	else if (r->op == SR_DISK_WRITE)
		sr_iov_read(r->iov, r->niov, 0, at, r->len);
	else if (r->op == SR_DISK_ZEROES)
		memset(at, 0, r->len);
	else if (r->op == SR_DISK_DISCARD || r->op == SR_DISK_ERASE)
		memset(at, 0xdd, r->len);
	sr_disk_finish(&c->base, r, result);
}

static void note(struct fake *f, const struct sr_disk_req *r)
{
	unsigned i = atomic_fetch_add(&f->logged, 1);

	if (i < FAKE_LOG)
		f->log[i] = (struct fake_entry){ r->op, r->flags, r->offset, r->len, r->niov };
}

static void fake_submit(struct sr_disk_channel *base, struct sr_disk_req *const *r, unsigned n)
{
	struct fake_channel *c = channel_of(base);
	struct fake *f = fake_of(base->disk);

	for (unsigned i = 0; i < n; i++) {
		check(f, r[i]);
		note(f, r[i]);
		if (f->hold || f->late) {
			assert(c->n < FAKE_PENDING);
			c->pending[c->n++] = r[i];
		} else {
			carry_out(c, r[i]);
		}
	}
}

static struct sr_disk_req *take(struct fake_channel *c, unsigned i)
{
	struct sr_disk_req *r = c->pending[i];

	assert(i < c->n);
	memmove(&c->pending[i], &c->pending[i + 1], (--c->n - i) * sizeof(r));
	return r;
}

static void fake_reap(struct sr_disk_channel *base)
{
	struct fake_channel *c = channel_of(base);

	if (!fake_of(base->disk)->late || !c->n)
		return;
	for (unsigned k = (unsigned)rand_r(&c->seed) % (c->n + 1); k; k--)
		carry_out(c, take(c, (unsigned)rand_r(&c->seed) % c->n));
}

static bool fake_arm(struct sr_disk_channel *base)
{
	return fake_of(base->disk)->late && channel_of(base)->n;
}

static bool fake_cancel(struct sr_disk_channel *base, struct sr_disk_req *r)
{
	struct fake_channel *c = channel_of(base);

	if (fake_of(base->disk)->stubborn)
		return false;
	for (unsigned i = 0; i < c->n; i++) {
		if (c->pending[i] != r)
			continue;
		sr_disk_finish(base, take(c, i), -ECANCELED);
		return true;
	}
	return false;
}

static const struct sr_disk_ops fake_ops = {
	.name = "fake",
	.destroy = fake_destroy,
	.channel_create = fake_channel_create,
	.channel_destroy = fake_channel_destroy,
	.submit = fake_submit,
	.reap = fake_reap,
	.arm = fake_arm,
	.cancel = fake_cancel,
};

struct sr_disk_info fake_info(void)
{
	return (struct sr_disk_info){ .block_size = 512,
				      .physical_size = 4096,
				      .io_min = 4096,
				      .io_opt = 65536,
				      .volatile_cache = true,
				      .can_discard = true,
				      .can_zero = true,
				      .can_erase = true };
}

struct fake *fake_create(const struct sr_disk_info *info, uint64_t size)
{
	struct sr_disk_info usual = fake_info();
	struct fake *f = calloc(1, sizeof(*f));
	int rc;

	assert(f);
	f->bytes = calloc(1, size);
	assert(f->bytes);
	rc = sr_disk_init(&f->disk, &fake_ops, "fake", info ? info : &usual, size, NULL);
	assert(rc == 0);
	(void)rc;
	return f;
}

void fake_finish(struct fake *f, unsigned i)
{
	carry_out(f->channel, take(f->channel, i));
}

void fake_finish_all_backwards(struct fake *f)
{
	while (f->channel->n)
		fake_finish(f, f->channel->n - 1);
	fake_poll(f);
}

void fake_poll(struct fake *f)
{
	while (sr_disk_poll(&f->channel->base))
		;
}

void fake_set_size(struct fake *f, uint64_t size)
{
	f->bytes = realloc(f->bytes, size);
	assert(f->bytes);
	sr_disk_set_size(&f->disk, size);
}
