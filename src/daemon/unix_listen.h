/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening unix socket with the manners that operators expect. */
#ifndef SR_UNIX_LISTEN_H
#define SR_UNIX_LISTEN_H

#include <slipring/error.h>
#include <sys/types.h>

struct sr_unix_listener {
	int fd;
	char path[108];
	dev_t dev; /* which file we made, so that we remove no other's */
	ino_t ino;
};

/* A socket file that nobody listens on is replaced; a live one is never touched:
 * -EADDRINUSE; anything else in its place: -EEXIST. The file never has wider permissions
 * than `mode`. `group` may be NULL. */
int sr_unix_listen(struct sr_unix_listener *l, const char *path, unsigned mode, const char *group,
		   struct sr_error *e);
/* Removes the file if it is still the one made. */
void sr_unix_unlisten(struct sr_unix_listener *l);

#endif
