/* SPDX-License-Identifier: BSD-3-Clause */
/* Block devices: loop devices on files of tmpfs, where we may make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"
#include "file_rig.h"

#include <errno.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct device {
	struct file_rig t;
	char path[32];
	int fd;
};

/* False where there are no loop devices for us. */
static bool device_make(struct device *d, uint64_t size, uint32_t block_size, uint32_t flags)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), file;
	struct loop_config c = { .block_size = block_size,
				 .info = { .lo_flags = flags | LO_FLAGS_AUTOCLEAR } };
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	if (control >= 0)
		close(control);
	file_rig_make(&d->t, FILE_RIG_TMPFS, size);
	snprintf(d->path, sizeof(d->path), "/dev/loop%d", n);
	d->fd = n < 0 ? -1 : open(d->path, O_RDWR | O_CLOEXEC);
	file = open(d->t.path, O_RDWR | O_CLOEXEC);
	c.fd = (uint32_t)file;
	if (d->fd < 0 || ioctl(d->fd, LOOP_CONFIGURE, &c)) {
		close(d->fd);
		close(file);
		file_rig_remove(&d->t);
		return false;
	}
	close(file);
	d->t.config.path = d->path;
	return true;
}

static void device_remove(struct device *d)
{
	close(d->fd);
	file_rig_remove(&d->t);
}

static struct sr_disk *disk_of(struct device *d)
{
	struct sr_error e;
	struct sr_disk *disk = sr_disk_file_create(&d->t.config, &e);

	if (!disk)
		fail_msg("%s", e.text);
	return disk;
}

static void it_does_what_every_engine_must(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t block;
		enum sr_disk_direct direct;
	} shapes[] = { { MIB, 512, SR_DISK_DIRECT_ON },
		       { 5 * GIB, 4096, SR_DISK_DIRECT_ON },
		       { MIB, 512, SR_DISK_DIRECT_OFF } };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes); i++) {
		struct device d;

		if (!device_make(&d, shapes[i].size, shapes[i].block, 0))
			skip();
		d.t.config.direct = shapes[i].direct;
		d.t.disk = disk_of(&d);
		assert_int_equal(sr_disk_info(d.t.disk)->block_size, shapes[i].block);
		assert_int_equal(sr_disk_size(d.t.disk), shapes[i].size);
		assert_true(sr_disk_info(d.t.disk)->can_discard);
		assert_false(sr_disk_info(d.t.disk)->can_erase);
		disk_rig_check_engine(d.t.disk);
		sr_disk_destroy(d.t.disk);
		device_remove(&d);
	}
}

static void discard_gives_room_back_by_either_way(void **state)
{
	struct device d;
	struct stat st;
	uint8_t *a;

	(void)state;
	if (!device_make(&d, 2 * MIB, 512, 0))
		skip();
	a = disk_rig_buffer(MIB, 0x77);
	file_rig_open(&d.t);
	for (unsigned i = 0; i < 2; i++) {
		/* The second time as on a kernel that has no command for it. */
		file_rig_inside(&d.t)->no_discard_cmd = i == 1;
		assert_int_equal(disk_rig_write(&d.t.rig, 0, a, MIB), 0);
		assert_int_equal(stat(d.t.path, &st), 0);
		assert_true(st.st_blocks >= (blkcnt_t)(MIB / 512));
		assert_int_equal(disk_rig_command(&d.t.rig, SR_DISK_DISCARD, 0, 0, MIB), 0);
		assert_int_equal(stat(d.t.path, &st), 0);
		assert_true(st.st_blocks < (blkcnt_t)(MIB / 1024));
	}
	file_rig_close(&d.t);
	device_remove(&d);
	free(a);
}

enum {
	CROWD = 64
};

static void what_the_helper_has_not_begun_is_taken_back(void **state)
{
	struct sr_disk_req r[CROWD], *list[CROWD];
	bool taken[CROWD];
	struct device d;

	(void)state;
	if (!device_make(&d, 64 * MIB, 512, 0))
		skip();
	file_rig_open(&d.t);
	file_rig_inside(&d.t)->no_discard_cmd = true;
	for (unsigned i = 0; i < CROWD; i++) {
		r[i] = (struct sr_disk_req){ .op = SR_DISK_DISCARD, .offset = i * MIB, .len = MIB };
		list[i] = &r[i];
	}
	disk_rig_submit(&d.t.rig, list, CROWD);
	for (unsigned i = CROWD; i-- > 0;)
		taken[i] = sr_disk_cancel(d.t.rig.channel, &r[i]);
	sr_disk_poll(d.t.rig.channel);
	for (unsigned i = 0; i < CROWD; i++)
		assert_true(!taken[i] || r[i].result == 0 || r[i].result == -ECANCELED);
	assert_true(disk_rig_wait(&d.t.rig, 0));
	for (unsigned i = 0; i < CROWD; i++)
		assert_true(r[i].result == 0 || r[i].result == -ECANCELED);
	file_rig_close(&d.t);
	device_remove(&d);
}

static void a_device_that_the_system_uses_is_refused(void **state)
{
	struct device d;
	int other;

	(void)state;
	if (!device_make(&d, MIB, 512, 0))
		skip();
	other = open(d.path, O_RDONLY | O_EXCL | O_CLOEXEC); /* as a mount has it */
	assert_true(other >= 0);
	file_rig_is_refused(&d.t, -EBUSY, "mounted, swap");
	close(other);
	file_rig_open(&d.t);
	assert_int_equal(open(d.path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	file_rig_close(&d.t);
	device_remove(&d);
}

static void a_read_only_device_says_so(void **state)
{
	struct device d;

	(void)state;
	if (!device_make(&d, MIB, 512, LO_FLAGS_READ_ONLY))
		skip();
	file_rig_is_refused(&d.t, -EROFS, "to serve it read-only");
	d.t.config.read_only = true;
	file_rig_open(&d.t);
	file_rig_close(&d.t);
	device_remove(&d);
}

static void blocks_smaller_than_the_devices_are_refused(void **state)
{
	struct device d;

	(void)state;
	if (!device_make(&d, MIB, 4096, 0))
		skip();
	d.t.config.block_size = 512;
	file_rig_is_refused(&d.t, -EINVAL, "has blocks of 4096 bytes");
	device_remove(&d);
}

static void a_device_that_has_grown_is_seen(void **state)
{
	struct device d;
	struct sr_error e;

	(void)state;
	if (!device_make(&d, MIB, 512, 0))
		skip();
	file_rig_open(&d.t);
	assert_int_equal(sr_disk_resize(d.t.disk, MIB, &e), 0);
	assert_int_equal(sr_disk_resize(d.t.disk, 2 * MIB, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "look again"));
	assert_int_equal(truncate(d.t.path, 2 * MIB), 0);
	assert_int_equal(ioctl(d.fd, LOOP_SET_CAPACITY, 0), 0);
	assert_int_equal(sr_disk_size(d.t.disk), MIB);
	assert_int_equal(sr_disk_resize(d.t.disk, 0, &e), 0);
	assert_int_equal(sr_disk_size(d.t.disk), 2 * MIB);
	file_rig_close(&d.t);
	device_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_every_engine_must),
		cmocka_unit_test(discard_gives_room_back_by_either_way),
		cmocka_unit_test(what_the_helper_has_not_begun_is_taken_back),
		cmocka_unit_test(a_device_that_the_system_uses_is_refused),
		cmocka_unit_test(a_read_only_device_says_so),
		cmocka_unit_test(blocks_smaller_than_the_devices_are_refused),
		cmocka_unit_test(a_device_that_has_grown_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
