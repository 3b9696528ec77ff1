/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a daemon is made of comes in kinds: ports, disks, blk devices, ... A kind is a table
 * of keys with what its texts call it. From the one table come the command line's form
 * ("file,name=d0,path=/x"), the lists of the YAML file and the parameters of the control
 * socket's methods.
 */
#ifndef SR_KIND_H
#define SR_KIND_H

#include "keys.h"

#include <slipring/error.h>

#define SR_KEYS_MAX 32u	  /* of one kind */
#define SR_SPEC_MAX 2048u /* bytes of the command line's form */

struct sr_kind {
	const char *noun; /* of one: "port" */
	const char *list; /* of the list in the YAML file: "ports" */
	const struct sr_key *keys;
	unsigned n;
	/* The words of keys[0], which is then called "type"; the bits of uses and needs are
	 * theirs. NULL: all are alike, and have bit 0. */
	const char *const *types;
	const char *sub; /* key of a list inside of it, whose entries are another kind; or NULL */
	size_t size, name_at; /* of what it becomes, and where its name is in there */
	unsigned max;	      /* so many of them in one daemon */
	/* Defaults; and what concerns more than one key. Both optional. */
	void (*init)(void *item);
	int (*settle)(void *item, const char *const *values, struct sr_fault *fault);
};

/* values[i] is the text for keys[i], NULL = not given. 0, or -EINVAL with *fault filled: a
 * value that is wrong, missing, or not for this type. */
int sr_kind_make(const struct sr_kind *kind, const char *const *values, void *item,
		 struct sr_fault *fault);

/* Changes what is given of an item that is there. 0, or -EINVAL with *fault filled. */
int sr_kind_change(const struct sr_kind *kind, const char *const *values, void *item,
		   struct sr_fault *fault);

/* Splits the command line's form into values as above, all NULL at first, pointing into
 * `copy`, which gets the text. -EINVAL with *e filled. */
int sr_kind_split(const struct sr_kind *kind, const char *spec, char copy[SR_SPEC_MAX],
		  const char *values[SR_KEYS_MAX], struct sr_error *e);

/* The pairs behind what was cut off `rest`, which they point into; `spec` is for texts. */
int sr_kind_split_pairs(const struct sr_kind *kind, const char *spec, char *rest,
			const char *values[SR_KEYS_MAX], struct sr_error *e);

/* Both. The text of an error names spec and key. */
int sr_kind_parse(const struct sr_kind *kind, const char *spec, void *item, struct sr_error *e);

/* "name, socket, ..." of this type; of all when `type` is none or NULL. */
void sr_kind_keys(const struct sr_kind *kind, const char *type, char *to, size_t size);

/* The index of the key called `name`, which is there. */
int sr_kind_key(const struct sr_kind *kind, const char *name);

const char *sr_kind_name(const struct sr_kind *kind, const void *item);

/* Fills *fault; -EINVAL. */
int sr_fault_at(struct sr_fault *fault, int key, const char *text);

#endif
