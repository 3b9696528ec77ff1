/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T10 protection information of type 1 (SBC-4, 4.21): 8 bytes for each block, a CRC of its data
 * (guard), an application tag that nobody here looks at, and the low half of its LBA.
 */
#include "unit_internal.h"

/* What RDPROTECT and WRPROTECT of 1 to 5 mean. */
enum {
	PI_TRANSFER = 1 << 0,
	PI_GUARD = 1 << 1,
	PI_REF = 1 << 2
};
static const uint8_t checks[8] = {
	[1] = PI_TRANSFER | PI_GUARD | PI_REF,
	[2] = PI_TRANSFER | PI_REF,
	[3] = PI_TRANSFER,
	[4] = PI_TRANSFER | PI_GUARD,
	[5] = PI_TRANSFER | PI_GUARD | PI_REF,
};
#define PI_NO_CHECK 0xffffu /* an application tag that says so */
#define PI_BATCH    64u

static uint16_t crc_table[256]; /* of the polynomial 0x8bb7 */

static void crc_make(void)
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned v = i << 8;

		for (unsigned bit = 0; bit < 8; bit++)
			v = v & 0x8000 ? v << 1 ^ 0x8bb7 : v << 1;
		crc_table[i] = (uint16_t)v;
	}
}

void lu_protect_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, crc_make);
}

static uint16_t crc_add(uint16_t crc, const uint8_t *p, size_t n)
{
	while (n--)
		crc = (uint16_t)(crc << 8 ^ crc_table[(crc >> 8 ^ *p++) & 0xff]);
	return crc;
}

/* A place in a list of pieces. */
struct place {
	const struct iovec *iov;
	size_t offset;
};

static uint16_t crc_block(struct place *p, size_t len)
{
	uint16_t crc = 0;
	size_t n;

	while (len) {
		n = sr_min(p->iov->iov_len - p->offset, len);
		crc = crc_add(crc, (const uint8_t *)p->iov->iov_base + p->offset, n);
		len -= n;
		p->offset += n;
		if (p->offset == p->iov->iov_len)
			*p = (struct place){ p->iov + 1, 0 };
	}
	return crc;
}

/* 0 or what is wrong. */
static enum lu_asc check_block(uint8_t which, const uint8_t *pi, uint16_t crc, uint64_t lba)
{
	if (sr_get_be16(pi + 2) == PI_NO_CHECK)
		return LU_ASC_NONE;
	if ((which & PI_GUARD) && sr_get_be16(pi) != crc)
		return LU_ASC_GUARD;
	if ((which & PI_REF) && sr_get_be32(pi + 4) != (uint32_t)lba)
		return LU_ASC_REF_TAG;
	return LU_ASC_NONE;
}

static bool check_write(struct sr_scsi_cmd *c, const struct lu_range *r)
{
	struct place at = { c->out, 0 };
	uint8_t pi[PI_BATCH][LU_PI_BYTES];
	enum lu_asc wrong;

	for (uint64_t i = 0; i < r->blocks; i++) {
		if (i % PI_BATCH == 0)
			sr_iov_read(c->pi_out, c->npi_out, i * LU_PI_BYTES, pi, sizeof(pi));
		wrong = check_block(c->protect, pi[i % PI_BATCH],
				    crc_block(&at, c->lane->unit->block_size), r->lba + i);
		if (wrong) {
			lu_fail_info(c, LU_ABORTED_COMMAND, wrong, r->lba + i);
			return false;
		}
	}
	return true;
}

bool lu_protect_begin(struct sr_scsi_cmd *c, const struct lu_range *r, bool write)
{
	uint32_t have = write ? c->out_len : c->in_len;
	uint32_t have_pi = write ? c->pi_out_len : c->pi_in_len;

	c->protect = checks[c->cdb[1] >> 5];
	if (!c->lane->unit->protection || !c->protect) {
		lu_fail_cdb(c, 1, 7);
		return false;
	}
	/* Data alone, to the byte: Linux with its own checks switched off takes its adapter, which
	 * is us, for the one that makes the rest and takes it off again. (Blocks of 520 bytes, the
	 * other way to have no list for it, would be longer.) */
	if (!have_pi && c->bytes == have) {
		c->protect = 0;
		return true;
	}
	/* Guards are made here, byte by byte, on a loop that serves others too. */
	if (c->bytes > LU_PROTECTED_BYTES) {
		lu_fail_cdb(c, c->cdb[0] >> 5 == 4 ? 10 : c->cdb[0] >> 5 == 5 ? 6 : 7, LU_NO_BIT);
		return false;
	}
	if (r->blocks * LU_PI_BYTES > have_pi || c->bytes > have) {
		lu_fail_overrun(c);
		return false;
	}
	return !write || check_write(c, r);
}

bool lu_protect_medium(struct sr_scsi_cmd *c, const struct lu_range *r, bool write)
{
	if (!(c->cdb[1] & 0xe0) || (!write && c->lane->unit->protection && checks[c->cdb[1] >> 5]))
		return true;
	if (write)
		return lu_protect_begin(c, r, true);
	lu_fail_cdb(c, 1, 7);
	return false;
}

void lu_protect_read(struct sr_scsi_cmd *c)
{
	struct place at = { c->req.iov, 0 };
	uint32_t block = c->lane->unit->block_size;
	uint64_t lba = c->offset / block, blocks = c->bytes / block, n;
	uint8_t pi[PI_BATCH][LU_PI_BYTES] = { 0 };

	for (uint64_t done = 0; done < blocks; done += n) {
		n = sr_min(blocks - done, PI_BATCH);
		for (uint64_t i = 0; i < n; i++) {
			sr_put_be16(pi[i], crc_block(&at, block));
			sr_put_be32(pi[i] + 4, (uint32_t)(lba + done + i));
		}
		sr_iov_write(c->pi_in, c->npi_in, done * LU_PI_BYTES, pi, n * LU_PI_BYTES);
	}
}
