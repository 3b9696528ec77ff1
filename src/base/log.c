/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"

#include <slipring/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A guest that breaks its ring, resets and breaks it again, or a front-end that connects for
 * ever, makes lines as fast as it can: a subject has so many of them. Errors are not counted. */
#define WINDOW_NS    10000000000ull
#define WINDOW_LINES 200u
#define WINDOW_TEXT  "more than 200 lines in 10 s; the others are left out"
#define BUDGETS	     256u /* subjects that fall on the same one share it */

struct budget {
	uint64_t since;
	unsigned lines;
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static _Atomic int max_level = SR_LOG_INFO;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;

static void to_stderr(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	fprintf(stderr, "%-5s %s: %s\n", level_names[level], subject, text);
}

static sr_log_sink *sink = to_stderr;
static void *sink_ctx;
static struct budget budgets[BUDGETS]; /* under sink_lock */

void sr_log_level(enum sr_log_level max)
{
	atomic_store_explicit(&max_level, (int)max, memory_order_relaxed);
}

void sr_log_to(sr_log_sink *to, void *ctx)
{
	pthread_mutex_lock(&sink_lock);
	sink = to ? to : to_stderr;
	sink_ctx = ctx;
	pthread_mutex_unlock(&sink_lock);
}

int sr_log_level_parse(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (!strcmp(name, level_names[i]))
			return i;
	return -EINVAL;
}

/* How many lines this makes of the subject in its window. */
static unsigned count_line(const char *subject)
{
	uint64_t now = sr_now_ns();
	uint32_t hash = 0;
	struct budget *b;

	for (const char *c = subject; *c; c++)
		hash = (hash + (unsigned char)*c) * 0x9e3779b1u;
	b = &budgets[(hash >> 16) % BUDGETS];
	if (now - b->since >= WINDOW_NS)
		*b = (struct budget){ .since = now };
	return ++b->lines;
}

void sr_log(enum sr_log_level level, const char *subject, const char *format, ...)
{
	char text[1024];
	unsigned lines;
	va_list args;

	if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Peers choose parts of a line: one event stays one line on any terminal. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	pthread_mutex_lock(&sink_lock);
	lines = level == SR_LOG_ERROR ? 0 : count_line(subject);
	if (lines <= WINDOW_LINES)
		sink(sink_ctx, level, subject, text);
	else if (lines == WINDOW_LINES + 1)
		sink(sink_ctx, level, subject, WINDOW_TEXT);
	pthread_mutex_unlock(&sink_lock);
}
