/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of somebody else's file, mapped shared and guarded against its shrinking. */
#ifndef SR_MAPPING_H
#define SR_MAPPING_H

#include "sigbus.h"

#include <slipring/error.h>
#include <stdint.h>

struct sr_mapping {
	uint8_t *data; /* byte `offset` of the file; NULL: not mapped */
	void *base;    /* what mmap gave, whole pages */
	size_t length;
	struct sr_sigbus_guard *guard;
};

/* Maps [offset, offset + size) of `fd`, which stays the caller's. Texts begin with `what`
 * ("region 3"). -EOVERFLOW, -EFBIG: the file is shorter, or mmap's errno. */
int sr_mapping_open(struct sr_mapping *map, int fd, uint64_t offset, uint64_t size,
		    atomic_bool *torn, const char *what, struct sr_error *e);
/* Nothing happens when it is not mapped. */
void sr_mapping_close(struct sr_mapping *map);

#endif
