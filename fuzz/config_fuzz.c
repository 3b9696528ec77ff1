/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All text that the daemon reads: a configuration file, a port on the command line, and the
 * control socket's stream, cut into messages as it would be however it arrives. The methods
 * behind the stream only judge a port as port.add does.
 *
 * Holds: a failure says why; what is accepted is terminated and within its limits; each
 * message takes bytes of the stream, and a reply is one line of JSON.
 */
#include "input.h"

#include "config.h"
#include "jsonrpc.h"

#include <errno.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	return 0;
}

static void check_port(const struct sr_port_config *p)
{
	MUST(memchr(p->name, 0, sizeof(p->name)) && p->name[0]);
	MUST(memchr(p->socket, 0, sizeof(p->socket)));
	MUST(memchr(p->group, 0, sizeof(p->group)));
	MUST(memchr(p->interface, 0, sizeof(p->interface)));
	MUST(!(p->mac[0] & 1) && p->permissions <= 0777 && p->queues >= 1);
}

static void yaml(const char *text, size_t len)
{
	struct sr_error e = { 0 };
	struct sr_config c;

	if (sr_config_load_text("fuzz.yaml", text, len, &c, &e)) {
		MUST(e.code < 0 && e.text[0]);
		return;
	}
	MUST(c.nports <= SR_PORTS_MAX && c.threads >= 1 && c.threads <= SR_THREADS_MAX);
	for (unsigned i = 0; i < c.nports; i++)
		check_port(&c.ports[i]);
	sr_config_finish(&c);
}

static void spec(const char *text)
{
	struct sr_port_config p;
	struct sr_error e = { 0 };

	if (sr_port_config_parse(text, &p, &e))
		MUST(e.code < 0 && e.text[0]);
	else
		check_port(&p);
}

static json_t *judge(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const char *values[SR_PORT_KEYS];
	struct sr_port_config p;
	struct sr_fault fault;

	(void)ctx;
	for (unsigned i = 0; i < SR_PORT_KEYS; i++)
		values[i] = json_string_value(json_object_get(params, sr_port_keys[i].name));
	if (sr_port_config_make(values, &p, &fault))
		return sr_rpc_fail(e, SR_RPC_PARAMS, "key '%s': %s", sr_port_keys[fault.key].name,
				   fault.text);
	check_port(&p);
	return json_string(p.name);
}

static json_t *echo(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	(void)e;
	return json_deep_copy(params);
}

static void answer(const struct sr_rpc *rpc, const char *text, size_t len)
{
	char *reply = sr_rpc_handle(rpc, text, len);
	json_t *j;

	if (!reply)
		return;
	MUST(strchr(reply, '\n') == reply + strlen(reply) - 1);
	j = json_loads(reply, 0, NULL);
	MUST(j);
	json_decref(j);
	free(reply);
}

/* In bites of `bite` bytes, as a slow client sends them. */
static void stream(const char *text, size_t len, size_t bite)
{
	static const char *keys[SR_PORT_KEYS + 1];
	static const struct sr_rpc_method methods[] = { { "port.add", judge, keys },
							{ "echo", echo, keys } };
	const struct sr_rpc rpc = { .methods = methods, .n = SR_ARRAY_LEN(methods) };
	struct sr_rpc_framer f = { 0 };
	size_t start = 0, have = 0;

	for (unsigned i = 0; i < SR_PORT_KEYS; i++)
		keys[i] = sr_port_keys[i].name;
	while (have < len) {
		size_t n;

		have = sr_min(have + bite, len);
		while ((n = sr_rpc_frame(&f, text + start, have - start))) {
			MUST(n <= have - start);
			answer(&rpc, text + start, n);
			start += n;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t kind = size ? data[0] : 0;
	char *text = malloc(size + 1);

	MUST(text);
	if (size > 1)
		memcpy(text, data + 1, size - 1);
	size -= size ? 1 : 0;
	text[size] = '\0';
	switch (kind % 3) {
	case 0:
		yaml(text, size);
		break;
	case 1:
		spec(text);
		break;
	default:
		stream(text, size, 1 + kind / 3);
	}
	free(text);
	return 0;
}
