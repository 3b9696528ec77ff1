/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * COMPARE AND WRITE (SBC-4, 5.3): clusters of guests keep their locks with it, so no other
 * command may see or change the range between the comparison and the write. The guest's data is
 * copied before anything else: what was compared is what is written.
 */
#include "unit_internal.h"

struct caw {
	struct iovec found, wanted; /* what the medium has; what it shall have */
	size_t len;
	uint8_t data[]; /* expected, wanted, found */
};

static void written(struct sr_scsi_cmd *c)
{
	const struct caw *w = c->work;

	if (c->req.result)
		lu_fail_disk(c);
	else
		lu_good(c, 2 * (uint32_t)w->len);
}

static void compare(struct sr_scsi_cmd *c)
{
	struct caw *w = c->work;
	const uint8_t *found = w->data + 2 * w->len;
	bool fua = c->cdb[1] & 0x08 || !(lu_word(c->lane->unit) & LU_WCE);
	size_t i = 0;

	if (c->req.result) {
		lu_fail_disk(c);
		return;
	}
	while (i < w->len && w->data[i] == found[i])
		i++;
	if (i < w->len) {
		lu_fail_info(c, LU_MISCOMPARE, LU_ASC_MISCOMPARE, i);
		return;
	}
	c->req.op = SR_DISK_WRITE;
	c->req.flags = fua ? SR_DISK_FUA : 0;
	c->req.iov = &w->wanted;
	lu_disk(c, written);
}

static void read_range(struct sr_scsi_cmd *c)
{
	struct caw *w = c->work;

	c->req = (struct sr_disk_req){
		.op = SR_DISK_READ, .offset = c->offset, .len = w->len, .iov = &w->found, .niov = 1
	};
	lu_disk(c, compare);
}

static void claim(struct sr_scsi_cmd *c)
{
	lu_exclusive(c, claim, read_range);
}

void lu_compare_and_write(struct sr_scsi_cmd *c)
{
	const struct sr_scsi_unit *u = c->lane->unit;
	uint64_t lba = lu_get_be64(c->cdb + 2);
	size_t len = (size_t)c->cdb[13] << u->shift;
	struct caw *w;

	if (c->cdb[1] & 0xe0) {
		lu_fail_cdb(c, 1, 7);
	} else if (c->cdb[13] > LU_CAW_BLOCKS) {
		lu_fail_cdb(c, 13, LU_NO_BIT);
	} else if (!lu_write_allowed(c) || !lu_range_check(c, lba, c->cdb[13])) {
		return;
	} else if (!len) {
		lu_good(c, 0);
	} else if (2 * len > c->out_len) {
		lu_fail_overrun(c);
	} else if (lu_work(c, sizeof(*w) + 3 * len)) {
		w = c->work;
		w->len = len;
		w->wanted = (struct iovec){ w->data + len, len };
		w->found = (struct iovec){ w->data + 2 * len, len };
		sr_iov_read(c->out, c->nout, 0, w->data, 2 * len);
		c->offset = lba << u->shift;
		c->bytes = len;
		claim(c);
	}
}
