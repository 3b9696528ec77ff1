/* SPDX-License-Identifier: BSD-3-Clause */
/* Text in columns that line up. */
#ifndef SR_TABLE_H
#define SR_TABLE_H

#include <stdio.h>

#define SR_TABLE_COLUMNS_MAX 16u

struct sr_table;

/* `titles` starts with '>' where a column is to be flush right; it is not copied. */
struct sr_table *sr_table_create(const char *const *titles, unsigned columns); /* or NULL */
void sr_table_destroy(struct sr_table *t);				       /* NULL is allowed */

/* Adds the next cell, left to right, row by row. NULL becomes "-". */
void sr_table_cell(struct sr_table *t, const char *text);
void sr_table_number(struct sr_table *t, long long value);

void sr_table_print(const struct sr_table *t, FILE *to);

#endif
