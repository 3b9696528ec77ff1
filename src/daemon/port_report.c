/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_report.h"
#include "base.h"
#include "feature_names.h"
#include "report.h"

#include <stdatomic.h>

json_t *sr_mac_report(const uint8_t mac[6])
{
	static const uint8_t none[6];

	if (!memcmp(mac, none, sizeof(none)))
		return json_null();
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

static json_t *counter_report(const struct sr_port_counters *c)
{
	static const struct sr_counter all[] = {
#define COUNTER(x) { #x, offsetof(struct sr_port_counters, x) }
		COUNTER(tx_frames),  COUNTER(tx_bytes),	    COUNTER(tx_bad),
		COUNTER(tx_dropped), COUNTER(rx_frames),    COUNTER(rx_bytes),
		COUNTER(rx_dropped), COUNTER(rx_segmented), COUNTER(rx_checksummed),
		COUNTER(flooded),
#undef COUNTER
	};

	return sr_counter_report(c, all, SR_ARRAY_LEN(all));
}

static void add_vhost_user(json_t *j, const struct sr_daemon_port *p, bool all)
{
	struct sr_vhost_user_info v;
	struct sr_net_info n = sr_net_info(p->net);

	sr_vhost_user_info(p->back_end, &v);
	json_object_set_new(j, "plugged", json_boolean(!p->unplugged));
	sr_session_report(j, &v);
	if (!all)
		return;
	json_object_set_new(j, "socket", sr_text_report(p->config.socket));
	json_object_set_new(
		j, "mode",
		json_string(p->config.mode == SR_VHOST_USER_CLIENT ? "client" : "server"));
	json_object_set_new(j, "pairs_offered", json_integer(p->config.queues));
	json_object_set_new(j, "pairs_running", json_integer(n.pairs_running));
	json_object_set_new(j, "mac", sr_mac_report(n.mac));
	json_object_set_new(j, "mtu", n.mtu ? json_integer(n.mtu) : json_null());
	sr_session_report_long(j, &v, sr_net_feature_name);
}

static json_t *report(const struct sr_daemon_port *p, bool all)
{
	bool link = atomic_load_explicit(&p->port->link, memory_order_relaxed);
	json_t *j = json_object();

	json_object_set_new(j, "name", json_string(p->config.name));
	json_object_set_new(j, "type",
			    json_string(sr_port_type_name((enum sr_port_type)p->config.type)));
	json_object_set_new(j, "state", json_string(sr_daemon_port_state(p)));
	json_object_set_new(j, "link", json_string(link ? "up" : "down"));
	if (p->tap)
		json_object_set_new(j, "interface", json_string(sr_tap_interface(p->tap)));
	else
		add_vhost_user(j, p, all);
	json_object_set_new(j, "counters", counter_report(&p->port->counters));
	return j;
}

json_t *sr_port_report(const struct sr_daemon_port *p)
{
	return report(p, false);
}
json_t *sr_port_report_long(const struct sr_daemon_port *p)
{
	return report(p, true);
}
