/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_server.h"
#include "base.h"
#include "unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE	65536u
#define PAUSE_NS	1000000000ull
#define MESSAGES_A_TURN 16u /* then the loop's other work has its turn */

struct client {
	struct sr_ctl_server *server;
	struct sr_watch *watch;
	int fd; /* -1: a free place */
	uint64_t heard_ns;
	char *in;
	size_t in_len, in_cap;
	struct sr_rpc_framer framer;
	char *out; /* the reply being sent, or NULL */
	size_t out_len, out_sent;
	bool last; /* close when `out` is sent */
};

struct sr_ctl_server {
	struct sr_loop *loop;
	struct sr_rpc rpc;
	struct sr_unix_listener listener;
	struct sr_watch *watch;
	struct sr_timer *pause;
	struct client clients[SR_CTL_CLIENTS_MAX];
};

static void client_close(struct client *c)
{
	struct sr_ctl_server *s = c->server;

	sr_watch_destroy(c->watch);
	close(c->fd);
	free(c->in);
	free(c->out);
	*c = (struct client){ .server = s, .fd = -1 };
}

/* True when there is nothing left to send. */
static bool client_flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				client_close(c);
			return false;
		}
		c->out_sent += (size_t)n;
		if (c->out_sent < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
	}
	if (c->last)
		client_close(c);
	return c->fd >= 0;
}

static bool client_reply(struct client *c, char *reply)
{
	if (!reply)
		return true;
	c->out = reply;
	c->out_len = strlen(reply);
	c->out_sent = 0;
	return client_flush(c);
}

static void consume(struct client *c, size_t n)
{
	c->in_len -= n;
	if (c->in_len) {
		memmove(c->in, c->in + n, c->in_len);
		return;
	}
	free(c->in);
	c->in = NULL;
	c->in_cap = 0;
}

/* Handles what has come, as long as replies go out. True: there may be more to handle. */
static bool client_work(struct client *c)
{
	for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
		size_t n = sr_rpc_frame(&c->framer, c->in, c->in_len);
		char *reply;

		if (!n && !c->framer.begun) {
			consume(c, c->in_len); /* nothing but white space */
			c->framer = (struct sr_rpc_framer){ 0 };
		}
		if (!n)
			return false;
		reply = sr_rpc_handle(&c->server->rpc, c->in, n);
		consume(c, n);
		if (!client_reply(c, reply))
			return true;
	}
	return true;
}

static bool make_room(struct client *c)
{
	size_t cap = sr_min(c->in_cap ? c->in_cap * 2 : READ_SIZE, SR_RPC_MESSAGE_MAX);
	char *in;

	if (c->in_len < c->in_cap)
		return true;
	in = realloc(c->in, cap);
	if (!in) {
		client_close(c);
		return false;
	}
	c->in = in;
	c->in_cap = cap;
	return true;
}

/* Called with less than a whole message in hand. */
static void client_read(struct client *c)
{
	ssize_t n;

	if (!make_room(c))
		return;
	n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
	if (n > 0) {
		c->in_len += (size_t)n;
		c->heard_ns = sr_now_ns();
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_close(c);
	}
}

/* A full buffer without a whole message in it will never hold one. */
static void refuse_endless(struct client *c)
{
	if (c->in_len < SR_RPC_MESSAGE_MAX)
		return;
	c->last = true;
	client_reply(c, sr_rpc_refusal(SR_RPC_TOO_BIG, "a message of more than 1 MiB"));
}

/* Reads only when nothing is left to send and nothing left to handle. */
static void client_event(void *ctx, uint32_t events)
{
	struct client *c = ctx;
	bool more;

	(void)events;
	if (!client_flush(c))
		return;
	more = client_work(c);
	if (c->fd >= 0 && !more) {
		client_read(c);
		more = c->fd >= 0 && client_work(c);
		if (c->fd >= 0 && !more)
			refuse_endless(c);
	}
	/* A socket with room is writable, so EPOLLOUT also means "come back soon". */
	if (c->fd >= 0)
		sr_watch_events(c->watch, c->out || more ? EPOLLOUT : EPOLLIN);
}

static struct client *free_place(struct sr_ctl_server *s)
{
	struct client *oldest = &s->clients[0];

	for (unsigned i = 0; i < SR_CTL_CLIENTS_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
		if (s->clients[i].heard_ns < oldest->heard_ns)
			oldest = &s->clients[i];
	}
	client_close(oldest);
	return oldest;
}

int sr_ctl_server_adopt(struct sr_ctl_server *s, int fd, struct sr_error *e)
{
	struct client *c = free_place(s);

	c->watch = sr_watch_create(s->loop, fd, EPOLLIN, client_event, c, e);
	if (!c->watch) {
		close(fd);
		return e ? e->code : -ENOMEM;
	}
	c->fd = fd;
	c->heard_ns = sr_now_ns();
	return 0;
}

static void on_pause_over(void *ctx)
{
	struct sr_ctl_server *s = ctx;

	sr_watch_events(s->watch, EPOLLIN);
}

static void on_connection(void *ctx, uint32_t events)
{
	struct sr_ctl_server *s = ctx;
	struct sr_error e;
	int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		/* Out of files: who waits stays readable, and we would try for ever. */
		if (errno == EMFILE || errno == ENFILE) {
			sr_watch_events(s->watch, 0);
			sr_timer_set(s->pause, PAUSE_NS);
		}
		return;
	}
	if (sr_ctl_server_adopt(s, fd, &e))
		sr_log(SR_LOG_WARN, "control", "%s", e.text);
}

unsigned sr_ctl_server_clients(const struct sr_ctl_server *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SR_CTL_CLIENTS_MAX; i++)
		n += s->clients[i].fd >= 0;
	return n;
}

struct sr_ctl_server *sr_ctl_server_create(const struct sr_ctl_server_config *c, struct sr_error *e)
{
	struct sr_ctl_server *s = calloc(1, sizeof(*s));

	if (!s) {
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->path);
		return NULL;
	}
	s->loop = c->loop;
	s->rpc = c->rpc;
	for (unsigned i = 0; i < SR_CTL_CLIENTS_MAX; i++)
		s->clients[i] = (struct client){ .server = s, .fd = -1 };
	if (sr_unix_listen(&s->listener, c->path, c->permissions, c->group, e)) {
		free(s);
		return NULL;
	}
	s->watch = sr_watch_create(c->loop, s->listener.fd, EPOLLIN, on_connection, s, e);
	s->pause = s->watch ? sr_timer_create(c->loop, on_pause_over, s) : NULL;
	if (s->watch && !s->pause)
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->path);
	if (!s->pause) {
		sr_ctl_server_destroy(s);
		return NULL;
	}
	return s;
}

void sr_ctl_server_destroy(struct sr_ctl_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < SR_CTL_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			client_close(&s->clients[i]);
	sr_timer_destroy(s->pause);
	sr_watch_destroy(s->watch);
	sr_unix_unlisten(&s->listener);
	free(s);
}
