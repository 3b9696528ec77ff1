/* SPDX-License-Identifier: BSD-3-Clause */
/* PERSISTENT RESERVE IN (SPC-5, 6.15). */
#include "pr.h"
#include "unit_internal.h"

#include <stdlib.h>

#define HEADER	   8u  /* generation, length of what follows */
#define STATUS	   24u /* of a full status descriptor, before the TransportID */
#define TRANSPORT  (4u + LU_NAME_MAX + 1)
#define STATUS_MAX (HEADER + LU_REGISTRATIONS * (STATUS + TRANSPORT))

static void reply(struct sr_scsi_cmd *c, uint8_t *data, size_t len, uint32_t generation)
{
	sr_put_be32(data, generation);
	sr_put_be32(data + 4, (uint32_t)(len - HEADER));
	lu_reply(c, data, len, sr_get_be16(c->cdb + 7));
}

void lu_pr_read_keys(struct sr_scsi_cmd *c)
{
	struct sr_scsi_unit *u = c->lane->unit;
	uint8_t data[HEADER + LU_REGISTRATIONS * 8];
	uint32_t generation;
	size_t len = HEADER;

	pthread_mutex_lock(&u->lock);
	for (const struct lu_registration *r = u->pr.list; r; r = r->next, len += 8)
		lu_put_be64(data + len, r->key);
	generation = u->pr.generation;
	pthread_mutex_unlock(&u->lock);
	reply(c, data, len, generation);
}

void lu_pr_read_reservation(struct sr_scsi_cmd *c)
{
	struct sr_scsi_unit *u = c->lane->unit;
	uint8_t data[HEADER + 16] = { 0 };
	uint32_t generation;
	size_t len = HEADER;

	pthread_mutex_lock(&u->lock);
	if (u->pr.type) {
		lu_put_be64(data + 8, u->pr.holder ? u->pr.holder->key : 0);
		data[21] = u->pr.type;
		len += 16;
	}
	generation = u->pr.generation;
	pthread_mutex_unlock(&u->lock);
	reply(c, data, len, generation);
}

/* No SPEC_I_PT, no ALL_TG_PT, nothing through a power loss. */
void lu_pr_report_capabilities(struct sr_scsi_cmd *c)
{
	/* CRH; TMV and the six types. */
	static const uint8_t data[8] = { 0, 8, 0x10, 0x80, 0xea, 0x01 };

	lu_reply(c, data, sizeof(data), sr_get_be16(c->cdb + 7));
}

/* The TransportID of iSCSI is the one that is a text: format 0, the name, zeroes to a multiple of
 * four. */
static size_t transport_id(const struct lu_registration *r, uint8_t *d)
{
	size_t len = sr_max((strlen(r->name) + 1 + 3) & ~3ul, 20);

	d[0] = 0x05;
	sr_put_be16(d + 2, (uint16_t)len);
	memcpy(d + 4, r->name, strlen(r->name));
	return 4 + len;
}

static size_t full_status(const struct sr_scsi_unit *u, const struct lu_registration *r, uint8_t *d)
{
	size_t id = transport_id(r, d + STATUS);

	lu_put_be64(d, r->key);
	if (lu_is_holder(u, r)) {
		d[12] = 0x01;
		d[13] = u->pr.type;
	}
	sr_put_be16(d + 18, r->port);
	sr_put_be32(d + 20, (uint32_t)id);
	return STATUS + id;
}

void lu_pr_read_full_status(struct sr_scsi_cmd *c)
{
	struct sr_scsi_unit *u = c->lane->unit;
	uint32_t generation;
	size_t len = HEADER;

	if (!lu_work(c, STATUS_MAX))
		return;
	pthread_mutex_lock(&u->lock);
	for (const struct lu_registration *r = u->pr.list; r; r = r->next)
		len += full_status(u, r, (uint8_t *)c->work + len);
	generation = u->pr.generation;
	pthread_mutex_unlock(&u->lock);
	reply(c, c->work, len, generation);
}
