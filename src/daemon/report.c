/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"
#include "base.h"

#include <inttypes.h>
#include <slipring/mem.h>
#include <stdatomic.h>
#include <stdio.h>

json_t *sr_text_report(const char *text)
{
	char plain[512];
	json_t *j = json_string(text);
	size_t i;

	for (i = 0; !j && text[i] && i + 1 < sizeof(plain); i++)
		plain[i] = text[i] & 0x80 ? '?' : text[i];
	plain[i] = '\0';
	return j ? j : json_string(plain);
}

json_t *sr_counter_report(const void *counters, const struct sr_counter *all, unsigned n)
{
	json_t *j = json_object();

	for (unsigned i = 0; i < n; i++) {
		const _Atomic uint64_t *v = (const void *)((const char *)counters + all[i].offset);
		uint64_t value = atomic_load_explicit(v, memory_order_relaxed);

		json_object_set_new(j, all[i].name, json_integer((json_int_t)value));
	}
	return j;
}

static json_t *bit_names(uint64_t bits, const char *(*name_of)(unsigned bit))
{
	json_t *j = json_array();

	for (unsigned b = 0; b < 64; b++) {
		const char *name = name_of(b);

		if (bits & 1ull << b)
			json_array_append_new(j,
					      name ? json_string(name) : json_sprintf("BIT_%u", b));
	}
	return j;
}

static json_t *region_report(const struct sr_mem *m)
{
	json_t *j = json_array();
	unsigned n = m ? sr_mem_region_count(m) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct sr_region r = sr_mem_region_get(m, i);

		json_array_append_new(j, json_pack("{s:o, s:I}", "gpa",
						   json_sprintf("0x%" PRIx64, r.gpa), "size",
						   (json_int_t)r.size));
	}
	return j;
}

void sr_session_report(json_t *to, const struct sr_vhost_user_info *v)
{
	json_object_set_new(to, "queues", json_integer(v->queues_started));
	json_object_set_new(to, "regions", json_integer(v->mem ? sr_mem_region_count(v->mem) : 0));
	json_object_set_new(to, "sessions", json_integer((json_int_t)v->sessions));
	json_object_set_new(to, "last_error", sr_text_report(v->last_error));
}

void sr_session_report_long(json_t *to, const struct sr_vhost_user_info *v,
			    const char *(*feature_name)(unsigned bit))
{
	json_object_set_new(to, "features_mask", json_sprintf("0x%" PRIx64, v->features));
	json_object_set_new(to, "features", bit_names(v->features, feature_name));
	json_object_set_new(to, "protocol_features",
			    bit_names(v->protocol_features, sr_vhost_user_protocol_feature_name));
	json_object_set_new(to, "memory", region_report(v->mem));
}
