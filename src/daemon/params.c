/* SPDX-License-Identifier: BSD-3-Clause */
#include "params.h"
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *sr_params_keys[SR_KINDS][SR_KEYS_MAX + 2];

void sr_params_init(void)
{
	for (unsigned k = 0; k < SR_KINDS; k++) {
		const char **to = sr_params_keys[k];

		for (unsigned i = 0; i < sr_kinds[k]->n; i++)
			*to++ = sr_kinds[k]->keys[i].name;
		*to++ = k == SR_LUNS ? "device" : sr_kinds[k]->sub;
	}
}

json_t *sr_params_failed(struct sr_rpc_error *to, const struct sr_error *e)
{
	return sr_rpc_fail(to, e->code == -EBUSY ? SR_RPC_IN_USE : SR_RPC_FAILED, "%s", e->text);
}

json_t *sr_params_blame(enum sr_kind_id kind, const char *name, int key, const struct sr_error *why,
			struct sr_rpc_error *e)
{
	const struct sr_kind *k = sr_kinds[kind];
	int code = why->code == -EBUSY ? SR_RPC_IN_USE : SR_RPC_FAILED;

	return key < 0 ? sr_rpc_fail(e, code, "%s %s: %s", k->noun, name, why->text)
		       : sr_rpc_fail(e, code, "%s %s: key '%s': %s", k->noun, name,
				     k->keys[key].name, why->text);
}

static int wrong_type(struct sr_rpc_error *to, const char *key, const json_t *got,
		      const char *expected)
{
	char *text = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	sr_rpc_fail(to, SR_RPC_PARAMS, "key '%s': %s%.100s, expected %s", key,
		    got ? "got " : "missing", text ? text : "", expected);
	free(text);
	return -EINVAL;
}

const char *sr_params_text(const json_t *params, const char *key, struct sr_rpc_error *e)
{
	const json_t *v = json_object_get(params, key);

	if (json_is_string(v))
		return json_string_value(v);
	wrong_type(e, key, v, "a string");
	return NULL;
}

/* 660 would be a decimal number in JSON, and no permissions. */
static bool to_text(const struct sr_key *k, const json_t *v, char to[32])
{
	if (json_is_integer(v) && k->kind != SR_KEY_OCTAL)
		snprintf(to, 32, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v) && k->kind == SR_KEY_BOOL)
		snprintf(to, 32, "%s", json_is_true(v) ? "on" : "off");
	else if (json_is_real(v) && k->kind == SR_KEY_SHARE)
		snprintf(to, 32, "%.9f", json_real_value(v));
	else
		return false;
	return true;
}

int sr_params_values(const struct sr_kind *kind, const json_t *params, struct sr_params_values *v,
		     struct sr_rpc_error *e)
{
	for (unsigned i = 0; i < kind->n; i++) {
		const json_t *value = json_object_get(params, kind->keys[i].name);

		v->values[i] = json_string_value(value);
		if (!value || v->values[i])
			continue;
		if (!to_text(&kind->keys[i], value, v->numbers[i]))
			return wrong_type(e, kind->keys[i].name, value, "a string");
		v->values[i] = v->numbers[i];
	}
	return 0;
}

int sr_params_make(enum sr_kind_id kind, const json_t *params, void *item, struct sr_rpc_error *e)
{
	const struct sr_kind *k = sr_kinds[kind];
	struct sr_params_values v;
	struct sr_fault fault;

	if (sr_params_values(k, params, &v, e))
		return -EINVAL;
	if (!sr_kind_make(k, v.values, item, &fault))
		return 0;
	sr_rpc_fail(e, SR_RPC_PARAMS, "key '%s': %s", k->keys[fault.key].name, fault.text);
	return -EINVAL;
}
