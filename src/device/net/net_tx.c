/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the guest to the switch. A batch of chains becomes a batch of frames: header and
 * first bytes are copied, the rest stays where the guest has it.
 *
 * When a receiver has no room, the sink asks for some frames again. Holding their chains
 * would keep the queue from being stopped at once; copying the frames would be the buffer
 * that this switch does not have. So the chains are given back to the ring from the first
 * such frame on, and popped again later. Frames behind it may have gone out already, and
 * `done` remembers them: bit i stands for the i-th chain that the next pop returns. A guest
 * that rewrites its chains meanwhile is judged anew and only fools itself.
 */
#include "net_internal.h"

#define TX_RETRY_US 50 /* a receiver's driver refills in about this time */

/* What one pass counts, added to the port's counters once. */
struct tx_tally {
	uint64_t bad, dropped;
};

static inline uint64_t first_bits(unsigned n)
{
	return n < 64 ? (1ULL << n) - 1 : ~0ULL;
}

/* Copies the next `len` bytes of a list that has as many, and takes them off its front.
 * Inlined, so that a constant `len` in one piece is a few moves. */
static inline __attribute__((always_inline)) struct iovec *take(struct iovec *v, void *to,
								size_t len)
{
	char *at = to;

	while (SR_UNLIKELY(v->iov_len < len)) {
		memcpy(at, v->iov_base, v->iov_len);
		at += v->iov_len;
		len -= v->iov_len;
		v++;
	}
	memcpy(at, v->iov_base, len);
	v->iov_base = (char *)v->iov_base + len;
	v->iov_len -= len;
	return v->iov_len ? v : v + 1;
}

/* False: not a frame. The pieces of the chain in the pool become those of the frame. */
static bool frame_make(const struct net_queue *q, const struct sr_chain *c, struct sr_frame *f)
{
	struct net_hdr h;
	struct iovec *v = c->out;

	if (c->out_len < q->hdr_len + SR_FRAME_MIN || c->out_len > q->hdr_len + SR_FRAME_MAX)
		return false;
	f->len = c->out_len - q->hdr_len;
	v = SR_LIKELY(q->hdr_len == sizeof(h)) ? take(v, &h, sizeof(h))
					       : take(v, &h, NET_HDR_LEGACY);
	if (f->len >= SR_FRAME_HEAD) {
		f->head_len = SR_FRAME_HEAD;
		v = take(v, f->head, SR_FRAME_HEAD);
	} else {
		f->head_len = (uint16_t)f->len;
		v = take(v, f->head, f->len);
	}
	f->iov = v;
	f->niov = (uint32_t)(c->out + c->nout - v);
	return net_header_parse(&h, q->features, f->len, &f->off);
}

/* Makes frames of the chains that are not done yet; returns which. */
static uint64_t frames_make(const struct net_queue *q, const struct sr_chain *c, struct sr_frame *f,
			    unsigned n, struct tx_tally *t)
{
	uint64_t which = 0;

	for (unsigned i = 0; i < n; i++) {
		if (SR_UNLIKELY(q->done >> i & 1))
			continue;
		if (SR_LIKELY(frame_make(q, &c[i], &f[i])))
			which |= 1ULL << i;
		else
			t->bad++;
	}
	return which;
}

/* A disabled queue and a pulled cable swallow what is sent (vhost-user, "Ring states"). */
static uint64_t frames_pass(struct net_queue *q, struct sr_frame *f, unsigned n, uint64_t which,
			    struct tx_tally *t)
{
	struct sr_net *net = q->net;

	if (!which)
		return 0;
	if (!q->enabled || !atomic_load_explicit(&net->link_up, memory_order_relaxed)) {
		t->dropped += (uint64_t)__builtin_popcountll(which);
		return 0;
	}
	return which & sr_port_forward(&net->port, f, n, which, q->index / 2);
}

/* Returns the chains that are finished, negative when the ring is broken. *again: the sink
 * wants to be asked again. */
static int tx_batch(struct net_queue *q, unsigned want, bool *again, struct tx_tally *t)
{
	struct sr_chain chains[SR_FRAME_BATCH];
	struct sr_frame frames[SR_FRAME_BATCH];
	uint64_t which, wait;
	unsigned finished;
	int n;

	sr_iov_pool_reset(&q->pool);
	n = sr_vq_pop(q->vq, chains, want, &q->pool);
	if (n <= 0)
		return n;
	which = frames_make(q, chains, frames, (unsigned)n, t);
	wait = frames_pass(q, frames, (unsigned)n, which, t);
	*again = wait;
	finished = wait ? (unsigned)__builtin_ctzll(wait) : (unsigned)n;
	q->done |= first_bits((unsigned)n) & ~wait;
	q->done = finished < 64 ? q->done >> finished : 0;
	sr_vq_unpop(q->vq, (unsigned)n - finished);
	sr_vq_push(q->vq, chains, finished);
	return (int)finished;
}

int net_tx_process(struct net_queue *q, unsigned budget)
{
	struct tx_tally t = { 0 };
	bool again = false, call = false;
	unsigned total = 0;
	int n = 1;

	while (q->vq && total < budget && !again && n > 0) {
		n = tx_batch(q, (unsigned)sr_min(budget - total, SR_FRAME_BATCH), &again, &t);
		if (n > 0) {
			call |= sr_vq_publish(q->vq);
			total += (unsigned)n;
		}
	}
	sr_count(&q->net->port.counters.tx_bad, t.bad);
	sr_count(&q->net->port.counters.tx_dropped, t.dropped);
	if (call)
		sr_device_call(&q->net->device, q->index);
	if (SR_UNLIKELY(n < 0))
		net_queue_break(q, sr_vq_error(q->vq));
	return again && !total ? -TX_RETRY_US : (int)total;
}

/* Chains that were given back are offered again after a restart, when nobody remembers that
 * some of their frames went out. So the window ends here: up to the last frame that is done,
 * chains are returned, and those frames in between whose receiver had no room are lost. */
void net_tx_stop(struct net_queue *q)
{
	struct sr_chain chains[SR_FRAME_BATCH];
	uint64_t dropped = 0;
	bool pushed = false;

	while (q->done) {
		unsigned window = 64 - (unsigned)__builtin_clzll(q->done);
		int n;

		sr_iov_pool_reset(&q->pool);
		n = sr_vq_pop(q->vq, chains, window, &q->pool);
		if (n <= 0)
			break;
		dropped += (uint64_t)__builtin_popcountll(first_bits((unsigned)n) & ~q->done);
		q->done = n < 64 ? q->done >> n : 0;
		sr_vq_push(q->vq, chains, (unsigned)n);
		pushed = true;
	}
	q->done = 0;
	sr_count(&q->net->port.counters.tx_dropped, dropped);
	if (pushed && sr_vq_publish(q->vq))
		sr_device_call(&q->net->device, q->index);
}
