/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "config.h"

#include <errno.h>
#include <stdio.h>

static void refused(const char *spec, const char *text)
{
	struct sr_port_config p;
	struct sr_error e = { 0 };

	assert_int_equal(sr_kind_parse(&sr_port_kind, spec, &p, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void a_short_spec_gets_sensible_defaults(void **state)
{
	struct sr_port_config p;
	struct sr_error e;

	(void)state;
	assert_int_equal(
		sr_kind_parse(&sr_port_kind, "vhost-user,name=a,socket=/run/a.sock", &p, &e), 0);
	assert_int_equal(p.type, SR_PORT_VHOST_USER);
	assert_string_equal(p.name, "a");
	assert_string_equal(p.socket, "/run/a.sock");
	assert_int_equal(p.mode, SR_VHOST_USER_SERVER);
	assert_int_equal(p.queues, 16);
	assert_int_equal(p.mtu, 0);
	assert_int_equal(p.permissions, 0);
	assert_string_equal(p.group, "");
}

static void every_key_reaches_its_field(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0xab, 0xCD, 0xef };
	struct sr_port_config p;
	struct sr_error e;

	(void)state;
	assert_int_equal(
		sr_kind_parse(&sr_port_kind,
			      "vhost-user,queues=128,socket=b,name=x.y_z:1@h+i-j,mode=server,"
			      "mac=52:54:00:ab:CD:ef,mtu=9000,permissions=0660,group=kvm",
			      &p, &e),
		0);
	assert_string_equal(p.name, "x.y_z:1@h+i-j");
	assert_memory_equal(p.mac, mac, 6);
	assert_int_equal(p.mtu, 9000);
	assert_int_equal(p.queues, 128);
	assert_int_equal(p.permissions, 0660);
	assert_string_equal(p.group, "kvm");
	assert_int_equal(
		sr_kind_parse(&sr_port_kind, "vhost-user,name=b,socket=s,mode=client", &p, &e), 0);
	assert_int_equal(p.mode, SR_VHOST_USER_CLIENT);
}

static void a_tap_is_called_like_its_port_unless_told(void **state)
{
	struct sr_port_config p;
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_kind_parse(&sr_port_kind, "tap,name=t0", &p, &e), 0);
	assert_int_equal(p.type, SR_PORT_TAP);
	assert_string_equal(p.interface, "t0");
	assert_int_equal(sr_kind_parse(&sr_port_kind, "tap,name=t0,interface=vnet7", &p, &e), 0);
	assert_string_equal(p.interface, "vnet7");
	refused("tap,name=a-name-of-16-byt",
		"'tap,name=a-name-of-16-byt': key 'interface': missing, and the port's name is too "
		"long for an interface: expected 1 to 15 bytes");
}

static void a_wrong_spec_is_told_the_key_and_what_was_expected(void **state)
{
	(void)state;
	refused("vhost-user,name=a,sock=/x",
		"'vhost-user,name=a,sock=/x': unknown key 'sock', expected one of name, "
		"socket, mode, mac, mtu, queues, permissions, group");
	refused("tap,name=a,socket=/x",
		"'tap,name=a,socket=/x': key 'socket': not for a tap port, expected one of type, "
		"name, interface");
	refused("veth,name=a", "'veth,name=a': key 'type': got 'veth', expected vhost-user or tap");
	refused("", "'': key 'type': got '', expected vhost-user or tap");
	refused("name=a,socket=b", "'name=a,socket=b': starts with 'name=a', expected the type "
				   "first: vhost-user,... or tap,...");
	refused("vhost-user,socket=b", "'vhost-user,socket=b': key 'name': missing, a vhost-user "
				       "port needs it");
	refused("vhost-user,name=a", "'vhost-user,name=a': key 'socket': missing, a vhost-user "
				     "port needs it");
	refused("vhost-user,name,socket=a",
		"'vhost-user,name,socket=a': key 'name': no value, expected name=...");
	refused("tap,name=a,name=b", "'tap,name=a,name=b': key 'name' is given twice");
	refused("vhost-user,name=a,socket=s,mode=client,group=kvm",
		"'vhost-user,name=a,socket=s,mode=client,group=kvm': key 'group': a client makes "
		"no socket, expected with mode server only");
}

static void value_refused(const char *pair, const char *text)
{
	char spec[400], whole[800];

	snprintf(spec, sizeof(spec), "vhost-user,name=a,socket=s,%s", pair);
	snprintf(whole, sizeof(whole), "'%s': key '%.*s': %s", spec, (int)strcspn(pair, "="), pair,
		 text);
	refused(spec, whole);
}

static void a_wrong_value_is_told_what_was_expected(void **state)
{
	(void)state;
	value_refused("mode=x", "got 'x', expected server or client");
	value_refused("mtu=67", "got '67', expected a number from 68 to 65535");
	value_refused("mtu=65536", "got '65536', expected a number from 68 to 65535");
	value_refused("mtu=0x100", "got '0x100', expected a number from 68 to 65535");
	value_refused("mtu=-1", "got '-1', expected a number from 68 to 65535");
	value_refused("mtu= 99", "got ' 99', expected a number from 68 to 65535");
	value_refused("mtu=", "got '', expected a number from 68 to 65535");
	value_refused("queues=129", "got '129', expected a number from 1 to 128");
	value_refused("queues=99999999999999999999",
		      "got '99999999999999999999', expected a number from 1 to 128");
	value_refused("permissions=0680", "got '0680', expected permissions in octal such as 0660");
	value_refused("permissions=1777", "got '1777', expected permissions in octal such as 0660");
	value_refused("permissions=0", "got '0', expected permissions in octal such as 0660");
	value_refused("mac=01:00:5e:00:00:01", "got '01:00:5e:00:00:01', expected a unicast "
					       "address such as 52:54:00:12:34:56");
	value_refused("mac=00:00:00:00:00:00", "got '00:00:00:00:00:00', expected a unicast "
					       "address such as 52:54:00:12:34:56");
	value_refused("mac=52:54:00:12:34", "got '52:54:00:12:34', expected a unicast address "
					    "such as 52:54:00:12:34:56");
	value_refused("mac=52-54-00-12-34-56", "got '52-54-00-12-34-56', expected a unicast "
					       "address such as 52:54:00:12:34:56");
	value_refused("group=", "got '', expected 1 to 63 bytes of text");
}

static void names_stay_plain_and_short(void **state)
{
	char spec[400], path[200];

	(void)state;
	refused("tap,name=a b", "'tap,name=a b': key 'name': got 'a b', expected 1 to 63 letters, "
				"digits or . _ : @ + -, not - first");
	refused("tap,name=-a", "'tap,name=-a': key 'name': got '-a', expected 1 to 63 letters, "
			       "digits or . _ : @ + -, not - first");
	refused("tap,name=a,interface=a/b",
		"'tap,name=a,interface=a/b': key 'interface': got 'a/b', expected 1 to 15 letters, "
		"digits or . _ : @ + -, not - first");
	memset(path, 'p', 108);
	path[108] = '\0';
	snprintf(spec, sizeof(spec), "vhost-user,name=a,socket=%s", path);
	struct sr_port_config p;
	struct sr_error e;

	assert_int_equal(sr_kind_parse(&sr_port_kind, spec, &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "expected 1 to 107 bytes of text"));
	path[107] = '\0';
	snprintf(spec, sizeof(spec), "vhost-user,name=a,socket=%s", path);
	assert_int_equal(sr_kind_parse(&sr_port_kind, spec, &p, &e), 0);
	assert_string_equal(p.socket, path);
}

static void an_endless_spec_is_refused_whole(void **state)
{
	char spec[4096];
	struct sr_port_config p;
	struct sr_error e;

	(void)state;
	memset(spec, ',', sizeof(spec));
	spec[sizeof(spec) - 1] = '\0';
	assert_int_equal(sr_kind_parse(&sr_port_kind, spec, &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "expected at most 2047 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_spec_gets_sensible_defaults),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(a_tap_is_called_like_its_port_unless_told),
		cmocka_unit_test(a_wrong_spec_is_told_the_key_and_what_was_expected),
		cmocka_unit_test(a_wrong_value_is_told_what_was_expected),
		cmocka_unit_test(names_stay_plain_and_short),
		cmocka_unit_test(an_endless_spec_is_refused_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
