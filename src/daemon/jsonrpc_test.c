/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "jsonrpc.h"

#include <stdlib.h>

static unsigned calls;

static json_t *echo(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	json_t *v = json_object_get(params, "value");

	(void)ctx;
	calls++;
	return v ? json_incref(v) : sr_rpc_fail(e, SR_RPC_PARAMS, "no value");
}

static json_t *plain(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	(void)params;
	(void)e;
	calls++;
	return json_integer(7);
}

static const char *const echo_keys[] = { "value", "other", NULL };
static const struct sr_rpc_method methods[] = { { "echo", echo, echo_keys },
						{ "plain", plain, NULL } };
static const struct sr_rpc rpc = { methods, 2, NULL };

static void answers(const char *request, const char *expected)
{
	char *reply = sr_rpc_handle(&rpc, request, strlen(request));

	if (!expected) {
		assert_null(reply);
		return;
	}
	assert_non_null(reply);
	assert_string_equal(reply, expected);
	free(reply);
}

static void a_call_gets_its_result_and_its_id(void **state)
{
	(void)state;
	answers("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"plain\"}",
		"{\"jsonrpc\":\"2.0\",\"result\":7,\"id\":1}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"echo\",\"params\":{\"value\":[1]}}",
		"{\"jsonrpc\":\"2.0\",\"result\":[1],\"id\":\"x\"}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"plain\",\"params\":{}}",
		"{\"jsonrpc\":\"2.0\",\"result\":7,\"id\":null}\n");
}

static void a_notification_is_carried_out_in_silence(void **state)
{
	(void)state;
	calls = 0;
	answers("{\"jsonrpc\":\"2.0\",\"method\":\"plain\"}", NULL);
	assert_int_equal(calls, 1);
	answers("{\"jsonrpc\":\"2.0\",\"method\":\"nonsense\"}", NULL);
}

static void each_mistake_has_its_code(void **state)
{
	(void)state;
	answers("{nonsense", "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"not "
			     "JSON: string or '}' expected near 'nonsense' (byte 9)\"},"
			     "\"id\":null}\n");
	answers("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"plain\"}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"jsonrpc must be "
		"\\\"2.0\\\"\"},\"id\":1}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":2}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"method must be a "
		"string\"},\"id\":2}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"plain\"}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"id must be a "
		"string, a number or null\"},\"id\":null}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"plain\",\"params\":3}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"params must be an "
		"object\"},\"id\":3}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"nope\"}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"unknown method "
		"'nope'\"},\"id\":4}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"echo\",\"params\":[1]}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"echo: params must "
		"be an object\"},\"id\":5}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"echo\"}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"no value\"},"
		"\"id\":6}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"echo\",\"params\":{\"vale\":1}}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"echo: unknown key "
		"'vale', expected value, other\"},\"id\":7}\n");
	answers("{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"plain\",\"params\":{\"x\":1}}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"plain: unknown key "
		"'x', expected none\"},\"id\":8}\n");
}

static void a_batch_gets_one_list_of_replies(void **state)
{
	char big[4096] = "[";

	(void)state;
	answers("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"plain\"},"
		"{\"jsonrpc\":\"2.0\",\"method\":\"plain\"},1]",
		"[{\"jsonrpc\":\"2.0\",\"result\":7,\"id\":1},{\"jsonrpc\":\"2.0\",\"error\":"
		"{\"code\":-32600,\"message\":\"a request must be an object\"},\"id\":null}]\n");
	answers("[]", "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"an empty "
		      "batch\"},\"id\":null}\n");
	answers("[{\"jsonrpc\":\"2.0\",\"method\":\"plain\"}]", NULL);
	for (unsigned i = 0; i < SR_RPC_BATCH_MAX; i++)
		strcat(big, "1,");
	strcat(big, "1]");
	answers(big,
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32003,\"message\":\"a batch of more "
		"than 32 requests\"},\"id\":null}\n");
}

static void hostile_text_is_answered_and_harms_nobody(void **state)
{
	static const char *const all[] = {
		"{\"a\":\"\\u0000\"}",
		"{\"a\":1,\"a\":2}",
		"[[[[[[[[]]]]]]]]",
		"{\"\\ud800\":1}",
		"{\"a\":1e999}",
		"\xff\xfe",
		"{}{}",
		"{\"a\":99999999999999999999}",
		"]",
		"}",
	};
	char deep[6000];

	(void)state;
	memset(deep, '[', sizeof(deep));
	free(sr_rpc_handle(&rpc, deep, sizeof(deep)));
	for (unsigned i = 0; i < SR_ARRAY_LEN(all); i++) {
		char *reply = sr_rpc_handle(&rpc, all[i], strlen(all[i]));

		assert_non_null(reply);
		assert_non_null(strstr(reply, "\"error\""));
		free(reply);
	}
}

/* Cuts `stream` into messages, fed `step` bytes at a time, joined by '|'. */
static void framed(const char *stream, const char *expected)
{
	for (size_t step = 1; step <= strlen(stream); step++) {
		struct sr_rpc_framer f = { 0 };
		char got[256] = "";
		size_t start = 0;

		for (size_t have = step;; have += step) {
			size_t end = sr_min(have, strlen(stream)), n;

			while ((n = sr_rpc_frame(&f, stream + start, end - start))) {
				strncat(got, stream + start, n);
				strcat(got, "|");
				start += n;
			}
			if (have >= strlen(stream))
				break;
		}
		assert_string_equal(got, expected);
	}
}

static void a_stream_is_cut_the_same_however_it_arrives(void **state)
{
	(void)state;
	framed("{\"a\":1}{\"b\":2}\n[3]\n", "{\"a\":1}|{\"b\":2}|\n[3]|");
	framed("{\"a\":\"}\\\"{\"}x\n{}", "{\"a\":\"}\\\"{\"}|x|\n{}|");
	framed("{\"a\":{\"b\":[1,{}]}}", "{\"a\":{\"b\":[1,{}]}}|");
	framed("\\\"{\"\n", "\\\"{\"|");
}

static void a_broken_message_costs_no_more_than_its_line(void **state)
{
	(void)state;
	framed("{\"a\":\n{\"b\":2}\n", "{\"a\":|\n{\"b\":2}|");
	framed("{\"a\":\"x\n{\"b\":2}\n", "{\"a\":\"x|\n{\"b\":2}|");
	framed("]]]}\n[]\n", "]]]}|\n[]|");
	framed("{\"half\"", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_gets_its_result_and_its_id),
		cmocka_unit_test(a_notification_is_carried_out_in_silence),
		cmocka_unit_test(each_mistake_has_its_code),
		cmocka_unit_test(a_batch_gets_one_list_of_replies),
		cmocka_unit_test(hostile_text_is_answered_and_harms_nobody),
		cmocka_unit_test(a_stream_is_cut_the_same_however_it_arrives),
		cmocka_unit_test(a_broken_message_costs_no_more_than_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
