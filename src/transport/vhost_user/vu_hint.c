/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commonest mistake of operators breaks no rule of the protocol: guest memory that is not
 * shared. Front-ends then send no region at all, or one that is a private copy, in which
 * rings stay empty for ever. No message is wrong, nobody would say a word. So a while after
 * a driver has shown itself somebody looks whether anything has come, and says what it may
 * be, once a session. It is only a guess (the guest's interface may be down), so nothing else
 * follows from it.
 */
#include "session.h"

#define PATIENCE_NS 5000000000u

struct look {
	struct sr_vu_queue *q;
	bool has_work;
};

static void look_on_loop(void *ctx)
{
	struct look *l = ctx;

	l->has_work = l->q->running && sr_vq_available(l->q->vq) > 0;
}

static bool is_untouched(const struct sr_session *s)
{
	for (unsigned i = 0; i < s->nqueues; i++) {
		struct look l = { .q = s->queues[i] };

		if (!l.q)
			continue;
		sr_loop_call(l.q->loop, look_on_loop, &l);
		if (l.has_work || atomic_load(&l.q->moved))
			return false;
	}
	return true;
}

static void look(void *ctx)
{
	struct sr_session *s = ctx;
	unsigned running = sr_vu_queues_running(s);

	if (!sr_mem_region_count(s->mem))
		sr_log(SR_LOG_WARN, s->device->name,
		       "%s: no memory region 5 s after SET_FEATURES, expected SET_MEM_TABLE or "
		       "ADD_MEM_REG: is the guest's memory shared? (QEMU: "
		       "memory-backend-memfd,share=on)",
		       s->peer);
	else if (running && is_untouched(s))
		sr_log(SR_LOG_WARN, s->device->name,
		       "%s: nothing in any of its %u rings 5 s after their start: the guest's "
		       "interface is down, or its memory is not shared (QEMU: share=on)",
		       s->peer, running);
	else
		return;
	s->hinted = true;
}

bool sr_session_hint_init(struct sr_session *s)
{
	s->hint = sr_timer_create(s->config.control, look, s);
	return s->hint;
}

void sr_session_hint_expect(struct sr_session *s)
{
	if (!s->hinted)
		sr_timer_set(s->hint, PATIENCE_NS);
}
