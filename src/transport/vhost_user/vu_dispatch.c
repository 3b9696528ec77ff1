/* SPDX-License-Identifier: BSD-3-Clause */
/* From a whole message to its handler, at once or when rings are quiet, and to its answer. */
#include "session.h"

#include <errno.h>
#include <slipring/virtio.h>
#include <sys/epoll.h>

/* The served ones; the rest of the table is refused. */
static sr_vu_handler *const handlers[SR_VU_REQUESTS] = {
	[SR_VU_GET_FEATURES] = sr_vu_get_features,
	[SR_VU_SET_FEATURES] = sr_vu_set_features,
	[SR_VU_SET_OWNER] = sr_vu_set_owner,
	[SR_VU_RESET_OWNER] = sr_vu_reset_owner,
	[SR_VU_SET_MEM_TABLE] = sr_vu_set_mem_table,
	[SR_VU_SET_LOG_BASE] = sr_vu_set_log_base,
	[SR_VU_SET_LOG_FD] = sr_vu_set_log_fd,
	[SR_VU_SET_VRING_NUM] = sr_vu_set_vring_num,
	[SR_VU_SET_VRING_ADDR] = sr_vu_set_vring_addr,
	[SR_VU_SET_VRING_BASE] = sr_vu_set_vring_base,
	[SR_VU_GET_VRING_BASE] = sr_vu_get_vring_base,
	[SR_VU_SET_VRING_KICK] = sr_vu_set_vring_kick,
	[SR_VU_SET_VRING_CALL] = sr_vu_set_vring_call,
	[SR_VU_SET_VRING_ERR] = sr_vu_set_vring_err,
	[SR_VU_GET_PROTOCOL_FEATURES] = sr_vu_get_protocol_features,
	[SR_VU_SET_PROTOCOL_FEATURES] = sr_vu_set_protocol_features,
	[SR_VU_GET_QUEUE_NUM] = sr_vu_get_queue_num,
	[SR_VU_SET_VRING_ENABLE] = sr_vu_set_vring_enable,
	[SR_VU_SEND_RARP] = sr_vu_send_rarp,
	[SR_VU_NET_SET_MTU] = sr_vu_net_set_mtu,
	[SR_VU_SET_BACKEND_REQ_FD] = sr_vu_set_backend_req_fd,
	[SR_VU_GET_CONFIG] = sr_vu_get_config,
	[SR_VU_SET_CONFIG] = sr_vu_set_config,
	[SR_VU_GET_INFLIGHT_FD] = sr_vu_get_inflight_fd,
	[SR_VU_SET_INFLIGHT_FD] = sr_vu_set_inflight_fd,
	[SR_VU_RESET_DEVICE] = sr_vu_reset_device,
	[SR_VU_GET_MAX_MEM_SLOTS] = sr_vu_get_max_mem_slots,
	[SR_VU_ADD_MEM_REG] = sr_vu_add_mem_reg,
	[SR_VU_REM_MEM_REG] = sr_vu_rem_mem_reg,
	[SR_VU_SET_STATUS] = sr_vu_set_status,
	[SR_VU_GET_STATUS] = sr_vu_get_status,
};

int sr_session_reply_fd(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
			uint32_t size, int fd)
{
	int r = sr_vu_send(s->fd, m->request, SR_VU_REPLY_FLAGS, payload, size, &fd, fd >= 0);

	if (r == -EAGAIN)
		return sr_error_set(&s->error, r, "does not read our replies");
	if (r)
		return sr_error_set(&s->error, r, "reply not sent: %s", strerror(-r));
	return SR_VU_REPLIED;
}

int sr_session_reply(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
		     uint32_t size)
{
	return sr_session_reply_fd(s, m, payload, size, -1);
}

int sr_session_reply_u64(struct sr_session *s, const struct sr_vu_message *m, uint64_t value)
{
	return sr_session_reply(s, m, &value, sizeof(value));
}

/* With REPLY_ACK negotiated a front-end may ask for an answer to every message. One that
 * asks without having negotiated waits for it all the same. */
static int acknowledge(struct sr_session *s, const struct sr_vu_message *m, uint64_t value)
{
	return m->flags & SR_VU_NEED_REPLY ? sr_session_reply_u64(s, m, value) : SR_VU_DONE;
}

static void complain(struct sr_session *s, const struct sr_vu_message *m)
{
	uint64_t bit = SR_BIT(m->request < 63 ? m->request : 63);

	if (s->complained & bit)
		return;
	s->complained |= bit;
	sr_log(SR_LOG_WARN, s->device->name, "%s: %s; refused", s->peer, s->error.text);
}

static int refuse(struct sr_session *s, const struct sr_vu_row *row, const struct sr_vu_message *m)
{
	switch (row ? row->refusal : SR_VU_REFUSE_ACK) {
	case SR_VU_REFUSE_ACK:
		complain(s, m);
		return acknowledge(s, m, 1);
	case SR_VU_REFUSE_U64:
		complain(s, m);
		return sr_session_reply_u64(s, m, 1);
	case SR_VU_REFUSE_EMPTY:
		complain(s, m);
		return sr_session_reply(s, m, NULL, 0);
	case SR_VU_REFUSE_STATE:
		complain(s, m);
		return sr_session_reply_u64(s, m, SR_VU_NO_FD | 1);
	default:
		return -EPROTO;
	}
}

/* Whether the message's ring, or all of them where it has none, must be quiet for its handler. */
static bool stops_rings(const struct sr_vu_queue *q, const struct sr_vu_message *m)
{
	switch (m->request) {
	case SR_VU_SET_FEATURES:
	case SR_VU_SET_MEM_TABLE:
	case SR_VU_SET_LOG_BASE:
	case SR_VU_SET_VRING_NUM:
	case SR_VU_SET_VRING_ADDR:
	case SR_VU_SET_VRING_BASE:
	case SR_VU_GET_VRING_BASE:
	case SR_VU_RESET_DEVICE:
	case SR_VU_ADD_MEM_REG:
	case SR_VU_REM_MEM_REG:
		return true;
	case SR_VU_SET_STATUS:
		return m->p.u64 == 0;
	case SR_VU_SET_VRING_KICK:
		return atomic_load(&q->health) != SR_VU_SOUND;
	case SR_VU_SET_VRING_CALL:
		return sr_vu_call_needs_pause(q, m);
	default:
		return false;
	}
}

static void run_parked(struct sr_session *s, struct sr_vu_queue *q);

static int dispatch(struct sr_session *s, const struct sr_vu_row *row, struct sr_vu_message *m)
{
	struct sr_vu_queue *q = NULL;
	unsigned index;
	int r = sr_vu_check_request(m, row, s->protocol, &s->error);

	if (r)
		return r;
	r = sr_vu_check_ring(m, row, s->nqueues, &index, &s->error);
	if (r < 0)
		return r;
	if (!handlers[m->request])
		return sr_error_set(&s->error, -EOPNOTSUPP, "%s is not served", row->name);
	if (r == 1) {
		q = sr_vu_queue_get(s, index);
		if (!q)
			return sr_error_set(&s->error, -ENOMEM, "out of memory");
	}
	if (stops_rings(q, m) && !sr_session_await(s, q, row->name, run_parked))
		return SR_VU_PARKED;
	return handlers[m->request](s, q, m);
}

/* What a handler's result r makes of the message: 0, or a negative errno when the session is
 * lost. */
static int conclude(struct sr_session *s, const struct sr_vu_row *row,
		    const struct sr_vu_message *m, int r)
{
	if (r == SR_VU_REPLIED)
		return 0;
	if (r == SR_VU_DONE)
		return acknowledge(s, m, 0) < 0 ? -EPIPE : 0;
	if (r == -EOPNOTSUPP)
		return refuse(s, row, m) < 0 ? -EPROTO : 0;
	/* Front-ends tell their user more when they get an answer than when we hang up. */
	if (m->flags & SR_VU_NEED_REPLY)
		sr_vu_send(s->fd, m->request, SR_VU_REPLY_FLAGS, &(uint64_t){ 1 }, 8, NULL, 0);
	return r;
}

int sr_session_handle(struct sr_session *s, struct sr_vu_message *m)
{
	const struct sr_vu_row *row = sr_vu_front_row(m->request);
	char name[24];
	int r;

	sr_log(SR_LOG_DEBUG, s->device->name, "%s: %s, %u bytes, %u fds", s->peer,
	       sr_vu_name(row, m->request, name), (unsigned)m->size, m->nfds);
	r = dispatch(s, row, m);
	if (r == SR_VU_PARKED)
		sr_watch_events(s->watch, EPOLLRDHUP);
	return r == SR_VU_PARKED ? r : conclude(s, row, m, r);
}

static void run_parked(struct sr_session *s, struct sr_vu_queue *q)
{
	struct sr_vu_message *m = &s->channel.m;
	int r = handlers[m->request](s, q, m);

	sr_watch_events(s->watch, EPOLLIN);
	if (conclude(s, sr_vu_front_row(m->request), m, r) < 0)
		sr_session_fail(s);
}

void sr_session_fail_parked(struct sr_session *s)
{
	conclude(s, sr_vu_front_row(s->channel.m.request), &s->channel.m, s->error.code);
	sr_session_fail(s);
}
