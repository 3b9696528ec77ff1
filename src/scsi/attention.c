/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Initiators and their unit attentions (SAM-6, 5.14). An attention is told once, to each
 * initiator, with the first command that does not look past it; they queue in the order in
 * which things happened, and the news of a reset makes all older ones pointless.
 */
#include "unit_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct lu_initiator *lu_initiator(struct sr_scsi_unit *u, const struct sr_scsi_nexus *n)
{
	struct lu_initiator *i = u->initiators;

	while (i && i->nexus != n)
		i = i->next;
	return i;
}

static void count_attention(struct lu_initiator *i, int by)
{
	struct sr_scsi_unit *u = i->unit;

	u->attending += (unsigned)by;
	atomic_fetch_add(&i->nexus->pending, (unsigned)by);
	lu_word_set(u, LU_ATTENTION, u->attending);
}

void lu_attend(struct lu_initiator *i, uint16_t asc)
{
	if (!i->attentions)
		count_attention(i, 1);
	if (asc >> 8 == LU_ASC_POWER_ON >> 8)
		i->attentions = 0;
	for (unsigned k = 0; k < i->attentions; k++)
		if (i->attention[k] == asc)
			return;
	if (i->attentions < LU_ATTENTIONS)
		i->attention[i->attentions++] = asc;
}

void lu_attend_others(struct sr_scsi_unit *u, const struct sr_scsi_nexus *but, uint16_t asc)
{
	for (struct lu_initiator *i = u->initiators; i; i = i->next)
		if (i->nexus != but)
			lu_attend(i, asc);
}

void lu_attention_drop(struct lu_initiator *i, uint16_t asc)
{
	unsigned kept = 0, had = i->attentions;

	for (unsigned k = 0; k < had; k++)
		if (i->attention[k] != asc)
			i->attention[kept++] = i->attention[k];
	i->attentions = kept;
	if (had && !kept)
		count_attention(i, -1);
}

uint16_t lu_attention_take(struct lu_initiator *i)
{
	uint16_t asc = i->attentions ? i->attention[0] : 0;

	if (asc)
		lu_attention_drop(i, asc);
	return asc;
}

void sr_scsi_unit_attention(struct sr_scsi_unit *u, const struct sr_scsi_nexus *but, uint16_t asc)
{
	pthread_mutex_lock(&u->lock);
	lu_attend_others(u, but, asc);
	pthread_mutex_unlock(&u->lock);
}

struct sr_scsi_nexus *sr_scsi_nexus_create(const char *name, uint16_t port, struct sr_error *e)
{
	struct sr_scsi_nexus *n;

	if (!*name || strlen(name) > LU_NAME_MAX) {
		sr_error_set(e, -EINVAL, "initiator name '%s': expected 1 to %u bytes", name,
			     LU_NAME_MAX);
		return NULL;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		sr_error_set(e, -ENOMEM, "initiator %s: out of memory", name);
		return NULL;
	}
	strcpy(n->name, name);
	n->port = port;
	pthread_mutex_init(&n->lock, NULL);
	return n;
}

void sr_scsi_nexus_destroy(struct sr_scsi_nexus *n)
{
	if (!n)
		return;
	assert(!n->initiators);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static int attach_locked(struct sr_scsi_unit *u, struct lu_initiator *i, struct sr_error *e)
{
	if (lu_initiator(u, i->nexus)) {
		sr_error_set(e, -EEXIST, "disk %s: initiator %s is attached already",
			     sr_disk_name(u->disk), i->nexus->name);
		return -EEXIST;
	}
	if (u->n_initiators == LU_INITIATORS) {
		sr_error_set(e, -ENOSPC, "disk %s: %u initiators are attached, no more can",
			     sr_disk_name(u->disk), LU_INITIATORS);
		return -ENOSPC;
	}
	i->next = u->initiators;
	u->initiators = i;
	u->n_initiators++;
	i->next_of_nexus = i->nexus->initiators;
	i->nexus->initiators = i;
	lu_attend(i, LU_ASC_POWER_ON);
	return 0;
}

int sr_scsi_unit_attach(struct sr_scsi_unit *u, struct sr_scsi_nexus *n, struct sr_error *e)
{
	struct lu_initiator *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return sr_error_set(e, -ENOMEM, "disk %s: out of memory", sr_disk_name(u->disk));
	i->unit = u;
	i->nexus = n;
	pthread_mutex_lock(&n->lock);
	pthread_mutex_lock(&u->lock);
	r = attach_locked(u, i, e);
	pthread_mutex_unlock(&u->lock);
	pthread_mutex_unlock(&n->lock);
	if (r)
		free(i);
	return r;
}

static void detach_locked(struct lu_initiator *i)
{
	struct lu_initiator **at = &i->unit->initiators;

	if (i->attentions)
		count_attention(i, -1);
	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	i->unit->n_initiators--;
	at = &i->nexus->initiators;
	while (*at != i)
		at = &(*at)->next_of_nexus;
	*at = i->next_of_nexus;
}

void sr_scsi_unit_detach(struct sr_scsi_unit *u, struct sr_scsi_nexus *n)
{
	struct lu_initiator *i;

	pthread_mutex_lock(&n->lock);
	pthread_mutex_lock(&u->lock);
	i = lu_initiator(u, n);
	if (i)
		detach_locked(i);
	if (u->pr.reserved == n) {
		u->pr.reserved = NULL;
		lu_reserved_update(u);
	}
	pthread_mutex_unlock(&u->lock);
	pthread_mutex_unlock(&n->lock);
	free(i);
}
