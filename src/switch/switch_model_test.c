/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch against a plain one: random stations on random ports send batches to each other
 * over three VLANs, move, fall silent, lose their link; after each batch every port
 * must have got the very frames that a switch made of two loops and an array gives it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"

#include <slipring/switch.h>

#define PORTS	  6u
#define STATIONS  12u
#define VLANS	  3u
#define AGE	  5u
#define ROUNDS	  3000u
#define BROADCAST STATIONS

static uint64_t seed = 4;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % n);
}

struct model {
	int port[STATIONS][VLANS]; /* -1 = unknown */
	unsigned silent[STATIONS][VLANS];
	uint32_t want[PORTS][SR_FRAME_BATCH];
	unsigned n[PORTS];
	uint64_t dropped[PORTS];
};

/* One frame as text: who, to whom, where; the mark tells it from all others. */
struct letter {
	unsigned src, dst, vlan, from;
	uint32_t mark;
};

static void model_forget(struct model *m, unsigned port)
{
	for (unsigned i = 0; i < STATIONS; i++)
		for (unsigned v = 0; v < VLANS; v++)
			if (m->port[i][v] == (int)port)
				m->port[i][v] = -1;
}

static void model_tick(struct model *m)
{
	for (unsigned i = 0; i < STATIONS; i++)
		for (unsigned v = 0; v < VLANS; v++)
			if (++m->silent[i][v] >= AGE)
				m->port[i][v] = -1;
}

static void model_send(struct model *m, const struct letter *l, struct fake_port *const *p)
{
	int to = -1;

	if (!p[l->from]->port.link) {
		m->dropped[l->from]++;
		return;
	}
	m->port[l->src][l->vlan] = (int)l->from;
	m->silent[l->src][l->vlan] = 0;
	if (l->dst != BROADCAST)
		to = m->port[l->dst][l->vlan];
	if (to == (int)l->from)
		m->dropped[l->from]++;
	for (unsigned i = 0; i < PORTS; i++)
		if (i != l->from && p[i]->port.link && (to < 0 || to == (int)i))
			m->want[i][m->n[i]++] = l->mark;
}

static struct sr_frame letter_frame(const struct letter *l)
{
	struct sr_frame f = { .len = 64, .head_len = 64 };

	memset(f.head, 0xff, 6);
	if (l->dst != BROADCAST)
		memcpy(f.head, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)l->dst }, 6);
	memcpy(f.head + 6, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)l->src }, 6);
	if (l->vlan)
		sr_put_be32(f.head + 12, 0x81000000u | l->vlan);
	sr_put_be32(f.head + 60, l->mark);
	return f;
}

static void send_batch(struct model *m, struct fake_port *const *p)
{
	struct sr_frame f[SR_FRAME_BATCH];
	unsigned n = 1 + random_below(SR_FRAME_BATCH), from = random_below(PORTS);
	uint64_t which = 0;
	static uint32_t mark;

	for (unsigned i = 0; i < n; i++) {
		struct letter l = { .from = from, .mark = mark++, .vlan = random_below(VLANS) };

		/* Stations live at their own port, mostly. */
		l.src = random_below(20) ? from * STATIONS / PORTS + random_below(2)
					 : random_below(STATIONS);
		l.dst = random_below(STATIONS + 1);
		f[i] = letter_frame(&l);
		if (!random_below(8))
			continue;
		which |= 1ull << i;
		model_send(m, &l, p);
	}
	assert_true(sr_port_forward(&p[from]->port, f, n, which, 3) == 0);
}

static void compare(struct model *m, struct fake_port *const *p)
{
	for (unsigned i = 0; i < PORTS; i++) {
		assert_int_equal(p[i]->n, m->n[i]);
		assert_true(p[i]->calls <= 1);
		for (unsigned k = 0; k < m->n[i]; k++)
			assert_int_equal(sr_get_be32(p[i]->got[k].bytes + 60), m->want[i][k]);
		assert_int_equal(p[i]->port.counters.tx_dropped, m->dropped[i]);
		fake_clear(p[i]);
		m->n[i] = 0;
	}
}

static void frames_go_where_a_plain_switch_sends_them(void **state)
{
	struct sr_switch *sw = sr_switch_create(&(struct sr_switch_config){ .age_s = AGE }, NULL);
	static const char *const names[PORTS] = { "a", "b", "c", "d", "e", "f" };
	struct fake_port *p[PORTS];
	static struct model m;

	(void)state;
	memset(m.port, 0xff, sizeof(m.port));
	for (unsigned i = 0; i < PORTS; i++) {
		p[i] = fake_create(names[i]);
		sr_switch_attach(sw, &p[i]->port, NULL);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = random_below(PORTS);

		if (!random_below(20)) {
			atomic_store(&p[i]->port.link, !p[i]->port.link);
			sr_switch_flush(sw, &p[i]->port);
			model_forget(&m, i);
		}
		if (!random_below(3)) {
			sr_switch_tick(sw);
			model_tick(&m);
		}
		send_batch(&m, p);
		compare(&m, p);
	}
	for (unsigned i = 0; i < PORTS; i++) {
		assert_int_equal(p[i]->wrong, 0);
		sr_switch_detach(sw, &p[i]->port);
		fake_destroy(p[i]);
	}
	sr_switch_destroy(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_where_a_plain_switch_sends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
