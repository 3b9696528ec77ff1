/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"
#include "remote.h"

#include <errno.h>

#define SIZE (16u << 20)

/* A server that answers when the test says so. */
struct server {
	struct remote_disk remote;
	struct remote_jobs under_way;
	unsigned n;
};

struct rig {
	struct server *server;
	struct disk_rig rig;
};

static void server_start(struct remote_disk *r, struct remote_job *j)
{
	struct server *s = SR_CONTAINER_OF(r, struct server, remote);

	TAILQ_INSERT_TAIL(&s->under_way, j, link);
	s->n++;
}

/* The oldest one ends. */
static void answer(struct server *s, int result)
{
	struct remote_job *j = TAILQ_FIRST(&s->under_way);

	TAILQ_REMOVE(&s->under_way, j, link);
	s->n--;
	remote_done(j, result);
}

static void server_destroy(struct sr_disk *d)
{
	struct server *s = SR_CONTAINER_OF(d, struct server, remote.base);

	assert_int_equal(s->n, 0);
	sr_disk_finish_base(d);
	remote_disk_finish(&s->remote);
	free(s);
}

static const struct remote_ops remote_server = { .start = server_start };
static const struct sr_disk_ops server_ops = {
	.name = "server",
	.destroy = server_destroy,
	.channel_create = remote_channel_create,
	.channel_destroy = remote_channel_destroy,
	.submit = remote_submit,
	.reap = remote_reap,
	.arm = remote_arm,
	.event_fd = remote_event_fd,
	.cancel = remote_cancel,
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sr_disk_info info = { .block_size = 512, .physical_size = 512 };

	r->server = calloc(1, sizeof(*r->server));
	TAILQ_INIT(&r->server->under_way);
	remote_disk_init(&r->server->remote, &remote_server);
	assert_int_equal(sr_disk_init(&r->server->remote.base, &server_ops, "s", &info, SIZE, NULL),
			 0);
	disk_rig_open(&r->rig, &r->server->remote.base);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	while (r->server->n)
		answer(r->server, 0);
	disk_rig_close(&r->rig);
	sr_disk_destroy(&r->server->remote.base);
	free(r);
	return 0;
}

static struct sr_disk_req request(enum sr_disk_op op, uint64_t offset, struct iovec *v)
{
	return (struct sr_disk_req){
		.op = (uint8_t)op,
		.offset = offset,
		.len = v ? v->iov_len : 0,
		.iov = v,
		.niov = v ? 1 : 0,
	};
}

static void settle(struct rig *r)
{
	disk_rig_run_for(&r->rig, 2000000);
}

static void a_write_takes_a_copy_of_its_data(void **state)
{
	struct rig *r = *state;
	char data[512];
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req w = request(SR_DISK_WRITE, 1024, &v);

	memset(data, 'a', sizeof(data));
	disk_rig_submit_one(&r->rig, &w);
	memset(data, 'b', sizeof(data));
	struct remote_job *j = TAILQ_FIRST(&r->server->under_way);

	assert_int_equal(j->offset, 1024);
	assert_int_equal(*(char *)j->buf, 'a');
	answer(r->server, 0);
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(w.result, 0);
}

static void a_long_request_goes_piece_by_piece(void **state)
{
	struct rig *r = *state;
	size_t len = 2 * REMOTE_PIECE + 512;
	struct iovec v = { malloc(len), len };
	struct sr_disk_req q = request(SR_DISK_READ, 4096, &v);
	static const uint32_t expected[] = { REMOTE_PIECE, REMOTE_PIECE, 512 };

	disk_rig_submit_one(&r->rig, &q);
	for (unsigned i = 0; i < 3; i++) {
		settle(r);
		struct remote_job *j = TAILQ_FIRST(&r->server->under_way);

		assert_int_equal(r->server->n, 1);
		assert_int_equal(j->len, expected[i]);
		assert_int_equal(j->offset, 4096 + i * REMOTE_PIECE);
		memset(j->buf, 'a' + (int)i, j->len);
		answer(r->server, 0);
	}
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(q.result, 0);
	assert_int_equal(((char *)v.iov_base)[0], 'a');
	assert_int_equal(((char *)v.iov_base)[REMOTE_PIECE], 'b');
	assert_int_equal(((char *)v.iov_base)[len - 1], 'c');
	free(v.iov_base);
}

static void fua_is_a_flush_after_the_write_where_the_server_has_none(void **state)
{
	struct rig *r = *state;
	char data[512] = "";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req w = request(SR_DISK_WRITE, 0, &v);

	w.flags = SR_DISK_FUA;
	disk_rig_submit_one(&r->rig, &w);
	answer(r->server, 0);
	settle(r);
	assert_int_equal(r->server->n, 1);
	assert_int_equal(TAILQ_FIRST(&r->server->under_way)->op, SR_DISK_FLUSH);
	answer(r->server, -EIO);
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(w.result, -EIO);
}

static void a_cancelled_read_never_touches_its_buffer(void **state)
{
	struct rig *r = *state;
	char data[512] = "before";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req q = request(SR_DISK_READ, 0, &v);

	disk_rig_submit_one(&r->rig, &q);
	assert_true(sr_disk_cancel(r->rig.channel, &q));
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(q.result, -ECANCELED);
	memset(TAILQ_FIRST(&r->server->under_way)->buf, 'x', 512);
	answer(r->server, 0);
	settle(r);
	assert_string_equal(data, "before");
}

/* Each holds memory of ours for as long as the server likes. */
static void a_stuck_server_is_not_asked_for_ever_more_reads(void **state)
{
	struct rig *r = *state;
	struct sr_disk_req q[REMOTE_JOBS_MAX];
	char data[512];
	struct iovec v = { data, sizeof(data) };

	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < REMOTE_JOBS_MAX; i++) {
			q[i] = request(SR_DISK_READ, 0, &v);
			disk_rig_submit_one(&r->rig, &q[i]);
		}
		for (unsigned i = 0; i < REMOTE_JOBS_MAX; i++)
			assert_true(sr_disk_cancel(r->rig.channel, &q[i]));
		assert_true(disk_rig_wait(&r->rig, 0));
	}
	assert_true(r->server->n <= REMOTE_STRAYS_MAX);
	q[0] = request(SR_DISK_READ, 0, &v);
	disk_rig_submit_one(&r->rig, &q[0]);
	answer(r->server, 0);
	settle(r);
	while (r->server->n)
		answer(r->server, 0);
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(q[0].result, 0);
}

static void nothing_overtakes_a_write_that_nobody_waits_for(void **state)
{
	struct rig *r = *state;
	char data[512] = "";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req old = request(SR_DISK_WRITE, 0, &v), new = request(SR_DISK_WRITE, 0, &v);

	disk_rig_submit_one(&r->rig, &old);
	assert_true(sr_disk_cancel(r->rig.channel, &old));
	disk_rig_submit_one(&r->rig, &new);
	settle(r);
	assert_int_equal(r->server->n, 1); /* the old one */
	answer(r->server, 0);
	settle(r);
	assert_int_equal(r->server->n, 1); /* the new one: the channel was woken */
	answer(r->server, 0);
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(new.result, 0);
}

static void a_waiting_request_can_be_cancelled(void **state)
{
	struct rig *r = *state;
	char data[512] = "";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req q[REMOTE_JOBS_MAX + 3];

	for (unsigned i = 0; i < SR_ARRAY_LEN(q); i++) {
		q[i] = request(SR_DISK_READ, 0, &v);
		disk_rig_submit_one(&r->rig, &q[i]);
	}
	assert_int_equal(r->server->n, REMOTE_JOBS_MAX);
	assert_true(sr_disk_cancel(r->rig.channel, &q[REMOTE_JOBS_MAX + 1]));
	assert_true(disk_rig_wait(&r->rig, REMOTE_JOBS_MAX + 2));
	assert_int_equal(q[REMOTE_JOBS_MAX + 1].result, -ECANCELED);
	while (r->server->n) {
		answer(r->server, 0);
		settle(r);
	}
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(q[REMOTE_JOBS_MAX + 2].result, 0);
}

static void an_answer_on_its_way_wins_over_a_cancel(void **state)
{
	struct rig *r = *state;
	char data[512] = "";
	struct iovec v = { data, sizeof(data) };
	struct sr_disk_req q = request(SR_DISK_WRITE, 0, &v);

	disk_rig_submit_one(&r->rig, &q);
	answer(r->server, -ENOSPC);
	assert_true(sr_disk_cancel(r->rig.channel, &q));
	assert_true(disk_rig_wait(&r->rig, 0));
	assert_int_equal(q.result, -ENOSPC);
	assert_int_equal(atomic_load(&r->server->remote.strays), 0);
}

static void zone_commands_are_not_for_such_disks(void **state)
{
	struct rig *r = *state;

	assert_int_equal(disk_rig_command(&r->rig, SR_DISK_ZONE_OPEN, 0, 0, 0), -EOPNOTSUPP);
	assert_int_equal(disk_rig_command(&r->rig, SR_DISK_ERASE, 0, 0, 512), -EOPNOTSUPP);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_write_takes_a_copy_of_its_data),
		T(a_long_request_goes_piece_by_piece),
		T(fua_is_a_flush_after_the_write_where_the_server_has_none),
		T(a_cancelled_read_never_touches_its_buffer),
		T(a_stuck_server_is_not_asked_for_ever_more_reads),
		T(nothing_overtakes_a_write_that_nobody_waits_for),
		T(a_waiting_request_can_be_cancelled),
		T(an_answer_on_its_way_wins_over_a_cancel),
		T(zone_commands_are_not_for_such_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
