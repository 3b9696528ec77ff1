/* SPDX-License-Identifier: BSD-3-Clause */
/* A medium that does nothing at once: what is left is the cost of everything else. */
#include "base.h"
#include "plain_channel.h"

#include <errno.h>
#include <slipring/disk_engine.h>
#include <stdlib.h>

static void null_destroy(struct sr_disk *d)
{
	sr_disk_finish_base(d);
	free(d);
}

static int null_resize(struct sr_disk *d, uint64_t size, struct sr_error *e)
{
	(void)e;
	if (size)
		sr_disk_set_size(d, size);
	return 0;
}

static void null_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sr_disk_finish(c, r[i], r[i]->op <= SR_DISK_ERASE ? 0 : -EOPNOTSUPP);
}

static const struct sr_disk_ops null_ops = {
	.name = "null",
	.destroy = null_destroy,
	.resize = null_resize,
	.channel_create = plain_channel_create,
	.channel_destroy = plain_channel_destroy,
	.submit = null_submit,
};

struct sr_disk *sr_disk_null_create(const struct sr_disk_null_config *c, struct sr_error *e)
{
	uint32_t block = c->block_size ? c->block_size : 512;
	struct sr_disk_info info = {
		.block_size = block,
		.physical_size = block,
		.can_discard = true,
		.can_zero = true,
		.can_erase = true,
	};
	struct sr_disk *d = calloc(1, sizeof(*d));

	if (!d) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
		return NULL;
	}
	if (sr_disk_init(d, &null_ops, c->name, &info, c->size, e)) {
		free(d);
		return NULL;
	}
	return d;
}
