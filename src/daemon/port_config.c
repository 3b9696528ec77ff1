/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "config.h"

#include <slipring/net.h>

#include <errno.h>
#include <stdio.h>

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
static const char *const modes[] = { "server", "client", NULL };

#define AT(field) .offset = offsetof(struct sr_port_config, field)

/* clang-format off */
const struct sr_key sr_port_keys[SR_PORT_KEYS] = {
	{ "type", SR_KEY_WORD, AT(type), .words = types, .uses = ALL, .needs = ALL },
	{ "name", SR_KEY_NAME, AT(name), 1, SR_PORT_NAME_MAX, .uses = ALL, .needs = ALL },
	{ "socket", SR_KEY_TEXT, AT(socket), 1, SR_SOCKET_PATH_MAX, .uses = VU, .needs = VU },
	{ "mode", SR_KEY_WORD, AT(mode), .words = modes, .uses = VU },
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

void sr_port_keys_list(const char *type, char *to, size_t size)
{
	unsigned of = ALL;

	for (unsigned t = 0; type && types[t]; t++)
		if (!strcmp(type, types[t]))
			of = 1u << t;
	to[0] = '\0';
	for (unsigned i = 0; i < SR_PORT_KEYS; i++) {
		size_t used = strlen(to);

		if (sr_port_keys[i].uses & of)
			snprintf(to + used, size - used, "%s%s", used ? ", " : "",
				 sr_port_keys[i].name);
	}
}

static int fault_at(struct sr_fault *fault, int key, const char *text)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "%s", text);
	return -EINVAL;
}

/* Key `i` is there and must not be, or the reverse. */
static int check_presence(const struct sr_port_config *p, const char *const values[], unsigned i,
			  struct sr_fault *fault)
{
	const struct sr_key *k = &sr_port_keys[i];
	const char *type = types[p->type];
	char text[SR_FAULT_TEXT], list[256];

	if (!values[i] && (k->needs & 1u << p->type)) {
		snprintf(text, sizeof(text), "missing, a %s port needs it", type);
		return fault_at(fault, (int)i, text);
	}
	if (values[i] && !(k->uses & 1u << p->type)) {
		sr_port_keys_list(type, list, sizeof(list));
		snprintf(text, sizeof(text), "not for a %s port, expected one of %s", type, list);
		return fault_at(fault, (int)i, text);
	}
	return 0;
}

static int fill_in(struct sr_port_config *p, const char *const values[], struct sr_fault *fault)
{
	int interface = sr_key_find(sr_port_keys, SR_PORT_KEYS, "interface");

	if (p->type == SR_PORT_VHOST_USER) {
		if (p->mode == SR_VHOST_USER_CLIENT && (p->permissions || p->group[0]))
			return fault_at(fault,
					sr_key_find(sr_port_keys, SR_PORT_KEYS,
						    p->permissions ? "permissions" : "group"),
					"a client makes no socket, expected with mode server only");
		return 0;
	}
	if (!values[interface]) {
		if (strlen(p->name) >= sizeof(p->interface))
			return fault_at(fault, interface,
					"missing, and the port's name is too long for an "
					"interface: expected 1 to 15 bytes");
		memcpy(p->interface, p->name, strlen(p->name) + 1);
	}
	return 0;
}

int sr_port_config_make(const char *const values[SR_PORT_KEYS], struct sr_port_config *out,
			struct sr_fault *fault)
{
	struct sr_port_config p = { .queues = QUEUES_DEFAULT };

	if (!values[0])
		return fault_at(fault, 0, "missing, expected vhost-user or tap");
	for (unsigned i = 0; i < SR_PORT_KEYS; i++) {
		if (check_presence(&p, values, i, fault))
			return -EINVAL;
		fault->key = (int)i;
		if (values[i] && sr_key_store(&sr_port_keys[i], &p, values[i], fault))
			return -EINVAL;
	}
	if (fill_in(&p, values, fault))
		return -EINVAL;
	*out = p;
	return 0;
}

int sr_port_spec_split(const char *spec, char *copy, size_t size, const char *values[SR_PORT_KEYS],
		       struct sr_error *e)
{
	char list[256], *rest = copy, *pair;

	if (strlen(spec) >= size)
		return sr_error_set(e, -EINVAL, "'%.60s...': expected at most %zu bytes", spec,
				    size - 1);
	strcpy(copy, spec);
	values[0] = strsep(&rest, ",");
	if (strchr(values[0], '='))
		return sr_error_set(e, -EINVAL,
				    "'%s': starts with '%s', expected the type first: "
				    "vhost-user,... or tap,...",
				    spec, values[0]);
	while ((pair = strsep(&rest, ","))) {
		char *key = strsep(&pair, "=");
		int i = sr_key_find(sr_port_keys + 1, SR_PORT_KEYS - 1, key) + 1;

		sr_port_keys_list(values[0], list, sizeof(list));
		if (i == 0)
			return sr_error_set(e, -EINVAL,
					    "'%s': unknown key '%s', expected one of %s", spec, key,
					    list + strlen("type, "));
		if (!pair)
			return sr_error_set(e, -EINVAL, "'%s': key '%s': no value, expected %s=...",
					    spec, key, key);
		if (values[i])
			return sr_error_set(e, -EINVAL, "'%s': key '%s' is given twice", spec, key);
		values[i] = pair;
	}
	return 0;
}

int sr_port_config_parse(const char *spec, struct sr_port_config *out, struct sr_error *e)
{
	const char *values[SR_PORT_KEYS] = { NULL };
	struct sr_fault fault;
	char copy[512];
	int err = sr_port_spec_split(spec, copy, sizeof(copy), values, e);

	if (err)
		return err;
	if (sr_port_config_make(values, out, &fault))
		return sr_error_set(e, -EINVAL, "'%s': key '%s': %s", spec,
				    sr_port_keys[fault.key].name, fault.text);
	return 0;
}
