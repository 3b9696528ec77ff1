/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One front-end's session, from accepted connection to its end. Inside of the room only.
 *
 * Everything here is used on the control loop, except what the comments give to a queue's
 * own loop or to any thread.
 */
#ifndef SR_VU_SESSION_H
#define SR_VU_SESSION_H

#include "channel.h"
#include "mapping.h"
#include "vu_signal.h"

#include <slipring/device.h>
#include <slipring/loop.h>
#include <stdatomic.h>

/* Set to BREAKING by the first thread that finds it so, to BROKEN when `why` is written, to
 * UNTOLD where the control loop could not be told: the next poll tries again. */
enum sr_vu_health {
	SR_VU_SOUND,
	SR_VU_BREAKING,
	SR_VU_BROKEN,
	SR_VU_UNTOLD
};

/* How far the end of a ring is whose requests take time: vu_drain.c. */
enum sr_vu_drain {
	SR_VU_FLOWING,
	SR_VU_DRAINING, /* takes no more chains */
	SR_VU_STUCK,	/* and cannot abandon those that it has */
	SR_VU_QUIET
};

/* One ring. Exists from the first message about it. */
struct sr_vu_queue {
	struct sr_session *s;
	unsigned index;
	struct sr_loop *loop; /* which serves it */

	/* As the front-end has set it. */
	uint32_t size;
	uint16_t base;
	bool have_addr;
	struct sr_vu_addr addr;
	int kick, err;	  /* -1: none */
	_Atomic int call; /* the same; threads that signal see call_is_socket as it was before */
	bool enabled;
	bool wanted; /* between SET_VRING_KICK and GET_VRING_BASE */

	struct sr_vq *vq;	  /* from the first start */
	struct sr_poller *poller; /* from start to stop, over pauses */
	bool running;		  /* written on `loop`, while the control loop waits */
	bool spin;		  /* no kick fd: the ring must be polled. As `running` */
	bool call_is_socket, err_is_socket;
	_Atomic bool moved; /* something has come through it */
	_Atomic int drain;  /* enum sr_vu_drain; written on `loop` */
	bool quiet_untold;  /* the control loop could not be told of QUIET. On `loop` */
	bool breaking;	    /* broken, said so in the log; stopped when it is quiet */
	bool waiting;	    /* stopped until memory that holds it comes; said so in the log */

	_Atomic int health; /* enum sr_vu_health */
	char why[256];	    /* written before health becomes BROKEN */
};

/* Device status, virtio 1.3, section 2.1. */
#define SR_VU_STATUS_NEEDS_RESET 0x40u

struct sr_session_config {
	struct sr_device *device;
	struct sr_loop *control;
	struct sr_loop *const *workers;
	unsigned nworkers;
	unsigned first_worker;
	unsigned drain_ms;
	/* The session is over: its queues are stopped, the device is reset. `error` says why it
	 * went wrong, NULL when the front-end just closed. Not called by sr_session_end. */
	void (*ended)(void *ctx, const char *error);
	void *ctx;
};

/* `q` as it was given to sr_session_await. */
typedef void sr_vu_then(struct sr_session *s, struct sr_vu_queue *q);

struct sr_session {
	struct sr_session_config config;
	struct sr_device *device;
	/* The session lives while it is open or a post of it is under way. */
	_Atomic unsigned references;
	bool open;   /* its rings and memory are there */
	bool ending; /* no messages any more, its requests come to an end */
	bool failed; /* ended_by says why */
	_Atomic bool torn;

	int fd;
	int back_fd; /* -1: no channel for our own requests */
	struct sr_watch *watch;
	struct sr_vu_channel channel;
	char peer[32]; /* "front-end (pid 123)" */
	char ended_by[32 + 2 + SR_ERROR_TEXT];
	struct sr_error error; /* of the message at hand */
	uint64_t complained;   /* request ids already logged as refused */
	struct sr_timer *hint; /* vu_hint.c */
	bool hinted;

	/* vu_drain.c */
	struct sr_timer *limit;
	unsigned limit_ms;	     /* what it was set to */
	uint64_t late_at;	     /* when it last passed, or 0 */
	sr_vu_then *then;	     /* when the awaited are quiet; NULL: nothing is awaited */
	struct sr_vu_queue *awaited; /* NULL: all rings */
	const char *awaited_for;

	uint64_t features, protocol;
	uint8_t status;
	bool enable_all;   /* SET_FEATURES came without bit 30 */
	bool config_dirty; /* a change the front-end could not be told of yet */

	struct sr_mem *mem;
	/* The in-flight record, vu_inflight.c. */
	struct sr_mapping inflight;
	atomic_bool torn_inflight;
	unsigned inflight_queues, inflight_size;
	uint64_t inflight_stride;

	unsigned nqueues;
	struct sr_vu_queue **queues; /* nqueues of them, NULL where nothing was said yet */
};

/* Takes over the connected socket `fd`, on failure too. */
struct sr_session *sr_session_begin(const struct sr_session_config *c, int fd, struct sr_error *e);
/* Ends it without a word to `ended`: abandons requests, waits for those that cannot be. NULL is
 * allowed. */
void sr_session_end(struct sr_session *s);
/* Ends it in the background: `ended` is called when nothing is left, maybe before it returns. */
void sr_session_close(struct sr_session *s);

/* 0, SR_VU_PARKED, or a negative errno when the session is lost. */
int sr_session_handle(struct sr_session *s, struct sr_vu_message *m);

/* For the handlers. Each returns as a handler does. */
int sr_session_reply(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
		     uint32_t size);
int sr_session_reply_fd(struct sr_session *s, const struct sr_vu_message *m, const void *payload,
			uint32_t size, int fd); /* stays the caller's */
int sr_session_reply_u64(struct sr_session *s, const struct sr_vu_message *m, uint64_t value);

/* Runs fn(s, arg) on the control loop unless the session is over by then. From any thread
 * that uses one of its queues. False: it will not, no memory or too many posts. */
bool sr_session_post(struct sr_session *s, void (*fn)(struct sr_session *s, unsigned arg),
		     unsigned arg);
/* The session is lost: s->error says why. May free it; the caller touches it no more. */
void sr_session_fail(struct sr_session *s);
/* The same, after a non-zero answer to the parked message, if it asked for one. */
void sr_session_fail_parked(struct sr_session *s);

/* A handler's results besides a negative errno, which ends the session; -EOPNOTSUPP only
 * refuses the message. The text is in s->error. */
enum {
	SR_VU_DONE,
	SR_VU_REPLIED,
	SR_VU_PARKED /* not of a handler: it has not run yet */
};

/* `q` is NULL for messages that are not about one ring. */
typedef int sr_vu_handler(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m);

/* vu_features.c */
sr_vu_handler sr_vu_get_features, sr_vu_set_features, sr_vu_get_protocol_features,
	sr_vu_set_protocol_features, sr_vu_get_queue_num, sr_vu_set_owner, sr_vu_reset_owner,
	sr_vu_reset_device, sr_vu_get_status, sr_vu_set_status;
/* vu_memory.c */
sr_vu_handler sr_vu_set_mem_table, sr_vu_add_mem_reg, sr_vu_rem_mem_reg, sr_vu_get_max_mem_slots,
	sr_vu_set_log_base, sr_vu_set_log_fd;
/* vring.c */
sr_vu_handler sr_vu_set_vring_num, sr_vu_set_vring_addr, sr_vu_set_vring_base, sr_vu_get_vring_base,
	sr_vu_set_vring_kick, sr_vu_set_vring_call, sr_vu_set_vring_err, sr_vu_set_vring_enable;
bool sr_vu_call_needs_pause(const struct sr_vu_queue *q, const struct sr_vu_message *m);
/* vu_config.c */
sr_vu_handler sr_vu_get_config, sr_vu_set_config, sr_vu_net_set_mtu, sr_vu_send_rarp,
	sr_vu_set_backend_req_fd;
/* Tells the front-end, or remembers to while all rings are stopped. */
void sr_session_config_changed(struct sr_session *s);

/* vu_inflight.c */
sr_vu_handler sr_vu_get_inflight_fd, sr_vu_set_inflight_fd;
/* The queue's part; NULL when there is no record. 0 or -EPROTO: it has none that suits. */
int sr_vu_inflight_part(const struct sr_vu_queue *q, void **part, struct sr_error *e);
/* While no ring runs. */
void sr_vu_inflight_drop(struct sr_session *s);

/* vu_hint.c: says, once a session, when nothing has come a while after the last call. */
bool sr_session_hint_init(struct sr_session *s); /* false: out of memory */
void sr_session_hint_expect(struct sr_session *s);

/* vu_drain.c: rings come to rest. */
bool sr_session_drain_init(struct sr_session *s); /* false: out of memory */
/* Ring q (NULL: each ring) is to become quiet. True: it is so already. False: `then` is called
 * later, or the session fails on behalf of `what`. One at a time: a new one takes the place. */
bool sr_session_await(struct sr_session *s, struct sr_vu_queue *q, const char *what,
		      sr_vu_then *then);
/* All rings, now: abandons, waits. */
void sr_session_drain_now(struct sr_session *s);
/* Asks for the end of its requests. True: it is quiet. False: it is stopped then, if broken. */
bool sr_vu_queue_drain(struct sr_vu_queue *q);
/* Not running, or nothing of it is under way any more. */
bool sr_vu_queue_is_quiet(const struct sr_vu_queue *q);
/* On its loop; false: later. */
bool sr_vu_queue_report_quiet(struct sr_vu_queue *q);
void sr_session_queue_drained(struct sr_session *s, unsigned queue);

/* vu_queue.c: the running of queues. */
struct sr_vu_queue *sr_vu_queue_get(struct sr_session *s, unsigned index); /* NULL: no memory */
void sr_vu_queue_destroy(struct sr_vu_queue *q);
/* Starts it when it is wanted, described and not running yet. 0 or -EPROTO. */
int sr_vu_queue_try_start(struct sr_vu_queue *q, struct sr_error *e);
/* Of a quiet queue. Afterwards neither ring nor memory is touched; q->base is where it would go
 * on. */
void sr_vu_queue_stop(struct sr_vu_queue *q);
/* The same, but it stays wanted and its poller stays. */
void sr_vu_queue_pause(struct sr_vu_queue *q);
void sr_vu_queue_enable(struct sr_vu_queue *q, bool on);
/* Takes over `fd` (-1: none). */
int sr_vu_queue_set_kick(struct sr_vu_queue *q, int fd, struct sr_error *e);
void sr_vu_queues_pause(struct sr_session *s);
/* Starts the paused ones again. Where one cannot: -EPROTO, or, when `patient`, it waits for
 * the next change with one line in the log. */
int sr_vu_queues_resume(struct sr_session *s, bool patient, struct sr_error *e);
void sr_vu_queues_stop(struct sr_session *s);
unsigned sr_vu_queues_running(const struct sr_session *s);
extern const struct sr_session_ops sr_session_ops_table;

#endif
