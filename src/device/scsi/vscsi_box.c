/* SPDX-License-Identifier: BSD-3-Clause */
#include "vscsi_box.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void vscsi_box_init(struct vscsi_box *b)
{
	pthread_mutex_init(&b->lock, NULL);
	b->head = NULL;
	b->tail = &b->head;
	b->open = false;
	b->fd = -1;
	b->watch = NULL;
}

void vscsi_box_finish(struct vscsi_box *b)
{
	pthread_mutex_destroy(&b->lock);
}

static void box_rung(void *ctx, uint32_t events)
{
	struct vscsi_box *b = ctx;
	eventfd_t count;

	(void)events;
	eventfd_read(b->fd, &count);
	vscsi_box_run(b);
}

int vscsi_box_open(struct vscsi_box *b, struct sr_loop *loop, struct sr_error *e)
{
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0)
		return sr_error_set(e, -errno, "eventfd: %m");
	b->watch = sr_watch_create(loop, b->fd, EPOLLIN, box_rung, b, e);
	if (!b->watch) {
		close(b->fd);
		b->fd = -1;
		return -ENOMEM;
	}
	pthread_mutex_lock(&b->lock);
	b->open = true;
	pthread_mutex_unlock(&b->lock);
	return 0;
}

bool vscsi_box_send(struct vscsi_box *b, struct vscsi_msg *m)
{
	bool open;

	pthread_mutex_lock(&b->lock);
	open = b->open;
	if (open) {
		if (!b->head)
			eventfd_write(b->fd, 1);
		m->next = NULL;
		*b->tail = m;
		b->tail = &m->next;
	}
	pthread_mutex_unlock(&b->lock);
	return open;
}

static struct vscsi_msg *box_take(struct vscsi_box *b)
{
	struct vscsi_msg *m;

	pthread_mutex_lock(&b->lock);
	m = b->head;
	b->head = NULL;
	b->tail = &b->head;
	pthread_mutex_unlock(&b->lock);
	return m;
}

void vscsi_box_run(struct vscsi_box *b)
{
	struct vscsi_msg *m, *next;

	while ((m = box_take(b)))
		for (; m; m = next) {
			next = m->next;
			m->run(m);
		}
}

void vscsi_box_close(struct vscsi_box *b)
{
	if (!b->watch)
		return;
	pthread_mutex_lock(&b->lock);
	b->open = false;
	pthread_mutex_unlock(&b->lock);
	sr_watch_destroy(b->watch);
	b->watch = NULL;
	close(b->fd);
	b->fd = -1;
	vscsi_box_run(b);
}
