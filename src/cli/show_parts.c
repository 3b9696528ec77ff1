/* SPDX-License-Identifier: BSD-3-Clause */
#include "show_parts.h"
#include "base.h"

const char *sr_show_text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

json_int_t sr_show_number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

json_int_t sr_show_counter_of(const json_t *port, const char *key)
{
	return sr_show_number_of(json_object_get(port, "counters"), key);
}

const json_t *sr_show_find(const json_t *list, const char *name)
{
	for (size_t i = 0; name && i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		const char *other = sr_show_text_of(p, "name");

		if (other && !strcmp(other, name))
			return p;
	}
	return NULL;
}

void sr_show_rate_cell(struct sr_table *t, json_int_t before, json_int_t now, double scale)
{
	char text[32];

	/* What was removed and added again counts from 0. */
	snprintf(text, sizeof(text), "%.*f", scale < 1e-3 ? 1 : 0,
		 now < before ? 0.0 : (double)(now - before) * scale);
	sr_table_cell(t, text);
}

#define TEXT_WIDTH 78

/* Words after a label, wrapped under each other. */
void sr_show_words(const char *label, const json_t *words, FILE *to)
{
	int column = fprintf(to, "%-*s", SR_SHOW_LABEL, label);

	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		int len = word ? (int)strlen(word) : 0;

		if (column > SR_SHOW_LABEL && column + 1 + len > TEXT_WIDTH) {
			fprintf(to, "\n%*s", SR_SHOW_LABEL, "");
			column = SR_SHOW_LABEL;
		}
		column += fprintf(to, "%s%s", column > SR_SHOW_LABEL ? " " : "", word ? word : "?");
	}
	fputs(json_array_size(words) ? "\n" : "none\n", to);
}

static void show_regions(const json_t *regions, FILE *to)
{
	for (size_t i = 0; i < json_array_size(regions); i++) {
		const json_t *r = json_array_get(regions, i);
		const char *gpa = sr_show_text_of(r, "gpa");
		json_int_t size = sr_show_number_of(r, "size");

		fprintf(to, "%-*s%s, %" JSON_INTEGER_FORMAT " KiB\n", SR_SHOW_LABEL,
			i ? "" : "memory:", gpa ? gpa : "?", size / 1024);
	}
}

/* What has a form of its own, as all that is a list has. */
static bool is_special(const char *key)
{
	return !strcmp(key, "features_mask") || !strcmp(key, "last_error");
}

void sr_show_values(const json_t *object, const char *indent, FILE *to)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char label[64];
		size_t len = strlen(indent);

		if (is_special(key) || json_is_array(value) || json_is_object(value))
			continue;
		snprintf(label, sizeof(label), "%s%.40s:", indent, key);
		for (char *c = label + len; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		fprintf(to, "%-*s", SR_SHOW_LABEL, label);
		if (json_is_string(value))
			fprintf(to, "%s\n", json_string_value(value));
		else if (json_is_boolean(value))
			fprintf(to, "%s\n", json_is_true(value) ? "yes" : "no");
		else if (json_is_null(value))
			fputs("-\n", to);
		else
			fprintf(to, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	}
}

void sr_show_session(const json_t *of, FILE *to)
{
	const char *error = sr_show_text_of(of, "last_error");

	sr_show_words("features:", json_object_get(of, "features"), to);
	sr_show_words("protocol:", json_object_get(of, "protocol_features"), to);
	show_regions(json_object_get(of, "memory"), to);
	fprintf(to, "%-*s%s\n", SR_SHOW_LABEL, "last error:", error && *error ? error : "none");
}
