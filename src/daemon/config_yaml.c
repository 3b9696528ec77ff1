/* SPDX-License-Identifier: BSD-3-Clause */
/* What a YAML file says, key by key, becomes a configuration. Its shape is right already:
 * yaml_shape.c. */
#include "base.h"
#include "config.h"
#include "yaml_marks.h"
#include "yaml_shape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define KEY_TEXT 64

static const char *raw_setting(const struct sr_yaml_raw *r, unsigned i)
{
	const char *section = sr_settings[i].section;

	if (!section)
		return r->top.values[i];
	return strcmp(section, "control") ? r->sw.values[i] : r->control.values[i];
}

/* [0, 2-3] becomes "0,2-3", the command line's form. */
static void join_cpus(const struct sr_yaml_raw *r, char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned i = 0; i < r->cpus_count; i++) {
		size_t used = strlen(to);

		snprintf(to + used, size - used, "%s%s", i ? "," : "", r->cpus[i]);
	}
}

static int take_settings(const struct sr_yaml_raw *r, struct sr_config *c,
			 const struct sr_yaml_place *at)
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
			return sr_yaml_refuse(at, path, fault.text);
	}
	return 0;
}

static int refuse_clash(const struct sr_config *c, const struct sr_clash *clash,
			const struct sr_yaml_place *at)
{
	char path[SR_YAML_PATH];

	sr_config_path(c, clash->kind, clash->i, clash->key, path, sizeof(path));
	return sr_yaml_refuse(at, path, clash->text);
}

/* Judges and adds one; `path` is its own, as "ports[1]". */
static int take_item(const char *const *values, enum sr_kind_id id, const char *path,
		     struct sr_conf_lun *lun, struct sr_config *c, const struct sr_yaml_place *at)
{
	const struct sr_kind *kind = sr_kinds[id];
	char item[SR_ITEM_MAX] __attribute__((aligned(8))), key_path[SR_YAML_PATH];
	struct sr_fault fault;
	struct sr_clash clash;

	if (sr_kind_make(kind, values, item, &fault)) {
		snprintf(key_path, sizeof(key_path), "%.150s.%s", path, kind->keys[fault.key].name);
		return sr_yaml_refuse(at, key_path, fault.text);
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
			 struct sr_config *c, const struct sr_yaml_place *at)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX];
	struct sr_error why;

	if (sr_conf_lun_split(spec, copy, values, &why))
		return sr_yaml_refuse(at, path, why.text);
	return take_item(values, SR_LUNS, path, lun, c, at);
}

/* {target: 0, lun: 0, disk: d0} */
static int take_lun_mapping(const char *path, struct sr_conf_lun *lun, struct sr_config *c,
			    const struct sr_yaml_place *at)
{
	const char *values[SR_KEYS_MAX] = { NULL }, *key;
	char key_path[SR_YAML_PATH], text[SR_FAULT_TEXT] = "unknown, expected one of ";

	for (unsigned i = 0; (key = sr_yaml_marks_key(at->marks, path, i)); i++) {
		int k = sr_key_find(sr_lun_kind.keys, sr_lun_kind.n, key);

		snprintf(key_path, sizeof(key_path), "%.150s.%.64s", path, key);
		if (k < 0) {
			sr_kind_keys(&sr_lun_kind, NULL, text + strlen(text), 200);
			return sr_yaml_refuse(at, key_path, text);
		}
		if (values[k])
			return sr_yaml_refuse(at, key_path, "given twice");
		values[k] = sr_yaml_marks_value(at->marks, key_path);
		if (!values[k])
			return sr_yaml_refuse(at, key_path,
					      "got a list or mapping, expected one value");
	}
	return take_item(values, SR_LUNS, path, lun, c, at);
}

static int take_luns(unsigned scsi, struct sr_config *c, const struct sr_yaml_place *at)
{
	struct sr_conf_lun lun = { .scsi = scsi };
	char path[SR_YAML_PATH];
	int n, err = 0;

	snprintf(path, sizeof(path), "scsi[%u].luns", scsi);
	n = sr_yaml_marks_count(at->marks, path);
	if (n == -EINVAL)
		return sr_yaml_refuse(at, path, "expected a list");
	for (; !err && (int)lun.nth < n; lun.nth++) {
		const char *spec;

		snprintf(path, sizeof(path), "scsi[%u].luns[%u]", scsi, lun.nth);
		spec = sr_yaml_marks_value(at->marks, path);
		err = spec ? take_lun_text(spec, path, &lun, c, at)
			   : take_lun_mapping(path, &lun, c, at);
	}
	return err;
}

static int take_list(const struct sr_yaml_list *l, enum sr_kind_id id, struct sr_config *c,
		     const struct sr_yaml_place *at)
{
	int err = 0;

	for (unsigned i = 0; !err && i < l->n; i++) {
		const char *values[SR_KEYS_MAX];
		char path[SR_YAML_PATH];

		for (unsigned k = 0; k < SR_KEYS_MAX; k++)
			values[k] = l->items[i].values[k];
		snprintf(path, sizeof(path), "%s[%u]", sr_kinds[id]->list, i);
		err = take_item(values, id, path, NULL, c, at);
		if (!err && sr_kinds[id]->sub)
			err = take_luns(i, c, at);
	}
	return err;
}

static int settle(struct sr_config *c, const struct sr_yaml_place *at)
{
	struct sr_fault fault;
	struct sr_clash clash;
	char path[KEY_TEXT];

	if (sr_config_check_disks(c, &clash))
		return refuse_clash(c, &clash, at);
	if (!sr_config_settle(c, &fault))
		return 0;
	sr_setting_path((unsigned)fault.key, path, sizeof(path));
	return sr_yaml_refuse(at, path, fault.text);
}

static int take_all(const struct sr_yaml_raw *r, struct sr_config *c,
		    const struct sr_yaml_place *at)
{
	int err = take_settings(r, c, at);

	for (unsigned k = 0; !err && k < SR_LUNS; k++)
		err = take_list(&r->lists[k], (enum sr_kind_id)k, c, at);
	return err ? err : settle(c, at);
}

static int load_marked(const struct sr_yaml_place *at, const char *text, size_t len,
		       struct sr_config *c)
{
	struct sr_yaml_shape *s = sr_yaml_shape_load(at, text, len);
	int err;

	if (!s)
		return at->e ? at->e->code : -EINVAL;
	err = take_all(sr_yaml_shape_raw(s), c, at);
	sr_yaml_shape_free(s);
	return err;
}

int sr_config_load_text(const char *path, const char *text, size_t len, struct sr_config *c,
			struct sr_error *e)
{
	struct sr_error inner;
	struct sr_yaml_marks *marks = sr_yaml_marks_create(text, len, &inner);
	struct sr_yaml_place at = { path, marks, e };
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
