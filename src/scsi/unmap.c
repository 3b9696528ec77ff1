/* SPDX-License-Identifier: BSD-3-Clause */
/* UNMAP (SBC-4, 5.34): all descriptors are judged, then done one after the other, in pieces as
 * large as the medium takes them. Blocks read as zeroes afterwards where the medium can do that. */
#include "unit_internal.h"

#define HEADER	   8u
#define DESCRIPTOR 16u

struct unmap {
	uint32_t used; /* of the parameter list */
	unsigned n, at;
	struct {
		uint64_t offset, len;
	} piece[LU_UNMAP_DESCRIPTORS];
};

static void next_piece(struct sr_scsi_cmd *c);

static void piece_done(struct sr_scsi_cmd *c)
{
	if (c->req.result)
		lu_fail_disk(c);
	else
		next_piece(c);
}

static void next_piece(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	struct unmap *w = c->work;
	uint64_t most = u->reads_zeroes ? u->info->zero_max : u->info->discard_max, n;

	while (w->at < w->n && !w->piece[w->at].len)
		w->at++;
	if (w->at == w->n) {
		lu_good(c, w->used);
		return;
	}
	n = sr_min(w->piece[w->at].len, most ? most : UINT64_MAX);
	c->req = (struct sr_disk_req){ .op = u->reads_zeroes ? SR_DISK_ZEROES : SR_DISK_DISCARD,
				       .flags = u->reads_zeroes ? SR_DISK_UNMAP : 0,
				       .offset = w->piece[w->at].offset,
				       .len = n };
	w->piece[w->at].offset += n;
	w->piece[w->at].len -= n;
	lu_disk(c, piece_done);
}

static void start(struct sr_scsi_cmd *c)
{
	if (lu_admit(c, start))
		next_piece(c);
}

/* From the first byte of any descriptor to the last: what others are kept out of, or keep. */
static void set_hull(struct sr_scsi_cmd *c)
{
	const struct unmap *w = c->work;
	uint64_t from = UINT64_MAX, to = 0;

	for (unsigned i = 0; i < w->n; i++) {
		if (!w->piece[i].len)
			continue;
		from = sr_min(from, w->piece[i].offset);
		to = sr_max(to, w->piece[i].offset + w->piece[i].len);
	}
	c->offset = from;
	c->bytes = to > from ? to - from : 0;
}

/* False: c has failed. */
static bool take_descriptors(struct sr_scsi_cmd *c, const uint8_t *list)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	struct unmap *w = c->work;
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->n; i++) {
		const uint8_t *d = list + HEADER + i * DESCRIPTOR;
		uint64_t lba = lu_get_be64(d), blocks = sr_get_be32(d + 8);

		sum += blocks;
		if (blocks > LU_UNMAP_BYTES >> u->shift || sum > LU_UNMAP_BYTES >> u->shift) {
			lu_fail_list(c, HEADER + i * DESCRIPTOR + 8, LU_NO_BIT);
			return false;
		}
		if (!lu_range_check(c, lba, blocks))
			return false;
		w->piece[i].offset = lba << u->shift;
		w->piece[i].len = blocks << u->shift;
	}
	set_hull(c);
	return true;
}

/* False: c has failed. What is more than the list holds is not there (SBC-4, 5.34.2). */
static bool take_list(struct sr_scsi_cmd *c, size_t len)
{
	uint8_t list[HEADER + LU_UNMAP_DESCRIPTORS * DESCRIPTOR];
	struct unmap *w = c->work;
	size_t n;

	if (len > c->out_len) {
		lu_fail_overrun(c);
		return false;
	}
	n = sr_min(len, sizeof(list));
	if (!lu_list(c, list, n))
		return false;
	n = sr_min(sr_get_be16(list + 2), len - HEADER) / DESCRIPTOR;
	if (n > LU_UNMAP_DESCRIPTORS) {
		lu_fail_list(c, 2, LU_NO_BIT);
		return false;
	}
	w->n = (unsigned)n;
	w->used = (uint32_t)len;
	return take_descriptors(c, list);
}

void lu_unmap(struct sr_scsi_cmd *c)
{
	size_t len = sr_get_be16(c->cdb + 7);

	if (c->cdb[1] & 1) /* ANCHOR */
		lu_fail_cdb(c, 1, 0);
	else if (!lu_write_allowed(c))
		return;
	else if (!len)
		lu_good(c, 0);
	else if (len < HEADER)
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LIST_LENGTH);
	else if (lu_work(c, sizeof(struct unmap)) && take_list(c, len))
		start(c);
}
