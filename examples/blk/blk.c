/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtual machine's disk in this process's memory, on libslipring. The engine is one line: a
 * file, an NBD export or an engine of your own (disk_engine.h) goes in its place.
 *
 *     cc blk.c $(pkg-config --cflags --libs slipring) -o blk && ./blk /tmp/blk.sock 64
 */
#include <slipring/blk.h>
#include <slipring/log.h>
#include <slipring/vhost_user.h>

#include <stdio.h>
#include <stdlib.h>

#define QUEUES 4

static void tell(void *ctx, bool connected)
{
	const struct sr_blk_counters *c = sr_blk_counters(ctx);

	printf("%s: %llu reads, %llu writes so far\n", connected ? "a guest came" : "it went",
	       (unsigned long long)c->reads, (unsigned long long)c->writes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sr_error e = { 0 };
	uint64_t mib = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

	if (!mib || mib > 1 << 20) {
		fprintf(stderr, "usage: blk SOCKET MIB\n");
		return 2;
	}
	/* One loop for everything; queues may have loops of their own, on threads of their own. */
	struct sr_loop *loop = sr_loop_create(&(struct sr_loop_config){ .cpu = -1 }, &e);
	struct sr_disk *disk = sr_disk_mem_create(
		&(struct sr_disk_mem_config){ .name = "mem", .size = mib << 20 }, &e);
	struct sr_blk *blk = disk ? sr_blk_create(&(struct sr_blk_config){ .name = "blk",
									   .disk = disk,
									   .queues = QUEUES,
									   .serial = "an-example" },
						  &e)
				  : NULL;
	struct sr_vhost_user *server = NULL;

	if (loop && blk)
		server = sr_vhost_user_create(
			&(struct sr_vhost_user_config){ .device = sr_blk_device(blk),
							.control = loop,
							.workers = &loop,
							.nworkers = 1,
							.socket = argv[1],
							.fd = -1,
							.changed = tell,
							.ctx = blk },
			&e);
	if (!server || sr_loop_run(loop, &e)) {
		fprintf(stderr, "blk: %s\n", e.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
