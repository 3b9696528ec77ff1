/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation. The handler runs at any point of any thread, so it can take no lock
 * and must find a range among those of all guests while other threads add and remove
 * theirs. Guards live in chunks that are linked once and never freed; a chunk's memory is
 * therefore always good to read. A guard is in use while `start` is not 0: it is written
 * last when adding and first when removing, and the handler reads it before and after the
 * rest. A guard that changes meanwhile is not the one looked for, because the range that
 * was just touched is in use by the thread that touched it.
 */
#include "sigbus.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

struct sr_sigbus_guard {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic uintptr_t end;
	_Atomic size_t granule;
	atomic_bool *_Atomic torn;
};

#define GUARDS_A_CHUNK 128

struct chunk {
	struct chunk *_Atomic next;
	struct sr_sigbus_guard guards[GUARDS_A_CHUNK];
};

static struct chunk first_chunk;
static pthread_mutex_t change = PTHREAD_MUTEX_INITIALIZER; /* adding and removing only */
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static struct sigaction previous;

/* Zero pages from the one at `address` to the end of the guard. To the end and not one page at
 * a time: a shortened file has lost its whole tail, and a peer that makes us touch every other
 * page of it must not run us out of mappings. */
static bool guard_mend(struct sr_sigbus_guard *g, uintptr_t address)
{
	uintptr_t start = atomic_load(&g->start);
	uintptr_t end = atomic_load(&g->end);
	size_t granule = atomic_load(&g->granule);
	atomic_bool *torn = atomic_load(&g->torn);

	if (!start || start != atomic_load(&g->start) || address < start || address >= end)
		return false;
	address -= (address - start) % granule;
	void *from = (void *)address;

	if (mmap(from, end - address, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != from)
		return false;
	atomic_store(torn, true);
	return true;
}

static bool address_mend(uintptr_t address)
{
	for (struct chunk *c = &first_chunk; c; c = atomic_load(&c->next))
		for (unsigned i = 0; i < GUARDS_A_CHUNK; i++)
			if (guard_mend(&c->guards[i], address))
				return true;
	return false;
}

/* What would have happened without us. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
		return;
	}
	bool sent = info->si_code <= 0; /* by kill() and the like: no access to be done again */

	if (previous.sa_handler == SIG_IGN && sent)
		return;
	if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
		return;
	}
	signal(number, SIG_DFL);
	if (sent)
		raise(number);
	/* Otherwise the access is done again on return and ends the process where it stands. */
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	if (info->si_code == BUS_ADRERR && address_mend((uintptr_t)info->si_addr))
		return;
	pass_on(number, info, context);
}

static void install(void)
{
	struct sigaction ours = { .sa_sigaction = on_sigbus,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigemptyset(&ours.sa_mask);
	sigaction(SIGBUS, NULL, &previous);
	sigaction(SIGBUS, &ours, NULL);
}

static struct sr_sigbus_guard *guard_find_free(void)
{
	for (struct chunk *c = &first_chunk;; c = atomic_load(&c->next)) {
		for (unsigned i = 0; i < GUARDS_A_CHUNK; i++)
			if (!atomic_load(&c->guards[i].start))
				return &c->guards[i];
		if (!atomic_load(&c->next)) {
			struct chunk *more = calloc(1, sizeof(*more));

			if (!more)
				return NULL;
			atomic_store(&c->next, more);
		}
	}
}

struct sr_sigbus_guard *sr_sigbus_guard_add(void *start, size_t length, size_t granule,
					    atomic_bool *torn)
{
	pthread_once(&installed, install);
	pthread_mutex_lock(&change);
	struct sr_sigbus_guard *g = guard_find_free();

	if (g) {
		atomic_store(&g->end, (uintptr_t)start + length);
		atomic_store(&g->granule, granule);
		atomic_store(&g->torn, torn);
		atomic_store(&g->start, (uintptr_t)start);
	}
	pthread_mutex_unlock(&change);
	return g;
}

void sr_sigbus_guard_remove(struct sr_sigbus_guard *g)
{
	pthread_mutex_lock(&change);
	atomic_store(&g->start, 0);
	pthread_mutex_unlock(&change);
}
