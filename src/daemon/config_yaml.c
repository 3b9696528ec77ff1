/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The YAML file. libcyaml checks the shape (which keys exist where, what is a list, what a
 * mapping) against a schema made from the tables of keys; the values come as text and are
 * judged by sr_key_store like those of the command line. libcyaml's own integers were
 * rejected: it reads "permissions: 660" as decimal without a word, and its error texts
 * don't say what was expected.
 */
#include "base.h"
#include "config.h"
#include "yaml_marks.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX  (1u << 20)
#define PATH_TEXT 256
#define KEY_TEXT  64

struct raw_port {
	char *values[SR_PORT_KEYS];
};

/* One place for each setting in each section; the schema uses the right ones. */
struct raw_settings {
	char *values[SR_SETTINGS];
};

struct raw {
	struct raw_settings top, control, sw;
	char **cpus;
	unsigned cpus_count;
	struct raw_port *ports;
	unsigned ports_count;
};

/* Filled by schema_make: the same tables as everywhere, in libcyaml's form. */
struct schema {
	cyaml_schema_field_t port[SR_PORT_KEYS + 1];
	cyaml_schema_field_t control[SR_SETTINGS + 1], sw[SR_SETTINGS + 1];
	cyaml_schema_field_t top[SR_SETTINGS + 4];
	cyaml_schema_value_t port_value, cpu_value, top_value;
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

static void schema_make(struct schema *s)
{
	unsigned n;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < SR_PORT_KEYS; i++)
		s->port[i] = text_field(sr_port_keys[i].name, i * sizeof(char *));
	section_make(s->control, "control");
	section_make(s->sw, "switch");
	s->port_value = (cyaml_schema_value_t){ CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
								    struct raw_port, s->port) };
	s->cpu_value = (cyaml_schema_value_t){ CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0,
								  CYAML_UNLIMITED) };
	n = section_make(s->top, NULL);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING("control", CYAML_FLAG_OPTIONAL,
								struct raw, control, s->control);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING("switch", CYAML_FLAG_OPTIONAL,
								struct raw, sw, s->sw);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE(
		"cpus", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw, cpus, &s->cpu_value,
		0, SR_CPUS_MAX);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE(
		"ports", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw, ports,
		&s->port_value, 0, SR_PORTS_MAX);
	s->top_value = (cyaml_schema_value_t){ CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw,
								   s->top) };
}

/* What libcyaml said on its way out of an error, which it only tells its log: one line of
 * reason, then where it was, from the inside out. */
struct complaint {
	char reason[128], path[PATH_TEXT];
};

static void path_prepend(char *path, const char *step)
{
	bool dot = *path && *path != '[';
	size_t len = strlen(path) + 1, n = strlen(step);

	if (n + dot + len > PATH_TEXT)
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

struct place {
	const char *file;
	const struct sr_yaml_marks *marks;
	struct sr_error *e;
};

static int refuse_at(const struct place *at, const char *path, const char *text)
{
	unsigned line = sr_yaml_marks_line(at->marks, path);

	if (!*path)
		return sr_error_set(at->e, -EINVAL, "%s:%u: %s", at->file, line, text);
	return sr_error_set(at->e, -EINVAL, "%s:%u: key '%s': %s", at->file, line, path, text);
}

/* The keys that may stand where `path` is. */
static void list_keys(const struct place *at, const char *path, char *to, size_t size)
{
	char type_path[PATH_TEXT + 8];

	to[0] = '\0';
	if (!strncmp(path, "ports[", 6)) {
		snprintf(type_path, sizeof(type_path), "%.*s.type", (int)strcspn(path, "]") + 1,
			 path);
		sr_port_keys_list(sr_yaml_marks_value(at->marks, type_path), to, size);
		return;
	}
	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const char *own = sr_settings[i].section;
		size_t used = strlen(to);

		if (own ? !strcmp(own, path) : !*path)
			snprintf(to + used, size - used, "%s%s", used ? ", " : "",
				 sr_settings[i].name);
	}
	if (!*path)
		snprintf(to + strlen(to), size - strlen(to), ", control, switch, ports");
}

static int refuse_shape(const struct place *at, enum cyaml_err err, const struct complaint *c)
{
	static const char unexpected[] = "Unexpected key: ", seen[] = "Mapping field already seen";
	char list[256], text[SR_FAULT_TEXT], path[PATH_TEXT + KEY_TEXT + 2];

	if (!strncmp(c->reason, unexpected, sizeof(unexpected) - 1)) {
		snprintf(path, sizeof(path), "%s%s%.64s", c->path, *c->path ? "." : "",
			 c->reason + sizeof(unexpected) - 1);
		list_keys(at, c->path, list, sizeof(list));
		snprintf(text, sizeof(text), "unknown, expected one of %s", list);
		return refuse_at(at, path, text);
	}
	if (!strncmp(c->reason, seen, sizeof(seen) - 1))
		return refuse_at(at, c->path, "given twice");
	if (err == CYAML_ERR_ALIAS)
		return refuse_at(at, c->path, "got an alias, expected the value itself");
	if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
		return refuse_at(at, c->path, "too many entries");
	if (strstr(c->reason, "Expecting STRING"))
		return refuse_at(at, c->path, "got a list or mapping, expected one value");
	if (strstr(c->reason, "Expecting SEQUENCE"))
		return refuse_at(at, c->path, "expected a list");
	if (strstr(c->reason, "Expecting MAPPING"))
		return refuse_at(at, c->path, "expected a mapping of keys to values");
	snprintf(text, sizeof(text), "%s: %s", cyaml_strerror(err), c->reason);
	return refuse_at(at, c->path, text);
}

static const char *raw_setting(const struct raw *r, unsigned i)
{
	const char *section = sr_settings[i].section;

	if (!section)
		return r->top.values[i];
	return strcmp(section, "control") ? r->sw.values[i] : r->control.values[i];
}

/* [0, 2-3] becomes "0,2-3", the command line's form. */
static void join_cpus(const struct raw *r, char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned i = 0; i < r->cpus_count; i++) {
		size_t used = strlen(to);

		snprintf(to + used, size - used, "%s%s", i ? "," : "", r->cpus[i]);
	}
}

static int take_settings(const struct raw *r, struct sr_config *c, const struct place *at)
{
	char path[KEY_TEXT], cpus[1024];
	struct sr_fault fault;

	for (unsigned i = 0; i < SR_SETTINGS; i++) {
		const char *text = raw_setting(r, i);

		if (sr_settings[i].kind == SR_KEY_CPUS && r->cpus) {
			join_cpus(r, cpus, sizeof(cpus));
			text = cpus;
		}
		sr_setting_path(i, path, sizeof(path));
		if (text && sr_key_store(&sr_settings[i], c, text, &fault))
			return refuse_at(at, path, fault.text);
	}
	return 0;
}

static int take_port(const struct raw_port *r, unsigned i, struct sr_config *c,
		     const struct place *at)
{
	const char *values[SR_PORT_KEYS];
	char path[PATH_TEXT], text[SR_FAULT_TEXT];
	struct sr_port_config p;
	struct sr_fault fault;
	unsigned key;
	int clash;

	for (unsigned k = 0; k < SR_PORT_KEYS; k++)
		values[k] = r->values[k];
	if (sr_port_config_make(values, &p, &fault)) {
		snprintf(path, sizeof(path), "ports[%u].%s", i, sr_port_keys[fault.key].name);
		return refuse_at(at, path, fault.text);
	}
	if (sr_config_add_port(c, &p, at->e))
		return at->e ? at->e->code : -ENOMEM;
	clash = sr_config_clash(c, &key);
	if (clash < 0)
		return 0;
	snprintf(path, sizeof(path), "ports[%d].%s", clash, sr_port_keys[key].name);
	snprintf(text, sizeof(text), "got '%s', which ports[%d] on line %u has already",
		 (const char *)&p + sr_port_keys[key].offset, clash,
		 sr_yaml_marks_line(at->marks, path));
	snprintf(path, sizeof(path), "ports[%u].%s", i, sr_port_keys[key].name);
	return refuse_at(at, path, text);
}

static int settle(struct sr_config *c, const struct place *at)
{
	struct sr_fault fault;
	char path[KEY_TEXT];

	if (!sr_config_settle(c, &fault))
		return 0;
	sr_setting_path((unsigned)fault.key, path, sizeof(path));
	return refuse_at(at, path, fault.text);
}

static int take_all(const struct raw *r, struct sr_config *c, const struct place *at)
{
	int err = take_settings(r, c, at);

	for (unsigned i = 0; !err && i < r->ports_count; i++)
		err = take_port(&r->ports[i], i, c, at);
	return err ? err : settle(c, at);
}

static int load_marked(const struct place *at, const char *text, size_t len, struct sr_config *c)
{
	struct complaint complaint = { .reason = "" };
	struct schema schema;
	struct raw *raw = NULL;
	cyaml_config_t cfg = { .log_fn = listen_to_cyaml,
			       .log_ctx = &complaint,
			       .log_level = CYAML_LOG_ERROR,
			       .mem_fn = cyaml_mem,
			       .flags = CYAML_CFG_NO_ALIAS };
	enum cyaml_err err;
	int ret;

	schema_make(&schema);
	err = cyaml_load_data((const uint8_t *)text, len, &cfg, &schema.top_value,
			      (cyaml_data_t **)&raw, NULL);
	if (err != CYAML_OK)
		return refuse_shape(at, err, &complaint);
	if (!raw)
		return refuse_at(at, "", "is empty, expected settings and ports");
	ret = take_all(raw, c, at);
	cyaml_free(&cfg, &schema.top_value, raw, 0);
	return ret;
}

int sr_config_load_text(const char *path, const char *text, size_t len, struct sr_config *c,
			struct sr_error *e)
{
	struct sr_error inner;
	struct sr_yaml_marks *marks = sr_yaml_marks_create(text, len, &inner);
	struct place at = { path, marks, e };
	int err;

	sr_config_init(c);
	if (!marks)
		return sr_error_set(e, inner.code, "%s:%.400s", path, inner.text);
	err = load_marked(&at, text, len, c);
	c->file = path;
	c->marks = marks;
	if (err)
		sr_config_finish(c);
	return err;
}

static int read_all(int fd, char *to, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, to + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		*len += (size_t)n;
	}
	return -EFBIG;
}

int sr_config_load(const char *path, struct sr_config *c, struct sr_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	char *text;
	size_t len;

	if (fd < 0)
		return sr_error_set(e, -errno, "%s: %s", path, strerror(errno));
	text = malloc(FILE_MAX);
	err = text ? read_all(fd, text, FILE_MAX, &len) : -ENOMEM;
	close(fd);
	if (err)
		sr_error_set(e, err, "%s: %s", path,
			     err == -EFBIG ? "expected less than 1 MiB" : strerror(-err));
	else
		err = sr_config_load_text(path, text, len, c, e);
	free(text);
	return err;
}
