/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sr_table {
	const char *const *titles;
	unsigned columns;
	char **cells;
	size_t n, cap;
};

struct sr_table *sr_table_create(const char *const *titles, unsigned columns)
{
	struct sr_table *t = calloc(1, sizeof(*t));

	assert(columns > 0 && columns <= SR_TABLE_COLUMNS_MAX);
	if (t) {
		t->titles = titles;
		t->columns = columns;
	}
	return t;
}

void sr_table_destroy(struct sr_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void sr_table_cell(struct sr_table *t, const char *text)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **cells = reallocarray(t->cells, cap, sizeof(*cells));

		if (!cells)
			return;
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n] = strdup(text && *text ? text : "-");
	t->n += t->cells[t->n] != NULL;
}

void sr_table_number(struct sr_table *t, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	sr_table_cell(t, text);
}

static void print_row(const struct sr_table *t, const char *const *cells, const int *width,
		      FILE *to)
{
	for (unsigned c = 0; c < t->columns; c++) {
		const char *gap = c ? "  " : "";
		bool last = c + 1 == t->columns;

		if (t->titles[c][0] == '>')
			fprintf(to, "%s%*s", gap, width[c], cells[c]);
		else
			fprintf(to, "%s%-*s", gap, last ? 0 : width[c], cells[c]);
	}
	fputc('\n', to);
}

void sr_table_print(const struct sr_table *t, FILE *to)
{
	const char *head[SR_TABLE_COLUMNS_MAX];
	int width[SR_TABLE_COLUMNS_MAX];

	for (unsigned c = 0; c < t->columns; c++) {
		head[c] = t->titles[c] + (t->titles[c][0] == '>');
		width[c] = (int)strlen(head[c]);
		for (size_t i = c; i < t->n; i += t->columns)
			if ((int)strlen(t->cells[i]) > width[c])
				width[c] = (int)strlen(t->cells[i]);
	}
	print_row(t, head, width, to);
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		print_row(t, (const char *const *)t->cells + i, width, to);
}
