/* SPDX-License-Identifier: BSD-3-Clause */
/* What all of `slipring bench` reads from the command line, and what it says when a back-end
 * cannot be reached. */
#include "base.h"
#include "bench.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define HUGE_PAGE (2u << 20)

unsigned bench_parse_number(struct argp_state *state, const char *name, const char *arg,
			    unsigned min, unsigned max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || v < min || v > max)
		argp_error(state, "--%s: got '%s', expected %u to %u", name, arg, min, max);
	return (unsigned)v;
}

double bench_parse_seconds(struct argp_state *state, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= 0.1 && v <= 86400))
		argp_error(state, "--seconds: got '%s', expected 0.1 to 86400", arg);
	return v;
}

bool bench_read_bytes(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	unsigned shift = 0;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (errno || *end || *bytes > UINT64_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

uint64_t bench_parse_bytes(struct argp_state *state, const char *name, const char *arg,
			   uint64_t min, uint64_t max)
{
	uint64_t v = 0;

	if (!bench_read_bytes(arg, &v) || v < min || v > max)
		argp_error(state, "--%s: got '%s', expected %llu to %llu bytes, such as 4k", name,
			   arg, (unsigned long long)min, (unsigned long long)max);
	return v;
}

int bench_not_answered(bool listen, struct sr_error *e)
{
	struct sr_error why = *e;

	if (listen || (why.code != -ETIMEDOUT && why.code != -EPROTO && why.code != -EPIPE))
		return why.code;
	return sr_error_set(e, why.code,
			    "%.400s: is it a vhost-user socket, with no other front-end on it?",
			    why.text);
}

int bench_not_shared(bool hugepages, unsigned clients, size_t bytes, struct sr_error *e)
{
	if (!hugepages || e->code != -ENOMEM)
		return e->code;
	return sr_error_set(e, -ENOMEM,
			    "--hugepages: too few free pages of 2 MiB, expected %zu: raise "
			    "/proc/sys/vm/nr_hugepages by as many",
			    (bytes + HUGE_PAGE - 1) / HUGE_PAGE * clients);
}
