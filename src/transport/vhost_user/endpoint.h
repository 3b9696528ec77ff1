/* SPDX-License-Identifier: BSD-3-Clause */
/* The unix socket under a back-end: making it without harm to others, taking it away. */
#ifndef SR_VU_ENDPOINT_H
#define SR_VU_ENDPOINT_H

#include <slipring/error.h>
#include <sys/types.h>

/* A listening socket file of ours. */
struct sr_vu_socket_file {
	int fd;
	dev_t dev;
	ino_t ino; /* of the file; 0: not made by us */
};

/* Makes, guards and listens on `path`. A file that nobody listens on is replaced, a live one
 * never. mode 0 = 0600; `group` may be NULL. 0, -EADDRINUSE, -EEXIST or what went wrong. */
int sr_vu_socket_listen(struct sr_vu_socket_file *f, const char *path, mode_t mode,
			const char *group, struct sr_error *e);
/* A listening socket that was passed to us. 0 or -EINVAL; the fd is ours on success. */
int sr_vu_socket_adopt(struct sr_vu_socket_file *f, int fd, struct sr_error *e);
/* Closes it and removes the file if it is still the one we made. */
void sr_vu_socket_close(struct sr_vu_socket_file *f, const char *path);

/* A non-blocking connected socket, or a negative errno at once. */
int sr_vu_socket_connect(const char *path, struct sr_error *e);

#endif
