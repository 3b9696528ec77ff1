/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

enum {
	FILE_ = 1u << SR_MEDIUM_FILE,
	MEM = 1u << SR_MEDIUM_MEM,
	NULL_ = 1u << SR_MEDIUM_NULL,
	NBD = 1u << SR_MEDIUM_NBD,
	RBD = 1u << SR_MEDIUM_RBD,
	LOCAL = FILE_ | MEM | NULL_,
	ALL = LOCAL | NBD | RBD
};

#define CONNECTIONS_MAX 16

static const char *const types[] = { "file", "mem", "null", "nbd", "rbd", NULL };
static const char *const blocks[] = { "auto", "512", "4096", NULL };
static const char *const directs[] = { "auto", "on", "off", NULL };
/* In the order of enum sr_disk_op, one on. */
static const char *const ops[] = { "all",     "read",	"write", "flush",
				   "discard", "zeroes", "erase", NULL };

#define AT(field)   .offset = offsetof(struct sr_conf_disk, field)
#define TEXT(field) SR_KEY_TEXT, AT(field), 1, SR_DISK_TEXT_MAX

/* clang-format off */
static const struct sr_key keys[] = {
	{ "type", SR_KEY_WORD, AT(type), .words = types, .uses = ALL, .needs = ALL },
	{ "name", SR_KEY_NAME, AT(name), 1, SR_NAME_MAX, .uses = ALL, .needs = ALL },
	{ "path", TEXT(path), .uses = FILE_, .needs = FILE_ },
	{ "size", SR_KEY_SIZE, AT(size), 1, .uses = MEM | NULL_, .needs = MEM | NULL_ },
	{ "uri", TEXT(uri), .uses = NBD, .needs = NBD },
	{ "pool", TEXT(pool), .uses = RBD, .needs = RBD },
	{ "image", TEXT(image), .uses = RBD, .needs = RBD },
	{ "conf", TEXT(conf), .uses = RBD },
	{ "user", TEXT(user), .uses = RBD },
	{ "connections", SR_KEY_U16, AT(connections), 1, CONNECTIONS_MAX, .uses = NBD },
	{ "tls-certificates", TEXT(tls_certificates), .uses = NBD },
	{ "tls-psk-file", TEXT(tls_psk_file), .uses = NBD },
	{ "read-only", SR_KEY_BOOL, AT(read_only), .uses = FILE_ | NBD | RBD },
	{ "direct", SR_KEY_WORD, AT(direct), .words = directs, .uses = FILE_ },
	{ "block-size", SR_KEY_WORD, AT(block), .words = blocks, .uses = LOCAL },
	{ "iops", SR_KEY_U32, AT(iops), 0, UINT32_MAX, .uses = ALL },
	{ "iops-burst", SR_KEY_U32, AT(iops_burst), 0, UINT32_MAX, .uses = ALL },
	{ "bytes-per-second", SR_KEY_SIZE, AT(bytes_per_second), .uses = ALL },
	{ "bytes-burst", SR_KEY_SIZE, AT(bytes_burst), .uses = ALL },
	{ "zone-size", SR_KEY_SIZE, AT(zone_size), 1, .uses = LOCAL },
	{ "conventional-zones", SR_KEY_U32, AT(conventional_zones), 0, 1u << 30, .uses = LOCAL },
	{ "max-open-zones", SR_KEY_U32, AT(max_open_zones), 0, 1u << 30, .uses = LOCAL },
	{ "max-active-zones", SR_KEY_U32, AT(max_active_zones), 0, 1u << 30, .uses = LOCAL },
	{ "zone-state", TEXT(zone_state), .uses = LOCAL },
	{ "fault-ops", SR_KEY_WORD, AT(fault_ops), .words = ops, .uses = ALL },
	{ "fault-error-share", SR_KEY_SHARE, AT(fault_error_share), .uses = ALL },
	{ "fault-delay-ms", SR_KEY_U32, AT(fault_delay_ms), 0, 3600000, .uses = ALL },
	{ "fault-offset", SR_KEY_SIZE, AT(fault_offset), .uses = ALL },
	{ "fault-length", SR_KEY_SIZE, AT(fault_length), .uses = ALL },
};

static const struct sr_key limit_keys[] = {
	{ "iops", SR_KEY_U32, AT(iops), 0, UINT32_MAX, .uses = 1 },
	{ "iops-burst", SR_KEY_U32, AT(iops_burst), 0, UINT32_MAX, .uses = 1 },
	{ "bytes-per-second", SR_KEY_SIZE, AT(bytes_per_second), .uses = 1 },
	{ "bytes-burst", SR_KEY_SIZE, AT(bytes_burst), .uses = 1 },
};

static const struct sr_key fault_keys[] = {
	{ "ops", SR_KEY_WORD, AT(fault_ops), .words = ops, .uses = 1 },
	{ "error-share", SR_KEY_SHARE, AT(fault_error_share), .uses = 1 },
	{ "delay-ms", SR_KEY_U32, AT(fault_delay_ms), 0, 3600000, .uses = 1 },
	{ "offset", SR_KEY_SIZE, AT(fault_offset), .uses = 1 },
	{ "length", SR_KEY_SIZE, AT(fault_length), .uses = 1 },
};
/* clang-format on */

const char *sr_medium_name(enum sr_medium m)
{
	return types[m];
}

unsigned sr_conf_disk_block_size(const struct sr_conf_disk *d)
{
	static const unsigned sizes[] = { 0, 512, 4096 };

	return sizes[d->block];
}

/* A key that means nothing without another. */
static int check_company(const char *const *values, const char *key, const char *with,
			 struct sr_fault *fault)
{
	int k = sr_kind_key(&sr_disk_kind, key);
	char text[64];

	if (!values[k] || values[sr_kind_key(&sr_disk_kind, with)])
		return 0;
	snprintf(text, sizeof(text), "means nothing without %s", with);
	return sr_fault_at(fault, k, text);
}

static int settle(void *item, const char *const *values, struct sr_fault *fault)
{
	static const char *const pairs[][2] = {
		{ "conventional-zones", "zone-size" },
		{ "max-open-zones", "zone-size" },
		{ "max-active-zones", "zone-size" },
		{ "zone-state", "zone-size" },
		{ "iops-burst", "iops" },
		{ "bytes-burst", "bytes-per-second" },
	};
	struct sr_conf_disk *d = item;

	for (unsigned i = 0; i < SR_ARRAY_LEN(pairs); i++)
		if (check_company(values, pairs[i][0], pairs[i][1], fault))
			return -EINVAL;
	for (unsigned i = 0; i < SR_ARRAY_LEN(keys); i++)
		d->faults |= values[i] && !strncmp(keys[i].name, "fault-", strlen("fault-"));
	return 0;
}

const struct sr_kind sr_disk_kind = {
	.noun = "disk",
	.list = "disks",
	.keys = keys,
	.n = SR_ARRAY_LEN(keys),
	.types = types,
	.size = sizeof(struct sr_conf_disk),
	.name_at = offsetof(struct sr_conf_disk, name),
	.max = SR_DISKS_MAX,
	.settle = settle,
};

const struct sr_kind sr_limit_kind = { .noun = "limit",
				       .keys = limit_keys,
				       .n = SR_ARRAY_LEN(limit_keys) };

const struct sr_kind sr_fault_kind = { .noun = "fault",
				       .keys = fault_keys,
				       .n = SR_ARRAY_LEN(fault_keys) };
