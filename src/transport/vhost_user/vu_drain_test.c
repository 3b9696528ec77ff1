/* SPDX-License-Identifier: BSD-3-Clause */
/* A device whose requests take time, and everything that must wait for them, or must not. */
#include "vu_slow.h"

#include "channel.h"
#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Time in which something that must not happen would happen. */
static void a_while(void)
{
	usleep(20000);
}

static void set_abandon(struct rig *r, bool can)
{
	r->d.can_abandon = can;
}

static bool is_answered(const struct rig *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void send_acked(struct rig *r, uint32_t request, const void *payload, uint32_t size,
		       const int *fds, unsigned nfds)
{
	rig_send(r, request, SR_VU_VERSION | SR_VU_NEED_REPLY, payload, size, fds, nfds);
}

static void send_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num)
{
	struct sr_vu_state s = { index, num };

	send_acked(r, request, &s, sizeof(s), NULL, 0);
}

static struct sr_vu_mem_reg further_region(void)
{
	return (struct sr_vu_mem_reg){ .region = { .gpa = RIG_GPA + 2 * RIG_MEM,
						   .uva = RIG_UVA + 2 * RIG_MEM,
						   .size = 4096 } };
}

/* ---- the messages that stop or pause a ring ---- */

static void change_log_all(struct rig *r)
{
	uint64_t bits = SR_F_VERSION_1 | SR_F_PROTOCOL_FEATURES | SR_F_LOG_ALL;

	send_acked(r, SR_VU_SET_FEATURES, &bits, 8, NULL, 0);
}

static void change_features(struct rig *r)
{
	uint64_t bits = SR_F_VERSION_1 | SR_F_PROTOCOL_FEATURES | SR_F_EVENT_IDX;

	send_acked(r, SR_VU_SET_FEATURES, &bits, 8, NULL, 0);
}

static void set_table(struct rig *r)
{
	struct sr_vu_mem_table t = rig_table();

	send_acked(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), &r->memfd, 1);
}

static void add_region(struct rig *r)
{
	struct sr_vu_mem_reg m = further_region();

	send_acked(r, SR_VU_ADD_MEM_REG, &m, sizeof(m), &r->memfd, 1);
}

static void remove_region(struct rig *r)
{
	struct sr_vu_mem_reg m = further_region();

	send_acked(r, SR_VU_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

static void set_log(struct rig *r)
{
	struct sr_vu_log l = { .size = 65536 };

	send_acked(r, SR_VU_SET_LOG_BASE, &l, sizeof(l), &r->memfd, 1);
}

static void set_num(struct rig *r)
{
	send_state(r, SR_VU_SET_VRING_NUM, 0, RIG_RING);
}

static void set_base(struct rig *r)
{
	send_state(r, SR_VU_SET_VRING_BASE, 0, 7);
}

static void set_addr(struct rig *r)
{
	struct sr_vu_addr a = rig_addr(0, 0);

	send_acked(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

static void get_base(struct rig *r)
{
	send_state(r, SR_VU_GET_VRING_BASE, 0, 0);
}

static void reset_device(struct rig *r)
{
	send_acked(r, SR_VU_RESET_DEVICE, NULL, 0, NULL, 0);
}

static void reset_status(struct rig *r)
{
	send_acked(r, SR_VU_SET_STATUS, &(uint64_t){ 0 }, 8, NULL, 0);
}

static void take_call_off(struct rig *r)
{
	send_acked(r, SR_VU_SET_VRING_CALL, &(uint64_t){ SR_VU_NO_FD }, 8, NULL, 0);
}

static void call_by_socket(struct rig *r)
{
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	send_acked(r, SR_VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &s[0], 1);
	close(s[0]);
	close(s[1]);
}

static const struct stopping {
	void (*send)(struct rig *r);
	bool all;     /* rings, not only the first */
	bool goes_on; /* the rings are running afterwards */
} stopping[] = {
	{ change_log_all, true, true }, { change_features, true, false },
	{ set_table, true, true },	{ add_region, true, true },
	{ remove_region, true, true },	{ set_log, true, true },
	{ set_num, false, false },	{ set_base, false, false },
	{ set_addr, false, true },	{ get_base, false, false },
	{ reset_device, true, false },	{ reset_status, true, false },
	{ take_call_off, false, true }, { call_by_socket, false, true },
};

/* Ring 0 and 1 run, each with three requests under way; a further region is there when the
 * message takes it away. */
static void occupy_two(struct rig *r, const struct stopping *m)
{
	rig_up(r);
	rig_start(r, 1, 0);
	if (m->send == remove_region) {
		add_region(r);
		assert_true(rig_receive(r, &(struct sr_vu_message){ 0 }));
	}
	rig_occupy(r, 0, 3);
	rig_occupy(r, 1, 3);
}

static void expect_answer(struct rig *r, uint32_t request, const struct stopping *m)
{
	struct sr_vu_message a;

	assert_true(rig_receive(r, &a));
	if (request)
		assert_int_equal(a.request, request);
	if (m && m->send == get_base)
		assert_int_equal(a.p.state.num, 3);
	else if (a.request == SR_VU_GET_VRING_BASE)
		assert_int_equal(a.p.state.index, 0);
	else
		assert_int_equal(a.p.u64, 0);
}

static void messages_that_stop_rings_wait_for_requests_and_nobody_else_does(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < SR_ARRAY_LEN(stopping); i++) {
		const struct stopping *m = &stopping[i];
		unsigned done, running = m->goes_on ? 2 : m->all ? 0 : 1;

		occupy_two(r, m);
		m->send(r);
		rig_finish(r, 0, 1);
		rig_finish(r, 0, 0);
		a_while();
		assert_false(is_answered(r));
		assert_int_equal(rig_info(r).queues_started, 2); /* the control loop is free */
		assert_int_equal(r->d.slow[1].drains != 0, m->all);
		if (m->all) {
			rig_finish_all(r, 1);
			a_while();
			assert_false(is_answered(r));
		}
		rig_finish(r, 0, 0);
		expect_answer(r, 0, m);
		assert_int_equal(rig_info(r).queues_started, running);
		assert_int_equal(rig_collect(r, 0, &done), 3);
		assert_int_equal(done, 3);
		if (!m->all)
			rig_finish_all(r, 1);
		rig_hangup(r);
		r->d.slow[1].drains = 0;
	}
}

static void rings_that_go_on_take_new_requests(void **state)
{
	struct rig *r = *state;
	unsigned done;

	for (unsigned i = 0; i < SR_ARRAY_LEN(stopping); i++) {
		const struct stopping *m = &stopping[i];

		if (!m->goes_on)
			continue;
		occupy_two(r, m);
		m->send(r);
		a_while();
		/* Shown to a ring that drains: taken when it goes on, without a kick. */
		rig_add(r, 0, 100, 64);
		rig_publish(r, 0);
		a_while();
		assert_int_equal(r->d.slow[0].held, 3);
		rig_finish_all(r, 0);
		rig_finish_all(r, 1);
		expect_answer(r, 0, m);
		RIG_WAIT(r->d.slow[0].held == 1);
		rig_finish_all(r, 0);
		assert_int_equal(rig_collect(r, 0, &done), 4);
		rig_hangup(r);
	}
}

static void messages_that_stop_no_ring_are_answered_at_once(void **state)
{
	struct rig *r = *state;
	uint64_t zero = 0;
	unsigned done;

	rig_up(r);
	rig_start(r, 1, 0);
	rig_occupy(r, 0, 3);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 15), 0);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 15);
	assert_int_equal(rig_ask(r, SR_VU_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &zero, 8, &r->call[0], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ERR, &zero, 8, &r->err[0], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &zero, 8, &r->kick[0], 1), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(rig_get_base(r, 1), 0); /* another ring */
	assert_int_equal(r->d.slow[0].drains, 0);
	rig_finish_all(r, 0);
	assert_int_equal(rig_collect(r, 0, &done), 3);
	assert_int_equal(done, 3);
}

static void a_ring_without_a_call_fd_gets_its_first_without_a_pause(void **state)
{
	struct rig *r = *state;
	uint64_t zero = 0;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	rig_describe(r, 0, 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &zero, 8, &r->kick[0], 1), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_occupy(r, 0, 3);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &zero, 8, &r->call[0], 1), 0);
	rig_wait_event(r->call[0]);
	assert_int_equal(r->d.slow[0].drains, 0);
	sr_drvq_rearm(r->drv[0]);
	rig_finish_all(r, 0);
	rig_wait_event(r->call[0]);
}

static void messages_behind_a_parked_one_wait_in_the_socket_and_keep_their_order(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_occupy(r, 0, 2);
	get_base(r);
	rig_send(r, SR_VU_GET_STATUS, SR_VU_VERSION, NULL, 0, NULL, 0);
	reset_status(r);
	rig_send(r, SR_VU_GET_QUEUE_NUM, SR_VU_VERSION, NULL, 0, NULL, 0);
	a_while();
	assert_false(is_answered(r));
	rig_finish_all(r, 0);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t order[] = { SR_VU_GET_VRING_BASE, SR_VU_GET_STATUS,
						  SR_VU_SET_STATUS, SR_VU_GET_QUEUE_NUM };
		struct sr_vu_message m;

		assert_true(rig_receive(r, &m));
		assert_int_equal(m.request, order[i]);
	}
}

static void a_quiet_ring_is_told_of_when_the_control_loop_has_room_again(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_occupy(r, 0, 1);
	get_base(r);
	RIG_WAIT(r->d.slow[0].drains == 1);
	rig_hold_control(r);
	rig_fill_control(r);
	rig_finish_all(r, 0);
	usleep(5000);
	rig_release_control(r);
	expect_answer(r, SR_VU_GET_VRING_BASE, NULL);
}

/* ---- many ---- */

#define MANY 100

static void a_hundred_sessions_wait_beside_each_other(void **state)
{
	struct rig *r = *state, *last = rig_slow_beside(r), *many[MANY];
	struct rlimit fds;

	getrlimit(RLIMIT_NOFILE, &fds);
	fds.rlim_cur = fds.rlim_max;
	setrlimit(RLIMIT_NOFILE, &fds);
	for (unsigned i = 0; i < MANY; i++) {
		many[i] = rig_slow_beside(r);
		rig_up(many[i]);
		rig_occupy(many[i], 0, 2);
		stopping[i % SR_ARRAY_LEN(stopping)].send(many[i]);
	}
	rig_up(last);
	assert_int_equal(rig_get_base(last, 0), 0);
	rig_teardown((void **)&last);
	for (unsigned i = 0; i < MANY; i++) {
		struct rig *one = many[i * 37 % MANY];

		assert_int_equal(rig_info(one).state, SR_VHOST_USER_RUNNING);
		if (i % 3)
			rig_finish_all(one, 0);
		else
			shutdown(one->fd, SHUT_RDWR);
	}
	for (unsigned i = 0; i < MANY; i++) {
		rig_finish_all(many[i], 0);
		assert_int_equal(rig_teardown((void **)&many[i]), 0);
	}
	assert_int_equal(rig_count_fds(), r->fds);
	assert_int_equal(rig_count_maps(), 0);
}

/* ---- the limit ---- */

static void after_the_limit_requests_are_failed(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < SR_ARRAY_LEN(stopping); i++) {
		unsigned done;

		occupy_two(r, &stopping[i]);
		r->d.slow[0].abandoned = 0;
		if (!stopping[i].all)
			rig_finish_all(r, 1);
		stopping[i].send(r);
		expect_answer(r, 0, &stopping[i]);
		assert_int_equal(r->d.slow[0].abandoned, 1);
		assert_int_equal(rig_collect(r, 0, &done), 3);
		assert_int_equal(done, 0);
		rig_hangup(r);
	}
}

static void expect_refusal(struct rig *r)
{
	struct sr_vu_message m;

	if (rig_receive(r, &m))
		assert_int_not_equal(m.p.u64, 0);
}

static void requests_that_cannot_be_abandoned_end_the_session_but_keep_its_memory(void **state)
{
	struct rig *r = *state;

	set_abandon(r, false);
	for (unsigned i = 0; i < SR_ARRAY_LEN(stopping); i++) {
		unsigned done;
		char byte;

		if (stopping[i].send == remove_region)
			continue;
		occupy_two(r, &stopping[i]);
		rig_finish_all(r, 1);
		stopping[i].send(r);
		expect_refusal(r);
		assert_int_equal(recv(r->fd, &byte, 1, 0), 0);
		RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
		assert_int_equal(r->d.slow[0].held, 3);
		assert_int_not_equal(rig_count_maps(), 0);
		rig_finish(r, 0, 0);
		a_while();
		assert_int_equal(rig_info(r).state, SR_VHOST_USER_DRAINING);
		rig_finish_all(r, 0);
		assert_int_equal(rig_collect(r, 0, &done), 3);
		assert_int_equal(done, 3);
		rig_expect_closed(r, "can neither be finished");
	}
}

static void a_new_front_end_is_served_when_the_old_ones_requests_are_finished(void **state)
{
	struct rig *r = *state;
	uint32_t header[3] = { SR_VU_GET_FEATURES, SR_VU_VERSION, 0 }, reply[5];
	int other;

	set_abandon(r, false);
	rig_up(r);
	rig_occupy(r, 0, 3);
	close(r->fd);
	other = sr_unix_connect(r->path, NULL);
	assert_true(other >= 0);
	fcntl(other, F_SETFL, 0);
	assert_int_equal(send(other, header, 12, 0), 12);
	RIG_WAIT(r->d.slow[0].abandoned == 1);
	a_while();
	assert_false(rig_has_event(other));
	assert_int_equal(rig_info(r).state, SR_VHOST_USER_DRAINING);
	rig_finish_all(r, 0);
	assert_int_equal(recv(other, reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(rig_info(r).sessions, 2);
	r->fd = other;
}

/* ---- deaths ---- */

static void what_a_dead_guest_has_written_is_finished_before_the_next_session(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_occupy(r, 0, 3);
	close(r->fd);
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
	assert_int_equal(rig_info(r).queues_started, 1);
	rig_finish(r, 0, 2);
	a_while();
	assert_int_equal(rig_info(r).state, SR_VHOST_USER_DRAINING);
	rig_finish_all(r, 0);
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_WAITING);
	rig_up(r);
}

static void a_front_end_that_dies_while_parked_is_noticed_at_once(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < SR_ARRAY_LEN(stopping); i++) {
		occupy_two(r, &stopping[i]);
		stopping[i].send(r);
		RIG_WAIT(r->d.slow[0].drains > 0);
		close(r->fd);
		RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
		rig_finish_all(r, 0);
		rig_finish_all(r, 1);
		r->fd = open("/dev/null", O_RDONLY);
		rig_hangup(r);
		r->d.slow[0].drains = 0;
	}
}

static void a_front_end_that_dies_is_abandoned_after_the_limit(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_occupy(r, 0, 3);
	rig_hangup(r);
	assert_int_equal(r->d.slow[0].abandoned, 1);
}

static void a_malformed_message_ends_the_session_after_its_requests(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_occupy(r, 0, 2);
	rig_send(r, SR_VU_SET_VRING_NUM, SR_VU_VERSION, "abcd", 4, NULL, 0);
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
	assert_int_equal(r->d.slow[0].held, 2);
	rig_finish_all(r, 0);
	rig_expect_closed(r, "SET_VRING_NUM");
}

/* ---- broken rings ---- */

static void break_ring(struct rig *r)
{
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 30000;

	memcpy(r->mem + l.avail + 2, &nonsense, 2);
	eventfd_write(r->kick[0], 1);
	rig_wait_event(r->err[0]);
}

static void a_broken_ring_is_told_of_at_once_and_stopped_when_it_is_quiet(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_start(r, 1, 0);
	rig_occupy(r, 0, 3);
	break_ring(r);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS) & 0x40, 0x40);
	assert_int_equal(rig_info(r).queues_started, 2);
	assert_int_equal(rig_get_base(r, 1), 0);
	rig_finish_all(r, 0);
	RIG_WAIT(rig_info(r).queues_started == 0);
}

static void a_broken_ring_starts_again_when_its_requests_are_finished(void **state)
{
	struct rig *r = *state;
	uint64_t zero = 0;

	rig_up(r);
	rig_occupy(r, 0, 3);
	break_ring(r);
	send_acked(r, SR_VU_SET_VRING_KICK, &zero, 8, &r->kick[0], 1);
	a_while();
	assert_false(is_answered(r));
	rig_finish_all(r, 0);
	expect_answer(r, SR_VU_SET_VRING_KICK, NULL);
	rig_start(r, 0, 0);
	rig_occupy(r, 0, 3);
	rig_finish_all(r, 0);
}

static void a_ring_that_breaks_while_a_message_waits_does_not_lose_it(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 2; i++) {
		rig_up(r);
		rig_start(r, 1, 0);
		rig_occupy(r, 0, 2);
		rig_occupy(r, 1, 2);
		if (i)
			break_ring(r);
		reset_status(r);
		a_while();
		rig_finish_all(r, 0);
		a_while();
		assert_false(is_answered(r));
		rig_finish_all(r, 1);
		expect_answer(r, SR_VU_SET_STATUS, NULL);
		assert_int_equal(rig_info(r).queues_started, 0);
		rig_hangup(r);
	}
}

/* Whichever message it is that waits for its last requests, and however they end. */
static void a_broken_ring_stays_stopped_when_its_requests_are_abandoned(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t idx;

	rig_up(r);
	rig_occupy(r, 0, 3);
	memcpy(&idx, r->mem + l.avail + 2, 2);
	break_ring(r);
	memcpy(r->mem + l.avail + 2, &idx, 2);
	set_table(r);
	expect_answer(r, SR_VU_SET_MEM_TABLE, NULL);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_start(r, 0, 0);
	rig_occupy(r, 0, 3);
	rig_finish_all(r, 0);
}

/* ---- closing and destroying ---- */

struct counter {
	_Atomic unsigned n;
};

static void count(void *ctx)
{
	((struct counter *)ctx)->n++;
}

/* Ways to be when the end comes. */
static void be_waiting(struct rig *r)
{
	(void)r;
}

static void be_connected(struct rig *r)
{
	rig_connect(r);
}

static void be_idle(struct rig *r)
{
	rig_up(r);
}

static void be_busy(struct rig *r)
{
	rig_up(r);
	rig_occupy(r, 0, 3);
}

static void be_parked(struct rig *r)
{
	be_busy(r);
	get_base(r);
	RIG_WAIT(r->d.slow[0].drains > 0);
}

static void be_draining(struct rig *r)
{
	be_parked(r);
	shutdown(r->fd, SHUT_RDWR);
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_DRAINING);
}

static void be_broken(struct rig *r)
{
	be_busy(r);
	break_ring(r);
}

static void (*const ways[])(struct rig *r) = { be_waiting, be_connected, be_idle,  be_busy,
					       be_parked,  be_draining,	 be_broken };

static void gone(struct rig *r)
{
	char byte;

	if (r->fd >= 0) {
		while (recv(r->fd, &byte, 1, 0) > 0)
			;
		close(r->fd);
	}
	r->fd = -1;
	for (unsigned q = 0; q < RIG_QUEUES; q++)
		assert_int_equal(r->d.started[q], r->d.stopped[q]);
}

static void closing_ends_in_the_background_whatever_the_state(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < SR_ARRAY_LEN(ways); i++) {
		struct rig *one = rig_slow_beside(r);
		struct counter done = { 0 };

		ways[i](one);
		rig_close(one, count, &done);
		assert_int_not_equal(access(one->path, F_OK), 0);
		if (one->d.slow[0].held) {
			a_while();
			assert_int_equal(done.n, 0);
			assert_int_equal(rig_info(one).state, SR_VHOST_USER_DRAINING);
			rig_finish_all(one, 0);
		}
		RIG_WAIT(done.n);
		a_while();
		assert_int_equal(done.n, 1);
		gone(one);
		rig_destroy(one);
		assert_int_equal(rig_teardown((void **)&one), 0);
		assert_int_equal(rig_count_fds(), r->fds);
	}
}

struct own_end {
	struct rig *r;
	struct counter done;
};

static void destroy_and_count(void *ctx)
{
	struct own_end *e = ctx;

	rig_destroy(e->r);
	count(&e->done);
}

static void a_back_end_may_be_destroyed_by_its_own_end(void **state)
{
	struct own_end e = { .r = rig_slow_beside(*state) };

	be_busy(e.r);
	rig_close(e.r, destroy_and_count, &e);
	rig_finish_all(e.r, 0);
	RIG_WAIT(e.done.n);
	gone(e.r);
	assert_int_equal(rig_teardown((void **)&e.r), 0);
}

static void destroying_abandons_at_once_whatever_the_state(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 2 * SR_ARRAY_LEN(ways); i++) {
		struct rig *one = rig_slow_beside(r);
		struct counter done = { 0 };

		ways[i / 2](one);
		if (i % 2)
			rig_close(one, count, &done);
		rig_destroy(one);
		gone(one);
		assert_int_equal(rig_teardown((void **)&one), 0);
		assert_int_equal(rig_count_fds(), r->fds);
	}
}

static void *finish_later(void *ctx)
{
	struct rig *r = ctx;

	while (!r->d.slow[0].abandoned)
		usleep(1000);
	a_while();
	rig_finish_all(r, 0);
	return NULL;
}

static void destroying_waits_for_what_cannot_be_abandoned(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < SR_ARRAY_LEN(ways); i++) {
		struct rig *one = rig_slow_beside(r);
		pthread_t t;

		set_abandon(one, false);
		ways[i](one);
		if (one->d.slow[0].held)
			assert_int_equal(pthread_create(&t, NULL, finish_later, one), 0);
		else
			t = 0;
		rig_destroy(one);
		assert_int_equal(one->d.slow[0].held, 0);
		if (t)
			pthread_join(t, NULL);
		gone(one);
		assert_int_equal(rig_teardown((void **)&one), 0);
	}
}

#define SLOW(name)  cmocka_unit_test_setup_teardown(name, rig_setup_slow, rig_teardown)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, rig_setup_hasty, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SLOW(messages_that_stop_rings_wait_for_requests_and_nobody_else_does),
		SLOW(rings_that_go_on_take_new_requests),
		SLOW(messages_that_stop_no_ring_are_answered_at_once),
		SLOW(a_ring_without_a_call_fd_gets_its_first_without_a_pause),
		SLOW(messages_behind_a_parked_one_wait_in_the_socket_and_keep_their_order),
		SLOW(a_quiet_ring_is_told_of_when_the_control_loop_has_room_again),
		SLOW(a_hundred_sessions_wait_beside_each_other),
		HASTY(after_the_limit_requests_are_failed),
		HASTY(requests_that_cannot_be_abandoned_end_the_session_but_keep_its_memory),
		HASTY(a_new_front_end_is_served_when_the_old_ones_requests_are_finished),
		SLOW(what_a_dead_guest_has_written_is_finished_before_the_next_session),
		SLOW(a_front_end_that_dies_while_parked_is_noticed_at_once),
		HASTY(a_front_end_that_dies_is_abandoned_after_the_limit),
		SLOW(a_malformed_message_ends_the_session_after_its_requests),
		SLOW(a_broken_ring_is_told_of_at_once_and_stopped_when_it_is_quiet),
		SLOW(a_broken_ring_starts_again_when_its_requests_are_finished),
		SLOW(a_ring_that_breaks_while_a_message_waits_does_not_lose_it),
		HASTY(a_broken_ring_stays_stopped_when_its_requests_are_abandoned),
		SLOW(closing_ends_in_the_background_whatever_the_state),
		SLOW(a_back_end_may_be_destroyed_by_its_own_end),
		SLOW(destroying_abandons_at_once_whatever_the_state),
		SLOW(destroying_waits_for_what_cannot_be_abandoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
