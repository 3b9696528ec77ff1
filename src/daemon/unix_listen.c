/* SPDX-License-Identifier: BSD-3-Clause */
#include "unix_listen.h"
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static int open_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Two daemons that start at once could both find a file dead and the second remove the
 * first's fresh one. So the folder is locked from the look at the file until listen().
 * Where it can't be locked we go on: the lock is a courtesy among ourselves. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sr_unix_listener *)0)->path)];
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

/* Makes room at addr->sun_path. */
static int clear_stale(const struct sockaddr_un *addr, struct sr_error *e)
{
	const char *path = addr->sun_path;
	struct stat st;
	int fd, err = 0;

	if (lstat(path, &st))
		return 0; /* bind says what is wrong, if anything */
	if (!S_ISSOCK(st.st_mode))
		return sr_error_set(e, -EEXIST, "%s: is there and is not a socket", path);
	fd = open_socket();
	if (fd < 0)
		return sr_error_set(e, -errno, "%s: socket: %s", path, strerror(errno));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		err = errno;
	close(fd);
	/* Only a refused connection proves that nobody listens: EAGAIN is a full backlog. */
	if (err != ECONNREFUSED)
		return sr_error_set(e, -EADDRINUSE, "%s: another process listens there%s%s", path,
				    err ? ": " : "", err ? strerror(err) : "");
	if (unlink(path) && errno != ENOENT)
		return sr_error_set(e, -errno, "%s: can't remove the stale socket: %s", path,
				    strerror(errno));
	return 0;
}

static int set_rights(const char *path, unsigned mode, const char *group, struct sr_error *e)
{
	if (group) {
		struct group *g = getgrnam(group);

		if (!g)
			return sr_error_set(e, -ENOENT, "%s: no such group: %s", path, group);
		if (lchown(path, (uid_t)-1, g->gr_gid))
			return sr_error_set(e, -errno, "%s: can't give it to group %s: %s", path,
					    group, strerror(errno));
	}
	if (chmod(path, mode))
		return sr_error_set(e, -errno, "%s: chmod %o: %s", path, mode, strerror(errno));
	return 0;
}

static int bind_and_listen(struct sr_unix_listener *l, unsigned mode, const char *group,
			   struct sr_error *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int err;

	strcpy(addr.sun_path, l->path);
	err = clear_stale(&addr, e);
	if (err)
		return err;
	/* On Linux a socket's file gets the mode of the unbound socket: closed from birth. */
	if (fchmod(l->fd, 0600) || bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)))
		return sr_error_set(e, -errno, "%s: %s", l->path, strerror(errno));
	if (lstat(l->path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	err = set_rights(l->path, mode, group, e);
	if (!err && listen(l->fd, BACKLOG))
		err = sr_error_set(e, -errno, "%s: listen: %s", l->path, strerror(errno));
	return err;
}

int sr_unix_listen(struct sr_unix_listener *l, const char *path, unsigned mode, const char *group,
		   struct sr_error *e)
{
	int folder, err;

	*l = (struct sr_unix_listener){ .fd = -1 };
	if (strlen(path) >= sizeof(l->path))
		return sr_error_set(e, -ENAMETOOLONG, "%s: expected at most %zu bytes", path,
				    sizeof(l->path) - 1);
	strcpy(l->path, path);
	l->fd = open_socket();
	if (l->fd < 0)
		return sr_error_set(e, -errno, "%s: socket: %s", path, strerror(errno));
	folder = lock_folder(path);
	err = bind_and_listen(l, mode, group, e);
	if (folder >= 0)
		close(folder);
	if (err)
		sr_unix_unlisten(l);
	return err;
}

void sr_unix_unlisten(struct sr_unix_listener *l)
{
	struct stat st;

	if (l->fd < 0)
		return;
	if (l->ino && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	close(l->fd);
	l->fd = -1;
}
