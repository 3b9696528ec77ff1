/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The YAML file. libcyaml checks the shape (which keys exist where, what is a list, what a
 * mapping) against a schema made from the tables of keys; the values come as text and are
 * judged by sr_key_store like those of the command line. libcyaml's own integers were
 * rejected: it reads "permissions: 660" as decimal without a word, and its error texts
 * don't say what was expected.
 */
#include "yaml_shape.h"
#include "base.h"
#include "yaml_marks.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_TEXT 64

/* Filled by schema_make: the same tables as everywhere, in libcyaml's form. */
struct schema {
	cyaml_schema_field_t items[SR_KINDS][SR_KEYS_MAX + 2];
	cyaml_schema_value_t item_values[SR_KINDS];
	cyaml_schema_field_t control[SR_SETTINGS + 1], sw[SR_SETTINGS + 1];
	cyaml_schema_field_t top[SR_SETTINGS + 3 + SR_KINDS];
	cyaml_schema_value_t cpu_value, top_value;
};

static cyaml_schema_field_t text_field(const char *key, size_t offset)
{
	return (cyaml_schema_field_t){
		.key = key,
		.data_offset = (uint32_t)offset,
		.value = { .type = CYAML_STRING,
			   .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			   .data_size = sizeof(char),
			   .string = { .min = 0, .max = CYAML_UNLIMITED } },
	};
}

/* The settings of one section. */
static unsigned section_make(cyaml_schema_field_t *to, const char *section)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const char *own = sr_settings[i].section;

		if (sr_settings[i].kind == SR_KEY_CPUS)
			continue; /* a list in YAML */
		if (own == section || (own && section && !strcmp(own, section)))
			to[n++] = text_field(sr_settings[i].name, i * sizeof(char *));
	}
	return n;
}

/* The units of a SCSI host may be texts or mappings, which libcyaml cannot say: they are
 * left to take_luns. */
static void list_make(struct schema *s, enum sr_kind_id id, cyaml_schema_field_t *to)
{
	const struct sr_kind *k = sr_kinds[id];
	cyaml_schema_field_t *items = s->items[id];

	for (unsigned i = 0; i < k->n; i++)
		items[i] = text_field(k->keys[i].name, i * sizeof(char *));
	if (k->sub)
		items[k->n] = (cyaml_schema_field_t)CYAML_FIELD_IGNORE(k->sub, CYAML_FLAG_OPTIONAL);
	s->item_values[id] = (cyaml_schema_value_t){ CYAML_VALUE_MAPPING(
		CYAML_FLAG_DEFAULT, struct sr_yaml_item, items) };
	*to = (cyaml_schema_field_t){
		.key = k->list,
		.data_offset = (uint32_t)offsetof(struct sr_yaml_raw, lists[id].items),
		.count_offset = (uint32_t)offsetof(struct sr_yaml_raw, lists[id].n),
		.count_size = sizeof(unsigned),
		.value = { CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
						struct sr_yaml_item, &s->item_values[id], 0,
						k->max) },
	};
}

static void schema_make(struct schema *s)
{
	unsigned n;

	memset(s, 0, sizeof(*s));
	section_make(s->control, "control");
	section_make(s->sw, "switch");
	s->cpu_value = (cyaml_schema_value_t){ CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0,
								  CYAML_UNLIMITED) };
	n = section_make(s->top, NULL);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING(
		"control", CYAML_FLAG_OPTIONAL, struct sr_yaml_raw, control, s->control);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING("switch", CYAML_FLAG_OPTIONAL,
								struct sr_yaml_raw, sw, s->sw);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE(
		"cpus", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct sr_yaml_raw, cpus,
		&s->cpu_value, 0, SR_CPUS_MAX);
	for (unsigned k = 0; k < SR_LUNS; k++)
		list_make(s, (enum sr_kind_id)k, &s->top[n++]);
	s->top_value = (cyaml_schema_value_t){ CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER,
								   struct sr_yaml_raw, s->top) };
}

/* What libcyaml said on its way out of an error, which it only tells its log: one line of
 * reason, then where it was, from the inside out. */
struct complaint {
	char reason[128], path[SR_YAML_PATH];
};

static void path_prepend(char *path, const char *step)
{
	bool dot = *path && *path != '[';
	size_t len = strlen(path) + 1, n = strlen(step);

	if (n + dot + len > SR_YAML_PATH)
		return;
	memmove(path + n + dot, path, len);
	memcpy(path, step, n);
	if (dot)
		path[n] = '.';
}

static void listen_to_cyaml(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	static const char field[] = "  in mapping field '", entry[] = "  in sequence entry '";
	struct complaint *c = ctx;
	char line[256], step[KEY_TEXT + 16];

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, field, sizeof(field) - 1)) {
		const char *name = line + sizeof(field) - 1;

		snprintf(step, sizeof(step), "%.*s", (int)strcspn(name, "'"), name);
		path_prepend(c->path, step);
	} else if (!strncmp(line, entry, sizeof(entry) - 1)) {
		snprintf(step, sizeof(step), "[%lu]",
			 strtoul(line + sizeof(entry) - 1, NULL, 10) - 1);
		path_prepend(c->path, step);
	} else if (!c->reason[0] && !strncmp(line, "Load: ", 6) &&
		   strncmp(line, "Load: Backtrace", 15)) {
		snprintf(c->reason, sizeof(c->reason), "%.120s", line + 6);
	}
}

int sr_yaml_refuse(const struct sr_yaml_place *at, const char *path, const char *text)
{
	unsigned line = sr_yaml_marks_line(at->marks, path);

	if (!*path)
		return sr_error_set(at->e, -EINVAL, "%s:%u: %s", at->file, line, text);
	return sr_error_set(at->e, -EINVAL, "%s:%u: key '%s': %s", at->file, line, path, text);
}

static void append(char *to, size_t size, const char *word)
{
	size_t used = strlen(to);

	snprintf(to + used, size - used, "%s%s", used ? ", " : "", word);
}

/* Of an item of a list, whose path is "ports[1]". */
static void list_item_keys(const struct sr_yaml_place *at, const struct sr_kind *k,
			   const char *path, char *to, size_t size)
{
	char type_path[SR_YAML_PATH + 8];

	snprintf(type_path, sizeof(type_path), "%.*s.type", (int)strcspn(path, "]") + 1, path);
	sr_kind_keys(k, k->types ? sr_yaml_marks_value(at->marks, type_path) : NULL, to, size);
	if (k->sub)
		append(to, size, k->sub);
}

/* The keys that may stand where `path` is. */
static void list_keys(const struct sr_yaml_place *at, const char *path, char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned k = 0; k < SR_LUNS; k++) {
		size_t len = strlen(sr_kinds[k]->list);

		if (!strncmp(path, sr_kinds[k]->list, len) && path[len] == '[') {
			list_item_keys(at, sr_kinds[k], path, to, size);
			return;
		}
	}
	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const char *own = sr_settings[i].section;

		if (own ? !strcmp(own, path) : !*path)
			append(to, size, sr_settings[i].name);
	}
	if (*path)
		return;
	append(to, size, "control, switch");
	for (unsigned k = 0; k < SR_LUNS; k++)
		append(to, size, sr_kinds[k]->list);
}

static int refuse_shape(const struct sr_yaml_place *at, enum cyaml_err err,
			const struct complaint *c)
{
	static const char unexpected[] = "Unexpected key: ", seen[] = "Mapping field already seen";
	char list[400], text[SR_FAULT_TEXT], path[SR_YAML_PATH + KEY_TEXT + 2];

	if (!strncmp(c->reason, unexpected, sizeof(unexpected) - 1)) {
		snprintf(path, sizeof(path), "%s%s%.64s", c->path, *c->path ? "." : "",
			 c->reason + sizeof(unexpected) - 1);
		list_keys(at, c->path, list, sizeof(list));
		snprintf(text, sizeof(text), "unknown, expected one of %s", list);
		return sr_yaml_refuse(at, path, text);
	}
	if (!strncmp(c->reason, seen, sizeof(seen) - 1))
		return sr_yaml_refuse(at, c->path, "given twice");
	if (err == CYAML_ERR_ALIAS)
		return sr_yaml_refuse(at, c->path, "got an alias, expected the value itself");
	if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
		return sr_yaml_refuse(at, c->path, "too many entries");
	if (strstr(c->reason, "Expecting STRING"))
		return sr_yaml_refuse(at, c->path, "got a list or mapping, expected one value");
	if (strstr(c->reason, "Expecting SEQUENCE"))
		return sr_yaml_refuse(at, c->path, "expected a list");
	if (strstr(c->reason, "Expecting MAPPING"))
		return sr_yaml_refuse(at, c->path, "expected a mapping of keys to values");
	snprintf(text, sizeof(text), "%s: %s", cyaml_strerror(err), c->reason);
	return sr_yaml_refuse(at, c->path, text);
}

struct sr_yaml_shape {
	struct schema schema;
	struct complaint complaint;
	cyaml_config_t config;
	struct sr_yaml_raw *raw;
};

static int load(struct sr_yaml_shape *s, const struct sr_yaml_place *at, const char *text,
		size_t len)
{
	enum cyaml_err err;

	s->config = (cyaml_config_t){ .log_fn = listen_to_cyaml,
				      .log_ctx = &s->complaint,
				      .log_level = CYAML_LOG_ERROR,
				      .mem_fn = cyaml_mem,
				      .flags = CYAML_CFG_NO_ALIAS };
	schema_make(&s->schema);
	err = cyaml_load_data((const uint8_t *)text, len, &s->config, &s->schema.top_value,
			      (cyaml_data_t **)&s->raw, NULL);
	if (err != CYAML_OK)
		return refuse_shape(at, err, &s->complaint);
	if (!s->raw)
		return sr_yaml_refuse(at, "",
				      "is empty, expected settings, ports, disks or devices");
	return 0;
}

struct sr_yaml_shape *sr_yaml_shape_load(const struct sr_yaml_place *at, const char *text,
					 size_t len)
{
	struct sr_yaml_shape *s = calloc(1, sizeof(*s));

	if (!s) {
		sr_error_set(at->e, -ENOMEM, "%s: out of memory", at->file);
		return NULL;
	}
	if (load(s, at, text, len)) {
		free(s);
		return NULL;
	}
	return s;
}

const struct sr_yaml_raw *sr_yaml_shape_raw(const struct sr_yaml_shape *s)
{
	return s->raw;
}

void sr_yaml_shape_free(struct sr_yaml_shape *s)
{
	cyaml_free(&s->config, &s->schema.top_value, s->raw, 0);
	free(s);
}
