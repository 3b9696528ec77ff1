/* SPDX-License-Identifier: BSD-3-Clause */
#include <slipring/error.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int sr_error_set(struct sr_error *e, int code, const char *format, ...)
{
	assert(code < 0);
	if (e) {
		va_list args;

		e->code = code;
		va_start(args, format);
		vsnprintf(e->text, sizeof(e->text), format, args);
		va_end(args);
	}
	return code;
}
