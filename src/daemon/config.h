/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a daemon is told to do, typed and checked. Made from the command line (cli/), from a
 * YAML file (config_yaml.c) or, a port at a time, by the control socket's port.add.
 */
#ifndef SR_CONFIG_H
#define SR_CONFIG_H

#include "keys.h"

#include <slipring/error.h>
#include <slipring/vhost_user.h>

#include <stdbool.h>

#define SR_SOCKET_PATH_MAX 107u /* sun_path, its NUL left out */
#define SR_PORT_NAME_MAX   63u
#define SR_GROUP_NAME_MAX  63u
#define SR_THREADS_MAX	   64u
#define SR_PORTS_MAX	   1000u /* below what the switch can hold */

enum sr_port_type {
	SR_PORT_VHOST_USER,
	SR_PORT_TAP
};

struct sr_port_config {
	unsigned type; /* enum sr_port_type */
	char name[SR_PORT_NAME_MAX + 1];
	char socket[SR_SOCKET_PATH_MAX + 1];
	unsigned mode; /* enum sr_vhost_user_mode */
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t queues; /* pairs */
	unsigned permissions;
	char group[SR_GROUP_NAME_MAX + 1];
	char interface[16];
};

/* The keys of a port; the first is always "type". */
#define SR_PORT_KEYS 10u
extern const struct sr_key sr_port_keys[SR_PORT_KEYS];

/* values[i] is the text for sr_port_keys[i], NULL = not given. 0, or -EINVAL with *fault
 * filled: a value that is wrong, missing, or not for this type of port. */
int sr_port_config_make(const char *const values[SR_PORT_KEYS], struct sr_port_config *out,
			struct sr_fault *fault);

/* From the command line's form, "tap,name=t0". -EINVAL with *e filled; the text names spec
 * and key. */
int sr_port_config_parse(const char *spec, struct sr_port_config *out, struct sr_error *e);

/* Splits `spec` into values as above, all NULL at first, pointing into `copy`, which gets the
 * text. */
int sr_port_spec_split(const char *spec, char *copy, size_t size, const char *values[SR_PORT_KEYS],
		       struct sr_error *e);

/* "name, socket, ..." of the ports of this type; of all when `type` is none. */
void sr_port_keys_list(const char *type, char *to, size_t size);

const char *sr_port_type_name(enum sr_port_type type);

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
	struct sr_port_config *ports;
	unsigned nports;
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

/* Defaults, without ports. */
void sr_config_init(struct sr_config *c);
void sr_config_finish(struct sr_config *c);
int sr_config_add_port(struct sr_config *c, const struct sr_port_config *p, struct sr_error *e);

/* How whoever wrote it calls a setting (`port` -1) or a key of a port (`key` -1: the port):
 * "--cpus", "port a: key 'socket'" or "FILE:LINE: key 'ports[0].socket'". */
void sr_config_place(const struct sr_config *c, int port, int key, char *to, size_t size);

/* The index of the key that no two ports may have the same of and these two have, or -1. */
int sr_port_config_clash(const struct sr_port_config *a, const struct sr_port_config *b);

/* Which of the ports before the last has the same name, socket or interface, if any: its
 * index and, in *key, the index of the key that clashes; else -1. */
int sr_config_clash(const struct sr_config *c, unsigned *key);

/* What concerns more than one setting, the ports known; makes `threads` a number. The fault
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
