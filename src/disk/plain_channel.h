/* SPDX-License-Identifier: BSD-3-Clause */
/* The channels of a medium that has nothing to keep for them: it finishes all at once. */
#ifndef SR_PLAIN_CHANNEL_H
#define SR_PLAIN_CHANNEL_H

#include <slipring/disk_engine.h>

struct sr_disk_channel *plain_channel_create(struct sr_disk *d, struct sr_loop *loop,
					     struct sr_error *e);
void plain_channel_destroy(struct sr_disk_channel *c);

#endif
