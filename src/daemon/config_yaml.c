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

/* One of any kind; the schema of each kind uses the first so many values. */
struct raw_item {
	char *values[SR_KEYS_MAX];
};

/* One place for each setting in each section; the schema uses the right ones. */
struct raw_settings {
	char *values[SR_SETTINGS];
};

struct raw {
	struct raw_settings top, control, sw;
	char **cpus;
	unsigned cpus_count;
	struct raw_list {
		struct raw_item *items;
		unsigned n;
	} lists[SR_KINDS];
};

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
	s->item_values[id] = (cyaml_schema_value_t){ CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
									 struct raw_item, items) };
	*to = (cyaml_schema_field_t){
		.key = k->list,
		.data_offset = (uint32_t)offsetof(struct raw, lists[id].items),
		.count_offset = (uint32_t)offsetof(struct raw, lists[id].n),
		.count_size = sizeof(unsigned),
		.value = { CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
						struct raw_item, &s->item_values[id], 0, k->max) },
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
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING("control", CYAML_FLAG_OPTIONAL,
								struct raw, control, s->control);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_MAPPING("switch", CYAML_FLAG_OPTIONAL,
								struct raw, sw, s->sw);
	s->top[n++] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE(
		"cpus", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw, cpus, &s->cpu_value,
		0, SR_CPUS_MAX);
	for (unsigned k = 0; k < SR_LUNS; k++)
		list_make(s, (enum sr_kind_id)k, &s->top[n++]);
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

static void append(char *to, size_t size, const char *word)
{
	size_t used = strlen(to);

	snprintf(to + used, size - used, "%s%s", used ? ", " : "", word);
}

/* Of an item of a list, whose path is "ports[1]". */
static void list_item_keys(const struct place *at, const struct sr_kind *k, const char *path,
			   char *to, size_t size)
{
	char type_path[PATH_TEXT + 8];

	snprintf(type_path, sizeof(type_path), "%.*s.type", (int)strcspn(path, "]") + 1, path);
	sr_kind_keys(k, k->types ? sr_yaml_marks_value(at->marks, type_path) : NULL, to, size);
	if (k->sub)
		append(to, size, k->sub);
}

/* The keys that may stand where `path` is. */
static void list_keys(const struct place *at, const char *path, char *to, size_t size)
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

static int refuse_shape(const struct place *at, enum cyaml_err err, const struct complaint *c)
{
	static const char unexpected[] = "Unexpected key: ", seen[] = "Mapping field already seen";
	char list[400], text[SR_FAULT_TEXT], path[PATH_TEXT + KEY_TEXT + 2];

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

static int refuse_clash(const struct sr_config *c, const struct sr_clash *clash,
			const struct place *at)
{
	char path[PATH_TEXT];

	sr_config_path(c, clash->kind, clash->i, clash->key, path, sizeof(path));
	return refuse_at(at, path, clash->text);
}

/* Judges and adds one; `path` is its own, as "ports[1]". */
static int take_item(const char *const *values, enum sr_kind_id id, const char *path,
		     struct sr_conf_lun *lun, struct sr_config *c, const struct place *at)
{
	const struct sr_kind *kind = sr_kinds[id];
	char item[SR_ITEM_MAX] __attribute__((aligned(8))), key_path[PATH_TEXT];
	struct sr_fault fault;
	struct sr_clash clash;

	if (sr_kind_make(kind, values, item, &fault)) {
		snprintf(key_path, sizeof(key_path), "%.150s.%s", path, kind->keys[fault.key].name);
		return refuse_at(at, key_path, fault.text);
	}
	if (lun) {
		struct sr_conf_lun *made = (void *)item;

		made->scsi = lun->scsi;
		made->nth = lun->nth;
	}
	if (sr_config_add(c, id, item, at->e))
		return at->e ? at->e->code : -ENOMEM;
	return sr_config_check_last(c, id, &clash) ? refuse_clash(c, &clash, at) : 0;
}

/* "0:0=d0,serial=x" */
static int take_lun_text(const char *spec, const char *path, struct sr_conf_lun *lun,
			 struct sr_config *c, const struct place *at)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX];
	struct sr_error why;

	if (sr_conf_lun_split(spec, copy, values, &why))
		return refuse_at(at, path, why.text);
	return take_item(values, SR_LUNS, path, lun, c, at);
}

/* {target: 0, lun: 0, disk: d0} */
static int take_lun_mapping(const char *path, struct sr_conf_lun *lun, struct sr_config *c,
			    const struct place *at)
{
	const char *values[SR_KEYS_MAX] = { NULL }, *key;
	char key_path[PATH_TEXT], text[SR_FAULT_TEXT] = "unknown, expected one of ";

	for (unsigned i = 0; (key = sr_yaml_marks_key(at->marks, path, i)); i++) {
		int k = sr_key_find(sr_lun_kind.keys, sr_lun_kind.n, key);

		snprintf(key_path, sizeof(key_path), "%.150s.%.64s", path, key);
		if (k < 0) {
			sr_kind_keys(&sr_lun_kind, NULL, text + strlen(text), 200);
			return refuse_at(at, key_path, text);
		}
		if (values[k])
			return refuse_at(at, key_path, "given twice");
		values[k] = sr_yaml_marks_value(at->marks, key_path);
		if (!values[k])
			return refuse_at(at, key_path, "got a list or mapping, expected one value");
	}
	return take_item(values, SR_LUNS, path, lun, c, at);
}

static int take_luns(unsigned scsi, struct sr_config *c, const struct place *at)
{
	struct sr_conf_lun lun = { .scsi = scsi };
	char path[PATH_TEXT];
	int n, err = 0;

	snprintf(path, sizeof(path), "scsi[%u].luns", scsi);
	n = sr_yaml_marks_count(at->marks, path);
	if (n == -EINVAL)
		return refuse_at(at, path, "expected a list");
	for (; !err && (int)lun.nth < n; lun.nth++) {
		const char *spec;

		snprintf(path, sizeof(path), "scsi[%u].luns[%u]", scsi, lun.nth);
		spec = sr_yaml_marks_value(at->marks, path);
		err = spec ? take_lun_text(spec, path, &lun, c, at)
			   : take_lun_mapping(path, &lun, c, at);
	}
	return err;
}

static int take_list(const struct raw_list *l, enum sr_kind_id id, struct sr_config *c,
		     const struct place *at)
{
	int err = 0;

	for (unsigned i = 0; !err && i < l->n; i++) {
		const char *values[SR_KEYS_MAX];
		char path[PATH_TEXT];

		for (unsigned k = 0; k < SR_KEYS_MAX; k++)
			values[k] = l->items[i].values[k];
		snprintf(path, sizeof(path), "%s[%u]", sr_kinds[id]->list, i);
		err = take_item(values, id, path, NULL, c, at);
		if (!err && sr_kinds[id]->sub)
			err = take_luns(i, c, at);
	}
	return err;
}

static int settle(struct sr_config *c, const struct place *at)
{
	struct sr_fault fault;
	struct sr_clash clash;
	char path[KEY_TEXT];

	if (sr_config_check_disks(c, &clash))
		return refuse_clash(c, &clash, at);
	if (!sr_config_settle(c, &fault))
		return 0;
	sr_setting_path((unsigned)fault.key, path, sizeof(path));
	return refuse_at(at, path, fault.text);
}

static int take_all(const struct raw *r, struct sr_config *c, const struct place *at)
{
	int err = take_settings(r, c, at);

	for (unsigned k = 0; !err && k < SR_LUNS; k++)
		err = take_list(&r->lists[k], (enum sr_kind_id)k, c, at);
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
		return refuse_at(at, "", "is empty, expected settings, ports, disks or devices");
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
	c->file = path;
	c->marks = marks;
	err = load_marked(&at, text, len, c);
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
