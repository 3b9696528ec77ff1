/* SPDX-License-Identifier: BSD-3-Clause */
/* A vhost-user entropy device (virtio 1.3, section 5.4) on libslipring: a whole device.
 *
 *     cc rng.c $(pkg-config --cflags --libs slipring) -o rng && ./rng /tmp/rng.sock
 */
#include <slipring/log.h>
#include <slipring/vhost_user.h>
#include <slipring/virtio.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define BATCH 16

struct rng {
	struct sr_device device; /* first: the transport hands it back to us */
	struct sr_vq *vq;	 /* while its queue runs */
	struct sr_iov_pool pool;
};

static uint64_t features(struct sr_device *d)
{
	(void)d;
	return SR_F_RING;
}

static void queue_start(struct sr_device *d, unsigned queue, struct sr_vq *vq)
{
	(void)queue;
	((struct rng *)d)->vq = vq;
}

static void queue_stop(struct sr_device *d, unsigned queue)
{
	(void)queue;
	((struct rng *)d)->vq = NULL;
}

/* Fills what the guest offers; short of entropy it may be less than asked for. */
static int process(struct sr_device *d, unsigned queue, unsigned budget)
{
	struct rng *r = (struct rng *)d;
	struct sr_chain chain[BATCH];

	sr_iov_pool_reset(&r->pool);
	int n = sr_vq_pop(r->vq, chain, budget < BATCH ? budget : BATCH, &r->pool);

	if (n < 0)
		sr_device_queue_broken(d, queue, sr_vq_error(r->vq));
	if (n <= 0)
		return 0;
	for (int i = 0; i < n; i++)
		for (unsigned j = 0; j < chain[i].nin; j++) {
			ssize_t got = getrandom(chain[i].in[j].iov_base, chain[i].in[j].iov_len, 0);

			chain[i].written += got > 0 ? (uint32_t)got : 0;
			if (got != (ssize_t)chain[i].in[j].iov_len)
				break;
		}
	sr_vq_push(r->vq, chain, (unsigned)n);
	if (sr_vq_publish(r->vq))
		sr_device_call(d, queue);
	return n;
}

static const struct sr_device_ops rng_ops = {
	.name = "rng",
	.virtio_id = SR_VIRTIO_ID_RNG,
	.queues_max = 1,
	.features = features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.process = process,
};

int main(int argc, char **argv)
{
	struct sr_error e = { 0 };
	struct rng rng = { .device = { .ops = &rng_ops, .name = "rng" } };
	struct sr_loop *loop = sr_loop_create(&(struct sr_loop_config){ .cpu = -1 }, &e);
	struct sr_vhost_user_config config = { .device = &rng.device,
					       .control = loop,
					       .workers = &loop,
					       .nworkers = 1,
					       .fd = -1,
					       .socket = argc > 1 ? argv[1] : "rng.sock" };

	if (!loop || sr_iov_pool_init(&rng.pool, 64) || !sr_vhost_user_create(&config, &e) ||
	    sr_loop_run(loop, &e)) {
		fprintf(stderr, "rng: %s\n", e.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
