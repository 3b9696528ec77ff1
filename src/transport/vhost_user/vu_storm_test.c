/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and deaths while traffic flows on other threads. Worth most under a thread or
 * address sanitizer. */
#include "vu_slow.h"

#include "channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* A guest: keeps ring q full and kicks, until told to stop or the ring stands still. */
struct guest {
	struct rig *r;
	unsigned q;
	_Atomic bool stop;
	_Atomic uint64_t done;
	pthread_t thread;
};

static void *guest_main(void *ctx)
{
	struct guest *g = ctx;
	struct sr_used u[32];
	unsigned slot = 0, out = 0;

	while (!g->stop) {
		int n = sr_drvq_get(g->r->drv[g->q], u, 32);

		if (n < 0) {
			print_error("ring %u: %s\n", g->q, sr_drvq_error(g->r->drv[g->q]));
			abort();
		}
		out -= (unsigned)n;
		g->done += (unsigned)n;
		for (; out < 64; out++)
			rig_add(g->r, g->q, slot++ % 128, 32);
		rig_publish(g->r, g->q);
	}
	return NULL;
}

static void guest_begin(struct guest *g, struct rig *r, unsigned q)
{
	*g = (struct guest){ .r = r, .q = q };
	assert_int_equal(pthread_create(&g->thread, NULL, guest_main, g), 0);
}

static void guest_end(struct guest *g)
{
	g->stop = true;
	pthread_join(g->thread, NULL);
}

static void expect_progress(struct guest *g)
{
	uint64_t before = g->done;

	RIG_WAIT(g->done > before + 64);
}

static void memory_changes(struct rig *r)
{
	struct sr_vu_mem_table t = rig_table();
	struct sr_vu_mem_reg m = { .region = { .gpa = RIG_GPA + 2 * RIG_MEM,
					       .uva = RIG_UVA + 2 * RIG_MEM,
					       .size = 4096 } };

	assert_int_equal(rig_ask(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), &r->memfd, 1),
			 0);
	assert_int_equal(rig_ask(r, SR_VU_ADD_MEM_REG, &m, sizeof(m), &r->memfd, 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_REM_MEM_REG, &m, sizeof(m), NULL, 0), 0);
}

static void ring_changes(struct rig *r, unsigned q)
{
	uint64_t v = q;
	struct sr_vu_addr a = rig_addr(q, 0);

	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &v, 8, &r->call[q], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ERR, &v, 8, &r->err[q], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &v, 8, &r->kick[q], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, q, 0), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, q, 1), 0);
	rig_get_base(r, q);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &v, 8, &r->kick[q], 1), 0);
}

static void messages_under_load_lose_no_chain(void **state)
{
	struct rig *r = *state;
	struct guest g[2];

	rig_up(r);
	rig_start(r, 1, 0);
	guest_begin(&g[0], r, 0);
	guest_begin(&g[1], r, 1);
	for (unsigned i = 0; i < 100; i++) {
		memory_changes(r);
		ring_changes(r, i % 2);
		if (i % 20 == 0) {
			expect_progress(&g[0]);
			expect_progress(&g[1]);
		}
	}
	expect_progress(&g[0]);
	expect_progress(&g[1]);
	guest_end(&g[0]);
	guest_end(&g[1]);
	assert_int_equal(rig_info(r).queues_started, 2);
}

static void a_front_end_that_dies_in_full_traffic_leaves_nothing(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 50; i++) {
		struct guest g[2];

		rig_up(r);
		rig_start(r, 1, 0);
		guest_begin(&g[0], r, 0);
		guest_begin(&g[1], r, 1);
		if (i % 2)
			expect_progress(&g[0]);
		rig_hangup(r); /* the rings are still being written to */
		guest_end(&g[0]);
		guest_end(&g[1]);
	}
}

/* Breaks the ring over and over while the control loop is busy with it: reports of it arrive when
 * the ring is stopped, started again, or its session over. */
static void a_ring_that_breaks_again_and_again_is_stopped_each_time(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 30000;

	for (unsigned i = 0; i < 200; i++) {
		rig_up(r);
		memcpy(r->mem + l.avail + 2, &nonsense, 2);
		eventfd_write(r->kick[0], 1);
		if (i % 3 == 0)
			rig_wait_event(r->err[0]);
		if (i % 3 == 1)
			rig_start(r, 0, 0);
		if (i % 3 == 1)
			RIG_WAIT(rig_info(r).queues_started == 1);
		rig_hangup(r);
	}
}

/* In the middle of messages that look whether it is sound. */
static void a_ring_that_breaks_while_it_is_kicked_on_harms_nobody(void **state)
{
	struct rig *r = *state;
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint16_t nonsense = 30000;
	uint64_t v = 0;

	for (unsigned i = 0; i < 100; i++) {
		rig_up(r);
		for (unsigned n = 0; n < 16; n++)
			rig_add(r, 0, n, 32);
		rig_publish(r, 0);
		for (unsigned n = 0; n < 32; n++) {
			rig_send(r, SR_VU_SET_VRING_KICK, SR_VU_VERSION, &v, 8, &r->kick[0], 1);
			if (n == 16)
				memcpy(r->mem + l.avail + 2, &nonsense, 2);
			if (n >= 16)
				eventfd_write(r->kick[0], 1);
		}
		assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &v, 8, &r->kick[0], 1), 0);
		rig_hangup(r);
	}
}

/* One thread rewrites the rings with anything while they are worked on. */
static void *scribble(void *ctx)
{
	struct guest *g = ctx;
	unsigned seed = 7;

	while (!g->stop) {
		size_t at = (size_t)rand_r(&seed) % (2 * RIG_RING_STRIDE);

		__atomic_store_n(g->r->mem + at, (uint8_t)rand_r(&seed), __ATOMIC_RELAXED);
		if (at % 64 == 0)
			eventfd_write(g->r->kick[at / 64 % 2], 1);
	}
	return NULL;
}

static void scribbled_rings_end_or_go_on_but_harm_nobody(void **state)
{
	struct rig *r = *state;
	struct guest g = { .r = r };

	rig_up(r);
	assert_int_equal(pthread_create(&g.thread, NULL, scribble, &g), 0);
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned q = 0; q < 2; q++) {
			uint64_t v = q;
			struct sr_vu_addr a = rig_addr(q, 0);

			assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, q, RIG_RING), 0);
			assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_BASE, q, 0), 0);
			assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0),
					 0);
			assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &v, 8, &r->kick[q], 1),
					 0);
			assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, q, 1), 0);
		}
	}
	g.stop = true;
	pthread_join(g.thread, NULL);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 20, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
/* Over a device whose requests take time. */
#define LATE(name)                                                       \
	{                                                                \
#name ", late", name, rig_setup_auto, rig_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_under_load_lose_no_chain),
		TEST(a_front_end_that_dies_in_full_traffic_leaves_nothing),
		TEST(a_ring_that_breaks_again_and_again_is_stopped_each_time),
		TEST(a_ring_that_breaks_while_it_is_kicked_on_harms_nobody),
		TEST(scribbled_rings_end_or_go_on_but_harm_nobody),
		LATE(messages_under_load_lose_no_chain),
		LATE(a_front_end_that_dies_in_full_traffic_leaves_nothing),
		LATE(a_ring_that_breaks_again_and_again_is_stopped_each_time),
		LATE(a_ring_that_breaks_while_it_is_kicked_on_harms_nobody),
		LATE(scribbled_rings_end_or_go_on_but_harm_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
