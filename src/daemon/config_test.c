/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "config.h"

#include <errno.h>
#include <slipring/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void refused(const char *yaml, const char *text)
{
	struct sr_config c;
	struct sr_error e = { 0 };

	assert_int_equal(sr_config_load_text("f.yaml", yaml, strlen(yaml), &c, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void accepted(const char *yaml, struct sr_config *c)
{
	struct sr_error e = { 0 };

	if (sr_config_load_text("f.yaml", yaml, strlen(yaml), c, &e))
		fail_msg("%s", e.text);
}

static const struct sr_port_config *port(const struct sr_config *c, unsigned i)
{
	return sr_config_item(c, SR_PORTS, i);
}

static void a_full_file_fills_every_field(void **state)
{
	static const char yaml[] = "# a comment\n"
				   "threads: 3\n"
				   "cpus: [0, 2-3]\n"
				   "poll-us: busy\n"
				   "log: debug\n"
				   "control:\n"
				   "  socket: /run/c.sock\n"
				   "  permissions: 0660\n"
				   "  group: kvm\n"
				   "switch:\n"
				   "  mac-limit: 100\n"
				   "  age-s: 20\n"
				   "  wait-us: 30\n"
				   "ports:\n"
				   "  - type: vhost-user\n"
				   "    name: a\n"
				   "    socket: /run/a.sock\n"
				   "    permissions: 0666\n"
				   "  - {type: tap, name: t0}\n";
	struct sr_config c;

	(void)state;
	accepted(yaml, &c);
	assert_int_equal(c.threads, 3);
	assert_int_equal(c.cpus.n, 3);
	assert_int_equal(c.cpus.cpu[0], 0);
	assert_int_equal(c.cpus.cpu[2], 3);
	assert_int_equal(c.poll_us, SR_POLL_ALWAYS);
	assert_int_equal(c.log, SR_LOG_DEBUG);
	assert_string_equal(c.control, "/run/c.sock");
	assert_int_equal(c.control_permissions, 0660);
	assert_string_equal(c.control_group, "kvm");
	assert_int_equal(c.mac_limit, 100);
	assert_int_equal(c.age_s, 20);
	assert_int_equal(c.wait_us, 30);
	assert_int_equal(c.lists[SR_PORTS].n, 2);
	assert_string_equal(port(&c, 0)->name, "a");
	assert_int_equal(port(&c, 0)->permissions, 0666);
	assert_string_equal(port(&c, 1)->interface, "t0");
	sr_config_finish(&c);
}

static void a_small_file_gets_defaults(void **state)
{
	struct sr_config c;

	(void)state;
	accepted("ports: []\n", &c);
	assert_int_equal(c.threads, 1);
	assert_int_equal(c.poll_us, 50);
	assert_int_equal(c.log, SR_LOG_INFO);
	assert_string_equal(c.control, "");
	assert_int_equal(c.lists[SR_PORTS].n, 0);
	sr_config_finish(&c);
	accepted("cpus: [4, 5]\n", &c);
	assert_int_equal(c.threads, 2);
	sr_config_finish(&c);
}

static void a_wrong_value_is_named_with_line_and_expectation(void **state)
{
	(void)state;
	refused("threads: 0\n", "f.yaml:1: key 'threads': got '0', expected a number from 1 to 64");
	refused("\n\nlog: loud\n", "f.yaml:3: key 'log': got 'loud', expected error, warn, info or "
				   "debug");
	refused("poll-us: -1", "f.yaml:1: key 'poll-us': got '-1', expected busy or a number of "
			       "microseconds from 0 to 1000000");
	refused("threads:\n", "f.yaml:1: key 'threads': got '', expected a number from 1 to 64");
	refused("switch:\n  age-s: 1\n  mac-limit: many\n",
		"f.yaml:3: key 'switch.mac-limit': got 'many', expected a number from 1 to "
		"1048576");
	refused("cpus: [0, x]\n",
		"f.yaml:1: key 'cpus': got '0,x', expected up to 64 CPU numbers such as 0,2-3");
	refused("cpus: [3-1]\n",
		"f.yaml:1: key 'cpus': got '3-1', expected up to 64 CPU numbers such as 0,2-3");
	refused("threads: 2\ncpus: [1]\n",
		"f.yaml:2: key 'cpus': names 1 CPU for 2 threads, expected one for each");
	refused("ports:\n- type: tap\n  name: a\n- type: vhost-user\n  name: b\n  socket: /s\n"
		"  mode: x\n",
		"f.yaml:7: key 'ports[1].mode': got 'x', expected server or client");
	refused("ports: [{type: vhost-user, name: b, socket: /s,\n mode: x}]\n",
		"f.yaml:2: key 'ports[0].mode': got 'x', expected server or client");
}

static void a_missing_key_is_named_at_its_ports_line(void **state)
{
	(void)state;
	refused("ports:\n- name: a\n",
		"f.yaml:2: key 'ports[0].type': missing, expected vhost-user or tap");
	refused("ports:\n- type: tap\n  name: a\n\n- type: vhost-user\n  name: b\n",
		"f.yaml:5: key 'ports[1].socket': missing, a vhost-user port needs it");
	refused("ports:\n- type: tap\n  name: a\n  socket: /x\n",
		"f.yaml:4: key 'ports[0].socket': not for a tap port, expected one of type, name, "
		"interface");
}

static void an_unknown_key_is_told_the_known_ones(void **state)
{
	(void)state;
	refused("threads: 1\nthread: 2\n",
		"f.yaml:2: key 'thread': unknown, expected one of threads, cpus, poll-us, log, "
		"control, switch, ports, disks, blk, scsi");
	refused("control:\n  path: /x\n",
		"f.yaml:2: key 'control.path': unknown, expected one of socket, permissions, "
		"group");
	refused("ports:\n- type: tap\n  name: a\n  device: x\n",
		"f.yaml:4: key 'ports[0].device': unknown, expected one of type, name, interface");
	refused("ports:\n- device: x\n",
		"f.yaml:2: key 'ports[0].device': unknown, expected one of type, name, socket, "
		"mode, mac, mtu, queues, permissions, group, interface");
}

static void a_wrong_shape_is_named_with_its_line(void **state)
{
	(void)state;
	refused("ports:\n- a\n", "f.yaml:2: key 'ports[0]': expected a mapping of keys to values");
	refused("threads: 1\nports: 3\n", "f.yaml:2: key 'ports': expected a list");
	refused("threads: [1]\n",
		"f.yaml:1: key 'threads': got a list or mapping, expected one value");
	refused("ports:\n- type: tap\n  name: {a: b}\n",
		"f.yaml:3: key 'ports[0].name': got a list or mapping, expected one value");
	refused("control: /run/x\n",
		"f.yaml:1: key 'control': expected a mapping of keys to values");
	refused("hello\n", "f.yaml:1: expected a mapping of keys to values");
	refused("", "f.yaml:1: is empty, expected settings, ports, disks or devices");
	refused("threads: 1\nlog: info\nthreads: 2\n", "f.yaml:3: key 'threads': given twice");
	refused("threads: 1\n---\nthreads: 2\n", "f.yaml:3: a second document, expected one");
	refused("log: &x info\ncontrol:\n  group: *x\n",
		"f.yaml:3: key 'control.group': got an alias, expected the value itself");
}

static void text_that_is_no_yaml_is_refused_with_its_line(void **state)
{
	struct sr_config c;
	struct sr_error e;
	static const char *const bad[] = {
		"threads: {a\nb: [",   "a: b: c", "\t- x",   "- [",
		"threads: \xff\xfe\n", "*a",	  "&a [*a]", "? [x]\n: y\n"
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		assert_int_equal(sr_config_load_text("f.yaml", bad[i], strlen(bad[i]), &c, &e),
				 -EINVAL);
		assert_true(!strncmp(e.text, "f.yaml:", 7) && e.text[7] >= '1' && e.text[7] <= '9');
	}
	assert_int_equal(sr_config_load_text("f.yaml", "a\0b", 3, &c, &e), -EINVAL);
}

static void two_ports_never_share_a_name_or_socket(void **state)
{
	(void)state;
	refused("ports:\n"
		"- {type: tap, name: a, interface: x}\n"
		"- {type: tap, name: b, interface: y}\n"
		"- {type: tap,\n   name: a, interface: z}\n",
		"f.yaml:5: key 'ports[2].name': got 'a', which ports[0] on line 2 has already");
	refused("ports:\n"
		"- {type: vhost-user, name: a, socket: /s}\n"
		"- {type: vhost-user, name: b, socket: /s, mode: client}\n",
		"f.yaml:3: key 'ports[1].socket': got '/s', which ports[0] on line 2 has already");
	refused("ports:\n- {type: tap, name: a}\n- {type: tap, name: b, interface: a}\n",
		"f.yaml:3: key 'ports[1].interface': got 'a', which ports[0] on line 2 has "
		"already");
}

static void files_are_read_and_their_absence_is_said(void **state)
{
	char path[] = "/tmp/slipring-config-XXXXXX", expected[200];
	int fd = mkstemp(path);
	struct sr_config c;
	struct sr_error e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "threads: 9\n", 11), 11);
	assert_int_equal(sr_config_load(path, &c, &e), 0);
	assert_int_equal(c.threads, 9);
	sr_config_finish(&c);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	assert_int_equal(sr_config_load(path, &c, &e), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(sr_config_load(path, &c, &e), -ENOENT);
	snprintf(expected, sizeof(expected), "%s: No such file or directory", path);
	assert_string_equal(e.text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_file_fills_every_field),
		cmocka_unit_test(a_small_file_gets_defaults),
		cmocka_unit_test(a_wrong_value_is_named_with_line_and_expectation),
		cmocka_unit_test(a_missing_key_is_named_at_its_ports_line),
		cmocka_unit_test(an_unknown_key_is_told_the_known_ones),
		cmocka_unit_test(a_wrong_shape_is_named_with_its_line),
		cmocka_unit_test(text_that_is_no_yaml_is_refused_with_its_line),
		cmocka_unit_test(two_ports_never_share_a_name_or_socket),
		cmocka_unit_test(files_are_read_and_their_absence_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
