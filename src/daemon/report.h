/* SPDX-License-Identifier: BSD-3-Clause */
/* What reports of ports, disks and devices are made of, as JSON. */
#ifndef SR_REPORT_H
#define SR_REPORT_H

#include <jansson.h>
#include <slipring/vhost_user.h>

/* Paths and peers' texts may hold bytes that are no UTF-8. */
json_t *sr_text_report(const char *text);

struct sr_counter {
	const char *name;
	size_t offset; /* of an _Atomic uint64_t */
};
json_t *sr_counter_report(const void *counters, const struct sr_counter *all, unsigned n);

/* Adds what there is to say about a session: in a row, and all else. */
void sr_session_report(json_t *to, const struct sr_vhost_user_info *v);
void sr_session_report_long(json_t *to, const struct sr_vhost_user_info *v,
			    const char *(*feature_name)(unsigned bit));

#endif
