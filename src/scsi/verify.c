/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERIFY, and WRITE AND VERIFY: the medium is read piece by piece into memory of ours and, as
 * BYTCHK says, thrown away, or compared with the guest's data, or each block with one block.
 */
#include "unit_internal.h"

enum {
	COMPARE_NOT = 0,
	COMPARE_ALL = 1,
	COMPARE_RESERVED = 2,
	COMPARE_ONE_BLOCK = 3
};

struct verify {
	uint64_t done;
	uint8_t compare;
	struct iovec piece; /* what is read now */
	struct iovec *out;  /* WRITE AND VERIFY: the guest's data, as long as the range */
	uint8_t block[4096];
	uint8_t data[LU_CHUNK];
};

static bool same_bytes(const struct sr_scsi_cmd *c, size_t offset, const uint8_t *p, size_t len)
{
	size_t n;

	for (unsigned i = 0; i < c->nout && len; i++) {
		if (offset >= c->out[i].iov_len) {
			offset -= c->out[i].iov_len;
			continue;
		}
		n = sr_min(c->out[i].iov_len - offset, len);
		if (memcmp((const uint8_t *)c->out[i].iov_base + offset, p, n) != 0)
			return false;
		p += n;
		len -= n;
		offset = 0;
	}
	return true;
}

static bool same_blocks(const struct verify *v, size_t block, size_t len)
{
	for (size_t at = 0; at < len; at += block)
		if (memcmp(v->block, v->data + at, block) != 0)
			return false;
	return true;
}

static void read_piece(struct sr_scsi_cmd *c);

static void piece_read(struct sr_scsi_cmd *c)
{
	struct verify *v = c->work;
	size_t len = v->piece.iov_len;
	bool same = true;

	if (c->req.result) {
		lu_fail_disk(c);
		return;
	}
	if (v->compare == COMPARE_ALL)
		same = same_bytes(c, v->done, v->data, len);
	if (v->compare == COMPARE_ONE_BLOCK)
		same = same_blocks(v, c->lane->unit->block_size, len);
	v->done += len;
	if (!same)
		lu_fail(c, LU_MISCOMPARE, LU_ASC_MISCOMPARE);
	else
		read_piece(c);
}

static uint32_t bytes_used(const struct sr_scsi_cmd *c)
{
	const struct verify *v = c->work;

	if (v->compare == COMPARE_ALL || v->out)
		return (uint32_t)c->bytes;
	return v->compare == COMPARE_ONE_BLOCK ? c->lane->unit->block_size : 0;
}

static void read_piece(struct sr_scsi_cmd *c)
{
	struct verify *v = c->work;

	if (v->done == c->bytes) {
		lu_good(c, bytes_used(c));
		return;
	}
	v->piece = (struct iovec){ v->data, sr_min(LU_CHUNK, c->bytes - v->done) };
	c->req = (struct sr_disk_req){ .op = SR_DISK_READ,
				       .offset = c->offset + v->done,
				       .len = v->piece.iov_len,
				       .iov = &v->piece,
				       .niov = 1 };
	lu_disk(c, piece_read);
}

static void start_verify(struct sr_scsi_cmd *c)
{
	if (lu_admit(c, start_verify))
		read_piece(c);
}

static void written(struct sr_scsi_cmd *c)
{
	if (c->req.result)
		lu_fail_disk(c);
	else
		read_piece(c);
}

static void start_write(struct sr_scsi_cmd *c)
{
	if (lu_admit(c, start_write))
		lu_disk(c, written);
}

/* False: c has ended. */
static bool prepare(struct sr_scsi_cmd *c, bool write, size_t extra)
{
	uint8_t compare = c->cdb[1] >> 1 & 3;
	struct lu_range r;
	uint64_t needs;
	struct verify *v;

	if (compare == COMPARE_RESERVED || (write && compare == COMPARE_ONE_BLOCK)) {
		lu_fail_cdb(c, 1, 2);
		return false;
	}
	if (!lu_range(c, &r) || !lu_protect_medium(c, &r, write))
		return false;
	needs = write || compare == COMPARE_ALL ? c->bytes : 0;
	if (compare == COMPARE_ONE_BLOCK && c->bytes)
		needs = c->lane->unit->block_size;
	if (needs > c->out_len) {
		lu_fail_overrun(c);
		return false;
	}
	if (!c->bytes) {
		lu_good(c, 0);
		return false;
	}
	if (!lu_work(c, sizeof(*v) + extra))
		return false;
	v = c->work;
	v->compare = compare;
	return true;
}

void lu_verify(struct sr_scsi_cmd *c)
{
	struct verify *v;

	if (!prepare(c, false, 0))
		return;
	v = c->work;
	if (v->compare == COMPARE_ONE_BLOCK)
		sr_iov_read(c->out, c->nout, 0, v->block, c->lane->unit->block_size);
	start_verify(c);
}

void lu_write_and_verify(struct sr_scsi_cmd *c)
{
	struct verify *v;

	if (!lu_write_allowed(c) || !prepare(c, true, c->nout * sizeof(struct iovec)))
		return;
	v = c->work;
	v->out = (struct iovec *)(v + 1);
	c->req = (struct sr_disk_req){ .op = SR_DISK_WRITE,
				       .flags = SR_DISK_FUA,
				       .offset = c->offset,
				       .len = c->bytes,
				       .iov = v->out,
				       .niov = lu_iov_head(c->out, v->out, c->bytes) };
	start_write(c);
}
