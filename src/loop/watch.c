/* SPDX-License-Identifier: BSD-3-Clause */
/* File descriptors in the epoll set. Every entry of the set is a watch, the loop's own
 * eventfd and the pollers' kick fds included. */
#include "loop_internal.h"

#include <errno.h>
#include <stdlib.h>

/* A watch for no events is taken off: epoll would still report EPOLLERR and EPOLLHUP, for
 * ever. */
int sr_watch_events(struct sr_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op = !w->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	/* One shot may have been fired: it is set again. */
	if (events == w->events && !(events & EPOLLONESHOT))
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

struct sr_watch *sr_watch_create(struct sr_loop *l, int fd, uint32_t events,
				 void (*fn)(void *ctx, uint32_t events), void *ctx,
				 struct sr_error *e)
{
	struct sr_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		sr_error_set(e, -ENOMEM, "loop %s: out of memory", l->name);
		return NULL;
	}
	*w = (struct sr_watch){ .loop = l, .fd = fd, .fn = fn, .ctx = ctx };
	r = sr_watch_events(w, events);
	if (r < 0) {
		sr_error_set(e, r, "fd %d: %s", fd,
			     r == -EPERM ? "a file that cannot be waited for; an eventfd, socket "
					   "or pipe is expected"
					 : strerrordesc_np(-r));
		free(w);
		return NULL;
	}
	l->watches++;
	return w;
}

void sr_watch_destroy(struct sr_watch *w)
{
	struct sr_loop *l;

	if (!w)
		return;
	l = w->loop;
	sr_watch_events(w, 0);
	w->events = 0; /* also when somebody closed the fd before */
	w->next_dead = l->dead_watches;
	l->dead_watches = w;
	l->watches--;
	if (!sr_loop_is_current(l))
		sr_loop_bury(l);
}

void sr_watch_dispatch(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct sr_watch *w = events[i].data.ptr;
		/* A callback before this one may have destroyed or changed it. */
		uint32_t now = events[i].events & (w->events | EPOLLERR | EPOLLHUP);

		if (w->events && now)
			w->fn(w->ctx, now);
	}
}
