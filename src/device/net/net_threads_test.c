/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that send to one device while its queues start, stop and change: for the thread
 * sanitizer, and for frames that must not be lost, doubled or mixed up. */
#include "net_rig.h"

#include <pthread.h>
#include <sched.h>

#define SENDERS 2u
#define FRAMES	20000u
#define LEN	200u

static const struct sr_net_config config = { .name = "p", .pairs = 2 };

struct sender {
	struct rig *r;
	pthread_t thread;
	unsigned lane;
	_Atomic bool *stop; /* NULL: until all frames are taken */
	uint64_t taken;
};

/* Byte 0 names the sender, bytes 1 to 4 count its frames, the rest follows from them. */
static void stamp(uint8_t *bytes, unsigned lane, uint32_t number)
{
	memset(bytes, (int)(number * 3 + lane), LEN);
	bytes[0] = (uint8_t)lane;
	sr_put_be32(bytes + 1, number);
}

static void *sender_run(void *ctx)
{
	struct sender *s = ctx;
	static _Thread_local uint8_t bytes[32][LEN];
	struct iovec iov[32];
	struct sr_frame f[32];
	const struct sr_frame *p[32];

	while (s->stop ? !atomic_load(s->stop) : s->taken < FRAMES) {
		unsigned n = (unsigned)sr_min(32, FRAMES - s->taken % FRAMES), taken;

		for (unsigned i = 0; i < n; i++) {
			stamp(bytes[i], s->lane, (uint32_t)s->taken + i);
			rig_frame(&f[i], bytes[i], LEN, &iov[i], 1, 0);
			p[i] = &f[i];
		}
		taken = sr_port_send(s->r->port, p, n, s->lane);
		s->taken += taken;
		if (taken < n)
			sched_yield();
	}
	return NULL;
}

static void senders_start(struct sender *s, struct rig *r, _Atomic bool *stop)
{
	for (unsigned i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ .r = r, .lane = i * 2, .stop = stop };
		assert_int_equal(pthread_create(&s[i].thread, NULL, sender_run, &s[i]), 0);
	}
}

static void senders_join(struct sender *s)
{
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(s[i].thread, NULL);
}

static void check_frame(struct rig *r, const struct sr_used *u, uint32_t *next)
{
	uint8_t got[12 + LEN], expected[LEN];
	unsigned lane;

	assert_int_equal(u->len, sizeof(got));
	rig_rx_read(r, u->token, got, sizeof(got));
	lane = got[12];
	assert_true(lane <= 2);
	stamp(expected, lane, next[lane]++);
	assert_memory_equal(got + 12, expected, LEN);
}

static void two_senders_share_a_queue_without_loss_or_disorder(void **state)
{
	static struct rig_buffer b[128];
	uint32_t len = 512, next[3] = { 0 };
	struct rig *r = rig_create(&config);
	struct sender s[SENDERS];
	struct sr_used u[64];

	(void)state;
	r->dev->ops->features_set(r->dev, RIG_MODERN | SR_NET_F_MRG_RXBUF);
	rig_start(r, 0, 128);
	for (unsigned i = 0; i < 128; i++)
		rig_rx_add(r, 0, &b[i], &len, 1);
	senders_start(s, r, NULL);
	for (uint32_t total = 0; total < SENDERS * FRAMES;) {
		unsigned n = rig_used(r, 0, u, 64);

		for (unsigned i = 0; i < n; i++) {
			struct rig_buffer *back = u[i].token;

			check_frame(r, &u[i], next);
			sr_drvq_add(r->q[0].drv, NULL, 0, back->sg, back->n, back);
		}
		sr_drvq_publish(r->q[0].drv);
		total += n;
		if (!n)
			sched_yield();
	}
	senders_join(s);
	assert_int_equal(atomic_load(&r->port->counters.rx_frames), SENDERS * FRAMES);
	assert_int_equal(atomic_load(&r->port->counters.rx_dropped), 0);
	rig_destroy(r);
}

/* Guest and front-end in one: buffers, enable, stop and start, pair by pair. */
static void queues_change_under_load(void **state)
{
	static struct rig_buffer b[64];
	uint32_t len = 512;
	struct rig *r = rig_create(&config);
	_Atomic bool stop = false;
	struct sender s[SENDERS];
	uint64_t taken = 0;

	(void)state;
	r->dev->ops->features_set(r->dev, RIG_MODERN | SR_NET_F_MRG_RXBUF);
	senders_start(s, r, &stop);
	for (unsigned round = 0; round < 100; round++) {
		unsigned queue = round % 3 ? 0 : 2;

		rig_start(r, queue, 64);
		for (unsigned i = 0; i < 64; i++)
			rig_rx_add(r, queue, &b[i], &len, 1);
		r->dev->ops->queue_enable(r->dev, queue, round % 2);
		sr_net_set_link(r->net, round % 5);
		for (unsigned i = 0; i < 20; i++)
			sched_yield();
		r->dev->ops->queue_enable(r->dev, queue, true);
		for (unsigned i = 0; i < 20; i++)
			sched_yield();
		assert_string_equal(r->q[queue].broken, "");
		rig_stop(r, queue);
	}
	atomic_store(&stop, true);
	senders_join(s);
	for (unsigned i = 0; i < SENDERS; i++)
		taken += s[i].taken;
	assert_int_equal(atomic_load(&r->port->counters.rx_frames), taken);
	assert_false(atomic_load(&r->port->link));
	rig_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_senders_share_a_queue_without_loss_or_disorder),
		cmocka_unit_test(queues_change_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
