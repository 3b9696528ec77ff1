/* SPDX-License-Identifier: BSD-3-Clause */
#include "methods.h"
#include "base.h"
#include "daemon.h"
#include "params.h"
#include "port_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* "a, b, c", cut where it gets long. */
static void list_ports(struct sr_daemon *d, char *to, size_t size)
{
	to[0] = '\0';
	for (struct sr_daemon_port *p = sr_daemon_ports(d); p; p = p->next) {
		size_t used = strlen(to);
		bool room = used + strlen(p->config.name) + sizeof(", , ...") <= size;

		snprintf(to + used, size - used, "%s%s", used ? ", " : "",
			 room ? p->config.name : "...");
		if (!room)
			return;
	}
}

static struct sr_daemon_port *port_param(struct sr_daemon *d, const json_t *params,
					 struct sr_rpc_error *e)
{
	const char *name = sr_params_text(params, "name", e);
	struct sr_daemon_port *p = name ? sr_daemon_port_find(d, name) : NULL;
	char list[256];

	if (!name || p)
		return p;
	list_ports(d, list, sizeof(list));
	sr_rpc_fail(e, SR_RPC_NO_SUCH, "no port named '%.64s', %s%s", name,
		    *list ? "expected one of " : "there are none", list);
	return NULL;
}

static json_t *version(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon *d = ctx;
	uint64_t s = (sr_now_ns() - sr_daemon_started_ns(d)) / 1000000000u;

	(void)params;
	(void)e;
	return json_pack("{s:s, s:s, s:i, s:I, s:i}", "name", "slipring", "version",
			 SLIPRING_VERSION, "pid", (int)getpid(), "uptime_s", (json_int_t)s,
			 "threads", (int)sr_daemon_config(d)->threads);
}

static json_t *port_list(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	json_t *list = json_array();

	(void)params;
	(void)e;
	for (struct sr_daemon_port *p = sr_daemon_ports(ctx); p; p = p->next)
		json_array_append_new(list, sr_port_report(p));
	return list;
}

static json_t *port_show(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_port *p = port_param(ctx, params, e);

	return p ? sr_port_report_long(p) : NULL;
}

static json_t *port_add(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_port_config c;
	struct sr_error err;
	int key;

	if (sr_params_make(SR_PORTS, params, &c, e))
		return NULL;
	if (sr_daemon_port_find(ctx, c.name))
		return sr_rpc_fail(e, SR_RPC_EXISTS, "a port named %s is there already", c.name);
	if (sr_daemon_port_add(ctx, &c, &key, &err))
		return sr_params_blame(SR_PORTS, c.name, key, &err, e);
	return sr_port_report_long(sr_daemon_port_find(ctx, c.name));
}

static json_t *port_remove(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_port *p = port_param(ctx, params, e);
	struct sr_error err;

	if (!p)
		return NULL;
	if (sr_daemon_port_remove(ctx, p->config.name, &err))
		return sr_params_failed(e, &err);
	return json_object();
}

static json_t *port_set(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_daemon_port *p = port_param(ctx, params, e);
	const char *link = p ? sr_params_text(params, "link", e) : NULL;
	struct sr_error err;

	if (!link)
		return NULL;
	if (strcmp(link, "up") && strcmp(link, "down"))
		return sr_rpc_fail(e, SR_RPC_PARAMS, "key 'link': got '%.64s', expected up or down",
				   link);
	if (sr_daemon_port_set_link(p, !strcmp(link, "up"), &err))
		return sr_params_failed(e, &err);
	return sr_port_report_long(p);
}

static json_t *fdb_list(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	struct sr_switch *sw = sr_daemon_switch(ctx);
	unsigned cap = sr_switch_entries(sw, NULL, 0), n;
	struct sr_switch_entry *entries = calloc(cap + 1, sizeof(*entries));
	json_t *list = json_array();

	(void)params;
	if (!entries) {
		json_decref(list);
		return sr_rpc_fail(e, SR_RPC_INTERNAL, "out of memory");
	}
	/* Workers learn meanwhile: there may be more by now, or fewer. */
	n = sr_switch_entries(sw, entries, cap);
	for (unsigned i = 0; i < sr_min(n, cap); i++)
		json_array_append_new(list,
				      json_pack("{s:o, s:i, s:s, s:i}", "mac",
						sr_mac_report(entries[i].mac), "vlan",
						(int)entries[i].vlan, "port", entries[i].port->name,
						"age_s", (int)entries[i].age_s));
	free(entries);
	return list;
}

static json_t *log_level(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	const char *name = sr_params_text(params, "level", e);
	int level = name ? sr_log_level_parse(name) : -EINVAL;

	(void)ctx;
	if (!name)
		return NULL;
	if (level < 0)
		return sr_rpc_fail(e, SR_RPC_PARAMS,
				   "key 'level': got '%.64s', expected error, warn, info or debug",
				   name);
	/* Said whatever is shown before and after: it explains why lines begin or end. */
	sr_log_level(SR_LOG_INFO);
	sr_log(SR_LOG_INFO, "slipring", "log level %s from now on", name);
	sr_log_level((enum sr_log_level)level);
	return json_pack("{s:s}", "level", name);
}

static const char *const name_keys[] = { "name", NULL };
static const char *const set_keys[] = { "name", "link", NULL };
static const char *const level_keys[] = { "level", NULL };

static const struct sr_rpc_method methods[] = {
	{ "version", version, NULL },
	{ "port.list", port_list, NULL },
	{ "port.show", port_show, name_keys },
	{ "port.add", port_add, sr_params_keys[SR_PORTS] },
	{ "port.remove", port_remove, name_keys },
	{ "port.set", port_set, set_keys },
	{ "fdb.list", fdb_list, NULL },
	{ "log.level", log_level, level_keys },
};

/* Both tables in one. */
static struct sr_rpc_method all[SR_ARRAY_LEN(methods) + SR_STORAGE_METHODS];

struct sr_rpc sr_methods(struct sr_daemon *d)
{
	sr_params_init();
	memcpy(all, methods, sizeof(methods));
	memcpy(all + SR_ARRAY_LEN(methods), sr_storage_methods, sizeof(sr_storage_methods));
	return (struct sr_rpc){ .methods = all, .n = SR_ARRAY_LEN(all), .ctx = d };
}
