/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of a back-end: listening without harm to others, connecting for ever. */
#include "vu_rig.h"

#include "channel.h"
#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct making {
	struct rig *r;
	struct sr_vhost_user_config config;
	struct sr_vhost_user *v;
	struct sr_error e;
	struct sr_vhost_user_info info;
};

static void make(void *ctx)
{
	struct making *m = ctx;

	m->e.code = 0;
	m->v = sr_vhost_user_create(&m->config, &m->e);
}

static void unmake(void *ctx)
{
	struct making *m = ctx;

	sr_vhost_user_destroy(m->v);
	m->v = NULL;
}

static void inform(void *ctx)
{
	struct making *m = ctx;

	sr_vhost_user_info(m->v, &m->info);
}

static struct sr_vhost_user_info info_of(struct making *m)
{
	sr_loop_call(m->r->control, inform, m);
	return m->info;
}

/* A second back-end, with the same device, so for tests that never connect to both. */
static struct making second(struct rig *r, const char *path, enum sr_vhost_user_mode mode)
{
	return (struct making){ .r = r,
				.config = { .device = &r->d.device,
					    .control = r->control,
					    .workers = r->workers,
					    .nworkers = RIG_WORKERS,
					    .socket = path,
					    .fd = -1,
					    .mode = mode } };
}

static int expect_refused(struct making *m)
{
	sr_loop_call(m->r->control, make, m);
	assert_null(m->v);
	assert_non_null(strstr(m->e.text, m->config.socket));
	return m->e.code;
}

static void a_live_socket_is_never_touched(void **state)
{
	struct rig *r = *state;
	struct making m = second(r, r->path, SR_VHOST_USER_SERVER);

	assert_int_equal(expect_refused(&m), -EADDRINUSE);
	rig_up(r);
	/* Nor while it serves somebody, with its backlog full or not. */
	assert_int_equal(expect_refused(&m), -EADDRINUSE);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(expect_refused(&m), -EADDRINUSE);
	rig_echo(r, 0, 3, true);
}

/* A socket file whose listener is gone. */
static void leave_stale(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);
	int fd;

	snprintf(path, sizeof(path), "%s/stale", r->dir);
	leave_stale(path);
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	fd = sr_unix_connect(path, NULL);
	assert_true(fd >= 0);
	close(fd);
	sr_loop_call(r->control, unmake, &m);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void anything_else_in_its_place_is_left_alone(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);

	snprintf(path, sizeof(path), "%s/file", r->dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(expect_refused(&m), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(expect_refused(&m), -EEXIST);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink(r->path, path), 0);
	assert_int_equal(expect_refused(&m), -EEXIST);
	assert_int_equal(unlink(path), 0);
}

static void a_path_that_cannot_be_is_told_at_once(void **state)
{
	struct rig *r = *state;
	char path[200];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(expect_refused(&m), -ENAMETOOLONG);
	snprintf(path, sizeof(path), "%s/no/such/folder", r->dir);
	assert_int_equal(expect_refused(&m), -ENOENT);
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void the_socket_has_the_rights_asked_for_whatever_the_umask(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);
	static const int modes[] = { 0600, 0660, 0666, 0777 };
	struct group *g = getgrgid(getegid());
	mode_t before = umask(0);

	snprintf(path, sizeof(path), "%s/rights", r->dir);
	assert_int_equal(mode_of(r->path), 0600); /* the default */
	for (unsigned i = 0; i < 2 * SR_ARRAY_LEN(modes); i++) {
		umask(i % 2 ? 0 : 0777);
		m.config.socket_mode = modes[i / 2];
		m.config.socket_group = g ? g->gr_name : NULL;
		sr_loop_call(r->control, make, &m);
		assert_non_null(m.v);
		assert_int_equal(mode_of(path), modes[i / 2]);
		sr_loop_call(r->control, unmake, &m);
	}
	umask(before);
	m.config.socket_group = "no-such-group-here";
	sr_loop_call(r->control, make, &m);
	assert_null(m.v);
	assert_non_null(strstr(m.e.text, "no-such-group-here"));
	assert_int_not_equal(access(path, F_OK), 0);
}

static void a_socket_file_that_became_anothers_is_not_removed(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);

	snprintf(path, sizeof(path), "%s/taken", r->dir);
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	assert_int_equal(unlink(path), 0);
	leave_stale(path);
	sr_loop_call(r->control, unmake, &m);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(unlink(path), 0);
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void a_listening_socket_may_be_passed(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, NULL, SR_VHOST_USER_SERVER);
	int fd;

	snprintf(path, sizeof(path), "%s/passed", r->dir);
	m.config.fd = listen_at(path);
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	fd = sr_unix_connect(path, NULL);
	assert_true(fd >= 0);
	close(fd);
	sr_loop_call(r->control, unmake, &m);
	assert_int_equal(access(path, F_OK), 0); /* who made it removes it */
	assert_int_equal(unlink(path), 0);
	m.config.fd = r->call[0];
	sr_loop_call(r->control, make, &m);
	assert_null(m.v);
	assert_int_equal(m.e.code, -EINVAL);
}

/* Counts what `changed` was told; on the control loop. */
struct changes {
	_Atomic unsigned begun, ended;
};

static void count_change(void *ctx, bool connected)
{
	struct changes *c = ctx;

	atomic_fetch_add(connected ? &c->begun : &c->ended, 1);
}

static struct making passed(struct rig *r, struct changes *c)
{
	struct making m = second(r, NULL, SR_VHOST_USER_SERVER);
	struct timeval patience = { .tv_sec = 10 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r->fd = pair[0];
	m.config.fd = pair[1];
	m.config.changed = count_change;
	m.config.ctx = c;
	return m;
}

static void a_connected_socket_may_be_passed_and_is_served_once(void **state)
{
	struct rig *r = *state;
	struct changes c = { 0 };
	struct making m = passed(r, &c);

	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 10, true);
	assert_int_equal(c.begun, 1);
	assert_int_equal(info_of(&m).state, SR_VHOST_USER_RUNNING);
	close(r->fd);
	r->fd = -1;
	RIG_WAIT(c.ended == 1);
	assert_int_equal(info_of(&m).state, SR_VHOST_USER_OVER);
	assert_int_equal(info_of(&m).sessions, 1);
	assert_string_equal(info_of(&m).last_error, "");
	assert_int_equal(rig_count_fds(), r->fds);
	assert_int_equal(rig_count_maps(), 0);
	sr_loop_call(r->control, unmake, &m);
	assert_int_equal(c.begun + c.ended, 2);
}

static void a_connected_socket_that_is_dead_already_is_over_at_once(void **state)
{
	struct rig *r = *state;
	struct changes c = { 0 };
	struct making m = passed(r, &c);

	close(r->fd);
	r->fd = -1;
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	RIG_WAIT(c.ended == 1);
	assert_int_equal(info_of(&m).state, SR_VHOST_USER_OVER);
	sr_loop_call(r->control, unmake, &m);
}

static void make_and_unmake(void *ctx)
{
	make(ctx);
	unmake(ctx);
}

static void a_connected_socket_is_closed_though_its_session_never_began(void **state)
{
	struct rig *r = *state;
	struct changes c = { 0 };
	struct making m = passed(r, &c);
	char byte;

	sr_loop_call(r->control, make_and_unmake, &m);
	assert_int_equal(recv(r->fd, &byte, 1, 0), 0);
	assert_int_equal(c.begun + c.ended, 0);
	close(r->fd);
	r->fd = -1;
	assert_int_equal(rig_count_fds(), r->fds);
}

/* The front-end of a back-end in client mode. */
static void accept_from(struct rig *r, int listener)
{
	struct timeval patience = { .tv_sec = 10 };

	r->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(r->fd >= 0);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void a_client_connects_as_soon_as_somebody_listens_and_again(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_CLIENT);

	snprintf(path, sizeof(path), "%s/front", r->dir);
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	usleep(50000); /* some attempts in vain */
	for (unsigned i = 0; i < 4; i++) {
		int listener = listen_at(path);

		for (unsigned k = 0; k < 2; k++) { /* the same listener, and a new one */
			accept_from(r, listener);
			rig_negotiate(r, SR_F_VERSION_1);
			rig_share(r);
			rig_start(r, 0, 0);
			rig_echo(r, 0, 10, true);
			close(r->fd);
			r->fd = -1;
		}
		close(listener);
		assert_int_equal(unlink(path), 0);
	}
	sr_loop_call(r->control, unmake, &m);
	assert_int_equal(rig_count_fds(), r->fds);
	assert_int_equal(rig_count_maps(), 0);
}

static void a_second_front_end_waits_until_the_first_is_gone(void **state)
{
	struct rig *r = *state;
	struct rig other = { .fd = -1 };
	uint32_t header[3] = { SR_VU_GET_FEATURES, SR_VU_VERSION, 0 };
	uint32_t reply[5];

	rig_up(r);
	other.fd = sr_unix_connect(r->path, NULL);
	assert_true(other.fd >= 0);
	fcntl(other.fd, F_SETFL, 0);
	assert_int_equal(send(other.fd, header, 12, 0), 12);
	usleep(20000);
	assert_false(rig_has_event(other.fd));
	rig_echo(r, 0, 10, true);
	close(r->fd);
	assert_int_equal(recv(other.fd, reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(rig_info(r).sessions, 2);
	r->fd = other.fd;
}

static void destroying_a_back_end_ends_its_session(void **state)
{
	struct rig *r = *state;
	char path[96];
	struct making m = second(r, path, SR_VHOST_USER_SERVER);
	char byte;

	snprintf(path, sizeof(path), "%s/short", r->dir);
	sr_loop_call(r->control, make, &m);
	assert_non_null(m.v);
	r->fd = sr_unix_connect(path, NULL);
	assert_true(r->fd >= 0);
	fcntl(r->fd, F_SETFL, 0);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 10, true);
	sr_loop_call(r->control, unmake, &m);
	assert_int_equal(recv(r->fd, &byte, 1, 0), 0);
	close(r->fd);
	r->fd = -1;
	assert_int_equal(rig_count_fds(), r->fds);
	assert_int_equal(rig_count_maps(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_live_socket_is_never_touched),
		TEST(a_stale_socket_is_replaced),
		TEST(anything_else_in_its_place_is_left_alone),
		TEST(a_path_that_cannot_be_is_told_at_once),
		TEST(the_socket_has_the_rights_asked_for_whatever_the_umask),
		TEST(a_socket_file_that_became_anothers_is_not_removed),
		TEST(a_listening_socket_may_be_passed),
		TEST(a_connected_socket_may_be_passed_and_is_served_once),
		TEST(a_connected_socket_that_is_dead_already_is_over_at_once),
		TEST(a_connected_socket_is_closed_though_its_session_never_began),
		TEST(a_client_connects_as_soon_as_somebody_listens_and_again),
		TEST(a_second_front_end_waits_until_the_first_is_gone),
		TEST(destroying_a_back_end_ends_its_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
