/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk in memory for the tests of the SCSI device, used from several loops: it holds requests
 * back as long as it is told, and gives them up or not. */
#ifndef VSCSI_SLOW_H
#define VSCSI_SLOW_H

#include <slipring/disk_engine.h>

struct slow {
	struct sr_disk disk;
	uint8_t *bytes;
	_Atomic bool hold;     /* nothing is carried out */
	_Atomic bool stubborn; /* nothing can be cancelled */
	_Atomic bool dead;     /* no channel can be opened */
	_Atomic unsigned held; /* requests that are waiting */
	_Atomic unsigned cancelled;
};

struct slow *slow_create(const char *name, uint64_t size);

#endif
