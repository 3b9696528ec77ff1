/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end role against a back-end of a few lines that can misbehave to order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channel.h"
#include "frontend.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <slipring/drvq.h>
#include <slipring/virtio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define OFFER	 (SR_F_VERSION_1 | SR_NET_F_MRG_RXBUF | SR_F_PROTOCOL_FEATURES)
#define PROTOCOL (SR_BIT(SR_VU_P_MQ) | SR_BIT(SR_VU_P_REPLY_ACK) | SR_BIT(SR_VU_P_CONFIG))
#define RING	 256u
#define BASE	 77u

enum trouble {
	NO_TROUBLE,
	SILENCE,       /* no answer to `at` */
	CLOSE,	       /* instead of an answer to it */
	REFUSE,	       /* a negative ack */
	WRONG_REQUEST, /* the answer is to something else */
	WRONG_FLAGS,   /* NEED_REPLY still set */
	WRONG_SIZE,    /* a payload of 4 bytes */
	SURPLUS_FD,    /* one comes with the answer */
	WRONG_RING,    /* GET_VRING_BASE about another */
	WRONG_BASE,    /* a base over 65535 */
	EMPTY_CONFIG,  /* GET_CONFIG refused */
	SHORT_CONFIG,  /* one byte less than asked for */
};

/* What the back-end does, and what it has seen. */
struct peer {
	char dir[32], path[64];
	int listener;
	bool connects; /* in client mode */
	uint64_t offer, protocol;
	enum trouble trouble;
	uint32_t at;
	pthread_t thread;

	uint64_t features, protocol_set;
	unsigned seen[SR_VU_REQUESTS];
	struct sr_vu_mem_table table;
	uint64_t fd_bytes;
	struct sr_vu_addr addr;
	struct sr_vu_state num, base, enable;
	int kick, call;
};

static void answer(struct peer *p, int fd, const struct sr_vu_message *m, const void *payload,
		   uint32_t size)
{
	enum trouble t = m->request == p->at ? p->trouble : NO_TROUBLE;
	uint32_t request = m->request + (t == WRONG_REQUEST);
	uint32_t flags = SR_VU_REPLY_FLAGS | (t == WRONG_FLAGS ? SR_VU_NEED_REPLY : 0);

	assert_int_equal(sr_vu_send(fd, request, flags, payload, t == WRONG_SIZE ? 4 : size,
				    &p->listener, t == SURPLUS_FD),
			 0);
}

static void answer_config(struct peer *p, int fd, struct sr_vu_message *m)
{
	enum trouble t = m->request == p->at ? p->trouble : NO_TROUBLE;
	uint32_t size = m->p.config.size - (t == SHORT_CONFIG);

	for (unsigned i = 0; i < m->p.config.size; i++)
		m->p.config.bytes[i] = (uint8_t)(m->p.config.offset + i);
	m->p.config.size = size;
	answer(p, fd, m, &m->p.config, t == EMPTY_CONFIG ? 0 : SR_VU_CONFIG_HEADER + size);
}

static void note_memory(struct peer *p, struct sr_vu_message *m)
{
	struct stat st;

	assert_int_equal(m->nfds, 1);
	assert_int_equal(fstat(m->fds[0], &st), 0);
	p->fd_bytes = (uint64_t)st.st_size;
	p->table = m->p.table;
}

static void note(struct peer *p, struct sr_vu_message *m)
{
	if (m->request == SR_VU_SET_FEATURES)
		p->features = m->p.u64;
	if (m->request == SR_VU_SET_PROTOCOL_FEATURES)
		p->protocol_set = m->p.u64;
	if (m->request == SR_VU_SET_MEM_TABLE)
		note_memory(p, m);
	if (m->request == SR_VU_SET_VRING_ADDR)
		p->addr = m->p.addr;
	if (m->request == SR_VU_SET_VRING_NUM)
		p->num = m->p.state;
	if (m->request == SR_VU_SET_VRING_BASE)
		p->base = m->p.state;
	if (m->request == SR_VU_SET_VRING_ENABLE)
		p->enable = m->p.state;
	if (m->request == SR_VU_SET_VRING_KICK)
		p->kick = sr_vu_message_take_fd(m, 0);
	if (m->request == SR_VU_SET_VRING_CALL)
		p->call = sr_vu_message_take_fd(m, 0);
}

static void serve_one(struct peer *p, int fd, struct sr_vu_message *m)
{
	enum trouble t = m->request == p->at ? p->trouble : NO_TROUBLE;
	struct sr_vu_state state = { m->p.state.index + (t == WRONG_RING),
				     t == WRONG_BASE ? 0x10000 + BASE : BASE };
	uint64_t value = t == REFUSE;
	struct sr_error e;

	assert_int_equal(sr_vu_check_request(m, sr_vu_front_row(m->request), p->protocol_set, &e),
			 0);
	p->seen[m->request]++;
	note(p, m);
	if (t == SILENCE)
		return;
	if (m->request == SR_VU_GET_FEATURES)
		value = p->offer;
	if (m->request == SR_VU_GET_PROTOCOL_FEATURES)
		value = p->protocol;
	if (m->request == SR_VU_GET_QUEUE_NUM)
		value = 4;
	if (m->request == SR_VU_GET_CONFIG)
		answer_config(p, fd, m);
	else if (m->request == SR_VU_GET_VRING_BASE)
		answer(p, fd, m, &state, sizeof(state));
	else if (m->flags & SR_VU_NEED_REPLY ||
		 sr_vu_front_row(m->request)->answer == SR_VU_ANSWER_REPLY)
		answer(p, fd, m, &value, sizeof(value));
}

static void make_address(const struct peer *p, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, p->path, sizeof(p->path));
}

static int meet(struct peer *p)
{
	struct sockaddr_un a;
	int fd;

	if (!p->connects)
		return accept(p->listener, NULL, NULL);
	make_address(p, &a);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		usleep(1000);
	return fd;
}

static void *serve(void *arg)
{
	struct peer *p = arg;
	struct sr_vu_channel c;
	int fd = meet(p);

	sr_vu_channel_init(&c, fd);
	while (fd >= 0 && sr_vu_channel_receive(&c, NULL) == 1) {
		if (c.m.request == p->at && p->trouble == CLOSE)
			break;
		serve_one(p, fd, &c.m);
	}
	sr_vu_channel_finish(&c);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void peer_listen(struct peer *p)
{
	struct sockaddr_un a;

	make_address(p, &a);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 4), 0);
}

static void peer_init(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	strcpy(p->dir, "/tmp/slipring-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	p->offer = OFFER;
	p->protocol = PROTOCOL;
	p->listener = p->kick = p->call = -1;
}

static void peer_start(struct peer *p)
{
	if (!p->connects)
		peer_listen(p);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void peer_end(struct peer *p)
{
	pthread_join(p->thread, NULL);
	for (int *fd = (int[]){ p->listener, p->kick, p->call, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	unlink(p->path);
	assert_int_equal(rmdir(p->dir), 0);
}

static struct sr_frontend_config config_for(const struct peer *p)
{
	return (struct sr_frontend_config){ .socket = p->path,
					    .listen = p->connects,
					    .timeout_ms = p->trouble == SILENCE ? 50 : 10000,
					    .features = SR_F_VERSION_1 | SR_F_EVENT_IDX,
					    .protocol_features = PROTOCOL };
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Connects to a peer that is in trouble at once; the error's text in *e. */
static int connect_in_trouble(enum trouble t, uint32_t at, struct sr_error *e)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct peer p;

	peer_init(&p);
	p.trouble = t;
	p.at = at;
	c = config_for(&p);
	peer_start(&p);
	f = sr_frontend_connect(&c, e);
	assert_null(f);
	peer_end(&p);
	return e->code;
}

static void negotiates_what_both_sides_want(void **state)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;

	(void)state;
	peer_init(&p);
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	assert_true(sr_frontend_features(f) == SR_F_VERSION_1);
	assert_true(sr_frontend_protocol_features(f) == PROTOCOL);
	assert_true(sr_frontend_offer(f) == (OFFER & ~SR_F_PROTOCOL_FEATURES));
	assert_true(sr_frontend_protocol_offer(f) == PROTOCOL);
	assert_int_equal(sr_frontend_queue_max(f), 4);
	assert_false(sr_frontend_is_closed(f));
	sr_frontend_disconnect(f);
	peer_end(&p);
	assert_true(p.features == (SR_F_VERSION_1 | SR_F_PROTOCOL_FEATURES));
	assert_int_equal(p.seen[SR_VU_SET_OWNER], 1);
}

static void an_old_back_end_without_protocol_features_is_not_asked_for_them(void **state)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;
	char byte;

	(void)state;
	peer_init(&p);
	p.offer = SR_F_VERSION_1;
	peer_start(&p);
	c = config_for(&p);
	c.queues_unsaid = 3;
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	assert_int_equal(sr_frontend_queue_max(f), 3);
	assert_true(sr_frontend_protocol_offer(f) == 0);
	assert_int_equal(sr_frontend_ring_enable(f, 0, true, &e), 0);
	assert_int_equal(sr_frontend_ring_enable(f, 0, false, &e), -ENOTSUP);
	assert_int_equal(sr_frontend_get_config(f, 0, &byte, 1, &e), -ENOTSUP);
	sr_frontend_disconnect(f);
	peer_end(&p);
	assert_int_equal(p.seen[SR_VU_GET_PROTOCOL_FEATURES], 0);
	assert_int_equal(p.seen[SR_VU_SET_VRING_ENABLE], 0);
	assert_int_equal(p.seen[SR_VU_SET_FEATURES], 1);
}

static void a_missing_required_feature_is_named(void **state)
{
	struct sr_frontend_config c;
	struct sr_error e;
	struct peer p;

	(void)state;
	peer_init(&p);
	peer_start(&p);
	c = config_for(&p);
	c.required = SR_F_RING_PACKED;
	assert_null(sr_frontend_connect(&c, &e));
	assert_int_equal(e.code, -ENOTSUP);
	assert_non_null(strstr(e.text, "0x400000000"));
	peer_end(&p);
}

static void silence_ends_in_a_time_out_that_names_the_message(void **state)
{
	struct sr_error e;

	(void)state;
	assert_int_equal(connect_in_trouble(SILENCE, SR_VU_GET_FEATURES, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "GET_FEATURES"));
	assert_int_equal(connect_in_trouble(SILENCE, SR_VU_SET_FEATURES, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "SET_FEATURES"));
}

static void bad_answers_end_the_session(void **state)
{
	struct sr_error e;

	(void)state;
	assert_int_equal(connect_in_trouble(WRONG_REQUEST, SR_VU_GET_FEATURES, &e), -EPROTO);
	assert_int_equal(connect_in_trouble(WRONG_FLAGS, SR_VU_GET_FEATURES, &e), -EPROTO);
	assert_int_equal(connect_in_trouble(WRONG_SIZE, SR_VU_GET_QUEUE_NUM, &e), -EPROTO);
	assert_int_equal(connect_in_trouble(WRONG_SIZE, SR_VU_SET_FEATURES, &e), -EPROTO);
	assert_int_equal(connect_in_trouble(CLOSE, SR_VU_GET_QUEUE_NUM, &e), -EPIPE);
	assert_non_null(strstr(e.text, "GET_QUEUE_NUM"));
	assert_int_equal(connect_in_trouble(REFUSE, SR_VU_SET_FEATURES, &e), -EREMOTEIO);
	assert_non_null(strstr(e.text, "refused SET_FEATURES"));
}

static void file_descriptors_of_an_answer_are_closed(void **state)
{
	unsigned before = open_fds();
	struct sr_error e;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(connect_in_trouble(SURPLUS_FD, SR_VU_GET_FEATURES, &e), -EPROTO);
	assert_int_equal(open_fds(), before);
}

static void memory_and_rings_arrive_as_they_are(void **state)
{
	size_t bytes = sr_drvq_bytes(RING);
	struct sr_drvq_layout at = sr_drvq_layout(RING);
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;
	uint64_t one = 1, got = 0;
	uint16_t base = 0;
	uint8_t *mem;

	(void)state;
	peer_init(&p);
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	mem = sr_frontend_share(f, bytes, false, &e);
	assert_non_null(mem);
	assert_int_equal(sr_frontend_ring_start(f, 3, mem, RING, BASE - 1, &e), 0);
	assert_int_equal(sr_frontend_ring_enable(f, 3, true, &e), 0);
	assert_int_equal(write(sr_frontend_kick_fd(f, 3), &one, 8), 8);
	assert_int_equal(read(p.kick, &got, 8), 8);
	assert_int_equal(write(p.call, &one, 8), 8);
	assert_int_equal(read(sr_frontend_call_fd(f, 3), &got, 8), 8);
	assert_int_equal(sr_frontend_ring_stop(f, 3, &base, &e), 0);
	assert_int_equal(base, BASE);
	assert_int_equal(sr_frontend_kick_fd(f, 3), -1);
	sr_frontend_disconnect(f);
	peer_end(&p);
	assert_int_equal(p.table.n, 1);
	assert_true(p.table.regions[0].uva == (uintptr_t)mem);
	assert_true(p.table.regions[0].size >= bytes);
	assert_true(p.table.regions[0].size + p.table.regions[0].mmap_offset <= p.fd_bytes);
	assert_int_equal(p.addr.index, 3);
	assert_true(p.addr.desc == (uintptr_t)mem + at.desc);
	assert_true(p.addr.avail == (uintptr_t)mem + at.avail);
	assert_true(p.addr.used == (uintptr_t)mem + at.used);
	assert_int_equal(p.num.num, RING);
	assert_int_equal(p.base.num, BASE - 1);
	assert_int_equal(p.enable.num, 1);
}

static void a_queue_that_the_back_end_has_not_is_refused_here(void **state)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;
	void *mem;

	(void)state;
	peer_init(&p);
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	mem = sr_frontend_share(f, sr_drvq_bytes(RING), false, &e);
	assert_int_equal(sr_frontend_ring_start(f, 4, mem, RING, 0, &e), -EINVAL);
	sr_frontend_disconnect(f);
	peer_end(&p);
	assert_int_equal(p.seen[SR_VU_SET_VRING_NUM], 0);
}

/* Starts and stops a ring of a peer that lies about it. */
static int stop_in_trouble(enum trouble t)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;
	uint16_t base = 0;
	void *mem;
	int rc;

	peer_init(&p);
	p.trouble = t;
	p.at = SR_VU_GET_VRING_BASE;
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	mem = sr_frontend_share(f, sr_drvq_bytes(RING), false, &e);
	assert_int_equal(sr_frontend_ring_start(f, 0, mem, RING, 0, &e), 0);
	rc = sr_frontend_ring_stop(f, 0, &base, &e);
	sr_frontend_disconnect(f);
	peer_end(&p);
	return rc;
}

static void a_stop_must_be_about_the_ring_and_have_a_base(void **state)
{
	unsigned before = open_fds();

	(void)state;
	assert_int_equal(stop_in_trouble(NO_TROUBLE), 0);
	assert_int_equal(stop_in_trouble(WRONG_RING), -EPROTO);
	assert_int_equal(stop_in_trouble(WRONG_BASE), -EPROTO);
	assert_int_equal(stop_in_trouble(SILENCE), -ETIMEDOUT);
	assert_int_equal(stop_in_trouble(CLOSE), -EPIPE);
	assert_int_equal(open_fds(), before);
}

static int config_in_trouble(enum trouble t, uint8_t got[4])
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;
	int rc;

	peer_init(&p);
	p.trouble = t;
	p.at = SR_VU_GET_CONFIG;
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	rc = sr_frontend_get_config(f, 6, got, 4, &e);
	/* A refusal leaves the session whole. */
	if (t == EMPTY_CONFIG)
		assert_int_equal(sr_frontend_ring_enable(f, 0, true, &e), 0);
	sr_frontend_disconnect(f);
	peer_end(&p);
	return rc;
}

static void configuration_is_read_or_refused(void **state)
{
	uint8_t got[4];

	(void)state;
	assert_int_equal(config_in_trouble(NO_TROUBLE, got), 0);
	assert_memory_equal(got, "\6\7\10\11", 4);
	assert_int_equal(config_in_trouble(EMPTY_CONFIG, got), -EINVAL);
	assert_int_equal(config_in_trouble(SHORT_CONFIG, got), -EPROTO);
}

static void a_back_end_that_connects_is_waited_for(void **state)
{
	struct sr_frontend_config c;
	struct sr_frontend *f;
	struct sr_error e;
	struct peer p;

	(void)state;
	peer_init(&p);
	/* A socket that nobody listens on is in the way. */
	peer_listen(&p);
	close(p.listener);
	p.listener = -1;
	p.connects = true;
	peer_start(&p);
	c = config_for(&p);
	f = sr_frontend_connect(&c, &e);
	assert_non_null(f);
	sr_frontend_disconnect(f);
	assert_int_equal(access(p.path, F_OK), -1);
	peer_end(&p);
}

static void a_live_socket_is_not_taken_from_its_owner(void **state)
{
	struct sr_frontend_config c;
	struct sr_error e;
	struct peer p;

	(void)state;
	peer_init(&p);
	peer_listen(&p);
	c = config_for(&p);
	c.listen = true;
	assert_null(sr_frontend_connect(&c, &e));
	assert_int_equal(e.code, -EADDRINUSE);
	assert_int_equal(access(p.path, F_OK), 0);
	close(p.listener);
	unlink(p.path);
	rmdir(p.dir);
}

static void errors_of_the_socket_name_its_path(void **state)
{
	struct sr_frontend_config c = { .socket = "/nowhere/at/all.sock" };
	struct sr_error e;
	char longer[200];

	(void)state;
	assert_null(sr_frontend_connect(&c, &e));
	assert_int_equal(e.code, -ENOENT);
	assert_non_null(strstr(e.text, c.socket));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	c.socket = longer;
	assert_null(sr_frontend_connect(&c, &e));
	assert_int_equal(e.code, -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(negotiates_what_both_sides_want),
		cmocka_unit_test(an_old_back_end_without_protocol_features_is_not_asked_for_them),
		cmocka_unit_test(a_missing_required_feature_is_named),
		cmocka_unit_test(silence_ends_in_a_time_out_that_names_the_message),
		cmocka_unit_test(bad_answers_end_the_session),
		cmocka_unit_test(file_descriptors_of_an_answer_are_closed),
		cmocka_unit_test(memory_and_rings_arrive_as_they_are),
		cmocka_unit_test(a_queue_that_the_back_end_has_not_is_refused_here),
		cmocka_unit_test(a_stop_must_be_about_the_ring_and_have_a_base),
		cmocka_unit_test(configuration_is_read_or_refused),
		cmocka_unit_test(a_back_end_that_connects_is_waited_for),
		cmocka_unit_test(a_live_socket_is_not_taken_from_its_owner),
		cmocka_unit_test(errors_of_the_socket_name_its_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
