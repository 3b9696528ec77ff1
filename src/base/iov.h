/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies out of and into lists of pieces. Bytes past the end of a list are left out; the
 * return value says how many were copied. */
#ifndef SR_IOV_H
#define SR_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t sr_iov_bytes(const struct iovec *iov, unsigned n);

/* From the list's byte `offset` to `to`, or from `from` to there. */
size_t sr_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *to, size_t len);
size_t sr_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *from,
		    size_t len);

#endif
