/* SPDX-License-Identifier: BSD-3-Clause */
/* What there is to say about disks and devices, as JSON. */
#ifndef SR_STORAGE_REPORT_H
#define SR_STORAGE_REPORT_H

#include "storage.h"

#include <jansson.h>

/* New references. The short ones are rows of disk.list and device.list, the long ones add all
 * details. */
json_t *sr_disk_report(const struct sr_storage *s, const struct sr_daemon_disk *d);
json_t *sr_disk_report_long(const struct sr_storage *s, const struct sr_daemon_disk *d);
json_t *sr_device_report(const struct sr_daemon_device *v);
json_t *sr_device_report_long(const struct sr_daemon_device *v);

#endif
