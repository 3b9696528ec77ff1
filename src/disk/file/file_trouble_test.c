/* SPDX-License-Identifier: BSD-3-Clause */
/* Media that are not as they should be, and other people who want them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"
#include "file_rig.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void what_is_no_disk_is_refused_with_a_reason(void **state)
{
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, 0);
	file_rig_is_refused(&t, -EINVAL, "is empty");
	assert_int_equal(truncate(t.path, 10 * 512 + 1), 0);
	file_rig_is_refused(&t, -EINVAL, "5121 bytes, expected a multiple of the block size 512");
	assert_int_equal(truncate(t.path, 10 * 512), 0);
	t.config.block_size = 4096;
	file_rig_is_refused(&t, -EINVAL, "expected a multiple of the block size 4096");
	file_rig_remove(&t);
	file_rig_is_refused(&t, -ENOENT, "No such file");
	t.config.path = "/dev";
	file_rig_is_refused(&t, -EINVAL, "neither a regular file nor a block device");
	t.config.path = "/dev/null";
	file_rig_is_refused(&t, -EINVAL, "neither a regular file nor a block device");
	assert_int_equal(mkfifo(t.path, 0600), 0);
	t.config.path = t.path;
	file_rig_is_refused(&t, -EINVAL, "neither a regular file nor a block device");
	file_rig_remove(&t);
}

static void two_writers_or_a_writer_and_a_reader_are_kept_apart(void **state)
{
	struct sr_disk *d[2];
	struct file_rig t;
	struct sr_error e;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	file_rig_is_refused(&t, -EBUSY, "in use");
	t.config.read_only = true;
	file_rig_is_refused(&t, -EBUSY, "in use by another program that writes it");
	file_rig_close(&t);

	d[0] = sr_disk_file_create(&t.config, &e);
	d[1] = sr_disk_file_create(&t.config, &e);
	assert_true(d[0] && d[1]);
	t.config.read_only = false;
	file_rig_is_refused(&t, -EBUSY, "several may share it when all are read-only");
	sr_disk_destroy(d[0]);
	file_rig_is_refused(&t, -EBUSY, "in use");
	sr_disk_destroy(d[1]);
	file_rig_open(&t);
	file_rig_close(&t);
	file_rig_remove(&t);
}

static bool byte_is_locked(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
	return l.l_type != F_UNLCK;
}

static void the_bytes_that_are_locked_are_those_of_qemu(void **state)
{
	/* consistent read, write, write unchanged, resize: has, and does not bear */
	static const int of_writer[] = { 100, 101, 102, 103, 201, 203 };
	/* A guest's disk in QEMU: has 100 and 101 and bars others from writing. */
	struct flock theirs = { .l_type = F_RDLCK, .l_start = 201, .l_len = 1 };
	struct file_rig t;
	int fd;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	fd = open(t.path, O_RDWR | O_CLOEXEC);
	file_rig_open(&t);
	for (int byte = 0, i = 0; byte < 300; byte++) {
		bool should = byte == of_writer[i];

		assert_int_equal(byte_is_locked(fd, byte), should);
		if (should && i < (int)SR_ARRAY_LEN(of_writer) - 1)
			i++;
	}
	file_rig_close(&t);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &theirs), 0);
	file_rig_is_refused(&t, -EBUSY, "in use");
	close(fd);
	file_rig_open(&t);
	file_rig_close(&t);
	file_rig_remove(&t);
}

static void wait_to_be_killed(struct file_rig *t, int ready)
{
	struct sr_error e;
	struct sr_disk *d = sr_disk_file_create(&t->config, &e);
	uint8_t *a = disk_rig_buffer(4096, 1);

	if (!d || !disk_rig_start(&t->rig, d) || disk_rig_write(&t->rig, 0, a, 4096) ||
	    write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void who_starts_after_a_kill_is_let_in_at_once(void **state)
{
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_TMPFS, MIB);
	for (unsigned i = 0; i < 20; i++) {
		int ready[2], status;
		char byte;
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			wait_to_be_killed(&t, ready[1]);
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		file_rig_is_refused(&t, -EBUSY, "in use");
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(ready[0]);
		file_rig_open(&t);
		file_rig_close(&t);
	}
	file_rig_remove(&t);
}

struct predecessor {
	int fd;
	_Atomic bool over;
};

static void *requests_end(void *ctx)
{
	struct predecessor *p = ctx;

	usleep(100000);
	atomic_store(&p->over, true);
	close(p->fd);
	return NULL;
}

/* A ring's file outlives its process; here somebody else has its lock. */
static void who_starts_after_a_kill_waits_for_requests_still_under_way(void **state)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = 300, .l_len = 1 };
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	for (unsigned read_only = 0; read_only < 2; read_only++) {
		struct predecessor p = { .fd = open(t.path, O_RDWR | O_CLOEXEC) };
		pthread_t thread;

		assert_int_equal(fcntl(p.fd, F_OFD_SETLK, &l), 0);
		assert_int_equal(pthread_create(&thread, NULL, requests_end, &p), 0);
		t.config.read_only = read_only;
		file_rig_open(&t);
		assert_true(atomic_load(&p.over));
		pthread_join(thread, NULL);
		file_rig_close(&t);
	}
	file_rig_remove(&t);
}

static void a_file_that_was_cut_reads_as_an_error(void **state)
{
	static const char *const folders[] = { FILE_RIG_TMPFS, FILE_RIG_HERE };
	uint8_t *a = disk_rig_buffer(64 * KIB, 3);

	(void)state;
	for (unsigned i = 0; i < 2 * SR_ARRAY_LEN(folders); i++) {
		struct file_rig t;

		file_rig_make(&t, folders[i / 2], MIB);
		t.config.direct = i % 2 ? SR_DISK_DIRECT_OFF : SR_DISK_DIRECT_AUTO;
		file_rig_open(&t);
		assert_int_equal(truncate(t.path, 100 * 1024 + 100), 0);
		assert_int_equal(disk_rig_read(&t.rig, 0, a, 64 * KIB), 0);
		assert_int_equal(disk_rig_read(&t.rig, 64 * KIB, a, 64 * KIB), -EIO);
		assert_int_equal(disk_rig_read(&t.rig, 512 * KIB, a, 64 * KIB), -EIO);
		assert_int_equal(disk_rig_read(&t.rig, 100 * KIB, a + 1, 4096), -EIO);
		file_rig_close(&t);
		file_rig_remove(&t);
	}
	free(a);
}

static void a_limit_of_the_process_is_a_full_medium(void **state)
{
	struct rlimit before, low;
	uint8_t *a = disk_rig_buffer(64 * KIB, 3);
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	low = (struct rlimit){ .rlim_cur = 512 * KIB, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(disk_rig_write(&t.rig, 0, a, 64 * KIB), 0);
	assert_int_equal(disk_rig_write(&t.rig, 768 * KIB, a, 64 * KIB), -ENOSPC);
	/* Its first half fits. */
	assert_int_equal(disk_rig_write(&t.rig, 480 * KIB, a, 64 * KIB), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(disk_rig_write(&t.rig, 768 * KIB, a, 64 * KIB), 0);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(a);
}

/* In a process of its own, for the sake of the mount. */
static int fill_a_small_medium(const char *folder)
{
	uint8_t *a = disk_rig_buffer(4 * MIB, 3);
	struct file_rig t;
	int r;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", folder, "tmpfs", 0, "size=1m"))
		return 77;
	file_rig_make(&t, folder, 8 * MIB);
	file_rig_open(&t);
	r = disk_rig_write(&t.rig, 0, a, 4 * MIB) == -ENOSPC &&
			    /* What is there can be used, and comes back. */
			    disk_rig_command(&t.rig, SR_DISK_DISCARD, 0, 0, 8 * MIB) == 0 &&
			    disk_rig_write(&t.rig, 4 * MIB, a, 64 * KIB) == 0 &&
			    disk_rig_command(&t.rig, SR_DISK_ZEROES, 0, 0, 4 * MIB) == -ENOSPC
		    ? 0
		    : 1;
	file_rig_close(&t);
	free(a);
	return r;
}

static void a_full_medium_says_so_and_goes_on(void **state)
{
	char folder[] = FILE_RIG_HERE "/slipring-full-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(folder));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fill_a_small_medium(folder));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rmdir(folder);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void a_read_only_disk_is_read(void **state)
{
	uint8_t *a = disk_rig_buffer(4096, 3);
	struct file_rig t;
	struct sr_error e;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	t.config.read_only = true;
	file_rig_open(&t);
	assert_true(sr_disk_info(t.disk)->read_only);
	assert_int_equal(disk_rig_read(&t.rig, 0, a, 4096), 0);
	assert_int_equal(a[17], 0);
	assert_int_equal(disk_rig_write(&t.rig, 0, a, 4096), -EROFS);
	assert_int_equal(sr_disk_resize(t.disk, 2 * MIB, &e), -EROFS);
	file_rig_close(&t);
	file_rig_remove(&t);
	free(a);
}

/* What the kernel forgets after it has told it once. */
static void no_flush_is_well_after_one_that_failed(void **state)
{
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	assert_int_equal(disk_rig_command(&t.rig, SR_DISK_FLUSH, 0, 0, 0), 0);
	file_rig_inside(&t)->flush_failed = true;
	assert_int_equal(disk_rig_command(&t.rig, SR_DISK_FLUSH, 0, 0, 0), -EIO);
	file_rig_close(&t);
	file_rig_remove(&t);
}

static void commands_of_zones_are_for_zoned_devices(void **state)
{
	struct file_rig t;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	file_rig_open(&t);
	for (unsigned op = SR_DISK_ERASE; op < SR_DISK_OPS; op++)
		assert_int_equal(disk_rig_command(&t.rig, op, 0, 0, 0), -EOPNOTSUPP);
	file_rig_close(&t);
	file_rig_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_disk_is_refused_with_a_reason),
		cmocka_unit_test(two_writers_or_a_writer_and_a_reader_are_kept_apart),
		cmocka_unit_test(the_bytes_that_are_locked_are_those_of_qemu),
		cmocka_unit_test(who_starts_after_a_kill_is_let_in_at_once),
		cmocka_unit_test(who_starts_after_a_kill_waits_for_requests_still_under_way),
		cmocka_unit_test(a_file_that_was_cut_reads_as_an_error),
		cmocka_unit_test(a_limit_of_the_process_is_a_full_medium),
		cmocka_unit_test(a_full_medium_says_so_and_goes_on),
		cmocka_unit_test(a_read_only_disk_is_read),
		cmocka_unit_test(no_flush_is_well_after_one_that_failed),
		cmocka_unit_test(commands_of_zones_are_for_zoned_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
