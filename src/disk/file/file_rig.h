/* SPDX-License-Identifier: BSD-3-Clause */
/* Files for the tests of this room. Comes after cmocka.h and disk_rig.h. */
#ifndef SR_FILE_RIG_H
#define SR_FILE_RIG_H

#include "file_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KIB	       1024ull
#define MIB	       (KIB * 1024)
#define GIB	       (MIB * 1024)

#define FILE_RIG_TMPFS "/dev/shm"
#define FILE_RIG_HERE  "." /* where the tests run: what most people have */

struct file_rig {
	char path[64];
	struct sr_disk_file_config config;
	struct disk_rig rig;
	struct sr_disk *disk;
};

/* A sparse file and what it takes to make a disk of it. */
static inline void file_rig_make(struct file_rig *t, const char *folder, uint64_t size)
{
	int fd;

	*t = (struct file_rig){ .config = { .name = "d" } };
	snprintf(t->path, sizeof(t->path), "%s/slipring-file-XXXXXX", folder);
	t->config.path = t->path;
	fd = mkostemp(t->path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		fail_msg("%s: %m", t->path);
	close(fd);
}

static inline void file_rig_open(struct file_rig *t)
{
	struct sr_error e;

	t->disk = sr_disk_file_create(&t->config, &e);
	if (!t->disk)
		fail_msg("%s", e.text);
	disk_rig_open(&t->rig, t->disk);
}

static inline void file_rig_close(struct file_rig *t)
{
	disk_rig_close(&t->rig);
	sr_disk_destroy(t->disk);
	t->disk = NULL;
}

static inline void file_rig_remove(struct file_rig *t)
{
	assert_int_equal(unlink(t->path), 0);
}

static inline struct file_disk *file_rig_inside(const struct file_rig *t)
{
	return SR_CONTAINER_OF(t->disk, struct file_disk, base);
}

/* There is no disk, for this reason. */
static inline void file_rig_is_refused(const struct file_rig *t, int code, const char *text)
{
	struct sr_error e;
	struct sr_disk *d = sr_disk_file_create(&t->config, &e);

	if (d)
		fail_msg("%s: made, expected: %s", t->config.path, text);
	if (e.code != code || !strstr(e.text, text) || !strstr(e.text, t->config.path))
		fail_msg("%d: %s, expected %d, %s and: %s", e.code, e.text, code, t->config.path,
			 text);
}

#endif
