/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl_show.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;

static FILE *begin(void)
{
	return open_memstream(&text, &size);
}

static void printed(FILE *f, const char *expected)
{
	fclose(f);
	assert_string_equal(text, expected);
	free(text);
}

static void columns_line_up(void **state)
{
	static const char *const titles[] = { "NAME", ">N", "LAST" };
	struct sr_table *t = sr_table_create(titles, 3);
	FILE *f = begin();

	(void)state;
	sr_table_cell(t, "a");
	sr_table_number(t, 12345);
	sr_table_cell(t, "x");
	sr_table_cell(t, "longer");
	sr_table_number(t, -1);
	sr_table_cell(t, NULL);
	sr_table_print(t, f);
	sr_table_destroy(t);
	printed(f, "NAME        N  LAST\n"
		   "a       12345  x\n"
		   "longer     -1  -\n");
}

static void a_table_without_rows_is_its_titles(void **state)
{
	json_t *none = json_array();
	FILE *f = begin();

	(void)state;
	sr_show_macs(none, f);
	json_decref(none);
	printed(f, "ADDRESS  VLAN  PORT  AGE-S\n");
}

static json_t *load(const char *json)
{
	json_t *j = json_loads(json, 0, NULL);

	assert_non_null(j);
	return j;
}

static const char ports_json[] =
	"[{\"name\":\"a\",\"type\":\"vhost-user\",\"state\":\"running\",\"link\":\"up\","
	"\"queues\":3,\"regions\":2,\"counters\":{\"rx_frames\":10,\"rx_bytes\":1000,"
	"\"tx_frames\":5,\"tx_bytes\":600,\"rx_dropped\":1,\"tx_dropped\":2,\"tx_bad\":4}},"
	"{\"name\":\"b\",\"type\":\"vhost-user\",\"state\":\"running\",\"link\":\"down\","
	"\"plugged\":false,\"queues\":2,\"regions\":1,\"counters\":{}},"
	"{\"name\":\"t0\",\"type\":\"tap\",\"state\":\"up\",\"link\":\"up\",\"counters\":{}}]";

static void ports_show_what_they_have_and_a_dash_for_the_rest(void **state)
{
	json_t *list = load(ports_json);
	FILE *f = begin();

	(void)state;
	sr_show_ports(list, f);
	json_decref(list);
	printed(f, "PORT  TYPE        STATE    LINK  QUEUES  REGIONS  RX-FRAMES  RX-BYTES  "
		   "TX-FRAMES  TX-BYTES  DROPS\n"
		   "a     vhost-user  running  up         3        2         10      1000  "
		   "        5       600      7\n"
		   "b     vhost-user  running  off        2        1          0         0  "
		   "        0         0      0\n"
		   "t0    tap         up       up         -        -          0         0  "
		   "        0         0      0\n");
}

static void rates_are_differences_over_time(void **state)
{
	json_t *now = load(ports_json), *before = json_deep_copy(now);
	json_t *old = json_object_get(json_array_get(before, 0), "counters");
	FILE *f = begin();

	(void)state;
	json_object_set_new(old, "rx_frames", json_integer(0));
	json_object_set_new(old, "rx_bytes", json_integer(1000 - 500000));
	json_object_set_new(old, "tx_frames", json_integer(99)); /* counted anew since */
	sr_show_rates(before, now, 2.0, f);
	json_decref(now);
	json_decref(before);
	printed(f, "PORT  STATE    RX-FRAMES/S  RX-MBIT/S  TX-FRAMES/S  TX-MBIT/S  DROPS/S\n"
		   "a     running            5        2.0            0        0.0        0\n"
		   "b     running            0        0.0            0        0.0        0\n"
		   "t0    up                 0        0.0            0        0.0        0\n");
}

static void a_port_shows_all_its_details(void **state)
{
	json_t *p = load("{\"name\":\"a\",\"plugged\":true,\"mac\":null,\"queues\":3,"
			 "\"features_mask\":\"0x3\",\"features\":[\"CSUM\",\"GUEST_CSUM\"],"
			 "\"protocol_features\":[],\"last_error\":\"\","
			 "\"memory\":[{\"gpa\":\"0x0\",\"size\":4096},"
			 "{\"gpa\":\"0x100000\",\"size\":8192}],"
			 "\"counters\":{\"tx_frames\":5}}");
	FILE *f = begin();

	(void)state;
	sr_show_port(p, f);
	json_decref(p);
	printed(f, "name:                 a\n"
		   "plugged:              yes\n"
		   "mac:                  -\n"
		   "queues:               3\n"
		   "features:             CSUM GUEST_CSUM\n"
		   "protocol:             none\n"
		   "memory:               0x0, 4 KiB\n"
		   "                      0x100000, 8 KiB\n"
		   "last error:           none\n"
		   "counters:\n"
		   "  tx frames:          5\n");
}

static void disks_and_devices_are_tables_too(void **state)
{
	json_t *disks = load("[{\"name\":\"d0\",\"type\":\"file\",\"size\":10737418240,"
			     "\"block_size\":512,\"read_only\":false,\"iops\":500,"
			     "\"bytes_per_second\":0,\"users\":[\"b0\"]},"
			     "{\"name\":\"d1\",\"type\":\"mem\",\"size\":1536,\"block_size\":512,"
			     "\"read_only\":true,\"iops\":0,\"bytes_per_second\":20971520,"
			     "\"users\":[\"s0 0:0\",\"s0 1:0\"]}]");
	json_t *devices = load("[{\"name\":\"b0\",\"type\":\"blk\",\"state\":\"running\","
			       "\"disk\":\"d0\",\"queues\":4,\"in_flight\":2,"
			       "\"counters\":{\"reads\":3,\"writes\":4,\"flushes\":1,"
			       "\"read_bytes\":4096,\"written_bytes\":512,\"failed\":1,"
			       "\"malformed\":1}},"
			       "{\"name\":\"s0\",\"type\":\"scsi\",\"state\":\"waiting\","
			       "\"units\":[{\"target\":0,\"lun\":0,\"disk\":\"d1\"},"
			       "{\"target\":1,\"lun\":0,\"disk\":\"d1\"}],"
			       "\"queues\":0,\"in_flight\":0,"
			       "\"counters\":{\"commands\":9,\"check_conditions\":2}}]");
	FILE *f = begin();

	(void)state;
	sr_show_disks(disks, f);
	sr_show_devices(devices, f);
	json_decref(disks);
	json_decref(devices);
	printed(f, "DISK  TYPE  SIZE  BLOCK  ACCESS  IOPS-LIMIT  BYTES/S-LIMIT  USERS\n"
		   "d0    file   10G    512  rw             500              -  b0\n"
		   "d1    mem   1536    512  ro               -            20M  s0 0:0, s0 1:0\n"
		   "DEVICE  TYPE  STATE    QUEUES  IN-FLIGHT  REQUESTS  READ-BYTES  "
		   "WRITTEN-BYTES  FAILED  DISKS\n"
		   "b0      blk   running       4          2         8        4096  "
		   "          512       2  d0\n"
		   "s0      scsi  waiting       0          0         9           0  "
		   "            0       2  d1\n");
}

static void nonsense_from_a_daemon_is_survived(void **state)
{
	json_t *odd = load("[1, {\"name\": 7}, {\"counters\": []}]");
	FILE *f = begin();

	(void)state;
	sr_show_ports(odd, f);
	sr_show_rates(odd, odd, 1.0, f);
	sr_show_macs(odd, f);
	sr_show_port(json_array_get(odd, 1), f);
	sr_show_disks(odd, f);
	sr_show_disk(json_array_get(odd, 1), f);
	sr_show_devices(odd, f);
	sr_show_device(json_array_get(odd, 1), f);
	sr_show_device_rates(odd, odd, 1.0, f);
	json_decref(odd);
	fclose(f);
	assert_true(size > 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_line_up),
		cmocka_unit_test(a_table_without_rows_is_its_titles),
		cmocka_unit_test(ports_show_what_they_have_and_a_dash_for_the_rest),
		cmocka_unit_test(rates_are_differences_over_time),
		cmocka_unit_test(a_port_shows_all_its_details),
		cmocka_unit_test(disks_and_devices_are_tables_too),
		cmocka_unit_test(nonsense_from_a_daemon_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
