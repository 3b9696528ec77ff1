/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of `slipring bench`. */
#ifndef SR_CLI_BENCH_H
#define SR_CLI_BENCH_H

#include "frontend.h"
#include "net_driver.h"

#include <argp.h>
#include <slipring/error.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_BATCH_MAX 256u
#define BENCH_SIDES	2u /* A is SOCKET, B the --peer */

enum bench_mode {
	BENCH_TX,
	BENCH_RX,
	BENCH_FORWARD,
	BENCH_PINGPONG,
	BENCH_SELF
};

struct bench_options {
	const char *socket[BENCH_SIDES]; /* the second may be NULL */
	enum bench_mode mode;
	unsigned size;	 /* bytes of a frame, without FCS */
	unsigned queues; /* pairs */
	unsigned batch, ring;
	double seconds;
	bool mergeable, busy, json, verify, both, listen, hugepages, tso;
};

/* bench_frame.c: frames that can be told from each other, and what became of them. */

/* Which stream a frame belongs to: each has its own sequence numbers. */
struct bench_flow {
	uint8_t side; /* of the sender */
	uint8_t pair;
};

unsigned bench_frame_min(bool tso);
/* Ethernet, IPv4, UDP (or TCP to be segmented) and a numbered payload of our own. */
void bench_frame_make(uint8_t *frame, uint32_t len, struct sr_net_driver_hdr *hdr,
		      struct bench_flow flow, unsigned to_side, bool tso);
void bench_frame_number(uint8_t *frame, bool tso, uint64_t seq);
/* False: not one of ours. `len` bytes are there to look at; `seq` may be NULL. */
bool bench_frame_read(const uint8_t *frame, uint32_t len, bool tso, struct bench_flow *flow,
		      uint64_t *seq);

#define BENCH_WINDOW 4096u /* how late a frame may come and still be told from a duplicate */
struct bench_check {
	uint64_t next, received, duplicated, reordered;
	uint64_t seen[BENCH_WINDOW / 64];
};
void bench_check_frame(struct bench_check *c, uint64_t seq);

/* bench_common.c */
/* Of an option: end the program with a text when it is something else. */
unsigned bench_parse_number(struct argp_state *state, const char *name, const char *arg,
			    unsigned min, unsigned max);
double bench_parse_seconds(struct argp_state *state, const char *arg);
uint64_t bench_parse_bytes(struct argp_state *state, const char *name, const char *arg,
			   uint64_t min, uint64_t max);
/* "4096", "4k", "1G". False: it is something else. */
bool bench_read_bytes(const char *text, uint64_t *bytes);
/* Adds to *e, from sr_frontend_connect, what may be the matter: what connects but does not
 * answer may be another kind of socket, or a back-end that is busy with somebody else. */
int bench_not_answered(bool listen, struct sr_error *e);
/* The same for sr_frontend_share: `clients` will take so many bytes each. */
int bench_not_shared(bool hugepages, unsigned clients, size_t bytes, struct sr_error *e);

/* bench_net.c, bench_disk.c: what `slipring bench` runs. The exit code. */
int bench_net(int argc, char **argv);
int bench_blk(int argc, char **argv);
int bench_scsi(int argc, char **argv);

/* bench_histogram.c: times up to 34 s, each within 1/64 of its value. */
#define BENCH_TIME_STEPS 64u
struct bench_times {
	uint64_t count, sum, max;
	uint64_t buckets[30 * BENCH_TIME_STEPS];
};
void bench_times_add(struct bench_times *t, uint64_t ns);
uint64_t bench_times_percentile(const struct bench_times *t, double percent);
void bench_times_merge(struct bench_times *t, const struct bench_times *more);
/* How many lie in [from, to), right within 1/64 as well. */
uint64_t bench_times_between(const struct bench_times *t, uint64_t from, uint64_t to);

/* bench_client.c: one connection: a front-end with a driver on its memory. */
struct bench_client {
	const struct bench_options *options;
	unsigned side;
	struct sr_frontend *frontend;
	struct sr_net_driver *driver;
	uint64_t sent[SR_NET_DRIVER_PAIRS_MAX]; /* frames by pair, also the next number */
	uint64_t received, received_bytes, foreign;
	struct bench_check *checks; /* by the sender's pair */
	bool sends, receives;	    /* what bench_client_wait is to wake up for */
};
int bench_client_open(struct bench_client *c, const struct bench_options *o, unsigned side,
		      unsigned to_side, struct sr_error *e);
void bench_client_close(struct bench_client *c);
/* Counters and numbers back to 0. */
void bench_client_reset(struct bench_client *c);
/* One batch on one pair. Frames sent or received, or -EPROTO. */
int bench_client_send(struct bench_client *c, unsigned pair, unsigned n);
int bench_client_receive(struct bench_client *c, unsigned pair, unsigned n);
/* On all pairs. */
int bench_client_receive_all(struct bench_client *c, unsigned n);
/* Sleeps until one of n clients has something to do, at most timeout_ms. */
void bench_client_wait(struct bench_client *c, unsigned n, int timeout_ms);
uint64_t bench_client_sent(const struct bench_client *c);
uint64_t bench_client_sent_done(const struct bench_client *c); /* and taken by the device */

/* bench_run.c */
struct bench_result {
	double seconds;		/* measured */
	uint64_t frames, bytes; /* in that time: received, or in mode tx taken */
	uint64_t sent, received, lost, duplicated, reordered, foreign; /* in the whole run */
	struct bench_times times;				       /* pingpong: round trips */
};
int bench_run(const struct bench_options *o, struct bench_client *clients, struct bench_result *r,
	      struct sr_error *e);

/* bench_host.c: a device behind a real socket, in this process on another CPU. */
struct sr_device;
struct sr_loop;
struct sr_vhost_user;
struct bench_host {
	struct sr_loop *control, *worker;
	struct sr_vhost_user *backend;
	char folder[32], socket[40];
};
/* In any case bench_host_stop is to follow. */
int bench_host_start(struct bench_host *h, struct sr_device *d, bool busy, struct sr_error *e);
/* Before the device goes. */
void bench_host_stop(struct bench_host *h);

/* bench_self.c: a back-end in this process that returns every frame. */
struct bench_self;
struct bench_self *bench_self_create(bool busy, struct sr_error *e);
const char *bench_self_socket(const struct bench_self *s); /* the self's own */
void bench_self_destroy(struct bench_self *s);		   /* NULL is allowed */

#endif
