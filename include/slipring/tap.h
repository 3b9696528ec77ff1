/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port on a tap interface of the host's own network stack, with checksum and
 * segmentation offloads in both directions where the kernel takes them.
 */
#ifndef SLIPRING_TAP_H
#define SLIPRING_TAP_H

#include <slipring/error.h>
#include <slipring/loop.h>
#include <slipring/port.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_tap;

struct sr_tap_config {
	const char *name;      /* of the port; copied */
	const char *interface; /* an existing tap's name or a new one's; "" = the kernel's choice */
	struct sr_loop *loop;  /* the worker loop that serves it */
};

/* Opens or makes the interface, does not set it up. -EPERM with advice in *e. */
struct sr_tap *sr_tap_create(const struct sr_tap_config *c, struct sr_error *e);
/* The port must be detached. NULL is allowed. From the control loop. */
void sr_tap_destroy(struct sr_tap *t);

struct sr_port *sr_tap_port(struct sr_tap *t);
const char *sr_tap_interface(const struct sr_tap *t);

#ifdef __cplusplus
}
#endif
#endif
