/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors of the environment: a negative errno and one line of text that names the
 * thing, the value and what was expected.
 *
 * Every call that can fail because of the world outside takes a `struct sr_error *` as
 * its last argument. It is filled only on failure; NULL is allowed where the text is not
 * wanted. Mistakes of the caller are assertions, mistakes of a guest or peer mark that
 * queue or session broken; neither comes this way.
 */
#ifndef SLIPRING_ERROR_H
#define SLIPRING_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define SR_ERROR_TEXT 512 /* bytes, the terminating NUL included; longer text is cut */

struct sr_error {
	int code; /* negative errno */
	char text[SR_ERROR_TEXT];
};

/* Fills *e (when not NULL) and returns `code`, which must be a negative errno, so that a
 * failing function can end in `return sr_error_set(e, -EINVAL, "...")`. */
int sr_error_set(struct sr_error *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
