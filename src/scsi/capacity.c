/* SPDX-License-Identifier: BSD-3-Clause */
/* How large the medium is, and what is known about its blocks (SBC-4, 5.20, 5.21, 5.8). */
#include "unit_internal.h"

void lu_read_capacity_10(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	uint8_t data[8];

	/* PMI is obsolete; without it there can be no LBA. */
	if (!(c->cdb[8] & 1) && sr_get_be32(c->cdb + 2)) {
		lu_fail_cdb(c, 2, LU_NO_BIT);
		return;
	}
	sr_put_be32(data, (uint32_t)sr_min(lu_blocks(u) - 1, UINT32_MAX));
	sr_put_be32(data + 4, u->block_size);
	lu_reply(c, data, sizeof(data), sizeof(data));
}

void lu_read_capacity_16(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	uint8_t data[32] = { 0 };

	if (!(c->cdb[14] & 1) && lu_get_be64(c->cdb + 2)) {
		lu_fail_cdb(c, 2, LU_NO_BIT);
		return;
	}
	lu_put_be64(data, lu_blocks(u) - 1);
	sr_put_be32(data + 8, u->block_size);
	data[12] = u->protection; /* PROT_EN, type 1 */
	data[13] = (uint8_t)(__builtin_ctz(u->info->physical_size) - (int)u->shift);
	data[14] = (uint8_t)(u->thin << 7 | u->reads_zeroes << 6);
	lu_reply(c, data, sizeof(data), sr_get_be32(c->cdb + 10));
}

/* "Mapped or unknown" for all that follows: the disk contract does not tell more. */
void lu_get_lba_status(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	uint64_t lba = lu_get_be64(c->cdb + 2), all = lu_blocks(u);
	uint8_t data[24] = { 0 };

	if (lba >= all) {
		lu_fail(c, LU_ILLEGAL_REQUEST, LU_ASC_LBA);
		return;
	}
	sr_put_be32(data, sizeof(data) - 4);
	lu_put_be64(data + 8, lba);
	sr_put_be32(data + 16, (uint32_t)sr_min(all - lba, UINT32_MAX));
	lu_reply(c, data, sizeof(data), sr_get_be32(c->cdb + 10));
}
