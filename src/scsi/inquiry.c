/* SPDX-License-Identifier: BSD-3-Clause */
/* Standard INQUIRY data (SPC-5, 6.7.2). */
#include "unit_internal.h"

#define INQUIRY_LEN 74u

static void fill_standard(const struct sr_scsi_unit *u, uint8_t *d)
{
	static const uint16_t conforms_to[] = { 0x00c0 /* SAM-6 */, 0x05c0 /* SPC-5 */,
						0x0600 /* SBC-4 */ };

	d[2] = 0x07;	    /* SPC-5 */
	d[3] = 0x02 | 0x10; /* response data format 2, HISUP */
	d[4] = INQUIRY_LEN - 5;
	d[5] = u->protection;
	d[7] = 0x02; /* CMDQUE */
	memcpy(d + 8, u->vendor, 8);
	memcpy(d + 16, u->product, 16);
	memcpy(d + 32, u->revision, 4);
	for (unsigned i = 0; i < SR_ARRAY_LEN(conforms_to); i++)
		sr_put_be16(d + 58 + 2 * i, conforms_to[i]);
}

void lu_inquiry(struct sr_scsi_cmd *c)
{
	uint16_t allocated = sr_get_be16(c->cdb + 3);
	uint8_t data[INQUIRY_LEN] = { 0 };

	if (c->cdb[1] & 0x02) { /* CMDDT */
		lu_fail_cdb(c, 1, 1);
	} else if (c->cdb[1] & 0x01) {
		lu_inquiry_vpd(c, c->cdb[2], allocated);
	} else if (c->cdb[2]) {
		lu_fail_cdb(c, 2, LU_NO_BIT);
	} else {
		fill_standard(c->lane->unit, data);
		lu_reply(c, data, sizeof(data), allocated);
	}
}
