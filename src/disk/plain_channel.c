/* SPDX-License-Identifier: BSD-3-Clause */
#include "plain_channel.h"
#include "base.h"

#include <errno.h>
#include <stdlib.h>

struct sr_disk_channel *plain_channel_create(struct sr_disk *d, struct sr_loop *loop,
					     struct sr_error *e)
{
	struct sr_disk_channel *c = calloc(1, sizeof(*c));

	(void)loop;
	if (!c)
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", d->name);
	return c;
}

void plain_channel_destroy(struct sr_disk_channel *c)
{
	free(c);
}
