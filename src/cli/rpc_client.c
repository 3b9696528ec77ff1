/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_client.h"
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S  10 /* how long an answer may take */
#define REPLY_MAX (64u << 20)

struct sr_rpc_client {
	int fd;
	char path[108];
	json_int_t id;
	bool answered; /* so it does speak JSON-RPC */
	char *in;      /* what came after the last reply */
	size_t len, cap;
};

static bool is_no_socket(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISSOCK(st.st_mode);
}

static int explain(const char *path, int err, struct sr_error *e)
{
	if (is_no_socket(path))
		return sr_error_set(e, -err,
				    "%s is not a socket, expected a daemon's control socket", path);
	if (err == ENOENT || err == ECONNREFUSED)
		return sr_error_set(e, -err,
				    "no daemon listens on %s: start one with slipring switch or "
				    "slipring serve, or name its socket with --socket",
				    path);
	if (err == EACCES)
		return sr_error_set(e, -err,
				    "%s: permission denied: the daemon's --control-permissions and "
				    "--control-group say who may control it",
				    path);
	return sr_error_set(e, -err, "%s: %s", path, strerror(err));
}

struct sr_rpc_client *sr_rpc_client_open(const char *path, struct sr_error *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = ANSWER_S };
	struct sr_rpc_client *c;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		explain(path, ENAMETOOLONG, e);
		return NULL;
	}
	strcpy(addr.sun_path, path);
	c = calloc(1, sizeof(*c));
	if (!c) {
		explain(path, ENOMEM, e);
		return NULL;
	}
	strcpy(c->path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		explain(path, errno, e);
		sr_rpc_client_close(c);
		return NULL;
	}
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return c;
}

void sr_rpc_client_close(struct sr_rpc_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	free(c);
}

/* A vhost-user socket, too, accepts and then hangs up or is silent. */
static int no_answer(const struct sr_rpc_client *c, int code, const char *what, struct sr_error *e)
{
	return sr_error_set(e, code, "%s: %s%s", c->path, what,
			    c->answered ? "" : ": is this a daemon's control socket?");
}

static int send_all(struct sr_rpc_client *c, const char *text, size_t len, struct sr_error *e)
{
	while (len) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return no_answer(c, -errno, "the daemon has gone away", e);
		if (n < 0)
			return sr_error_set(e, -errno, "%s: can't send: %s", c->path,
					    strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* More bytes into c->in. */
static int receive(struct sr_rpc_client *c, struct sr_error *e)
{
	char silence[48];
	ssize_t n;

	if (c->len == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 65536;
		char *in = cap <= REPLY_MAX ? realloc(c->in, cap) : NULL;

		if (!in)
			return sr_error_set(e, -ENOBUFS, "%s: the reply is too long", c->path);
		c->in = in;
		c->cap = cap;
	}
	do
		n = recv(c->fd, c->in + c->len, c->cap - c->len, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->len += (size_t)n;
		return 0;
	}
	snprintf(silence, sizeof(silence), "no answer for %d seconds", ANSWER_S);
	if (n < 0 && errno == EAGAIN)
		return no_answer(c, -ETIMEDOUT, silence, e);
	return no_answer(c, n ? -errno : -ECONNRESET, "the daemon has gone away", e);
}

/* One line, parsed. */
static json_t *receive_reply(struct sr_rpc_client *c, struct sr_error *e)
{
	size_t looked = 0, len;
	json_t *reply;
	char *end;

	while (!c->len || !(end = memchr(c->in + looked, '\n', c->len - looked))) {
		looked = c->len;
		if (receive(c, e))
			return NULL;
	}
	len = (size_t)(end - c->in);
	reply = json_loadb(c->in, len, 0, NULL);
	c->len -= len + 1;
	memmove(c->in, end + 1, c->len);
	if (!json_is_object(reply)) {
		json_decref(reply);
		sr_error_set(e, -EPROTO, "%s: whoever answers there speaks no JSON-RPC", c->path);
		return NULL;
	}
	return reply;
}

json_t *sr_rpc_client_call(struct sr_rpc_client *c, const char *method, json_t *params,
			   struct sr_error *e)
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", ++c->id,
				    "method", method, "params", params);
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *reply = NULL, *result = NULL;
	const char *why;

	json_decref(request);
	if (!text) {
		sr_error_set(e, -EINVAL, "%s: expected UTF-8 text", method);
		return NULL;
	}
	if (!send_all(c, text, strlen(text), e) && !send_all(c, "\n", 1, e))
		reply = receive_reply(c, e);
	free(text);
	if (!reply)
		return NULL;
	result = json_incref(json_object_get(reply, "result"));
	why = json_string_value(json_object_get(json_object_get(reply, "error"), "message"));
	if (!result)
		sr_error_set(e, -EREMOTEIO, "%s", why ? why : "an error without a text");
	json_decref(reply);
	c->answered = true;
	return result;
}
