/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where in a YAML file things stand. libcyaml gives typed values without their lines, so
 * the text is read a second time, into libyaml's tree, which is asked for the line of a
 * path such as "ports[1].mode".
 */
#ifndef SR_YAML_MARKS_H
#define SR_YAML_MARKS_H

#include <slipring/error.h>
#include <stddef.h>

struct sr_yaml_marks;

/* NULL with "LINE: what is wrong" in *e when the text is not one YAML document. */
struct sr_yaml_marks *sr_yaml_marks_create(const char *text, size_t len, struct sr_error *e);
void sr_yaml_marks_destroy(struct sr_yaml_marks *m); /* NULL is allowed */

/* The line, from 1, of the last key that the path names; where it is not there, of the
 * nearest thing around it that is. */
unsigned sr_yaml_marks_line(const struct sr_yaml_marks *m, const char *path);

/* The scalar at that path, or NULL. */
const char *sr_yaml_marks_value(const struct sr_yaml_marks *m, const char *path);

/* The key of pair i of the mapping at that path, or NULL: no more, or no mapping. */
const char *sr_yaml_marks_key(const struct sr_yaml_marks *m, const char *path, unsigned i);

/* How many entries the list at that path has; 0 when nothing is there, -EINVAL when something
 * else is. */
int sr_yaml_marks_count(const struct sr_yaml_marks *m, const char *path);

#endif
