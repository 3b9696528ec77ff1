/* SPDX-License-Identifier: BSD-3-Clause */
/* What devices and disks of one configuration have to do with each other. */
#include "base.h"
#include "config.h"
#include "yaml_marks.h"

#include <errno.h>
#include <stdio.h>

bool sr_disk_uses_agree(const struct sr_disk_use *a, const struct sr_disk_use *b)
{
	return (a->scsi && b->scsi) || (a->read_only && b->read_only);
}

/* Who names a disk: blk devices and units, numbered through. */
struct user {
	enum sr_kind_id kind;
	unsigned i;
	const char *disk;
	struct sr_disk_use use;
};

static unsigned user_count(const struct sr_config *c)
{
	return c->lists[SR_BLKS].n + c->lists[SR_LUNS].n;
}

static struct user user_at(const struct sr_config *c, unsigned n)
{
	unsigned blks = c->lists[SR_BLKS].n;

	if (n < blks) {
		const struct sr_conf_device *d = sr_config_item(c, SR_BLKS, n);

		return (struct user){ SR_BLKS, n, d->disk, { false, d->read_only } };
	}
	const struct sr_conf_lun *l = sr_config_item(c, SR_LUNS, n - blks);

	return (struct user){ SR_LUNS, n - blks, l->disk, { true, l->read_only } };
}

static const struct sr_conf_disk *find_disk(const struct sr_config *c, const char *name)
{
	for (unsigned i = 0; i < c->lists[SR_DISKS].n; i++) {
		const struct sr_conf_disk *d = sr_config_item(c, SR_DISKS, i);

		if (!strcmp(d->name, name))
			return d;
	}
	return NULL;
}

static void no_such_disk(const struct sr_config *c, const char *name, char *to, size_t size)
{
	unsigned n = c->lists[SR_DISKS].n;

	snprintf(to, size, "got '%s', %s", name, n ? "expected one of " : "but there are no disks");
	for (unsigned i = 0; i < n; i++) {
		const struct sr_conf_disk *d = sr_config_item(c, SR_DISKS, i);
		size_t used = strlen(to);
		bool room = used + strlen(d->name) + sizeof(", , ...") <= size;

		snprintf(to + used, size - used, "%s%s", i ? ", " : "", room ? d->name : "...");
		if (!room)
			return;
	}
}

static int refuse(struct sr_clash *clash, const struct user *u)
{
	clash->kind = u->kind;
	clash->i = u->i;
	clash->key = sr_kind_key(sr_kinds[u->kind], "disk");
	return -EINVAL;
}

static void say_shared(const struct sr_config *c, const struct user *first, char *to, size_t size)
{
	char path[96];

	sr_config_path(c, first->kind, first->i, -1, path, sizeof(path));
	snprintf(to, size, "got '%s', which %s on line %u uses: " SR_SHARING_RULE, first->disk,
		 path, sr_yaml_marks_line(c->marks, path));
}

int sr_config_check_disks(const struct sr_config *c, struct sr_clash *clash)
{
	for (unsigned n = 0; n < user_count(c); n++) {
		struct user u = user_at(c, n);
		const struct sr_conf_disk *d = find_disk(c, u.disk);

		if (!d) {
			no_such_disk(c, u.disk, clash->text, sizeof(clash->text));
			return refuse(clash, &u);
		}
		for (unsigned m = 0; m < n; m++) {
			struct user first = user_at(c, m);

			if (d->read_only || strcmp(first.disk, u.disk) ||
			    sr_disk_uses_agree(&first.use, &u.use))
				continue;
			say_shared(c, &first, clash->text, sizeof(clash->text));
			return refuse(clash, &u);
		}
	}
	return 0;
}
