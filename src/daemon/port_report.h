/* SPDX-License-Identifier: BSD-3-Clause */
/* What there is to say about a port, as JSON. */
#ifndef SR_PORT_REPORT_H
#define SR_PORT_REPORT_H

#include "daemon_port.h"

#include <jansson.h>

/* New references, NULL when out of memory. The short one is a row of port.list, the long
 * one adds all details. */
json_t *sr_port_report(const struct sr_daemon_port *p);
json_t *sr_port_report_long(const struct sr_daemon_port *p);

/* "52:54:00:12:34:56", or null when all zero. */
json_t *sr_mac_report(const uint8_t mac[6]);

#endif
