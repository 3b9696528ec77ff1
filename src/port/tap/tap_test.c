/* SPDX-License-Identifier: BSD-3-Clause */
/* A tap in a network namespace of the test's own: packet sockets play the host's stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap_internal.h"

#define TYPE	 0x88b5 /* for local experiments (IEEE 802) */
#define SEEN_MAX 256

/* A sink that keeps what comes, except what `full` says it has no room for. */
struct sink {
	pthread_mutex_t lock;
	pthread_cond_t came;
	unsigned n, full_calls; /* full_calls: how many times `full` still holds */
	uint64_t full;
	uint64_t again; /* what the last call asked to be offered again */
	bool disorder;
	struct seen {
		struct sr_offload off;
		uint32_t len;
		uint8_t *bytes;
	} seen[SEEN_MAX];
};

static void keep(struct sink *s, const struct sr_frame *f)
{
	struct seen *to = &s->seen[s->n];

	*to = (struct seen){ f->off, f->len, malloc(f->len) };
	memcpy(to->bytes, f->head, f->head_len);
	for (uint32_t i = 0, at = f->head_len; i < f->niov; at += f->iov[i++].iov_len)
		memcpy(to->bytes + at, f->iov[i].iov_base, f->iov[i].iov_len);
	s->n++;
}

/* The type behind any VLAN tag. Frames that the kernel sends by itself are not kept. */
static bool is_ours(const struct sr_frame *f)
{
	uint16_t type = sr_get_be16(f->head + (sr_get_be16(f->head + 12) == ETH_P_8021Q ? 16 : 12));

	return type == TYPE || type == ETH_P_IP;
}

static uint64_t sink_forward(void *ctx, struct sr_port *from, struct sr_frame *f, unsigned n,
			     uint64_t which, unsigned lane)
{
	struct sink *s = ctx;
	uint64_t again = 0;

	(void)from;
	assert_int_equal(lane, 0);
	pthread_mutex_lock(&s->lock);
	s->disorder |= s->again && which != s->again;
	for (unsigned i = 0; i < n; i++) {
		if (!(which >> i & 1) || !is_ours(&f[i]) || s->n == SEEN_MAX)
			continue;
		if (s->full_calls && (s->full >> i & 1))
			again |= 1ULL << i;
		else
			keep(s, &f[i]);
	}
	if (again)
		s->full_calls--;
	s->again = again;
	pthread_cond_broadcast(&s->came);
	pthread_mutex_unlock(&s->lock);
	return again;
}

static const struct sr_sink_ops sink_ops = { sink_forward };

/* Everything that a test needs. */
struct bed {
	struct sr_loop *loop;
	struct sr_tap *tap;
	struct sr_port *port;
	struct sink sink;
	int packet; /* socket bound to the interface */
};

static struct sr_loop *spawn_loop(void)
{
	const struct sr_loop_config c = { .name = "test", .cpu = -1, .poll_us = 20 };
	struct sr_loop *l = sr_loop_create(&c, NULL);

	assert_non_null(l);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	return l;
}

static void interface_ioctl(const char *name, unsigned long what, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr->ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(fd, what, ifr), 0);
	close(fd);
}

static void set_up(const char *name, bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };

	interface_ioctl(name, SIOCSIFFLAGS, &ifr);
}

static int packet_socket(const char *name, bool header)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;

	assert_true(fd >= 0);
	to.sll_ifindex = (int)if_nametoindex(name);
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	if (header)
		assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void open_bed(struct bed *b, bool header)
{
	struct sr_tap_config c = { .name = "p", .interface = "" };
	struct ifreq ifr = { .ifr_mtu = 9000 };
	struct sr_error e = { 0 };

	*b = (struct bed){ .loop = spawn_loop() };
	pthread_mutex_init(&b->sink.lock, NULL);
	pthread_cond_init(&b->sink.came, NULL);
	c.loop = b->loop;
	b->tap = sr_tap_create(&c, &e);
	if (!b->tap)
		fail_msg("%s", e.text);
	b->port = sr_tap_port(b->tap);
	interface_ioctl(sr_tap_interface(b->tap), SIOCSIFMTU, &ifr);
	set_up(sr_tap_interface(b->tap), true);
	b->packet = packet_socket(sr_tap_interface(b->tap), header);
	b->port->sink_ops = &sink_ops;
	atomic_store(&b->port->sink, &b->sink);
}

static void close_bed(struct bed *b)
{
	sr_tap_destroy(b->tap);
	sr_loop_destroy(b->loop);
	close(b->packet);
	for (unsigned i = 0; i < b->sink.n; i++)
		free(b->sink.seen[i].bytes);
}

static void wait_for(struct sink *s, unsigned n)
{
	pthread_mutex_lock(&s->lock);
	while (s->n < n)
		pthread_cond_wait(&s->came, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* A broadcast frame of our type, numbered, filled with a pattern. */
static void make_frame(uint8_t *p, unsigned len, unsigned number)
{
	memset(p, 0xff, 6);
	memcpy(p + 6, "\x02\x00\x00\x00\x00\x01", 6);
	sr_put_be16(p + 12, TYPE);
	for (unsigned i = 14; i < len; i++)
		p[i] = (uint8_t)(i * 7 + number);
	p[14] = (uint8_t)number;
}

/* The same as the frame that a sender hands over, in pieces of `piece` bytes. */
static void to_frame(struct sr_frame *f, struct iovec *v, uint8_t *bytes, unsigned len,
		     unsigned piece)
{
	*f = (struct sr_frame){ .iov = v, .len = len };
	f->head_len = (uint16_t)sr_min(len, SR_FRAME_HEAD);
	memcpy(f->head, bytes, f->head_len);
	for (unsigned at = f->head_len; at < len; at += piece)
		v[f->niov++] = (struct iovec){ bytes + at, sr_min(piece, len - at) };
}

/* The next frame of `type` from the packet socket; *tci: its VLAN tag, or -1. */
static size_t receive(int fd, uint8_t *p, size_t cap, unsigned at, unsigned type, int *tci)
{
	for (;;) {
		char control[256];
		struct iovec v = { p, cap };
		struct msghdr m = { .msg_iov = &v,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &m, 0);
		struct tpacket_auxdata aux;

		assert_true(n > 0);
		if (sr_get_be16(p + at + 12) != type)
			continue;
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(aux));
		if (tci)
			*tci = aux.tp_status & TP_STATUS_VLAN_VALID ? aux.tp_vlan_tci : -1;
		return (size_t)n;
	}
}

/* ---- from the host's stack to the switch ---- */

static void sent_frames_arrive_whole_at_every_size(void **state)
{
	static const unsigned lens[] = { 60, 63, 64, 65, 1514, 9014 };
	uint8_t p[9014];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	for (unsigned i = 0; i < SR_ARRAY_LEN(lens); i++) {
		make_frame(p, lens[i], i);
		assert_int_equal(send(b.packet, p, lens[i], 0), lens[i]);
	}
	wait_for(&b.sink, SR_ARRAY_LEN(lens));
	for (unsigned i = 0; i < SR_ARRAY_LEN(lens); i++) {
		make_frame(p, lens[i], i);
		assert_int_equal(b.sink.seen[i].len, lens[i]);
		assert_memory_equal(b.sink.seen[i].bytes, p, lens[i]);
		assert_int_equal(b.sink.seen[i].off.gso_type, SR_GSO_NONE);
	}
	assert_int_equal(b.port->counters.tx_bad, 0);
	close_bed(&b);
}

static void a_sent_vlan_tag_stays_in_the_frame(void **state)
{
	uint8_t p[100], want[100];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	make_frame(p, sizeof(p), 1);
	memcpy(p + 12, "\x81\x00\x60\x2a\x88\xb5", 6);
	memcpy(want, p, sizeof(p));
	assert_int_equal(send(b.packet, p, sizeof(p), 0), sizeof(p));
	wait_for(&b.sink, 1);
	assert_int_equal(b.sink.seen[0].len, sizeof(p));
	assert_memory_equal(b.sink.seen[0].bytes, want, sizeof(p));
	close_bed(&b);
}

static void frames_without_room_are_offered_again_before_new_ones(void **state)
{
	uint8_t p[200];
	struct bed b;
	bool seen[41] = { false };

	(void)state;
	open_bed(&b, false);
	/* The first batch waits for the lock, the others for the first. */
	pthread_mutex_lock(&b.sink.lock);
	b.sink.full = 0xaaaaaaaaaaaaaaaa;
	b.sink.full_calls = 30;
	for (unsigned i = 1; i <= 40; i++) {
		make_frame(p, sizeof(p), i);
		assert_int_equal(send(b.packet, p, sizeof(p), 0), sizeof(p));
	}
	pthread_mutex_unlock(&b.sink.lock);
	wait_for(&b.sink, 40);
	for (unsigned i = 0; i < 40; i++) {
		unsigned number = b.sink.seen[i].bytes[14];

		make_frame(p, sizeof(p), number);
		assert_memory_equal(b.sink.seen[i].bytes, p, sizeof(p));
		assert_false(seen[number]);
		seen[number] = true;
	}
	assert_false(b.sink.disorder);
	assert_int_equal(b.sink.full_calls, 0);
	assert_int_equal(b.port->counters.tx_dropped, 0);
	close_bed(&b);
}

static void without_a_sink_frames_are_counted_as_dropped(void **state)
{
	uint8_t p[100];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	atomic_store(&b.port->sink, NULL);
	make_frame(p, sizeof(p), 1);
	assert_int_equal(send(b.packet, p, sizeof(p), 0), sizeof(p));
	while (atomic_load(&b.port->counters.tx_dropped) < 1)
		sched_yield();
	close_bed(&b);
}

/* ---- offloads ---- */

#define PAYLOAD	  4000
#define TCP_FRAME (14 + 20 + 20 + PAYLOAD)

static uint16_t sum16(const uint8_t *p, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i < len; i += 2)
		sum += sr_get_be16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* IPv4 and TCP with a partial checksum, to be cut into segments of 1000 bytes. */
static void make_tcp(uint8_t *p)
{
	uint8_t *ip = p + 14, *tcp = p + 34;

	memset(p, 0, TCP_FRAME);
	make_frame(p, TCP_FRAME, 3);
	sr_put_be16(p + 12, ETH_P_IP);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	sr_put_be16(ip + 2, TCP_FRAME - 14);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	sr_put_be16(ip + 10, (uint16_t)~sum16(ip, 20, 0));
	sr_put_be16(tcp, 1000);
	sr_put_be16(tcp + 2, 2000);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
	sr_put_be16(tcp + 16, sum16(ip + 12, 8, IPPROTO_TCP + 20 + PAYLOAD));
}

static void a_large_sent_frame_stays_one_with_its_checksum_to_be_done(void **state)
{
	uint8_t p[sizeof(struct virtio_net_hdr) + TCP_FRAME];
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				    .hdr_len = 54,
				    .gso_size = 1000,
				    .csum_start = 34,
				    .csum_offset = 16 };
	const struct sr_offload *off;
	struct bed b;

	(void)state;
	open_bed(&b, true);
	memcpy(p, &h, sizeof(h));
	make_tcp(p + sizeof(h));
	assert_int_equal(send(b.packet, p, sizeof(p), 0), sizeof(p));
	wait_for(&b.sink, 1);
	off = &b.sink.seen[0].off;
	assert_int_equal(b.sink.seen[0].len, TCP_FRAME);
	assert_memory_equal(b.sink.seen[0].bytes, p + sizeof(h), TCP_FRAME);
	assert_int_equal(off->flags & SR_OFF_NEEDS_CSUM, SR_OFF_NEEDS_CSUM);
	assert_int_equal(off->gso_type, SR_GSO_TCPV4);
	assert_int_equal(off->gso_size, 1000);
	assert_int_equal(off->csum_start, 34);
	assert_int_equal(off->csum_offset, 16);
	close_bed(&b);
}

static void a_large_received_frame_stays_one_with_its_checksum_to_be_done(void **state)
{
	uint8_t p[TCP_FRAME], got[sizeof(struct virtio_net_hdr) + TCP_FRAME + 100];
	const struct sr_frame *list[1];
	struct virtio_net_hdr h;
	struct iovec v[8];
	struct sr_frame f;
	struct bed b;

	(void)state;
	open_bed(&b, true);
	make_tcp(p);
	to_frame(&f, v, p, TCP_FRAME, 1000);
	f.off = (struct sr_offload){ SR_OFF_NEEDS_CSUM, SR_GSO_TCPV4, 54, 1000, 34, 16 };
	list[0] = &f;
	assert_int_equal(sr_port_send(b.port, list, 1, 0), 1);
	assert_int_equal(receive(b.packet, got, sizeof(got), sizeof(h), ETH_P_IP, NULL),
			 sizeof(h) + TCP_FRAME);
	memcpy(&h, got, sizeof(h));
	assert_int_equal(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1000);
	assert_memory_equal(got + sizeof(h), p, TCP_FRAME);
	close_bed(&b);
}

/* IPv6 without extension headers in front of the same TCP. */
static void make_tcp6(uint8_t *p)
{
	uint8_t *ip = p + 14;

	make_tcp(p);
	sr_put_be16(p + 12, ETH_P_IPV6);
	memset(ip, 0, 60);
	ip[0] = 0x60;
	sr_put_be16(ip + 4, TCP_FRAME - 54);
	ip[6] = IPPROTO_TCP;
	ip[7] = 64;
	ip[8] = ip[24] = 0xfe;
	ip[9] = ip[25] = 0x80;
	ip[52] = 5 << 4;
	ip[53] = 0x10;
}

static void make_udp(uint8_t *p)
{
	make_tcp(p);
	p[23] = IPPROTO_UDP;
	sr_put_be16(p + 24, 0);
	sr_put_be16(p + 24, (uint16_t)~sum16(p + 14, 20, 0));
	sr_put_be16(p + 38, 20 + PAYLOAD);
}

static void the_kernel_takes_what_the_port_says_it_can(void **state)
{
	const uint8_t csum = SR_OFF_NEEDS_CSUM;
	const struct {
		uint32_t can;
		void (*make)(uint8_t *p);
		struct sr_offload off;
	} cases[] = {
		{ SR_CAN_CSUM, make_tcp, { csum, SR_GSO_NONE, 54, 0, 34, 16 } },
		{ SR_CAN_TSO4, make_tcp, { csum, SR_GSO_TCPV4, 54, 1000, 34, 16 } },
		{ SR_CAN_TSO6, make_tcp6, { csum, SR_GSO_TCPV6, 74, 1000, 54, 16 } },
		{ SR_CAN_ECN, make_tcp, { csum, SR_GSO_TCPV4 | SR_GSO_ECN, 54, 1000, 34, 16 } },
		{ SR_CAN_UFO, make_udp, { csum, SR_GSO_UDP, 42, 1000, 34, 6 } },
		{ SR_CAN_USO4, make_udp, { csum, SR_GSO_UDP_L4, 42, 1000, 34, 6 } },
		/* A guest's hint that points outside. */
		{ SR_CAN_TSO4, make_tcp, { csum, SR_GSO_TCPV4, 60000, 1000, 34, 16 } },
	};
	uint8_t p[TCP_FRAME];
	struct iovec v[8];
	struct sr_frame f;
	const struct sr_frame *list[] = { &f };
	struct bed b;

	(void)state;
	open_bed(&b, false);
	assert_int_equal(atomic_load(&b.port->can) & ~(uint32_t)(SR_CAN_USO4 | SR_CAN_USO6),
			 SR_CAN_CSUM | SR_CAN_TSO4 | SR_CAN_TSO6 | SR_CAN_ECN | SR_CAN_UFO);
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		if (!(atomic_load(&b.port->can) & cases[i].can))
			continue;
		cases[i].make(p);
		to_frame(&f, v, p, TCP_FRAME, 1000);
		f.off = cases[i].off;
		assert_int_equal(sr_port_send(b.port, list, 1, 0), 1);
		if (b.port->counters.rx_dropped)
			fail_msg("case %u was refused", i);
	}
	close_bed(&b);
}

static void headers_that_lie_outside_the_frame_are_refused(void **state)
{
	const uint8_t csum = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	const struct {
		struct tap_header h;
		bool good;
	} cases[] = {
		{ { 0 }, true },
		{ { csum, 0, 0, 0, 34, 16 }, true },
		{ { csum, 0, 0, 0, 82, 16 }, true },
		{ { csum, 0, 0, 0, 83, 16 }, false }, /* one past the end */
		{ { csum, 0, 0, 0, 0xffff, 0xffff }, false },
		{ { csum, 0, 0, 0, 13, 16 }, false }, /* in the Ethernet header */
		{ { csum, 1, 54, 1000, 34, 16 }, true },
		{ { csum, 0x81, 54, 1000, 34, 16 }, true },
		{ { csum, 0x83, 54, 1000, 34, 16 }, false }, /* ECN on UDP */
		{ { csum, 1, 54, 0, 34, 16 }, false },
		{ { csum, 2, 54, 1000, 34, 16 }, false },
		{ { csum, 0x80, 54, 1000, 34, 16 }, false },
		{ { 0, 1, 54, 1000, 34, 16 }, false }, /* GSO, but the checksum is done */
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(cases); i++) {
		struct sr_offload off;

		if (tap_header_parse(&cases[i].h, 100, &off) != cases[i].good)
			fail_msg("case %u", i);
	}
}

/* ---- from the switch to the host's stack ---- */

static void received_frames_arrive_whole_in_any_number_of_pieces(void **state)
{
	static const unsigned lens[] = { 14, 60, 64, 65, 1514, 9014, 9014 };
	static const unsigned pieces[] = { 1, 9000, 100, 1, 1, 7, 1 };
	uint8_t p[9014], got[10000];
	const struct sr_frame *list[1];
	uint64_t bytes = 0;
	struct iovec *v = calloc(9014, sizeof(*v));
	struct sr_frame f;
	struct bed b;

	(void)state;
	open_bed(&b, false);
	list[0] = &f;
	for (unsigned i = 0; i < SR_ARRAY_LEN(lens); i++) {
		make_frame(p, sizeof(p), i);
		to_frame(&f, v, p, lens[i], pieces[i]);
		assert_int_equal(sr_port_send(b.port, list, 1, 0), 1);
		assert_int_equal(receive(b.packet, got, sizeof(got), 0, TYPE, NULL), lens[i]);
		assert_memory_equal(got, p, lens[i]);
		bytes += lens[i];
	}
	assert_int_equal(b.port->counters.rx_frames, SR_ARRAY_LEN(lens));
	assert_int_equal(b.port->counters.rx_bytes, bytes);
	assert_int_equal(b.port->counters.rx_dropped, 0);
	close_bed(&b);
	free(v);
}

static void a_received_vlan_tag_reaches_the_stack(void **state)
{
	uint8_t p[100], got[200];
	const struct sr_frame *list[1];
	struct iovec v[4];
	struct sr_frame f;
	struct bed b;
	int tci;

	(void)state;
	open_bed(&b, false);
	make_frame(p, sizeof(p), 1);
	memcpy(p + 12, "\x81\x00\x60\x2a\x88\xb5", 6);
	to_frame(&f, v, p, sizeof(p), 100);
	list[0] = &f;
	assert_int_equal(sr_port_send(b.port, list, 1, 0), 1);
	assert_int_equal(receive(b.packet, got, sizeof(got), 0, TYPE, &tci), sizeof(p) - 4);
	assert_int_equal(tci, 0x602a);
	assert_memory_equal(got + 14, p + 18, sizeof(p) - 18);
	close_bed(&b);
}

static void what_a_down_interface_refuses_is_counted_as_dropped(void **state)
{
	uint8_t p[100];
	struct sr_frame f;
	const struct sr_frame *list[] = { &f, &f, &f };
	struct iovec v[4];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	set_up(sr_tap_interface(b.tap), false);
	make_frame(p, sizeof(p), 1);
	to_frame(&f, v, p, sizeof(p), 100);
	assert_int_equal(sr_port_send(b.port, list, 3, 0), 3);
	assert_int_equal(b.port->counters.rx_dropped, 3);
	assert_int_equal(b.port->counters.rx_frames, 0);
	close_bed(&b);
}

static void *send_many(void *ctx)
{
	struct bed *b = ctx;
	uint8_t p[300];
	struct sr_frame f;
	const struct sr_frame *list[32];
	struct iovec v[4];

	make_frame(p, sizeof(p), 9);
	to_frame(&f, v, p, sizeof(p), 100);
	for (unsigned i = 0; i < 32; i++)
		list[i] = &f;
	for (unsigned i = 0; i < 50; i++)
		if (sr_port_send(b->port, list, 32, i) != 32)
			abort();
	return NULL;
}

static void several_threads_may_send_at_a_time(void **state)
{
	pthread_t threads[3];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, &b), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(b.port->counters.rx_frames + b.port->counters.rx_dropped, 3 * 50 * 32);
	close_bed(&b);
}

/* ---- opening ---- */

static struct sr_tap *try_tap(struct sr_loop *l, const char *interface, struct sr_error *e)
{
	const struct sr_tap_config c = { .name = "p", .interface = interface, .loop = l };

	*e = (struct sr_error){ 0 };
	return sr_tap_create(&c, e);
}

static void names_that_cannot_be_opened_are_clear_errors(void **state)
{
	struct sr_loop *l = spawn_loop();
	struct sr_tap *first;
	struct sr_error e;

	(void)state;
	assert_null(try_tap(l, "a-name-of-16-byt", &e));
	assert_int_equal(e.code, -EINVAL);
	assert_non_null(strstr(e.text, "16 characters; at most 15"));
	assert_null(try_tap(l, "lo", &e));
	assert_int_equal(e.code, -EINVAL);
	assert_non_null(strstr(e.text, "not a tap"));
	first = try_tap(l, "fifteen-letters", &e);
	assert_non_null(first);
	assert_string_equal(sr_tap_interface(first), "fifteen-letters");
	assert_string_equal(sr_tap_port(first)->name, "p");
	assert_null(try_tap(l, "fifteen-letters", &e));
	assert_int_equal(e.code, -EBUSY);
	sr_tap_destroy(first);
	assert_int_equal(if_nametoindex("fifteen-letters"), 0);
	sr_tap_destroy(NULL);
	sr_loop_destroy(l);
}

static void without_the_right_the_error_gives_advice(void **state)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2], less[2];
	struct sr_loop *l = spawn_loop();
	struct sr_tap *t;
	struct sr_error e;

	(void)state;
	assert_int_equal(syscall(SYS_capget, &h, caps), 0);
	memcpy(less, caps, sizeof(less));
	less[0].effective &= ~(1u << CAP_NET_ADMIN);
	assert_int_equal(syscall(SYS_capset, &h, less), 0);
	t = try_tap(l, "tap9", &e);
	assert_int_equal(syscall(SYS_capset, &h, caps), 0);
	assert_null(t);
	assert_int_equal(e.code, -EPERM);
	assert_non_null(strstr(e.text, "CAP_NET_ADMIN"));
	sr_loop_destroy(l);
}

static void a_multi_queue_tap_of_somebody_else_is_taken(void **state)
{
	struct ifreq ifr = { .ifr_name = "theirs",
			     .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE };
	struct sr_loop *l = spawn_loop();
	int fd = open("/dev/net/tun", O_RDWR);
	struct sr_tap *t;
	struct sr_error e;

	(void)state;
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	t = try_tap(l, "theirs", &e);
	if (!t)
		fail_msg("%s", e.text);
	sr_tap_destroy(t);
	assert_int_not_equal(if_nametoindex("theirs"), 0);
	sr_loop_destroy(l);
}

static void delete_link(const char *name)
{
	struct {
		uint32_t len;
		uint16_t type, flags;
		uint32_t seq, pid;
		uint8_t family, pad;
		uint16_t device;
		int32_t index;
		uint32_t link_flags, change;
	} m = { .len = sizeof(m), .type = 17 /* RTM_DELLINK */, .flags = 1 /* request */ };
	int fd = socket(AF_NETLINK, SOCK_RAW, 0);

	m.index = (int32_t)if_nametoindex(name);
	assert_int_equal(send(fd, &m, sizeof(m), 0), sizeof(m));
	close(fd);
}

static void no_log(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)level;
	assert_string_equal(subject, "p");
	assert_non_null(strstr(text, "deleted"));
	atomic_fetch_add((_Atomic unsigned *)ctx, 1);
}

static void a_deleted_interface_takes_the_link_down_once(void **state)
{
	_Atomic unsigned lines = 0;
	uint8_t p[100];
	struct sr_frame f;
	const struct sr_frame *list[] = { &f };
	struct iovec v[4];
	struct bed b;

	(void)state;
	open_bed(&b, false);
	sr_log_to(no_log, &lines);
	delete_link(sr_tap_interface(b.tap));
	while (atomic_load(&b.port->link))
		sched_yield();
	make_frame(p, sizeof(p), 1);
	to_frame(&f, v, p, sizeof(p), 100);
	assert_int_equal(sr_port_send(b.port, list, 1, 0), 0);
	close_bed(&b);
	sr_log_to(NULL, NULL);
	assert_int_equal(atomic_load(&lines), 1);
}

/* A namespace where nothing speaks but us; 77 is meson's way to say skipped. */
static void enter_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("skipped: no network namespace: %m\n");
		exit(77);
	}
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0) {
		printf("skipped: /dev/net/tun: %m\n");
		exit(77);
	}
	close(fd);
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
	if (fd >= 0) {
		if (write(fd, "1", 1) != 1)
			printf("IPv6 stays on\n");
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sent_frames_arrive_whole_at_every_size),
		cmocka_unit_test(a_sent_vlan_tag_stays_in_the_frame),
		cmocka_unit_test(frames_without_room_are_offered_again_before_new_ones),
		cmocka_unit_test(without_a_sink_frames_are_counted_as_dropped),
		cmocka_unit_test(a_large_sent_frame_stays_one_with_its_checksum_to_be_done),
		cmocka_unit_test(a_large_received_frame_stays_one_with_its_checksum_to_be_done),
		cmocka_unit_test(the_kernel_takes_what_the_port_says_it_can),
		cmocka_unit_test(headers_that_lie_outside_the_frame_are_refused),
		cmocka_unit_test(received_frames_arrive_whole_in_any_number_of_pieces),
		cmocka_unit_test(a_received_vlan_tag_reaches_the_stack),
		cmocka_unit_test(what_a_down_interface_refuses_is_counted_as_dropped),
		cmocka_unit_test(several_threads_may_send_at_a_time),
		cmocka_unit_test(names_that_cannot_be_opened_are_clear_errors),
		cmocka_unit_test(without_the_right_the_error_gives_advice),
		cmocka_unit_test(a_multi_queue_tap_of_somebody_else_is_taken),
		cmocka_unit_test(a_deleted_interface_takes_the_link_down_once),
	};

	enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
