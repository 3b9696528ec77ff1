/* SPDX-License-Identifier: BSD-3-Clause */
/* MODE SELECT: the list is judged whole, then all of it happens or nothing (SPC-5, 6.13). */
#include "mode.h"

/* A list while it is judged, and what is wrong with it. */
struct list {
	const uint8_t *d;
	size_t len, at;
	struct lu_mode mode;
	enum lu_asc asc;
	unsigned byte, bit;
};

static bool wrong(struct list *l, size_t byte, unsigned bit)
{
	l->asc = LU_ASC_FIELD_LIST;
	l->byte = (unsigned)byte;
	l->bit = bit;
	return false;
}

static bool cut(struct list *l)
{
	l->asc = LU_ASC_LIST_LENGTH;
	return false;
}

/* Neither size nor number of blocks can be changed; 0 blocks, or all ones: not meant to be. */
static bool judge_block_descriptor(struct list *l, const struct sr_scsi_unit *u, size_t len,
				   bool large)
{
	const uint8_t *d = l->d + l->at;
	uint64_t blocks;
	uint32_t size;

	if (!len)
		return true;
	if (len != (large ? 16 : 8))
		return wrong(l, l->at - 1, LU_NO_BIT);
	if (l->at + len > l->len)
		return cut(l);
	blocks = large ? lu_get_be64(d) : sr_get_be32(d);
	size = large ? sr_get_be32(d + 12) : sr_get_be32(d + 4) & 0xffffff;
	if (blocks && blocks != (large ? UINT64_MAX : UINT32_MAX) && blocks != lu_blocks(u))
		return wrong(l, l->at, LU_NO_BIT);
	if (size && size != u->block_size)
		return wrong(l, l->at + (large ? 12 : 5), LU_NO_BIT);
	l->at += len;
	return true;
}

static const struct lu_mode_page *find_page(uint8_t page)
{
	for (unsigned i = 0; i < LU_MODE_PAGES; i++)
		if (lu_mode_pages[i].page == page)
			return &lu_mode_pages[i];
	return NULL;
}

static void take_page(struct list *l, const uint8_t *d)
{
	if ((d[0] & 0x3f) == 0x08)
		l->mode.write_cache = d[2] & 0x04;
	if ((d[0] & 0x3f) == 0x0a) {
		l->mode.descriptor_sense = d[2] & 0x04;
		l->mode.software_wp = d[4] & 0x08;
	}
}

static bool judge_page(struct list *l)
{
	const uint8_t *d = l->d + l->at;
	const struct lu_mode_page *p = find_page(d[0] & 0x3f);
	uint8_t now[20], differs;

	if (d[0] & 0x40)
		return wrong(l, l->at, 6);
	if (!p)
		return wrong(l, l->at, 5);
	if (l->at + 2 > l->len)
		return cut(l);
	if (d[1] != p->len - 2)
		return wrong(l, l->at + 1, LU_NO_BIT);
	if (l->at + p->len > l->len)
		return cut(l);
	lu_mode_fill(p, l->mode, now);
	for (unsigned i = 2; i < p->len; i++) {
		differs = (uint8_t)((d[i] ^ now[i]) & ~p->changeable[i]);
		if (differs)
			return wrong(l, l->at + i, 31u - (unsigned)__builtin_clz(differs));
	}
	take_page(l, d);
	l->at += p->len;
	return true;
}

static bool judge(struct list *l, const struct sr_scsi_unit *u, bool is_long)
{
	size_t head = is_long ? 8 : 4, blocks;

	if (l->len < head)
		return cut(l);
	blocks = is_long ? sr_get_be16(l->d + 6) : l->d[3];
	l->at = head;
	if (!judge_block_descriptor(l, u, blocks, is_long && l->d[4] & 1))
		return false;
	while (l->at < l->len)
		if (!judge_page(l))
			return false;
	return true;
}

void lu_mode_set(struct sr_scsi_unit *u, struct lu_mode m)
{
	lu_word_set(u, LU_WCE, m.write_cache);
	lu_word_set(u, LU_D_SENSE, m.descriptor_sense);
	lu_word_set(u, LU_READ_ONLY, u->read_only || m.software_wp);
	u->software_wp = m.software_wp;
}

static void flushed(struct sr_scsi_cmd *c)
{
	if (c->req.result)
		lu_fail_disk(c);
	else
		lu_good(c, c->transferred);
}

/* The cache is no more, and what is in it must not be lost. */
static void cache_is_off(struct sr_scsi_cmd *c, uint32_t used)
{
	c->transferred = used;
	c->req = (struct sr_disk_req){ .op = SR_DISK_FLUSH };
	lu_disk(c, flushed);
}

static void select_pages(struct sr_scsi_cmd *c, const uint8_t *data, size_t len)
{
	struct sr_scsi_unit *u = c->lane->unit;
	struct list l = { .d = data, .len = len };
	struct lu_mode before;
	bool good;

	pthread_mutex_lock(&u->lock);
	before = l.mode = lu_mode_now(u);
	good = judge(&l, u, c->cdb[0] == 0x55);
	if (good && memcmp(&before, &l.mode, sizeof(before)) != 0) {
		lu_mode_set(u, l.mode);
		lu_attend_others(u, c->nexus, LU_ASC_MODE_CHANGED);
	}
	pthread_mutex_unlock(&u->lock);
	if (!good && l.asc == LU_ASC_FIELD_LIST)
		lu_fail_list(c, l.byte, l.bit);
	else if (!good)
		lu_fail(c, LU_ILLEGAL_REQUEST, l.asc);
	else if (before.write_cache && !l.mode.write_cache)
		cache_is_off(c, (uint32_t)len);
	else
		lu_good(c, (uint32_t)len);
}

void lu_mode_select(struct sr_scsi_cmd *c)
{
	size_t len = c->cdb[0] == 0x55 ? sr_get_be16(c->cdb + 7) : c->cdb[4];
	uint8_t data[LU_MODE_BYTES];

	if (c->cdb[1] & 0x03) /* RTD, SP */
		lu_fail_cdb(c, 1, c->cdb[1] & 0x02 ? 1 : 0);
	else if (!len)
		lu_good(c, 0);
	else if (!(c->cdb[1] & 0x10)) /* PF */
		lu_fail_cdb(c, 1, 4);
	else if (len > sizeof(data))
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LIST_LENGTH);
	else if (lu_list(c, data, len))
		select_pages(c, data, len);
}
