/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the programs have in common that serve one device, by QEMU's conventions for vhost-user
 * back-end programs: a daemon whose configuration comes from a few options.
 */
#ifndef SR_CLI_VHOST_PROGRAM_H
#define SR_CLI_VHOST_PROGRAM_H

#include "cli.h"

#include <argp.h>

/* An option that is a key of a disk or of the device under the name that the conventions have
 * for it. */
struct vhost_option {
	const char *option, *arg;
	enum sr_kind_id kind;
	const char *key;
	const char *help;
};

#define VHOST_OPTIONS_MAX 16u

struct vhost_program {
	struct sr_config config; /* first: what is said of it finds the program by it */
	enum sr_kind_id kind;	 /* of the device */
	const struct vhost_option *options;
	unsigned noptions;
	const char *disk_values[SR_KEYS_MAX], *device_values[SR_KEYS_MAX];
	int fd;
};

/* The options that every such program has; `input` is the program. For argp's children. */
const struct argp *vhost_program_argp(void);

/* Fills argp's table from the program's own options, whose keys begin at VHOST_OPTION. The
 * last entry is empty. */
#define VHOST_OPTION 1024
void vhost_program_fill(const struct vhost_option *options, unsigned n, struct argp_option *to);
/* Takes the value of option `key`; false when it is none of the program's own. */
bool vhost_program_take(struct vhost_program *p, int key, const char *arg,
			struct argp_state *state);

void vhost_program_init(struct vhost_program *p, enum sr_kind_id kind,
			const struct vhost_option *options, unsigned n);
const char **vhost_program_value(struct vhost_program *p, enum sr_kind_id kind, const char *key);

/* Adds the device, once all options are there. */
void vhost_program_settle(struct vhost_program *p, struct argp_state *state);

/* Where the conventions say so, other options are ignored: whether it was asked for, and
 * answered. */
bool vhost_program_told_capabilities(int argc, char **argv, const char *json);

#endif
