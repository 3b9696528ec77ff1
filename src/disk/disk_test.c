/* SPDX-License-Identifier: BSD-3-Clause */
/* The core, with an engine whose requests end when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <slipring/disk_engine.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MIB (1ull << 20)

struct slow {
	struct sr_disk disk;
	bool no_channel;
	int event_fd; /* of its channels; -1 = none */
};

struct slow_channel {
	struct sr_disk_channel channel;
	struct sr_disk_req *held[4 * SR_DISK_BATCH];
	unsigned n, reap; /* held; how many the next reap ends */
	bool armed;
};

static struct slow_channel *slow(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c, struct slow_channel, channel);
}

static void slow_destroy(struct sr_disk *d)
{
	sr_disk_finish_base(d);
	free(SR_CONTAINER_OF(d, struct slow, disk));
}

static struct sr_disk_channel *slow_channel_create(struct sr_disk *d, struct sr_loop *loop,
						   struct sr_error *e)
{
	struct slow_channel *s;

	(void)loop;
	if (SR_CONTAINER_OF(d, struct slow, disk)->no_channel) {
		sr_error_set(e, -EMFILE, "disk %s: no channel today", d->name);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	return &s->channel;
}

static void slow_channel_destroy(struct sr_disk_channel *c)
{
	free(slow(c));
}

static void slow_submit(struct sr_disk_channel *c, struct sr_disk_req *const *r, unsigned n)
{
	struct slow_channel *s = slow(c);

	for (unsigned i = 0; i < n; i++)
		s->held[s->n++] = r[i];
}

static void slow_reap(struct sr_disk_channel *c)
{
	struct slow_channel *s = slow(c);
	unsigned n = (unsigned)sr_min(s->reap, s->n);

	s->armed = false;
	for (unsigned i = 0; i < n; i++)
		sr_disk_finish(c, s->held[i], 0);
	memmove(s->held, s->held + n, (s->n - n) * sizeof(s->held[0]));
	s->n -= n;
	s->reap -= n;
}

static bool slow_arm(struct sr_disk_channel *c)
{
	slow(c)->armed = true;
	return false;
}

static int slow_event_fd(struct sr_disk_channel *c)
{
	return SR_CONTAINER_OF(c->disk, struct slow, disk)->event_fd;
}

/* As an engine might: it must know the request. */
static bool slow_cancel(struct sr_disk_channel *c, struct sr_disk_req *r)
{
	struct slow_channel *s = slow(c);
	unsigned i = 0;

	while (i < s->n && s->held[i] != r)
		i++;
	if (i == s->n)
		fail_msg("the engine was asked for a request that it does not have");
	s->held[i] = s->held[--s->n];
	sr_disk_finish(c, r, -ECANCELED);
	return true;
}

static const struct sr_disk_ops slow_ops = {
	.name = "slow",
	.destroy = slow_destroy,
	.channel_create = slow_channel_create,
	.channel_destroy = slow_channel_destroy,
	.submit = slow_submit,
	.reap = slow_reap,
	.arm = slow_arm,
	.event_fd = slow_event_fd,
	.cancel = slow_cancel,
};

static const struct sr_disk_info usual = { .block_size = 512, .physical_size = 512 };

static struct slow *make_slow(void)
{
	struct slow *s = calloc(1, sizeof(*s));

	s->event_fd = -1;
	assert_int_equal(sr_disk_init(&s->disk, &slow_ops, "s", &usual, MIB, NULL), 0);
	return s;
}

static struct sr_disk *make_null(uint64_t size)
{
	struct sr_disk *d = sr_disk_null_create(
		&(struct sr_disk_null_config){ .name = "n", .size = size }, NULL);

	assert_non_null(d);
	return d;
}

static void refuses(uint32_t block, uint32_t physical, uint64_t size, const char *text)
{
	const struct sr_disk_info i = { .block_size = block, .physical_size = physical };
	struct sr_disk d;
	struct sr_error e;

	assert_int_equal(sr_disk_init(&d, &slow_ops, "x", &i, size, &e), -EINVAL);
	assert_string_equal(e.text, text);
}

static void shapes_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	refuses(1024, 1024, MIB, "disk x: block size 1024, expected 512 or 4096");
	refuses(0, 512, MIB, "disk x: block size 0, expected 512 or 4096");
	refuses(4096, 512, MIB,
		"disk x: physical block size 512, expected a power of two from 4096");
	refuses(512, 1536, MIB,
		"disk x: physical block size 1536, expected a power of two from 512");
	refuses(512, 512, 0,
		"disk x: 0 bytes, expected a positive multiple of its block size 512 up to "
		"9223372036854775807");
	refuses(4096, 4096, 512,
		"disk x: 512 bytes, expected a positive multiple of its block size 4096 up to "
		"9223372036854775807");
	refuses(512, 512, 1ull << 63,
		"disk x: 9223372036854775808 bytes, expected a positive multiple of its block size "
		"512 up to 9223372036854775807");
}

static void a_resize_to_a_size_that_makes_no_sense_is_refused(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_disk_resize(d, MIB + 1, &e), -EINVAL);
	assert_string_equal(e.text, "disk n: 1048577 bytes, expected a positive multiple of its "
				    "block size 512 up to 9223372036854775807");
	assert_int_equal(sr_disk_resize(d, 1ull << 63, &e), -EINVAL);
	assert_int_equal(sr_disk_size(d), MIB);
	sr_disk_destroy(d);
}

static void an_engine_without_resize_keeps_its_size(void **state)
{
	struct slow *s = make_slow();
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_disk_resize(&s->disk, 2 * MIB, &e), -EOPNOTSUPP);
	assert_string_equal(e.text, "disk s: a slow disk keeps its size");
	sr_disk_destroy(&s->disk);
}

static void nothing_may_be_destroyed_as_well(void **state)
{
	(void)state;
	sr_disk_destroy(NULL);
	sr_disk_channel_destroy(NULL);
}

/* Counts, and takes another one off. */
struct hearing {
	struct sr_disk_listener listener;
	struct sr_disk *disk;
	unsigned heard;
	uint64_t size, change_to;
	struct hearing *silence;
};

static void hear(void *ctx)
{
	struct hearing *h = ctx;

	h->heard++;
	h->size = sr_disk_size(h->disk);
	if (h->silence)
		sr_disk_unlisten(h->disk, &h->silence->listener);
	if (h->change_to)
		sr_disk_resize(h->disk, h->change_to, NULL);
}

static void listen(struct hearing *h, struct sr_disk *d)
{
	h->listener = (struct sr_disk_listener){ .resized = hear, .ctx = h };
	h->disk = d;
	sr_disk_listen(d, &h->listener);
}

static void listeners_hear_of_a_new_size_and_only_of_a_new_one(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct hearing a = { 0 }, b = { 0 };

	(void)state;
	listen(&a, d);
	listen(&b, d);
	assert_int_equal(sr_disk_resize(d, 2 * MIB, NULL), 0);
	assert_int_equal(sr_disk_resize(d, 2 * MIB, NULL), 0);
	assert_int_equal(sr_disk_resize(d, 0, NULL), 0);
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 1);
	assert_int_equal(b.size, 2 * MIB);
	sr_disk_unlisten(d, &a.listener);
	sr_disk_unlisten(d, &a.listener);
	assert_int_equal(sr_disk_resize(d, 4 * MIB, NULL), 0);
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 2);
	sr_disk_unlisten(d, &b.listener);
	sr_disk_destroy(d);
}

static void a_listener_may_take_itself_and_others_off(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct hearing a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	listen(&a, d);
	listen(&b, d);
	listen(&c, d); /* told first */
	c.silence = &b;
	a.silence = &a;
	assert_int_equal(sr_disk_resize(d, 2 * MIB, NULL), 0);
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 0);
	assert_int_equal(c.heard, 1);
	sr_disk_unlisten(d, &c.listener);
	sr_disk_destroy(d);
}

static void a_size_that_changes_while_listeners_are_told_reaches_them_all(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct hearing a = { 0 }, b = { .change_to = 8 * MIB };

	(void)state;
	listen(&a, d);
	listen(&b, d);
	assert_int_equal(sr_disk_resize(d, 2 * MIB, NULL), 0);
	assert_int_equal(a.size, 8 * MIB);
	assert_int_equal(b.size, 8 * MIB);
	sr_disk_unlisten(d, &a.listener);
	sr_disk_unlisten(d, &b.listener);
	sr_disk_destroy(d);
}

static void filters_pass_names_sizes_and_resizes_on(void **state)
{
	struct sr_disk *below = make_null(MIB);
	struct sr_disk *d = sr_disk_limit_create(below, &(struct sr_disk_limits){ 0 }, NULL);
	struct sr_disk *top = sr_disk_fault_create(d, &(struct sr_disk_fault){ 0 }, NULL);
	struct hearing a = { 0 };

	(void)state;
	assert_string_equal(sr_disk_name(top), "n");
	assert_string_equal(sr_disk_engine(top), "null");
	assert_int_equal(sr_disk_size(top), MIB);
	listen(&a, top);
	assert_int_equal(sr_disk_resize(top, 2 * MIB, NULL), 0);
	assert_int_equal(a.heard, 1);
	assert_int_equal(a.size, 2 * MIB);
	assert_int_equal(sr_disk_size(below), 2 * MIB);
	sr_disk_unlisten(top, &a.listener);
	sr_disk_destroy(top);
}

static void a_channel_that_the_engine_refuses_leaves_nothing_behind(void **state)
{
	struct slow *s = make_slow();
	struct sr_disk *d = sr_disk_fault_create(&s->disk, &(struct sr_disk_fault){ 0 }, NULL);
	struct disk_rig rig;

	(void)state;
	s->no_channel = true;
	assert_false(disk_rig_start(&rig, d));
	assert_string_equal(rig.failure, "channel: disk s: no channel today");
	disk_rig_stop(&rig);
	sr_disk_destroy(d);
}

static void a_channel_with_an_event_fd_that_is_none_is_refused(void **state)
{
	struct slow *s = make_slow();
	struct disk_rig rig;

	(void)state;
	s->event_fd = 9999;
	assert_false(disk_rig_start(&rig, &s->disk));
	assert_int_equal(atomic_load(&s->disk.channels), 0);
	disk_rig_stop(&rig);
	sr_disk_destroy(&s->disk);
}

static void reqs(struct sr_disk_req *r, struct sr_disk_req **list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		r[i] = (struct sr_disk_req){ .op = SR_DISK_FLUSH };
		list[i] = &r[i];
	}
}

static void completions_come_in_batches_of_their_limit(void **state)
{
	enum {
		N = 3 * SR_DISK_BATCH + 5
	};
	struct sr_disk *d = make_null(MIB);
	struct sr_disk_req r[N], *list[N];
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, d);
	reqs(r, list, N);
	disk_rig_submit(&rig, list, N);
	assert_int_equal(rig.completed, 0);
	assert_int_equal(sr_disk_poll(rig.channel), N);
	assert_int_equal(rig.batches, 4);
	assert_int_equal(rig.largest_batch, SR_DISK_BATCH);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

/* Sends a request again until there were enough of it; polls from inside, which must do nothing.
 */
static void again(struct disk_rig *rig, struct sr_disk_req *r)
{
	unsigned *left = rig->ctx;

	assert_int_equal(sr_disk_poll(rig->channel), 0);
	if (!*left)
		return;
	--*left;
	disk_rig_submit_one(rig, r);
}

static void what_is_submitted_from_inside_complete_waits_for_the_next_poll(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct sr_disk_req r[2], *list[2];
	struct disk_rig rig;
	unsigned left = 3;

	(void)state;
	disk_rig_open(&rig, d);
	rig.completed_one = again;
	rig.ctx = &left;
	reqs(r, list, 2);
	disk_rig_submit(&rig, list, 2);
	assert_int_equal(sr_disk_poll(rig.channel), 2);
	assert_int_equal(rig.under_way, 2);
	assert_int_equal(sr_disk_poll(rig.channel), 2);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	assert_int_equal(rig.completed, 5);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void the_loop_completes_what_is_submitted_from_inside_complete(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct sr_disk_req r, *list = &r;
	struct disk_rig rig;
	unsigned left = 1000;

	(void)state;
	disk_rig_open(&rig, d);
	rig.completed_one = again;
	rig.ctx = &left;
	reqs(&r, &list, 1);
	disk_rig_submit_one(&rig, &r);
	assert_true(disk_rig_wait(&rig, 0));
	assert_int_equal(rig.completed, 1001);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

/* The first of a batch cancels the last of a later one, which is finished already. */
static void cancel_last(struct disk_rig *rig, struct sr_disk_req *r)
{
	struct sr_disk_req **victim = rig->ctx;

	(void)r;
	if (*victim) {
		assert_true(sr_disk_cancel(rig->channel, *victim));
		*victim = NULL;
	}
}

static void a_finished_request_that_waits_for_its_batch_may_be_cancelled(void **state)
{
	enum {
		N = 2 * SR_DISK_BATCH
	};
	struct slow *s = make_slow();
	struct sr_disk_req r[N], *list[N], *victim = &r[N - 1];
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, &s->disk);
	rig.completed_one = cancel_last;
	rig.ctx = &victim;
	reqs(r, list, N);
	disk_rig_submit(&rig, list, N);
	slow(rig.channel)->reap = N;
	assert_int_equal(sr_disk_poll(rig.channel), N);
	assert_int_equal(r[N - 1].result, 0);
	disk_rig_close(&rig);
	sr_disk_destroy(&s->disk);
}

static void a_cancelled_request_is_completed_by_the_next_poll_through_all_layers(void **state)
{
	struct slow *s = make_slow();
	struct sr_disk *d = sr_disk_fault_create(&s->disk, &(struct sr_disk_fault){ 0 }, NULL);
	struct sr_disk_req r[2], *list[2];
	struct disk_rig rig;

	(void)state;
	d = sr_disk_limit_create(d, &(struct sr_disk_limits){ 0 }, NULL);
	disk_rig_open(&rig, d);
	reqs(r, list, 2);
	disk_rig_submit(&rig, list, 2);
	assert_int_equal(sr_disk_poll(rig.channel), 0);
	assert_true(sr_disk_cancel(rig.channel, &r[1]));
	assert_int_equal(rig.completed, 0);
	assert_int_equal(sr_disk_poll(rig.channel), 1);
	assert_int_equal(r[1].result, -ECANCELED);
	assert_int_equal(r[0].result, DISK_RIG_PENDING);
	assert_true(sr_disk_cancel(rig.channel, &r[0]));
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

static void an_engines_event_wakes_the_loop_through_all_layers(void **state)
{
	struct slow *s = make_slow();
	struct sr_disk *d = sr_disk_fault_create(&s->disk, &(struct sr_disk_fault){ 0 }, NULL);
	struct sr_disk_req r, *list = &r;
	struct sr_disk_channel *below;
	struct disk_rig rig;

	(void)state;
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	disk_rig_open(&rig, d);
	reqs(&r, &list, 1);
	disk_rig_submit_one(&rig, &r);
	disk_rig_run_for(&rig, 1000000); /* everybody is asleep */
	assert_int_equal(rig.completed, 0);
	below = *(struct sr_disk_channel **)(void *)(rig.channel + 1); /* disk_filter.h */
	slow(below)->reap = 1;
	eventfd_write(s->event_fd, 1);
	assert_true(disk_rig_wait(&rig, 0));
	disk_rig_close(&rig);
	close(s->event_fd);
	sr_disk_destroy(d);
}

static void who_polls_beside_a_sleeping_channel_does_not_leave_it_unarmed(void **state)
{
	struct slow *s = make_slow();
	struct sr_disk_req r, *list = &r;
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, &s->disk);
	reqs(&r, &list, 1);
	disk_rig_submit_one(&rig, &r);
	disk_rig_run_for(&rig, 1000000);
	assert_true(slow(rig.channel)->armed);
	sr_disk_poll(rig.channel);
	assert_false(slow(rig.channel)->armed);
	disk_rig_run_for(&rig, 1000000);
	assert_true(slow(rig.channel)->armed);
	slow(rig.channel)->reap = 1;
	sr_disk_poll(rig.channel);
	disk_rig_close(&rig);
	sr_disk_destroy(&s->disk);
}

static void the_null_disk_knows_no_zones(void **state)
{
	struct sr_disk *d = make_null(MIB);
	struct disk_rig rig;

	(void)state;
	disk_rig_open(&rig, d);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ERASE, 0, 0, 512), 0);
	assert_int_equal(disk_rig_command(&rig, SR_DISK_ZONE_RESET_ALL, 0, 0, 0), -EOPNOTSUPP);
	disk_rig_close(&rig);
	sr_disk_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_that_make_no_sense_are_refused),
		cmocka_unit_test(a_resize_to_a_size_that_makes_no_sense_is_refused),
		cmocka_unit_test(an_engine_without_resize_keeps_its_size),
		cmocka_unit_test(nothing_may_be_destroyed_as_well),
		cmocka_unit_test(listeners_hear_of_a_new_size_and_only_of_a_new_one),
		cmocka_unit_test(a_listener_may_take_itself_and_others_off),
		cmocka_unit_test(a_size_that_changes_while_listeners_are_told_reaches_them_all),
		cmocka_unit_test(filters_pass_names_sizes_and_resizes_on),
		cmocka_unit_test(a_channel_that_the_engine_refuses_leaves_nothing_behind),
		cmocka_unit_test(a_channel_with_an_event_fd_that_is_none_is_refused),
		cmocka_unit_test(completions_come_in_batches_of_their_limit),
		cmocka_unit_test(what_is_submitted_from_inside_complete_waits_for_the_next_poll),
		cmocka_unit_test(the_loop_completes_what_is_submitted_from_inside_complete),
		cmocka_unit_test(a_finished_request_that_waits_for_its_batch_may_be_cancelled),
		cmocka_unit_test(
			a_cancelled_request_is_completed_by_the_next_poll_through_all_layers),
		cmocka_unit_test(an_engines_event_wakes_the_loop_through_all_layers),
		cmocka_unit_test(who_polls_beside_a_sleeping_channel_does_not_leave_it_unarmed),
		cmocka_unit_test(the_null_disk_knows_no_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
