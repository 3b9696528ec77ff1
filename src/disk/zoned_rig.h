/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of zoned disks: ten zones of 64 KiB. */
#ifndef SR_ZONED_RIG_H
#define SR_ZONED_RIG_H

#include "disk_rig.h"

#define ZONE   (64ull << 10)
#define ZONES  10u
#define SECTOR 512u

struct sr_disk *zoned_below(void);
/* On a new disk in memory; fails the test. */
struct sr_disk *zoned_make(const struct sr_disk_zoned_config *c);

/* Appends to the zone that starts at `zone`; where it went in *at when that is not NULL. */
int zoned_append(struct disk_rig *rig, uint64_t zone, const void *from, uint64_t len, uint64_t *at);
struct sr_disk_zone zoned_zone(struct disk_rig *rig, uint64_t zone);
void zoned_is(struct disk_rig *rig, uint64_t zone, enum sr_disk_zone_state state, uint64_t written);

#endif
