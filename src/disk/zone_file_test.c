/* SPDX-License-Identifier: BSD-3-Clause */
/* Write pointers that outlive the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "zoned_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER 64

static char folder[] = "/tmp/slipring-zones-XXXXXX", path[64];
static uint8_t sector[4 * SECTOR];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/state", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int remove_state(void **state)
{
	(void)state;
	return unlink(path);
}

static struct sr_disk_zoned_config config(void)
{
	return (struct sr_disk_zoned_config){ .zone_size = ZONE, .conventional = 1, .state = path };
}

static void open_kept(struct disk_rig *rig)
{
	struct sr_disk_zoned_config c = config();

	disk_rig_open(rig, zoned_make(&c));
}

static void end(struct disk_rig *rig)
{
	struct sr_disk *d = rig->disk;

	disk_rig_close(rig);
	sr_disk_destroy(d);
}

static void write_pointers_outlive_the_disk_and_open_zones_are_closed(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_kept(&rig);
	assert_int_equal(disk_rig_write(&rig, ZONE, sector, 2 * SECTOR), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_FINISH, 0, 2 * ZONE, 0), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_OPEN, 0, 3 * ZONE, 0), 0);
	assert_int_equal(zoned_append(&rig, 4 * ZONE, sector, SECTOR, NULL), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET, 0, 4 * ZONE, 0), 0);
	assert_int_equal(zoned_append(&rig, 4 * ZONE, sector, 3 * SECTOR, NULL), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_FLUSH, 0, 0, 0), 0);
	end(&rig);
	open_kept(&rig);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_CLOSED, 2 * SECTOR);
	zoned_is(&rig, 2 * ZONE, SR_DISK_ZONE_FULL, ZONE);
	zoned_is(&rig, 3 * ZONE, SR_DISK_ZONE_EMPTY, 0);
	zoned_is(&rig, 4 * ZONE, SR_DISK_ZONE_CLOSED, 3 * SECTOR);
	assert_int_equal(disk_rig_write(&rig, ZONE + 2 * SECTOR, sector, SECTOR), 0);
	end(&rig);
}

static void closed_zones_are_active_after_a_restart(void **state)
{
	struct sr_disk_zoned_config c = config();
	struct disk_rig rig;

	(void)state;
	c.max_active = 1;
	open_kept(&rig);
	assert_int_equal(disk_rig_write(&rig, ZONE, sector, SECTOR), 0);
	end(&rig);
	disk_rig_open(&rig, zoned_make(&c));
	assert_int_equal(disk_rig_write(&rig, 2 * ZONE, sector, SECTOR), -EOVERFLOW);
	assert_int_equal(disk_rig_write(&rig, ZONE + SECTOR, sector, SECTOR), 0);
	end(&rig);
}

static void a_write_that_a_reset_overtook_is_not_remembered(void **state)
{
	const struct sr_disk_fault f = { .ops = 1 << SR_DISK_WRITE, .delay_ns = UINT64_MAX };
	struct sr_disk *d = sr_disk_fault_create(zoned_below(), &f, NULL);
	const struct iovec iov = { sector, SECTOR };
	struct sr_disk_req r = {
		.op = SR_DISK_WRITE, .offset = ZONE, .len = SECTOR, .iov = &iov, .niov = 1
	};
	struct sr_disk_zoned_config c = config();
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, sr_disk_zoned_create(d, &c, NULL));
	disk_rig_submit_one(&rig, &r);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET, 0, ZONE, 0), 0);
	assert_int_equal(sr_disk_fault_set(d, &(struct sr_disk_fault){ 0 }, NULL), 0);
	assert_true(disk_rig_wait(&rig, 0));
	assert_int_equal(r.result, 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	end(&rig);
	open_kept(&rig);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	end(&rig);
}

static void durable_requests_of_several_kinds_complete(void **state)
{
	const struct iovec iov = { sector, SECTOR };
	struct sr_disk_req r[32];
	struct disk_rig rig;

	(void)state;
	open_kept(&rig);
	for (unsigned i = 0; i < 32; i++) {
		r[i] = (struct sr_disk_req){ .op = i % 2 ? SR_DISK_FLUSH : SR_DISK_ZONE_APPEND,
					     .flags = i % 4 ? 0 : SR_DISK_FUA,
					     .offset = ZONE,
					     .len = i % 2 ? 0 : SECTOR,
					     .iov = &iov,
					     .niov = 1 };
		disk_rig_submit_one(&rig, &r[i]);
	}
	assert_true(disk_rig_wait(&rig, 0));
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(r[i].result, 0);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_IMPLICIT_OPEN, 16 * SECTOR);
	end(&rig);
}

/* What a process that will be killed has been told, in memory that it shares with us. */
struct told {
	_Atomic uint64_t end[ZONES];
	_Atomic unsigned resets[ZONES];
	_Atomic unsigned rounds;
};

static void append_for_ever(struct told *t)
{
	struct sr_disk_zoned_config c = config();
	struct sr_disk *d = sr_disk_zoned_create(zoned_below(), &c, NULL);
	struct disk_rig rig;
	uint64_t at;

	if (!d || !disk_rig_start(&rig, d))
		_exit(1);
	for (unsigned i = 0;; i++) {
		unsigned zone = 1 + i * 7 % 3;

		if (zoned_append(&rig, zone * ZONE, sector, SECTOR, &at) == 0) {
			atomic_store(&t->end[zone], at + SECTOR);
		} else {
			atomic_store(&t->end[zone], 0);
			disk_rig_command(&rig, SR_DISK_ZONE_RESET, 0, zone * ZONE, 0);
		}
		atomic_fetch_add(&t->rounds, 1);
	}
}

static void kill_after(pid_t child, struct told *t, unsigned rounds)
{
	int status;

	while (atomic_load(&t->rounds) < rounds && waitpid(child, &status, WNOHANG) == 0)
		sched_yield();
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
}

static void what_was_reported_lies_below_the_pointer_after_kill_9(void **state)
{
	struct told *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct disk_rig rig;
		pid_t child;

		memset(t, 0, sizeof(*t));
		child = fork();
		if (child == 0)
			append_for_ever(t);
		kill_after(child, t, 1 + round * 37);
		open_kept(&rig);
		for (unsigned i = 1; i <= 3; i++) {
			uint64_t reported = atomic_load(&t->end[i]);
			uint64_t wp = zoned_zone(&rig, i * ZONE).wp;

			assert_true(wp >= reported);
			/* One append at a time: no more than one was not reported yet. */
			assert_true(!reported || wp <= reported + SECTOR);
		}
		end(&rig);
	}
	munmap(t, sizeof(*t));
}

static void write_that_never_ends(int ready)
{
	struct sr_disk_zoned_config c = config();
	const struct sr_disk_fault f = { .delay_ns = UINT64_MAX };
	struct sr_disk *d = sr_disk_fault_create(zoned_below(), &f, NULL);
	const struct iovec iov = { sector, SECTOR };
	struct sr_disk_req r = {
		.op = SR_DISK_WRITE, .offset = ZONE, .len = SECTOR, .iov = &iov, .niov = 1
	};
	struct disk_rig rig;

	d = sr_disk_zoned_create(d, &c, NULL);
	if (!d || !disk_rig_start(&rig, d))
		_exit(1);
	disk_rig_submit_one(&rig, &r);
	if (write(ready, "", 1) == 1)
		pause();
	_exit(1);
}

static void a_write_that_was_under_way_may_be_sent_again(void **state)
{
	struct disk_rig rig;
	int ends[2], status;
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0)
		write_that_never_ends(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	open_kept(&rig);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	assert_int_equal(disk_rig_write(&rig, ZONE, sector, SECTOR), 0);
	end(&rig);
	close(ends[0]);
	close(ends[1]);
}

/* The file of a disk that was used, with some bytes changed. */
static void spoil(size_t at, const void *bytes, size_t len)
{
	struct disk_rig rig;
	int fd;

	open_kept(&rig);
	end(&rig);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), (ssize_t)len);
	close(fd);
}

static void refuses(struct sr_disk_zoned_config c, int code, const char *text)
{
	struct sr_disk *below = zoned_below();
	char want[SR_ERROR_TEXT];
	struct sr_error e;

	snprintf(want, sizeof(want), "disk z: %s: %s", path, text);
	assert_null(sr_disk_zoned_create(below, &c, &e));
	assert_string_equal(e.text, want);
	assert_int_equal(e.code, code);
	sr_disk_destroy(below);
}

static void a_file_of_something_else_is_refused(void **state)
{
	(void)state;
	spoil(0, "ELF", 3);
	refuses(config(), -EINVAL, "not a state file of zones");
	assert_int_equal(truncate(path, 100), 0);
	refuses(config(), -EINVAL, "100 bytes, expected 144: not the state of these zones");
}

static void a_file_of_other_zones_is_refused(void **state)
{
	struct sr_disk_zoned_config c = config();

	(void)state;
	spoil(0, "", 0);
	c.conventional = 2;
	refuses(c, -EINVAL, "10 zones, 1 of them conventional, expected 10 and 2");
	c = config();
	c.zone_size = ZONE / 2;
	refuses(c, -EINVAL, "144 bytes, expected 224: not the state of these zones");
	spoil(8, &(uint64_t){ 4096 }, 8);
	refuses(config(), -EINVAL, "zones of 4096 bytes, expected 65536");
}

static void a_pointer_that_cannot_be_is_refused(void **state)
{
	(void)state;
	spoil(HEADER + 2 * 8, &(uint64_t){ ZONE + SECTOR }, 8);
	refuses(config(), -EINVAL, "zone 2: 0x10200 is no write pointer of a zone of 65536 bytes");
}

static void an_unfinished_file_is_begun_again(void **state)
{
	struct disk_rig rig;

	(void)state;
	spoil(0, "\0\0\0\0\0\0\0\0", 8);
	open_kept(&rig);
	zoned_is(&rig, ZONE, SR_DISK_ZONE_EMPTY, 0);
	end(&rig);
}

static void two_disks_do_not_share_a_file(void **state)
{
	struct disk_rig rig;

	(void)state;
	open_kept(&rig);
	refuses(config(), -EBUSY, "in use by another disk");
	end(&rig);
}

static void a_file_that_cannot_be_opened_is_told(void **state)
{
	struct sr_disk_zoned_config c = config();
	struct sr_disk *below = zoned_below();
	struct sr_error e;

	(void)state;
	c.state = "/nowhere/state";
	assert_null(sr_disk_zoned_create(below, &c, &e));
	assert_string_equal(e.text, "disk z: /nowhere/state: No such file or directory");
	sr_disk_destroy(below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(write_pointers_outlive_the_disk_and_open_zones_are_closed,
					  remove_state),
		cmocka_unit_test_teardown(closed_zones_are_active_after_a_restart, remove_state),
		cmocka_unit_test_teardown(a_write_that_a_reset_overtook_is_not_remembered,
					  remove_state),
		cmocka_unit_test_teardown(durable_requests_of_several_kinds_complete, remove_state),
		cmocka_unit_test_teardown(what_was_reported_lies_below_the_pointer_after_kill_9,
					  remove_state),
		cmocka_unit_test_teardown(a_write_that_was_under_way_may_be_sent_again,
					  remove_state),
		cmocka_unit_test_teardown(a_file_of_something_else_is_refused, remove_state),
		cmocka_unit_test_teardown(a_file_of_other_zones_is_refused, remove_state),
		cmocka_unit_test_teardown(a_pointer_that_cannot_be_is_refused, remove_state),
		cmocka_unit_test_teardown(an_unfinished_file_is_begun_again, remove_state),
		cmocka_unit_test_teardown(two_disks_do_not_share_a_file, remove_state),
		cmocka_unit_test(a_file_that_cannot_be_opened_is_told),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
