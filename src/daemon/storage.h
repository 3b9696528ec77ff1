/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disks of a daemon and the devices that show them to guests. Control loop only.
 *
 * What is removed while requests are under way is "removing" until the last has ended: its
 * name and its disks stay taken, nobody waits for it.
 */
#ifndef SR_STORAGE_H
#define SR_STORAGE_H

#include "daemon_site.h"

#include <slipring/blk.h>
#include <slipring/scsi.h>
#include <slipring/vhost_user.h>

struct sr_daemon_disk {
	struct sr_daemon_disk *next;
	struct sr_conf_disk config;
	struct sr_disk *disk; /* with its filters */
	/* While SCSI devices use it: the one unit that they share, and as whom it was made. */
	struct sr_scsi_unit *unit;
	struct sr_conf_lun unit_config;
	unsigned unit_users;
};

struct sr_daemon_lun {
	struct sr_daemon_lun *next;
	struct sr_daemon_device *device;
	struct sr_daemon_disk *disk;
	struct sr_conf_lun config;
	bool removing;
};

struct sr_daemon_device {
	struct sr_daemon_device *next;
	struct sr_storage *storage;
	struct sr_conf_device config;
	struct sr_vhost_user *back_end;
	struct sr_blk *blk;
	struct sr_daemon_disk *disk; /* blk */
	struct sr_scsi *scsi;
	struct sr_daemon_lun *luns; /* scsi */
	bool removing, closed;
};

struct sr_storage {
	struct sr_daemon_site *site;
	struct sr_daemon_disk *disks; /* lists, in order of adding */
	struct sr_daemon_device *devices;
	unsigned ndisks, ndevices;
	struct sr_timer *reaper;
	void (*empty)(void *ctx);
	void *ctx;
};

int sr_storage_init(struct sr_storage *s, struct sr_daemon_site *site, struct sr_error *e);

/* In all of these: *key becomes the index of the key that is to blame, or -1; the text leaves out
 * both it and the name. -EEXIST, -ENOENT, -EBUSY, -ENOSPC and the errors of the system. */
int sr_storage_disk_add(struct sr_storage *s, const struct sr_conf_disk *c, int *key,
			struct sr_error *e);
int sr_storage_device_add(struct sr_storage *s, const struct sr_conf_device *c, int *key,
			  struct sr_error *e);
int sr_storage_lun_add(struct sr_storage *s, const char *device, const struct sr_conf_lun *c,
		       int *key, struct sr_error *e);

/* Nobody may use it: -EBUSY names the users. */
int sr_storage_disk_remove(struct sr_storage *s, struct sr_daemon_disk *d, struct sr_error *e);
/* These only begin it. A unit may be gone when it returns, a device never is. */
void sr_storage_device_remove(struct sr_daemon_device *v);
int sr_storage_lun_remove(struct sr_daemon_lun *l, struct sr_error *e);

struct sr_daemon_disk *sr_storage_disk_find(const struct sr_storage *s, const char *name);
struct sr_daemon_device *sr_storage_device_find(const struct sr_storage *s, const char *name);
struct sr_daemon_lun *sr_storage_lun_find(const struct sr_daemon_device *v, unsigned target,
					  unsigned lun);

/* Calls user() for each device or unit (then not NULL) that uses the disk, until one returns
 * false. */
void sr_storage_disk_users(const struct sr_storage *s, const struct sr_daemon_disk *d,
			   bool (*user)(void *ctx, const struct sr_daemon_device *v,
					const struct sr_daemon_lun *l),
			   void *ctx);

/* Removes all devices; calls empty() when the last is gone, perhaps before it returns. */
void sr_storage_close(struct sr_storage *s, void (*empty)(void *ctx), void *ctx);
/* Ends everything, now. */
void sr_storage_finish(struct sr_storage *s);

/* daemon_disk.c: one disk, by itself. */
struct sr_daemon_disk *sr_daemon_disk_create(const struct sr_conf_disk *c, int *key,
					     struct sr_error *e);
void sr_daemon_disk_destroy(struct sr_daemon_disk *d); /* NULL is allowed */
/* The disk's unit for SCSI devices, made for the first of them. */
struct sr_scsi_unit *sr_daemon_disk_unit_get(struct sr_daemon_disk *d, const struct sr_conf_lun *c,
					     int *key, struct sr_error *e);
void sr_daemon_disk_unit_put(struct sr_daemon_disk *d);
/* The limits and faults that a configuration speaks of. */
struct sr_disk_limits sr_conf_disk_limits(const struct sr_conf_disk *c);
struct sr_disk_fault sr_conf_disk_fault(const struct sr_conf_disk *c);

/* The same error without the name that its text may begin with: whoever reports it says the
 * name in his own way. */
void sr_error_cut(const struct sr_error *why, const char *own, struct sr_error *e);

/* daemon_device.c: one device, by itself. */
struct sr_daemon_device *sr_daemon_device_create(struct sr_storage *s,
						 const struct sr_conf_device *c,
						 struct sr_daemon_disk *disk, int *key,
						 struct sr_error *e);
/* Its session has ended or ends now. NULL is allowed. */
void sr_daemon_device_destroy(struct sr_daemon_device *v);
enum sr_kind_id sr_daemon_device_kind(const struct sr_daemon_device *v);
/* "waiting", "connected", "running", "draining" or "removing". */
const char *sr_daemon_device_state(const struct sr_daemon_device *v);
unsigned sr_daemon_device_in_flight(const struct sr_daemon_device *v);

#endif
