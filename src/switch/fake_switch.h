/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of this room: a switch with four fake ports a, b, c, d. Behind <cmocka.h>. */
#ifndef SR_FAKE_SWITCH_H
#define SR_FAKE_SWITCH_H

#include "fake_port.h"

#include <slipring/switch.h>

#define PORTS 4u

enum {
	ALL = 0xff,
	GROUP = 0xfe,
	ZERO = 0xfd
}; /* hosts of special addresses */

struct world {
	struct sr_switch *sw;
	struct fake_port *p[PORTS];
};

static inline void world_make(struct world *w, const struct sr_switch_config *c)
{
	static const char *const names[PORTS] = { "a", "b", "c", "d" };

	w->sw = sr_switch_create(c, NULL);
	assert_non_null(w->sw);
	for (unsigned i = 0; i < PORTS; i++) {
		w->p[i] = fake_create(names[i]);
		assert_int_equal(sr_switch_attach(w->sw, &w->p[i]->port, NULL), 0);
	}
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	/* One second of waiting: long enough that no test runs into it by itself. */
	world_make(w, &(struct sr_switch_config){ .age_s = 3, .wait_us = 1000000 });
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < PORTS; i++) {
		assert_int_equal(w->p[i]->wrong, 0);
		if (atomic_load(&w->p[i]->port.sink))
			sr_switch_detach(w->sw, &w->p[i]->port);
		sr_switch_flush(w->sw, &w->p[i]->port);
		fake_destroy(w->p[i]);
	}
	sr_switch_destroy(w->sw);
	free(w);
	return 0;
}

static inline void put_mac(uint8_t *p, uint8_t host)
{
	static const uint8_t special[][6] = { { 0 },
					      { 0x33, 0x33, 0, 0, 0, 1 },
					      { 255, 255, 255, 255, 255, 255 } };

	if (host >= ZERO)
		memcpy(p, special[host - ZERO], 6);
	else
		memcpy(p, (uint8_t[]){ 2, 0, 0, 0, 0, host }, 6);
}

/* 60 bytes; the last one is `mark`, to tell frames apart. */
static inline struct sr_frame frame(uint8_t src, uint8_t dst, uint8_t mark)
{
	struct sr_frame f = { .len = 60, .head_len = 60 };

	put_mac(f.head, dst);
	put_mac(f.head + 6, src);
	sr_put_be16(f.head + 12, 0x88b5);
	f.head[59] = mark;
	return f;
}

static inline struct sr_frame tagged(uint8_t src, uint8_t dst, uint16_t type, uint16_t tci)
{
	struct sr_frame f = frame(src, dst, 0);

	sr_put_be16(f.head + 12, type);
	sr_put_be16(f.head + 14, tci);
	return f;
}

static inline uint64_t forward_on(struct world *w, unsigned from, struct sr_frame *f, unsigned n,
				  uint64_t which, unsigned lane)
{
	return sr_port_forward(&w->p[from]->port, f, n, which, lane);
}

static inline void forward_one(struct world *w, unsigned from, struct sr_frame f)
{
	assert_int_equal(forward_on(w, from, &f, 1, 1, 0), 0);
}

/* Which ports have got something since the last call, as digits: 1011 = all but b. */
static inline unsigned who_got(struct world *w)
{
	unsigned who = 0;

	for (unsigned i = 0; i < PORTS; i++) {
		who = who * 10 + (w->p[i]->n ? 1 : 0);
		fake_clear(w->p[i]);
	}
	return who;
}

static inline void assert_marks(const struct fake_port *p, const char *marks)
{
	assert_int_equal(p->n, strlen(marks));
	for (unsigned i = 0; i < p->n; i++)
		assert_int_equal(p->got[i].bytes[p->got[i].len - 1], marks[i]);
}

/* Behind b lives 2, behind c lives 3. */
static inline void learns_two(struct world *w)
{
	forward_one(w, 1, frame(2, ALL, 0));
	forward_one(w, 2, frame(3, ALL, 0));
	who_got(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
