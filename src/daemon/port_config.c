/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "config.h"

#include <slipring/net.h>

#include <stddef.h>

/* Queue pairs offered when nobody says. QEMU refuses a back-end with fewer than its own
 * `queues=`, so more is more comfortable; but a guest sets up every ring it is offered, and
 * User-mode Linux refuses a device with more than 64: 16 pairs and a control queue fit. */
#define QUEUES_DEFAULT 16u

enum {
	VU = 1u << SR_PORT_VHOST_USER,
	TAP = 1u << SR_PORT_TAP,
	ALL = VU | TAP
};

static const char *const types[] = { "vhost-user", "tap", NULL };

#define AT(field) .offset = offsetof(struct sr_port_config, field)

/* clang-format off */
static const struct sr_key keys[] = {
	{ "type", SR_KEY_WORD, AT(type), .words = types, .uses = ALL, .needs = ALL },
	{ "name", SR_KEY_NAME, AT(name), 1, SR_NAME_MAX, .uses = ALL, .needs = ALL },
	{ "socket", SR_KEY_TEXT, AT(socket), 1, SR_SOCKET_PATH_MAX, .uses = VU, .needs = VU },
	{ "mode", SR_KEY_WORD, AT(mode), .words = sr_modes, .uses = VU },
	{ "mac", SR_KEY_MAC, AT(mac), .uses = VU },
	{ "mtu", SR_KEY_U16, AT(mtu), 68, 65535, .uses = VU },
	{ "queues", SR_KEY_U16, AT(queues), 1, SR_NET_PAIRS_MAX, .uses = VU },
	{ "permissions", SR_KEY_OCTAL, AT(permissions), .uses = VU },
	{ "group", SR_KEY_TEXT, AT(group), 1, SR_GROUP_NAME_MAX, .uses = VU },
	{ "interface", SR_KEY_NAME, AT(interface), 1, 15, .uses = TAP },
};
/* clang-format on */

const char *sr_port_type_name(enum sr_port_type type)
{
	return types[type];
}

static void init(void *item)
{
	struct sr_port_config *p = item;

	p->queues = QUEUES_DEFAULT;
}

static int settle(void *item, const char *const *values, struct sr_fault *fault)
{
	struct sr_port_config *p = item;
	int interface = sr_kind_key(&sr_port_kind, "interface");

	if (p->type == SR_PORT_VHOST_USER)
		return sr_settle_mode(&sr_port_kind, p->mode, values, fault);
	if (!values[interface]) {
		if (strlen(p->name) >= sizeof(p->interface))
			return sr_fault_at(fault, interface,
					   "missing, and the port's name is too long for an "
					   "interface: expected 1 to 15 bytes");
		memcpy(p->interface, p->name, strlen(p->name) + 1);
	}
	return 0;
}

const struct sr_kind sr_port_kind = {
	.noun = "port",
	.list = "ports",
	.keys = keys,
	.n = SR_ARRAY_LEN(keys),
	.types = types,
	.size = sizeof(struct sr_port_config),
	.name_at = offsetof(struct sr_port_config, name),
	.max = SR_PORTS_MAX,
	.init = init,
	.settle = settle,
};
