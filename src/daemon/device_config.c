/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "config.h"

#include <slipring/scsi.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* Queues offered when nobody says: as many as virtual CPUs is best, and a guest takes no more
 * than it has. User-mode Linux refuses a device with more than 64. */
#define QUEUES_DEFAULT 16u

const char *const sr_modes[] = { "server", "client", NULL };
const char *const sr_caches[] = { "writeback", "writethrough", NULL };

#define AT(field)     .offset = offsetof(struct sr_conf_device, field)
#define AT_LUN(field) .offset = offsetof(struct sr_conf_lun, field)
#define EVERY	      .uses = 1
#define NEEDED	      .uses = 1, .needs = 1

/* clang-format off */
static const struct sr_key blk_keys[] = {
	{ "name", SR_KEY_NAME, AT(name), 1, SR_NAME_MAX, NEEDED },
	{ "disk", SR_KEY_NAME, AT(disk), 1, SR_NAME_MAX, NEEDED },
	{ "socket", SR_KEY_TEXT, AT(socket), 1, SR_SOCKET_PATH_MAX, NEEDED },
	{ "mode", SR_KEY_WORD, AT(mode), .words = sr_modes, EVERY },
	{ "queues", SR_KEY_U16, AT(queues), 1, SR_BLK_QUEUES_MAX, EVERY },
	{ "serial", SR_KEY_TEXT, AT(serial), 1, SR_BLK_SERIAL_MAX, EVERY },
	{ "cache", SR_KEY_WORD, AT(cache), .words = sr_caches, EVERY },
	{ "read-only", SR_KEY_BOOL, AT(read_only), EVERY },
	{ "permissions", SR_KEY_OCTAL, AT(permissions), EVERY },
	{ "group", SR_KEY_TEXT, AT(group), 1, SR_GROUP_NAME_MAX, EVERY },
};

static const struct sr_key scsi_keys[] = {
	{ "name", SR_KEY_NAME, AT(name), 1, SR_NAME_MAX, NEEDED },
	{ "socket", SR_KEY_TEXT, AT(socket), 1, SR_SOCKET_PATH_MAX, NEEDED },
	{ "mode", SR_KEY_WORD, AT(mode), .words = sr_modes, EVERY },
	{ "queues", SR_KEY_U16, AT(queues), 1, SR_SCSI_QUEUES_MAX, EVERY },
	{ "permissions", SR_KEY_OCTAL, AT(permissions), EVERY },
	{ "group", SR_KEY_TEXT, AT(group), 1, SR_GROUP_NAME_MAX, EVERY },
};

static const struct sr_key lun_keys[] = {
	{ "target", SR_KEY_U16, AT_LUN(target), 0, SR_SCSI_TARGETS_MAX - 1, EVERY },
	{ "lun", SR_KEY_U16, AT_LUN(lun), 0, SR_SCSI_LUN_MAX, EVERY },
	{ "disk", SR_KEY_NAME, AT_LUN(disk), 1, SR_NAME_MAX, NEEDED },
	{ "serial", SR_KEY_TEXT, AT_LUN(serial), 1, SR_LUN_SERIAL_MAX, EVERY },
	{ "vendor", SR_KEY_TEXT, AT_LUN(vendor), 1, 8, EVERY },
	{ "product", SR_KEY_TEXT, AT_LUN(product), 1, 16, EVERY },
	{ "read-only", SR_KEY_BOOL, AT_LUN(read_only), EVERY },
	{ "protection", SR_KEY_BOOL, AT_LUN(protection), EVERY },
};
/* clang-format on */

int sr_settle_mode(const struct sr_kind *kind, unsigned mode, const char *const *values,
		   struct sr_fault *fault)
{
	static const char *const of_server[] = { "permissions", "group" };

	for (unsigned i = 0; mode == SR_VHOST_USER_CLIENT && i < SR_ARRAY_LEN(of_server); i++) {
		int k = sr_kind_key(kind, of_server[i]);

		if (values[k])
			return sr_fault_at(
				fault, k,
				"a client makes no socket, expected with mode server only");
	}
	return 0;
}

static void init(struct sr_conf_device *d, enum sr_device_type type)
{
	d->type = type;
	d->fd = -1;
	d->queues = QUEUES_DEFAULT;
}

static void blk_init(void *item)
{
	init(item, SR_DEVICE_BLK);
}

static void scsi_init(void *item)
{
	init(item, SR_DEVICE_SCSI);
}

static int blk_settle(void *item, const char *const *values, struct sr_fault *fault)
{
	struct sr_conf_device *d = item;

	return sr_settle_mode(&sr_blk_kind, d->mode, values, fault);
}

static int scsi_settle(void *item, const char *const *values, struct sr_fault *fault)
{
	struct sr_conf_device *d = item;

	return sr_settle_mode(&sr_scsi_kind, d->mode, values, fault);
}

const struct sr_kind sr_blk_kind = {
	.noun = "blk device",
	.list = "blk",
	.keys = blk_keys,
	.n = SR_ARRAY_LEN(blk_keys),
	.size = sizeof(struct sr_conf_device),
	.name_at = offsetof(struct sr_conf_device, name),
	.max = SR_DEVICES_MAX,
	.init = blk_init,
	.settle = blk_settle,
};

const struct sr_kind sr_scsi_kind = {
	.noun = "scsi device",
	.list = "scsi",
	.keys = scsi_keys,
	.n = SR_ARRAY_LEN(scsi_keys),
	.sub = "luns",
	.size = sizeof(struct sr_conf_device),
	.name_at = offsetof(struct sr_conf_device, name),
	.max = SR_DEVICES_MAX,
	.init = scsi_init,
	.settle = scsi_settle,
};

const struct sr_kind sr_lun_kind = {
	.noun = "unit",
	.list = "luns",
	.keys = lun_keys,
	.n = SR_ARRAY_LEN(lun_keys),
	.size = sizeof(struct sr_conf_lun),
	.name_at = offsetof(struct sr_conf_lun, disk),
	.max = SR_LUNS_MAX,
};

static int bad_lun(const char *spec, struct sr_error *e)
{
	return sr_error_set(e, -EINVAL,
			    "'%.250s': expected TARGET:LUN=DISK, such as 0:0=d0, then perhaps "
			    ",serial=... or other keys",
			    spec);
}

int sr_conf_lun_split(const char *spec, char copy[SR_SPEC_MAX], const char *values[SR_KEYS_MAX],
		      struct sr_error *e)
{
	char *rest = copy, *first, *target, *lun;

	if (strlen(spec) >= SR_SPEC_MAX)
		return bad_lun("", e);
	strcpy(copy, spec);
	first = strsep(&rest, ",");
	lun = strsep(&first, "=");
	target = strsep(&lun, ":");
	if (!first || !lun)
		return bad_lun(spec, e);
	values[sr_kind_key(&sr_lun_kind, "target")] = target;
	values[sr_kind_key(&sr_lun_kind, "lun")] = lun;
	values[sr_kind_key(&sr_lun_kind, "disk")] = first;
	return sr_kind_split_pairs(&sr_lun_kind, spec, rest, values, e);
}

int sr_conf_lun_parse(const char *spec, struct sr_conf_lun *out, struct sr_error *e)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	struct sr_fault fault;
	char copy[SR_SPEC_MAX];
	int err = sr_conf_lun_split(spec, copy, values, e);

	if (err)
		return err;
	if (sr_kind_make(&sr_lun_kind, values, out, &fault))
		return sr_error_set(e, -EINVAL, "'%.250s': key '%s': %s", spec,
				    sr_lun_kind.keys[fault.key].name, fault.text);
	return 0;
}
