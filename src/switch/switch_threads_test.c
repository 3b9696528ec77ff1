/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports come and go under full traffic, addresses are learned, moved, flushed and aged, all at
 * once. The thread sanitizer looks at the accesses; here it is checked that no frame
 * reaches a port after its senders have come round, and that none is lost uncounted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"

#include <slipring/switch.h>

#include <pthread.h>
#include <stdlib.h>

#define SENDERS 3u
#define GUESTS	4u /* ports that come and go */
#define CHANGES 400u

struct counting_port {
	struct sr_port port;
	_Atomic bool gone; /* nothing may arrive any more */
	_Atomic uint64_t taken, late;
	_Atomic uint32_t calls;
};

struct sender {
	struct counting_port p;
	_Atomic uint64_t rounds;
	uint64_t sent, handed_back;
	pthread_t thread;
};

static _Atomic bool stop;

static unsigned count_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
			   unsigned lane)
{
	struct counting_port *c = SR_CONTAINER_OF(p, struct counting_port, port);

	(void)f;
	(void)lane;
	c->late += c->gone;
	if (c->calls++ % 8 == 7)
		n--; /* full now and then */
	c->taken += n;
	return n;
}

static const struct sr_port_ops ops = { .send = count_send, .can_wait = true };

static void port_init(struct counting_port *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	c->port.ops = &ops;
	c->port.name = name;
	atomic_store(&c->port.link, true);
}

/* Sends to the other senders, to the guests' addresses, and to all; speaks for itself and for
 * a guest's address now and then, so that addresses move. */
static void *send_all_the_time(void *ctx)
{
	struct sender *s = ctx;
	struct sr_frame f[16];
	uint32_t seed = (uint32_t)(uintptr_t)ctx;

	memset(f, 0, sizeof(f));
	for (; !stop; s->rounds++) {
		uint64_t which = 0xffff;

		for (unsigned i = 0; i < 16; i++) {
			seed = seed * 1664525 + 1013904223;
			f[i].len = f[i].head_len = 60;
			memcpy(f[i].head, "\x02\0\0\0\0\x00\x02\0\0\0\0\x00\x08\x00", 14);
			f[i].head[5] = seed >> 24 & 7;
			f[i].head[11] = s->p.port.name[0] == 'x' ? 1 : seed >> 16 & 7;
			if (seed >> 28 == 0)
				f[i].head[0] = 0xff;
		}
		s->sent += 16;
		for (unsigned tries = 0; which && tries < 4; tries++)
			which = sr_port_forward(&s->p.port, f, 16, which, 0);
		s->handed_back += (unsigned)__builtin_popcountll(which);
		if (s->rounds % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void all_come_round(struct sender *s)
{
	for (unsigned i = 0; i < SENDERS; i++) {
		uint64_t was = s[i].rounds;

		while (s[i].rounds < was + 2)
			sched_yield();
	}
}

static void change_ports(struct sr_switch *sw, struct sender *s)
{
	static const char *const names[GUESTS] = { "g0", "g1", "g2", "g3" };
	struct counting_port *guest[GUESTS] = { NULL };

	for (unsigned i = 0; i < CHANGES; i++) {
		struct counting_port **g = &guest[i % GUESTS];

		if (*g) {
			sr_switch_detach(sw, &(*g)->port);
			all_come_round(s);
			(*g)->gone = true;
			sr_switch_flush(sw, &(*g)->port);
			all_come_round(s);
			assert_int_equal((*g)->late, 0);
			free(*g);
			*g = NULL;
		} else {
			struct sr_frame hello = { .len = 60, .head_len = 60 };

			*g = malloc(sizeof(**g));
			port_init(*g, names[i % GUESTS]);
			assert_int_equal(sr_switch_attach(sw, &(*g)->port, NULL), 0);
			memset(hello.head, 0xff, 6);
			memcpy(hello.head + 6, "\x02\0\0\0\0", 5);
			hello.head[11] = (uint8_t)(i % GUESTS);
			sr_port_forward(&(*g)->port, &hello, 1, 1, 0);
		}
		if (i % 5 == 0)
			sr_switch_tick(sw);
		if (i % 7 == 0)
			atomic_store(&s[0].p.port.link, i % 2);
	}
	for (unsigned i = 0; i < GUESTS; i++)
		if (guest[i])
			sr_switch_detach(sw, &guest[i]->port);
	all_come_round(s);
	for (unsigned i = 0; i < GUESTS; i++)
		free(guest[i]);
}

static void ports_come_and_go_in_full_traffic(void **state)
{
	static const char *const names[SENDERS] = { "s0", "s1", "x2" };
	struct sr_switch *sw = sr_switch_create(
		&(struct sr_switch_config){ .mac_limit = 6, .age_s = 2, .wait_us = 50 }, NULL);
	static struct sender s[SENDERS];

	(void)state;
	for (unsigned i = 0; i < SENDERS; i++) {
		port_init(&s[i].p, names[i]);
		assert_int_equal(sr_switch_attach(sw, &s[i].p.port, NULL), 0);
		pthread_create(&s[i].thread, NULL, send_all_the_time, &s[i]);
	}
	change_ports(sw, s);
	stop = true;
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(s[i].thread, NULL);
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sr_port_counters *c = &s[i].p.port.counters;

		assert_int_equal(c->tx_frames + c->tx_dropped + s[i].handed_back, s[i].sent);
		assert_int_equal(c->tx_bad, 0);
		assert_true(s[i].p.taken > 0);
		sr_switch_detach(sw, &s[i].p.port);
	}
	sr_switch_destroy(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_come_and_go_in_full_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
