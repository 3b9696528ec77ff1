/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages of vhost-user (QEMU 11.1, interop/vhost-user) as two tables, one for each
 * direction, and the one routine that checks a message against its row before anybody acts
 * on it. Names in log lines, tests and documents come from these tables.
 *
 * Knows bytes and limits only: no sockets (channel.h), no state (session.h).
 */
#ifndef SR_VU_MESSAGE_H
#define SR_VU_MESSAGE_H

#include "base.h"

/* Header flags. */
#define SR_VU_VERSION	   0x1u
#define SR_VU_VERSION_MASK 0x3u
#define SR_VU_REPLY	   0x4u
#define SR_VU_NEED_REPLY   0x8u
/* Front-ends take a reply only with exactly these flags. */
#define SR_VU_REPLY_FLAGS (SR_VU_VERSION | SR_VU_REPLY)

#define SR_VU_FDS_MAX	  8    /* in one message, either way */
#define SR_VU_PAYLOAD_MAX 2056 /* the largest row, the reply to GET_SHMEM_CONFIG */
#define SR_VU_CONFIG_MAX  256  /* bytes of configuration space in one message, as QEMU */
#define SR_VU_TABLE_MAX	  8    /* regions in one SET_MEM_TABLE: one fd each */

/* Requests of the front-end. */
enum sr_vu_request {
	SR_VU_GET_FEATURES = 1,
	SR_VU_SET_FEATURES = 2,
	SR_VU_SET_OWNER = 3,
	SR_VU_RESET_OWNER = 4,
	SR_VU_SET_MEM_TABLE = 5,
	SR_VU_SET_LOG_BASE = 6,
	SR_VU_SET_LOG_FD = 7,
	SR_VU_SET_VRING_NUM = 8,
	SR_VU_SET_VRING_ADDR = 9,
	SR_VU_SET_VRING_BASE = 10,
	SR_VU_GET_VRING_BASE = 11,
	SR_VU_SET_VRING_KICK = 12,
	SR_VU_SET_VRING_CALL = 13,
	SR_VU_SET_VRING_ERR = 14,
	SR_VU_GET_PROTOCOL_FEATURES = 15,
	SR_VU_SET_PROTOCOL_FEATURES = 16,
	SR_VU_GET_QUEUE_NUM = 17,
	SR_VU_SET_VRING_ENABLE = 18,
	SR_VU_SEND_RARP = 19,
	SR_VU_NET_SET_MTU = 20,
	SR_VU_SET_BACKEND_REQ_FD = 21,
	SR_VU_IOTLB_MSG = 22,
	SR_VU_SET_VRING_ENDIAN = 23,
	SR_VU_GET_CONFIG = 24,
	SR_VU_SET_CONFIG = 25,
	SR_VU_CREATE_CRYPTO_SESSION = 26,
	SR_VU_CLOSE_CRYPTO_SESSION = 27,
	SR_VU_POSTCOPY_ADVISE = 28,
	SR_VU_POSTCOPY_LISTEN = 29,
	SR_VU_POSTCOPY_END = 30,
	SR_VU_GET_INFLIGHT_FD = 31,
	SR_VU_SET_INFLIGHT_FD = 32,
	SR_VU_GPU_SET_SOCKET = 33,
	SR_VU_RESET_DEVICE = 34,
	SR_VU_VRING_KICK = 35,
	SR_VU_GET_MAX_MEM_SLOTS = 36,
	SR_VU_ADD_MEM_REG = 37,
	SR_VU_REM_MEM_REG = 38,
	SR_VU_SET_STATUS = 39,
	SR_VU_GET_STATUS = 40,
	SR_VU_GET_SHARED_OBJECT = 41,
	SR_VU_SET_DEVICE_STATE_FD = 42,
	SR_VU_CHECK_DEVICE_STATE = 43,
	SR_VU_GET_SHMEM_CONFIG = 44,
	SR_VU_REQUESTS /* one past the last */
};

/* Requests of the back-end, on the channel that SET_BACKEND_REQ_FD gave it. */
enum sr_vu_back_request {
	SR_VU_BACK_IOTLB_MSG = 1,
	SR_VU_BACK_CONFIG_CHANGE = 2,
	SR_VU_BACK_VRING_HOST_NOTIFIER = 3,
	SR_VU_BACK_VRING_CALL = 4,
	SR_VU_BACK_VRING_ERR = 5,
	SR_VU_BACK_SHARED_OBJECT_ADD = 6,
	SR_VU_BACK_SHARED_OBJECT_REMOVE = 7,
	SR_VU_BACK_SHARED_OBJECT_LOOKUP = 8,
	SR_VU_BACK_SHMEM_MAP = 9,
	SR_VU_BACK_SHMEM_UNMAP = 10,
	SR_VU_BACK_REQUESTS
};

/* Protocol features: bit numbers. */
enum sr_vu_protocol {
	SR_VU_P_MQ = 0,
	SR_VU_P_LOG_SHMFD = 1,
	SR_VU_P_RARP = 2,
	SR_VU_P_REPLY_ACK = 3,
	SR_VU_P_MTU = 4,
	SR_VU_P_BACKEND_REQ = 5,
	SR_VU_P_CROSS_ENDIAN = 6,
	SR_VU_P_CRYPTO_SESSION = 7,
	SR_VU_P_PAGEFAULT = 8,
	SR_VU_P_CONFIG = 9,
	SR_VU_P_BACKEND_SEND_FD = 10,
	SR_VU_P_HOST_NOTIFIER = 11,
	SR_VU_P_INFLIGHT_SHMFD = 12,
	SR_VU_P_RESET_DEVICE = 13,
	SR_VU_P_INBAND_NOTIFICATIONS = 14,
	SR_VU_P_CONFIGURE_MEM_SLOTS = 15,
	SR_VU_P_STATUS = 16,
	SR_VU_P_XEN_MMAP = 17,
	SR_VU_P_SHARED_OBJECT = 18,
	SR_VU_P_DEVICE_STATE = 19,
	SR_VU_P_GET_VRING_BASE_INFLIGHT = 20,
	SR_VU_P_GPA_ADDRESSES = 21,
	SR_VU_P_SHMEM = 22,
	SR_VU_PROTOCOL_BITS
};

/* Payloads, all in the machine's own byte order and without padding. */
struct sr_vu_state { /* SET_VRING_NUM, _BASE, _ENABLE, GET_VRING_BASE, ... */
	uint32_t index;
	uint32_t num;
} __attribute__((packed));

#define SR_VU_ADDR_LOG 1u /* flags: mark writes to the used ring in the dirty log */
struct sr_vu_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail; /* the front-end's own addresses */
	uint64_t log;		    /* guest-physical address that stands for `used` */
} __attribute__((packed));

/* The u64 of SET_VRING_KICK, _CALL and _ERR. */
#define SR_VU_RING_MASK 0xffull
#define SR_VU_NO_FD	0x100ull

struct sr_vu_region {
	uint64_t gpa, size, uva, mmap_offset;
} __attribute__((packed));

struct sr_vu_mem_table {
	uint32_t n;
	uint32_t padding;
	struct sr_vu_region regions[SR_VU_TABLE_MAX];
} __attribute__((packed));
#define SR_VU_MEM_TABLE_SIZE(n) (8u + 32u * (n))

struct sr_vu_mem_reg {
	uint64_t padding;
	struct sr_vu_region region;
} __attribute__((packed));

struct sr_vu_log {
	uint64_t size, offset;
} __attribute__((packed));

#define SR_VU_CONFIG_HEADER 12u
struct sr_vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags; /* SET_CONFIG: 0 = from the guest, 1 = of a live migration */
	uint8_t bytes[SR_VU_CONFIG_MAX];
} __attribute__((packed));

struct sr_vu_iotlb { /* senders with the kernel's structure pad it to 32 bytes */
	uint64_t iova, size, uva;
	uint8_t perm, type;
} __attribute__((packed));

struct sr_vu_inflight { /* QEMU pads it to 24 bytes */
	uint64_t size, offset;
	uint16_t queues, queue_size;
} __attribute__((packed));

/* One message, received or to be sent. */
struct sr_vu_message {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
	unsigned nfds;
	/* Owned by the message: whoever takes one over leaves -1 in its place. */
	int fds[SR_VU_FDS_MAX];
	union {
		uint8_t bytes[SR_VU_PAYLOAD_MAX];
		uint64_t u64;
		struct sr_vu_state state;
		struct sr_vu_addr addr;
		struct sr_vu_mem_table table;
		struct sr_vu_mem_reg reg;
		struct sr_vu_log log;
		struct sr_vu_config config;
		struct sr_vu_iotlb iotlb;
		struct sr_vu_inflight inflight;
	} p __attribute__((aligned(8)));
};

/* Takes over the i-th fd: the message forgets it. -1 when there is none. */
int sr_vu_message_take_fd(struct sr_vu_message *m, unsigned i);
/* Closes what nobody took. */
void sr_vu_message_close_fds(struct sr_vu_message *m);

/* What a payload is; tells the generic check where a ring index stands. */
enum sr_vu_payload {
	SR_VU_PAYLOAD_NONE,
	SR_VU_PAYLOAD_U64,
	SR_VU_PAYLOAD_STATE,   /* u32 ring index, u32 */
	SR_VU_PAYLOAD_ADDR,    /* u32 ring index, ... */
	SR_VU_PAYLOAD_RING_FD, /* u64: ring index in bits 0-7, bit 8 = no fd */
	SR_VU_PAYLOAD_TABLE,
	SR_VU_PAYLOAD_REGION,
	SR_VU_PAYLOAD_LOG,
	SR_VU_PAYLOAD_CONFIG,
	SR_VU_PAYLOAD_IOTLB,
	SR_VU_PAYLOAD_INFLIGHT,
	SR_VU_PAYLOAD_OTHER,
};

enum sr_vu_answer {
	SR_VU_ANSWER_ACK,     /* a u64 (0 = done), only when NEED_REPLY is set */
	SR_VU_ANSWER_REPLY,   /* always, in the row's reply size */
	SR_VU_ANSWER_FD,      /* always, and a file descriptor with it */
	SR_VU_ANSWER_DEPENDS, /* SET_LOG_BASE: always with LOG_SHMFD, else as ACK; memory
			       * messages: a reply after POSTCOPY_LISTEN, else as ACK */
};

/* What a back-end says to a message that must be answered and that it does not serve. */
enum sr_vu_refusal {
	SR_VU_REFUSE_ACK,   /* u64 1, only when NEED_REPLY is set */
	SR_VU_REFUSE_U64,   /* u64 1, always */
	SR_VU_REFUSE_EMPTY, /* a reply without payload and fd, always */
	SR_VU_REFUSE_STATE, /* SET_DEVICE_STATE_FD: u64, error and no-fd bits */
	SR_VU_REFUSE_CLOSE, /* the protocol has no way to say it: end of the session */
};

#define SR_VU_NO_GATE (-1)

struct sr_vu_row {
	const char *name;
	uint8_t payload; /* enum sr_vu_payload */
	uint16_t min, max;
	uint8_t fds_min, fds_max;
	int8_t gate;	 /* the protocol feature that must be negotiated, or SR_VU_NO_GATE */
	uint8_t answer;	 /* enum sr_vu_answer */
	uint8_t refusal; /* enum sr_vu_refusal */
	uint16_t reply_min, reply_max; /* where there is more than an ack */
	uint8_t reply_fds;	       /* at most */
};

/* NULL: no such message. */
const struct sr_vu_row *sr_vu_front_row(uint32_t request);
const struct sr_vu_row *sr_vu_back_row(uint32_t request);

/* "SET_VRING_NUM", or "request 99" written to `buf`. */
const char *sr_vu_name(const struct sr_vu_row *row, uint32_t request, char buf[24]);

/* Checks a request against its row (NULL: unknown): flags, negotiated gate, payload size,
 * number of fds. `protocol` is the mask of negotiated protocol features. 0; -EPROTO for
 * a malformed message, after which the stream cannot be trusted; -EOPNOTSUPP for a sound
 * one that is unknown or not negotiated. */
int sr_vu_check_request(const struct sr_vu_message *m, const struct sr_vu_row *row,
			uint64_t protocol, struct sr_error *e);

/* Checks a reply to request `request`: exact flags, same request, the row's reply size
 * (8 for an ack), fds. 0 or -EPROTO. */
int sr_vu_check_reply(const struct sr_vu_message *m, uint32_t request, const struct sr_vu_row *row,
		      bool ack, struct sr_error *e);

/* Sets *index for messages that are about one ring and returns 1, or 0 for others. The
 * index must be below `rings`, the u64 of kick, call and err have no unknown bits and an fd
 * exactly when bit 8 is clear: else -EPROTO. The message has passed sr_vu_check_request. */
int sr_vu_check_ring(const struct sr_vu_message *m, const struct sr_vu_row *row, unsigned rings,
		     unsigned *index, struct sr_error *e);

/* SET_MEM_TABLE: the number of regions against payload size and fds. 0 or -EPROTO. */
int sr_vu_check_table(const struct sr_vu_message *m, struct sr_error *e);

/* GET_CONFIG and SET_CONFIG: payload against the declared size, the range against the
 * device's config_size. 0; -EPROTO when the payload contradicts itself; -EINVAL when the
 * range is outside. */
int sr_vu_check_config(const struct sr_vu_message *m, uint32_t config_size, struct sr_error *e);

#endif
