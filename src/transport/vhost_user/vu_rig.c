/* SPDX-License-Identifier: BSD-3-Clause */
#include "vu_rig.h"

#include "channel.h"
#include "iov.h"
#include "vu_slow.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define MEMFD_NAME  "slipring-rig"

/* ---- the device ---- */

static struct rig_device *rd(struct sr_device *d)
{
	return SR_CONTAINER_OF(d, struct rig_device, device);
}

static uint64_t dev_features(struct sr_device *d)
{
	(void)d;
	return RIG_FEATURES;
}

static void dev_features_set(struct sr_device *d, uint64_t accepted)
{
	rd(d)->features = accepted;
}

static void dev_config_read(struct sr_device *d, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, rd(d)->config + offset, len);
}

static int dev_config_write(struct sr_device *d, uint32_t offset, const void *buf, uint32_t len)
{
	if (offset + len > RIG_CONFIG / 2)
		return -EINVAL;
	memcpy(rd(d)->config + offset, buf, len);
	return 0;
}

static void dev_queue_start(struct sr_device *d, unsigned q, struct sr_vq *vq)
{
	rd(d)->vq[q] = vq;
	rd(d)->enabled[q] = false;
	rd(d)->started[q]++;
}

static void dev_queue_stop(struct sr_device *d, unsigned q)
{
	rd(d)->vq[q] = NULL;
	rd(d)->stopped[q]++;
}

static void dev_queue_enable(struct sr_device *d, unsigned q, bool on)
{
	rd(d)->enabled[q] = on;
}

void rig_device_echo(struct sr_chain *c, bool enabled)
{
	uint8_t buf[256];
	size_t n;

	if (!enabled)
		return;
	n = sr_iov_read(c->out, c->nout, 0, buf, sizeof(buf));
	c->written = (uint32_t)sr_iov_write(c->in, c->nin, 0, buf, n);
}

static int dev_process(struct sr_device *d, unsigned q, unsigned budget)
{
	struct rig_device *r = rd(d);
	struct sr_chain c[32];
	int n;

	sr_iov_pool_reset(&r->pool[q]);
	n = sr_vq_pop(r->vq[q], c, budget < 32 ? budget : 32, &r->pool[q]);
	if (n < 0) {
		sr_device_queue_broken(d, q, sr_vq_error(r->vq[q]));
		r->broken[q]++;
		return 0;
	}
	for (int i = 0; i < n; i++)
		rig_device_echo(&c[i], r->enabled[q]);
	sr_vq_push(r->vq[q], c, (unsigned)n);
	if (n && sr_vq_publish(r->vq[q]))
		sr_device_call(d, q);
	return n;
}

static void dev_reset(struct sr_device *d)
{
	rd(d)->resets++;
	rd(d)->features = 0;
}

static int dev_set_mtu(struct sr_device *d, uint16_t mtu)
{
	if (mtu < 68)
		return -EINVAL;
	rd(d)->mtu = mtu;
	if (rd(d)->on_mtu)
		rd(d)->on_mtu(rd(d));
	return 0;
}

static int dev_announce(struct sr_device *d, const uint8_t mac[6])
{
	memcpy(rd(d)->mac, mac, 6);
	return 0;
}

const struct sr_device_ops rig_ops = {
	.name = "echo",
	.virtio_id = SR_VIRTIO_ID_RNG,
	.config_size = RIG_CONFIG,
	.queues_max = RIG_QUEUES,
	.features = dev_features,
	.features_set = dev_features_set,
	.config_read = dev_config_read,
	.config_write = dev_config_write,
	.queue_start = dev_queue_start,
	.queue_stop = dev_queue_stop,
	.queue_enable = dev_queue_enable,
	.process = dev_process,
	.reset = dev_reset,
	.set_mtu = dev_set_mtu,
	.announce = dev_announce,
};

/* ---- the rig ---- */

static void quiet(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	(void)level;
	(void)subject;
	(void)text;
}

static struct sr_loop *new_loop(const char *name)
{
	struct sr_loop_config c = { .name = name, .cpu = -1, .poll_us = 20 };
	struct sr_error e;
	struct sr_loop *l = sr_loop_create(&c, &e);

	assert_non_null(l);
	assert_int_equal(sr_loop_spawn(l, &e), 0);
	return l;
}

static void create_on_control(void *ctx)
{
	struct rig *r = ctx;
	struct sr_vhost_user_config c = {
		.device = &r->d.device,
		.control = r->control,
		.workers = r->workers,
		.nworkers = RIG_WORKERS,
		.socket = r->path,
		.fd = -1,
		.drain_ms = r->drain_ms,
	};

	r->v = sr_vhost_user_create(&c, NULL);
}

static void destroy_on_control(void *ctx)
{
	struct rig *r = ctx;

	sr_vhost_user_destroy(r->v);
	r->v = NULL;
}

void rig_destroy(struct rig *r)
{
	sr_loop_call(r->control, destroy_on_control, r);
}

struct closing {
	struct rig *r;
	void (*done)(void *ctx);
	void *ctx;
};

static void close_on_control(void *ctx)
{
	struct closing *c = ctx;

	sr_vhost_user_close(c->r->v, c->done, c->ctx);
}

void rig_close(struct rig *r, void (*done)(void *ctx), void *ctx)
{
	struct closing c = { r, done, ctx };

	sr_loop_call(r->control, close_on_control, &c);
}

static void make_loops(struct rig *r, struct rig *beside)
{
	r->beside = beside;
	r->control = beside ? beside->control : new_loop("control");
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		r->workers[i] = beside ? beside->workers[i] : new_loop("worker");
}

static void make_device(struct rig *r, const struct sr_device_ops *ops, bool automatic)
{
	r->d.device = (struct sr_device){ .ops = ops, .name = "echo0" };
	r->d.automatic = automatic;
	r->d.can_abandon = true;
	if (ops->queue_drain)
		r->d.slow = calloc(RIG_QUEUES, sizeof(*r->d.slow));
	for (unsigned q = 0; q < RIG_QUEUES; q++)
		assert_int_equal(sr_iov_pool_init(&r->d.pool[q], 256), 0);
}

int rig_setup(void **state)
{
	return rig_setup_with(state, &rig_ops, 0, false, NULL);
}

int rig_setup_with(void **state, const struct sr_device_ops *ops, unsigned drain_ms, bool automatic,
		   struct rig *beside)
{
	struct rig *r = calloc(1, sizeof(*r));

	if (!getenv("RIG_LOG"))
		sr_log_to(quiet, NULL);
	strcpy(r->dir, "/tmp/slipring-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	sem_init(&r->held, 0, 0);
	sem_init(&r->go, 0, 0);
	r->drain_ms = drain_ms;
	make_loops(r, beside);
	make_device(r, ops, automatic);
	for (unsigned q = 0; q < RIG_QUEUES; q++) {
		r->kick[q] = eventfd(0, EFD_NONBLOCK);
		r->call[q] = eventfd(0, EFD_NONBLOCK);
		r->err[q] = eventfd(0, EFD_NONBLOCK);
	}
	r->memfd = memfd_create(MEMFD_NAME, MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->memfd, RIG_MEM), 0);
	r->mem = mmap(NULL, RIG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, 0);
	assert_true(r->mem != MAP_FAILED);
	sr_loop_call(r->control, create_on_control, r);
	assert_non_null(r->v);
	r->fd = -1;
	r->fds = rig_count_fds();
	*state = r;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *r = *state;

	if (r->fd >= 0)
		rig_hangup(r);
	rig_destroy(r);
	assert_int_not_equal(access(r->path, F_OK), 0);
	sr_loop_destroy(r->beside ? NULL : r->control);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		sr_loop_destroy(r->beside ? NULL : r->workers[i]);
	for (unsigned i = 0; r->d.slow && i < RIG_QUEUES * RIG_HELD; i++)
		sr_iov_pool_finish(&r->d.slow[i / RIG_HELD].slots[i % RIG_HELD].pool);
	free(r->d.slow);
	for (unsigned q = 0; q < RIG_QUEUES; q++) {
		sr_drvq_destroy(r->drv[q]);
		sr_iov_pool_finish(&r->d.pool[q]);
		close(r->kick[q]);
		close(r->call[q]);
		close(r->err[q]);
	}
	munmap(r->mem, RIG_MEM);
	close(r->memfd);
	assert_int_equal(rmdir(r->dir), 0);
	free(r);
	return 0;
}

int rig_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

int rig_count_maps(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	int n = -1;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, MEMFD_NAME) || strstr(line, "slipring-inflight");
	fclose(f);
	return n;
}

struct asked {
	struct rig *r;
	struct sr_vhost_user_info info;
};

static void info_on_control(void *ctx)
{
	struct asked *a = ctx;

	sr_vhost_user_info(a->r->v, &a->info);
}

struct sr_vhost_user_info rig_info(struct rig *r)
{
	struct asked a = { .r = r };

	sr_loop_call(r->control, info_on_control, &a);
	return a.info;
}

static void hold(void *ctx)
{
	struct rig *r = ctx;

	sem_post(&r->held);
	while (sem_wait(&r->go))
		;
}

void rig_hold_control(struct rig *r)
{
	assert_int_equal(sr_loop_post(r->control, hold, r), 0);
	while (sem_wait(&r->held))
		;
}

void rig_release_control(struct rig *r)
{
	sem_post(&r->go);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

void rig_fill_control(struct rig *r)
{
	unsigned n = 0;

	while (sr_loop_post(r->control, nothing, NULL) == 0)
		assert_true(n++ < SR_LOOP_POSTS_MAX);
}

void rig_connect(struct rig *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };

	strcpy(a.sun_path, r->path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	RIG_WAIT(rig_info(r).state != SR_VHOST_USER_WAITING);
}

static void expect_as_before(struct rig *r)
{
	/* A connection that was dropped in the backlog may have a session of its own, shortly. */
	RIG_WAIT(rig_info(r).state == SR_VHOST_USER_WAITING);
	if (!r->beside)
		RIG_WAIT(rig_count_fds() == r->fds);
	if (!r->beside)
		assert_int_equal(rig_count_maps(), 0);
	for (unsigned q = 0; q < RIG_QUEUES; q++)
		assert_int_equal(r->d.started[q], r->d.stopped[q]);
}

void rig_hangup(struct rig *r)
{
	close(r->fd);
	r->fd = -1;
	expect_as_before(r);
}

void rig_expect_closed(struct rig *r, const char *last_error)
{
	struct sr_vhost_user_info info;
	char byte;
	ssize_t n;

	do
		n = recv(r->fd, &byte, 1, 0);
	while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
	rig_hangup(r);
	info = rig_info(r);
	if (!strstr(info.last_error, last_error))
		fail_msg("last_error is \"%s\", expected \"...%s...\"", info.last_error,
			 last_error);
}

/* ---- messages ---- */

void rig_send(struct rig *r, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	      const int *fds, unsigned nfds)
{
	/* The back-end may have ended the session already. */
	int n = sr_vu_send(r->fd, request, flags, payload, size, fds, nfds);

	assert_true(n == 0 || n == -EPIPE || n == -ECONNRESET);
}

bool rig_receive(struct rig *r, struct sr_vu_message *m)
{
	struct sr_vu_channel c;
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	int n;

	sr_vu_channel_init(&c, r->fd);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	n = sr_vu_channel_receive(&c, NULL);
	assert_true(n == 1 || n == -EPIPE || n == -ECONNRESET);
	*m = c.m;
	return n == 1;
}

static uint64_t receive_u64(struct rig *r, uint32_t request)
{
	struct sr_vu_message m;

	if (!rig_receive(r, &m))
		return UINT64_MAX;
	assert_int_equal(m.request, request);
	assert_int_equal(m.flags, SR_VU_REPLY_FLAGS);
	assert_int_equal(m.size, 8);
	assert_int_equal(m.nfds, 0);
	return m.p.u64;
}

uint64_t rig_ask(struct rig *r, uint32_t request, const void *payload, uint32_t size,
		 const int *fds, unsigned nfds)
{
	rig_send(r, request, SR_VU_VERSION | SR_VU_NEED_REPLY, payload, size, fds, nfds);
	return receive_u64(r, request);
}

uint64_t rig_ask_u64(struct rig *r, uint32_t request, uint64_t value)
{
	return rig_ask(r, request, &value, 8, NULL, 0);
}

uint64_t rig_ask_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num)
{
	struct sr_vu_state s = { index, num };

	return rig_ask(r, request, &s, sizeof(s), NULL, 0);
}

uint64_t rig_get(struct rig *r, uint32_t request)
{
	rig_send(r, request, SR_VU_VERSION, NULL, 0, NULL, 0);
	return receive_u64(r, request);
}

uint64_t rig_get_base(struct rig *r, uint32_t index)
{
	struct sr_vu_state s = { index, 0 };
	uint64_t v;

	rig_send(r, SR_VU_GET_VRING_BASE, SR_VU_VERSION, &s, sizeof(s), NULL, 0);
	v = receive_u64(r, SR_VU_GET_VRING_BASE);
	assert_int_equal((uint32_t)v, index);
	return v >> 32;
}

/* ---- a well-behaved front-end ---- */

void rig_negotiate(struct rig *r, uint64_t features)
{
	uint64_t protocol;

	features |= SR_F_PROTOCOL_FEATURES;
	assert_int_equal(rig_get(r, SR_VU_GET_FEATURES) & features, features);
	protocol = rig_get(r, SR_VU_GET_PROTOCOL_FEATURES);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_PROTOCOL_FEATURES, protocol), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_FEATURES, features), 0);
}

struct sr_vu_mem_table rig_table(void)
{
	struct sr_vu_mem_table t = { .n = 1 };

	t.regions[0] = (struct sr_vu_region){ .gpa = RIG_GPA, .size = RIG_MEM, .uva = RIG_UVA };
	return t;
}

void rig_share(struct rig *r)
{
	struct sr_vu_mem_table t = rig_table();

	assert_int_equal(rig_ask(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), &r->memfd, 1),
			 0);
}

struct sr_vu_addr rig_addr(unsigned q, uint32_t flags)
{
	struct sr_drvq_layout l = sr_drvq_layout(RIG_RING);
	uint64_t at = RIG_UVA + q * RIG_RING_STRIDE;

	return (struct sr_vu_addr){ .index = q,
				    .flags = flags,
				    .desc = at + l.desc,
				    .used = at + l.used,
				    .avail = at + l.avail,
				    .log = RIG_GPA + q * RIG_RING_STRIDE + l.used };
}

static struct sr_drvq *make_driver(struct rig *r, unsigned q, uint16_t base)
{
	struct sr_drvq_config c = { .size = RIG_RING,
				    .features = SR_F_VERSION_1,
				    .ring = r->mem + q * RIG_RING_STRIDE,
				    .base = base };
	struct sr_drvq *d;

	memset(c.ring, 0, RIG_RING_STRIDE);
	d = sr_drvq_create(&c, NULL);
	assert_non_null(d);
	return d;
}

void rig_describe(struct rig *r, unsigned q, uint16_t base)
{
	struct sr_vu_addr a = rig_addr(q, 0);

	sr_drvq_destroy(r->drv[q]);
	r->drv[q] = make_driver(r, q, base);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, q, RIG_RING), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_BASE, q, base), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
}

void rig_kick_on(struct rig *r, unsigned q)
{
	uint64_t v = q;

	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_CALL, &v, 8, &r->call[q], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ERR, &v, 8, &r->err[q], 1), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_KICK, &v, 8, &r->kick[q], 1), 0);
}

void rig_start(struct rig *r, unsigned q, uint16_t base)
{
	rig_describe(r, q, base);
	rig_kick_on(r, q);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, q, 1), 0);
}

void rig_up(struct rig *r)
{
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	rig_share(r);
	rig_start(r, 0, 0);
}

/* ---- traffic ---- */

bool rig_has_event(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

void rig_wait_event(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(read(fd, &v, 8), 8);
}

void rig_add(struct rig *r, unsigned q, unsigned slot, uint32_t len)
{
	uint32_t at = RIG_BUFFERS + (q * RIG_RING + slot) * 512;
	struct sr_sg out = { RIG_GPA + at, len }, in = { RIG_GPA + at + 256, len };

	memset(r->mem + at, 'a' + (int)(slot % 26), len);
	memset(r->mem + at + 256, 0, len);
	assert_int_equal(sr_drvq_add(r->drv[q], &out, 1, &in, 1, r->mem + at), 0);
}

void rig_publish(struct rig *r, unsigned q)
{
	if (sr_drvq_publish(r->drv[q]))
		assert_int_equal(eventfd_write(r->kick[q], 1), 0);
}

void rig_echo(struct rig *r, unsigned q, unsigned n, bool echoed)
{
	struct sr_used u[16];
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++)
		rig_add(r, q, i, 64);
	rig_publish(r, q);
	while (done < n) {
		int got = sr_drvq_get(r->drv[q], u, 16);

		assert_true(got >= 0);
		for (int i = 0; i < got; i++) {
			assert_int_equal(u[i].len, echoed ? 64 : 0);
			if (echoed)
				assert_memory_equal(u[i].token, (uint8_t *)u[i].token + 256, 64);
		}
		done += (unsigned)got;
		if (done < n && !got && !sr_drvq_rearm(r->drv[q]))
			rig_wait_event(r->call[q]);
	}
}
