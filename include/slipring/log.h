/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line an event, "LEVEL subject: what happened". The subject is the name of
 * the port, peer or file that the line is about. Callers log a guest's mistake once for
 * each time it breaks something, never once for each packet. A subject has 200 lines in 10
 * seconds, errors aside: more are left out, which is said in one line.
 */
#ifndef SLIPRING_LOG_H
#define SLIPRING_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum sr_log_level {
	SR_LOG_ERROR,
	SR_LOG_WARN,
	SR_LOG_INFO,
	SR_LOG_DEBUG
};

/* Gets whole lines without a newline; may be called from any thread, one call at a time. */
typedef void sr_log_sink(void *ctx, enum sr_log_level level, const char *subject, const char *text);

/* Lines above `max` are not made at all. SR_LOG_INFO at first. */
void sr_log_level(enum sr_log_level max);

/* NULL brings back the first sink, which writes to standard error. */
void sr_log_to(sr_log_sink *sink, void *ctx);

/* The level of that name ("error", "warn", "info", "debug"), or -EINVAL. */
int sr_log_level_parse(const char *name);

void sr_log(enum sr_log_level level, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
