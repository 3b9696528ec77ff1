/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread of a block device for calls that block: rare ones, in the order in which they came.
 * What is done waits in a list of its channel, whose eventfd is rung.
 */
#include "file_internal.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

struct file_helper {
	struct file_disk *file;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct sr_disk_req *first, **tail; /* own[2].p: the channel */
	bool stop;
};

static int run(struct file_disk *f, struct sr_disk_req *r)
{
	uint64_t range[2] = { r->offset, r->len };

	if (r->own[1].u & FILE_JUDGED)
		return file_zone_judge(f, r);
	if (r->op == SR_DISK_DISCARD)
		return ioctl(f->lock_fd, BLKDISCARD, range) ? -errno : 0;
	if (r->op == SR_DISK_ERASE)
		return ioctl(f->lock_fd, BLKSECDISCARD, range) ? -errno : 0;
	return f->base.info.zone_size ? file_zone_run(f, r) : -EOPNOTSUPP;
}

/* With the lock held. */
static struct sr_disk_req *pop(struct file_helper *h)
{
	struct sr_disk_req *r = h->first;

	h->first = r->next;
	if (!h->first)
		h->tail = &h->first;
	return r;
}

static void hand_back(struct sr_disk_req *r, int result)
{
	struct file_channel *c = r->own[2].p;

	r->result = result;
	r->next = c->helped;
	c->helped = r;
	atomic_store(&c->has_helped, true);
	eventfd_write(c->event_fd, 1);
}

static void *helper_thread(void *ctx)
{
	struct file_helper *h = ctx;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct sr_disk_req *r;
		int result;

		if (!h->first) {
			pthread_cond_wait(&h->more, &h->lock);
			continue;
		}
		r = pop(h);
		pthread_mutex_unlock(&h->lock);
		result = run(h->file, r);
		pthread_mutex_lock(&h->lock);
		hand_back(r, result);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* It takes no signals of the process. */
static int start_thread(struct file_helper *h)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&h->thread, NULL, helper_thread, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int file_helper_start(struct file_disk *f, struct sr_error *e)
{
	struct file_helper *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return sr_error_set(e, -ENOMEM, "disk %s: out of memory", f->base.name);
	h->file = f;
	h->tail = &h->first;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->more, NULL);
	r = start_thread(h);
	if (r) {
		free(h);
		return sr_error_set(e, r, "disk %s: no thread: %s", f->base.name, strerror(-r));
	}
	f->helper = h;
	return 0;
}

void file_helper_stop(struct file_disk *f)
{
	struct file_helper *h = f->helper;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->more);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->more);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void file_helper_push(struct file_channel *c, struct sr_disk_req *r)
{
	struct file_helper *h = file_of(&c->base)->helper;

	r->own[1].u |= FILE_AT_HELPER;
	r->own[2].p = c;
	r->next = NULL;
	pthread_mutex_lock(&h->lock);
	*h->tail = r;
	h->tail = &r->next;
	pthread_cond_signal(&h->more);
	pthread_mutex_unlock(&h->lock);
}

bool file_helper_take_back(struct file_channel *c, struct sr_disk_req *r)
{
	struct file_helper *h = file_of(&c->base)->helper;
	struct sr_disk_req **at = &h->first;
	bool found;

	pthread_mutex_lock(&h->lock);
	while (*at && *at != r)
		at = &(*at)->next;
	found = *at;
	if (found) {
		*at = r->next;
		if (!*at)
			h->tail = at;
	}
	pthread_mutex_unlock(&h->lock);
	return found;
}

void file_helper_collect(struct file_channel *c)
{
	struct file_helper *h = file_of(&c->base)->helper;
	struct sr_disk_req *list, *r;

	pthread_mutex_lock(&h->lock);
	list = c->helped;
	c->helped = NULL;
	atomic_store(&c->has_helped, false);
	pthread_mutex_unlock(&h->lock);
	while ((r = list)) {
		list = r->next;
		file_finish(c, r, r->result);
	}
}

/* When it returns the helper has rung the channel's eventfd for the last time. */
void file_helper_forget(struct file_channel *c)
{
	struct file_helper *h = file_of(&c->base)->helper;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	pthread_mutex_unlock(&h->lock);
}
