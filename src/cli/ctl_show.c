/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_show.h"
#include "base.h"
#include "table.h"

#include <inttypes.h>

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static json_int_t counter_of(const json_t *port, const char *key)
{
	return number_of(json_object_get(port, "counters"), key);
}

static json_int_t drops_of(const json_t *port)
{
	return counter_of(port, "rx_dropped") + counter_of(port, "tx_dropped") +
	       counter_of(port, "tx_bad");
}

/* A tap has no queues or regions: "-". */
static void cell_if_there(struct sr_table *t, const json_t *port, const char *key)
{
	if (json_object_get(port, key))
		sr_table_number(t, number_of(port, key));
	else
		sr_table_cell(t, NULL);
}

static bool is_unplugged(const json_t *port)
{
	return json_is_false(json_object_get(port, "plugged"));
}

void sr_show_ports(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "PORT",	    "TYPE",	 "STATE",      "LINK",
					      ">QUEUES",    ">REGIONS",	 ">RX-FRAMES", ">RX-BYTES",
					      ">TX-FRAMES", ">TX-BYTES", ">DROPS" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);

		sr_table_cell(t, text_of(p, "name"));
		sr_table_cell(t, text_of(p, "type"));
		sr_table_cell(t, text_of(p, "state"));
		sr_table_cell(t, is_unplugged(p) ? "off" : text_of(p, "link"));
		cell_if_there(t, p, "queues");
		cell_if_there(t, p, "regions");
		sr_table_number(t, counter_of(p, "rx_frames"));
		sr_table_number(t, counter_of(p, "rx_bytes"));
		sr_table_number(t, counter_of(p, "tx_frames"));
		sr_table_number(t, counter_of(p, "tx_bytes"));
		sr_table_number(t, drops_of(p));
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

static const json_t *find_port(const json_t *list, const char *name)
{
	for (size_t i = 0; name && i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		const char *other = text_of(p, "name");

		if (other && !strcmp(other, name))
			return p;
	}
	return NULL;
}

static void rate_cell(struct sr_table *t, json_int_t before, json_int_t now, double scale)
{
	char text[32];

	/* A port that was removed and added again counts from 0. */
	snprintf(text, sizeof(text), "%.*f", scale < 1e-3 ? 1 : 0,
		 now < before ? 0.0 : (double)(now - before) * scale);
	sr_table_cell(t, text);
}

void sr_show_rates(const json_t *before, const json_t *now, double seconds, FILE *to)
{
	static const char *const titles[] = { "PORT",	    "STATE",	    ">RX-FRAMES/S",
					      ">RX-MBIT/S", ">TX-FRAMES/S", ">TX-MBIT/S",
					      ">DROPS/S" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	double frames = 1 / seconds, mbit = 8e-6 / seconds;

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(now); i++) {
		const json_t *p = json_array_get(now, i);
		const json_t *old = find_port(before, text_of(p, "name"));

		sr_table_cell(t, text_of(p, "name"));
		sr_table_cell(t, text_of(p, "state"));
		rate_cell(t, counter_of(old, "rx_frames"), counter_of(p, "rx_frames"), frames);
		rate_cell(t, counter_of(old, "rx_bytes"), counter_of(p, "rx_bytes"), mbit);
		rate_cell(t, counter_of(old, "tx_frames"), counter_of(p, "tx_frames"), frames);
		rate_cell(t, counter_of(old, "tx_bytes"), counter_of(p, "tx_bytes"), mbit);
		rate_cell(t, drops_of(old), drops_of(p), frames);
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_macs(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "ADDRESS", ">VLAN", "PORT", ">AGE-S" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *m = json_array_get(list, i);

		sr_table_cell(t, text_of(m, "mac"));
		if (number_of(m, "vlan"))
			sr_table_number(t, number_of(m, "vlan"));
		else
			sr_table_cell(t, NULL);
		sr_table_cell(t, text_of(m, "port"));
		sr_table_number(t, number_of(m, "age_s"));
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_version(const json_t *v, FILE *to)
{
	fprintf(to,
		"slipring %s, process %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
		" thread%s, up for %" JSON_INTEGER_FORMAT " s\n",
		text_of(v, "version"), number_of(v, "pid"), number_of(v, "threads"),
		number_of(v, "threads") == 1 ? "" : "s", number_of(v, "uptime_s"));
}

#define LABEL_WIDTH 18
#define TEXT_WIDTH  78

/* Words after a label, wrapped under each other. */
static void show_words(const char *label, const json_t *words, FILE *to)
{
	int column = fprintf(to, "%-*s", LABEL_WIDTH, label);

	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		int len = word ? (int)strlen(word) : 0;

		if (column > LABEL_WIDTH && column + 1 + len > TEXT_WIDTH) {
			fprintf(to, "\n%*s", LABEL_WIDTH, "");
			column = LABEL_WIDTH;
		}
		column += fprintf(to, "%s%s", column > LABEL_WIDTH ? " " : "", word ? word : "?");
	}
	fputs(json_array_size(words) ? "\n" : "none\n", to);
}

static void show_regions(const json_t *regions, FILE *to)
{
	for (size_t i = 0; i < json_array_size(regions); i++) {
		const json_t *r = json_array_get(regions, i);
		const char *gpa = text_of(r, "gpa");
		json_int_t size = number_of(r, "size");

		fprintf(to, "%-*s%s, %" JSON_INTEGER_FORMAT " KiB\n", LABEL_WIDTH,
			i ? "" : "memory:", gpa ? gpa : "?", size / 1024);
	}
}

/* Counters are shown together, after the rest; these three have a form of their own. */
static bool is_special(const char *key)
{
	static const char *const keys[] = { "counters",		 "features", "features_mask",
					    "protocol_features", "memory",   "last_error" };

	for (unsigned i = 0; i < SR_ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static void show_values(const json_t *object, const char *indent, FILE *to)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char label[64];
		size_t len = strlen(indent);

		if (is_special(key))
			continue;
		snprintf(label, sizeof(label), "%s%.40s:", indent, key);
		for (char *c = label + len; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		fprintf(to, "%-*s", LABEL_WIDTH, label);
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

void sr_show_port(const json_t *port, FILE *to)
{
	const char *error = text_of(port, "last_error");

	show_values(port, "", to);
	if (json_object_get(port, "features")) {
		show_words("features:", json_object_get(port, "features"), to);
		show_words("protocol:", json_object_get(port, "protocol_features"), to);
		show_regions(json_object_get(port, "memory"), to);
		fprintf(to, "%-*s%s\n", LABEL_WIDTH,
			"last error:", error && *error ? error : "none");
	}
	fputs("counters:\n", to);
	show_values(json_object_get(port, "counters"), "  ", to);
}
