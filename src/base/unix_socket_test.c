/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "unix_socket.h"

static char folder[] = "/tmp/sr-unix-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* fails when a test left a file behind */
}

/* A file that nobody listens on, as a killed process leaves it. */
static void leave_stale_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct sr_unix_listener l;
	struct stat st;
	int fd;

	(void)state;
	leave_stale_socket();
	assert_int_equal(sr_unix_listen(&l, path, 0660, NULL, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	fd = sr_unix_connect(path, NULL);
	assert_true(fd >= 0);
	close(fd);
	sr_unix_unlisten(&l);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_live_socket_is_never_touched(void **state)
{
	struct sr_unix_listener first, second;
	char text[128];
	struct sr_error e;
	int fd;

	(void)state;
	assert_int_equal(sr_unix_listen(&first, path, 0, NULL, NULL), 0);
	assert_int_equal(sr_unix_listen(&second, path, 0, NULL, &e), -EADDRINUSE);
	snprintf(text, sizeof(text), "%s: another process listens there", path);
	assert_string_equal(e.text, text);
	fd = sr_unix_connect(path, NULL);
	assert_true(fd >= 0);
	close(fd);
	sr_unix_unlisten(&first);
}

static void other_files_stay(void **state)
{
	struct sr_unix_listener l;
	FILE *f;

	(void)state;
	assert_int_equal(sr_unix_listen(&l, path, 0, NULL, NULL), 0);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	sr_unix_unlisten(&l); /* by now it is somebody else's file */
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(sr_unix_listen(&l, path, 0, NULL, NULL), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void what_fails_leaves_no_file(void **state)
{
	struct sr_unix_listener l;
	char longer[200];
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_unix_listen(&l, path, 0660, "no-such-group-here", &e), -ENOENT);
	assert_string_equal(e.text, "group no-such-group-here: not known");
	assert_int_equal(access(path, F_OK), -1);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(sr_unix_listen(&l, longer, 0, NULL, &e), -ENAMETOOLONG);
	assert_int_equal(sr_unix_connect(path, &e), -ENOENT);
}

static void only_listening_sockets_are_adopted(void **state)
{
	struct sr_unix_listener l, other;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(sr_unix_adopt(&l, pair[0], NULL), -EINVAL);
	assert_int_equal(l.fd, -1);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(sr_unix_listen(&other, path, 0, NULL, NULL), 0);
	assert_int_equal(sr_unix_adopt(&l, dup(other.fd), NULL), 0);
	sr_unix_unlisten(&l);
	assert_int_equal(access(path, F_OK), 0); /* not made by the one that adopted it */
	assert_int_equal(sr_unix_adopt_connected(other.fd, NULL), -EINVAL);
	sr_unix_unlisten(&other);
}

static void the_role_of_what_was_passed_is_known(void **state)
{
	struct sr_unix_listener l;
	int pair[2], packets[2], lone, net;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(sr_unix_role(pair[0]), SR_UNIX_CONNECTED);
	assert_int_equal(sr_unix_adopt_connected(pair[0], NULL), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	close(pair[1]);
	assert_int_equal(sr_unix_role(pair[0]), SR_UNIX_CONNECTED); /* and ends at once */
	close(pair[0]);
	assert_int_equal(sr_unix_role(pair[0]), SR_UNIX_OTHER);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
	assert_int_equal(sr_unix_role(packets[0]), SR_UNIX_OTHER);
	close(packets[0]);
	close(packets[1]);
	lone = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(sr_unix_role(lone), SR_UNIX_OTHER);
	close(lone);
	net = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(net, 1), 0);
	assert_int_equal(sr_unix_role(net), SR_UNIX_OTHER);
	close(net);
	assert_int_equal(sr_unix_listen(&l, path, 0, NULL, NULL), 0);
	assert_int_equal(sr_unix_role(l.fd), SR_UNIX_LISTENING);
	sr_unix_unlisten(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_socket_is_replaced),
		cmocka_unit_test(a_live_socket_is_never_touched),
		cmocka_unit_test(other_files_stay),
		cmocka_unit_test(what_fails_leaves_no_file),
		cmocka_unit_test(only_listening_sockets_are_adopted),
		cmocka_unit_test(the_role_of_what_was_passed_is_known),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
