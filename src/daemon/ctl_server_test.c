/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "ctl_server.h"
#include "unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
static const char pong[] = "{\"jsonrpc\":\"2.0\",\"result\":\"pong\",\"id\":1}\n";

static json_t *answer_ping(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	(void)ctx;
	(void)params;
	(void)e;
	return json_string("pong");
}

/* A reply of a megabyte, more than a socket buffers. */
static json_t *answer_big(void *ctx, const json_t *params, struct sr_rpc_error *e)
{
	char *text = malloc(1 << 20);
	json_t *j;

	(void)ctx;
	(void)params;
	(void)e;
	memset(text, 'x', 1 << 20);
	j = json_stringn(text, 1 << 20);
	free(text);
	return j;
}

static const struct sr_rpc_method methods[] = { { "ping", answer_ping, NULL },
						{ "big", answer_big, NULL } };

struct rig {
	char dir[64], path[100];
	struct sr_loop *loop;
	struct sr_ctl_server *server;
};

static int rig_start(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sr_loop_config lc = { .name = "test", .cpu = -1 };
	struct sr_ctl_server_config sc = { .path = r->path,
					   .permissions = 0600,
					   .rpc = { methods, 2, NULL } };

	strcpy(r->dir, "/tmp/slipring-ctl-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/ctl.sock", r->dir);
	r->loop = sr_loop_create(&lc, NULL);
	assert_non_null(r->loop);
	sc.loop = r->loop;
	r->server = sr_ctl_server_create(&sc, NULL);
	assert_non_null(r->server);
	assert_int_equal(sr_loop_spawn(r->loop, NULL), 0);
	*state = r;
	return 0;
}

static void end_server(void *ctx)
{
	struct rig *r = ctx;

	sr_ctl_server_destroy(r->server);
}

static int rig_stop(void **state)
{
	struct rig *r = *state;

	sr_loop_call(r->loop, end_server, r);
	assert_int_equal(access(r->path, F_OK), -1);
	sr_loop_destroy(r->loop);
	rmdir(r->dir);
	free(r);
	return 0;
}

static int dial(const struct rig *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, r->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hears(int fd, const char *text)
{
	char got[512] = "";

	assert_true(strlen(text) < sizeof(got));
	assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(got, text);
}

static void hears_the_end(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	close(fd);
}

static void a_client_is_answered_request_by_request(void **state)
{
	int fd = dial(*state);
	char both[200];

	say(fd, ping);
	hears(fd, pong);
	say(fd, "\n\n  \n");
	snprintf(both, sizeof(both), "%s%s\n", ping, ping);
	say(fd, both);
	hears(fd, pong);
	hears(fd, pong);
	say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}\n"); /* a notification */
	say(fd, ping);
	hears(fd, pong);
	close(fd);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	int fd = dial(*state);

	for (const char *c = ping; *c; c++) {
		char one[2] = { *c, 0 };

		say(fd, one);
	}
	hears(fd, pong);
	close(fd);
}

static void what_was_asked_before_hanging_up_is_answered(void **state)
{
	int fd = dial(*state);

	say(fd, ping);
	shutdown(fd, SHUT_WR);
	hears(fd, pong);
	hears_the_end(fd);
}

static void a_client_that_does_not_read_holds_up_nobody(void **state)
{
	int lazy = dial(*state), other = dial(*state);
	char *got = malloc(1 << 20);

	for (unsigned i = 0; i < 4; i++)
		say(lazy, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\"}\n");
	for (unsigned i = 0; i < 10; i++) {
		say(other, ping);
		hears(other, pong);
	}
	/* And gets all of its replies once it reads. */
	for (unsigned i = 0; i < 4; i++) {
		hears(lazy, "{\"jsonrpc\":\"2.0\",\"result\":\"");
		assert_int_equal(recv(lazy, got, 1 << 20, MSG_WAITALL), 1 << 20);
		hears(lazy, "\",\"id\":1}\n");
	}
	free(got);
	close(lazy);
	close(other);
}

static void a_message_without_end_is_cut_off_at_its_limit(void **state)
{
	int fd = dial(*state);
	char *lots = malloc(SR_RPC_MESSAGE_MAX);
	size_t sent = 0;

	memset(lots, ' ', SR_RPC_MESSAGE_MAX);
	lots[0] = '{';
	while (sent < SR_RPC_MESSAGE_MAX) {
		ssize_t n = send(fd, lots + sent, SR_RPC_MESSAGE_MAX - sent, MSG_NOSIGNAL);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	free(lots);
	hears(fd, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32003,\"message\":\"a message of more "
		  "than 1 MiB\"},\"id\":null}\n");
	hears_the_end(fd);
}

static void one_client_too_many_replaces_the_most_silent(void **state)
{
	int fd[SR_CTL_CLIENTS_MAX + 1];

	for (unsigned i = 0; i <= SR_CTL_CLIENTS_MAX; i++) {
		fd[i] = dial(*state);
		say(fd[i], ping);
		hears(fd[i], pong);
		if (i == 1) {
			say(fd[0], ping); /* now the second is the most silent */
			hears(fd[0], pong);
		}
	}
	hears_the_end(fd[1]);
	say(fd[0], ping);
	hears(fd[0], pong);
	for (unsigned i = 0; i <= SR_CTL_CLIENTS_MAX; i++)
		if (i != 1)
			close(fd[i]);
}

static void clients_may_vanish_at_any_time(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		int fd = dial(*state);

		say(fd, i % 2 ? ping : "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\"}\n{");
		close(fd);
	}
	a_client_is_answered_request_by_request(state);
}

static void a_client_waits_while_there_are_no_more_files(void **state)
{
	struct rig *r = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct rlimit old, none;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, r->path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)fd + 1; /* as many as are open */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	usleep(20000); /* accept has failed by now, most likely */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	say(fd, ping);
	hears(fd, pong);
	close(fd);
}

static void a_live_socket_is_never_taken_over(void **state)
{
	struct rig *r = *state;
	struct sr_unix_listener l;
	struct sr_error e;
	char text[300];

	assert_int_equal(sr_unix_listen(&l, r->path, 0600, NULL, &e), -EADDRINUSE);
	snprintf(text, sizeof(text), "%s: another process listens there", r->path);
	assert_string_equal(e.text, text);
	a_client_is_answered_request_by_request(state);
}

#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, rig_start, rig_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(a_client_is_answered_request_by_request),
		WITH_RIG(a_request_may_come_byte_by_byte),
		WITH_RIG(what_was_asked_before_hanging_up_is_answered),
		WITH_RIG(a_client_that_does_not_read_holds_up_nobody),
		WITH_RIG(a_message_without_end_is_cut_off_at_its_limit),
		WITH_RIG(one_client_too_many_replaces_the_most_silent),
		WITH_RIG(clients_may_vanish_at_any_time),
		WITH_RIG(a_client_waits_while_there_are_no_more_files),
		WITH_RIG(a_live_socket_is_never_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
