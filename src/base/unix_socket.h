/* SPDX-License-Identifier: BSD-3-Clause */
/* Unix stream sockets with the manners that operators expect: made without harm to others,
 * taken away when done. */
#ifndef SR_UNIX_SOCKET_H
#define SR_UNIX_SOCKET_H

#include <slipring/error.h>
#include <sys/types.h>

struct sr_unix_listener {
	int fd; /* non-blocking; -1: none */
	char path[108];
	dev_t dev; /* which file we made, so that we remove no other's */
	ino_t ino; /* 0: not made by us */
};

/* Makes, guards and listens on `path`. A socket file that nobody listens on is replaced; a live
 * one is never touched: -EADDRINUSE; anything else in its place: -EEXIST. The file never has
 * wider permissions than `mode` (0 = 0600). `group` may be NULL. */
int sr_unix_listen(struct sr_unix_listener *l, const char *path, mode_t mode, const char *group,
		   struct sr_error *e);
/* What a file descriptor is that was passed to us. */
enum sr_unix_role {
	SR_UNIX_OTHER, /* no unix stream socket, or one that is neither of these */
	SR_UNIX_LISTENING,
	SR_UNIX_CONNECTED
};
enum sr_unix_role sr_unix_role(int fd);
/* A listening socket that was passed to us. 0 or -EINVAL; the fd is ours on success. */
int sr_unix_adopt(struct sr_unix_listener *l, int fd, struct sr_error *e);
/* A connected one, which becomes as sr_unix_connect makes them. The same. */
int sr_unix_adopt_connected(int fd, struct sr_error *e);
/* Closes it and removes the file if it is still the one made. */
void sr_unix_unlisten(struct sr_unix_listener *l);

/* A non-blocking connected socket, or a negative errno at once. */
int sr_unix_connect(const char *path, struct sr_error *e);

#endif
