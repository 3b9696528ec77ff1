/* SPDX-License-Identifier: BSD-3-Clause */
/* READ and WRITE of all lengths, and SYNCHRONIZE CACHE. Nothing here allocates, unless a guest's
 * buffers are longer than what it reads or writes. */
#include "unit_internal.h"

/* LBA and number of blocks stand where the length of the CDB, its group, puts them. */
static struct lu_range decode(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return (struct lu_range){ sr_get_be32(cdb) & 0x1fffff, cdb[4] ? cdb[4] : 256 };
	case 4:
		return (struct lu_range){ lu_get_be64(cdb + 2), sr_get_be32(cdb + 10) };
	case 5:
		return (struct lu_range){ sr_get_be32(cdb + 2), sr_get_be32(cdb + 6) };
	default:
		return (struct lu_range){ sr_get_be32(cdb + 2), sr_get_be16(cdb + 7) };
	}
}

bool lu_range_check(struct sr_scsi_cmd *c, uint64_t lba, uint64_t blocks)
{
	uint64_t all = lu_blocks(c->lane->unit);

	if (SR_LIKELY(lba < all && blocks <= all - lba))
		return true;
	lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LBA);
	return false;
}

bool lu_range(struct sr_scsi_cmd *c, struct lu_range *r)
{
	uint32_t shift = c->lane->unit->shift;

	*r = decode(c->cdb);
	c->offset = r->lba << shift;
	if (!lu_range_check(c, r->lba, r->blocks))
		return false;
	c->bytes = r->blocks << shift;
	return true;
}

bool lu_write_allowed(struct sr_scsi_cmd *c)
{
	if (SR_LIKELY(!(lu_word(c->lane->unit) & LU_READ_ONLY)))
		return true;
	lu_fail(c, LU_DATA_PROTECT, LU_ASC_WRITE_PROTECTED);
	return false;
}

static bool is_write(const struct sr_scsi_cmd *c)
{
	return c->req.op == SR_DISK_WRITE;
}

void lu_rw_done(struct sr_scsi_cmd *c)
{
	if (SR_UNLIKELY(c->req.result)) {
		lu_fail_disk(c);
		return;
	}
	if (SR_UNLIKELY(c->protect) && !is_write(c))
		lu_protect_read(c);
	lu_good(c, (uint32_t)c->bytes);
}

static void start(struct sr_scsi_cmd *c)
{
	if (lu_admit(c, start))
		lu_disk(c, NULL);
}

static void read_after_flush(struct sr_scsi_cmd *c)
{
	if (c->req.result) {
		lu_fail_disk(c);
		return;
	}
	c->req.op = SR_DISK_READ;
	c->req.len = c->bytes;
	lu_disk(c, NULL);
}

/* FUA on a read: what the medium has, so what is only in its cache goes there first. */
static void start_through_cache(struct sr_scsi_cmd *c)
{
	if (!lu_admit(c, start_through_cache))
		return;
	c->req.op = SR_DISK_FLUSH;
	c->req.len = 0;
	lu_disk(c, read_after_flush);
}

uint32_t lu_iov_head(const struct iovec *from, struct iovec *to, uint64_t bytes)
{
	uint32_t n = 0;

	for (; bytes; n++) {
		to[n].iov_base = from[n].iov_base;
		to[n].iov_len = sr_min(from[n].iov_len, bytes);
		bytes -= to[n].iov_len;
	}
	return n;
}

static bool shorten(struct sr_scsi_cmd *c)
{
	if (!lu_work(c, c->req.niov * sizeof(struct iovec)))
		return false;
	c->req.niov = lu_iov_head(c->req.iov, c->work, c->bytes);
	c->req.iov = c->work;
	return true;
}

static void read_write(struct sr_scsi_cmd *c, bool write)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	bool fua = c->cdb[0] >> 5 && c->cdb[1] & 0x08;
	uint32_t have = write ? c->out_len : c->in_len;
	struct lu_range r;

	if (!lu_range(c, &r) ||
	    (SR_UNLIKELY(c->cdb[0] >> 5 && c->cdb[1] & 0xe0) && !lu_protect_begin(c, &r, write)))
		return;
	if (SR_UNLIKELY(c->bytes > have)) {
		lu_fail_overrun(c);
		return;
	}
	c->req.op = write ? SR_DISK_WRITE : SR_DISK_READ;
	c->req.flags = write && (fua || !(lu_word(u) & LU_WCE)) ? SR_DISK_FUA : 0;
	c->req.offset = c->offset;
	c->req.len = c->bytes;
	c->req.iov = write ? c->out : c->in;
	c->req.niov = write ? c->nout : c->nin;
	if (SR_UNLIKELY(!c->bytes))
		lu_good(c, 0);
	else if (SR_UNLIKELY(c->bytes < have) && !shorten(c))
		return;
	else if (SR_UNLIKELY(fua && !write && u->info->volatile_cache))
		start_through_cache(c);
	else
		start(c);
}

void lu_read(struct sr_scsi_cmd *c)
{
	read_write(c, false);
}

void lu_write(struct sr_scsi_cmd *c)
{
	if (lu_write_allowed(c))
		read_write(c, true);
}

static void synchronized(struct sr_scsi_cmd *c)
{
	if (c->req.result)
		lu_fail_disk(c);
	else
		lu_good(c, 0);
}

/* The whole cache whatever the range; IMMED or not, the answer comes when it is true. */
void lu_synchronize_cache(struct sr_scsi_cmd *c)
{
	struct lu_range r;

	if (!lu_range(c, &r))
		return;
	c->bytes = 0;
	c->req = (struct sr_disk_req){ .op = SR_DISK_FLUSH };
	lu_disk(c, synchronized);
}
