/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "config.h"
#include "ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int ctl_show(struct ctl *c, json_t *result, void (*people)(const json_t *, FILE *))
{
	if (!result)
		return -1;
	if (c->json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (people) {
		people(result, stdout);
	}
	json_decref(result);
	return 0;
}

json_t *ctl_call(struct ctl *c, const char *method, json_t *params)
{
	return sr_rpc_client_call(c->client, method, params, &c->error);
}

json_t *ctl_named(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

/* False when nobody reads any more. */
static bool flushed(void)
{
	return putchar('\n') != EOF && !fflush(stdout);
}

/* For programs: the counters as they are, a line each time. */
static int watch_json(struct ctl *c, const char *method)
{
	json_t *now;

	while ((now = ctl_call(c, method, NULL))) {
		json_dumpf(now, stdout, JSON_COMPACT);
		json_decref(now);
		if (!flushed())
			return 0; /* main says so */
		sleep(c->watch_s);
	}
	return -1;
}

static int watch_rates(struct ctl *c, const char *method,
		       void (*rates)(const json_t *, const json_t *, double, FILE *))
{
	json_t *before = ctl_call(c, method, NULL), *now;
	uint64_t then = sr_now_ns();
	int err = -1;

	if (!before)
		return -1;
	for (;;) {
		uint64_t t;

		sleep(c->watch_s);
		now = ctl_call(c, method, NULL);
		if (!now)
			break;
		t = sr_now_ns();
		rates(before, now, (double)(t - then) / 1e9, stdout);
		json_decref(before);
		before = now;
		then = t;
		if (!flushed()) {
			err = 0; /* main says so */
			break;
		}
	}
	json_decref(before);
	return err;
}

int ctl_watch(struct ctl *c, const char *method,
	      void (*rates)(const json_t *, const json_t *, double, FILE *))
{
	return c->json ? watch_json(c, method) : watch_rates(c, method, rates);
}

/* "/here/x" of "x". */
static int make_absolute(const struct sr_key *k, const char *path, char to[PATH_MAX + 1024],
			 struct sr_error *e)
{
	char here[PATH_MAX];
	int len;

	if (!getcwd(here, sizeof(here)))
		return sr_error_set(e, -errno, "%s '%s': no working directory: %s", k->name, path,
				    strerror(errno));
	len = snprintf(to, PATH_MAX + 1024, "%s/%s", here, path);
	if (len > (int)k->max)
		return sr_error_set(e, -ENAMETOOLONG, "%s '%s' is %s/%s: expected at most %u bytes",
				    k->name, path, here, path, k->max);
	return 0;
}

static bool is_path(const char *key, const char *const *paths)
{
	for (; *paths; paths++)
		if (!strcmp(*paths, key))
			return true;
	return false;
}

json_t *ctl_spec_params(struct ctl *c, const struct sr_kind *kind, const char *spec,
			const char *const *paths)
{
	const char *values[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX], path[PATH_MAX + 1024];
	json_t *params;

	if (sr_kind_split(kind, spec, copy, values, &c->error))
		return NULL;
	params = json_object();
	for (unsigned i = 0; i < kind->n; i++) {
		const struct sr_key *k = &kind->keys[i];
		bool relative = values[i] && *values[i] != '/' && is_path(k->name, paths);

		if (relative && make_absolute(k, values[i], path, &c->error)) {
			json_decref(params);
			return NULL;
		}
		if (values[i])
			json_object_set_new(params, k->name,
					    json_string(relative ? path : values[i]));
	}
	return params;
}
