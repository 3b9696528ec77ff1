/* SPDX-License-Identifier: BSD-3-Clause */
#include <slipring/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

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

void sr_log(enum sr_log_level level, const char *subject, const char *format, ...)
{
	char text[1024];
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
	sink(sink_ctx, level, subject, text);
	pthread_mutex_unlock(&sink_lock);
}
