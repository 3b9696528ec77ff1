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

static void refused(const struct sr_kind *kind, const char *spec, const char *text)
{
	char item[SR_ITEM_MAX] __attribute__((aligned(8)));
	struct sr_error e = { 0 };

	assert_int_equal(sr_kind_parse(kind, spec, item, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static struct sr_conf_disk disk(const char *spec)
{
	struct sr_conf_disk d;
	struct sr_error e = { 0 };

	if (sr_kind_parse(&sr_disk_kind, spec, &d, &e))
		fail_msg("%s", e.text);
	return d;
}

static void every_key_of_a_disk_reaches_its_field(void **state)
{
	struct sr_conf_disk d = disk("file,name=d0,path=/x,read-only=on,direct=off,block-size=4096,"
				     "iops=10,iops-burst=20,bytes-per-second=5M,bytes-burst=1G,"
				     "zone-size=64M,conventional-zones=2,max-open-zones=3,"
				     "max-active-zones=4,zone-state=/z");

	(void)state;
	assert_int_equal(d.type, SR_MEDIUM_FILE);
	assert_string_equal(d.path, "/x");
	assert_true(d.read_only);
	assert_int_equal(d.direct, SR_DISK_DIRECT_OFF);
	assert_int_equal(sr_conf_disk_block_size(&d), 4096);
	assert_int_equal(d.iops, 10);
	assert_int_equal(d.iops_burst, 20);
	assert_int_equal(d.bytes_per_second, 5 << 20);
	assert_int_equal(d.bytes_burst, 1 << 30);
	assert_int_equal(d.zone_size, 64 << 20);
	assert_int_equal(d.conventional_zones, 2);
	assert_int_equal(d.max_open_zones, 3);
	assert_int_equal(d.max_active_zones, 4);
	assert_string_equal(d.zone_state, "/z");
	assert_false(d.faults);
	d = disk("nbd,name=n,uri=nbd://h/x,connections=2,tls-certificates=/c,tls-psk-file=/k");
	assert_string_equal(d.uri, "nbd://h/x");
	assert_int_equal(d.connections, 2);
	assert_string_equal(d.tls_certificates, "/c");
	assert_string_equal(d.tls_psk_file, "/k");
	d = disk("rbd,name=r,pool=p,image=i,conf=/c,user=u");
	assert_string_equal(d.pool, "p");
	assert_string_equal(d.image, "i");
	assert_string_equal(d.conf, "/c");
	assert_string_equal(d.user, "u");
	d = disk("mem,name=m,size=2T,fault-ops=write,fault-error-share=0.25,fault-delay-ms=7,"
		 "fault-offset=512,fault-length=4K");
	assert_true(d.size == 2ull << 40);
	assert_true(d.faults);
	assert_true(d.fault_error_share > 0.24 && d.fault_error_share < 0.26);
	assert_int_equal(d.fault_delay_ms, 7);
	assert_int_equal(d.fault_offset, 512);
	assert_int_equal(d.fault_length, 4096);
}

static void a_wrong_disk_is_told_what_was_expected(void **state)
{
	(void)state;
	refused(&sr_disk_kind, "disk,name=a",
		"'disk,name=a': key 'type': got 'disk', expected file, mem, null, nbd or rbd");
	refused(&sr_disk_kind, "name=a,type=file",
		"'name=a,type=file': starts with 'name=a', expected the type first: file,..., "
		"mem,..., null,..., nbd,... or rbd,...");
	refused(&sr_disk_kind, "file,name=a",
		"'file,name=a': key 'path': missing, a file disk needs it");
	refused(&sr_disk_kind, "rbd,name=a,pool=p",
		"'rbd,name=a,pool=p': key 'image': missing, an rbd disk needs it");
	refused(&sr_disk_kind, "mem,name=a,size=1G,connections=2",
		"'mem,name=a,size=1G,connections=2': key 'connections': not for a mem disk, "
		"expected one of type, name, size, block-size, iops, iops-burst, bytes-per-second, "
		"bytes-burst, zone-size, conventional-zones, max-open-zones, max-active-zones, "
		"zone-state, fault-ops, fault-error-share, fault-delay-ms, fault-offset, "
		"fault-length");
	refused(&sr_disk_kind, "mem,name=a,size=1G,zone-state=/x",
		"'mem,name=a,size=1G,zone-state=/x': key 'zone-state': means nothing without "
		"zone-size");
	refused(&sr_disk_kind, "mem,name=a,size=1G,iops-burst=5",
		"'mem,name=a,size=1G,iops-burst=5': key 'iops-burst': means nothing without iops");
}

static void value_refused(const char *pair, const char *text)
{
	char spec[200], whole[400];

	snprintf(spec, sizeof(spec), "file,name=a,path=/x,%s", pair);
	snprintf(whole, sizeof(whole), "'%s': key '%.*s': %s", spec, (int)strcspn(pair, "="), pair,
		 text);
	refused(&sr_disk_kind, spec, whole);
}

static void sizes_shares_and_switches_are_judged_whole(void **state)
{
	static const char *const wrong[] = {
		"1.5G", "1g", "G", "-1", "", "1GB", " 1", "1 ", "9223372036854775808", "8388608T"
	};
	char pair[64], text[160];

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(wrong); i++) {
		snprintf(pair, sizeof(pair), "bytes-per-second=%s", wrong[i]);
		snprintf(text, sizeof(text),
			 "got '%s', expected a whole number of bytes such as 4096, 64K, 20M, 10G "
			 "or 1T",
			 wrong[i]);
		value_refused(pair, text);
	}
	value_refused(
		"zone-size=0",
		"got '0', expected a whole number of bytes, more than 0, such as 4096, 64K, 20M, "
		"10G or 1T");
	value_refused("fault-error-share=1.1",
		      "got '1.1', expected a share from 0 to 1 such as 0.05");
	value_refused("fault-error-share=nan",
		      "got 'nan', expected a share from 0 to 1 such as 0.05");
	value_refused("fault-error-share=", "got '', expected a share from 0 to 1 such as 0.05");
	value_refused("read-only=1", "got '1', expected on or off");
	value_refused("direct=yes", "got 'yes', expected auto, on or off");
	value_refused("block-size=1024", "got '1024', expected auto, 512 or 4096");
	value_refused("fault-ops=trim", "got 'trim', expected all, read, write, flush, discard, "
					"zeroes or erase");
	assert_true(disk("file,name=a,path=/x,read-only=yes").read_only);
	assert_true(disk("file,name=a,path=/x,read-only=true").read_only);
	assert_false(disk("file,name=a,path=/x,read-only=off").read_only);
	assert_true(disk("mem,name=a,size=8388607T").size == 8388607ull << 40);
}

static void devices_need_little(void **state)
{
	struct sr_conf_device v;
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_kind_parse(&sr_blk_kind, "name=b,disk=d,socket=/s", &v, &e), 0);
	assert_int_equal(v.type, SR_DEVICE_BLK);
	assert_int_equal(v.queues, 16);
	assert_int_equal(v.fd, -1);
	assert_int_equal(v.cache, SR_CACHE_WRITEBACK);
	assert_int_equal(sr_kind_parse(&sr_blk_kind,
				       "name=b,disk=d,socket=/s,cache=writethrough,serial=x,"
				       "read-only=on,queues=256,permissions=660",
				       &v, &e),
			 0);
	assert_int_equal(v.cache, SR_CACHE_WRITETHROUGH);
	assert_string_equal(v.serial, "x");
	assert_int_equal(v.permissions, 0660);
	refused(&sr_blk_kind, "name=b,socket=/s",
		"'name=b,socket=/s': key 'disk': missing, a blk device needs it");
	refused(&sr_blk_kind, "name=b,disk=d,socket=/s,luns=x",
		"'name=b,disk=d,socket=/s,luns=x': unknown key 'luns', expected one of name, disk, "
		"socket, mode, queues, serial, cache, read-only, permissions, group");
	refused(&sr_blk_kind, "name=b,disk=d,socket=/s,serial=a-serial-of-21-bytes-x",
		"'name=b,disk=d,socket=/s,serial=a-serial-of-21-bytes-x': key 'serial': got "
		"'a-serial-of-21-bytes-x', expected 1 to 20 bytes of text");
	refused(&sr_scsi_kind, "name=s,socket=/s,mode=client,group=kvm",
		"'name=s,socket=/s,mode=client,group=kvm': key 'group': a client makes no socket, "
		"expected with mode server only");
}

static void units_are_written_as_people_say_them(void **state)
{
	static const char expected[] = ": expected TARGET:LUN=DISK, such as 0:0=d0, then perhaps "
				       ",serial=... or other keys";
	static const char *const wrong[] = { "", "0:0", "d0", "0=d0", "=", ":", "0:0,d0" };
	struct sr_conf_lun l;
	struct sr_error e;
	char text[300];

	(void)state;
	assert_int_equal(sr_conf_lun_parse("255:16383=d0,serial=a b,vendor=V,product=P", &l, &e),
			 0);
	assert_int_equal(l.target, 255);
	assert_int_equal(l.lun, 16383);
	assert_string_equal(l.disk, "d0");
	assert_string_equal(l.serial, "a b");
	for (unsigned i = 0; i < SR_ARRAY_LEN(wrong); i++) {
		assert_int_equal(sr_conf_lun_parse(wrong[i], &l, &e), -EINVAL);
		snprintf(text, sizeof(text), "'%s'%s", wrong[i], expected);
		assert_string_equal(e.text, text);
	}
	assert_int_equal(sr_conf_lun_parse("256:0=d0", &l, &e), -EINVAL);
	assert_string_equal(e.text, "'256:0=d0': key 'target': got '256', expected a number from 0 "
				    "to 255");
	assert_int_equal(sr_conf_lun_parse("0:16384=d0", &l, &e), -EINVAL);
	assert_int_equal(sr_conf_lun_parse("0:0=d0,vendor=too long it is", &l, &e), -EINVAL);
	assert_int_equal(sr_conf_lun_parse("0:0=", &l, &e), -EINVAL);
}

#define DISKS "disks:\n- {type: mem, name: d0, size: 1M}\n- {type: mem, name: d1, size: 1M}\n"

static void yaml_refused(const char *yaml, const char *text)
{
	struct sr_config c;
	struct sr_error e = { 0 };

	assert_int_equal(sr_config_load_text("f.yaml", yaml, strlen(yaml), &c, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void a_file_describes_disks_and_devices(void **state)
{
	static const char yaml[] = DISKS "blk:\n"
					 "- name: b0\n"
					 "  disk: d0\n"
					 "  socket: /b0\n"
					 "scsi:\n"
					 "- name: s0\n"
					 "  socket: /s0\n"
					 "  luns:\n"
					 "  - 0:0=d1,serial=x\n"
					 "  - {target: 3, lun: 4, disk: d1, vendor: V}\n"
					 "- {name: s1, socket: /s1, luns: [\"1:2=d1\"]}\n";
	const struct sr_conf_lun *l;
	struct sr_config c;
	struct sr_error e = { 0 };

	(void)state;
	if (sr_config_load_text("f.yaml", yaml, strlen(yaml), &c, &e))
		fail_msg("%s", e.text);
	assert_int_equal(c.lists[SR_DISKS].n, 2);
	assert_int_equal(c.lists[SR_BLKS].n, 1);
	assert_int_equal(c.lists[SR_SCSIS].n, 2);
	assert_int_equal(c.lists[SR_LUNS].n, 3);
	l = sr_config_item(&c, SR_LUNS, 1);
	assert_int_equal(l->target, 3);
	assert_int_equal(l->lun, 4);
	assert_string_equal(l->vendor, "V");
	l = sr_config_item(&c, SR_LUNS, 2);
	assert_int_equal(l->scsi, 1);
	assert_int_equal(l->target, 1);
	assert_int_equal(l->lun, 2);
	sr_config_finish(&c);
}

static void mistakes_in_a_file_are_named_with_their_line(void **state)
{
	(void)state;
	yaml_refused(DISKS "- {type: mem, name: d0, size: 1M}\n",
		     "f.yaml:4: key 'disks[2].name': got 'd0', which disks[0] on line 2 has "
		     "already");
	yaml_refused(DISKS "blk:\n- name: b\n  disk: d9\n  socket: /b\n",
		     "f.yaml:6: key 'blk[0].disk': got 'd9', expected one of d0, d1");
	yaml_refused("blk:\n- {name: b, disk: d9, socket: /b}\n",
		     "f.yaml:2: key 'blk[0].disk': got 'd9', but there are no disks");
	yaml_refused(DISKS "blk:\n- {name: b, disk: d0, socket: /b}\n"
			   "scsi:\n- {name: b, socket: /s}\n",
		     "f.yaml:7: key 'scsi[0].name': got 'b', which blk[0] on line 5 has already");
	yaml_refused(
		DISKS "blk:\n- {name: b, disk: d0, socket: /b}\n"
		      "scsi:\n- {name: s, socket: /b}\n",
		"f.yaml:7: key 'scsi[0].socket': got '/b', which blk[0] on line 5 has already");
	yaml_refused("ports:\n- {type: vhost-user, name: a, socket: /b}\n" DISKS
		     "blk:\n- {name: b, disk: d0, socket: /b}\n",
		     "f.yaml:7: key 'blk[0].socket': got '/b', which ports[0] on line 2 has "
		     "already");
	yaml_refused(DISKS "scsi:\n- name: s\n  socket: /s\n  luns:\n  - 0:0=d0\n  - 0:0=d1\n",
		     "f.yaml:9: key 'scsi[0].luns[1].lun': got '0', which scsi[0].luns[0] on line "
		     "8 has already");
	yaml_refused(DISKS "scsi:\n- name: s\n  socket: /s\n  luns:\n  - 0:0=d0\n  - 0:1=dx\n",
		     "f.yaml:9: key 'scsi[0].luns[1].disk': got 'dx', expected one of d0, d1");
	yaml_refused(DISKS "scsi:\n- name: s\n  socket: /s\n  luns:\n  - {disk: d0, unit: 1}\n",
		     "f.yaml:8: key 'scsi[0].luns[0].unit': unknown, expected one of target, lun, "
		     "disk, serial, vendor, product, read-only, protection");
	yaml_refused(DISKS "scsi:\n- name: s\n  socket: /s\n  luns: 0:0=d0\n",
		     "f.yaml:7: key 'scsi[0].luns': expected a list");
	yaml_refused(DISKS "scsi:\n- name: s\n  lun: x\n",
		     "f.yaml:6: key 'scsi[0].lun': unknown, expected one of name, socket, mode, "
		     "queues, permissions, group, luns");
	yaml_refused("disks:\n- type: nbd\n  path: /x\n",
		     "f.yaml:2: key 'disks[0].name': missing, an nbd disk needs it");
}

static void disks_are_shared_only_where_that_is_safe(void **state)
{
	static const char *const fine[] = {
		DISKS "scsi:\n- {name: s, socket: /s, luns: [\"0:0=d0\", \"0:1=d0\"]}\n",
		(DISKS "blk:\n- {name: a, disk: d0, socket: /a, read-only: true}\n"
		       "- {name: b, disk: d0, socket: /b, read-only: true}\n"),
		("disks: [{type: file, name: d0, path: /x, read-only: on}]\n"
		 "blk:\n- {name: a, disk: d0, socket: /a}\n- {name: b, disk: d0, socket: /b}\n"),
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(fine); i++) {
		struct sr_config c;
		struct sr_error e = { 0 };

		if (sr_config_load_text("f.yaml", fine[i], strlen(fine[i]), &c, &e))
			fail_msg("%s", e.text);
		sr_config_finish(&c);
	}
	yaml_refused(DISKS "blk:\n- {name: a, disk: d0, socket: /a}\n"
			   "- {name: b, disk: d0, socket: /b, read-only: true}\n",
		     "f.yaml:6: key 'blk[1].disk': got 'd0', which blk[0] on line 5 uses: only "
		     "SCSI units share a disk, or devices that are all read-only");
	yaml_refused(DISKS "blk:\n- {name: a, disk: d0, socket: /a}\n"
			   "scsi:\n- {name: s, socket: /s, luns: [\"0:0=d0\"]}\n",
		     "f.yaml:7: key 'scsi[0].luns[0].disk': got 'd0', which blk[0] on line 5 uses: "
		     "only SCSI units share a disk, or devices that are all read-only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_a_disk_reaches_its_field),
		cmocka_unit_test(a_wrong_disk_is_told_what_was_expected),
		cmocka_unit_test(sizes_shares_and_switches_are_judged_whole),
		cmocka_unit_test(devices_need_little),
		cmocka_unit_test(units_are_written_as_people_say_them),
		cmocka_unit_test(a_file_describes_disks_and_devices),
		cmocka_unit_test(mistakes_in_a_file_are_named_with_their_line),
		cmocka_unit_test(disks_are_shared_only_where_that_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
