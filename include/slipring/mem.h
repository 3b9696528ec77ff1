/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One guest's memory: regions given as file descriptors, mapped, and the only place where
 * an address of the guest becomes a pointer of ours.
 *
 * Not locked: a change (set, add, remove, log) must not run beside a use. Transports
 * stop the queues that use the memory around every change.
 */
#ifndef SLIPRING_MEM_H
#define SLIPRING_MEM_H

#include <slipring/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sr_mem;

#define SR_MEM_REGIONS_MAX 509 /* what QEMU may use (vhost-user, GET_MAX_MEM_SLOTS) */

/* Sizes in bytes. `gpa` is what descriptors hold, `uva` (the front-end's own virtual
 * address) what SET_VRING_ADDR holds. */
struct sr_region {
	uint64_t gpa;
	uint64_t uva;
	uint64_t size;
	uint64_t mmap_offset; /* where in the fd the region starts */
	int fd;
};

enum sr_mem_perm {
	SR_MEM_READ = 1,
	SR_MEM_WRITE = 2
};

/* Mapping the first region installs a SIGBUS handler for the process (see sr_mem_is_torn). It
 * passes on what is not about a guest's memory; a handler installed after it must do the same,
 * and threads that touch a guest's memory must not block SIGBUS. */
struct sr_mem *sr_mem_create(void);    /* NULL: out of memory */
void sr_mem_destroy(struct sr_mem *m); /* unmaps; NULL is allowed */

/* Checks all regions (no zero size, wrap, overlap in gpa or uva; fd long enough and
 * mappable), maps them, then replaces the old table whole. On failure the old table
 * stays. The fds stay the caller's and may be closed. -EINVAL, -EOVERFLOW, -EEXIST
 * (overlap), -ENOSPC (too many), -EFBIG (fd shorter than its region) or mmap's errno. */
int sr_mem_set_regions(struct sr_mem *m, const struct sr_region *r, unsigned n, struct sr_error *e);
int sr_mem_add_region(struct sr_mem *m, const struct sr_region *r, struct sr_error *e);
/* Matches gpa, uva and size only. -ENOENT when there is none. */
int sr_mem_remove_region(struct sr_mem *m, const struct sr_region *r, struct sr_error *e);

unsigned sr_mem_region_count(const struct sr_mem *m);
/* The i-th region by rising gpa, fd = -1; i < sr_mem_region_count(). */
struct sr_region sr_mem_region_get(const struct sr_mem *m, unsigned i);

/* Translates [addr, addr + len) of guest-physical space into at most `cap` pieces.
 * `len` may be 0 (returns 0). Returns the number of pieces, -EFAULT where a byte is not
 * mapped, -ENOBUFS where more than `cap` pieces are needed. `perm` is of use to an IOTLB. */
int sr_mem_to_iov(const struct sr_mem *m, uint64_t addr, uint64_t len, unsigned perm,
		  struct iovec *iov, unsigned cap);

/* A pointer to `len` bytes at the front-end's address `uva`, or NULL unless they lie in
 * one region. */
void *sr_mem_from_uva(const struct sr_mem *m, uint64_t uva, uint64_t len);

/* The file behind a region was cut short while we used it: the lost pages were replaced
 * by zeroes of our own so that we live on, and this guest can no longer be served. */
bool sr_mem_is_torn(const struct sr_mem *m);

/* Dirty log of a live migration (vhost-user, "Migration"): one bit a 4 KiB page, set
 * atomically in `size` bytes at `offset` of `fd`, which stays the caller's. fd = -1 takes
 * the log off. Off by default even when set; see sr_mem_log_enable. */
int sr_mem_set_log(struct sr_mem *m, int fd, uint64_t offset, uint64_t size, struct sr_error *e);
void sr_mem_log_enable(struct sr_mem *m, bool on);
/* True when enabled and set: cheap, for the data path. */
bool sr_mem_log_active(const struct sr_mem *m);
/* True when the log has a bit for every page of [gpa, gpa + len). */
bool sr_mem_log_covers(const struct sr_mem *m, uint64_t gpa, uint64_t len);
/* Marks the pages of [gpa, gpa + len); what lies past the log's end is left out. */
void sr_mem_log_gpa(const struct sr_mem *m, uint64_t gpa, uint64_t len);
/* Marks the pages behind the first `len` bytes of pieces made by sr_mem_to_iov. */
void sr_mem_log_iov(const struct sr_mem *m, const struct iovec *iov, unsigned n, uint64_t len);

#ifdef __cplusplus
}
#endif
#endif
