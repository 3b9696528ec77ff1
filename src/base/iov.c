/* SPDX-License-Identifier: BSD-3-Clause */
#include "iov.h"

#include <string.h>

size_t sr_iov_bytes(const struct iovec *iov, unsigned n)
{
	size_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Calls for each contiguous run of [offset, offset + len), in order. Inlined with a constant
 * `write`, so that each direction is a plain loop. */
static inline size_t iov_copy(const struct iovec *iov, unsigned n, size_t offset, void *flat,
			      size_t len, int write)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t have = iov[i].iov_len;

		if (offset >= have) {
			offset -= have;
			continue;
		}
		have -= offset;
		if (have > len - done)
			have = len - done;
		char *piece = (char *)iov[i].iov_base + offset;

		if (write)
			memcpy(piece, (char *)flat + done, have);
		else
			memcpy((char *)flat + done, piece, have);
		done += have;
		offset = 0;
	}
	return done;
}

size_t sr_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *to, size_t len)
{
	return iov_copy(iov, n, offset, to, len, 0);
}

size_t sr_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *from,
		    size_t len)
{
	return iov_copy(iov, n, offset, (void *)(uintptr_t)from, len, 1);
}
