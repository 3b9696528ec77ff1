/* SPDX-License-Identifier: BSD-3-Clause */
/* What there is of RBD where librbd was not there at build time. */
#include <errno.h>
#include <slipring/disk.h>

struct sr_disk *sr_disk_rbd_create(const struct sr_disk_rbd_config *c, struct sr_error *e)
{
	sr_error_set(
		e, -EOPNOTSUPP,
		"disk %s: this slipring was built without librbd (librbd-dev when it is built)",
		c->name);
	return NULL;
}
