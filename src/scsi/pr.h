/* SPDX-License-Identifier: BSD-3-Clause */
/* Types of persistent reservations (SPC-5, 6.16.3.4). */
#ifndef SR_SCSI_PR_H
#define SR_SCSI_PR_H

#include <stdbool.h>
#include <stdint.h>

enum lu_pr_type {
	LU_PR_WRITE_EXCLUSIVE = 1,
	LU_PR_EXCLUSIVE_ACCESS = 3,
	LU_PR_WRITE_REGISTRANTS = 5,
	LU_PR_ACCESS_REGISTRANTS = 6,
	LU_PR_WRITE_ALL = 7,
	LU_PR_ACCESS_ALL = 8
};
#define LU_PR_TYPES 0x01eau /* a bit for each */

static inline bool lu_pr_valid(uint8_t type)
{
	return type < 16 && LU_PR_TYPES >> type & 1;
}

/* Not even reads of others. */
static inline bool lu_pr_exclusive(uint8_t type)
{
	return type == LU_PR_EXCLUSIVE_ACCESS || type == LU_PR_ACCESS_REGISTRANTS ||
	       type == LU_PR_ACCESS_ALL;
}

/* Everybody who is registered is let through. */
static inline bool lu_pr_registrants(uint8_t type)
{
	return type >= LU_PR_WRITE_REGISTRANTS;
}

/* Everybody who is registered holds it. */
static inline bool lu_pr_all(uint8_t type)
{
	return type >= LU_PR_WRITE_ALL;
}

#endif
