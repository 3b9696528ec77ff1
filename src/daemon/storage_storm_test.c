/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that reads back what it writes, on two rings with two threads, while its front-end does
 * anything that stops, pauses or resets rings, dies and comes back with the in-flight record, and
 * while the medium is slow, then quick, then limited. Each request must end once, well, and with
 * the right bytes. Worth most under a thread or address sanitizer.
 */
#include "vu_rig.h"

#include "base.h"

#include <poll.h>
#include <pthread.h>
#include <slipring/blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUES	 2u
#define SLOTS	 32u
#define BLOCK	 4096u
#define HEADERS	 0x40000u
#define ROUNDS	 250u
#define DRAIN_MS 4u
#define FEATURES (SR_F_VERSION_1 | SR_BLK_F_MQ | SR_BLK_F_FLUSH | SR_BLK_F_WRITE_ZEROES)

struct header {
	uint32_t type, reserved;
	uint64_t sector;
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range;
	uint8_t status;
};

/* A block of the disk that only this slot touches: written, read back, zeroed, read back. */
struct slot {
	struct header *h;
	uint8_t *data;
	uint64_t gpa_h, gpa_data, sector, seed;
	unsigned step;
};

struct guest {
	struct rig *r;
	unsigned q, out;
	struct sr_drvq *drv;
	struct slot slots[SLOTS];
	_Atomic bool stop, failed;
	_Atomic uint64_t done;
	char failure[128];
	pthread_t thread;
};

static void quiet(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	(void)level;
	(void)subject;
	(void)text;
}

/* ---- the guest ---- */

static uint64_t word_of(const struct slot *s, unsigned i)
{
	return (s->seed + i) * 0x9e3779b97f4a7c15u;
}

static void send(struct guest *g, struct slot *s)
{
	static const uint32_t types[] = { 1, 0, 13, 0, 4 }; /* OUT, IN, WRITE_ZEROES, IN, FLUSH */
	uint32_t type = types[s->step], head = type == 13 ? 32 : 16;
	struct sr_sg out[2] = { { s->gpa_h, head }, { s->gpa_data, BLOCK } };
	struct sr_sg in[2] = { { s->gpa_data, BLOCK },
			       { s->gpa_h + offsetof(struct header, status), 1 } };

	s->seed += s->step == 0;
	for (unsigned i = 0; i < BLOCK / 8; i++) {
		uint64_t v = type == 1 ? word_of(s, i) : ~0ull;

		memcpy(s->data + 8 * i, &v, 8);
	}
	*s->h = (struct header){ .type = type, .sector = s->sector, .status = 0xee };
	s->h->range.sector = s->sector;
	s->h->range.sectors = BLOCK / 512;
	if (sr_drvq_add(g->drv, out, type == 1 ? 2 : 1, type ? in + 1 : in, type ? 1 : 2, s))
		abort();
	g->out++;
}

static const char *judge(const struct slot *s)
{
	if (s->h->status != 0)
		return "a request has failed";
	if (s->step != 1 && s->step != 3)
		return NULL;
	for (unsigned i = 0; i < BLOCK / 8; i++) {
		uint64_t v, expected = s->step == 1 ? word_of(s, i) : 0;

		memcpy(&v, s->data + 8 * i, 8);
		if (v != expected)
			return v == ~0ull ? "a read has not filled its buffer"
					  : "a block is not what was written";
	}
	return NULL;
}

static void complain(struct guest *g, const char *why, const struct slot *s)
{
	if (!g->failed)
		snprintf(g->failure, sizeof(g->failure), "ring %u: %s (step %u, status %u)", g->q,
			 why, s ? s->step : 0, s ? s->h->status : 0);
	g->failed = true;
}

static int collect(struct guest *g)
{
	struct sr_used u[SLOTS];
	int n = sr_drvq_get(g->drv, u, SLOTS);

	if (n < 0)
		complain(g, sr_drvq_error(g->drv), NULL);
	for (int i = 0; i < n; i++) {
		struct slot *s = u[i].token;
		const char *why = judge(s);

		g->out--;
		if (why)
			complain(g, why, s);
		s->step = (s->step + 1) % 5;
		if (!g->stop && !g->failed)
			send(g, s);
	}
	if (n > 0)
		g->done += (unsigned)n;
	if (n > 0 && sr_drvq_publish(g->drv))
		eventfd_write(g->r->kick[g->q], 1);
	return n;
}

/* What is found must have been called for, a moment later at most. */
static void wait_for_call(struct guest *g)
{
	struct pollfd p = { .fd = g->r->call[g->q], .events = POLLIN };
	eventfd_t count;

	if (poll(&p, 1, 50) == 0 && sr_drvq_rearm(g->drv) && poll(&p, 1, 5000) == 0)
		complain(g, "finished requests and no call", NULL);
	eventfd_read(p.fd, &count);
}

static void *guest_main(void *ctx)
{
	struct guest *g = ctx;
	uint64_t end = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		send(g, &g->slots[i]);
	if (sr_drvq_publish(g->drv))
		eventfd_write(g->r->kick[g->q], 1);
	while (!g->failed && (!g->stop || g->out)) {
		if (g->stop && !end)
			end = sr_now_ns() + 20000000000u;
		if (end && sr_now_ns() > end)
			complain(g, "requests are lost", NULL);
		if (collect(g) == 0 && !sr_drvq_rearm(g->drv))
			wait_for_call(g);
	}
	return NULL;
}

static void guest_begin(struct guest *g, struct rig *r, unsigned q)
{
	struct sr_drvq_config c = { .size = RIG_RING,
				    .features = FEATURES,
				    .ring = r->mem + q * RIG_RING_STRIDE };

	*g = (struct guest){ .r = r, .q = q, .drv = sr_drvq_create(&c, NULL) };
	assert_non_null(g->drv);
	for (unsigned i = 0; i < SLOTS; i++) {
		uint32_t n = q * SLOTS + i, h = HEADERS + n * 64, data = RIG_BUFFERS + n * BLOCK;

		g->slots[i] = (struct slot){ .h = (void *)(r->mem + h),
					     .data = r->mem + data,
					     .gpa_h = RIG_GPA + h,
					     .gpa_data = RIG_GPA + data,
					     .sector = (uint64_t)n * BLOCK / 512,
					     .seed = (uint64_t)n << 32,
					     .step = i % 2 ? 0 : 4 };
	}
	assert_int_equal(pthread_create(&g->thread, NULL, guest_main, g), 0);
}

static void guest_end(struct guest *g)
{
	g->stop = true;
	pthread_join(g->thread, NULL);
	sr_drvq_destroy(g->drv);
	if (g->failed)
		fail_msg("%s", g->failure);
	assert_int_equal(g->out, 0);
}

/* ---- its front-end ---- */

struct storm {
	struct rig r;
	struct sr_disk *disk;
	struct sr_blk *blk;
	struct guest guests[QUEUES];
	int record;
	bool logging;
	unsigned seed;
};

static unsigned chance(struct storm *s, unsigned n)
{
	return (unsigned)rand_r(&s->seed) % n;
}

static struct sr_vu_inflight record_of(void)
{
	return (struct sr_vu_inflight){ .size = QUEUES * sr_vq_inflight_bytes(RIG_RING, FEATURES),
					.queues = QUEUES,
					.queue_size = RIG_RING };
}

static void start_ring(struct rig *r, unsigned q)
{
	struct sr_vu_addr a = rig_addr(q, 0);

	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_NUM, q, RIG_RING), 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_BASE, q, 0), 0);
	assert_int_equal(rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
	rig_kick_on(r, q);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, q, 1), 0);
}

static void start_all(struct storm *s)
{
	struct sr_vu_inflight f = record_of();

	assert_int_equal(rig_ask(&s->r, SR_VU_SET_INFLIGHT_FD, &f, sizeof(f), &s->record, 1), 0);
	for (unsigned q = 0; q < QUEUES; q++)
		start_ring(&s->r, q);
}

static void connect_again(struct storm *s)
{
	rig_connect(&s->r);
	rig_negotiate(&s->r, FEATURES);
	rig_share(&s->r);
	start_all(s);
	s->logging = false;
}

static void die(struct storm *s)
{
	/* Sometimes with a message that nobody waits for any more. */
	if (chance(s, 2)) {
		struct sr_vu_state state = { chance(s, QUEUES), 0 };

		rig_send(&s->r, SR_VU_GET_VRING_BASE, SR_VU_VERSION, &state, sizeof(state), NULL,
			 0);
	}
	rig_hangup(&s->r);
	connect_again(s);
}

static void restart_ring(struct storm *s)
{
	unsigned q = chance(s, QUEUES);

	rig_get_base(&s->r, q);
	start_ring(&s->r, q);
}

static void reset(struct storm *s)
{
	if (chance(s, 2))
		assert_int_equal(rig_ask(&s->r, SR_VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	else
		assert_int_equal(rig_ask_u64(&s->r, SR_VU_SET_STATUS, 0), 0);
	start_all(s);
}

static void change_memory(struct storm *s)
{
	struct sr_vu_mem_reg m = { .region = { .gpa = RIG_GPA + 2 * RIG_MEM,
					       .uva = RIG_UVA + 2 * RIG_MEM,
					       .size = 4096 } };

	if (chance(s, 2)) {
		rig_share(&s->r);
		return;
	}
	assert_int_equal(rig_ask(&s->r, SR_VU_ADD_MEM_REG, &m, sizeof(m), &s->r.memfd, 1), 0);
	assert_int_equal(rig_ask(&s->r, SR_VU_REM_MEM_REG, &m, sizeof(m), NULL, 0), 0);
}

static void change_ring(struct storm *s)
{
	unsigned q = chance(s, QUEUES);
	struct sr_vu_addr a = rig_addr(q, 0);
	uint64_t v = q;

	assert_int_equal(rig_ask(&s->r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
	assert_int_equal(rig_ask(&s->r, SR_VU_SET_VRING_CALL, &v, 8, &s->r.call[q], 1), 0);
	assert_int_equal(rig_ask(&s->r, SR_VU_SET_VRING_KICK, &v, 8, &s->r.kick[q], 1), 0);
	assert_int_equal(rig_ask_state(&s->r, SR_VU_SET_VRING_ENABLE, q, 0), 0);
	assert_int_equal(rig_ask_state(&s->r, SR_VU_SET_VRING_ENABLE, q, 1), 0);
}

static void change_log(struct storm *s)
{
	s->logging = !s->logging;
	assert_int_equal(
		rig_ask_u64(&s->r, SR_VU_SET_FEATURES,
			    FEATURES | SR_F_PROTOCOL_FEATURES | (s->logging ? SR_F_LOG_ALL : 0)),
		0);
}

/* On the control loop: from "at once" to longer than rings may take to come to rest. */
static void change_medium_now(void *ctx)
{
	static const uint64_t delays[] = { 0, 0, 200000, 2000000, 30000000 };
	static const uint64_t rates[] = { 0, 0, 50000, 5000, 500 };
	struct storm *s = ctx;
	struct sr_disk_fault f = { .delay_ns = delays[chance(s, 5)] };
	struct sr_disk_limits l = { .iops = rates[chance(s, 5)] };

	sr_disk_fault_set(s->disk, &f, NULL);
	sr_disk_limit_set(s->disk, &l, NULL);
}

static void change_medium(struct storm *s)
{
	sr_loop_call(s->r.control, change_medium_now, s);
}

static void (*const acts[])(struct storm *s) = { die,	     restart_ring,  restart_ring,
						 reset,	     change_memory, change_ring,
						 change_log, change_medium, change_medium };

/* ---- the back-end ---- */

static struct sr_loop *new_loop(const char *name)
{
	struct sr_loop_config c = { .name = name, .cpu = -1, .poll_us = 20 };
	struct sr_loop *l = sr_loop_create(&c, NULL);

	assert_non_null(l);
	assert_int_equal(sr_loop_spawn(l, NULL), 0);
	return l;
}

static void create_on_control(void *ctx)
{
	struct storm *s = ctx;
	struct sr_disk_mem_config mem = { .name = "mem", .size = 1u << 20 };
	struct sr_disk *m = sr_disk_mem_create(&mem, NULL), *f;
	struct sr_blk_config b = { .name = "storm", .queues = QUEUES };
	struct sr_vhost_user_config v = { .control = s->r.control,
					  .workers = s->r.workers,
					  .nworkers = RIG_WORKERS,
					  .socket = s->r.path,
					  .fd = -1,
					  .drain_ms = DRAIN_MS };

	f = sr_disk_fault_create(m, &(struct sr_disk_fault){ 0 }, NULL);
	s->disk = sr_disk_limit_create(f, &(struct sr_disk_limits){ 0 }, NULL);
	b.disk = s->disk;
	s->blk = sr_blk_create(&b, NULL);
	v.device = sr_blk_device(s->blk);
	s->r.v = sr_vhost_user_create(&v, NULL);
}

static void destroy_on_control(void *ctx)
{
	struct storm *s = ctx;

	sr_vhost_user_destroy(s->r.v);
	sr_blk_destroy(s->blk);
	sr_disk_destroy(s->disk);
}

static void make_front_end(struct rig *r)
{
	strcpy(r->dir, "/tmp/slipring-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	for (unsigned q = 0; q < QUEUES; q++) {
		r->kick[q] = eventfd(0, EFD_NONBLOCK);
		r->call[q] = eventfd(0, EFD_NONBLOCK);
		r->err[q] = eventfd(0, EFD_NONBLOCK);
	}
	r->memfd = memfd_create("slipring-rig", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->memfd, RIG_MEM), 0);
	r->mem = mmap(NULL, RIG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, 0);
	assert_true(r->mem != MAP_FAILED);
	r->fd = -1;
}

static int setup(void **state)
{
	struct storm *s = calloc(1, sizeof(*s));

	if (!getenv("RIG_LOG"))
		sr_log_to(quiet, NULL);
	make_front_end(&s->r);
	s->r.control = new_loop("control");
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		s->r.workers[i] = new_loop("worker");
	sr_loop_call(s->r.control, create_on_control, s);
	assert_non_null(s->r.v);
	s->record = memfd_create("record", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->record, (off_t)record_of().size), 0);
	s->r.fds = rig_count_fds();
	s->seed = 1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct storm *s = *state;

	rig_hangup(&s->r);
	sr_loop_call(s->r.control, destroy_on_control, s);
	sr_loop_destroy(s->r.control);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		sr_loop_destroy(s->r.workers[i]);
	for (unsigned q = 0; q < QUEUES; q++) {
		close(s->r.kick[q]);
		close(s->r.call[q]);
		close(s->r.err[q]);
	}
	munmap(s->r.mem, RIG_MEM);
	close(s->r.memfd);
	close(s->record);
	assert_int_equal(rmdir(s->r.dir), 0);
	free(s);
	return 0;
}

static void quick_medium(void *ctx)
{
	struct storm *s = ctx;

	sr_disk_fault_set(s->disk, &(struct sr_disk_fault){ 0 }, NULL);
	sr_disk_limit_set(s->disk, &(struct sr_disk_limits){ 0 }, NULL);
}

static void every_request_ends_once_and_well_whatever_happens_to_its_ring(void **state)
{
	struct storm *s = *state;
	uint64_t before[QUEUES];

	connect_again(s);
	for (unsigned q = 0; q < QUEUES; q++)
		guest_begin(&s->guests[q], &s->r, q);
	for (unsigned i = 0; i < ROUNDS; i++) {
		acts[chance(s, SR_ARRAY_LEN(acts))](s);
		usleep(chance(s, 4000));
	}
	sr_loop_call(s->r.control, quick_medium, s);
	for (unsigned q = 0; q < QUEUES; q++) {
		before[q] = s->guests[q].done;
		RIG_WAIT(s->guests[q].failed || s->guests[q].done > before[q] + 5 * SLOTS);
	}
	for (unsigned q = 0; q < QUEUES; q++)
		guest_end(&s->guests[q]);
	assert_int_equal(sr_blk_counters(s->blk)->failed, 0);
	assert_int_equal(sr_blk_in_flight(s->blk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_request_ends_once_and_well_whatever_happens_to_its_ring, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
