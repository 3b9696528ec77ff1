/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A letter box: messages to a loop that take no memory and cannot fail. A removal or a task
 * management function must come through when memory is short as well, so the messages lie in
 * the objects that they are about, and a box that is closed says so.
 */
#ifndef VSCSI_BOX_H
#define VSCSI_BOX_H

#include <pthread.h>
#include <slipring/loop.h>

/* Sent to one box at a time. `run` may send it again or free it. */
struct vscsi_msg {
	struct vscsi_msg *next;
	void (*run)(struct vscsi_msg *m);
};

struct vscsi_box {
	pthread_mutex_t lock; /* of `head`, `tail` and `open` */
	struct vscsi_msg *head, **tail;
	bool open;
	int fd; /* readable: messages wait */
	struct sr_watch *watch;
};

void vscsi_box_init(struct vscsi_box *b); /* closed */
void vscsi_box_finish(struct vscsi_box *b);

/* Both on the loop's thread, or while it does not run. Closing runs what waits. */
int vscsi_box_open(struct vscsi_box *b, struct sr_loop *loop, struct sr_error *e);
void vscsi_box_close(struct vscsi_box *b);

/* From any thread: m->run(m) is called on the box's loop, in order. False: the box is closed,
 * the message stays with the caller. */
bool vscsi_box_send(struct vscsi_box *b, struct vscsi_msg *m);

/* On the loop's thread: runs what waits, and what is sent by that. */
void vscsi_box_run(struct vscsi_box *b);

#endif
