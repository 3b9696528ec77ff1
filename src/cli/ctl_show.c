/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_show.h"
#include "base.h"
#include "show_parts.h"
#include "table.h"

static json_int_t drops_of(const json_t *port)
{
	return sr_show_counter_of(port, "rx_dropped") + sr_show_counter_of(port, "tx_dropped") +
	       sr_show_counter_of(port, "tx_bad");
}

/* A tap has no queues or regions: "-". */
static void cell_if_there(struct sr_table *t, const json_t *port, const char *key)
{
	if (json_object_get(port, key))
		sr_table_number(t, sr_show_number_of(port, key));
	else
		sr_table_cell(t, NULL);
}

static bool is_unplugged(const json_t *port)
{
	return json_is_false(json_object_get(port, "plugged"));
}

void sr_show_ports(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "PORT",	    "TYPE",	 "STATE",      "LINK",
					      ">QUEUES",    ">REGIONS",	 ">RX-FRAMES", ">RX-BYTES",
					      ">TX-FRAMES", ">TX-BYTES", ">DROPS" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);

		sr_table_cell(t, sr_show_text_of(p, "name"));
		sr_table_cell(t, sr_show_text_of(p, "type"));
		sr_table_cell(t, sr_show_text_of(p, "state"));
		sr_table_cell(t, is_unplugged(p) ? "off" : sr_show_text_of(p, "link"));
		cell_if_there(t, p, "queues");
		cell_if_there(t, p, "regions");
		sr_table_number(t, sr_show_counter_of(p, "rx_frames"));
		sr_table_number(t, sr_show_counter_of(p, "rx_bytes"));
		sr_table_number(t, sr_show_counter_of(p, "tx_frames"));
		sr_table_number(t, sr_show_counter_of(p, "tx_bytes"));
		sr_table_number(t, drops_of(p));
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_rates(const json_t *before, const json_t *now, double seconds, FILE *to)
{
	static const char *const titles[] = { "PORT",	    "STATE",	    ">RX-FRAMES/S",
					      ">RX-MBIT/S", ">TX-FRAMES/S", ">TX-MBIT/S",
					      ">DROPS/S" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	double frames = 1 / seconds, mbit = 8e-6 / seconds;

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(now); i++) {
		const json_t *p = json_array_get(now, i);
		const json_t *old = sr_show_find(before, sr_show_text_of(p, "name"));

		sr_table_cell(t, sr_show_text_of(p, "name"));
		sr_table_cell(t, sr_show_text_of(p, "state"));
		sr_show_rate_cell(t, sr_show_counter_of(old, "rx_frames"),
				  sr_show_counter_of(p, "rx_frames"), frames);
		sr_show_rate_cell(t, sr_show_counter_of(old, "rx_bytes"),
				  sr_show_counter_of(p, "rx_bytes"), mbit);
		sr_show_rate_cell(t, sr_show_counter_of(old, "tx_frames"),
				  sr_show_counter_of(p, "tx_frames"), frames);
		sr_show_rate_cell(t, sr_show_counter_of(old, "tx_bytes"),
				  sr_show_counter_of(p, "tx_bytes"), mbit);
		sr_show_rate_cell(t, drops_of(old), drops_of(p), frames);
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_macs(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "ADDRESS", ">VLAN", "PORT", ">AGE-S" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *m = json_array_get(list, i);

		sr_table_cell(t, sr_show_text_of(m, "mac"));
		if (sr_show_number_of(m, "vlan"))
			sr_table_number(t, sr_show_number_of(m, "vlan"));
		else
			sr_table_cell(t, NULL);
		sr_table_cell(t, sr_show_text_of(m, "port"));
		sr_table_number(t, sr_show_number_of(m, "age_s"));
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_version(const json_t *v, FILE *to)
{
	fprintf(to,
		"slipring %s, process %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
		" thread%s, up for %" JSON_INTEGER_FORMAT " s\n",
		sr_show_text_of(v, "version"), sr_show_number_of(v, "pid"),
		sr_show_number_of(v, "threads"), sr_show_number_of(v, "threads") == 1 ? "" : "s",
		sr_show_number_of(v, "uptime_s"));
}

void sr_show_port(const json_t *port, FILE *to)
{
	sr_show_values(port, "", to);
	if (json_object_get(port, "features"))
		sr_show_session(port, to);
	fputs("counters:\n", to);
	sr_show_values(json_object_get(port, "counters"), "  ", to);
}
