/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long frames wait for a receiver that has no room; forward.c says why. One patience is
 * kept for each receiver and one for each sender's lane.
 */
#ifndef SR_PATIENCE_H
#define SR_PATIENCE_H

#include "base.h"

#include <stdatomic.h>

/* The pace that earns another period of waiting: so many bytes in each, where a frame counts
 * for at least SR_PATIENCE_FRAME. At 1 ms: 0.5 Gbit/s, or 16,000 small frames a second. */
#define SR_PATIENCE_PACE  65536u
#define SR_PATIENCE_FRAME 4096u

struct sr_patience {
	_Atomic uint64_t since; /* ns: this period began; 0 = there is room */
	_Atomic uint32_t done;	/* bytes in this period */
	_Atomic bool lost;	/* the period before was below the pace: no waiting in this one */
};

/* There is no room: may frames wait for it? `now` in ns; a period has `length` ns. */
static inline bool sr_patience_wait(struct sr_patience *p, uint64_t now, uint64_t length)
{
	uint64_t since = atomic_load_explicit(&p->since, memory_order_relaxed);

	if (!since) {
		atomic_store_explicit(&p->done, 0, memory_order_relaxed);
		atomic_store_explicit(&p->lost, false, memory_order_relaxed);
		atomic_store_explicit(&p->since, now, memory_order_relaxed);
		return true;
	}
	/* Another thread's clock may have been read a little later: hence the signs. One
	 * thread ends the period. */
	if ((int64_t)(now - since) >= (int64_t)length &&
	    atomic_compare_exchange_strong_explicit(&p->since, &since, now, memory_order_relaxed,
						    memory_order_relaxed)) {
		uint32_t done = atomic_exchange_explicit(&p->done, 0, memory_order_relaxed);

		atomic_store_explicit(&p->lost, done < SR_PATIENCE_PACE, memory_order_relaxed);
	}
	return !atomic_load_explicit(&p->lost, memory_order_relaxed);
}

static inline bool sr_patience_is_on(const struct sr_patience *p)
{
	return atomic_load_explicit(&p->since, memory_order_relaxed);
}

/* So much got through meanwhile. */
static inline void sr_patience_done(struct sr_patience *p, uint32_t bytes)
{
	if (sr_patience_is_on(p))
		atomic_fetch_add_explicit(&p->done, bytes, memory_order_relaxed);
}

/* There is room again. Nothing is written when there was before. */
static inline void sr_patience_end(struct sr_patience *p)
{
	if (SR_UNLIKELY(sr_patience_is_on(p)))
		atomic_store_explicit(&p->since, 0, memory_order_relaxed);
}

#endif
