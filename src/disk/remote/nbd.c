/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk on an NBD server, by libnbd. The disk has a thread of its own for all connections:
 * several channels share them, and a server that does not promise that a flush on one
 * connection covers the writes on others (MULTI_CONN) gets just one.
 */
#include "nbd.h"
#include "base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define CONNECT_MS    10000
#define LINKS_DEFAULT 4u

static struct nbd_disk *disk_of(struct remote_disk *r)
{
	return SR_CONTAINER_OF(r, struct nbd_disk, remote);
}

struct nbd_handle *nbd_disk_handle(const struct nbd_disk *d, struct sr_error *e)
{
	struct nbd_handle *h = nbd_create();
	const char *name = d->remote.base.name;

	/* What the operator's URI names (a key file, a socket) is his own. */
	if (h && nbd_set_uri_allow_local_file(h, true) == 0 &&
	    (!d->tls_certificates || nbd_set_tls_certificates(h, d->tls_certificates) == 0) &&
	    (!d->tls_psk_file || nbd_set_tls_psk_file(h, d->tls_psk_file) == 0) &&
	    (!(d->tls_certificates || d->tls_psk_file) || nbd_set_tls(h, LIBNBD_TLS_REQUIRE) == 0))
		return h;
	sr_error_set(e, nbd_get_errno() ? -nbd_get_errno() : -EINVAL, "disk %s: %s",
		     name ? name : "nbd", nbd_get_error());
	nbd_close(h);
	return NULL;
}

static struct nbd_link *best_link(struct nbd_disk *d)
{
	struct nbd_link *best = NULL;

	for (unsigned i = 0; i < d->nlinks; i++)
		if (d->links[i].ready && (!best || d->links[i].load < best->load))
			best = &d->links[i];
	return best;
}

void nbd_disk_dispatch(struct nbd_disk *d)
{
	struct remote_job *j;
	struct nbd_link *l;
	uint32_t used = 0;

	while ((j = TAILQ_FIRST(&d->queue)) && (l = best_link(d))) {
		TAILQ_REMOVE(&d->queue, j, link);
		nbd_link_send(l, j);
		used |= 1u << (l - d->links);
	}
	for (unsigned i = 0; i < d->nlinks; i++)
		if (used >> i & 1)
			nbd_link_look(&d->links[i]);
}

static int todo_poll(void *ctx)
{
	struct nbd_disk *d = ctx;
	struct remote_job *j, *next;
	int n = 0;

	for (j = remote_mailbox_take(&d->todo); j; j = next, n++) {
		next = j->next;
		TAILQ_INSERT_TAIL(&d->queue, j, link);
	}
	nbd_disk_dispatch(d);
	return n;
}

static bool todo_arm(void *ctx)
{
	return remote_mailbox_arm(&((struct nbd_disk *)ctx)->todo);
}

static const struct sr_poller_ops todo_ops = { .poll = todo_poll, .arm = todo_arm };

static void nbd_start(struct remote_disk *r, struct remote_job *j)
{
	remote_mailbox_put(&disk_of(r)->todo, j);
}

static const struct remote_ops remote_nbd = { .start = nbd_start };

struct setup {
	struct nbd_disk *d;
	struct nbd_handle *first;
	bool good;
};

static void open_links(void *ctx)
{
	struct setup *s = ctx;
	struct nbd_disk *d = s->d;

	s->good = true;
	for (unsigned i = 0; i < d->nlinks; i++)
		s->good &= nbd_link_open(&d->links[i], d, i == 0 ? s->first : NULL);
}

static void close_links(void *ctx)
{
	struct nbd_disk *d = ctx;
	struct remote_job *j, *next;

	for (unsigned i = 0; i < d->nlinks; i++)
		nbd_link_close(&d->links[i]);
	/* All channels are gone, so these are strays. */
	for (j = remote_mailbox_take(&d->todo); j; j = next) {
		next = j->next;
		remote_done(j, -ECANCELED);
	}
	while ((j = TAILQ_FIRST(&d->queue))) {
		TAILQ_REMOVE(&d->queue, j, link);
		remote_done(j, -ECANCELED);
	}
}

static void nbd_disk_free(struct nbd_disk *d)
{
	sr_poller_destroy(d->poller);
	sr_loop_destroy(d->loop);
	remote_mailbox_finish(&d->todo);
	remote_disk_finish(&d->remote);
	free(d->uri);
	free(d->tls_certificates);
	free(d->tls_psk_file);
	free(d);
}

static void nbd_destroy(struct sr_disk *base)
{
	struct nbd_disk *d = SR_CONTAINER_OF(base, struct nbd_disk, remote.base);

	sr_loop_call(d->loop, close_links, d);
	sr_disk_finish_base(base);
	nbd_disk_free(d);
}

/* Connected and negotiated, or NULL with *e filled. */
static struct nbd_handle *greet(struct nbd_disk *d, struct sr_error *e)
{
	struct nbd_handle *h = nbd_disk_handle(d, e);
	uint64_t end = sr_now_ns() + CONNECT_MS * 1000000ull;

	if (!h)
		return NULL;
	if (nbd_aio_connect_uri(h, d->uri) == 0) {
		while (!nbd_aio_is_ready(h) && !nbd_aio_is_dead(h) && sr_now_ns() < end)
			if (nbd_poll(h, 100) < 0)
				break;
		if (nbd_aio_is_ready(h))
			return h;
		if (!nbd_aio_is_dead(h)) {
			sr_error_set(e, -ETIMEDOUT,
				     "%s: no NBD server has greeted us within %d seconds", d->uri,
				     CONNECT_MS / 1000);
			nbd_close(h);
			return NULL;
		}
	}
	sr_error_set(e, nbd_get_errno() ? -nbd_get_errno() : -EIO, "%s: %s", d->uri,
		     nbd_get_error() ? nbd_get_error() : "no NBD server there");
	nbd_close(h);
	return NULL;
}

/* A server may have grown its export: only a new connection tells. */
static int nbd_resize(struct sr_disk *base, uint64_t size, struct sr_error *e)
{
	struct nbd_disk *d = SR_CONTAINER_OF(base, struct nbd_disk, remote.base);
	struct nbd_handle *h;
	int64_t now;

	if (size)
		return sr_error_set(e, -EOPNOTSUPP,
				    "disk %s: NBD cannot change a size; change it at the server, "
				    "then look again without a size",
				    base->name);
	h = greet(d, e);
	if (!h)
		return e ? e->code : -EIO;
	now = nbd_get_size(h);
	nbd_shutdown(h, 0);
	nbd_close(h);
	now -= now % base->info.block_size;
	if (now <= 0)
		return sr_error_set(e, -EINVAL, "disk %s: the server says 0 bytes", base->name);
	sr_disk_set_size(base, (uint64_t)now);
	return 0;
}

static const struct sr_disk_ops nbd_ops = {
	.name = "nbd",
	.destroy = nbd_destroy,
	.resize = nbd_resize,
	.channel_create = remote_channel_create,
	.channel_destroy = remote_channel_destroy,
	.submit = remote_submit,
	.reap = remote_reap,
	.arm = remote_arm,
	.event_fd = remote_event_fd,
	.cancel = remote_cancel,
};

/* 0 or -EINVAL. */
static int describe(struct nbd_handle *h, const struct sr_disk_nbd_config *c,
		    struct sr_disk_info *info, struct sr_error *e)
{
	int64_t minimum = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
	int64_t preferred = nbd_get_block_size(h, LIBNBD_SIZE_PREFERRED);
	int64_t maximum = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (minimum > 4096)
		return sr_error_set(e, -EINVAL,
				    "%s: blocks of at least %" PRId64 " bytes, expected up to 4096",
				    c->uri, minimum);
	if (maximum > 0 && maximum < REMOTE_PIECE)
		return sr_error_set(e, -EINVAL,
				    "%s: requests of at most %" PRId64
				    " bytes, expected at least %u",
				    c->uri, maximum, REMOTE_PIECE);
	*info = (struct sr_disk_info){
		.block_size = minimum > 512 ? 4096 : 512,
		.io_opt = preferred > 0 ? (uint32_t)preferred : 0,
		.read_only = c->read_only || nbd_is_read_only(h) == 1,
		.volatile_cache = nbd_can_flush(h) == 1,
		.can_discard = nbd_can_trim(h) == 1,
		.can_zero = nbd_can_zero(h) == 1,
	};
	info->physical_size = preferred == 4096 ? 4096 : info->block_size;
	return 0;
}

static int copy_strings(struct nbd_disk *d, const struct sr_disk_nbd_config *c)
{
	d->uri = strdup(c->uri);
	d->tls_certificates = c->tls_certificates ? strdup(c->tls_certificates) : NULL;
	d->tls_psk_file = c->tls_psk_file ? strdup(c->tls_psk_file) : NULL;
	return d->uri && (d->tls_certificates || !c->tls_certificates) &&
			       (d->tls_psk_file || !c->tls_psk_file)
		       ? 0
		       : -ENOMEM;
}

static int make_loop(struct nbd_disk *d, struct sr_error *e)
{
	struct sr_loop_config config = { .name = "nbd", .cpu = -1, .poll_us = SR_POLL_NEVER };

	d->loop = sr_loop_create(&config, e);
	if (!d->loop || sr_loop_spawn(d->loop, e))
		return -1;
	d->poller = sr_poller_create(d->loop, &todo_ops, d, e);
	return d->poller ? sr_poller_kick_fd(d->poller, d->todo.fd, e) : -1;
}

struct sr_disk *sr_disk_nbd_create(const struct sr_disk_nbd_config *c, struct sr_error *e)
{
	struct nbd_disk *d = calloc(1, sizeof(*d));
	struct setup s = { .d = d };
	struct sr_disk_info info = { .block_size = 512 };

	if (!d) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
		return NULL;
	}
	d->todo.fd = -1;
	TAILQ_INIT(&d->queue);
	remote_disk_init(&d->remote, &remote_nbd);
	if (copy_strings(d, c) || remote_mailbox_init(&d->todo)) {
		sr_error_set(e, -ENOMEM, "disk %s: out of memory or file descriptors", c->name);
		goto fail;
	}
	s.first = greet(d, e);
	if (!s.first || describe(s.first, c, &info, e))
		goto fail;
	int64_t size = nbd_get_size(s.first);

	if (sr_disk_init(&d->remote.base, &nbd_ops, c->name, &info,
			 (uint64_t)(size - size % info.block_size), e))
		goto fail;
	d->remote.fua = nbd_can_fua(s.first) == 1;
	d->nlinks = nbd_can_multi_conn(s.first) == 1
			    ? (unsigned)sr_min(c->connections ? c->connections : LINKS_DEFAULT,
					       NBD_LINKS_MAX)
			    : 1;
	if (make_loop(d, e)) {
		sr_disk_finish_base(&d->remote.base);
		goto fail;
	}
	sr_loop_call(d->loop, open_links, &s);
	if (s.good)
		return &d->remote.base;
	sr_error_set(e, -ENOMEM, "disk %s: out of memory", c->name);
	nbd_destroy(&d->remote.base);
	return NULL;
fail:
	nbd_close(s.first);
	nbd_disk_free(d);
	return NULL;
}
