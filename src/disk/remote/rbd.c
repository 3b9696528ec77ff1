/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An image in a Ceph cluster, by librbd, whose own threads do the work and call us back.
 *
 * The libraries are loaded when the first such disk is made: linked, their 20 MiB and their
 * start would be a cost of every switch and every file.
 */
#include "base.h"
#include "remote.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Where the operator's ceph.conf says nothing: an unreachable cluster is told within seconds. */
#define CONNECT_SECONDS "10"

#define CALLS(X)                     \
	X(rados_conf_read_file)      \
	X(rados_conf_set)            \
	X(rados_connect)             \
	X(rados_create)              \
	X(rados_ioctx_create)        \
	X(rados_ioctx_destroy)       \
	X(rados_ioctx_set_namespace) \
	X(rados_shutdown)            \
	X(rbd_aio_create_completion) \
	X(rbd_aio_discard)           \
	X(rbd_aio_flush)             \
	X(rbd_aio_get_return_value)  \
	X(rbd_aio_read)              \
	X(rbd_aio_release)           \
	X(rbd_aio_write)             \
	X(rbd_aio_write_zeroes)      \
	X(rbd_close)                 \
	X(rbd_get_size)              \
	X(rbd_open)                  \
	X(rbd_open_read_only)        \
	X(rbd_resize)                \
	X(rbd_stat)

static struct {
#define POINTER(name) __typeof__(name) *(name);
	CALLS(POINTER)
} ceph;

/* On the control loop. Loaded libraries stay. */
static int load_libraries(const char *name, struct sr_error *e)
{
	void *rados = dlopen("librados.so.2", RTLD_NOW | RTLD_GLOBAL);
	void *rbd = rados ? dlopen("librbd.so.1", RTLD_NOW | RTLD_GLOBAL) : NULL;

	if (!rbd)
		return sr_error_set(e, -EOPNOTSUPP, "disk %s: %s; install librbd1", name,
				    dlerror());
#define FIND(name)                                                                   \
	*(void **)&ceph.name = dlsym(strncmp(#name, "rbd", 3) ? rados : rbd, #name); \
	if (!ceph.name)                                                              \
		return sr_error_set(e, -EOPNOTSUPP, "disk: %s is not in this librbd", #name);
	CALLS(FIND)
	return 0;
}

struct rbd_disk {
	struct remote_disk remote;
	rados_t cluster;
	rados_ioctx_t pool;
	rbd_image_t image;
};

/* From a thread of librbd. */
static void rbd_done(rbd_completion_t done, void *ctx)
{
	ssize_t r = ceph.rbd_aio_get_return_value(done);
	struct remote_job *j = ctx;

	ceph.rbd_aio_release(done);
	/* An image that somebody has shortened: what lies behind its end was not filled. */
	if (j->op == SR_DISK_READ && r >= 0 && (size_t)r < j->len)
		r = -EIO;
	remote_done(j, r < 0 ? (int)r : 0);
}

static int rbd_send(struct rbd_disk *d, struct remote_job *j, rbd_completion_t done)
{
	switch (j->op) {
	case SR_DISK_READ:
		return ceph.rbd_aio_read(d->image, j->offset, j->len, j->buf, done);
	case SR_DISK_WRITE:
		return ceph.rbd_aio_write(d->image, j->offset, j->len, j->buf, done);
	case SR_DISK_FLUSH:
		return ceph.rbd_aio_flush(d->image, done);
	case SR_DISK_DISCARD:
		return ceph.rbd_aio_discard(d->image, j->offset, j->len, done);
	default:
		return ceph.rbd_aio_write_zeroes(
			d->image, j->offset, j->len, done,
			j->flags & SR_DISK_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0);
	}
}

static void rbd_start(struct remote_disk *r, struct remote_job *j)
{
	struct rbd_disk *d = SR_CONTAINER_OF(r, struct rbd_disk, remote);
	rbd_completion_t done;
	int rc = ceph.rbd_aio_create_completion(j, rbd_done, &done);

	if (rc == 0) {
		rc = rbd_send(d, j, done);
		if (rc == 0)
			return;
		ceph.rbd_aio_release(done);
	}
	remote_done(j, rc);
}

static const struct remote_ops remote_rbd = { .start = rbd_start };

static void rbd_disk_free(struct rbd_disk *d)
{
	if (d->image)
		ceph.rbd_close(d->image);
	if (d->pool)
		ceph.rados_ioctx_destroy(d->pool);
	if (d->cluster)
		ceph.rados_shutdown(d->cluster);
	remote_disk_finish(&d->remote);
	free(d);
}

static void *close_thread(void *ctx)
{
	struct rbd_disk *d = ctx;

	rbd_disk_free(d);
	return NULL;
}

/* Closing waits for what is under way, strays included: with a cluster that does not answer
 * this takes until it does, and only a thread of its own may wait so long. */
static void rbd_destroy(struct sr_disk *base)
{
	struct rbd_disk *d = SR_CONTAINER_OF(base, struct rbd_disk, remote.base);
	pthread_t thread;

	sr_disk_finish_base(base);
	if (atomic_load(&d->remote.unended) && pthread_create(&thread, NULL, close_thread, d) == 0)
		pthread_detach(thread);
	else
		rbd_disk_free(d);
}

static int rbd_disk_resize(struct sr_disk *base, uint64_t size, struct sr_error *e)
{
	struct rbd_disk *d = SR_CONTAINER_OF(base, struct rbd_disk, remote.base);
	uint64_t now;
	int r = size ? ceph.rbd_resize(d->image, size) : 0;

	if (!r)
		r = ceph.rbd_get_size(d->image, &now);
	if (r)
		return sr_error_set(e, r, "disk %s: resize: %s", base->name, strerror(-r));
	now -= now % base->info.block_size;
	if (now)
		sr_disk_set_size(base, now);
	return 0;
}

static const struct sr_disk_ops rbd_ops = {
	.name = "rbd",
	.destroy = rbd_destroy,
	.resize = rbd_disk_resize,
	.channel_create = remote_channel_create,
	.channel_destroy = remote_channel_destroy,
	.submit = remote_submit,
	.reap = remote_reap,
	.arm = remote_arm,
	.event_fd = remote_event_fd,
	.cancel = remote_cancel,
};

static int fail(struct sr_error *e, const struct sr_disk_rbd_config *c, const char *what, int r)
{
	return sr_error_set(e, r, "disk %s: rbd %s/%s: %s: %s", c->name, c->pool, c->image, what,
			    strerror(-r));
}

static int connect_cluster(struct rbd_disk *d, const struct sr_disk_rbd_config *c,
			   struct sr_error *e)
{
	int r = ceph.rados_create(&d->cluster, c->user ? c->user : "admin");

	if (r)
		return fail(e, c, "librados", r);
	ceph.rados_conf_set(d->cluster, "client_mount_timeout", CONNECT_SECONDS);
	r = ceph.rados_conf_read_file(d->cluster, c->conf);
	if (r)
		return fail(e, c, c->conf ? c->conf : "ceph.conf, where librados looks", r);
	r = ceph.rados_connect(d->cluster);
	return r ? fail(e, c, "connect to the cluster", r) : 0;
}

static int open_image(struct rbd_disk *d, const struct sr_disk_rbd_config *c, struct sr_error *e)
{
	const char *slash = strchr(c->image, '/');
	int r = ceph.rados_ioctx_create(d->cluster, c->pool, &d->pool);

	if (r)
		return fail(e, c, "pool", r);
	if (slash) {
		char *space = strndup(c->image, (size_t)(slash - c->image));

		if (!space)
			return fail(e, c, "namespace", -ENOMEM);
		ceph.rados_ioctx_set_namespace(d->pool, space);
		free(space);
	}
	r = (c->read_only ? ceph.rbd_open_read_only
			  : ceph.rbd_open)(d->pool, slash ? slash + 1 : c->image, &d->image, NULL);
	return r ? fail(e, c, "image", r) : 0;
}

static int describe(struct rbd_disk *d, const struct sr_disk_rbd_config *c, struct sr_error *e)
{
	struct sr_disk_info info = {
		.block_size = 512,
		.physical_size = 4096,
		.io_opt = 4u << 20,
		.read_only = c->read_only,
		.volatile_cache = true,
		.can_discard = true,
		.can_zero = true,
		.discard_granularity = 65536,
	};
	rbd_image_info_t stat;
	int r = ceph.rbd_stat(d->image, &stat, sizeof(stat));

	if (r)
		return fail(e, c, "size", r);
	if (stat.obj_size <= UINT32_MAX)
		info.io_opt = (uint32_t)stat.obj_size;
	return sr_disk_init(&d->remote.base, &rbd_ops, c->name, &info,
			    stat.size - stat.size % info.block_size, e);
}

struct sr_disk *sr_disk_rbd_create(const struct sr_disk_rbd_config *c, struct sr_error *e)
{
	struct rbd_disk *d = calloc(1, sizeof(*d));

	if (!d) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
		return NULL;
	}
	remote_disk_init(&d->remote, &remote_rbd);
	if (load_libraries(c->name, e) || connect_cluster(d, c, e) || open_image(d, c, e) ||
	    describe(d, c, e)) {
		rbd_disk_free(d);
		return NULL;
	}
	return &d->remote.base;
}
