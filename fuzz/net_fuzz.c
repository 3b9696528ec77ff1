/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest sends packets of every shape, some with bytes changed and headers that lie, through
 * a switch to a peer whose features the input chooses: what the peer cannot take is segmented
 * and checksummed in software. Both are real net devices with real rings.
 *
 * Holds: each frame is counted once; what the peer gets is within its buffers and its
 * features; segments of a sound packet add up to it, and their checksums hold.
 */
#include "input.h"

#include "iov.h"
#include "packet.h"

#include <slipring/drvq.h>
#include <slipring/net.h>
#include <slipring/switch.h>
#include <slipring/virtio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM	  (4u << 20)
#define GPA	  0x100000ull
#define UVA	  0x7f0000000000ull
#define ENTRIES	  256u
#define TX_RING	  0u
#define RX_RING	  0x10000u
#define TX_BUFFER 0x40000u
#define RX_BUFFER 0x80000u
#define RX_ROOM	  (MEM - RX_BUFFER)
#define HEADER	  12u
#define FRAMES	  8u
#define GUEST_GSO                                                                              \
	(SR_NET_F_GUEST_TSO4 | SR_NET_F_GUEST_TSO6 | SR_NET_F_GUEST_ECN | SR_NET_F_GUEST_UFO | \
	 SR_NET_F_GUEST_USO4 | SR_NET_F_GUEST_USO6)

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct end {
	struct sr_net *net;
	struct sr_device *d;
	struct sr_vq *vq;
	struct sr_drvq *drv;
	uint64_t features;
};

static uint8_t *guest;
static struct sr_mem *mem;
static struct sr_switch *sw;
static struct end tx, rx;
static uint32_t rx_size; /* of a receive buffer */
static bool broken;
static struct packet sent;

static void session_call(struct sr_session *s, unsigned queue)
{
	(void)s;
	(void)queue;
}

static void session_broken(struct sr_session *s, unsigned queue, const char *why)
{
	(void)s;
	(void)queue;
	MUST(why && *why);
	broken = true;
}

static void session_config(struct sr_session *s)
{
	(void)s;
}

static const struct sr_session_ops session_ops = { session_call, session_broken, session_config };

static void end_make(struct end *e, const char *name)
{
	struct sr_net_config c = { .name = name, .pairs = 1 };

	e->net = sr_net_create(&c, NULL);
	e->vq = sr_vq_create();
	MUST(e->net && e->vq);
	e->d = sr_net_device(e->net);
	e->d->session_ops = &session_ops;
	MUST(!sr_switch_attach(sw, sr_net_port(e->net), NULL));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sr_switch_config sc = { .wait_us = 1 };
	int fd = memfd_create("net_fuzz", MFD_CLOEXEC);
	struct sr_region r = { GPA, UVA, MEM, 0, fd };

	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	MUST(fd >= 0 && !ftruncate(fd, MEM));
	guest = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mem = sr_mem_create();
	sw = sr_switch_create(&sc, NULL);
	MUST(guest != MAP_FAILED && mem && sw && !sr_mem_set_regions(mem, &r, 1, NULL));
	end_make(&tx, "tx");
	end_make(&rx, "rx");
	return 0;
}

static void end_start(struct end *e, unsigned queue, uint32_t ring, uint64_t features)
{
	struct sr_drvq_layout l = sr_drvq_layout(ENTRIES);
	uint64_t agreed = features & e->d->ops->features(e->d);
	struct sr_drvq_config dc = { .size = ENTRIES, .features = agreed, .ring = guest + ring };
	struct sr_vq_config c = { .size = ENTRIES,
				  .features = agreed,
				  .desc = UVA + ring + l.desc,
				  .avail = UVA + ring + l.avail,
				  .used = UVA + ring + l.used };

	e->features = agreed;
	memset(guest + ring, 0, sr_drvq_bytes(ENTRIES));
	e->drv = sr_drvq_create(&dc, NULL);
	e->d->ops->features_set(e->d, agreed);
	MUST(e->drv && !sr_vq_start(e->vq, &c, mem, NULL));
	e->d->ops->queue_start(e->d, queue, e->vq);
	e->d->ops->queue_enable(e->d, queue, true);
}

static void end_stop(struct end *e, unsigned queue)
{
	e->d->ops->queue_stop(e->d, queue);
	sr_vq_stop(e->vq);
	sr_drvq_destroy(e->drv);
	e->d->ops->reset(e->d);
	sr_switch_flush(sw, sr_net_port(e->net));
}

/* Tokens are the buffers' places, 1 at least. */
static void rx_offer(uintptr_t place)
{
	struct sr_sg sg = { GPA + RX_BUFFER + (place - 1) * rx_size, rx_size };

	MUST(!sr_drvq_add(rx.drv, NULL, 0, &sg, 1, (void *)place));
	sr_drvq_publish(rx.drv);
}

/* ---- what is sent ---- */

static struct header sound_header(uint8_t how, uint16_t size)
{
	static const uint8_t types[] = { SR_GSO_NONE, SR_GSO_TCPV4,  SR_GSO_TCPV6,
					 SR_GSO_UDP,  SR_GSO_UDP_L4, SR_GSO_TCPV4 | SR_GSO_ECN };
	uint8_t type = types[how % SR_ARRAY_LEN(types)];
	struct sr_offload o = packet_off(&sent, type, type ? size : 0);

	if (how & 0x80)
		return (struct header){ 0 };
	return (struct header){ o.flags,      o.gso_type,    o.hdr_len, o.gso_size,
				o.csum_start, o.csum_offset, 0 };
}

static void make_packet(struct input *in)
{
	uint8_t how = input_u8(in), more = input_u8(in);
	struct shape s = { .v6 = how & 1,
			   .udp = how & 2,
			   .tags = (how >> 2) % 3,
			   .options = how & 16 ? (how & 1 ? 8 : 4) * (1u + (more & 3)) : 0,
			   .extension = more & 4   ? 60
					: more & 8 ? 43
						   : 0,
			   .tcp_options = (more >> 4) % 11 * 4,
			   .payload = how & 32 ? input_u16(in) : input_u8(in) };

	packet_make(&sent, &s);
}

/* Returns whether anything was changed. */
static bool spoil(struct input *in, struct header *h)
{
	unsigned n = input_u8(in) % 16;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = input_u8(in);

		if (at < HEADER)
			((uint8_t *)h)[at] = input_u8(in);
		else
			sent.bytes[(at - HEADER) % sent.len] ^= input_u8(in);
	}
	return n;
}

/* In up to four pieces. */
static void transmit(struct input *in, const struct header *h)
{
	uint32_t left = (uint32_t)sr_min(HEADER + sent.len, RX_BUFFER - TX_BUFFER), at = 0;
	struct sr_sg sg[4];
	unsigned n = 0;

	memcpy(guest + TX_BUFFER, h, HEADER);
	memcpy(guest + TX_BUFFER + HEADER, sent.bytes, left - HEADER);
	for (; n < 3 && left > 1; n++) {
		uint32_t len = input_u8(in) % left;

		sg[n] = (struct sr_sg){ GPA + TX_BUFFER + at, len };
		at += len;
		left -= len;
	}
	sg[n++] = (struct sr_sg){ GPA + TX_BUFFER + at, left };
	MUST(!sr_drvq_add(tx.drv, sg, n, NULL, 0, &tx));
	sr_drvq_publish(tx.drv);
	for (unsigned tries = 0; tries < 8 && tx.d->ops->process(tx.d, 1, 64) != 0; tries++)
		usleep(1); /* the time that a receiver without room is waited for */
}

/* ---- what is got ---- */

static void check_header(const struct header *h, uint32_t len)
{
	MUST(!(h->flags & ~(SR_OFF_NEEDS_CSUM | SR_OFF_DATA_VALID)));
	MUST(!h->flags || rx.features & SR_NET_F_GUEST_CSUM);
	MUST(!h->gso_type || (rx.features & GUEST_GSO && h->flags & SR_OFF_NEEDS_CSUM));
	MUST(len >= SR_FRAME_MIN && len <= SR_FRAME_MAX);
	if (h->flags & SR_OFF_NEEDS_CSUM)
		MUST(h->csum_start + h->csum_offset + 2u <= len);
}

/* A whole packet or a segment of the one that was sent. */
static uint32_t check_segment(const struct header *h, const uint8_t *p, uint32_t len)
{
	bool v6 = sr_get_be16(sent.bytes + sent.l3 - 2) == 0x86dd;

	MUST(len >= sent.end);
	if (!h->flags && !h->gso_type)
		MUST(plain_sum(p + sent.l4, len - sent.l4,
			       plain_pseudo(&sent, v6, len - sent.l4)) == 0xffff);
	if (!v6)
		MUST(plain_sum(p + sent.l3, sent.l4 - sent.l3, 0) == 0xffff);
	return len - sent.end;
}

/* Takes one frame out of the ring. False: there is none. */
static bool collect(uint8_t *to, struct header *h, uint32_t *len)
{
	unsigned want = 1;

	*len = 0;
	for (unsigned i = 0; i < want; i++) {
		struct sr_used u;
		int n = sr_drvq_get(rx.drv, &u, 1);
		const uint8_t *from;

		MUST(n == 1 || (n == 0 && i == 0));
		if (!n)
			return false;
		from = guest + RX_BUFFER + ((uintptr_t)u.token - 1) * rx_size;
		MUST(u.len <= rx_size && u.len >= (i ? 1 : HEADER));
		if (!i) {
			memcpy(h, from, HEADER);
			want = h->num_buffers;
			MUST(want >= 1 && (want == 1 || rx.features & SR_NET_F_MRG_RXBUF));
		}
		MUST(*len + u.len <= HEADER + SR_FRAME_MAX);
		memcpy(to + *len, from, u.len);
		*len += u.len;
		rx_offer((uintptr_t)u.token);
	}
	*len -= HEADER;
	return true;
}

static uint64_t done(const struct sr_port_counters *c)
{
	return c->tx_frames + c->tx_bad + c->tx_dropped;
}

static void one_frame(struct input *in)
{
	static uint8_t got[HEADER + SR_FRAME_MAX];
	const struct sr_port_counters *to = &sr_net_port(rx.net)->counters,
				      *from = &sr_net_port(tx.net)->counters;
	uint64_t dropped = to->rx_dropped, taken = from->tx_frames, before = done(from);
	struct header h;
	uint32_t len, payload = 0;
	bool spoiled, sound, any = false;
	struct sr_used u;

	make_packet(in);
	h = sound_header(input_u8(in), input_u16(in));
	sound = h.flags && !(h.gso_type == SR_GSO_UDP);
	spoiled = spoil(in, &h);
	transmit(in, &h);
	while (collect(got, &h, &len)) {
		any = true;
		check_header(&h, len);
		if (sound && !spoiled)
			payload += check_segment(&h, got + HEADER, len);
	}
	if (sr_drvq_get(tx.drv, &u, 1) == 1)
		MUST(done(from) == before + 1);
	if (sound && !spoiled && any && to->rx_dropped == dropped && from->tx_frames == taken + 1)
		MUST(payload == sent.len - sent.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	uint64_t off = input_u64(&in), lacks = input_u64(&in);
	uint8_t how = input_u8(&in);
	unsigned buffers;

	broken = false;
	rx_size = how & 1 ? SR_FRAME_MAX + HEADER : 16u << (how >> 1) % 9;
	buffers = (unsigned)sr_min(RX_ROOM / rx_size, ENTRIES);
	end_start(&tx, 1, TX_RING, ~off | SR_F_VERSION_1);
	end_start(&rx, 0, RX_RING, ~lacks | SR_F_VERSION_1);
	/* A port has a link when its guest receives; the sender's does not matter to it. */
	atomic_store(&sr_net_port(tx.net)->link, true);
	for (uintptr_t i = 1; i <= buffers; i++)
		rx_offer(i);
	for (unsigned i = 0; i < FRAMES && input_more(&in); i++)
		one_frame(&in);
	MUST(!broken);
	end_stop(&tx, 1);
	end_stop(&rx, 0);
	return 0;
}
