/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * Frames arrive in batches that point into the sender's memory, and a receiver is cheapest to
 * serve in batches too. Sending frame by frame was rejected (a receiver's lock and its
 * notification for each), and so were queues between ports (a copy, memory, and a second
 * place where frames are lost). Instead a batch is sorted first: each frame's destination
 * is looked up, frames of one destination gather in a bit mask, and then each receiver is
 * called once with all of its frames in the order in which they came. Nearly always that is
 * one receiver.
 *
 * Every frame ends in exactly one counter of its sender: tx_bad (malformed, or a group
 * address as source), tx_dropped (the sender has no link; the destination is the sender's own
 * side; 01:80:c2:00:00:00 to 0f, LLDP and its like, which no bridge passes on) or tx_frames.
 *
 * What happens when a receiver has no room is decided in this file and nowhere else:
 *
 * - Frames for all ports never wait: a receiver that lacks room misses them (rx_dropped).
 * - A frame for one receiver whose ops->can_wait is handed back to the sender, to be offered
 *   again: back-pressure, so that a fast guest does not overrun a slow one. All later frames
 *   of the batch to that receiver are handed back with it, so none overtakes another.
 * - A receiver is waited for as long as it keeps a pace: SR_PATIENCE_PACE in each period of
 *   wait_us. One that falls behind is not waited for in the next: its frames are dropped at
 *   once (rx_dropped), until a period in which it keeps the pace, or until it takes all that
 *   it is offered. A guest that has stopped costs its senders wait_us once.
 *   "Until it takes all" alone does not do: a sender that offers new frames behind the waiting
 *   ones never sees a merely slower receiver take all, and would lose frames for good.
 * - A lane of a sender waits as long as it keeps the same pace, for all receivers together.
 *   The receiver's bound alone does not hold: one that takes all of one lane's or of one
 *   accomplice's frames and none of another's starts anew each time.
 *
 * So whatever its receivers do, alone or together, a lane that is held up still moves 64 KiB
 * or 16 frames in every wait_us but one; that is the price of not losing frames to neighbours
 * that are merely busy. A pace in frames only would take a receiver of 64 KiB frames for dead.
 * The clock is read only when somebody is full.
 */
#include "headers.h"
#include "offload.h"
#include "switch_table.h"

#include <assert.h>

enum {
	TO_NONE = -2,
	TO_ALL = -1
}; /* else an index of a group */

/* Frames for one receiver. */
struct group {
	struct sr_port *to;
	uint64_t frames;
};

/* One batch on its way. */
struct batch {
	struct sr_switch *sw;
	struct sr_port *from;
	struct sr_frame *f;
	unsigned lane;
	uint32_t needs; /* all that a receiver of any frame must be able to: SR_CAN_* */
	/* Masks of frames; `lost` to a receiver without room. */
	uint64_t bad, dropped, to_all, lost;
	bool lacked_room; /* of a receiver that can be waited for */
	uint64_t now;	  /* ns, 0 = not read yet */
	/* Frames in a row mostly come from one address and go to one. */
	uint64_t last_src, last_dst;
	int last_way;
	unsigned ngroups;
	struct group group[SR_FRAME_BATCH];
};

static unsigned count_bits(uint64_t m)
{
	return (unsigned)__builtin_popcountll(m);
}

/* False for a frame too short for its headers or with a group address as source. */
static bool frame_is_sane(const struct sr_frame *f, unsigned *vlan)
{
	unsigned type;

	*vlan = 0;
	if (SR_UNLIKELY(f->head_len < SR_FRAME_MIN || f->head[6] & 1))
		return false;
	type = sr_get_be16(f->head + 12);
	if (type != SR_TYPE_VLAN && type != SR_TYPE_QINQ)
		return true;
	*vlan = sr_get_be16(f->head + 14) & 0xfff;
	return f->head_len >= SR_FRAME_MIN + 4;
}

static bool is_link_local(const uint8_t mac[6])
{
	static const uint8_t prefix[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

	return !memcmp(mac, prefix, sizeof(prefix)) && mac[5] < 0x10;
}

static int group_of(struct batch *b, struct sr_port *to)
{
	unsigned i = 0;

	while (i < b->ngroups && b->group[i].to != to)
		i++;
	if (i == b->ngroups)
		b->group[b->ngroups++] = (struct group){ .to = to };
	return (int)i;
}

static int look_up(struct batch *b, uint64_t dst)
{
	int slot = sr_fdb_find(&b->sw->fdb, dst);
	struct sr_port *to;

	if (slot < 0)
		return TO_ALL;
	if ((unsigned)slot == b->from->slot)
		return TO_NONE;
	to = atomic_load_explicit(&b->sw->port[slot], memory_order_acquire);
	return to ? group_of(b, to) : TO_ALL;
}

static void learn(struct batch *b, uint64_t src)
{
	if (src == b->last_src)
		return;
	b->last_src = src;
	if (src >> 16 && sr_fdb_learn(&b->sw->fdb, src, b->from->slot))
		b->last_dst = SR_FDB_NO_KEY; /* may have been this address */
}

static int find_way(struct batch *b, const struct sr_frame *f, unsigned vlan)
{
	uint64_t dst;

	if (f->head[0] & 1)
		return is_link_local(f->head) ? TO_NONE : TO_ALL;
	dst = sr_fdb_key(f->head, vlan);
	if (dst != b->last_dst) {
		b->last_dst = dst;
		b->last_way = look_up(b, dst);
	}
	return b->last_way;
}

static void sort(struct batch *b, uint64_t which)
{
	for (uint64_t m = which; m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctzll(m), vlan;
		const struct sr_frame *f = &b->f[i];
		uint64_t bit = m & -m;
		int way;

		if (SR_UNLIKELY(!frame_is_sane(f, &vlan))) {
			b->bad |= bit;
			continue;
		}
		if (f->off.flags | f->off.gso_type)
			b->needs |= sr_offload_needs(f);
		learn(b, sr_fdb_key(f->head + 6, vlan));
		way = find_way(b, f, vlan);
		if (SR_LIKELY(way >= 0))
			b->group[way].frames |= bit;
		else if (way == TO_ALL)
			b->to_all |= bit;
		else
			b->dropped |= bit;
	}
}

/* Sends frames as they are; returns those that were not taken. */
static uint64_t send_plain(struct batch *b, struct sr_port *to, uint64_t frames)
{
	const struct sr_frame *list[SR_FRAME_BATCH];
	unsigned n = 0, taken;

	for (uint64_t m = frames; m; m &= m - 1)
		list[n++] = &b->f[__builtin_ctzll(m)];
	taken = sr_port_send(to, list, n, b->lane);
	assert(taken <= n);
	if (SR_LIKELY(taken == n))
		return 0;
	for (; taken; taken--)
		frames &= frames - 1;
	return frames;
}

/* Like send_plain; *full may be set although nothing is left to offer again. */
static uint64_t send_frames(struct batch *b, struct sr_port *to, uint64_t frames, bool *full)
{
	struct sr_delivery d = {
		.to = to, .f = b->f, .mask = frames, .lane = b->lane, .ident = &b->sw->ident
	};

	if (SR_LIKELY(!(b->needs & ~atomic_load_explicit(&to->can, memory_order_relaxed)))) {
		frames = send_plain(b, to, frames);
		*full = frames;
		return frames;
	}
	sr_offload_send(&d);
	b->bad |= d.bad;
	*full = d.full;
	return d.left;
}

static uint64_t now(struct batch *b)
{
	if (!b->now)
		b->now = sr_now_ns();
	return b->now;
}

static struct sr_patience *lane_patience(struct batch *b)
{
	return &b->sw->lanes[b->from->slot]->lane[b->lane % SR_SWITCH_LANES];
}

static uint32_t work_of(const struct batch *b, uint64_t frames)
{
	uint32_t bytes = 0;

	for (; frames; frames &= frames - 1)
		bytes += (uint32_t)sr_max(b->f[__builtin_ctzll(frames)].len, SR_PATIENCE_FRAME);
	return bytes;
}

/* A receiver is full; `taken` went in before. */
static bool may_wait(struct batch *b, struct sr_port *to, uint64_t taken)
{
	struct sr_patience *p = &b->sw->receiver[to->slot];

	if (!to->ops->can_wait)
		return false;
	b->lacked_room = true;
	sr_patience_done(p, work_of(b, taken));
	return sr_patience_wait(p, now(b), b->sw->wait_ns) &&
	       sr_patience_wait(lane_patience(b), now(b), b->sw->wait_ns);
}

/* Returns the frames to offer again. */
static uint64_t deliver(struct batch *b, struct sr_port *to, uint64_t frames)
{
	uint64_t left, again;
	bool full;

	if (SR_UNLIKELY(!atomic_load_explicit(&to->link, memory_order_acquire))) {
		sr_count(&to->counters.rx_dropped, count_bits(frames & ~b->to_all));
		return 0;
	}
	left = send_frames(b, to, frames, &full);
	if (SR_LIKELY(!full)) {
		sr_patience_end(&b->sw->receiver[to->slot]);
		return 0;
	}
	again = may_wait(b, to, frames & ~left) ? left & ~b->to_all : 0;
	b->lost |= left & ~again;
	sr_count(&to->counters.rx_dropped, count_bits(left & ~again));
	return again;
}

static uint64_t deliver_groups(struct batch *b)
{
	uint64_t again = 0;

	for (unsigned i = 0; i < b->ngroups; i++)
		again |= deliver(b, b->group[i].to, b->group[i].frames | b->to_all);
	return again;
}

/* The ports that have no group get the frames for all alone. */
static void deliver_to_others(struct batch *b)
{
	unsigned high = atomic_load_explicit(&b->sw->high, memory_order_acquire);
	uint64_t done[SR_SWITCH_PORTS_MAX / 64] = { 0 };

	done[b->from->slot / 64] |= 1ull << b->from->slot % 64;
	for (unsigned i = 0; i < b->ngroups; i++) {
		unsigned slot = b->group[i].to->slot;

		done[slot / 64] |= 1ull << slot % 64;
	}
	for (unsigned i = 0; i < high; i++) {
		struct sr_port *to = atomic_load_explicit(&b->sw->port[i], memory_order_acquire);

		if (to && !(done[i / 64] >> i % 64 & 1))
			deliver(b, to, b->to_all);
	}
}

/* What was delivered is the lane's pace. Its waiting ends when nothing waits, unless that is
 * so because it was lost. */
static void settle_lane(struct batch *b, uint64_t which, uint64_t again)
{
	struct sr_patience *p = lane_patience(b);

	if (SR_LIKELY(!sr_patience_is_on(p)))
		return;
	if (!b->lacked_room || (!again && !atomic_load_explicit(&p->lost, memory_order_relaxed)))
		sr_patience_end(p);
	else
		sr_patience_done(p, work_of(b, which & ~again & ~b->lost));
}

/* Frames that are offered again are counted when they are done with. */
static void count(struct batch *b, uint64_t done)
{
	struct sr_port_counters *c = &b->from->counters;
	uint64_t good = done & ~b->bad & ~b->dropped, bytes = 0;

	for (uint64_t m = good; m; m &= m - 1)
		bytes += b->f[__builtin_ctzll(m)].len;
	sr_count(&c->tx_frames, count_bits(good));
	sr_count(&c->tx_bytes, bytes);
	sr_count(&c->tx_bad, count_bits(done & b->bad));
	sr_count(&c->tx_dropped, count_bits(done & b->dropped));
	sr_count(&c->flooded, count_bits(good & b->to_all));
}

static uint64_t forward(void *sink, struct sr_port *from, struct sr_frame *f, unsigned n,
			uint64_t which, unsigned lane)
{
	uint64_t again = 0;
	struct batch b;

	assert(n <= SR_FRAME_BATCH && (n == SR_FRAME_BATCH || !(which >> n)));
	b.sw = sink;
	b.from = from;
	b.f = f;
	b.lane = lane;
	b.needs = 0;
	b.bad = b.dropped = b.to_all = b.lost = b.now = 0;
	b.lacked_room = false;
	b.last_src = b.last_dst = SR_FDB_NO_KEY;
	b.last_way = TO_NONE;
	b.ngroups = 0;
	if (SR_LIKELY(atomic_load_explicit(&from->link, memory_order_relaxed)))
		sort(&b, which);
	else
		b.dropped = which;
	again = deliver_groups(&b);
	if (b.to_all)
		deliver_to_others(&b);
	settle_lane(&b, which, again);
	count(&b, which & ~again);
	return again;
}

const struct sr_sink_ops sr_switch_sink = { .forward = forward };
