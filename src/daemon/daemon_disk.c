/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static struct sr_disk *create_local(const struct sr_conf_disk *c, struct sr_error *e)
{
	unsigned block = sr_conf_disk_block_size(c);

	if (c->type == SR_MEDIUM_FILE)
		return sr_disk_file_create(
			&(struct sr_disk_file_config){ .name = c->name,
						       .path = c->path,
						       .read_only = c->read_only,
						       .direct = (enum sr_disk_direct)c->direct,
						       .block_size = block },
			e);
	if (c->type == SR_MEDIUM_MEM)
		return sr_disk_mem_create(&(struct sr_disk_mem_config){ .name = c->name,
									.size = c->size,
									.block_size = block },
					  e);
	return sr_disk_null_create(&(struct sr_disk_null_config){ .name = c->name,
								  .size = c->size,
								  .block_size = block },
				   e);
}

static struct sr_disk *create_remote(const struct sr_conf_disk *c, struct sr_error *e)
{
	if (c->type == SR_MEDIUM_NBD)
		return sr_disk_nbd_create(
			&(struct sr_disk_nbd_config){ .name = c->name,
						      .uri = c->uri,
						      .connections = c->connections,
						      .read_only = c->read_only,
						      .tls_certificates =
							      or_null(c->tls_certificates),
						      .tls_psk_file = or_null(c->tls_psk_file) },
			e);
	return sr_disk_rbd_create(&(struct sr_disk_rbd_config){ .name = c->name,
								.pool = c->pool,
								.image = c->image,
								.conf = or_null(c->conf),
								.user = or_null(c->user),
								.read_only = c->read_only },
				  e);
}

struct sr_disk_limits sr_conf_disk_limits(const struct sr_conf_disk *c)
{
	return (struct sr_disk_limits){ .iops = c->iops,
					.iops_burst = c->iops_burst,
					.bytes_per_second = c->bytes_per_second,
					.bytes_burst = c->bytes_burst };
}

struct sr_disk_fault sr_conf_disk_fault(const struct sr_conf_disk *c)
{
	return (struct sr_disk_fault){ .ops = c->fault_ops ? 1u << (c->fault_ops - 1) : 0,
				       .error_share = c->fault_error_share,
				       .delay_ns = (uint64_t)c->fault_delay_ms * 1000000u,
				       .offset = c->fault_offset,
				       .len = c->fault_length };
}

static struct sr_disk *put_zones(struct sr_disk *below, const struct sr_conf_disk *c,
				 struct sr_error *e)
{
	struct sr_disk_zoned_config z = { .zone_size = c->zone_size,
					  .conventional = c->conventional_zones,
					  .max_open = c->max_open_zones,
					  .max_active = c->max_active_zones,
					  .state = or_null(c->zone_state) };

	return sr_disk_zoned_create(below, &z, e);
}

/* Zones are part of what the medium is; faults are those of the medium; limits are outermost,
 * and there on every disk, because they may come later. */
static int put_filters(struct sr_daemon_disk *d, int *key, struct sr_error *e)
{
	const struct sr_conf_disk *c = &d->config;
	struct sr_disk_limits limits = sr_conf_disk_limits(c);
	struct sr_disk_fault fault = sr_conf_disk_fault(c);
	struct sr_disk *top;

	if (c->zone_size) {
		top = put_zones(d->disk, c, e);
		*key = sr_kind_key(&sr_disk_kind, "zone-size");
		if (!top)
			return -1;
		d->disk = top;
	}
	*key = -1;
	if (c->faults) {
		top = sr_disk_fault_create(d->disk, &fault, e);
		if (!top)
			return -1;
		d->disk = top;
	}
	top = sr_disk_limit_create(d->disk, &limits, e);
	if (!top)
		return -1;
	d->disk = top;
	return 0;
}

/* Which key a failing engine is mostly about. */
static int main_key(const struct sr_conf_disk *c)
{
	static const char *const keys[] = { [SR_MEDIUM_FILE] = "path",
					    [SR_MEDIUM_MEM] = "size",
					    [SR_MEDIUM_NULL] = "size",
					    [SR_MEDIUM_NBD] = "uri",
					    [SR_MEDIUM_RBD] = "image" };

	return sr_kind_key(&sr_disk_kind, keys[c->type]);
}

struct sr_daemon_disk *sr_daemon_disk_create(const struct sr_conf_disk *c, int *key,
					     struct sr_error *e)
{
	struct sr_daemon_disk *d = calloc(1, sizeof(*d));
	bool local = c->type <= SR_MEDIUM_NULL;
	struct sr_error why;
	char own[SR_NAME_MAX + 8];

	*key = -1;
	if (!d) {
		sr_error_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	d->config = *c;
	d->disk = local ? create_local(c, &why) : create_remote(c, &why);
	if (!d->disk)
		*key = main_key(c);
	if (!d->disk || put_filters(d, key, &why)) {
		snprintf(own, sizeof(own), "disk %s: ", c->name);
		sr_error_cut(&why, own, e);
		sr_daemon_disk_destroy(d);
		return NULL;
	}
	return d;
}

void sr_daemon_disk_destroy(struct sr_daemon_disk *d)
{
	if (!d)
		return;
	sr_disk_destroy(d->disk);
	free(d);
}

/* All who share a unit see the same: what a second one asks for must be what the first did. */
static int check_same_unit(const struct sr_conf_lun *a, const struct sr_conf_lun *b, int *key,
			   struct sr_error *e)
{
	static const char *const texts[] = { "serial", "vendor", "product" };

	for (unsigned i = 0; i < SR_ARRAY_LEN(texts); i++) {
		int k = sr_kind_key(&sr_lun_kind, texts[i]);
		const char *ours = (const char *)a + sr_lun_kind.keys[k].offset;
		const char *asked = (const char *)b + sr_lun_kind.keys[k].offset;

		*key = k;
		if (*asked && strcmp(ours, asked))
			return sr_error_set(e, -EINVAL,
					    "got '%s', but the disk is a unit already and its "
					    "%s is %s%s%s",
					    asked, texts[i], *ours ? "'" : "",
					    *ours ? ours : "the default", *ours ? "'" : "");
	}
	*key = sr_kind_key(&sr_lun_kind, "read-only");
	if (a->read_only != b->read_only)
		return sr_error_set(e, -EINVAL, "the disk is a unit already, and %s",
				    a->read_only ? "read-only" : "not read-only");
	*key = sr_kind_key(&sr_lun_kind, "protection");
	if (a->protection != b->protection)
		return sr_error_set(e, -EINVAL, "the disk is a unit already, %s protection",
				    a->protection ? "with" : "without");
	return 0;
}

struct sr_scsi_unit *sr_daemon_disk_unit_get(struct sr_daemon_disk *d, const struct sr_conf_lun *c,
					     int *key, struct sr_error *e)
{
	struct sr_scsi_unit_config uc = { .disk = d->disk,
					  .serial = or_null(c->serial),
					  .vendor = or_null(c->vendor),
					  .product = or_null(c->product),
					  .read_only = c->read_only,
					  .protection = c->protection };

	if (d->unit && check_same_unit(&d->unit_config, c, key, e))
		return NULL;
	*key = -1;
	if (!d->unit) {
		d->unit = sr_scsi_unit_create(&uc, e);
		if (!d->unit)
			return NULL;
		d->unit_config = *c;
	}
	d->unit_users++;
	return d->unit;
}

void sr_daemon_disk_unit_put(struct sr_daemon_disk *d)
{
	if (--d->unit_users)
		return;
	sr_scsi_unit_destroy(d->unit);
	d->unit = NULL;
}
