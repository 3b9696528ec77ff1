/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end gets that keeps to the protocol. */
#include "vu_rig.h"

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void features_are_offered_as_the_device_has_them(void **state)
{
	struct rig *r = *state;
	uint64_t p;

	rig_connect(r);
	assert_int_equal(rig_get(r, SR_VU_GET_FEATURES),
			 RIG_FEATURES | SR_F_PROTOCOL_FEATURES | SR_F_LOG_ALL);
	p = rig_get(r, SR_VU_GET_PROTOCOL_FEATURES);
	assert_int_equal(p, SR_BIT(SR_VU_P_MQ) | SR_BIT(SR_VU_P_LOG_SHMFD) | SR_BIT(SR_VU_P_RARP) |
				    SR_BIT(SR_VU_P_REPLY_ACK) | SR_BIT(SR_VU_P_MTU) |
				    SR_BIT(SR_VU_P_BACKEND_REQ) | SR_BIT(SR_VU_P_CONFIG) |
				    SR_BIT(SR_VU_P_RESET_DEVICE) |
				    SR_BIT(SR_VU_P_CONFIGURE_MEM_SLOTS) | SR_BIT(SR_VU_P_STATUS));
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_PROTOCOL_FEATURES, p), 0);
	assert_int_equal(rig_get(r, SR_VU_GET_QUEUE_NUM), RIG_QUEUES);
	assert_int_equal(rig_get(r, SR_VU_GET_MAX_MEM_SLOTS), 509);
}

static void features_never_offered_end_the_session_and_are_named(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_SET_FEATURES, SR_F_VERSION_1 | SR_F_RING_PACKED),
			     0);
	rig_expect_closed(r, "SET_FEATURES: feature bits 0x400000000 (RING_PACKED) not offered");
	rig_connect(r);
	rig_ask_u64(r, SR_VU_SET_PROTOCOL_FEATURES, SR_BIT(SR_VU_P_INBAND_NOTIFICATIONS) | 1);
	rig_expect_closed(r, "(INBAND_NOTIFICATIONS) not offered");
}

static void chains_come_back_echoed_from_every_ring(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	for (unsigned q = 1; q < RIG_QUEUES; q++)
		rig_start(r, q, 0);
	for (unsigned i = 0; i < 50; i++)
		for (unsigned q = 0; q < RIG_QUEUES; q++)
			rig_echo(r, q, 1 + i % 64, true);
	assert_int_equal(rig_info(r).queues_started, RIG_QUEUES);
	assert_int_equal(rig_info(r).state, SR_VHOST_USER_RUNNING);
	assert_int_equal(r->d.features, SR_F_VERSION_1);
}

static void one_session_after_the_other_is_served(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 20; i++) {
		rig_up(r);
		rig_echo(r, 0, 64, true);
		rig_hangup(r);
		assert_int_equal(r->d.resets, i + 1);
		assert_int_equal(rig_info(r).sessions, i + 1);
		assert_string_equal(rig_info(r).last_error, "");
	}
}

static void a_ring_is_looked_at_when_it_starts_without_a_kick(void **state)
{
	struct rig *r = *state;
	struct sr_used u;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	rig_describe(r, 0, 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_add(r, 0, 0, 16);
	sr_drvq_publish(r->drv[0]);
	rig_kick_on(r, 0);
	RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
	assert_int_equal(u.len, 16);
}

static void a_ring_without_a_kick_fd_is_polled(void **state)
{
	struct rig *r = *state;
	uint64_t no_fd = SR_VU_NO_FD;
	struct sr_used u;

	rig_up(r);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &no_fd, 8, NULL, 0), 0);
	for (unsigned i = 0; i < 10; i++) {
		rig_add(r, 0, i, 16);
		sr_drvq_publish(r->drv[0]);
		RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
	}
	rig_get_base(r, 0);
}

static void a_ring_stops_at_its_exact_base_and_is_silent_after(void **state)
{
	struct rig *r = *state;
	struct sr_used u;

	rig_up(r);
	rig_echo(r, 0, 37, true);
	while (rig_has_event(r->call[0]))
		rig_wait_event(r->call[0]);
	assert_int_equal(rig_get_base(r, 0), 37);
	assert_int_equal(rig_get_base(r, 0), 37);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_add(r, 0, 0, 16);
	rig_publish(r, 0);
	eventfd_write(r->kick[0], 1);
	usleep(20000);
	assert_int_equal(sr_drvq_get(r->drv[0], &u, 1), 0);
	assert_false(rig_has_event(r->call[0]));
	/* It goes on where it was, call fd and enable as they were. */
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &(uint64_t){ 0 }, 8, &r->kick[0], 1), 0);
	RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
	assert_int_equal(u.len, 16);
}

static void a_ring_goes_on_over_index_65535(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	sr_drvq_destroy(r->drv[0]);
	r->drv[0] = NULL;
	rig_start(r, 0, 65535);
	rig_echo(r, 0, 1, true);
	assert_int_equal(rig_get_base(r, 0), 0);
	rig_kick_on(r, 0);
	rig_echo(r, 0, 100, true);
	assert_int_equal(rig_get_base(r, 0), 100);
}

static void a_disabled_ring_gives_chains_back_without_effect(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_echo(r, 0, 5, true);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 0), 0);
	rig_echo(r, 0, 5, false);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_echo(r, 0, 5, true);
	assert_int_equal(rig_ask(r, SR_VU_RESET_OWNER, NULL, 0, NULL, 0), 0);
	rig_echo(r, 0, 5, false);
}

static void enable_is_kept_while_a_ring_is_stopped(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	assert_int_equal(rig_get_base(r, 0), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 0), 0);
	rig_kick_on(r, 0);
	rig_echo(r, 0, 5, false);
	assert_int_equal(rig_get_base(r, 0), 5);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_kick_on(r, 0);
	rig_echo(r, 0, 5, true);
}

static void without_bit_30_all_rings_are_enabled(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_FEATURES, SR_F_VERSION_1), 0);
	rig_share(r);
	rig_describe(r, 1, 0);
	rig_kick_on(r, 1);
	rig_echo(r, 1, 10, true);
}

static void new_features_on_running_rings_start_them_anew(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_echo(r, 0, 7, true);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_FEATURES,
				     SR_F_VERSION_1 | SR_BIT(5) | SR_F_PROTOCOL_FEATURES),
			 0);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 7, true);
	assert_int_equal(r->d.features, SR_F_VERSION_1 | SR_BIT(5));
}

static void a_ring_may_be_set_up_again_without_being_stopped(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_echo(r, 0, 7, true);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 0), 0);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 7, true);
	assert_int_equal(rig_get_base(r, 0), 7);
}

static void the_kick_may_come_before_the_rest(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_kick_on(r, 0);
	rig_describe(r, 0, 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_share(r);
	assert_int_equal(rig_info(r).queues_started, 1);
	rig_echo(r, 0, 3, true);
}

static void the_call_fd_may_be_a_socket(void **state)
{
	struct rig *r = *state;
	int sv[2], saved = r->call[0];

	rig_up(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &sv[1], 1), 0);
	r->call[0] = sv[0];
	rig_wait_event(sv[0]); /* the one after the change */
	for (unsigned i = 0; i < 20; i++)
		rig_echo(r, 0, 10, true);
	/* A peer that does not read, then one that has hung up, is nobody's trouble. */
	close(sv[1]);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, i % 2), 0);
	close(sv[0]);
	r->call[0] = saved;
	rig_add(r, 0, 0, 16);
	rig_publish(r, 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &r->call[0], 1), 0);
	rig_wait_event(r->call[0]);
}

static void a_new_call_fd_is_called_once_at_once(void **state)
{
	struct rig *r = *state;
	int other = eventfd(0, EFD_NONBLOCK);

	rig_up(r);
	rig_echo(r, 0, 3, true);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &other, 1), 0);
	assert_true(rig_has_event(other));
	assert_int_equal(r->d.stopped[0], 0); /* the ring was not held up */
	close(other);
	assert_int_equal(rig_get_base(r, 0), 3);
	other = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &other, 1), 0);
	assert_false(rig_has_event(other)); /* stopped rings are silent */
	close(other);
}

/* A back-end that died may have shown buffers and not called. */
static void a_ring_that_goes_on_calls_for_its_predecessor(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	assert_false(rig_has_event(r->call[0])); /* a fresh ring has none */
	rig_echo(r, 0, 3, true);
	assert_int_equal(rig_get_base(r, 0), 3);
	while (rig_has_event(r->call[0]))
		rig_wait_event(r->call[0]);
	rig_kick_on(r, 0);
	RIG_WAIT(rig_has_event(r->call[0]));
}

static void a_broken_ring_is_stopped_and_the_others_go_on(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 20000;

	rig_up(r);
	rig_start(r, 1, 0);
	memcpy(r->mem + l.avail + 2, &nonsense, 2);
	eventfd_write(r->kick[0], 1);
	rig_wait_event(r->err[0]);
	RIG_WAIT(rig_info(r).queues_started == 1);
	rig_echo(r, 1, 30, true);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS) & 0x40, 0x40);
	assert_int_equal(rig_get_base(r, 0), 0);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 30, true);
}

static void a_broken_ring_is_told_of_when_the_control_loop_has_room_again(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 20000;

	rig_up(r);
	rig_hold_control(r);
	rig_fill_control(r);
	memcpy(r->mem + l.avail + 2, &nonsense, 2);
	eventfd_write(r->kick[0], 1);
	RIG_WAIT(r->d.broken[0] == 1);
	rig_release_control(r);
	rig_wait_event(r->err[0]);
	RIG_WAIT(rig_info(r).queues_started == 0);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 30, true);
}

/* Full and blocking, as a front-end can make an eventfd at any time: a write to it sleeps. */
static void fill(int fd)
{
	uint64_t v;

	if (rig_has_event(fd))
		assert_int_equal(read(fd, &v, 8), 8);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void a_full_call_eventfd_that_blocks_holds_up_nobody(void **state)
{
	struct rig *r = *state;
	struct sr_used u;
	uint64_t v;

	rig_up(r);
	for (unsigned q = 1; q < RIG_QUEUES; q++)
		rig_start(r, q, 0);
	fill(r->call[0]);
	for (unsigned i = 0; i < 100; i++) {
		assert_false(sr_drvq_rearm(r->drv[0])); /* wants to be called */
		rig_add(r, 0, 0, 16);
		rig_publish(r, 0);
		RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
		for (unsigned q = 1; q < RIG_QUEUES; q++)
			rig_echo(r, q, 3, true);
	}
	assert_int_equal(rig_get_base(r, 0), 100);
	/* Called it was: what no write can reach. */
	assert_int_equal(read(r->call[0], &v, 8), 8);
	assert_true(v == UINT64_MAX);
}

static void a_full_error_eventfd_that_blocks_holds_up_nobody(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 20000;

	rig_up(r);
	rig_start(r, 1, 0);
	fill(r->err[0]);
	memcpy(r->mem + l.avail + 2, &nonsense, 2);
	eventfd_write(r->kick[0], 1);
	RIG_WAIT(rig_info(r).queues_started == 1);
	assert_int_equal(rig_get_base(r, 1), 0);
}

static struct {
	struct rig *r;
	unsigned handled, when_others_came;
} slow;

static void others_come(void *ctx)
{
	(void)ctx;
	slow.when_others_came = slow.handled;
}

static void handle_slowly(struct rig_device *d)
{
	(void)d;
	if (slow.handled++ == 0)
		sr_loop_post(slow.r->control, others_come, NULL);
	usleep(3000);
}

static void messages_that_take_long_do_not_hold_up_others(void **state)
{
	struct rig *r = *state;
	uint64_t mtu = 1500;

	memset(&slow, 0, sizeof(slow));
	slow.r = r;
	r->d.on_mtu = handle_slowly;
	rig_up(r);
	rig_hold_control(r);
	for (unsigned i = 0; i < 20; i++)
		rig_send(r, SR_VU_NET_SET_MTU, SR_VU_VERSION, &mtu, 8, NULL, 0);
	rig_release_control(r);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 0); /* they are all handled */
	assert_int_equal(slow.handled, 20);
	/* Their turn comes after the round at hand, or the next one when they just missed it. */
	assert_in_range(slow.when_others_came, 1, 4);
}

static void status_is_kept_and_zero_resets_the_device(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 0);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 0xf), 0);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 0xf);
	assert_int_equal(r->d.resets, 0);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 0), 0);
	assert_int_equal(rig_get(r, SR_VU_GET_STATUS), 0);
	assert_int_equal(r->d.resets, 1);
	assert_int_equal(rig_info(r).queues_started, 0);
}

static void after_a_device_reset_rings_are_off_and_memory_is_kept(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	rig_echo(r, 0, 3, true);
	assert_int_equal(rig_ask(r, SR_VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(r->d.resets, 1);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_describe(r, 0, 0);
	rig_kick_on(r, 0);
	rig_echo(r, 0, 3, false);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_echo(r, 0, 3, true);
}

static void mtu_and_announcement_reach_the_device(void **state)
{
	struct rig *r = *state;
	uint8_t mac[8] = { 2, 1, 2, 3, 4, 5, 0, 0 };

	rig_up(r);
	assert_int_equal(rig_ask_u64(r, SR_VU_NET_SET_MTU, 9000), 0);
	assert_int_equal(r->d.mtu, 9000);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_NET_SET_MTU, 67), 0);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_NET_SET_MTU, 65536 + 1500), 0);
	assert_int_equal(r->d.mtu, 9000);
	assert_int_equal(rig_ask(r, SR_VU_SEND_RARP, mac, 8, NULL, 0), 0);
	assert_memory_equal(r->d.mac, mac, 6);
	rig_echo(r, 0, 3, true);
}

static uint64_t set_config(struct rig *r, uint32_t offset, uint32_t size, const char *text)
{
	struct sr_vu_config c = { .offset = offset, .size = size };

	memcpy(c.bytes, text, size);
	return rig_ask(r, SR_VU_SET_CONFIG, &c, SR_VU_CONFIG_HEADER + size, NULL, 0);
}

static void get_config(struct rig *r, uint32_t offset, uint32_t size, struct sr_vu_message *m)
{
	struct sr_vu_config c = { .offset = offset, .size = size };

	rig_send(r, SR_VU_GET_CONFIG, SR_VU_VERSION | SR_VU_NEED_REPLY, &c,
		 SR_VU_CONFIG_HEADER + size, NULL, 0);
	assert_true(rig_receive(r, m));
	assert_int_equal(m->flags, SR_VU_REPLY_FLAGS);
}

static void the_configuration_space_is_read_and_written_inside_its_size(void **state)
{
	struct rig *r = *state;
	struct sr_vu_message m;

	rig_up(r);
	memcpy(r->d.config, "0123456789abcdef", RIG_CONFIG);
	get_config(r, 4, 8, &m);
	assert_int_equal(m.size, SR_VU_CONFIG_HEADER + 8);
	assert_memory_equal(m.p.config.bytes, "456789ab", 8);
	get_config(r, 0, RIG_CONFIG, &m);
	assert_int_equal(m.size, SR_VU_CONFIG_HEADER + RIG_CONFIG);
	/* Outside: a reply without payload. */
	get_config(r, 15, 2, &m);
	assert_int_equal(m.size, 0);
	get_config(r, UINT32_MAX, 1, &m);
	assert_int_equal(m.size, 0);
	get_config(r, UINT32_MAX - 3, 8, &m);
	assert_int_equal(m.size, 0);
	assert_int_equal(set_config(r, 2, 2, "xy"), 0);
	assert_memory_equal(r->d.config, "01xy", 4);
	assert_int_not_equal(set_config(r, 8, 2, "xy"), 0);
	assert_int_not_equal(set_config(r, UINT32_MAX, 2, "xy"), 0);
	assert_memory_equal(r->d.config + 8, "89", 2);
	rig_echo(r, 0, 3, true);
}

static void change_config(void *ctx)
{
	sr_device_config_changed(&((struct rig *)ctx)->d.device);
}

static void expect_config_change(int fd)
{
	uint32_t header[3];
	struct timeval patience = { .tv_sec = 10 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(fd, header, sizeof(header), 0), sizeof(header));
	assert_int_equal(header[0], SR_VU_BACK_CONFIG_CHANGE);
	assert_int_equal(header[1], SR_VU_VERSION);
	assert_int_equal(header[2], 0);
}

static void config_changes_are_told_through_the_latest_channel(void **state)
{
	struct rig *r = *state;
	int a[2], b[2];

	rig_up(r);
	sr_loop_call(r->control, change_config, r); /* nobody to tell */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_BACKEND_REQ_FD, NULL, 0, &a[1], 1), 0);
	close(a[1]);
	sr_loop_call(r->control, change_config, r);
	expect_config_change(a[0]);
	assert_int_equal(rig_ask(r, SR_VU_SET_BACKEND_REQ_FD, NULL, 0, &b[1], 1), 0);
	close(b[1]);
	assert_int_equal(recv(a[0], a, 1, 0), 0); /* the first is closed */
	close(a[0]);
	/* Stopped devices send nothing; it is told at the next start. */
	rig_get_base(r, 0);
	sr_loop_call(r->control, change_config, r);
	assert_false(rig_has_event(b[0]));
	rig_kick_on(r, 0);
	expect_config_change(b[0]);
	/* A channel that nobody reads, or that is gone, holds up nothing. */
	for (unsigned i = 0; i < 3000; i++)
		sr_loop_call(r->control, change_config, r);
	close(b[0]);
	sr_loop_call(r->control, change_config, r);
	sr_loop_call(r->control, change_config, r);
	rig_echo(r, 0, 3, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_are_offered_as_the_device_has_them),
		TEST(features_never_offered_end_the_session_and_are_named),
		TEST(chains_come_back_echoed_from_every_ring),
		TEST(one_session_after_the_other_is_served),
		TEST(a_ring_is_looked_at_when_it_starts_without_a_kick),
		TEST(a_ring_without_a_kick_fd_is_polled),
		TEST(a_ring_stops_at_its_exact_base_and_is_silent_after),
		TEST(a_ring_goes_on_over_index_65535),
		TEST(a_disabled_ring_gives_chains_back_without_effect),
		TEST(enable_is_kept_while_a_ring_is_stopped),
		TEST(without_bit_30_all_rings_are_enabled),
		TEST(new_features_on_running_rings_start_them_anew),
		TEST(a_ring_may_be_set_up_again_without_being_stopped),
		TEST(the_kick_may_come_before_the_rest),
		TEST(the_call_fd_may_be_a_socket),
		TEST(a_new_call_fd_is_called_once_at_once),
		TEST(a_ring_that_goes_on_calls_for_its_predecessor),
		TEST(a_broken_ring_is_stopped_and_the_others_go_on),
		TEST(a_broken_ring_is_told_of_when_the_control_loop_has_room_again),
		TEST(a_full_call_eventfd_that_blocks_holds_up_nobody),
		TEST(a_full_error_eventfd_that_blocks_holds_up_nobody),
		TEST(messages_that_take_long_do_not_hold_up_others),
		TEST(status_is_kept_and_zero_resets_the_device),
		TEST(after_a_device_reset_rings_are_off_and_memory_is_kept),
		TEST(mtu_and_announcement_reach_the_device),
		TEST(the_configuration_space_is_read_and_written_inside_its_size),
		TEST(config_changes_are_told_through_the_latest_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
