/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters of methods, judged by the tables of keys, and errors said about them. */
#ifndef SR_PARAMS_H
#define SR_PARAMS_H

#include "config.h"
#include "jsonrpc.h"

/* The keys that a method may get that adds one of a kind, for sr_rpc_method.keys. A SCSI
 * device's "luns" and a unit's "device" are among them. */
extern const char *sr_params_keys[SR_KINDS][SR_KEYS_MAX + 2];
void sr_params_init(void);

/* One string; NULL with *e filled. */
const char *sr_params_text(const json_t *params, const char *key, struct sr_rpc_error *e);

/* Texts for a kind's keys: strings as they are, numbers and booleans where the key is one. */
struct sr_params_values {
	const char *values[SR_KEYS_MAX];
	char numbers[SR_KEYS_MAX][32];
};
int sr_params_values(const struct sr_kind *kind, const json_t *params, struct sr_params_values *v,
		     struct sr_rpc_error *e);

/* Makes one of a kind from them. 0 or -EINVAL with *e filled. */
int sr_params_make(enum sr_kind_id kind, const json_t *params, void *item, struct sr_rpc_error *e);

/* Says why something could not be added, under its name; NULL. */
json_t *sr_params_blame(enum sr_kind_id kind, const char *name, int key, const struct sr_error *why,
			struct sr_rpc_error *e);
json_t *sr_params_failed(struct sr_rpc_error *to, const struct sr_error *e);

#endif
