/* SPDX-License-Identifier: BSD-3-Clause */
/* Between MODE SENSE and MODE SELECT. */
#ifndef SR_SCSI_MODE_H
#define SR_SCSI_MODE_H

#include "unit_internal.h"

#define LU_MODE_PAGES 4u
#define LU_MODE_BYTES 256u /* of a parameter list, all pages twice and more */

/* All that can be changed. */
struct lu_mode {
	bool write_cache, descriptor_sense, software_wp;
};

struct lu_mode_page {
	uint8_t page, len; /* with its two bytes of header */
	void (*fill)(struct lu_mode m, uint8_t *d);
	uint8_t changeable[20];
};
extern const struct lu_mode_page lu_mode_pages[LU_MODE_PAGES];

/* With the unit's lock held. */
struct lu_mode lu_mode_now(const struct sr_scsi_unit *u);
struct lu_mode lu_mode_first(const struct sr_scsi_unit *u);
void lu_mode_set(struct sr_scsi_unit *u, struct lu_mode m);

void lu_mode_fill(const struct lu_mode_page *p, struct lu_mode m, uint8_t *d);

#endif
