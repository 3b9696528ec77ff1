/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "ctl_show.h"
#include "show_parts.h"

/* 10737418240 is 10G; what is no whole number of units stays in smaller ones. */
static void size_text(json_int_t bytes, char *to, size_t size)
{
	static const char units[] = { 'K', 'M', 'G', 'T' };
	unsigned u = 0;

	while (bytes && bytes % 1024 == 0 && u < sizeof(units)) {
		bytes /= 1024;
		u++;
	}
	if (u)
		snprintf(to, size, "%lld%c", (long long)bytes, units[u - 1]);
	else
		snprintf(to, size, "%lld", (long long)bytes);
}

static void size_cell(struct sr_table *t, json_int_t bytes)
{
	char text[32];

	size_text(bytes, text, sizeof(text));
	sr_table_cell(t, bytes ? text : NULL);
}

static void number_or_none(struct sr_table *t, json_int_t n)
{
	if (n)
		sr_table_number(t, n);
	else
		sr_table_cell(t, NULL);
}

/* "a, b, c", cut where it gets long. */
static void join(const json_t *words, char *to, size_t size)
{
	to[0] = '\0';
	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		size_t used = strlen(to);
		bool room = word && used + strlen(word) + sizeof(", , ...") <= size;

		snprintf(to + used, size - used, "%s%s", used ? ", " : "", room ? word : "...");
		if (!room)
			return;
	}
}

void sr_show_disks(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "DISK",	"TYPE",	       ">SIZE",		 ">BLOCK",
					      "ACCESS", ">IOPS-LIMIT", ">BYTES/S-LIMIT", "USERS" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	char users[80];

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		bool read_only = json_is_true(json_object_get(d, "read_only"));

		join(json_object_get(d, "users"), users, sizeof(users));
		sr_table_cell(t, sr_show_text_of(d, "name"));
		sr_table_cell(t, sr_show_text_of(d, "type"));
		size_cell(t, sr_show_number_of(d, "size"));
		sr_table_number(t, sr_show_number_of(d, "block_size"));
		sr_table_cell(t, read_only ? "ro" : "rw");
		number_or_none(t, sr_show_number_of(d, "iops"));
		size_cell(t, sr_show_number_of(d, "bytes_per_second"));
		sr_table_cell(t, users);
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_disk(const json_t *disk, FILE *to)
{
	sr_show_values(disk, "", to);
	sr_show_words("users:", json_object_get(disk, "users"), to);
}

void sr_show_size(const json_t *disk, FILE *to)
{
	char text[32];

	size_text(sr_show_number_of(disk, "size"), text, sizeof(text));
	fprintf(to, "%s: %s\n", sr_show_text_of(disk, "name"), text);
}

/* A blk device's requests come by kind, a SCSI device's commands all together. */
static json_int_t requests_of(const json_t *v)
{
	static const char *const kinds[] = { "reads",	 "writes", "flushes",
					     "discards", "others", "commands" };
	json_int_t sum = 0;

	for (unsigned i = 0; i < SR_ARRAY_LEN(kinds); i++)
		sum += sr_show_counter_of(v, kinds[i]);
	return sum;
}

static json_int_t failed_of(const json_t *v)
{
	return sr_show_counter_of(v, "failed") + sr_show_counter_of(v, "check_conditions") +
	       sr_show_counter_of(v, "aborted") + sr_show_counter_of(v, "malformed");
}

/* Each once: a disk may be several units. */
static void disks_of(const json_t *v, char *to, size_t size)
{
	const json_t *units = json_object_get(v, "units");
	json_t *names = json_array(), *seen = json_object();

	if (sr_show_text_of(v, "disk"))
		json_array_append(names, json_object_get(v, "disk"));
	for (size_t i = 0; i < json_array_size(units); i++) {
		const char *disk = sr_show_text_of(json_array_get(units, i), "disk");

		if (!disk || json_object_get(seen, disk))
			continue;
		json_object_set_new(seen, disk, json_true());
		json_array_append_new(names, json_string(disk));
	}
	join(names, to, size);
	json_decref(names);
	json_decref(seen);
}

void sr_show_devices(const json_t *list, FILE *to)
{
	static const char *const titles[] = { "DEVICE",	     "TYPE",	       "STATE",
					      ">QUEUES",     ">IN-FLIGHT",     ">REQUESTS",
					      ">READ-BYTES", ">WRITTEN-BYTES", ">FAILED",
					      "DISKS" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	char disks[80];

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		disks_of(v, disks, sizeof(disks));
		sr_table_cell(t, sr_show_text_of(v, "name"));
		sr_table_cell(t, sr_show_text_of(v, "type"));
		sr_table_cell(t, sr_show_text_of(v, "state"));
		sr_table_number(t, sr_show_number_of(v, "queues"));
		sr_table_number(t, sr_show_number_of(v, "in_flight"));
		sr_table_number(t, requests_of(v));
		sr_table_number(t, sr_show_counter_of(v, "read_bytes"));
		sr_table_number(t, sr_show_counter_of(v, "written_bytes"));
		sr_table_number(t, failed_of(v));
		sr_table_cell(t, disks);
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

void sr_show_device_rates(const json_t *before, const json_t *now, double seconds, FILE *to)
{
	static const char *const titles[] = { "DEVICE",	    "STATE",	     ">IN-FLIGHT", ">IOPS",
					      ">READ-MB/S", ">WRITTEN-MB/S", ">FAILED/S" };
	struct sr_table *t = sr_table_create(titles, SR_ARRAY_LEN(titles));
	double requests = 1 / seconds, mb = 1e-6 / seconds;

	if (!t)
		return;
	for (size_t i = 0; i < json_array_size(now); i++) {
		const json_t *v = json_array_get(now, i);
		const json_t *old = sr_show_find(before, sr_show_text_of(v, "name"));

		sr_table_cell(t, sr_show_text_of(v, "name"));
		sr_table_cell(t, sr_show_text_of(v, "state"));
		sr_table_number(t, sr_show_number_of(v, "in_flight"));
		sr_show_rate_cell(t, requests_of(old), requests_of(v), requests);
		sr_show_rate_cell(t, sr_show_counter_of(old, "read_bytes"),
				  sr_show_counter_of(v, "read_bytes"), mb);
		sr_show_rate_cell(t, sr_show_counter_of(old, "written_bytes"),
				  sr_show_counter_of(v, "written_bytes"), mb);
		sr_show_rate_cell(t, failed_of(old), failed_of(v), requests);
	}
	sr_table_print(t, to);
	sr_table_destroy(t);
}

static void show_units(const json_t *units, FILE *to)
{
	for (size_t i = 0; i < json_array_size(units); i++) {
		const json_t *u = json_array_get(units, i);
		const char *state = sr_show_text_of(u, "state");
		bool going = state && !strcmp(state, "removing");

		fprintf(to, "%-*s%lld:%lld %s%s\n", SR_SHOW_LABEL,
			i ? "" : "units:", (long long)sr_show_number_of(u, "target"),
			(long long)sr_show_number_of(u, "lun"), sr_show_text_of(u, "disk"),
			going ? ", removing" : "");
	}
}

void sr_show_device(const json_t *device, FILE *to)
{
	sr_show_values(device, "", to);
	show_units(json_object_get(device, "units"), to);
	sr_show_session(device, to);
	fputs("counters:\n", to);
	sr_show_values(json_object_get(device, "counters"), "  ", to);
}
