/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/vhost_user.h>
#include <stdio.h>
#include <unistd.h>

/* Columns: name, payload, its size range, fds, gate, answer, refusal, reply size, fds. */
#define ACK	    SR_VU_ANSWER_ACK, SR_VU_REFUSE_ACK, 0, 0, 0
#define REPLY(size) SR_VU_ANSWER_REPLY, SR_VU_REFUSE_CLOSE, size, size, 0
#define NOTHING	    SR_VU_PAYLOAD_NONE, 0, 0
#define U64	    SR_VU_PAYLOAD_U64, 8, 8
#define STATE	    SR_VU_PAYLOAD_STATE, 8, 8
#define RING_FD	    SR_VU_PAYLOAD_RING_FD, 8, 8
#define OTHER(size) SR_VU_PAYLOAD_OTHER, size, size
#define IOTLB	    SR_VU_PAYLOAD_IOTLB, 26, 32
#define INFLIGHT    SR_VU_PAYLOAD_INFLIGHT, 20, 24
#define FDS(a, b)   a, b
#define UNGATED	    SR_VU_NO_GATE

static const struct sr_vu_row front[SR_VU_REQUESTS] = {
	[SR_VU_GET_FEATURES] = { "GET_FEATURES", NOTHING, FDS(0, 0), UNGATED, REPLY(8) },
	[SR_VU_SET_FEATURES] = { "SET_FEATURES", U64, FDS(0, 0), UNGATED, ACK },
	[SR_VU_SET_OWNER] = { "SET_OWNER", NOTHING, FDS(0, 0), UNGATED, ACK },
	[SR_VU_RESET_OWNER] = { "RESET_OWNER", NOTHING, FDS(0, 0), UNGATED, ACK },
	/* The size may be larger than the number of regions needs: User-mode Linux before
	 * 6.13 sends room for two (72 bytes) with one in it. */
	[SR_VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", SR_VU_PAYLOAD_TABLE, 8,
				  SR_VU_MEM_TABLE_SIZE(SR_VU_TABLE_MAX), FDS(0, SR_VU_TABLE_MAX),
				  UNGATED, SR_VU_ANSWER_DEPENDS, SR_VU_REFUSE_ACK, 8,
				  SR_VU_MEM_TABLE_SIZE(SR_VU_TABLE_MAX), 0 },
	/* 8 bytes and no fd from a front-end without LOG_SHMFD. */
	[SR_VU_SET_LOG_BASE] = { "SET_LOG_BASE", SR_VU_PAYLOAD_LOG, 8, 16, FDS(0, 1), UNGATED,
				 SR_VU_ANSWER_DEPENDS, SR_VU_REFUSE_CLOSE, 0, 16, 0 },
	[SR_VU_SET_LOG_FD] = { "SET_LOG_FD", SR_VU_PAYLOAD_NONE, 0, 8, FDS(1, 1), UNGATED, ACK },
	[SR_VU_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, FDS(0, 0), UNGATED, ACK },
	[SR_VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", SR_VU_PAYLOAD_ADDR, 40, 40, FDS(0, 0), UNGATED,
				   ACK },
	[SR_VU_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, FDS(0, 0), UNGATED, ACK },
	[SR_VU_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, FDS(0, 0), UNGATED, REPLY(8) },
	[SR_VU_SET_VRING_KICK] = { "SET_VRING_KICK", RING_FD, FDS(0, 1), UNGATED, ACK },
	[SR_VU_SET_VRING_CALL] = { "SET_VRING_CALL", RING_FD, FDS(0, 1), UNGATED, ACK },
	[SR_VU_SET_VRING_ERR] = { "SET_VRING_ERR", RING_FD, FDS(0, 1), UNGATED, ACK },
	[SR_VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", NOTHING, FDS(0, 0), UNGATED,
					  REPLY(8) },
	[SR_VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, FDS(0, 0), UNGATED, ACK },
	[SR_VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", NOTHING, FDS(0, 0), SR_VU_P_MQ, REPLY(8) },
	[SR_VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, FDS(0, 0), UNGATED, ACK },
	[SR_VU_SEND_RARP] = { "SEND_RARP", U64, FDS(0, 0), SR_VU_P_RARP, ACK },
	[SR_VU_NET_SET_MTU] = { "NET_SET_MTU", U64, FDS(0, 0), SR_VU_P_MTU, ACK },
	[SR_VU_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", NOTHING, FDS(1, 1),
				       SR_VU_P_BACKEND_REQ, ACK },
	/* Gated by the virtio feature ACCESS_PLATFORM, not by one of the protocol. */
	[SR_VU_IOTLB_MSG] = { "IOTLB_MSG", IOTLB, FDS(0, 0), UNGATED, SR_VU_ANSWER_REPLY,
			      SR_VU_REFUSE_U64, 8, 8, 0 },
	[SR_VU_SET_VRING_ENDIAN] = { "SET_VRING_ENDIAN", STATE, FDS(0, 0), SR_VU_P_CROSS_ENDIAN,
				     ACK },
	[SR_VU_GET_CONFIG] = { "GET_CONFIG", SR_VU_PAYLOAD_CONFIG, SR_VU_CONFIG_HEADER,
			       SR_VU_CONFIG_HEADER + SR_VU_CONFIG_MAX, FDS(0, 0), SR_VU_P_CONFIG,
			       SR_VU_ANSWER_REPLY, SR_VU_REFUSE_EMPTY, 0,
			       SR_VU_CONFIG_HEADER + SR_VU_CONFIG_MAX, 0 },
	[SR_VU_SET_CONFIG] = { "SET_CONFIG", SR_VU_PAYLOAD_CONFIG, SR_VU_CONFIG_HEADER,
			       SR_VU_CONFIG_HEADER + SR_VU_CONFIG_MAX, FDS(0, 0), SR_VU_P_CONFIG,
			       ACK },
	/* The text gives no size; QEMU's structure is below this. */
	[SR_VU_CREATE_CRYPTO_SESSION] = { "CREATE_CRYPTO_SESSION", SR_VU_PAYLOAD_OTHER, 8, 2048,
					  FDS(0, 0), SR_VU_P_CRYPTO_SESSION, SR_VU_ANSWER_REPLY,
					  SR_VU_REFUSE_CLOSE, 8, 2048, 0 },
	[SR_VU_CLOSE_CRYPTO_SESSION] = { "CLOSE_CRYPTO_SESSION", U64, FDS(0, 0),
					 SR_VU_P_CRYPTO_SESSION, ACK },
	[SR_VU_POSTCOPY_ADVISE] = { "POSTCOPY_ADVISE", NOTHING, FDS(0, 0), SR_VU_P_PAGEFAULT,
				    SR_VU_ANSWER_FD, SR_VU_REFUSE_EMPTY, 0, 8, 1 },
	[SR_VU_POSTCOPY_LISTEN] = { "POSTCOPY_LISTEN", NOTHING, FDS(0, 0), SR_VU_P_PAGEFAULT, ACK },
	[SR_VU_POSTCOPY_END] = { "POSTCOPY_END", NOTHING, FDS(0, 0), SR_VU_P_PAGEFAULT,
				 SR_VU_ANSWER_REPLY, SR_VU_REFUSE_U64, 8, 8, 0 },
	[SR_VU_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", INFLIGHT, FDS(0, 0), SR_VU_P_INFLIGHT_SHMFD,
				    SR_VU_ANSWER_FD, SR_VU_REFUSE_CLOSE, 20, 24, 1 },
	[SR_VU_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", INFLIGHT, FDS(1, 1), SR_VU_P_INFLIGHT_SHMFD,
				    ACK },
	[SR_VU_GPU_SET_SOCKET] = { "GPU_SET_SOCKET", NOTHING, FDS(1, 1), UNGATED, ACK },
	[SR_VU_RESET_DEVICE] = { "RESET_DEVICE", NOTHING, FDS(0, 0), SR_VU_P_RESET_DEVICE, ACK },
	[SR_VU_VRING_KICK] = { "VRING_KICK", STATE, FDS(0, 0), SR_VU_P_INBAND_NOTIFICATIONS, ACK },
	[SR_VU_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", NOTHING, FDS(0, 0),
				      SR_VU_P_CONFIGURE_MEM_SLOTS, REPLY(8) },
	[SR_VU_ADD_MEM_REG] = { "ADD_MEM_REG", SR_VU_PAYLOAD_REGION, 40, 40, FDS(0, 1),
				SR_VU_P_CONFIGURE_MEM_SLOTS, SR_VU_ANSWER_DEPENDS, SR_VU_REFUSE_ACK,
				40, 40, 0 },
	/* Some front-ends send the region's fd along; it is closed. */
	[SR_VU_REM_MEM_REG] = { "REM_MEM_REG", SR_VU_PAYLOAD_REGION, 40, 40, FDS(0, 1),
				SR_VU_P_CONFIGURE_MEM_SLOTS, ACK },
	[SR_VU_SET_STATUS] = { "SET_STATUS", U64, FDS(0, 0), SR_VU_P_STATUS, ACK },
	[SR_VU_GET_STATUS] = { "GET_STATUS", NOTHING, FDS(0, 0), SR_VU_P_STATUS, REPLY(8) },
	[SR_VU_GET_SHARED_OBJECT] = { "GET_SHARED_OBJECT", OTHER(16), FDS(0, 0),
				      SR_VU_P_SHARED_OBJECT, SR_VU_ANSWER_FD, SR_VU_REFUSE_EMPTY, 0,
				      8, 1 },
	[SR_VU_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD", OTHER(8), FDS(1, 1),
					SR_VU_P_DEVICE_STATE, SR_VU_ANSWER_FD, SR_VU_REFUSE_STATE,
					8, 8, 1 },
	[SR_VU_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE", NOTHING, FDS(0, 0),
				       SR_VU_P_DEVICE_STATE, SR_VU_ANSWER_REPLY, SR_VU_REFUSE_U64,
				       8, 8, 0 },
	[SR_VU_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", NOTHING, FDS(0, 0), SR_VU_P_SHMEM,
				     REPLY(2056) },
};

static const struct sr_vu_row back[SR_VU_BACK_REQUESTS] = {
	[SR_VU_BACK_IOTLB_MSG] = { "IOTLB_MSG", IOTLB, FDS(0, 0), UNGATED, ACK },
	[SR_VU_BACK_CONFIG_CHANGE] = { "CONFIG_CHANGE", NOTHING, FDS(0, 0), SR_VU_P_CONFIG, ACK },
	[SR_VU_BACK_VRING_HOST_NOTIFIER] = { "VRING_HOST_NOTIFIER", OTHER(24), FDS(0, 1),
					     SR_VU_P_HOST_NOTIFIER, ACK },
	[SR_VU_BACK_VRING_CALL] = { "VRING_CALL", STATE, FDS(0, 0), SR_VU_P_INBAND_NOTIFICATIONS,
				    ACK },
	[SR_VU_BACK_VRING_ERR] = { "VRING_ERR", STATE, FDS(0, 0), SR_VU_P_INBAND_NOTIFICATIONS,
				   ACK },
	[SR_VU_BACK_SHARED_OBJECT_ADD] = { "SHARED_OBJECT_ADD", OTHER(16), FDS(0, 0),
					   SR_VU_P_SHARED_OBJECT, ACK },
	[SR_VU_BACK_SHARED_OBJECT_REMOVE] = { "SHARED_OBJECT_REMOVE", OTHER(16), FDS(0, 0),
					      SR_VU_P_SHARED_OBJECT, ACK },
	[SR_VU_BACK_SHARED_OBJECT_LOOKUP] = { "SHARED_OBJECT_LOOKUP", OTHER(16), FDS(0, 0),
					      SR_VU_P_SHARED_OBJECT, SR_VU_ANSWER_FD,
					      SR_VU_REFUSE_U64, 8, 8, 1 },
	[SR_VU_BACK_SHMEM_MAP] = { "SHMEM_MAP", OTHER(40), FDS(1, 1), SR_VU_P_SHMEM, ACK },
	[SR_VU_BACK_SHMEM_UNMAP] = { "SHMEM_UNMAP", OTHER(40), FDS(0, 0), SR_VU_P_SHMEM, ACK },
};

static const char *const protocol_names[SR_VU_PROTOCOL_BITS] = {
	[SR_VU_P_MQ] = "MQ",
	[SR_VU_P_LOG_SHMFD] = "LOG_SHMFD",
	[SR_VU_P_RARP] = "RARP",
	[SR_VU_P_REPLY_ACK] = "REPLY_ACK",
	[SR_VU_P_MTU] = "MTU",
	[SR_VU_P_BACKEND_REQ] = "BACKEND_REQ",
	[SR_VU_P_CROSS_ENDIAN] = "CROSS_ENDIAN",
	[SR_VU_P_CRYPTO_SESSION] = "CRYPTO_SESSION",
	[SR_VU_P_PAGEFAULT] = "PAGEFAULT",
	[SR_VU_P_CONFIG] = "CONFIG",
	[SR_VU_P_BACKEND_SEND_FD] = "BACKEND_SEND_FD",
	[SR_VU_P_HOST_NOTIFIER] = "HOST_NOTIFIER",
	[SR_VU_P_INFLIGHT_SHMFD] = "INFLIGHT_SHMFD",
	[SR_VU_P_RESET_DEVICE] = "RESET_DEVICE",
	[SR_VU_P_INBAND_NOTIFICATIONS] = "INBAND_NOTIFICATIONS",
	[SR_VU_P_CONFIGURE_MEM_SLOTS] = "CONFIGURE_MEM_SLOTS",
	[SR_VU_P_STATUS] = "STATUS",
	[SR_VU_P_XEN_MMAP] = "XEN_MMAP",
	[SR_VU_P_SHARED_OBJECT] = "SHARED_OBJECT",
	[SR_VU_P_DEVICE_STATE] = "DEVICE_STATE",
	[SR_VU_P_GET_VRING_BASE_INFLIGHT] = "GET_VRING_BASE_INFLIGHT",
	[SR_VU_P_GPA_ADDRESSES] = "GPA_ADDRESSES",
	[SR_VU_P_SHMEM] = "SHMEM",
};

_Static_assert(sizeof(struct sr_vu_addr) == 40, "wire size");
_Static_assert(sizeof(struct sr_vu_mem_table) == SR_VU_MEM_TABLE_SIZE(SR_VU_TABLE_MAX),
	       "wire size");
_Static_assert(sizeof(struct sr_vu_mem_reg) == 40, "wire size");
_Static_assert(sizeof(struct sr_vu_iotlb) == 26, "wire size");
_Static_assert(sizeof(struct sr_vu_inflight) == 20, "wire size");

const struct sr_vu_row *sr_vu_front_row(uint32_t request)
{
	return request > 0 && request < SR_VU_REQUESTS ? &front[request] : NULL;
}

const struct sr_vu_row *sr_vu_back_row(uint32_t request)
{
	return request > 0 && request < SR_VU_BACK_REQUESTS ? &back[request] : NULL;
}

const char *sr_vhost_user_protocol_feature_name(unsigned bit)
{
	return bit < SR_VU_PROTOCOL_BITS ? protocol_names[bit] : NULL;
}

const char *sr_vu_name(const struct sr_vu_row *row, uint32_t request, char buf[24])
{
	if (row)
		return row->name;
	snprintf(buf, 24, "request %" PRIu32, request);
	return buf;
}

int sr_vu_message_take_fd(struct sr_vu_message *m, unsigned i)
{
	int fd;

	if (i >= m->nfds)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}

void sr_vu_message_close_fds(struct sr_vu_message *m)
{
	for (unsigned i = 0; i < m->nfds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->nfds = 0;
}

static int check_range(const char *name, const char *what, unsigned value, unsigned min,
		       unsigned max, struct sr_error *e)
{
	if (value >= min && value <= max)
		return 0;
	if (min == max)
		return sr_error_set(e, -EPROTO, "%s: %u %s, expected %u", name, value, what, min);
	return sr_error_set(e, -EPROTO, "%s: %u %s, expected %u to %u", name, value, what, min,
			    max);
}

int sr_vu_check_request(const struct sr_vu_message *m, const struct sr_vu_row *row,
			uint64_t protocol, struct sr_error *e)
{
	char buf[24];
	const char *name = sr_vu_name(row, m->request, buf);
	int r;

	if ((m->flags & SR_VU_VERSION_MASK) != SR_VU_VERSION)
		return sr_error_set(e, -EPROTO, "%s: version %u, expected %u", name,
				    m->flags & SR_VU_VERSION_MASK, SR_VU_VERSION);
	if (m->flags & SR_VU_REPLY)
		return sr_error_set(e, -EPROTO, "%s: flags 0x%x, expected no reply bit", name,
				    m->flags);
	if (!row)
		return sr_error_set(e, -EOPNOTSUPP, "%s is unknown, expected 1 to %u", name,
				    SR_VU_REQUESTS - 1);
	if (row->gate >= 0 && !(protocol >> row->gate & 1))
		return sr_error_set(e, -EOPNOTSUPP, "%s needs protocol feature %s, not negotiated",
				    name, protocol_names[row->gate]);
	r = check_range(name, "bytes of payload", m->size, row->min, row->max, e);
	return r ? r
		 : check_range(name, "file descriptors", m->nfds, row->fds_min, row->fds_max, e);
}

int sr_vu_check_reply(const struct sr_vu_message *m, uint32_t request, const struct sr_vu_row *row,
		      bool ack, struct sr_error *e)
{
	unsigned min = ack ? 8 : row->reply_min, max = ack ? 8 : row->reply_max;
	int r;

	if (m->request != request)
		return sr_error_set(e, -EPROTO,
				    "reply to %s: request %" PRIu32 ", expected %" PRIu32,
				    row->name, m->request, request);
	if (m->flags != SR_VU_REPLY_FLAGS)
		return sr_error_set(e, -EPROTO, "reply to %s: flags 0x%x, expected 0x%x", row->name,
				    m->flags, SR_VU_REPLY_FLAGS);
	r = check_range(row->name, "bytes in the reply", m->size, min, max, e);
	return r ? r
		 : check_range(row->name, "file descriptors in the reply", m->nfds, 0,
			       ack ? 0 : row->reply_fds, e);
}

static int check_ring_fd(const struct sr_vu_message *m, const struct sr_vu_row *row,
			 struct sr_error *e)
{
	bool no_fd = m->p.u64 & SR_VU_NO_FD;

	if (m->p.u64 & ~(SR_VU_RING_MASK | SR_VU_NO_FD))
		return sr_error_set(e, -EPROTO,
				    "%s: value 0x%" PRIx64 ", expected bits 0 to 8 only", row->name,
				    m->p.u64);
	return check_range(row->name,
			   no_fd ? "file descriptors with bit 8 set" : "file descriptors", m->nfds,
			   !no_fd, !no_fd, e);
}

int sr_vu_check_ring(const struct sr_vu_message *m, const struct sr_vu_row *row, unsigned rings,
		     unsigned *index, struct sr_error *e)
{
	int r;

	switch (row->payload) {
	case SR_VU_PAYLOAD_STATE:
		*index = m->p.state.index;
		break;
	case SR_VU_PAYLOAD_ADDR:
		*index = m->p.addr.index;
		break;
	case SR_VU_PAYLOAD_RING_FD:
		r = check_ring_fd(m, row, e);
		if (r)
			return r;
		*index = m->p.u64 & SR_VU_RING_MASK;
		break;
	default:
		return 0;
	}
	if (*index >= rings)
		return sr_error_set(e, -EPROTO, "%s: ring %u, expected below %u", row->name, *index,
				    rings);
	return 1;
}

int sr_vu_check_table(const struct sr_vu_message *m, struct sr_error *e)
{
	uint32_t n = m->p.table.n;

	if (n > SR_VU_TABLE_MAX)
		return sr_error_set(e, -EPROTO,
				    "SET_MEM_TABLE: %" PRIu32 " regions, expected at most %u", n,
				    SR_VU_TABLE_MAX);
	if (m->size < SR_VU_MEM_TABLE_SIZE(n))
		return sr_error_set(e, -EPROTO,
				    "SET_MEM_TABLE: %" PRIu32
				    " bytes of payload, expected %u for %" PRIu32 " regions",
				    m->size, SR_VU_MEM_TABLE_SIZE(n), n);
	if (m->nfds != n)
		return sr_error_set(e, -EPROTO,
				    "SET_MEM_TABLE: %u file descriptors, expected %" PRIu32
				    ", one for each region; is the guest's memory shared? (QEMU: "
				    "-object memory-backend-memfd,share=on)",
				    m->nfds, n);
	return 0;
}

int sr_vu_check_config(const struct sr_vu_message *m, uint32_t config_size, struct sr_error *e)
{
	const struct sr_vu_config *c = &m->p.config;
	const char *name = front[m->request].name;

	if (c->size != m->size - SR_VU_CONFIG_HEADER)
		return sr_error_set(e, -EPROTO,
				    "%s: size %" PRIu32 " with %" PRIu32
				    " bytes of payload, expected %u more than the size",
				    name, c->size, m->size, SR_VU_CONFIG_HEADER);
	if (!sr_range_fits(c->offset, c->size, config_size))
		return sr_error_set(e, -EINVAL,
				    "%s: offset %" PRIu32 " size %" PRIu32
				    ", expected to be inside %" PRIu32 " bytes",
				    name, c->offset, c->size, config_size);
	return 0;
}
