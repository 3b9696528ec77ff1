/* SPDX-License-Identifier: BSD-3-Clause */
/* Mode pages (SPC-5, 7.5; SBC-4, 6.5) as they are now, as they were at first, and which of their
 * bits can be changed; MODE SENSE tells them. None is kept over a restart. */
#include "mode.h"

static void fill_recovery(struct lu_mode m, uint8_t *d)
{
	(void)m;
	d[2] = 0xc0; /* AWRE, ARRE: the medium mends itself */
}

static void fill_caching(struct lu_mode m, uint8_t *d)
{
	d[2] = m.write_cache ? 0x04 : 0;
}

static void fill_control(struct lu_mode m, uint8_t *d)
{
	d[2] = m.descriptor_sense ? 0x04 : 0;
	d[3] = 0x10; /* any order */
	d[4] = m.software_wp ? 0x08 : 0;
	d[5] = 0x40; /* TAS: commands that others aborted say so */
	sr_put_be16(d + 8, 0xffff);
}

static void fill_exceptions(struct lu_mode m, uint8_t *d)
{
	(void)m;
	d[2] = 0x08; /* DEXCPT: nothing is reported this way */
}

const struct lu_mode_page lu_mode_pages[LU_MODE_PAGES] = {
	{ 0x01, 12, fill_recovery, { 0 } },
	{ 0x08, 20, fill_caching, { [2] = 0x04 } },
	{ 0x0a, 12, fill_control, { [2] = 0x04, [4] = 0x08 } },
	{ 0x1c, 12, fill_exceptions, { 0 } },
};

struct lu_mode lu_mode_now(const struct sr_scsi_unit *u)
{
	uint32_t word = lu_word(u);

	return (struct lu_mode){ word & LU_WCE, word & LU_D_SENSE, u->software_wp };
}

void lu_mode_fill(const struct lu_mode_page *p, struct lu_mode m, uint8_t *d)
{
	memset(d, 0, p->len);
	d[0] = p->page;
	d[1] = (uint8_t)(p->len - 2);
	p->fill(m, d);
}

enum {
	PC_CURRENT,
	PC_CHANGEABLE,
	PC_DEFAULT,
	PC_SAVED
};

/* Adds the pages asked for; how many bytes that were. */
static size_t add_pages(const struct sr_scsi_cmd *c, uint8_t *d)
{
	struct sr_scsi_unit *u = c->lane->unit;
	uint8_t control = c->cdb[2] >> 6, page = c->cdb[2] & 0x3f;
	size_t len = 0;

	for (unsigned i = 0; i < LU_MODE_PAGES; i++) {
		const struct lu_mode_page *p = &lu_mode_pages[i];

		if (page != 0x3f && page != p->page)
			continue;
		lu_mode_fill(p, control == PC_DEFAULT ? lu_mode_first(u) : lu_mode_now(u), d + len);
		if (control == PC_CHANGEABLE)
			memcpy(d + len + 2, p->changeable + 2, p->len - 2u);
		len += p->len;
	}
	return len;
}

static size_t block_descriptor(const struct sr_scsi_unit *u, bool large, uint8_t *d)
{
	uint64_t blocks = lu_blocks(u);

	if (large) {
		lu_put_be64(d, blocks);
		sr_put_be32(d + 12, u->block_size);
		return 16;
	}
	sr_put_be32(d, (uint32_t)sr_min(blocks, UINT32_MAX));
	sr_put_be32(d + 4, u->block_size);
	return 8;
}

/* With the unit's lock held. 0: no such page. */
static size_t fill_answer(const struct sr_scsi_cmd *c, uint8_t *d)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	bool is_long = c->cdb[0] == 0x5a, large = is_long && c->cdb[1] & 0x10;
	size_t head = is_long ? 8 : 4, blocks = 0, pages, len;
	uint8_t specific =
		(uint8_t)(0x10 | (lu_word(u) & LU_READ_ONLY ? 0x80 : 0)); /* DPOFUA, WP */

	if (!(c->cdb[1] & 0x08))
		blocks = block_descriptor(u, large, d + head);
	pages = add_pages(c, d + head + blocks);
	len = head + blocks + pages;
	if (is_long) {
		sr_put_be16(d, (uint16_t)(len - 2));
		d[3] = specific;
		d[4] = large;
		sr_put_be16(d + 6, (uint16_t)blocks);
	} else {
		d[0] = (uint8_t)(len - 1);
		d[2] = specific;
		d[3] = (uint8_t)blocks;
	}
	return pages ? len : 0;
}

void lu_mode_sense(struct sr_scsi_cmd *c)
{
	struct sr_scsi_unit *u = c->lane->unit;
	uint8_t data[LU_MODE_BYTES] = { 0 };
	size_t len;

	if (c->cdb[3] && c->cdb[3] != 0xff) {
		lu_fail_cdb(c, 3, LU_NO_BIT);
		return;
	}
	if (c->cdb[2] >> 6 == PC_SAVED) {
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_NO_SAVING);
		return;
	}
	pthread_mutex_lock(&u->lock);
	len = fill_answer(c, data);
	pthread_mutex_unlock(&u->lock);
	if (len)
		lu_reply(c, data, len, c->cdb[0] == 0x5a ? sr_get_be16(c->cdb + 7) : c->cdb[4]);
	else
		lu_fail_cdb(c, 2, 5);
}
