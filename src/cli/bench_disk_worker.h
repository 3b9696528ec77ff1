/* SPDX-License-Identifier: BSD-3-Clause */
/* Between a run and its threads. */
#ifndef SR_CLI_BENCH_DISK_WORKER_H
#define SR_CLI_BENCH_DISK_WORKER_H

#include "base.h"
#include "bench_disk.h"

#include <pthread.h>
#include <stdatomic.h>

#define DISK_WAIT_MS 100

struct disk_run {
	struct disk_client *client;
	uint64_t mark; /* of the blocks of this run */
	uint64_t from;
	_Atomic uint64_t until; /* nearer, when the user interrupts it */
	_Atomic bool stop;
	int ended; /* eventfd: counts workers */
};

/* One thread with its queues: those whose number is `first` modulo the threads. */
struct disk_worker {
	struct disk_run *run;
	unsigned first;
	pthread_t thread;
	uint64_t now;
	bool measures;	/* now lies in the measured time */
	bool readback;	/* the final pass */
	bool over;	/* nothing new is sent in this phase */
	unsigned under; /* way, on all queues */
	struct disk_tally ops[DISK_OPS];
	struct disk_errors errors;
	uint64_t verified, unknown;
	int rc;
	struct sr_error error;
	/* Read by the one who shows progress. */
	_Atomic uint64_t done __attribute__((aligned(SR_CACHE_LINE)));
};

/* Of pthread_create; adds 1 to run->ended when it is done. */
void *disk_worker_main(void *worker);

#endif
