/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of this room: a back-end with a device that echoes, real loops, and a
 * front-end that says exactly what a test tells it to.
 */
#ifndef SR_VU_RIG_H
#define SR_VU_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message.h"

#include <semaphore.h>
#include <slipring/drvq.h>
#include <slipring/vhost_user.h>
#include <slipring/virtio.h>
#include <stdatomic.h>

#define RIG_QUEUES	4u
#define RIG_CONFIG	16u
#define RIG_WORKERS	2u
#define RIG_MEM		(1u << 20)
#define RIG_GPA		0x40000000ull
#define RIG_UVA		0x7f0000000000ull
#define RIG_RING	256u /* entries */
#define RIG_RING_STRIDE 0x8000u
#define RIG_BUFFERS	0x80000u
#define RIG_FEATURES	(SR_F_RING | SR_BIT(5))

/* Echoes: copies what a chain brings into its writable part. A disabled queue gives chains back
 * untouched. Its configuration space is writable in the first half. */
struct rig_device {
	struct sr_device device;
	struct sr_vq *vq[RIG_QUEUES];
	bool enabled[RIG_QUEUES];
	struct sr_iov_pool pool[RIG_QUEUES];
	uint8_t config[RIG_CONFIG];
	_Atomic unsigned started[RIG_QUEUES], stopped[RIG_QUEUES];
	_Atomic unsigned resets;
	_Atomic uint64_t features;
	_Atomic unsigned mtu;
	void (*on_mtu)(struct rig_device *d); /* on the control loop, or NULL */
	_Atomic unsigned broken[RIG_QUEUES];  /* times that the session was told so */
	uint8_t mac[6];
	/* vu_slow.h */
	struct rig_slow *slow; /* of each queue; NULL: it echoes at once */
	_Atomic bool can_abandon;
	bool automatic;
};

struct rig {
	char dir[32], path[64];
	struct sr_loop *control, *workers[RIG_WORKERS];
	struct rig *beside; /* whose loops they are, or NULL */
	unsigned drain_ms;
	struct rig_device d;
	struct sr_vhost_user *v;
	int fds; /* of this process, before the first session */
	sem_t held, go;
	/* The front-end. */
	int fd;
	int memfd;
	uint8_t *mem;
	/* Its rings. */
	struct sr_drvq *drv[RIG_QUEUES];
	int kick[RIG_QUEUES], call[RIG_QUEUES], err[RIG_QUEUES];
};

int rig_setup(void **state); /* a back-end that listens at r->path */
/* The same with other ops, which embed rig_ops; see vu_slow.h. */
int rig_setup_with(void **state, const struct sr_device_ops *ops, unsigned drain_ms, bool automatic,
		   struct rig *beside);
extern const struct sr_device_ops rig_ops;
void rig_device_echo(struct sr_chain *c, bool enabled);
int rig_teardown(void **state); /* fails the test when anything is left */

/* Opens a connection; rig_hangup closes it and waits for the session's end. */
void rig_connect(struct rig *r);
void rig_hangup(struct rig *r);
/* The back-end has closed, its session is over, fds and mappings are as before. */
void rig_expect_closed(struct rig *r, const char *last_error);
void rig_close(struct rig *r, void (*done)(void *ctx), void *ctx); /* on the control loop */
void rig_destroy(struct rig *r);				   /* the same; no teardown */
struct sr_vhost_user_info rig_info(struct rig *r);
/* Between the two the control loop does nothing at all. */
void rig_hold_control(struct rig *r);
void rig_release_control(struct rig *r);
/* While it is held: leaves no room for a post to it. */
void rig_fill_control(struct rig *r);
int rig_count_fds(void);
int rig_count_maps(void); /* of shared memory and records, except the front-end's own */

void rig_send(struct rig *r, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	      const int *fds, unsigned nfds);
/* Reads one whole message. False: the back-end has closed. */
bool rig_receive(struct rig *r, struct sr_vu_message *m);
/* Sends with NEED_REPLY: the answer, or UINT64_MAX when the back-end closed. */
uint64_t rig_ask(struct rig *r, uint32_t request, const void *payload, uint32_t size,
		 const int *fds, unsigned nfds);
uint64_t rig_ask_u64(struct rig *r, uint32_t request, uint64_t value);
uint64_t rig_ask_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num);
/* One of the messages that always reply with a u64. */
uint64_t rig_get(struct rig *r, uint32_t request);
uint64_t rig_get_base(struct rig *r, uint32_t index);

/* Steps of a well-behaved front-end. */
void rig_negotiate(struct rig *r, uint64_t features); /* bit 30 is added */
struct sr_vu_mem_table rig_table(void);
void rig_share(struct rig *r);
struct sr_vu_addr rig_addr(unsigned q, uint32_t flags);
void rig_describe(struct rig *r, unsigned q, uint16_t base); /* NUM, BASE, ADDR */
void rig_kick_on(struct rig *r, unsigned q);		     /* CALL, ERR, KICK */
void rig_start(struct rig *r, unsigned q, uint16_t base);    /* the two, and ENABLE */
void rig_up(struct rig *r);				     /* all of it, ring 0 running */

/* Sends `n` chains through ring q and takes them back; they must come back echoed, or empty
 * when `echoed` is false. Waits for calls on the call fd. */
void rig_echo(struct rig *r, unsigned q, unsigned n, bool echoed);
void rig_add(struct rig *r, unsigned q, unsigned slot, uint32_t len); /* one chain, no kick */
void rig_publish(struct rig *r, unsigned q);
/* Waits until the fd is readable and reads 8 bytes. */
void rig_wait_event(int fd);
bool rig_has_event(int fd);

/* Waits, not for ever, until `condition` holds. */
#define RIG_WAIT(condition)                                  \
	do {                                                 \
		bool ok_ = (condition);                      \
		for (int i_ = 0; i_ < 10000 && !ok_; i_++) { \
			usleep(1000);                        \
			ok_ = (condition);                   \
		}                                            \
		assert_true(ok_);                            \
	} while (0)

#endif
