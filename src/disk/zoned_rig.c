/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "zoned_rig.h"

struct sr_disk *zoned_below(void)
{
	const struct sr_disk_mem_config m = { .name = "z", .size = ZONES * ZONE };

	return sr_disk_mem_create(&m, NULL);
}

struct sr_disk *zoned_make(const struct sr_disk_zoned_config *c)
{
	struct sr_disk_zoned_config own = *c;
	struct sr_error e;
	struct sr_disk *d;

	own.zone_size = ZONE;
	d = sr_disk_zoned_create(zoned_below(), &own, &e);
	if (!d)
		fail_msg("%s", e.text);
	return d;
}

int zoned_append(struct disk_rig *rig, uint64_t zone, const void *from, uint64_t len, uint64_t *at)
{
	const struct iovec iov = { (void *)(uintptr_t)from, len };
	struct sr_disk_req r = {
		.op = SR_DISK_ZONE_APPEND, .offset = zone, .len = len, .iov = &iov, .niov = 1
	};
	int result = disk_rig_do(rig, &r);

	if (at)
		*at = r.offset;
	return result;
}

struct sr_disk_zone zoned_zone(struct disk_rig *rig, uint64_t zone)
{
	struct sr_disk_zone z;
	struct sr_disk_req r = {
		.op = SR_DISK_ZONE_REPORT, .offset = zone, .zones = &z, .nzones = 1
	};

	assert_int_equal(disk_rig_do(rig, &r), 0);
	assert_int_equal(r.nzones, 1);
	return z;
}

void zoned_is(struct disk_rig *rig, uint64_t zone, enum sr_disk_zone_state state, uint64_t written)
{
	struct sr_disk_zone z = zoned_zone(rig, zone);

	assert_int_equal(z.start, zone);
	assert_int_equal(z.capacity, ZONE);
	assert_int_equal(z.state, state);
	assert_int_equal(z.wp, zone + written);
}
