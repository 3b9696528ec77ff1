/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end over all its sessions: accepts or connects, one front-end at a time. */
#include "base.h"
#include "session.h"
#include "unix_socket.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <slipring/vhost_user.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS	  1000000u /* ns */
#define RETRY_MIN (10u * MS)
#define RETRY_MAX (1000u * MS)
#define DRAIN_MS  5000u

struct sr_vhost_user {
	struct sr_vhost_user_config config; /* its strings are ours */
	struct sr_session_config session_config;
	struct sr_loop **workers;
	struct sr_unix_listener listener; /* server */
	int passed;			  /* connected, its session has not begun; else -1 */
	bool once, over;		  /* there is no session but that; it has ended */
	struct sr_watch *watch;
	struct sr_timer *timer; /* the next attempt to connect or accept */
	uint64_t retry_ns;
	uint64_t begun_at;
	bool trouble_told;
	struct sr_session *session;
	void (*closed)(void *ctx); /* closing, since it is not NULL */
	void *closed_ctx;
	uint64_t sessions;
	char last_error[256];
};

static const char *name_of(const struct sr_vhost_user *v)
{
	return v->config.device->name;
}

static bool is_client(const struct sr_vhost_user *v)
{
	return v->config.mode == SR_VHOST_USER_CLIENT;
}

/* 10 ms, 20 ms, ... 1 s. */
static void retry(struct sr_vhost_user *v)
{
	sr_timer_set(v->timer, v->retry_ns);
	v->retry_ns = sr_min(v->retry_ns * 2, RETRY_MAX);
}

static void tell_once(struct sr_vhost_user *v, const char *what, const struct sr_error *e)
{
	if (!v->trouble_told)
		sr_log(SR_LOG_INFO, name_of(v), "%s; %s", e->text, what);
	v->trouble_told = true;
}

/* Takes over the connected `fd`. False: there is no session. */
static bool begin(struct sr_vhost_user *v, int fd)
{
	struct sr_error e;

	v->session = sr_session_begin(&v->session_config, fd, &e);
	if (!v->session) {
		tell_once(v, v->once ? "given up" : "trying again", &e);
		return false;
	}
	v->trouble_told = false;
	v->sessions++;
	v->begun_at = sr_now_ns();
	if (v->config.changed)
		v->config.changed(v->config.ctx, true);
	return true;
}

static void connect_now(struct sr_vhost_user *v)
{
	struct sr_error e;
	int fd = sr_unix_connect(v->config.socket, &e);

	if (fd < 0)
		tell_once(v, "trying again until somebody listens", &e);
	if (fd < 0 || !begin(v, fd))
		retry(v);
}

static void begin_passed(struct sr_vhost_user *v)
{
	int fd = v->passed;

	v->passed = -1;
	v->over = !begin(v, fd);
	if (v->over && v->config.changed)
		v->config.changed(v->config.ctx, false);
}

/* One at a time: until its session is over the listening socket is not looked at, and further
 * front-ends wait in its backlog. */
static void accept_now(struct sr_vhost_user *v)
{
	int fd = accept4(v->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct sr_error e;

	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	if (fd < 0) {
		sr_error_set(&e, -errno, "accept: %s", strerror(errno));
		tell_once(v, "trying again", &e);
	}
	sr_watch_events(v->watch, 0);
	if (fd < 0 || !begin(v, fd))
		retry(v);
	else
		v->retry_ns = RETRY_MIN;
}

static void acceptable(void *ctx, uint32_t events)
{
	(void)events;
	accept_now(ctx);
}

static void again(void *ctx)
{
	struct sr_vhost_user *v = ctx;

	if (v->closed)
		v->closed(v->closed_ctx);
	else if (v->once)
		begin_passed(v);
	else if (is_client(v))
		connect_now(v);
	else
		sr_watch_events(v->watch, EPOLLIN);
}

/* A listener that hangs up on us at once is not asked a hundred times a second. */
static void ended(void *ctx, const char *error)
{
	struct sr_vhost_user *v = ctx;

	v->session = NULL;
	snprintf(v->last_error, sizeof(v->last_error), "%s", error ? error : "");
	if (sr_now_ns() - v->begun_at >= RETRY_MAX)
		v->retry_ns = RETRY_MIN;
	if (v->closed)
		sr_timer_set(v->timer, 0);
	else if (v->once)
		v->over = true;
	else if (is_client(v))
		retry(v);
	else
		sr_watch_events(v->watch, EPOLLIN);
	if (v->config.changed)
		v->config.changed(v->config.ctx, false);
}

static int copy_config(struct sr_vhost_user *v, const struct sr_vhost_user_config *c)
{
	v->config = *c;
	v->config.socket = c->socket ? strdup(c->socket) : NULL;
	v->config.socket_group = c->socket_group ? strdup(c->socket_group) : NULL;
	v->workers = calloc(c->nworkers, sizeof(*v->workers));
	if ((c->socket && !v->config.socket) || (c->socket_group && !v->config.socket_group) ||
	    !v->workers)
		return -ENOMEM;
	memcpy(v->workers, c->workers, c->nworkers * sizeof(*v->workers));
	v->session_config = (struct sr_session_config){
		.device = c->device,
		.control = c->control,
		.workers = v->workers,
		.nworkers = c->nworkers,
		.first_worker = c->first_worker,
		.drain_ms = c->drain_ms ? c->drain_ms : DRAIN_MS,
		.ended = ended,
		.ctx = v,
	};
	return 0;
}

static int adopt_connected(struct sr_vhost_user *v, int fd, struct sr_error *e)
{
	int r = sr_unix_adopt_connected(fd, e);

	v->once = true;
	v->passed = r ? -1 : fd;
	return r;
}

static int open_server(struct sr_vhost_user *v, struct sr_error *e)
{
	const struct sr_vhost_user_config *c = &v->config;
	int r;

	if (!c->socket && sr_unix_role(c->fd) == SR_UNIX_CONNECTED)
		return adopt_connected(v, c->fd, e);
	r = c->socket ? sr_unix_listen(&v->listener, c->socket, (mode_t)c->socket_mode,
				       c->socket_group, e)
		      : sr_unix_adopt(&v->listener, c->fd, e);
	if (r)
		return r;
	v->watch = sr_watch_create(c->control, v->listener.fd, EPOLLIN, acceptable, v, e);
	return v->watch ? 0 : -ENOMEM;
}

struct sr_vhost_user *sr_vhost_user_create(const struct sr_vhost_user_config *c, struct sr_error *e)
{
	struct sr_vhost_user *v = calloc(1, sizeof(*v));
	int r = v ? copy_config(v, c) : -ENOMEM;

	assert(!c->device->ops->queue_drain == !c->device->ops->queue_abandon);
	if (v) {
		v->listener.fd = -1;
		v->passed = -1;
		v->retry_ns = RETRY_MIN;
		v->timer = sr_timer_create(c->control, again, v);
	}
	if (r || !v->timer) {
		sr_error_set(e, -ENOMEM, "%s: out of memory", c->device->name);
		goto fail;
	}
	if (!is_client(v) && open_server(v, e))
		goto fail;
	/* The caller knows us before `changed` is called. */
	if (is_client(v) || v->once)
		sr_timer_set(v->timer, 0);
	return v;
fail:
	sr_vhost_user_destroy(v);
	return NULL;
}

static void stop_listening(struct sr_vhost_user *v)
{
	sr_watch_destroy(v->watch);
	v->watch = NULL;
	sr_unix_unlisten(&v->listener);
	if (v->passed >= 0)
		close(v->passed);
	v->passed = -1;
}

void sr_vhost_user_close(struct sr_vhost_user *v, void (*done)(void *ctx), void *ctx)
{
	assert(!v->closed && done);
	v->closed = done;
	v->closed_ctx = ctx;
	stop_listening(v);
	if (v->session) {
		sr_timer_cancel(v->timer);
		sr_session_close(v->session);
	} else {
		sr_timer_set(v->timer, 0);
	}
}

void sr_vhost_user_destroy(struct sr_vhost_user *v)
{
	if (!v)
		return;
	sr_session_end(v->session);
	stop_listening(v);
	sr_timer_destroy(v->timer);
	free(v->workers);
	free((void *)(uintptr_t)v->config.socket);
	free((void *)(uintptr_t)v->config.socket_group);
	free(v);
}

void sr_vhost_user_info(const struct sr_vhost_user *v, struct sr_vhost_user_info *info)
{
	const struct sr_session *s = v->session;

	*info = (struct sr_vhost_user_info){
		.state = v->over ? SR_VHOST_USER_OVER : SR_VHOST_USER_WAITING,
		.sessions = v->sessions,
	};
	snprintf(info->last_error, sizeof(info->last_error), "%s", v->last_error);
	if (!s)
		return;
	info->queues_started = sr_vu_queues_running(s);
	info->state = s->ending		     ? SR_VHOST_USER_DRAINING
		      : info->queues_started ? SR_VHOST_USER_RUNNING
					     : SR_VHOST_USER_CONNECTED;
	info->features = s->features;
	info->protocol_features = s->protocol;
	info->mem = s->mem;
}
