/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "bench.h"
#include "message.h"

#include <errno.h>
#include <poll.h>
#include <slipring/virtio.h>
#include <stdlib.h>
#include <unistd.h>

#define RX_BYTES       2036u /* with the header: 2048, as guests have them */
#define RX_BYTES_WHOLE 1536u /* at least, where a buffer has to hold a whole frame */

static uint64_t wanted_features(const struct bench_options *o)
{
	uint64_t f = SR_F_VERSION_1;

	if (o->mergeable)
		f |= SR_NET_F_MRG_RXBUF;
	/* Index comparisons cost a poller something and bring it nothing. */
	if (!o->busy)
		f |= SR_F_EVENT_IDX;
	if (o->queues > 1)
		f |= SR_NET_F_MQ;
	if (o->tso)
		f |= SR_NET_F_CSUM | SR_NET_F_GUEST_CSUM | SR_NET_F_HOST_TSO4 | SR_NET_F_GUEST_TSO4;
	return f;
}

static struct sr_net_driver_config driver_config(const struct bench_options *o)
{
	struct sr_net_driver_config c = {
		.pairs = o->queues,
		.ring_size = o->ring,
		.tx_bytes = o->size,
		.rx_bytes = o->mergeable ? RX_BYTES : (uint32_t)sr_max(RX_BYTES_WHOLE, o->size),
	};

	return c;
}

static int open_frontend(struct bench_client *c, struct sr_error *e)
{
	const struct bench_options *o = c->options;
	struct sr_frontend_config fc = {
		.socket = o->socket[c->side],
		.listen = o->listen,
		.timeout_ms = o->listen ? 30000 : 0,
		.features = wanted_features(o),
		.required = wanted_features(o) & ~SR_F_EVENT_IDX,
		.protocol_features = SR_BIT(SR_VU_P_MQ) | SR_BIT(SR_VU_P_REPLY_ACK),
	};

	c->frontend = sr_frontend_connect(&fc, e);
	if (!c->frontend)
		return bench_not_answered(o->listen, e);
	if (sr_frontend_queue_max(c->frontend) < 2 * o->queues)
		return sr_error_set(e, -EINVAL,
				    "--queues: got '%u', expected at most %u: %s has no more",
				    o->queues, sr_frontend_queue_max(c->frontend) / 2, fc.socket);
	return 0;
}

static int start_rings(struct bench_client *c, struct sr_error *e)
{
	unsigned n = 2 * c->options->queues;
	int rc;

	for (unsigned q = 0; q < n; q++) {
		rc = sr_frontend_ring_start(c->frontend, q, sr_net_driver_ring(c->driver, q),
					    c->options->ring, 0, e);
		if (rc)
			return rc;
	}
	for (unsigned q = 0; q < n; q++) {
		rc = sr_frontend_ring_enable(c->frontend, q, true, e);
		if (rc)
			return rc;
		sr_net_driver_doorbell(c->driver, q, sr_frontend_kick_fd(c->frontend, q));
	}
	return 0;
}

/* Writes a frame into every transmit buffer: from then on at most its number changes. They lie
 * behind the ring, which is not running yet. */
static void prefill(struct bench_client *c, unsigned to_side)
{
	const struct bench_options *o = c->options;
	struct sr_net_tx *t = calloc(o->ring, sizeof(*t));

	for (unsigned pair = 0; t && pair < o->queues; pair++) {
		struct bench_flow flow = { (uint8_t)c->side, (uint8_t)pair };
		int n = sr_net_driver_tx_take(c->driver, pair, t, o->ring);

		for (int i = 0; i < n; i++)
			bench_frame_make(t[i].data, o->size, t[i].hdr, flow, to_side, o->tso);
		sr_net_driver_tx_give(c->driver, pair, t, (unsigned)n);
	}
	free(t);
}

int bench_client_open(struct bench_client *c, const struct bench_options *o, unsigned side,
		      unsigned to_side, struct sr_error *e)
{
	struct sr_net_driver_config dc = driver_config(o);
	int rc;

	*c = (struct bench_client){ .options = o, .side = side };
	c->checks = calloc(o->queues, sizeof(*c->checks));
	if (!c->checks)
		return sr_error_set(e, -ENOMEM, "out of memory");
	rc = open_frontend(c, e);
	if (rc)
		return rc;
	dc.features = sr_frontend_features(c->frontend);
	dc.mem = sr_frontend_share(c->frontend, sr_net_driver_bytes(&dc), o->hugepages, e);
	if (!dc.mem)
		return bench_not_shared(o->hugepages, o->socket[1] ? 2 : 1,
					sr_net_driver_bytes(&dc), e);
	dc.gpa = sr_frontend_gpa(c->frontend);
	c->driver = sr_net_driver_create(&dc, e);
	if (!c->driver)
		return e->code;
	prefill(c, to_side);
	return start_rings(c, e);
}

void bench_client_close(struct bench_client *c)
{
	/* Stops the rings; the memory below the driver goes with it, the driver does not touch
	 * it any more. */
	sr_frontend_disconnect(c->frontend);
	sr_net_driver_destroy(c->driver);
	free(c->checks);
	*c = (struct bench_client){ 0 };
}

void bench_client_reset(struct bench_client *c)
{
	memset(c->sent, 0, sizeof(c->sent));
	memset(c->checks, 0, c->options->queues * sizeof(*c->checks));
	c->received = c->received_bytes = c->foreign = 0;
}

int bench_client_send(struct bench_client *c, unsigned pair, unsigned n)
{
	const struct bench_options *o = c->options;
	struct sr_net_tx t[BENCH_BATCH_MAX];
	int got = sr_net_driver_tx_take(c->driver, pair, t, n);

	if (got <= 0)
		return got;
	for (int i = 0; i < got; i++) {
		t[i].len = o->size;
		if (o->verify)
			bench_frame_number(t[i].data, o->tso, c->sent[pair] + (uint64_t)i);
	}
	sr_net_driver_tx_send(c->driver, pair, t, (unsigned)got);
	c->sent[pair] += (uint64_t)got;
	return got;
}

int bench_client_receive(struct bench_client *c, unsigned pair, unsigned n)
{
	const struct bench_options *o = c->options;
	struct sr_net_rx r[BENCH_BATCH_MAX];
	int got = sr_net_driver_rx_take(c->driver, pair, r, n);

	for (int i = 0; i < got; i++) {
		struct bench_flow flow;
		uint64_t seq;

		/* The number lies in the next cache line: it is read only when wanted. */
		if (!bench_frame_read(r[i].data, r[i].piece, o->tso, &flow,
				      o->verify ? &seq : NULL) ||
		    flow.pair >= o->queues) {
			c->foreign++;
			continue;
		}
		c->received++;
		c->received_bytes += r[i].len;
		if (o->verify)
			bench_check_frame(&c->checks[flow.pair], seq);
	}
	if (got > 0)
		sr_net_driver_rx_release(c->driver, pair, r, (unsigned)got);
	return got;
}

int bench_client_receive_all(struct bench_client *c, unsigned n)
{
	int sum = 0;

	for (unsigned pair = 0; pair < c->options->queues; pair++) {
		int got = bench_client_receive(c, pair, n);

		if (got < 0)
			return got;
		sum += got;
	}
	return sum;
}

static bool concerns(const struct bench_client *c, unsigned queue)
{
	return queue % 2 ? c->sends : c->receives;
}

/* True: no need to sleep. */
static bool arm(struct bench_client *c, bool on)
{
	for (unsigned q = 0; q < 2 * c->options->queues; q++) {
		if (!concerns(c, q))
			continue;
		if (!on)
			sr_net_driver_quiet(c->driver, q);
		else if (sr_net_driver_arm(c->driver, q))
			return true;
	}
	return false;
}

static void sleep_on_calls(struct bench_client *c, unsigned n, int timeout_ms)
{
	struct pollfd p[BENCH_SIDES * 2 * SR_NET_DRIVER_PAIRS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned q = 0; q < 2 * c[i].options->queues; q++)
			if (concerns(&c[i], q))
				p[count++] = (struct pollfd){ sr_frontend_call_fd(c[i].frontend, q),
							      POLLIN, 0 };
	if (poll(p, count, timeout_ms) <= 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		uint64_t calls;

		if (p[i].revents & POLLIN && read(p[i].fd, &calls, sizeof(calls)) < 0)
			continue;
	}
}

void bench_client_wait(struct bench_client *c, unsigned n, int timeout_ms)
{
	bool ready = false;

	for (unsigned i = 0; i < n && !ready; i++)
		ready = arm(&c[i], true);
	if (!ready)
		sleep_on_calls(c, n, timeout_ms);
	for (unsigned i = 0; i < n; i++)
		arm(&c[i], false);
}

uint64_t bench_client_sent(const struct bench_client *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->options->queues; i++)
		sum += c->sent[i];
	return sum;
}

uint64_t bench_client_sent_done(const struct bench_client *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->options->queues; i++)
		sum += sr_net_driver_tx_done(c->driver, i);
	return sum;
}
