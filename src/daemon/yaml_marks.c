/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_marks.h"
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct sr_yaml_marks {
	yaml_document_t doc;
};

static int load_failed(const yaml_parser_t *p, struct sr_error *e)
{
	const char *problem = p->problem ? p->problem : "not readable as YAML";

	if (p->error == YAML_MEMORY_ERROR)
		return sr_error_set(e, -ENOMEM, "1: out of memory");
	return sr_error_set(e, -EINVAL, "%zu: %s%s%s", p->problem_mark.line + 1, problem,
			    p->context ? " " : "", p->context ? p->context : "");
}

static int load(struct sr_yaml_marks *m, yaml_parser_t *p, struct sr_error *e)
{
	yaml_document_t second;
	yaml_node_t *more;
	size_t line;

	if (!yaml_parser_load(p, &m->doc))
		return load_failed(p, e);
	if (!yaml_document_get_root_node(&m->doc))
		return 0;
	if (!yaml_parser_load(p, &second)) {
		load_failed(p, e);
		yaml_document_delete(&m->doc);
		return -EINVAL;
	}
	more = yaml_document_get_root_node(&second);
	line = more ? more->start_mark.line : 0;
	yaml_document_delete(&second);
	if (!more)
		return 0;
	yaml_document_delete(&m->doc);
	return sr_error_set(e, -EINVAL, "%zu: a second document, expected one", line + 1);
}

struct sr_yaml_marks *sr_yaml_marks_create(const char *text, size_t len, struct sr_error *e)
{
	struct sr_yaml_marks *m = calloc(1, sizeof(*m));
	yaml_parser_t p;

	if (!m || !yaml_parser_initialize(&p)) {
		sr_error_set(e, -ENOMEM, "1: out of memory");
		free(m);
		return NULL;
	}
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (load(m, &p, e)) {
		free(m);
		m = NULL;
	}
	yaml_parser_delete(&p);
	return m;
}

void sr_yaml_marks_destroy(struct sr_yaml_marks *m)
{
	if (!m)
		return;
	yaml_document_delete(&m->doc);
	free(m);
}

static const yaml_node_t *node(const struct sr_yaml_marks *m, int id)
{
	/* libyaml's getter only reads, but says otherwise in its type. */
	return yaml_document_get_node((yaml_document_t *)(uintptr_t)&m->doc, id);
}

/* The last pair wins: where a key is given twice, the second is the mistake. */
static const yaml_node_pair_t *find_key(const struct sr_yaml_marks *m, const yaml_node_t *map,
					const char *key, size_t len)
{
	const yaml_node_pair_t *found = NULL;

	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = node(m, p->key);

		if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == len &&
		    !memcmp(k->data.scalar.value, key, len))
			found = p;
	}
	return found;
}

static const yaml_node_t *find_entry(const struct sr_yaml_marks *m, const yaml_node_t *list,
				     size_t i)
{
	size_t n;

	if (list->type != YAML_SEQUENCE_NODE)
		return NULL;
	n = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
	return i < n ? node(m, list->data.sequence.items.start[i]) : NULL;
}

/* Goes down the path as far as it leads. *line becomes that of the last step found;
 * the node is NULL when not all steps were. */
static const yaml_node_t *walk(const struct sr_yaml_marks *m, const char *path, unsigned *line)
{
	const yaml_node_t *at = yaml_document_get_root_node((yaml_document_t *)(uintptr_t)&m->doc);

	*line = at ? (unsigned)at->start_mark.line + 1 : 1;
	while (at && *path) {
		if (*path == '[') {
			at = find_entry(m, at, strtoul(path + 1, NULL, 10));
			if (at)
				*line = (unsigned)at->start_mark.line + 1;
			path += strcspn(path, "]") + 1;
		} else {
			size_t len = strcspn(path, ".[");
			const yaml_node_pair_t *p = find_key(m, at, path, len);

			at = p ? node(m, p->value) : NULL;
			if (p)
				*line = (unsigned)node(m, p->key)->start_mark.line + 1;
			path += len;
		}
		path += *path == '.';
	}
	return at;
}

unsigned sr_yaml_marks_line(const struct sr_yaml_marks *m, const char *path)
{
	unsigned line;

	walk(m, path, &line);
	return line;
}

const char *sr_yaml_marks_value(const struct sr_yaml_marks *m, const char *path)
{
	unsigned line;
	const yaml_node_t *at = walk(m, path, &line);

	return at && at->type == YAML_SCALAR_NODE ? (const char *)at->data.scalar.value : NULL;
}

const char *sr_yaml_marks_key(const struct sr_yaml_marks *m, const char *path, unsigned i)
{
	unsigned line;
	const yaml_node_t *at = walk(m, path, &line), *key;

	if (!at || at->type != YAML_MAPPING_NODE ||
	    i >= (size_t)(at->data.mapping.pairs.top - at->data.mapping.pairs.start))
		return NULL;
	key = node(m, at->data.mapping.pairs.start[i].key);
	return key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
}

int sr_yaml_marks_count(const struct sr_yaml_marks *m, const char *path)
{
	unsigned line;
	const yaml_node_t *at = walk(m, path, &line);

	if (!at || (at->type == YAML_SCALAR_NODE && !at->data.scalar.length))
		return 0;
	if (at->type != YAML_SEQUENCE_NODE)
		return -EINVAL;
	return (int)(at->data.sequence.items.top - at->data.sequence.items.start);
}
