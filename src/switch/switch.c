/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of ports and the calls of the control thread; forward.c is the data path. */
#include "switch_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define WAIT_US_MAX 1000000u

struct sr_switch *sr_switch_create(const struct sr_switch_config *c, struct sr_error *e)
{
	uint32_t limit = c->mac_limit ? c->mac_limit : 8192;
	uint32_t wait_us = c->wait_us ? c->wait_us : 1000;
	uint32_t ident = 0;
	struct sr_switch *sw;

	if (limit > SR_FDB_LIMIT_MAX) {
		sr_error_set(e, -EINVAL, "switch: mac limit %u: expected at most %u", limit,
			     SR_FDB_LIMIT_MAX);
		return NULL;
	}
	if (wait_us > WAIT_US_MAX) {
		sr_error_set(e, -EINVAL, "switch: wait of %u us: expected at most %u", wait_us,
			     WAIT_US_MAX);
		return NULL;
	}
	sw = calloc(1, sizeof(*sw));
	if (!sw || sr_fdb_init(&sw->fdb, limit, c->age_s ? c->age_s : 300)) {
		free(sw);
		sr_error_set(e, -ENOMEM, "switch: out of memory for %u addresses", limit);
		return NULL;
	}
	sw->wait_ns = wait_us * 1000ull;
	if (getrandom(&ident, sizeof(ident), 0) == sizeof(ident))
		atomic_store(&sw->ident, ident);
	return sw;
}

static struct sr_port *port_at(struct sr_switch *sw, unsigned slot)
{
	return atomic_load_explicit(&sw->port[slot], memory_order_relaxed);
}

void sr_switch_destroy(struct sr_switch *sw)
{
	if (!sw)
		return;
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++) {
		assert(!port_at(sw, i));
		free(sw->lanes[i]);
	}
	sr_fdb_finish(&sw->fdb);
	free(sw);
}

static void find_high(struct sr_switch *sw)
{
	unsigned high = SR_SWITCH_PORTS_MAX;

	while (high && !port_at(sw, high - 1))
		high--;
	atomic_store_explicit(&sw->high, high, memory_order_release);
}

/* A slot, or -1. When there is none that is free, one whose owner was detached and forgot to
 * flush it. */
static int slot_find(struct sr_switch *sw)
{
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++)
		if (!sw->owner[i])
			return (int)i;
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++) {
		if (port_at(sw, i))
			continue;
		sr_fdb_forget(&sw->fdb, i);
		return (int)i;
	}
	return -1;
}

static bool slot_prepare(struct sr_switch *sw, unsigned slot)
{
	if (!sw->lanes[slot])
		sw->lanes[slot] = calloc(1, sizeof(*sw->lanes[slot]));
	if (!sw->lanes[slot])
		return false;
	for (unsigned i = 0; i < SR_SWITCH_LANES; i++)
		sr_patience_end(&sw->lanes[slot]->lane[i]);
	sr_patience_end(&sw->receiver[slot]);
	return true;
}

static bool name_is_taken(struct sr_switch *sw, const char *name)
{
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++)
		if (port_at(sw, i) && !strcmp(port_at(sw, i)->name, name))
			return true;
	return false;
}

int sr_switch_attach(struct sr_switch *sw, struct sr_port *p, struct sr_error *e)
{
	int slot = slot_find(sw);

	assert(!atomic_load(&p->sink));
	if (name_is_taken(sw, p->name))
		return sr_error_set(e, -EEXIST, "switch: port %s: there is one of that name",
				    p->name);
	if (slot < 0)
		return sr_error_set(e, -ENOSPC, "switch: port %s: all %u places are taken", p->name,
				    SR_SWITCH_PORTS_MAX);
	if (!slot_prepare(sw, (unsigned)slot))
		return sr_error_set(e, -ENOMEM, "switch: port %s: out of memory", p->name);
	p->slot = (unsigned)slot;
	p->sink_ops = &sr_switch_sink;
	sw->owner[slot] = p;
	atomic_store_explicit(&sw->port[slot], p, memory_order_release);
	find_high(sw);
	atomic_store_explicit(&p->sink, sw, memory_order_release);
	return 0;
}

void sr_switch_detach(struct sr_switch *sw, struct sr_port *p)
{
	assert(port_at(sw, p->slot) == p);
	atomic_store_explicit(&p->sink, NULL, memory_order_release);
	atomic_store_explicit(&sw->port[p->slot], NULL, memory_order_release);
	find_high(sw);
}

/* `p` may be gone already, so it is only compared. */
void sr_switch_flush(struct sr_switch *sw, const struct sr_port *p)
{
	for (unsigned i = 0; i < SR_SWITCH_PORTS_MAX; i++) {
		if (sw->owner[i] != p)
			continue;
		sr_fdb_forget(&sw->fdb, i);
		if (!port_at(sw, i))
			sw->owner[i] = NULL;
	}
}

struct listing {
	struct sr_switch *sw;
	struct sr_switch_entry *e;
	unsigned cap, n;
};

static void list_one(void *ctx, uint64_t key, unsigned slot, uint32_t age_s)
{
	struct listing *l = ctx;
	struct sr_switch_entry *e;
	const struct sr_port *p = port_at(l->sw, slot);

	if (!p)
		return;
	if (l->n++ >= l->cap)
		return;
	e = &l->e[l->n - 1];
	sr_put_be16(e->mac, (uint16_t)(key >> 48));
	sr_put_be32(e->mac + 2, (uint32_t)(key >> 16));
	e->vlan = (key >> 4) & 0xfff;
	e->port = p;
	e->age_s = age_s;
}

unsigned sr_switch_entries(struct sr_switch *sw, struct sr_switch_entry *e, unsigned cap)
{
	struct listing l = { .sw = sw, .e = e, .cap = cap };

	sr_fdb_each(&sw->fdb, list_one, &l);
	return l.n;
}

void sr_switch_tick(struct sr_switch *sw)
{
	if (sr_fdb_tick(&sw->fdb))
		sr_log(SR_LOG_WARN, "switch",
		       "no room for more addresses, limit %u: frames to new ones go to all ports",
		       sw->fdb.limit);
}
