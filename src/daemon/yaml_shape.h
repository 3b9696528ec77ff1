/* SPDX-License-Identifier: BSD-3-Clause */
/* The shape of the YAML file: which keys exist where. Values are text. */
#ifndef SR_YAML_SHAPE_H
#define SR_YAML_SHAPE_H

#include "config.h"

#define SR_YAML_PATH 256 /* of a key, as "ports[1].mode" */

/* One of any kind; the schema of each kind uses the first so many values. */
struct sr_yaml_item {
	char *values[SR_KEYS_MAX];
};

/* One place for each setting in each section; the schema uses the right ones. */
struct sr_yaml_settings {
	char *values[SR_SETTINGS];
};

struct sr_yaml_raw {
	struct sr_yaml_settings top, control, sw;
	char **cpus;
	unsigned cpus_count;
	struct sr_yaml_list {
		struct sr_yaml_item *items;
		unsigned n;
	} lists[SR_KINDS];
};

/* What is refused, and where that is to be told. */
struct sr_yaml_place {
	const char *file;
	const struct sr_yaml_marks *marks;
	struct sr_error *e;
};

/* "FILE:LINE: key 'PATH': TEXT"; -EINVAL. */
int sr_yaml_refuse(const struct sr_yaml_place *at, const char *path, const char *text);

struct sr_yaml_shape;

/* NULL with at->e filled when the text has another shape. */
struct sr_yaml_shape *sr_yaml_shape_load(const struct sr_yaml_place *at, const char *text,
					 size_t len);
const struct sr_yaml_raw *sr_yaml_shape_raw(const struct sr_yaml_shape *s);
void sr_yaml_shape_free(struct sr_yaml_shape *s);

#endif
