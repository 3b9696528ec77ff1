/* SPDX-License-Identifier: BSD-3-Clause */
#include "kind.h"
#include "base.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

int sr_fault_at(struct sr_fault *fault, int key, const char *text)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "%s", text);
	return -EINVAL;
}

int sr_kind_key(const struct sr_kind *kind, const char *name)
{
	int k = sr_key_find(kind->keys, kind->n, name);

	assert(k >= 0);
	return k;
}

const char *sr_kind_name(const struct sr_kind *kind, const void *item)
{
	return (const char *)item + kind->name_at;
}

void sr_kind_keys(const struct sr_kind *kind, const char *type, char *to, size_t size)
{
	unsigned of = ~0u;

	for (unsigned t = 0; type && kind->types && kind->types[t]; t++)
		if (!strcmp(type, kind->types[t]))
			of = 1u << t;
	to[0] = '\0';
	for (unsigned i = 0; i < kind->n; i++) {
		size_t used = strlen(to);

		if (kind->keys[i].uses & of)
			snprintf(to + used, size - used, "%s%s", used ? ", " : "",
				 kind->keys[i].name);
	}
}

static unsigned type_of(const struct sr_kind *kind, const void *item)
{
	const void *at = (const char *)item + kind->keys[0].offset;

	return kind->types ? *(const unsigned *)at : 0;
}

/* Nobody says "nbd" but by its letters. */
static const char *article(const char *word)
{
	return !strcmp(word, "nbd") || !strcmp(word, "rbd") ? "an" : "a";
}

/* Key `i` is there and must not be, or the reverse. */
static int check_presence(const struct sr_kind *kind, const void *item, const char *const *values,
			  unsigned i, struct sr_fault *fault)
{
	const struct sr_key *k = &kind->keys[i];
	unsigned type = type_of(kind, item);
	const char *word = kind->types ? kind->types[type] : "", *gap = kind->types ? " " : "";
	char text[SR_FAULT_TEXT], list[320];

	if (!values[i] && (k->needs & 1u << type)) {
		snprintf(text, sizeof(text), "missing, %s %s%s%s needs it", article(word), word,
			 gap, kind->noun);
		return sr_fault_at(fault, (int)i, text);
	}
	if (values[i] && !(k->uses & 1u << type)) {
		sr_kind_keys(kind, word, list, sizeof(list));
		snprintf(text, sizeof(text), "not for %s %s%s%s, expected one of %s", article(word),
			 word, gap, kind->noun, list);
		return sr_fault_at(fault, (int)i, text);
	}
	return 0;
}

static int no_type(const struct sr_kind *kind, struct sr_fault *fault)
{
	char text[SR_FAULT_TEXT] = "missing, expected ";
	size_t used = strlen(text);

	sr_words_list(kind->types, "", text + used, sizeof(text) - used);
	return sr_fault_at(fault, 0, text);
}

int sr_kind_make(const struct sr_kind *kind, const char *const *values, void *item,
		 struct sr_fault *fault)
{
	memset(item, 0, kind->size);
	if (kind->init)
		kind->init(item);
	if (kind->types && !values[0])
		return no_type(kind, fault);
	for (unsigned i = 0; i < kind->n; i++) {
		if (check_presence(kind, item, values, i, fault))
			return -EINVAL;
		fault->key = (int)i;
		if (values[i] && sr_key_store(&kind->keys[i], item, values[i], fault))
			return -EINVAL;
	}
	return kind->settle ? kind->settle(item, values, fault) : 0;
}

int sr_kind_change(const struct sr_kind *kind, const char *const *values, void *item,
		   struct sr_fault *fault)
{
	for (unsigned i = 0; i < kind->n; i++) {
		fault->key = (int)i;
		if (values[i] && sr_key_store(&kind->keys[i], item, values[i], fault))
			return -EINVAL;
	}
	return 0;
}

static int no_such_key(const struct sr_kind *kind, const char *spec, const char *key,
		       const char *type, struct sr_error *e)
{
	char list[400];
	size_t skip = kind->types ? strlen("type, ") : 0;

	sr_kind_keys(kind, type, list, sizeof(list));
	return sr_error_set(e, -EINVAL, "'%.200s': unknown key '%s', expected one of %s", spec, key,
			    list + skip);
}

int sr_kind_split_pairs(const struct sr_kind *kind, const char *spec, char *rest,
			const char *values[SR_KEYS_MAX], struct sr_error *e)
{
	char *pair;

	while ((pair = strsep(&rest, ","))) {
		char *key = strsep(&pair, "=");
		int i = sr_key_find(kind->keys, kind->n, key);

		if (i < 0 || (kind->types && i == 0))
			return no_such_key(kind, spec, key, kind->types ? values[0] : NULL, e);
		if (!pair)
			return sr_error_set(e, -EINVAL,
					    "'%.250s': key '%s': no value, expected %s=...", spec,
					    key, key);
		if (values[i])
			return sr_error_set(e, -EINVAL, "'%.250s': key '%s' is given twice", spec,
					    key);
		values[i] = pair;
	}
	return 0;
}

int sr_kind_split(const struct sr_kind *kind, const char *spec, char copy[SR_SPEC_MAX],
		  const char *values[SR_KEYS_MAX], struct sr_error *e)
{
	char *rest = copy, list[128];

	if (strlen(spec) >= SR_SPEC_MAX)
		return sr_error_set(e, -EINVAL, "'%.60s...': expected at most %u bytes", spec,
				    SR_SPEC_MAX - 1);
	strcpy(copy, spec);
	if (kind->types) {
		values[0] = strsep(&rest, ",");
		sr_words_list(kind->types, ",...", list, sizeof(list));
		if (strchr(values[0], '='))
			return sr_error_set(
				e, -EINVAL,
				"'%.250s': starts with '%s', expected the type first: %s", spec,
				values[0], list);
	}
	return sr_kind_split_pairs(kind, spec, rest, values, e);
}

int sr_kind_parse(const struct sr_kind *kind, const char *spec, void *item, struct sr_error *e)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	struct sr_fault fault;
	char copy[SR_SPEC_MAX];
	int err = sr_kind_split(kind, spec, copy, values, e);

	if (err)
		return err;
	if (sr_kind_make(kind, values, item, &fault))
		return sr_error_set(e, -EINVAL, "'%.250s': key '%s': %s", spec,
				    kind->keys[fault.key].name, fault.text);
	return 0;
}
