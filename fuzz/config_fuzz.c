/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All text that the daemon reads: a configuration file, ports, disks, devices and units on
 * the command line, and the control socket's stream, cut into messages as it would be however it
 * arrives. The methods behind the stream only judge what they are to add.
 *
 * Holds: a failure says why; what is accepted is terminated and within its limits; each
 * message takes bytes of the stream, and a reply is one line of JSON.
 */
#include "input.h"

#include "config.h"
#include "jsonrpc.h"
#include "params.h"

#include <errno.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	return 0;
}

union item {
	struct sr_port_config port;
	struct sr_conf_disk disk;
	struct sr_conf_device device;
	struct sr_conf_lun lun;
};

static void check_port(const struct sr_port_config *p)
{
	MUST(memchr(p->interface, 0, sizeof(p->interface)));
	MUST(memchr(p->group, 0, sizeof(p->group)));
	MUST(!(p->mac[0] & 1) && p->permissions <= 0777 && p->queues >= 1);
}

static void check_disk(const struct sr_conf_disk *d)
{
	MUST(memchr(d->path, 0, sizeof(d->path)) && memchr(d->uri, 0, sizeof(d->uri)));
	MUST(d->size <= INT64_MAX && d->bytes_per_second <= INT64_MAX);
	MUST(d->fault_error_share >= 0 && d->fault_error_share <= 1);
}

static void check_device(const struct sr_conf_device *v)
{
	MUST(memchr(v->serial, 0, sizeof(v->serial)) && memchr(v->disk, 0, sizeof(v->disk)));
	MUST(v->queues >= 1 && v->queues <= SR_BLK_QUEUES_MAX && v->permissions <= 0777);
}

static void check_lun(const struct sr_conf_lun *l)
{
	MUST(memchr(l->serial, 0, sizeof(l->serial)) && memchr(l->vendor, 0, sizeof(l->vendor)));
	MUST(l->target <= 255 && l->lun <= 16383);
}

static void check_item(enum sr_kind_id kind, const union item *item)
{
	const char *name = sr_kind_name(sr_kinds[kind], item);

	MUST(name[0] && memchr(name, 0, SR_NAME_MAX + 1));
	if (kind == SR_PORTS)
		check_port(&item->port);
	else if (kind == SR_DISKS)
		check_disk(&item->disk);
	else if (kind == SR_LUNS)
		check_lun(&item->lun);
	else
		check_device(&item->device);
}

static void yaml(const char *text, size_t len)
{
	struct sr_error e = { 0 };
	struct sr_config c;

	if (sr_config_load_text("fuzz.yaml", text, len, &c, &e)) {
		MUST(e.code < 0 && e.text[0]);
		return;
	}
	MUST(c.threads >= 1 && c.threads <= SR_THREADS_MAX);
	for (unsigned k = 0; k < SR_KINDS; k++) {
		MUST(c.lists[k].n <= sr_kinds[k]->max);
		for (unsigned i = 0; i < c.lists[k].n; i++)
			check_item((enum sr_kind_id)k, sr_config_item(&c, (enum sr_kind_id)k, i));
	}
	sr_config_finish(&c);
}

static void spec(const char *text)
{
	for (unsigned k = 0; k < SR_KINDS; k++) {
		struct sr_error e = { 0 };
		union item item;
		int err = k == SR_LUNS ? sr_conf_lun_parse(text, &item.lun, &e)
				       : sr_kind_parse(sr_kinds[k], text, &item, &e);

		if (err)
			MUST(e.code < 0 && e.text[0]);
		else
			check_item((enum sr_kind_id)k, &item);
	}
}

static json_t *judge(enum sr_kind_id kind, const json_t *params, struct sr_rpc_error *e)
{
	union item item;

	if (sr_params_make(kind, params, &item, e))
		return NULL;
	check_item(kind, &item);
	return json_string(sr_kind_name(sr_kinds[kind], &item));
}

static json_t *add_port(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	return judge(SR_PORTS, params, e);
}

static json_t *add_disk(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	return judge(SR_DISKS, params, e);
}

static json_t *attach(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	return judge(SR_LUNS, params, e);
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
	static const struct sr_rpc_method methods[] = {
		{ "port.add", add_port, sr_params_keys[SR_PORTS] },
		{ "disk.add", add_disk, sr_params_keys[SR_DISKS] },
		{ "scsi.attach", attach, sr_params_keys[SR_LUNS] },
		{ "echo", echo, sr_params_keys[SR_PORTS] },
	};
	const struct sr_rpc rpc = { .methods = methods, .n = SR_ARRAY_LEN(methods) };
	struct sr_rpc_framer f = { 0 };
	size_t start = 0, have = 0;

	sr_params_init();
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
