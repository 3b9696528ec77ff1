/* SPDX-License-Identifier: BSD-3-Clause */
#include "zone_sync.h"
#include "base.h"

#include <errno.h>
#include <signal.h>
#include <slipring/loop.h>
#include <unistd.h>

/* All that waits; NULL when it is time to end. */
static struct zone_sync_job *next_jobs(struct zone_sync *s)
{
	struct zone_sync_job *jobs;

	pthread_mutex_lock(&s->lock);
	while (!s->first && !s->stop)
		pthread_cond_wait(&s->more, &s->lock);
	jobs = s->first;
	s->first = NULL;
	s->end = &s->first;
	pthread_mutex_unlock(&s->lock);
	return jobs;
}

static void give_back(struct zone_sync_job *job)
{
	static const struct timespec while_full = { 0, 1000000 };

	while (sr_loop_post(job->loop, job->done, job))
		nanosleep(&while_full, NULL);
}

static void *sync_thread(void *ctx)
{
	struct zone_sync *s = ctx;
	struct zone_sync_job *jobs, *next;

	while ((jobs = next_jobs(s))) {
		int result = fdatasync(s->fd) ? -errno : 0;

		for (; jobs; jobs = next) {
			next = jobs->next;
			jobs->result = result;
			give_back(jobs);
		}
	}
	return NULL;
}

int zone_sync_start(struct zone_sync *s, int fd, const char *name, struct sr_error *e)
{
	sigset_t all, before;
	int r;

	*s = (struct zone_sync){ .fd = fd, .end = &s->first };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, NULL, sync_thread, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!r)
		return 0;
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	return sr_error_set(e, -r, "disk %s: no thread: %s", name, strerrordesc_np(r));
}

void zone_sync_stop(struct zone_sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
}

void zone_sync_submit(struct zone_sync *s, struct zone_sync_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&s->lock);
	*s->end = job;
	s->end = &job->next;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
}
