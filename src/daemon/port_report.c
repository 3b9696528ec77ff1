/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_report.h"
#include "base.h"
#include "feature_names.h"

#include <inttypes.h>
#include <stdio.h>

/* Paths and peers' texts may hold bytes that are no UTF-8. */
static json_t *text_report(const char *text)
{
	char plain[512];
	json_t *j = json_string(text);
	size_t i;

	for (i = 0; !j && text[i] && i + 1 < sizeof(plain); i++)
		plain[i] = text[i] & 0x80 ? '?' : text[i];
	plain[i] = '\0';
	return j ? j : json_string(plain);
}

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
	static const struct {
		const char *name;
		size_t offset;
	} all[] = {
#define COUNTER(x) { #x, offsetof(struct sr_port_counters, x) }
		COUNTER(tx_frames),  COUNTER(tx_bytes),	    COUNTER(tx_bad),
		COUNTER(tx_dropped), COUNTER(rx_frames),    COUNTER(rx_bytes),
		COUNTER(rx_dropped), COUNTER(rx_segmented), COUNTER(rx_checksummed),
		COUNTER(flooded),
#undef COUNTER
	};
	json_t *j = json_object();

	for (unsigned i = 0; i < SR_ARRAY_LEN(all); i++) {
		const _Atomic uint64_t *v = (const void *)((const char *)c + all[i].offset);
		uint64_t n = atomic_load_explicit(v, memory_order_relaxed);

		json_object_set_new(j, all[i].name, json_integer((json_int_t)n));
	}
	return j;
}

static json_t *bit_names(uint64_t bits, const char *(*name_of)(unsigned bit))
{
	json_t *j = json_array();

	for (unsigned b = 0; b < 64; b++) {
		const char *name = name_of(b);

		if (bits & 1ull << b)
			json_array_append_new(j,
					      name ? json_string(name) : json_sprintf("BIT_%u", b));
	}
	return j;
}

static json_t *region_report(const struct sr_mem *m)
{
	json_t *j = json_array();
	unsigned n = m ? sr_mem_region_count(m) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct sr_region r = sr_mem_region_get(m, i);

		json_array_append_new(j, json_pack("{s:o, s:I}", "gpa",
						   json_sprintf("0x%" PRIx64, r.gpa), "size",
						   (json_int_t)r.size));
	}
	return j;
}

static void add_vhost_user(json_t *j, const struct sr_daemon_port *p, bool all)
{
	struct sr_vhost_user_info v;
	struct sr_net_info n = sr_net_info(p->net);

	sr_vhost_user_info(p->back_end, &v);
	json_object_set_new(j, "plugged", json_boolean(!p->unplugged));
	json_object_set_new(j, "queues", json_integer(v.queues_started));
	json_object_set_new(j, "regions", json_integer(v.mem ? sr_mem_region_count(v.mem) : 0));
	json_object_set_new(j, "sessions", json_integer((json_int_t)v.sessions));
	json_object_set_new(j, "last_error", text_report(v.last_error));
	if (!all)
		return;
	json_object_set_new(j, "socket", text_report(p->config.socket));
	json_object_set_new(
		j, "mode",
		json_string(p->config.mode == SR_VHOST_USER_CLIENT ? "client" : "server"));
	json_object_set_new(j, "pairs_offered", json_integer(p->config.queues));
	json_object_set_new(j, "pairs_running", json_integer(n.pairs_running));
	json_object_set_new(j, "mac", sr_mac_report(n.mac));
	json_object_set_new(j, "mtu", n.mtu ? json_integer(n.mtu) : json_null());
	json_object_set_new(j, "features_mask", json_sprintf("0x%" PRIx64, v.features));
	json_object_set_new(j, "features", bit_names(v.features, sr_net_feature_name));
	json_object_set_new(j, "protocol_features",
			    bit_names(v.protocol_features, sr_vhost_user_protocol_feature_name));
	json_object_set_new(j, "memory", region_report(v.mem));
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
