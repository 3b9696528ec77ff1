/* SPDX-License-Identifier: BSD-3-Clause */
#include "jsonrpc.h"
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

json_t *sr_rpc_fail(struct sr_rpc_error *e, int code, const char *format, ...)
{
	va_list args;

	e->code = code;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return NULL;
}

/* Text that quotes what a peer wrote may hold any bytes; JSON holds UTF-8. */
static json_t *any_text(const char *text)
{
	json_t *j = json_string(text);
	char plain[512];
	size_t i;

	if (j)
		return j;
	for (i = 0; text[i] && i + 1 < sizeof(plain); i++)
		plain[i] = text[i] & 0x80 ? '?' : text[i];
	plain[i] = '\0';
	return json_string(plain);
}

/* Takes `id`, which may be NULL: it was not to be found in the request. */
static json_t *error_reply(json_t *id, int code, const char *text)
{
	return json_pack("{s:s, s:{s:i, s:o}, s:o}", "jsonrpc", "2.0", "error", "code", code,
			 "message", any_text(text), "id", id ? id : json_null());
}

/* What is wrong with a request before its method matters, or NULL. */
static const char *malformed(const json_t *request)
{
	const json_t *version = json_object_get(request, "jsonrpc");
	const json_t *id = json_object_get(request, "id");
	const json_t *params = json_object_get(request, "params");

	if (!json_is_object(request))
		return "a request must be an object";
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0"))
		return "jsonrpc must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "method must be a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "params must be an object";
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "id must be a string, a number or null";
	return NULL;
}

static bool params_known(const struct sr_rpc_method *m, const json_t *params,
			 struct sr_rpc_error *e)
{
	static const char *const none[] = { NULL };
	const char *const *keys = m->keys ? m->keys : none;
	const char *key;
	json_t *value;

	/* json_object_foreach needs a pointer that it could write through. */
	json_object_foreach((json_t *)(uintptr_t)params, key, value)
	{
		char list[256] = "none";
		unsigned i;

		for (i = 0; keys[i] && strcmp(keys[i], key); i++) {
			size_t used = i ? strlen(list) : 0;

			snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", keys[i]);
		}
		if (keys[i])
			continue;
		sr_rpc_fail(e, SR_RPC_PARAMS, "%s: unknown key '%.64s', expected %s", m->name, key,
			    list);
		return false;
	}
	return true;
}

static json_t *call(const struct sr_rpc *rpc, const json_t *request, struct sr_rpc_error *e)
{
	const char *name = json_string_value(json_object_get(request, "method"));
	const json_t *params = json_object_get(request, "params");
	json_t *empty = NULL, *result = NULL;

	for (unsigned i = 0; i < rpc->n; i++) {
		const struct sr_rpc_method *m = &rpc->methods[i];

		if (strcmp(m->name, name))
			continue;
		if (params && !json_is_object(params))
			return sr_rpc_fail(e, SR_RPC_PARAMS, "%s: params must be an object", name);
		if (!params)
			params = empty = json_object();
		if (params_known(m, params, e)) {
			e->code = 0;
			result = m->call(rpc->ctx, params, e);
			if (!result && !e->code)
				sr_rpc_fail(e, SR_RPC_INTERNAL, "%s: out of memory", name);
		}
		json_decref(empty);
		return result;
	}
	return sr_rpc_fail(e, SR_RPC_METHOD, "unknown method '%.64s'", name);
}

/* A new reference, or NULL when no reply is wanted. */
static json_t *handle_one(const struct sr_rpc *rpc, const json_t *request)
{
	const char *wrong = malformed(request);
	json_t *id = json_incref(json_object_get(request, "id"));
	struct sr_rpc_error e = { 0 };
	json_t *result;

	if (wrong) {
		/* An id that is no id can't be sent back. */
		bool usable = json_is_string(id) || json_is_number(id);

		if (!usable)
			json_decref(id);
		return error_reply(usable ? id : NULL, SR_RPC_REQUEST, wrong);
	}
	result = call(rpc, request, &e);
	if (!id) {
		json_decref(result);
		return NULL;
	}
	if (!result)
		return error_reply(id, e.code, e.text);
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "result", result, "id", id);
}

static json_t *handle_batch(const struct sr_rpc *rpc, const json_t *batch)
{
	size_t n = json_array_size(batch);
	json_t *replies;

	if (n == 0)
		return error_reply(NULL, SR_RPC_REQUEST, "an empty batch");
	if (n > SR_RPC_BATCH_MAX)
		return error_reply(NULL, SR_RPC_TOO_BIG, "a batch of more than 32 requests");
	replies = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *reply = handle_one(rpc, json_array_get(batch, i));

		if (reply)
			json_array_append_new(replies, reply);
	}
	if (json_array_size(replies))
		return replies;
	json_decref(replies);
	return NULL;
}

/* Takes the reference. */
static char *to_line(json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT), *line = NULL;

	json_decref(reply);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

char *sr_rpc_refusal(int code, const char *text)
{
	return to_line(error_reply(NULL, code, text));
}

char *sr_rpc_handle(const struct sr_rpc *rpc, const char *text, size_t len)
{
	json_error_t where;
	json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	json_t *reply;

	if (!message) {
		char why[JSON_ERROR_TEXT_LENGTH + 64];

		snprintf(why, sizeof(why), "not JSON: %s (byte %d)", where.text, where.position);
		return sr_rpc_refusal(SR_RPC_PARSE, why);
	}
	reply = json_is_array(message) ? handle_batch(rpc, message) : handle_one(rpc, message);
	json_decref(message);
	return reply ? to_line(reply) : NULL;
}

static size_t found(struct sr_rpc_framer *f, size_t len)
{
	*f = (struct sr_rpc_framer){ 0 };
	return len;
}

size_t sr_rpc_frame(struct sr_rpc_framer *f, const char *buf, size_t len)
{
	for (; f->seen < len; f->seen++) {
		char c = buf[f->seen];

		if (c == '\n' && f->begun)
			return found(f, f->seen);
		if (!f->begun) {
			if (strchr(" \t\r\n", c) && c)
				continue;
			f->begun = true;
			f->garbage = c != '{' && c != '[';
		}
		if (f->garbage)
			continue;
		if (f->in_string) {
			f->in_string = f->escaped || c != '"';
			f->escaped = !f->escaped && c == '\\';
		} else if (c == '"') {
			f->in_string = true;
		} else if (c == '{' || c == '[') {
			f->depth++;
		} else if ((c == '}' || c == ']') && --f->depth == 0) {
			return found(f, f->seen + 1);
		}
	}
	return 0;
}
