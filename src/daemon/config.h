/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a daemon is told to do, typed and checked. Made from the command line (cli/), from a
 * YAML file (config_yaml.c) or, a port at a time, by the control socket's port.add.
 */
#ifndef SR_CONFIG_H
#define SR_CONFIG_H

#include "kind.h"

#include <slipring/blk.h>
#include <slipring/error.h>
#include <slipring/vhost_user.h>

#include <stdbool.h>

#define SR_SOCKET_PATH_MAX 107u /* sun_path, its NUL left out */
#define SR_NAME_MAX	   63u	/* of a port, disk or device */
#define SR_GROUP_NAME_MAX  63u
#define SR_THREADS_MAX	   64u
#define SR_PORTS_MAX	   1000u /* below what the switch can hold */
#define SR_DISKS_MAX	   1000u
#define SR_DEVICES_MAX	   1000u /* of each type */
#define SR_LUNS_MAX	   4096u
#define SR_DISK_TEXT_MAX   1023u /* a path, an address */
#define SR_LUN_SERIAL_MAX  36u

enum sr_port_type {
	SR_PORT_VHOST_USER,
	SR_PORT_TAP
};

struct sr_port_config {
	unsigned type; /* enum sr_port_type */
	char name[SR_NAME_MAX + 1];
	char socket[SR_SOCKET_PATH_MAX + 1];
	unsigned mode; /* enum sr_vhost_user_mode */
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t queues; /* pairs */
	unsigned permissions;
	char group[SR_GROUP_NAME_MAX + 1];
	char interface[16];
};

const char *sr_port_type_name(enum sr_port_type type);

enum sr_medium {
	SR_MEDIUM_FILE,
	SR_MEDIUM_MEM,
	SR_MEDIUM_NULL,
	SR_MEDIUM_NBD,
	SR_MEDIUM_RBD
};

struct sr_conf_disk {
	unsigned type; /* enum sr_medium */
	char name[SR_NAME_MAX + 1];
	char path[SR_DISK_TEXT_MAX + 1];
	uint64_t size;
	unsigned block;	 /* index of "auto", "512", "4096" */
	unsigned direct; /* enum sr_disk_direct */
	bool read_only;
	char uri[SR_DISK_TEXT_MAX + 1];
	uint16_t connections;
	char tls_certificates[SR_DISK_TEXT_MAX + 1], tls_psk_file[SR_DISK_TEXT_MAX + 1];
	char pool[SR_DISK_TEXT_MAX + 1], image[SR_DISK_TEXT_MAX + 1];
	char conf[SR_DISK_TEXT_MAX + 1], user[SR_DISK_TEXT_MAX + 1];
	uint32_t iops, iops_burst;
	uint64_t bytes_per_second, bytes_burst;
	uint64_t zone_size;
	uint32_t conventional_zones, max_open_zones, max_active_zones;
	char zone_state[SR_DISK_TEXT_MAX + 1];
	unsigned fault_ops; /* index of "all", "read", ... */
	double fault_error_share;
	uint32_t fault_delay_ms;
	uint64_t fault_offset, fault_length;
	bool faults; /* a key of them was given */
};

const char *sr_medium_name(enum sr_medium m);
/* 0 = the medium's own. */
unsigned sr_conf_disk_block_size(const struct sr_conf_disk *d);

enum sr_device_type {
	SR_DEVICE_BLK,
	SR_DEVICE_SCSI
};

/* A guest's disk, or a SCSI host with disks behind it. */
struct sr_conf_device {
	enum sr_device_type type;
	char name[SR_NAME_MAX + 1];
	char socket[SR_SOCKET_PATH_MAX + 1];
	int fd;	       /* instead of the socket's path; else -1 */
	unsigned mode; /* enum sr_vhost_user_mode */
	uint16_t queues;
	unsigned permissions;
	char group[SR_GROUP_NAME_MAX + 1];
	/* blk */
	char disk[SR_NAME_MAX + 1];
	char serial[SR_BLK_SERIAL_MAX + 1];
	unsigned cache; /* enum sr_conf_cache */
	bool read_only;
};

enum sr_conf_cache {
	SR_CACHE_WRITEBACK,
	SR_CACHE_WRITETHROUGH
};

/* A disk behind a SCSI host. Several of one disk are one logical unit, which guests share. */
struct sr_conf_lun {
	unsigned scsi, nth; /* in a configuration: of which entry of `scsi`, and its place there */
	uint16_t target, lun;
	char disk[SR_NAME_MAX + 1];
	char serial[SR_LUN_SERIAL_MAX + 1], vendor[8 + 1], product[16 + 1];
	bool read_only, protection;
};

/* From the form "T:L=DISK,KEY=VALUE...". -EINVAL with *e filled. */
int sr_conf_lun_split(const char *spec, char copy[SR_SPEC_MAX], const char *values[SR_KEYS_MAX],
		      struct sr_error *e);
int sr_conf_lun_parse(const char *spec, struct sr_conf_lun *out, struct sr_error *e);

/* A client makes no socket: no permissions, no group. */
extern const char *const sr_modes[], *const sr_caches[];
int sr_settle_mode(const struct sr_kind *kind, unsigned mode, const char *const *values,
		   struct sr_fault *fault);

/* Parts of a disk that change while it is used. */
extern const struct sr_kind sr_limit_kind, sr_fault_kind;

extern const struct sr_kind sr_port_kind, sr_disk_kind, sr_blk_kind, sr_scsi_kind, sr_lun_kind;

#define SR_ITEM_MAX 16384u /* bytes of one of any kind */
enum sr_kind_id {
	SR_PORTS,
	SR_DISKS,
	SR_BLKS,
	SR_SCSIS,
	SR_LUNS,
	SR_KINDS
};
extern const struct sr_kind *const sr_kinds[SR_KINDS];

struct sr_yaml_marks;

struct sr_config {
	uint32_t threads; /* 0 = as many as cpus, or 1 */
	struct sr_cpus cpus;
	uint32_t poll_us;
	unsigned log;			      /* enum sr_log_level */
	char control[SR_SOCKET_PATH_MAX + 1]; /* "none" = no control socket */
	unsigned control_permissions;
	char control_group[SR_GROUP_NAME_MAX + 1];
	uint32_t mac_limit, age_s, wait_us;
	struct sr_config_list {
		void *items; /* structures of that kind */
		unsigned n;
	} lists[SR_KINDS];
	/* How whoever started us calls a key, where neither the command line's --KEY nor a file
	 * has it; optional. */
	void (*place)(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key,
		      char *to, size_t size);
	/* Where it came from, for what is found wrong later; NULL: the command line. */
	const char *file;
	struct sr_yaml_marks *marks;
};

/* The settings beside the ports. */
#define SR_SETTINGS 10u
extern const struct sr_key sr_settings[SR_SETTINGS];

/* The option of the command line that means setting i: "--control-group", its dashes left
 * out. In the file it is called by its path: "control.group". */
void sr_setting_option(unsigned i, char *to, size_t size);
void sr_setting_path(unsigned i, char *to, size_t size);

/* Defaults, all lists empty. */
void sr_config_init(struct sr_config *c);
void sr_config_finish(struct sr_config *c);

/* Copies the item into its list. */
int sr_config_add(struct sr_config *c, enum sr_kind_id kind, const void *item, struct sr_error *e);
const void *sr_config_item(const struct sr_config *c, enum sr_kind_id kind, unsigned i);

/* How whoever wrote it calls setting `key`, or key `key` (-1: the whole) of item i:
 * "--cpus", "port a: key 'socket'" or "FILE:LINE: key 'ports[0].socket'". */
void sr_config_setting_place(const struct sr_config *c, unsigned key, char *to, size_t size);
void sr_config_place(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key, char *to,
		     size_t size);
/* "ports[0].socket" */
void sr_config_path(const struct sr_config *c, enum sr_kind_id kind, unsigned i, int key, char *to,
		    size_t size);

/* The index of the key of `a` that no two may have the same of and these two have, or -1. */
int sr_config_same(enum sr_kind_id ka, const void *a, enum sr_kind_id kb, const void *b);

/* Where an item has what another has, or speaks of one that is not there. */
struct sr_clash {
	enum sr_kind_id kind;
	unsigned i;
	int key;
	char text[SR_FAULT_TEXT];
};

/* Whether the last item of `kind` may stand beside all others. -EEXIST. */
int sr_config_check_last(const struct sr_config *c, enum sr_kind_id kind, struct sr_clash *clash);

/* Whether the disks that devices name are there, and may be shared as they are. -EINVAL. */
int sr_config_check_disks(const struct sr_config *c, struct sr_clash *clash);

/* Who may use a disk together: several SCSI units do, and all who only read. */
struct sr_disk_use {
	bool scsi, read_only;
};
#define SR_SHARING_RULE "only SCSI units share a disk, or devices that are all read-only"
bool sr_disk_uses_agree(const struct sr_disk_use *a, const struct sr_disk_use *b);

/* What concerns more than one setting, the lists known; makes `threads` a number. The fault
 * names a setting. */
int sr_config_settle(struct sr_config *c, struct sr_fault *fault);

/* Reads a YAML file. An error reads "FILE:LINE: key 'ports[1].mode': got 'x', expected
 * server or client". On failure nothing is left to finish. `path` must outlive the config. */
int sr_config_load(const char *path, struct sr_config *c, struct sr_error *e);
int sr_config_load_text(const char *path, const char *text, size_t len, struct sr_config *c,
			struct sr_error *e);

bool sr_group_exists(const char *name);

/* Where the control socket is when nobody says: /run/slipring.sock for root, else
 * $XDG_RUNTIME_DIR/slipring.sock. -ENOENT when there is no such place. */
int sr_control_path_default(char *to, size_t size, struct sr_error *e);

#endif
