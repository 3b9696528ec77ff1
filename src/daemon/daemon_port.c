/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon_port.h"
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void nothing(void *ctx)
{
	(void)ctx;
}

/* When it returns, every worker has come round once: none is still inside a batch that
 * began before. */
static void let_workers_pass(const struct sr_daemon_site *site)
{
	for (unsigned i = 0; i < site->nworkers; i++)
		sr_loop_call(site->workers[i], nothing, NULL);
}

static void session_changed(void *ctx, bool connected)
{
	struct sr_daemon_port *p = ctx;

	p->connected = connected;
	if (!connected)
		sr_switch_flush(p->site->sw, p->port);
	p->site->changed(p->site);
}

static int create_net(struct sr_daemon_port *p, struct sr_error *e)
{
	struct sr_net_config nc = { .name = p->config.name,
				    .mtu = p->config.mtu,
				    .pairs = p->config.queues };

	memcpy(nc.mac, p->config.mac, sizeof(nc.mac));
	p->net = sr_net_create(&nc, e);
	if (!p->net)
		return -1;
	p->port = sr_net_port(p->net);
	return 0;
}

/* The tap names itself first; whoever reports this names the port. */
static int tap_failed(const struct sr_daemon_port *p, const struct sr_error *why,
		      struct sr_error *e)
{
	bool denied = why->code == -EACCES || why->code == -EPERM;
	const char *text = why->text, *advice = "";
	char own[SR_NAME_MAX + 8];

	snprintf(own, sizeof(own), "tap %s: ", p->config.name);
	if (!strncmp(text, own, strlen(own)))
		text += strlen(own);
	if (denied && !strncmp(text, "/dev/net/tun", 12))
		advice = "; a tap needs the right to open it and CAP_NET_ADMIN, or a tap made for "
			 "this user: ip tuntap add mode tap name NAME user USER";
	return sr_error_set(e, why->code, "%.300s%s", text, advice);
}

static int create_tap(struct sr_daemon_port *p, unsigned first_worker, struct sr_error *e)
{
	const struct sr_daemon_site *site = p->site;
	struct sr_tap_config tc = { .name = p->config.name,
				    .interface = p->config.interface,
				    .loop = site->workers[first_worker % site->nworkers] };
	struct sr_error why;

	p->tap = sr_tap_create(&tc, &why);
	if (!p->tap)
		return tap_failed(p, &why, e);
	p->port = sr_tap_port(p->tap);
	p->connected = true;
	return 0;
}

static int create_back_end(struct sr_daemon_port *p, unsigned first_worker, struct sr_error *e)
{
	struct sr_daemon_site *site = p->site;
	struct sr_vhost_user_config vc = {
		.device = sr_net_device(p->net),
		.control = site->control,
		.workers = site->workers,
		.nworkers = site->nworkers,
		.first_worker = first_worker,
		.socket = p->config.socket,
		.fd = -1,
		.mode = (enum sr_vhost_user_mode)p->config.mode,
		.socket_mode = (int)p->config.permissions,
		.socket_group = p->config.group[0] ? p->config.group : NULL,
		.changed = session_changed,
		.ctx = p,
	};

	p->back_end = sr_vhost_user_create(&vc, e);
	return p->back_end ? 0 : -1;
}

static int check_group(const struct sr_daemon_port *p, struct sr_error *e)
{
	const char *group = p->config.group;

	if (!*group || sr_group_exists(group))
		return 0;
	return sr_error_set(e, -ENOENT, "got '%s', expected a group of this system", group);
}

static int key_index(const char *name)
{
	return sr_kind_key(&sr_port_kind, name);
}

static void log_start(const struct sr_daemon_port *p)
{
	const char *name = p->config.name;

	if (p->tap)
		sr_log(SR_LOG_INFO, name, "tap interface %s", sr_tap_interface(p->tap));
	else if (p->config.mode == SR_VHOST_USER_SERVER)
		sr_log(SR_LOG_INFO, name, "listening on %s", p->config.socket);
	else
		sr_log(SR_LOG_INFO, name, "connecting to %s", p->config.socket);
}

struct sr_daemon_port *sr_daemon_port_create(const struct sr_port_config *c,
					     struct sr_daemon_site *site, unsigned first_worker,
					     int *key, struct sr_error *e)
{
	struct sr_daemon_port *p = calloc(1, sizeof(*p));
	bool tap = c->type == SR_PORT_TAP;

	*key = -1;
	if (!p) {
		sr_error_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	p->config = *c;
	p->site = site;
	if (check_group(p, e)) {
		*key = key_index("group");
		goto free_port;
	}
	if (tap ? create_tap(p, first_worker, e) : create_net(p, e)) {
		*key = tap ? key_index("interface") : -1;
		goto free_port;
	}
	if (sr_switch_attach(site->sw, p->port, e))
		goto destroy_device;
	if (!tap && create_back_end(p, first_worker, e)) {
		*key = key_index("socket");
		goto detach;
	}
	log_start(p);
	return p;
detach:
	sr_switch_detach(site->sw, p->port);
	let_workers_pass(site);
destroy_device:
	sr_net_destroy(p->net);
	sr_tap_destroy(p->tap);
free_port:
	free(p);
	return NULL;
}

void sr_daemon_port_destroy(struct sr_daemon_port *p)
{
	if (!p)
		return;
	sr_switch_detach(p->site->sw, p->port);
	sr_vhost_user_destroy(p->back_end);
	let_workers_pass(p->site);
	/* Only now can nobody learn an address on it any more. */
	sr_switch_flush(p->site->sw, p->port);
	sr_net_destroy(p->net);
	sr_tap_destroy(p->tap);
	free(p);
}

int sr_daemon_port_set_link(struct sr_daemon_port *p, bool up, struct sr_error *e)
{
	if (p->tap)
		return sr_error_set(e, -EOPNOTSUPP,
				    "port %s is a tap, whose link is the host's: ip link set %s %s",
				    p->config.name, sr_tap_interface(p->tap), up ? "up" : "down");
	sr_net_set_link(p->net, up);
	p->unplugged = !up;
	if (!up)
		sr_switch_flush(p->site->sw, p->port);
	sr_log(SR_LOG_INFO, p->config.name, "link %s by the operator", up ? "up" : "down");
	return 0;
}

const char *sr_daemon_port_state(const struct sr_daemon_port *p)
{
	static const char *const states[] = { [SR_VHOST_USER_WAITING] = "waiting",
					      [SR_VHOST_USER_CONNECTED] = "connected",
					      [SR_VHOST_USER_RUNNING] = "running" };
	struct sr_vhost_user_info info;

	if (p->tap)
		return "up";
	sr_vhost_user_info(p->back_end, &info);
	return states[info.state];
}
