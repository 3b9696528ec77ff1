/* SPDX-License-Identifier: BSD-3-Clause */
/* Vital product data (SPC-5, 7.8; SBC-4, 6.6). One row for a page; page 00 is made of them. */
#include "unit_internal.h"

#define VPD_MAX	   256u
#define VPD_HEADER 4u

static size_t page_00(const struct sr_scsi_cmd *c, uint8_t *d);

static size_t unit_serial(const struct sr_scsi_cmd *c, uint8_t *d)
{
	const char *serial = c->lane->unit->serial;

	memcpy(d, serial, strlen(serial));
	return strlen(serial);
}

/* Protocol and code set, association and type, length. */
static uint8_t *designator(uint8_t *d, uint8_t code_set, uint8_t type, size_t len)
{
	d[0] = code_set;
	d[1] = type;
	d[3] = (uint8_t)len;
	return d + 4;
}

static size_t device_identification(const struct sr_scsi_cmd *c, uint8_t *d)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	size_t serial = strlen(u->serial);
	uint8_t *at = d;

	at = designator(at, 1, 0x03, 8); /* NAA: locally assigned */
	lu_put_be64(at, u->naa);
	at = designator(at + 8, 2, 0x01, 8 + serial); /* T10 vendor */
	memcpy(at, u->vendor, 8);
	memcpy(at + 8, u->serial, serial);
	at = designator(at + 8 + serial, 1, 0x14, 4); /* relative target port */
	sr_put_be16(at + 2, c->nexus->port);
	return (size_t)(at + 4 - d);
}

static size_t extended_inquiry(const struct sr_scsi_cmd *c, uint8_t *d)
{
	d[0] = 0x04 | 0x01; /* GRD_CHK, REF_CHK; SPT 0: type 1; nobody checks application tags */
	d[1] = 0x07;	    /* HEADSUP, ORDSUP, SIMPSUP */
	d[2] = c->lane->unit->info->volatile_cache; /* V_SUP */
	return 60;
}

static uint32_t in_blocks(const struct sr_scsi_unit *u, uint64_t bytes)
{
	return (uint32_t)sr_min(bytes >> u->shift, UINT32_MAX);
}

static size_t block_limits(const struct sr_scsi_cmd *c, uint8_t *d)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	uint32_t granularity = u->info->discard_granularity;

	d[0] = 0x01; /* WSNZ */
	d[1] = LU_CAW_BLOCKS;
	sr_put_be16(d + 2, (uint16_t)sr_min(in_blocks(u, u->info->io_min), UINT16_MAX));
	if (u->protection)
		sr_put_be32(d + 4, in_blocks(u, LU_PROTECTED_BYTES));
	sr_put_be32(d + 8, in_blocks(u, u->info->io_opt));
	if (u->thin) {
		sr_put_be32(d + 16, in_blocks(u, LU_UNMAP_BYTES));
		sr_put_be32(d + 20, LU_UNMAP_DESCRIPTORS);
		sr_put_be32(d + 24, granularity ? in_blocks(u, granularity) : 1);
		d[28] = 0x80; /* UGAVALID, aligned to 0 */
	}
	lu_put_be64(d + 32, in_blocks(u, LU_SAME_BYTES));
	return 60;
}

static size_t block_characteristics(const struct sr_scsi_cmd *c, uint8_t *d)
{
	/* 1: does not rotate; 0: does, nobody knows how fast. */
	sr_put_be16(d, !c->lane->unit->info->rotational);
	return 60;
}

static size_t provisioning(const struct sr_scsi_cmd *c, uint8_t *d)
{
	const struct sr_scsi_unit *u = c->lane->unit;

	if (u->thin) {
		d[1] = (uint8_t)(0xe0 | u->reads_zeroes << 2); /* LBPU, LBPWS, LBPWS10, LBPRZ */
		d[2] = 0x02;				       /* thin */
	}
	return 4;
}

static const struct vpd {
	uint8_t page;
	bool with_protection_only;
	size_t (*fill)(const struct sr_scsi_cmd *c, uint8_t *d); /* bytes after the header */
} pages[] = {
	{ 0x00, false, page_00 },
	{ 0x80, false, unit_serial },
	{ 0x83, false, device_identification },
	{ 0x86, true, extended_inquiry },
	{ 0xb0, false, block_limits },
	{ 0xb1, false, block_characteristics },
	{ 0xb2, false, provisioning },
};

static bool is_offered(const struct sr_scsi_cmd *c, const struct vpd *p)
{
	return c->lane->unit->protection || !p->with_protection_only;
}

static size_t page_00(const struct sr_scsi_cmd *c, uint8_t *d)
{
	size_t n = 0;

	for (unsigned i = 0; i < SR_ARRAY_LEN(pages); i++)
		if (is_offered(c, &pages[i]))
			d[n++] = pages[i].page;
	return n;
}

void lu_inquiry_vpd(struct sr_scsi_cmd *c, uint8_t page, uint16_t allocated)
{
	uint8_t data[VPD_MAX] = { 0, page };
	size_t len;

	for (unsigned i = 0; i < SR_ARRAY_LEN(pages); i++)
		if (pages[i].page == page && is_offered(c, &pages[i])) {
			len = pages[i].fill(c, data + VPD_HEADER);
			sr_put_be16(data + 2, (uint16_t)len);
			lu_reply(c, data, VPD_HEADER + len, allocated);
			return;
		}
	lu_fail_cdb(c, 2, LU_NO_BIT);
}
