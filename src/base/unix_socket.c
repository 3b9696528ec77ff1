/* SPDX-License-Identifier: BSD-3-Clause */
#include "unix_socket.h"

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64 /* who waits while one is served */

static int make_address(struct sockaddr_un *a, const char *path, struct sr_error *e)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(a->sun_path))
		return sr_error_set(e, -ENAMETOOLONG, "%s: path of %zu bytes, expected 1 to %zu",
				    path, strlen(path), sizeof(a->sun_path) - 1);
	strcpy(a->sun_path, path);
	return 0;
}

int sr_unix_connect(const char *path, struct sr_error *e)
{
	struct sockaddr_un a;
	int fd, r = make_address(&a, path, e);

	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sr_error_set(e, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		r = sr_error_set(e, -errno, "connect to %s: %s", path, strerror(errno));
		close(fd);
		return r;
	}
	return fd;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Between the test and the removal another process may have put a live socket there: so the
 * file is first moved aside, looked at, and put back when it is not the one tested. */
static int remove_stale(const char *path, const struct stat *tested, struct sr_error *e)
{
	char aside[sizeof(((struct sockaddr_un *)0)->sun_path) + 32];
	struct stat st;

	snprintf(aside, sizeof(aside), "%s.stale-%d", path, (int)getpid());
	if (rename(path, aside))
		return errno == ENOENT ? 0
				       : sr_error_set(e, -errno, "%s: stale socket not removed: %s",
						      path, strerror(errno));
	if (lstat(aside, &st) == 0 && same_file(&st, tested)) {
		unlink(aside);
		return 0;
	}
	renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE);
	return sr_error_set(e, -EADDRINUSE, "%s: another process listens there", path);
}

/* Makes room at `path`, if that does no harm. */
static int clear_path(const char *path, struct sr_error *e)
{
	struct sr_error why;
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : sr_error_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return sr_error_set(e, -EEXIST, "%s: is there and is not a socket", path);
	fd = sr_unix_connect(path, &why);
	if (fd == -ECONNREFUSED)
		return remove_stale(path, &st, e);
	if (fd == -EACCES || fd == -EPERM)
		return sr_error_set(e, fd, "%s: exists, and we may not test whether it is live: %s",
				    path, strerror(-fd));
	if (fd == -ENOENT)
		return 0;
	if (fd >= 0)
		close(fd);
	return sr_error_set(e, -EADDRINUSE, "%s: another process listens there", path);
}

static int find_group(const char *name, gid_t *gid, struct sr_error *e)
{
	char buf[4096];
	struct group g, *found = NULL;
	int r = getgrnam_r(name, &g, buf, sizeof(buf), &found);

	if (!found)
		return sr_error_set(e, r ? -r : -ENOENT, "group %s: %s", name,
				    r ? strerror(r) : "not known");
	*gid = g.gr_gid;
	return 0;
}

/* Before listen: nobody can connect with the wrong rights in between. */
static int guard(const char *path, mode_t mode, const char *group, struct sr_error *e)
{
	gid_t gid = (gid_t)-1;
	int r = group ? find_group(group, &gid, e) : 0;

	if (r)
		return r;
	if (group && lchown(path, (uid_t)-1, gid))
		return sr_error_set(e, -errno, "%s: group %s: %s", path, group, strerror(errno));
	if (chmod(path, mode ? mode : 0600))
		return sr_error_set(e, -errno, "%s: mode 0%o: %s", path, mode, strerror(errno));
	return 0;
}

int sr_unix_listen(struct sr_unix_listener *l, const char *path, mode_t mode, const char *group,
		   struct sr_error *e)
{
	struct sockaddr_un a;
	struct stat st;
	int r = make_address(&a, path, e);

	*l = (struct sr_unix_listener){ .fd = -1 };
	if (!r)
		strcpy(l->path, path);
	if (!r)
		r = clear_path(path, e);
	if (r)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return sr_error_set(e, -errno, "socket: %s", strerror(errno));
	/* Bind gives the file no more rights than the socket's inode has. */
	fchmod(l->fd, 0600);
	if (bind(l->fd, (struct sockaddr *)&a, sizeof(a))) {
		r = sr_error_set(e, -errno, "%s: %s", path, strerror(errno));
		sr_unix_unlisten(l);
		return r;
	}
	if (lstat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	r = guard(path, mode, group, e);
	if (!r && listen(l->fd, BACKLOG))
		r = sr_error_set(e, -errno, "%s: listen: %s", path, strerror(errno));
	if (r)
		sr_unix_unlisten(l);
	return r;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? -1 : value;
}

enum sr_unix_role sr_unix_role(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
		return SR_UNIX_OTHER;
	if (socket_option(fd, SO_ACCEPTCONN) == 1)
		return SR_UNIX_LISTENING;
	return getpeername(fd, (struct sockaddr *)&peer, &len) ? SR_UNIX_OTHER : SR_UNIX_CONNECTED;
}

/* As we make them ourselves: never blocking, not for programs that we start. */
static int adopt(int fd, enum sr_unix_role role, struct sr_error *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (sr_unix_role(fd) != role || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return sr_error_set(e, -EINVAL, "fd %d: not a %s unix stream socket", fd,
				    role == SR_UNIX_LISTENING ? "listening" : "connected");
	return 0;
}

int sr_unix_adopt(struct sr_unix_listener *l, int fd, struct sr_error *e)
{
	int r = adopt(fd, SR_UNIX_LISTENING, e);

	*l = (struct sr_unix_listener){ .fd = r ? -1 : fd };
	return r;
}

int sr_unix_adopt_connected(int fd, struct sr_error *e)
{
	return adopt(fd, SR_UNIX_CONNECTED, e);
}

void sr_unix_unlisten(struct sr_unix_listener *l)
{
	struct stat st;

	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (l->ino && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
}
