/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "vhost_program.h"

#include <stdio.h>

static const char doc[] =
	"Serves a SCSI host with disks to one virtual machine over a vhost-user socket, in the "
	"foreground until SIGTERM or SIGINT. It keeps to QEMU's conventions for such programs; "
	"slipring serve has many disks in one process."
	"\v"
	"Each --lun is one disk: target and unit number, then a file or block device, or another "
	"disk by its keys (those of disks in the manual: man slipring), with serial=, vendor= and "
	"product= among them:\n"
	"  slipring scsi --socket-path=/tmp/s.sock --lun 0:0=disk.img \\\n"
	"    --lun 0:1=file,path=/dev/vg/db,direct=on,serial=db-1 \\\n"
	"    --lun 1:0=mem,size=1G --control /tmp/s.ctl &\n"
	"  qemu-system-x86_64 \\\n"
	"    -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\\n"
	"    -chardev socket,id=c,path=/tmp/s.sock \\\n"
	"    -device vhost-user-scsi-pci,chardev=c ...\n"
	"\n"
	"With --control, disks and units come and go while the guest runs: slipring ctl "
	"add-disk, slipring ctl add-lun.";

static const struct vhost_option own[] = {
	{ "num-queues", "N", SR_SCSIS, "queues", "offer up to N request queues (default 16)" },
	{ "mode", "server|client", SR_SCSIS, "mode", "listen on the socket (default) or connect" },
	{ "permissions", "MODE", SR_SCSIS, "permissions", "of the socket made (default 0600)" },
	{ "group", "GROUP", SR_SCSIS, "group", "of the socket made" },
};

static const char capabilities[] = "{\n"
				   "  \"type\": \"scsi\",\n"
				   "  \"features\": [\n"
				   "  ]\n"
				   "}\n";

enum {
	OPT_LUN = 'l',
	OPT_READ_ONLY = 'r'
};

static struct argp_option options[SR_ARRAY_LEN(own) + 3] = {
	{ "lun", OPT_LUN, "TARGET:LUN=DISK", 0, "a disk; may be repeated (see below)" },
	{ "read-only", OPT_READ_ONLY, NULL, 0, "the guest may only read, on all units" },
};

struct scsi {
	struct vhost_program program;
	bool read_only;
};

/* "file,path=..." as opposed to a path, which may hold anything. */
static bool is_spec(const char *text)
{
	size_t len = strcspn(text, ",");

	for (const char *const *type = sr_disk_kind.types; text[len] && *type; type++)
		if (strlen(*type) == len && !strncmp(*type, text, len))
			return true;
	return false;
}

/* Keys of the unit stand among those of its disk. */
static void split(char *rest, const char *disk[SR_KEYS_MAX], const char *unit[SR_KEYS_MAX],
		  const char *arg, struct argp_state *state)
{
	char list[400], *pair;

	disk[0] = strsep(&rest, ",");
	while ((pair = strsep(&rest, ","))) {
		char *key = strsep(&pair, "=");
		int d = sr_key_find(sr_disk_kind.keys, sr_disk_kind.n, key);
		int u = sr_key_find(sr_lun_kind.keys, sr_lun_kind.n, key);

		sr_kind_keys(&sr_disk_kind, disk[0], list, sizeof(list));
		if (!pair)
			argp_error(state, "--lun '%s': key '%s': no value, expected %s=...", arg,
				   key, key);
		else if (d > 0)
			disk[d] = pair;
		else if (u >= sr_kind_key(&sr_lun_kind, "serial"))
			unit[u] = pair;
		else
			argp_error(state,
				   "--lun '%s': unknown key '%s', expected one of %s, serial, "
				   "vendor, product",
				   arg, key, list + strlen("type, "));
	}
}

static void add(struct sr_config *c, enum sr_kind_id kind, const char *const *values, void *item,
		const char *arg, struct argp_state *state)
{
	struct sr_clash clash;
	struct sr_fault fault;
	struct sr_error e;

	if (sr_kind_make(sr_kinds[kind], values, item, &fault))
		argp_error(state, "--lun '%s': key '%s': %s", arg,
			   sr_kinds[kind]->keys[fault.key].name, fault.text);
	if (sr_config_add(c, kind, item, &e))
		argp_error(state, "--lun '%s': %s", arg, e.text);
	if (sr_config_check_last(c, kind, &clash))
		argp_error(state, "--lun '%s': %s", arg,
			   kind == SR_LUNS ? "this target and unit number is taken already"
					   : "a disk of that name is there already");
}

/* "0:1=FILE" or "0:1=TYPE,KEY=VALUE..." becomes a disk, called "0:1" unless it has a name, and a
 * unit. */
static void add_lun(struct sr_config *c, const char *arg, struct argp_state *state)
{
	const char *disk[SR_KEYS_MAX] = { NULL }, *unit[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX], place[SR_SPEC_MAX], *rest = copy, *lun, *name;
	int named = sr_kind_key(&sr_disk_kind, "name");
	struct sr_conf_disk d;
	struct sr_conf_lun l;

	snprintf(copy, sizeof(copy), "%s", arg);
	lun = strsep(&rest, "=");
	strcpy(place, lun);
	name = strsep(&lun, ":");
	if (strlen(arg) >= sizeof(copy) || !lun || !rest) {
		argp_error(state, "--lun '%.250s': expected TARGET:LUN=DISK, such as 0:0=disk.img",
			   arg);
		return;
	}
	if (is_spec(rest))
		split(rest, disk, unit, arg, state);
	else
		disk[sr_kind_key(&sr_disk_kind, "path")] = rest;
	if (!disk[0])
		disk[0] = "file";
	unit[sr_kind_key(&sr_lun_kind, "target")] = name;
	unit[sr_kind_key(&sr_lun_kind, "lun")] = lun;
	if (!disk[named])
		disk[named] = place;
	unit[sr_kind_key(&sr_lun_kind, "disk")] = disk[named];
	add(c, SR_LUNS, unit, &l, arg, state);
	add(c, SR_DISKS, disk, &d, arg, state);
}

static void make_read_only(struct sr_config *c)
{
	struct sr_conf_lun *luns = c->lists[SR_LUNS].items;
	struct sr_conf_disk *disks = c->lists[SR_DISKS].items;

	for (unsigned i = 0; i < c->lists[SR_LUNS].n; i++) {
		luns[i].read_only = true;
		disks[i].read_only = disks[i].type == SR_MEDIUM_FILE;
	}
}

static void finish(struct scsi *s, struct argp_state *state)
{
	struct sr_config *c = &s->program.config;

	if (s->read_only)
		make_read_only(c);
	vhost_program_settle(&s->program, state);
	if (!c->lists[SR_LUNS].n && !strcmp(c->control, "none"))
		argp_error(state, "no disk given, expected --lun=TARGET:LUN=DISK, or --control for "
				  "slipring ctl to bring some");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct scsi *s = state->input;

	if (vhost_program_take(&s->program, key, arg, state))
		return 0;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &s->program;
		return 0;
	case OPT_LUN:
		add_lun(&s->program.config, arg, state);
		return 0;
	case OPT_READ_ONLY:
		s->read_only = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected '%s', expected only options", arg);
		return 0;
	case ARGP_KEY_END:
		finish(s, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sr_cli_scsi(int argc, char **argv)
{
	struct argp_child children[] = { { vhost_program_argp(), 0, NULL, 0 }, { NULL } };
	const struct argp argp = {
		.options = options, .parser = parse, .doc = doc, .children = children
	};
	struct scsi s = { .read_only = false };
	int code = SR_EXIT_USAGE;

	if (vhost_program_told_capabilities(argc, argv, capabilities))
		return SR_EXIT_OK;
	vhost_program_init(&s.program, SR_SCSIS, own, SR_ARRAY_LEN(own));
	vhost_program_fill(own, SR_ARRAY_LEN(own), options + 2);
	if (!argp_parse(&argp, argc, argv, 0, NULL, &s))
		code = sr_cli_run(&s.program.config);
	sr_config_finish(&s.program.config);
	return code;
}
