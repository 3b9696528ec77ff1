/* SPDX-License-Identifier: BSD-3-Clause */
/* Against a real nbdkit; without one every test here is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 24u

struct server {
	char dir[32];
	char socket[64];
	char uri[128];
	pid_t pid;
};

static bool have_nbdkit(void)
{
	return system("nbdkit --version >/dev/null 2>&1") == 0;
}

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	snprintf(s->dir, sizeof(s->dir), "/tmp/sr-nbd-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/s", s->dir);
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s", s->socket);
	*state = s;
	return 0;
}

static void serve_no_more(struct server *s)
{
	if (s->pid) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
	unlink(s->socket);
}

static int teardown(void **state)
{
	struct server *s = *state;
	char command[64];

	serve_no_more(s);
	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	assert_int_equal(system(command), 0);
	free(s);
	return 0;
}

/* nbdkit with these words, up to NULL; returns when it listens. */
static void serve(struct server *s, const char *const *words)
{
	const char *argv[WORDS_MAX + 8] = { "nbdkit", "-f", "-U", s->socket };
	struct stat st;
	unsigned n = 4;

	if (!have_nbdkit())
		skip();
	while (*words && n < WORDS_MAX)
		argv[n++] = *words++;
	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(1);
	}
	for (unsigned i = 0; stat(s->socket, &st); i++) {
		assert_int_equal(waitpid(s->pid, NULL, WNOHANG), 0);
		assert_true(i < 1000);
		usleep(10000);
	}
}
#define SERVE(s, ...) serve(s, (const char *const[]){ __VA_ARGS__, NULL })

static struct sr_disk *open_disk(const struct server *s)
{
	struct sr_disk_nbd_config c = { .name = "n", .uri = s->uri };
	struct sr_error e = { 0 };
	struct sr_disk *d = sr_disk_nbd_create(&c, &e);

	if (!d)
		fail_msg("%s", e.text);
	return d;
}

static void it_does_what_a_disk_must_do(void **state)
{
	SERVE(*state, "memory", "6G");
	struct sr_disk *d = open_disk(*state);

	assert_int_equal(sr_disk_size(d), 6ull << 30);
	assert_string_equal(sr_disk_engine(d), "nbd");
	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

/* One connection, no zeroing. */
static void it_does_so_with_a_server_that_can_do_little(void **state)
{
	SERVE(*state, "--filter=nozero", "--filter=multi-conn", "memory", "64M",
	      "multi-conn-mode=disable");
	struct sr_disk *d = open_disk(*state);

	disk_rig_check_engine(d);
	sr_disk_destroy(d);
}

static void errors_of_the_server_come_through(void **state)
{
	struct server *s = *state;
	struct disk_rig rig = { 0 };
	char data[512];

	SERVE(s, "--filter=error", "memory", "64M", "error-pwrite=ENOSPC", "error-pwrite-rate=1",
	      "error-pread-rate=100%", "error-pread=EIO");
	struct sr_disk *d = open_disk(s);

	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_write(&rig, 0, data, sizeof(data)), -ENOSPC);
	assert_int_equal(disk_rig_read(&rig, 0, data, sizeof(data)), -EIO);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void a_stuck_server_lets_requests_go(void **state)
{
	struct disk_rig rig = { 0 };
	char data[512] = "before";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req r = { .op = SR_DISK_READ, .len = 512, .iov = &v, .niov = 1 };

	SERVE(*state, "--filter=delay", "memory", "64M", "delay-read=600");
	struct sr_disk *d = open_disk(*state);

	disk_rig_open(&rig, d);
	disk_rig_submit_one(&rig, &r);
	disk_rig_run_for(&rig, 50000000);
	assert_int_equal(rig.under_way, 1);
	assert_true(sr_disk_cancel(rig.channel, &r));
	assert_true(disk_rig_wait(&rig, 0));
	assert_int_equal(r.result, -ECANCELED);
	disk_rig_close(&rig);
	sr_disk_destroy(d); /* at once, with the stray on its way */
	assert_string_equal(data, "before");
}

/* The server is killed again and again, and comes back with the same file. */
static void nothing_is_lost_when_the_server_dies_and_comes_back(void **state)
{
	struct server *s = *state;
	struct disk_rig rig = { 0 };
	struct sr_disk_req r[32];
	struct iovec v[32];
	char file[64], data[32][512], back[512];

	snprintf(file, sizeof(file), "file=%s/image", s->dir);
	close(mkstemp(strcpy(back, "/tmp/sr-nbd-XXXXXX")));
	assert_int_equal(truncate(back, 1 << 20), 0);
	assert_int_equal(rename(back, file + 5), 0);
	SERVE(s, "--filter=delay", "file", file, "delay-write=20ms");
	struct sr_disk *d = open_disk(s);

	disk_rig_open(&rig, d);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 32; i++) {
			memset(data[i], 'a' + (int)(round + i) % 26, 512);
			v[i] = (struct iovec){ data[i], 512 };
			r[i] = (struct sr_disk_req){ .op = SR_DISK_WRITE,
						     .offset = 512 * i,
						     .len = 512,
						     .iov = &v[i],
						     .niov = 1 };
			disk_rig_submit_one(&rig, &r[i]);
		}
		disk_rig_run_for(&rig, 10000000);
		serve_no_more(s);
		disk_rig_run_for(&rig, 10000000);
		assert_int_equal(rig.under_way, 32);
		SERVE(s, "--filter=delay", "file", file, "delay-write=20ms");
		assert_true(disk_rig_wait(&rig, 0));
		for (unsigned i = 0; i < 32; i++) {
			assert_int_equal(r[i].result, 0);
			assert_int_equal(disk_rig_read(&rig, 512 * i, back, 512), 0);
			assert_memory_equal(back, data[i], 512);
		}
	}
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void a_read_only_export_says_so(void **state)
{
	SERVE(*state, "-r", "memory", "64M");
	struct sr_disk *d = open_disk(*state);

	assert_true(sr_disk_info(d)->read_only);
	sr_disk_destroy(d);
}

static void a_new_size_is_seen_when_it_is_looked_for(void **state)
{
	struct server *s = *state;
	char file[64], words[72];
	struct sr_error e = { 0 };

	snprintf(file, sizeof(file), "%s/image", s->dir);
	snprintf(words, sizeof(words), "file=%s", file);
	close(open(file, O_CREAT | O_RDWR, 0600));
	assert_int_equal(truncate(file, 1 << 20), 0);
	SERVE(s, "file", words);
	struct sr_disk *d = open_disk(s);

	assert_int_equal(truncate(file, 2 << 20), 0);
	assert_int_equal(sr_disk_size(d), 1 << 20);
	assert_int_equal(sr_disk_resize(d, 0, &e), 0);
	assert_int_equal(sr_disk_size(d), 2 << 20);
	assert_int_equal(sr_disk_resize(d, 4 << 20, &e), -EOPNOTSUPP);
	sr_disk_destroy(d);
}

static void tls_by_a_shared_key(void **state)
{
	struct server *s = *state;
	char command[160], keys[64], option[80];
	struct sr_error e = { 0 };
	struct disk_rig rig = { 0 };
	char data[512] = "secret";

	snprintf(keys, sizeof(keys), "%s/keys.psk", s->dir);
	snprintf(command, sizeof(command), "psktool -u alice -p %s >/dev/null 2>&1", keys);
	if (system(command))
		skip();
	snprintf(option, sizeof(option), "--tls-psk=%s", keys);
	SERVE(s, "--tls=require", option, "memory", "64M");
	snprintf(s->uri, sizeof(s->uri), "nbds+unix://alice@/?socket=%s", s->socket);
	struct sr_disk_nbd_config c = { .name = "n", .uri = s->uri, .tls_psk_file = keys };
	struct sr_disk *d = sr_disk_nbd_create(&c, &e);

	if (!d)
		fail_msg("%s", e.text);
	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_write(&rig, 0, data, sizeof(data)), 0);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
	/* Without a key it is refused. */
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s", s->socket);
	c.tls_psk_file = NULL;
	assert_null(sr_disk_nbd_create(&c, &e));
}

static void nobody_there_is_told_with_the_uri(void **state)
{
	struct server *s = *state;
	struct sr_disk_nbd_config c = { .name = "n", .uri = s->uri };
	struct sr_error e = { 0 };

	assert_null(sr_disk_nbd_create(&c, &e));
	assert_non_null(strstr(e.text, s->uri));
	assert_non_null(strstr(e.text, "No such file"));
	c.uri = "nonsense";
	assert_null(sr_disk_nbd_create(&c, &e));
	assert_non_null(strstr(e.text, "nonsense"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_does_what_a_disk_must_do),
		T(it_does_so_with_a_server_that_can_do_little),
		T(errors_of_the_server_come_through),
		T(a_stuck_server_lets_requests_go),
		T(nothing_is_lost_when_the_server_dies_and_comes_back),
		T(a_read_only_export_says_so),
		T(a_new_size_is_seen_when_it_is_looked_for),
		T(tls_by_a_shared_key),
		T(nobody_there_is_told_with_the_uri),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
