/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels that have less, or that forbid it; loops on threads of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"
#include "file_rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

static unsigned refused_flags;
static int refusal;

/* In front of the library's. */
int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *);

	*(void **)&real = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	if (refusal)
		return refusal;
	return p->flags & refused_flags ? -EINVAL : real(entries, ring, p);
}

static void older_kernels_serve_as_well(void **state)
{
	static const unsigned lacks[] = { IORING_SETUP_DEFER_TASKRUN,
					  IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN };
	static const char *const folders[] = { FILE_RIG_TMPFS, FILE_RIG_HERE };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(lacks) * SR_ARRAY_LEN(folders); i++) {
		struct file_rig t;
		struct sr_error e;

		file_rig_make(&t, folders[i / SR_ARRAY_LEN(lacks)], MIB);
		refused_flags = lacks[i % SR_ARRAY_LEN(lacks)];
		t.disk = sr_disk_file_create(&t.config, &e);
		if (!t.disk)
			fail_msg("%s", e.text);
		disk_rig_check_engine(t.disk);
		refused_flags = 0;
		sr_disk_destroy(t.disk);
		file_rig_remove(&t);
	}
}

static void where_io_uring_is_forbidden_the_error_says_what_to_do(void **state)
{
	static const struct {
		int code;
		const char *text;
	} cases[] = { { -EPERM, "io_uring_setup, io_uring_enter and io_uring_register" },
		      { -ENOSYS, "without io_uring" },
		      { -ENOMEM, "RLIMIT_MEMLOCK" } };
	struct file_rig t;
	struct sr_error e;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		refusal = cases[i].code;
		assert_null(sr_disk_file_create(&t.config, &e));
		refusal = 0;
		assert_int_equal(e.code, cases[i].code);
		assert_non_null(strstr(e.text, cases[i].text));
	}
	file_rig_remove(&t);
}

/* A channel that is made before its loop runs, on another thread than the loop's. */
struct other {
	struct sr_loop *loop;
	struct sr_disk_channel *channel;
	struct sr_disk_req req, *list;
	struct iovec iov;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void other_completed(void *ctx, struct sr_disk_req *const *r, unsigned n)
{
	struct other *o = ctx;

	(void)r;
	pthread_mutex_lock(&o->lock);
	o->is_done = n == 1;
	pthread_cond_signal(&o->done);
	pthread_mutex_unlock(&o->lock);
}

static void other_submit(void *ctx)
{
	struct other *o = ctx;

	sr_disk_submit(o->channel, &o->list, 1);
}

static void other_destroy(void *ctx)
{
	struct other *o = ctx;

	sr_disk_channel_destroy(o->channel);
}

static void who_makes_a_channel_need_not_be_who_uses_it(void **state)
{
	static const struct sr_loop_config loop = { .name = "o", .cpu = -1 };
	struct other o = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
	uint8_t *a = disk_rig_buffer(4096, 9);
	struct file_rig t;
	struct sr_error e;

	(void)state;
	file_rig_make(&t, FILE_RIG_HERE, MIB);
	t.disk = sr_disk_file_create(&t.config, &e);
	assert_non_null(t.disk);
	o.loop = sr_loop_create(&loop, &e);
	o.channel = sr_disk_channel_create(t.disk, o.loop, other_completed, &o, &e);
	assert_non_null(o.channel);
	o.iov = (struct iovec){ a, 4096 };
	o.req = (struct sr_disk_req){ .op = SR_DISK_READ, .len = 4096, .iov = &o.iov, .niov = 1 };
	o.list = &o.req;
	assert_int_equal(sr_loop_spawn(o.loop, &e), 0);
	assert_int_equal(sr_loop_post(o.loop, other_submit, &o), 0);
	pthread_mutex_lock(&o.lock);
	while (!o.is_done)
		pthread_cond_wait(&o.done, &o.lock);
	pthread_mutex_unlock(&o.lock);
	assert_int_equal(o.req.result, 0);
	assert_int_equal(a[4095], 0);
	sr_loop_call(o.loop, other_destroy, &o);
	sr_loop_destroy(o.loop);
	sr_disk_destroy(t.disk);
	file_rig_remove(&t);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_kernels_serve_as_well),
		cmocka_unit_test(where_io_uring_is_forbidden_the_error_says_what_to_do),
		cmocka_unit_test(who_makes_a_channel_need_not_be_who_uses_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
