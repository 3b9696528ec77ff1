/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two threads, driver and device, that sleep whenever they have nothing to do: an operation
 * that nobody is woken for would leave both asleep. They sleep by spinning on a bell and not in
 * the kernel, so that both sides are at the critical place at the same time as often as can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define OPERATIONS 100000u
#else
#define OPERATIONS 1000000u
#endif
#define ASLEEP_NS 20000000000u /* far beyond any scheduling delay: nobody is coming */

struct pair {
	struct ring_fixture f;
	uint8_t *guest; /* the device's own mapping: the thread sanitizer sees both sides there */
	struct sr_drvq *d;
	atomic_bool kick, call; /* the bells */
	unsigned operations;
	unsigned device_slept, driver_slept;
	atomic_bool stuck;
	uint32_t sum; /* what the device read, all added up */
};

/* A short while, never the same: moves the two sides against each other. */
static void dawdle(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	for (unsigned i = *seed >> 16 & 127; i; i--)
		__asm__ volatile("");
}

/* False: the bell did not ring and never will. */
static bool bell_wait(struct pair *p, atomic_bool *bell)
{
	uint64_t deadline = sr_now_ns() + ASLEEP_NS;

	while (!atomic_load(&p->stuck) && sr_now_ns() < deadline) {
		for (unsigned i = 0; i < 1000; i++)
			if (atomic_load_explicit(bell, memory_order_relaxed))
				return atomic_exchange(bell, false);
		sched_yield();
	}
	atomic_store(&p->stuck, true);
	return false;
}

static void *device_run(void *arg)
{
	struct pair *p = arg;
	struct sr_chain c[16];
	unsigned seed = 1;

	for (unsigned done = 0; done < p->operations;) {
		int n = pop(&p->f, c, 16);

		if (n < 0)
			abort();
		dawdle(&seed);
		if (n == 0) {
			if (sr_vq_rearm(p->f.q))
				continue;
			p->device_slept++;
			if (!bell_wait(p, &p->kick))
				return NULL;
			continue;
		}
		for (int i = 0; i < n; i++)
			p->sum += *(const uint32_t *)c[i].out[0].iov_base;
		sr_vq_push(p->f.q, c, (unsigned)n);
		if (sr_vq_publish(p->f.q))
			atomic_store(&p->call, true);
		done += (unsigned)n;
	}
	return NULL;
}

/* Gives batches of 1 to 7 and sleeps when nothing has come back. */
static uint32_t driver_run(struct pair *p)
{
	struct sr_used u[16];
	unsigned given = 0, back = 0, seed = 2;
	uint32_t sum = 0;

	while (back < p->operations) {
		for (unsigned i = given % 7 + 1; i && given < p->operations; i--) {
			uint32_t at = GUEST_DATA + 64 * (given % 64);
			struct sr_sg sg = { gpa(at), 4 };

			if (sr_drvq_free(p->d) == 0)
				break;
			*(uint32_t *)(void *)(p->guest + at) = given;
			sum += given++;
			sr_drvq_add(p->d, &sg, 1, NULL, 0, p);
		}
		if (sr_drvq_publish(p->d))
			atomic_store(&p->kick, true);
		int n = sr_drvq_get(p->d, u, 16);

		if (n < 0)
			abort();
		back += (unsigned)n;
		dawdle(&seed);
		if (n || sr_drvq_rearm(p->d))
			continue;
		p->driver_slept++;
		if (!bell_wait(p, &p->call))
			break;
	}
	return sum;
}

static void nobody_sleeps_for_ever(uint64_t features, uint32_t size, unsigned operations)
{
	struct pair p = { .operations = operations };
	struct sr_drvq_config dc = { .size = size, .features = features };
	pthread_t t;

	fixture_init(&p.f);
	fixture_place(&p.f, size, features);
	p.guest = sr_mem_from_uva(p.f.mem, GUEST_UVA, GUEST_SEAM);
	dc.ring = p.guest;
	p.d = sr_drvq_create(&dc, NULL);
	assert_int_equal(sr_vq_start(p.f.q, &p.f.config, p.f.mem, NULL), 0);
	assert_int_equal(pthread_create(&t, NULL, device_run, &p), 0);
	uint32_t sum = driver_run(&p);

	pthread_join(t, NULL);
	assert_false(atomic_load(&p.stuck));
	assert_int_equal(p.sum, sum);
	print_message("size %u: device slept %u times, driver %u\n", size, p.device_slept,
		      p.driver_slept);
	assert_true(p.device_slept + p.driver_slept > 0);
	sr_drvq_destroy(p.d);
	fixture_finish(&p.f);
}

static void no_wakeup_is_missed_with_event_indices(void **state)
{
	(void)state;
	nobody_sleeps_for_ever(SR_F_RING, 4, OPERATIONS);
	nobody_sleeps_for_ever(SR_F_RING, 64, OPERATIONS);
}

static void no_wakeup_is_missed_with_flags(void **state)
{
	(void)state;
	nobody_sleeps_for_ever(SR_F_VERSION_1, 4, OPERATIONS);
	nobody_sleeps_for_ever(SR_F_VERSION_1, 64, OPERATIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wakeup_is_missed_with_event_indices),
		cmocka_unit_test(no_wakeup_is_missed_with_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
