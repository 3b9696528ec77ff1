/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of `slipring bench blk` and `slipring bench scsi`. */
#ifndef SR_CLI_BENCH_DISK_H
#define SR_CLI_BENCH_DISK_H

#include "bench.h"
#include "blk_driver.h"
#include "scsi_driver.h"

#define DISK_QUEUES_MAX	 254u
#define DISK_THREADS_MAX 64u
#define DISK_DEPTH_MAX	 4096u
#define DISK_BS_MAX	 (64u << 20)
#define DISK_BATCH	 64u /* returns taken at once */

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_OPS
};

struct disk_kind;

struct disk_options {
	const struct disk_kind *kind;
	const char *socket;
	const char *rw; /* as given */
	bool random, reads, writes;
	unsigned read_percent; /* of a mix */
	uint32_t bs;
	unsigned depth, queues, threads, ring; /* ring 0: as depth needs */
	unsigned flush_every;		       /* 0: never */
	unsigned timeout_s;
	double seconds;
	uint64_t range, seed; /* range 0: all */
	bool verify, sleep, json, destroy, hugepages, self;
	unsigned target, lun;
};

/* bench_disk_verify.c: blocks that say what they are. */

/* Of one run, that its blocks can be told from those of another. */
struct disk_mark {
	uint64_t offset, run;
	uint32_t generation;
};
#define DISK_SECTOR 512u

void disk_block_fill(void *buf, uint32_t len, const struct disk_mark *m);
/* 0, or -EILSEQ with offset, expected and found in *e. */
int disk_block_check(const void *buf, uint32_t len, const struct disk_mark *m, struct sr_error *e);
/* Sectors of any run, only themselves to hold against: 1 those that are ours are whole, 0 none
 * is ours, -EILSEQ. */
int disk_block_check_any(const void *buf, uint32_t len, uint64_t offset, struct sr_error *e);

/* bench_disk_pick.c: which block is next. Each queue has a part of the range to itself. */
struct disk_pick {
	uint64_t first, blocks; /* in units of bs */
	uint64_t next;		/* sequential */
	uint64_t rng;
	bool random;
	uint32_t *state; /* of each block when its content matters: busy, generation; else NULL */
};
#define DISK_BLOCKS_MAX (1ull << 28) /* that have a state: 1 GiB of them */

int disk_pick_init(struct disk_pick *p, uint64_t first, uint64_t blocks, bool random, uint64_t seed,
		   bool keep_state);
void disk_pick_finish(struct disk_pick *p);
uint64_t disk_pick_random(struct disk_pick *p, uint64_t below);
/* The next block, counted from 0 in the queue's part; busy until it is put back. With a state
 * more blocks than ever are busy at once must be there. */
uint64_t disk_pick_take(struct disk_pick *p);
/* What it holds from now on; 0: nobody knows. */
void disk_pick_put(struct disk_pick *p, uint64_t block, uint32_t generation);
uint32_t disk_pick_generation(const struct disk_pick *p, uint64_t block);
/* The first block from *at on that holds something known, and *at behind it. False: none. */
bool disk_pick_written(struct disk_pick *p, uint64_t *at, uint64_t *block);

/* bench_disk_queue.c: one request queue with its requests. */

struct disk_slot {
	uint64_t since; /* when it was sent */
	uint64_t block;
	uint32_t generation; /* writes: what it will be; reads: what is expected, 0 = unknown */
	uint8_t op;
	bool sent;
	union {
		struct sr_blk_driver_req blk;
		struct sr_scsi_driver_req scsi;
	} req;
};

struct disk_queue {
	const struct disk_options *options;
	unsigned index;	     /* among the virtqueues */
	uint32_t block_size; /* of the disk */
	struct sr_drvq *vq;
	int kick, call;
	uint8_t *ring, *data; /* shared; data: bs bytes for each slot */
	struct disk_slot *slots;
	struct sr_sg *sg; /* of all slots, where the kind wants them */
	unsigned outstanding;
	unsigned writes; /* since the last flush */
	uint64_t moved;	 /* when something last came back */
	struct disk_pick pick;
	uint64_t readback; /* final pass: how far */
};

/* What has been learned of the disk. */
struct disk_info {
	uint64_t capacity;
	uint32_t block_size;
	unsigned queues;
	uint32_t bytes_max; /* of one request */
	uint32_t seg_max;
	bool read_only, can_flush;
	char model[48]; /* or "" */
	union {
		struct sr_blk_driver_info blk;
		struct sr_scsi_driver_info scsi;
	} driver;
};

struct disk_client {
	const struct disk_options *options;
	struct sr_frontend *frontend;
	struct disk_info info;
	struct disk_queue *queues;
	uint64_t range; /* bytes used */
};

/* What a kind of disk is like; bench_disk_blk.c, bench_disk_scsi.c. */
struct disk_kind {
	const char *name, *peer; /* "blk", "a disk" */
	uint64_t features;	 /* wanted, without those of rings */
	uint64_t known;		 /* of bits 0 to 23 those that such a device may offer */
	const char *const *feature_names;
	unsigned first_queue;
	uint32_t config_bytes, meta_bytes;
	/* What configuration space says. */
	int (*configure)(struct disk_client *c, const uint8_t *config, struct sr_error *e);
	/* Pieces of one request's data. */
	unsigned (*pieces)(const struct disk_client *c);
	/* Lays a slot's request out; its data lies at data_gpa. */
	void (*slot_init)(const struct disk_client *c, struct disk_queue *q, unsigned slot,
			  void *meta, uint64_t meta_gpa, uint64_t data_gpa);
	/* Asks through the first request queue, which runs; optional. */
	int (*probe)(struct disk_client *c, struct sr_error *e);
	/* As sr_drvq_add. */
	int (*add)(struct disk_queue *q, struct disk_slot *s, enum disk_op op, uint64_t offset);
	/* True: it went well; else *code, that error_name makes a text of. */
	bool (*result)(const struct disk_slot *s, uint64_t *code);
	void (*error_name)(uint64_t code, char *to, size_t room);
};
extern const struct disk_kind disk_blk, disk_scsi;

/* bench_disk_open.c */
int disk_client_open(struct disk_client *c, const struct disk_options *o, struct sr_error *e);
void disk_client_close(struct disk_client *c);

void disk_queue_kick(const struct disk_queue *q);
uint64_t disk_slot_offset(const struct disk_queue *q, const struct disk_slot *s);
static inline uint8_t *disk_slot_data(const struct disk_queue *q, const struct disk_slot *s)
{
	return q->data + (size_t)(s - q->slots) * q->options->bs;
}
/* "queue 0: 64 requests, the oldest a read of 4096 bytes at 8192 since 3.1 s" */
void disk_queue_outstanding(const struct disk_queue *q, uint64_t now, char *to, size_t room);
/* Waits in whatever way for one return, while a client is being opened. 0 or an error. */
int disk_queue_await(struct disk_client *c, struct disk_queue *q, struct sr_error *e);

/* bench_disk_run.c */
#define DISK_ERRORS_MAX 16u
struct disk_errors {
	struct {
		uint64_t code, count;
		uint64_t offset; /* of the first */
		uint8_t op;
	} list[DISK_ERRORS_MAX];
	unsigned n;
	uint64_t total; /* also those for which the list was too short */
};

struct disk_tally {
	struct bench_times times;
	uint64_t bytes, failed;
};

struct disk_result {
	double seconds;			 /* measured */
	bool interrupted;		 /* by SIGINT */
	struct disk_tally ops[DISK_OPS]; /* in the measured time */
	struct disk_errors errors;	 /* in the whole run */
	uint64_t verified, unknown;	 /* blocks compared, and those nobody made */
};
int disk_run(struct disk_client *c, struct disk_result *r, struct sr_error *e);

/* bench_disk_self.c: a virtio-blk device in this process that answers at once. */
struct disk_self;
struct disk_self *disk_self_create(bool busy, struct sr_error *e);
const char *disk_self_socket(const struct disk_self *s); /* the self's own */
void disk_self_destroy(struct disk_self *s);		 /* NULL is allowed */

/* bench_disk_report.c */
void disk_report_text(const struct disk_client *c, const struct disk_result *r);
/* 0 or -ENOMEM. */
int disk_report_json(const struct disk_client *c, const struct disk_result *r);

#endif
