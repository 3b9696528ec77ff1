/* SPDX-License-Identifier: BSD-3-Clause */
/* WRITE SAME (SBC-4, 5.52): zeroes by the medium's own means, other patterns written for real,
 * piece by piece. */
#include "unit_internal.h"

#include <errno.h>

struct same {
	uint64_t done;
	bool zeroes; /* left to the medium */
	uint8_t flags;
	uint32_t used;
	struct iovec piece;
	uint8_t pattern[LU_CHUNK];
};

static void piece_done(struct sr_scsi_cmd *c);

static void next_piece(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	struct same *s = c->work;
	uint64_t most = s->zeroes ? u->info->zero_max : LU_CHUNK;

	s->piece =
		(struct iovec){ s->pattern, sr_min(c->bytes - s->done, most ? most : UINT64_MAX) };
	c->req = (struct sr_disk_req){ .op = s->zeroes ? SR_DISK_ZEROES : SR_DISK_WRITE,
				       .flags = s->zeroes ? s->flags : s->flags & ~SR_DISK_UNMAP,
				       .offset = c->offset + s->done,
				       .len = s->piece.iov_len,
				       .iov = s->zeroes ? NULL : &s->piece,
				       .niov = !s->zeroes };
	lu_disk(c, piece_done);
}

static void piece_done(struct sr_scsi_cmd *c)
{
	struct same *s = c->work;

	if (c->req.result == -EOPNOTSUPP && s->zeroes) {
		s->zeroes = false;
	} else if (c->req.result) {
		lu_fail_disk(c);
		return;
	} else {
		s->done += s->piece.iov_len;
	}
	if (s->done == c->bytes)
		lu_good(c, s->used);
	else
		next_piece(c);
}

static void start(struct sr_scsi_cmd *c)
{
	if (lu_admit(c, start))
		next_piece(c);
}

/* Copies the guest's block, if there is one, to all of the pattern. */
static void take_pattern(struct sr_scsi_cmd *c, bool no_data)
{
	struct same *s = c->work;
	size_t block = c->lane->unit->block_size;

	if (!no_data) {
		sr_iov_read(c->out, c->nout, 0, s->pattern, block);
		s->used = (uint32_t)block;
	}
	/* All zero: the first byte is, and each equals the one before. */
	s->zeroes = !s->pattern[0] && !memcmp(s->pattern, s->pattern + 1, block - 1);
	if (!s->zeroes)
		for (size_t at = block; at < sr_min(LU_CHUNK, c->bytes); at += block)
			memcpy(s->pattern + at, s->pattern, block);
	s->zeroes = s->zeroes && c->lane->unit->info->can_zero;
}

/* Of the flags of byte 1, the one that cannot be, or LU_NO_BIT. */
static unsigned bad_flag(const struct sr_scsi_cmd *c)
{
	uint8_t flags = c->cdb[1];

	if (flags & 0xe0) /* WRPROTECT: there is nothing to put it on */
		return 7;
	if (flags & 0x10) /* ANCHOR */
		return 4;
	if (flags & 0x08 && !c->lane->unit->thin) /* UNMAP */
		return 3;
	if (flags & 0x06) /* PBDATA, LBDATA */
		return flags & 0x04 ? 2 : 1;
	return flags & 0x01 && c->cdb[0] == 0x41 ? 0 : LU_NO_BIT; /* NDOB is of the long one */
}

void lu_write_same(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	bool no_data = c->cdb[1] & 0x01;
	struct lu_range r;
	struct same *s;

	if (bad_flag(c) != LU_NO_BIT) {
		lu_fail_cdb(c, 1, bad_flag(c));
		return;
	}
	if (!lu_write_allowed(c) || !lu_range(c, &r))
		return;
	if (!c->bytes || c->bytes > LU_SAME_BYTES) { /* WSNZ, and the limit of page B0 */
		lu_fail_cdb(c, c->cdb[0] == 0x41 ? 7 : 10, LU_NO_BIT);
	} else if (!no_data && c->out_len < u->block_size) {
		lu_fail_overrun(c);
	} else if (lu_work(c, sizeof(*s))) {
		s = c->work;
		s->flags = (uint8_t)((lu_word(u) & LU_WCE ? 0 : SR_DISK_FUA) |
				     (c->cdb[1] & 0x08 ? SR_DISK_UNMAP : 0));
		take_pattern(c, no_data);
		start(c);
	}
}
