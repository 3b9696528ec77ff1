/* SPDX-License-Identifier: BSD-3-Clause */
/* What a daemon's answers are read and printed with. */
#ifndef SR_SHOW_PARTS_H
#define SR_SHOW_PARTS_H

#include "table.h"

#include <jansson.h>

const char *sr_show_text_of(const json_t *object, const char *key);
json_int_t sr_show_number_of(const json_t *object, const char *key);
json_int_t sr_show_counter_of(const json_t *object, const char *key); /* in "counters" */
/* The one of that name in a list, or NULL. */
const json_t *sr_show_find(const json_t *list, const char *name);

/* How fast a counter went, `scale` being what one is worth by the second. */
void sr_show_rate_cell(struct sr_table *t, json_int_t before, json_int_t now, double scale);

/* A label's column, the gap behind it included. */
#define SR_SHOW_LABEL 22

/* "key:   value" for all that is not a list, one a line. */
void sr_show_values(const json_t *object, const char *indent, FILE *to);
/* Words after a label, wrapped under each other. */
void sr_show_words(const char *label, const json_t *words, FILE *to);
/* What was negotiated, the memory, the last error. */
void sr_show_session(const json_t *of, FILE *to);

#endif
