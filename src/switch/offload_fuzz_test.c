/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile headers: frames of every shape with random bytes changed, random offloads, laid out
 * in random pieces, to a receiver of random abilities and room. Nothing is right or wrong
 * here except that memory is left alone (sanitizer builds see to that), that what comes out
 * obeys the rules of frames, and that every frame is accounted for once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"
#include "packet.h"

#include <slipring/switch.h>

#define ROUNDS 100000u

static uint64_t seed = 20;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % n);
}

static void random_packet(struct packet *p)
{
	static const uint8_t extensions[] = { 0, 43, 60, 44, 51 };
	struct shape s = { .v6 = random_below(2), .udp = random_below(2), .tags = random_below(4) };

	s.options = random_below(3) ? 0 : s.v6 ? 8 * random_below(24) : 4 * random_below(11);
	s.extension = extensions[random_below(5)];
	s.tcp_options = 4 * random_below(11);
	s.payload = random_below(random_below(20) ? 3000 : 64000);
	packet_make(p, &s);
	if (!random_below(4))
		p->len = 14 + random_below(p->len - 13);
	for (unsigned n = random_below(4); n; n--)
		p->bytes[12 + random_below(100)] = (uint8_t)random_below(256);
}

static struct sr_offload random_off(const struct packet *p)
{
	static const uint8_t types[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 2 };
	struct sr_offload off = packet_off(p, types[random_below(8)],
					   (uint16_t)random_below(random_below(2) ? 65536 : 1500));

	if (!random_below(4))
		off.flags = (uint8_t)random_below(4);
	if (!random_below(4))
		off.csum_start = (uint16_t)random_below(random_below(2) ? 65536 : 300);
	if (!random_below(4))
		off.csum_offset = (uint16_t)random_below(random_below(2) ? 65536 : 300);
	return off;
}

/* The frame with each piece in memory of its own, so that a step outside is seen. */
static struct sr_frame scatter(const struct packet *p)
{
	struct sr_frame f = { .len = p->len, .head_len = (uint16_t)sr_min(p->len, SR_FRAME_HEAD) };
	uint32_t at = f.head_len,
		 most = 1 + random_below(p->len > 3000 || random_below(2) ? 5000 : 100);
	struct iovec *iov = calloc(p->len, sizeof(*iov));

	memcpy(f.head, p->bytes, f.head_len);
	while (at < p->len) {
		uint32_t n = (uint32_t)sr_min(1 + random_below(most), p->len - at);

		iov[f.niov] = (struct iovec){ malloc(n), n };
		memcpy(iov[f.niov++].iov_base, p->bytes + at, n);
		at += n;
	}
	f.iov = iov;
	return f;
}

static void gather(struct sr_frame *f)
{
	struct iovec *iov = (void *)(uintptr_t)f->iov;

	for (unsigned i = 0; i < f->niov; i++)
		free(iov[i].iov_base);
	free(iov);
}

static void hostile_headers_do_no_harm(void **state)
{
	struct sr_switch *sw = sr_switch_create(&(struct sr_switch_config){ 0 }, NULL);
	struct fake_port *a = fake_create("a"), *b = fake_create("b");
	static struct packet p;

	(void)state;
	sr_switch_attach(sw, &a->port, NULL);
	sr_switch_attach(sw, &b->port, NULL);
	b->ops.can_wait = false;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sr_port_counters *ca = &a->port.counters, *cb = &b->port.counters;

		random_packet(&p);
		struct sr_frame f = scatter(&p);
		f.off = random_off(&p);
		atomic_store(&b->port.can, random_below(128));
		b->room = random_below(4) ? UINT32_MAX : random_below(6);
		assert_int_equal(sr_port_forward(&a->port, &f, 1, 1, 0), 0);
		assert_int_equal(ca->tx_frames + ca->tx_bad, i + 1);
		assert_true(b->n || ca->tx_bad || cb->rx_dropped);
		assert_int_equal(b->wrong, 0);
		for (unsigned k = 0; k < b->n; k++)
			assert_false(b->got[k].off.gso_type && !(b->port.can & SR_CAN_CSUM));
		fake_clear(b);
		gather(&f);
	}
	/* The mill has ground all kinds of grain. */
	assert_true(a->port.counters.tx_bad > ROUNDS / 10);
	assert_true(a->port.counters.tx_frames > ROUNDS / 10);
	assert_true(b->port.counters.rx_segmented > ROUNDS / 20);
	assert_true(b->port.counters.rx_dropped > ROUNDS / 200);
	sr_switch_detach(sw, &a->port);
	sr_switch_detach(sw, &b->port);
	sr_switch_destroy(sw);
	fake_destroy(a);
	fake_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_headers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
