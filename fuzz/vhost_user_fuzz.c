/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile front-end and its guest, against a real session with a real net device on a real
 * switch. The input's first bytes choose how a sound session is set up: features, rings, memory.
 * The rest is a list of steps: messages, sound but for one field or made of any bytes, with
 * descriptors of any kind; writes to the guest's memory and rings; frames from the neighbour;
 * the memory's file cut short; a hang-up in the midst of a message and a new connection.
 *
 * One loop, turned by hand on this thread, is control and worker at once, so that an input does
 * the same each time.
 *
 * Holds: replies are whole, flagged as replies, and no more than messages were sent; after the
 * end no file descriptor, mapping or frame counter is off.
 */
#include "input.h"

#include "channel.h"
#include "session.h"
#include "split_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <slipring/net.h>
#include <slipring/switch.h>
#include <slipring/virtio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEM	0x40000u /* bytes of the guest's memory, in two regions */
#define HALF	(MEM / 2)
#define GPA	0x100000ull
#define UVA	0x7f0000000000ull
#define RINGS	5u /* two pairs and the control queue */
#define STRIDE	0x2000u
#define ENTRIES 16u
#define BUFFERS 0x10000u
#define STEPS	300u
#define FDS_MAX 64 /* numbers looked at for leaks */

struct world {
	struct sr_loop *loop;
	struct sr_switch *sw;
	struct sr_net *net;
	struct sr_port neighbour;
	bool neighbour_full;
	struct sr_session *session;
	struct sr_session_config config;
	int fd;	   /* the front-end's end, or -1 */
	int memfd; /* the guest's memory, written with pwrite only: it may be cut short */
	int kick[RINGS];
	uint16_t avail[RINGS];
	unsigned sent, answered;
	struct sr_vu_channel replies;
};

static struct world w;
static bool open_before[FDS_MAX];

/* ---- the neighbour: reads every byte of what it is sent ---- */

static volatile uint8_t read_here;

static unsigned neighbour_send(struct sr_port *p, const struct sr_frame *const *f, unsigned n,
			       unsigned lane)
{
	(void)p;
	(void)lane;
	if (w.neighbour_full)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t bytes = f[i]->head_len;

		MUST(f[i]->head_len == sr_min(f[i]->len, SR_FRAME_HEAD));
		for (unsigned k = 0; k < f[i]->niov; k++) {
			const uint8_t *p8 = f[i]->iov[k].iov_base;

			for (size_t b = 0; b < f[i]->iov[k].iov_len; b++)
				read_here ^= p8[b];
			bytes += f[i]->iov[k].iov_len;
		}
		MUST(bytes == f[i]->len);
	}
	return n;
}

static const struct sr_port_ops neighbour_ops = { .send = neighbour_send, .can_wait = true };

/* ---- the world ---- */

static void stop(void *ctx)
{
	sr_loop_stop(ctx);
}

/* One round: what has arrived, posts, pollers. */
static void turn(void)
{
	MUST(!sr_loop_post(w.loop, stop, w.loop));
	MUST(!sr_loop_run(w.loop, NULL));
}

static void ended(void *ctx, const char *error)
{
	(void)ctx;
	(void)error;
	w.session = NULL;
}

static void note_open(bool open[FDS_MAX])
{
	for (int i = 0; i < FDS_MAX; i++)
		open[i] = fcntl(i, F_GETFD) >= 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sr_loop_config lc = { .name = "fuzz", .cpu = -1, .poll_us = SR_POLL_NEVER };
	struct sr_switch_config sc = { .mac_limit = 64, .wait_us = 100 };
	struct sr_net_config nc = { .name = "victim", .pairs = 2, .mtu = 1500 };

	(void)argc;
	(void)argv;
	sr_log_to(quiet, NULL);
	w.loop = sr_loop_create(&lc, NULL);
	w.sw = sr_switch_create(&sc, NULL);
	w.net = sr_net_create(&nc, NULL);
	MUST(w.loop && w.sw && w.net);
	w.neighbour.ops = &neighbour_ops;
	w.neighbour.name = "neighbour";
	atomic_store(&w.neighbour.link, true);
	MUST(!sr_switch_attach(w.sw, sr_net_port(w.net), NULL));
	MUST(!sr_switch_attach(w.sw, &w.neighbour, NULL));
	w.config = (struct sr_session_config){ .device = sr_net_device(w.net),
					       .control = w.loop,
					       .workers = &w.loop,
					       .nworkers = 1,
					       .ended = ended };
	return 0;
}

/* ---- messages ---- */

static void connect_now(void)
{
	int pair[2];

	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	w.fd = pair[0];
	sr_vu_channel_init(&w.replies, w.fd);
	w.sent = w.answered = 0;
	w.session = sr_session_begin(&w.config, pair[1], NULL);
	MUST(w.session);
}

static void hang_up(void)
{
	if (w.fd < 0)
		return;
	sr_vu_channel_finish(&w.replies);
	close(w.fd);
	w.fd = -1;
	turn();
	sr_session_end(w.session); /* a loop that is busy may not have seen it yet */
	w.session = NULL;
}

static void read_replies(void)
{
	while (w.fd >= 0 && sr_vu_channel_receive(&w.replies, NULL) == 1) {
		MUST(w.replies.m.flags == SR_VU_REPLY_FLAGS && w.replies.m.nfds == 0);
		MUST(w.replies.m.request < SR_VU_REQUESTS || w.replies.m.size == 8);
		MUST(++w.answered <= w.sent);
	}
}

static int make_fd(unsigned kind)
{
	int pair[2], fd;

	switch (kind % 8) {
	case 0:
	case 1:
		return dup(w.memfd);
	case 2:
	case 3:
		return eventfd(kind & 8 ? 5 : 0, kind & 16 ? EFD_NONBLOCK : 0);
	case 4:
		MUST(!socketpair(AF_UNIX, kind & 8 ? SOCK_DGRAM : SOCK_STREAM, 0, pair));
		close(pair[0]);
		return pair[1];
	case 5:
		MUST(!pipe(pair));
		close(pair[kind >> 3 & 1]);
		return pair[!(kind >> 3 & 1)];
	case 6:
		fd = memfd_create("small", 0);
		MUST(!ftruncate(fd, kind >> 3 & 1 ? 100 : 0));
		return fd;
	default:
		return open("/dev/null", O_RDWR);
	}
}

static void send_message(uint32_t request, uint32_t flags, const void *payload, uint32_t size,
			 const int *fds, unsigned nfds)
{
	if (w.fd >= 0 && !sr_vu_send(w.fd, request, flags, payload, size, fds, nfds))
		w.sent++;
	for (unsigned i = 0; i < nfds; i++)
		close(fds[i]);
}

static void say(uint32_t request, const void *payload, uint32_t size, int fd)
{
	send_message(request, SR_VU_VERSION, payload, size, &fd, fd >= 0);
}

static void say_u64(uint32_t request, uint64_t value, int fd)
{
	say(request, &value, sizeof(value), fd);
}

static void say_state(uint32_t request, uint32_t index, uint32_t num)
{
	say(request, &(struct sr_vu_state){ index, num }, sizeof(struct sr_vu_state), -1);
}

static struct sr_vu_addr sound_addr(unsigned q)
{
	uint64_t at = UVA + q * STRIDE;

	return (struct sr_vu_addr){ .index = q,
				    .desc = at,
				    .avail = at + 0x800,
				    .used = at + 0x1000,
				    .log = GPA + q * STRIDE + 0x1000 };
}

static struct sr_vu_region sound_region(unsigned i)
{
	return (struct sr_vu_region){
		.gpa = GPA + i * HALF, .size = HALF, .uva = UVA + i * HALF, .mmap_offset = i * HALF
	};
}

static void share(void)
{
	struct sr_vu_mem_table t = { .n = 2, .regions = { sound_region(0), sound_region(1) } };
	int fds[2] = { dup(w.memfd), dup(w.memfd) };

	send_message(SR_VU_SET_MEM_TABLE, SR_VU_VERSION, &t, SR_VU_MEM_TABLE_SIZE(2), fds, 2);
}

static void start_ring(unsigned q)
{
	struct sr_vu_addr a = sound_addr(q);

	if (w.kick[q] >= 0)
		close(w.kick[q]);
	w.kick[q] = eventfd(0, EFD_NONBLOCK);
	say_state(SR_VU_SET_VRING_NUM, q, ENTRIES);
	say_state(SR_VU_SET_VRING_BASE, q, w.avail[q]);
	say(SR_VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	say_u64(SR_VU_SET_VRING_CALL, q, eventfd(0, 0));
	say_u64(SR_VU_SET_VRING_KICK, q, dup(w.kick[q]));
	say_state(SR_VU_SET_VRING_ENABLE, q, 1);
}

/* ---- the guest ---- */

static void write_at(uint64_t offset, const void *p, size_t len)
{
	/* Past the end the file would grow. */
	if (offset < MEM)
		(void)!pwrite(w.memfd, p, sr_min(len, MEM - offset), (off_t)offset);
}

/* A chain of up to four buffers at entries 4 * slot, offered and kicked. */
static void offer(struct input *in, unsigned q)
{
	uint8_t how = input_u8(in);
	unsigned slot = how & 3, n = 1 + (how >> 2 & 3);
	uint16_t head = (uint16_t)(slot * 4), next;

	for (unsigned i = 0; i < n; i++) {
		struct split_desc d = { .addr = GPA + BUFFERS + input_u8(in) * 0x200u,
					.len = input_u16(in) % 2048,
					.flags = (uint16_t)((i + 1 < n ? SPLIT_DESC_NEXT : 0) |
							    (q & 1 ? 0 : SPLIT_DESC_WRITE)),
					.next = (uint16_t)(head + i + 1) };

		if (how & 0x40) {
			d.flags ^= input_u8(in) & 7;
			d.addr ^= (uint64_t)input_u16(in) << 8;
		}
		if (how & 0x80)
			d.len = input_u32(in);
		write_at(q * STRIDE + 16u * (head + i), &d, sizeof(d));
	}
	write_at(q * STRIDE + 0x800 + 4 + 2u * (w.avail[q] % ENTRIES), &head, 2);
	next = ++w.avail[q];
	write_at(q * STRIDE + 0x800 + 2, &next, 2);
	if (how & 0x10 && w.kick[q] >= 0)
		eventfd_write(w.kick[q], 1);
}

/* An Ethernet frame behind a virtio-net header, where tx buffers are. */
static void write_frame(struct input *in)
{
	uint8_t bytes[128];
	unsigned n = input_u8(in) % sizeof(bytes);

	input_bytes(in, bytes, n);
	write_at(BUFFERS + input_u8(in) * 0x200u, bytes, n);
}

static void write_any(struct input *in)
{
	uint8_t bytes[64];
	unsigned n = input_u8(in) % sizeof(bytes);
	uint32_t at = input_u32(in) % MEM;

	input_bytes(in, bytes, n);
	write_at(at, bytes, n);
}

static void from_neighbour(struct input *in)
{
	static uint8_t body[SR_FRAME_MAX];
	struct iovec v = { body, 0 };
	struct sr_frame f = { .iov = &v, .niov = 1 };
	uint8_t how = input_u8(in);

	f.len = how & 1 ? input_u16(in) + SR_FRAME_MIN : 60;
	f.head_len = (uint16_t)sr_min(f.len, SR_FRAME_HEAD);
	input_bytes(in, f.head, sr_min(f.head_len, how >> 4 & 1 ? SR_FRAME_HEAD : 16));
	if (how & 2)
		memset(f.head, 0xff, 6);
	f.head[6] &= 0xfe;
	v.iov_len = f.len - f.head_len;
	f.niov = v.iov_len > 0;
	sr_port_forward(&w.neighbour, &f, 1, 1, how >> 6);
}

/* ---- steps ---- */

static uint32_t ring_index(struct input *in)
{
	uint8_t i = input_u8(in);

	return i < 0xf0 ? i % RINGS : i == 0xff ? input_u32(in) : i;
}

/* A message with the payload its row wants, sound but for what the input changes. */
static void shaped_message(struct input *in)
{
	uint32_t request = 1 + input_u8(in) % (SR_VU_REQUESTS - 1);
	uint8_t how = input_u8(in);
	const struct sr_vu_row *row = sr_vu_front_row(request);
	unsigned nfds = how & 4 ? input_u8(in) % 9 : row->fds_min, q;
	struct sr_vu_message m = { .size = row->max };
	int fds[SR_VU_FDS_MAX];

	switch (row->payload) {
	case SR_VU_PAYLOAD_STATE:
		m.p.state = (struct sr_vu_state){ ring_index(in), input_u8(in) };
		break;
	case SR_VU_PAYLOAD_ADDR:
		q = ring_index(in);
		m.p.addr = sound_addr(q % RINGS);
		m.p.addr.index = q;
		m.p.addr.flags = how >> 4 & 1;
		break;
	case SR_VU_PAYLOAD_RING_FD:
		m.p.u64 = ring_index(in) | (how & 16 ? SR_VU_NO_FD : 0);
		nfds = how & 4 ? nfds : !(how & 16);
		break;
	case SR_VU_PAYLOAD_TABLE:
		m.p.table.n = nfds = input_u8(in) % 10;
		nfds = (unsigned)sr_min(nfds, SR_VU_TABLE_MAX);
		for (unsigned i = 0; i < nfds; i++)
			m.p.table.regions[i] = sound_region(i);
		break;
	case SR_VU_PAYLOAD_REGION:
		m.p.reg.region = sound_region(how >> 4 & 3);
		nfds = how & 4 ? nfds : request == SR_VU_ADD_MEM_REG;
		break;
	case SR_VU_PAYLOAD_LOG:
		m.p.log = (struct sr_vu_log){ input_u16(in), input_u16(in) };
		nfds = how & 4 ? nfds : 1;
		break;
	case SR_VU_PAYLOAD_CONFIG:
		m.p.config.offset = input_u8(in);
		m.p.config.size = input_u8(in);
		m.size = SR_VU_CONFIG_HEADER + m.p.config.size;
		break;
	default:
		m.p.u64 = input_u64(in);
	}
	if (how & 2) /* one word of it is any other */
		input_bytes(in, m.p.bytes + input_u8(in), 8);
	if (how & 8)
		m.size = input_u16(in) % (SR_VU_PAYLOAD_MAX + 1);
	nfds = (unsigned)sr_min(nfds, SR_VU_FDS_MAX);
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = make_fd(how & 32				 ? input_u8(in)
				 : row->payload == SR_VU_PAYLOAD_RING_FD ? 2
									 : 0);
	send_message(request, SR_VU_VERSION | (how & 1 ? SR_VU_NEED_REPLY : 0), m.p.bytes, m.size,
		     fds, nfds);
}

/* Any bytes, which need not be a whole message, with descriptors. */
static void any_bytes(struct input *in)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	uint8_t bytes[256];
	struct iovec v = { bytes, 1 + input_u8(in) };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };
	unsigned nfds = input_u8(in) % 16;
	int fds[16];

	input_bytes(in, bytes, v.iov_len);
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = make_fd(input_u8(in));
	if (nfds) {
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
	}
	if (w.fd >= 0 && sendmsg(w.fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		w.sent += 22; /* headers alone, at most */
	for (unsigned i = 0; i < nfds; i++)
		close(fds[i]);
}

static void set_up(struct input *in)
{
	uint64_t offer = w.config.device->ops->features(w.config.device) | SR_F_PROTOCOL_FEATURES;
	uint8_t how = input_u8(in), rings = input_u8(in);
	uint64_t off = input_u64(in);

	connect_now();
	/* Most features are on unless the input clears them. */
	say_u64(SR_VU_SET_FEATURES,
		(offer & ~off) | SR_F_PROTOCOL_FEATURES | (how & 1 ? SR_F_LOG_ALL : 0), -1);
	say_u64(SR_VU_SET_PROTOCOL_FEATURES, how & 2 ? 0x1003fu & off : 0x1a23fu, -1);
	if (how & 1)
		say(SR_VU_SET_LOG_BASE, &(struct sr_vu_log){ 0x1000, 0 }, 16, make_fd(0));
	if (!(how & 4))
		share();
	for (unsigned q = 0; q < RINGS; q++)
		if (!(rings >> q & 1))
			start_ring(q);
	turn();
	turn();
	read_replies();
}

static void step(struct input *in)
{
	uint8_t op = input_u8(in);

	switch (op % 16) {
	case 0:
	case 1:
	case 2:
		shaped_message(in);
		break;
	case 3:
		any_bytes(in);
		break;
	case 4:
	case 5:
	case 6:
		offer(in, op / 16 % RINGS);
		break;
	case 7:
		write_any(in);
		break;
	case 8:
		write_frame(in);
		break;
	case 9:
	case 10:
		from_neighbour(in);
		break;
	case 11:
		w.neighbour_full = op & 16;
		break;
	case 12:
		if (op & 16)
			(void)!ftruncate(w.memfd, input_u16(in) * 16 % MEM);
		else
			sr_net_set_link(w.net, op & 32);
		break;
	case 13:
		if (op & 16)
			hang_up();
		if (w.fd < 0)
			connect_now();
		share();
		break;
	case 14:
		start_ring(op / 16 % RINGS);
		break;
	default:
		read_replies();
	}
	turn();
}

static void check_fds(void)
{
	bool now[FDS_MAX];

	note_open(now);
	for (int i = 0; i < FDS_MAX; i++)
		MUST(now[i] == open_before[i]);
}

/* Of the guest's memory; /proc is slow, so not each time. */
static void check_maps(void)
{
	static unsigned runs;
	char line[512];
	FILE *f;

	if (++runs % 512)
		return;
	f = fopen("/proc/self/maps", "r");
	MUST(f);
	while (fgets(line, sizeof(line), f))
		MUST(!strstr(line, "memfd:guest"));
	fclose(f);
}

/* Each frame from the guest is counted once: nothing is to be said about how many, but sums must
 * not run backwards past zero. */
static void check_counters(void)
{
	const struct sr_port_counters *c = &sr_net_port(w.net)->counters;

	MUST(c->tx_frames < 1ull << 40 && c->tx_bad < 1ull << 40 && c->tx_dropped < 1ull << 40);
	MUST(c->rx_frames < 1ull << 40 && c->rx_dropped < 1ull << 40);
	MUST(!sr_net_info(w.net).pairs_running && !sr_net_port(w.net)->link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	note_open(open_before);
	w.memfd = memfd_create("guest", MFD_CLOEXEC);
	MUST(w.memfd >= 0 && !ftruncate(w.memfd, MEM));
	w.neighbour_full = false;
	w.fd = -1;
	for (unsigned q = 0; q < RINGS; q++) {
		w.kick[q] = -1;
		w.avail[q] = 0;
	}
	sr_net_set_link(w.net, true);
	set_up(&in);
	for (unsigned i = 0; i < STEPS && input_more(&in); i++)
		step(&in);
	hang_up();
	turn();
	for (unsigned q = 0; q < RINGS; q++)
		if (w.kick[q] >= 0)
			close(w.kick[q]);
	close(w.memfd);
	check_fds();
	check_maps();
	check_counters();
	sr_switch_flush(w.sw, sr_net_port(w.net));
	sr_switch_flush(w.sw, &w.neighbour);
	return 0;
}
