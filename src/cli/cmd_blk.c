/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "vhost_program.h"

#include <stdio.h>

static const char doc[] =
	"Serves one disk to one virtual machine over a vhost-user socket, in the foreground until "
	"SIGTERM or SIGINT. It keeps to QEMU's conventions for such programs, so managers of "
	"virtual machines can start it; slipring serve has many disks in one process."
	"\v"
	"A guest's first disk, with QEMU:\n"
	"  slipring blk --socket-path=/tmp/d.sock --blk-file=disk.img &\n"
	"  qemu-system-x86_64 \\\n"
	"    -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\\n"
	"    -chardev socket,id=c,path=/tmp/d.sock \\\n"
	"    -device vhost-user-blk-pci,chardev=c ...\n"
	"\n"
	"Other disks than files, limits, zones:\n"
	"  slipring blk --socket-path=/tmp/d.sock --disk mem,size=1G\n"
	"  slipring blk --socket-path=/tmp/d.sock \\\n"
	"    --disk nbd,uri=nbd://server/name,iops=500,bytes-per-second=20M\n"
	"Their keys are those of disks in the manual: man slipring.";

static const struct vhost_option own[] = {
	{ "blk-file", "PATH", SR_DISKS, "path", "the disk: a file or a block device" },
	{ "read-only", NULL, SR_BLKS, "read-only", "the guest may only read" },
	{ "direct", "auto|on|off", SR_DISKS, "direct",
	  "go past the host's page cache: where it is possible (default), always, never" },
	{ "block-size", "512|4096", SR_DISKS, "block-size", "what the guest sees (default 512)" },
	{ "num-queues", "N", SR_BLKS, "queues", "offer up to N queues (default 16)" },
	{ "serial", "TEXT", SR_BLKS, "serial",
	  "serial number, up to 20 bytes (default: the socket's name)" },
	{ "cache", "writeback|writethrough", SR_BLKS, "cache",
	  "whether a write may be lost until the guest flushes; the guest may change it "
	  "(default writeback)" },
	{ "mode", "server|client", SR_BLKS, "mode", "listen on the socket (default) or connect" },
	{ "permissions", "MODE", SR_BLKS, "permissions", "of the socket made (default 0600)" },
	{ "group", "GROUP", SR_BLKS, "group", "of the socket made" },
};

static const char capabilities[] = "{\n"
				   "  \"type\": \"block\",\n"
				   "  \"features\": [\n"
				   "    \"read-only\",\n"
				   "    \"blk-file\"\n"
				   "  ]\n"
				   "}\n";

enum {
	OPT_DISK = 'd'
};

static struct argp_option options[SR_ARRAY_LEN(own) + 2] = {
	{ "disk", OPT_DISK, "TYPE,KEY=VALUE...", 0, "another disk instead of --blk-file" },
};

struct blk {
	struct vhost_program program;
	const char *disk;
	char disk_name[SR_NAME_MAX + 1];
};

static void add_disk(struct blk *b, struct argp_state *state)
{
	struct vhost_program *p = &b->program;
	const char **path = vhost_program_value(p, SR_DISKS, "path");
	const char **read_only = vhost_program_value(p, SR_BLKS, "read-only");
	const char *values[SR_KEYS_MAX] = { NULL };
	char copy[SR_SPEC_MAX] = "";
	struct sr_conf_disk d;
	struct sr_fault fault;
	struct sr_error e;
	int name = sr_kind_key(&sr_disk_kind, "name");

	if (!*path == !b->disk)
		argp_error(state, "expected one of --blk-file=PATH and --disk=TYPE,KEY=VALUE...");
	if (b->disk && sr_kind_split(&sr_disk_kind, b->disk, copy, values, &e))
		argp_error(state, "--disk %s", e.text);
	for (unsigned i = 0; i < sr_disk_kind.n; i++)
		if (p->disk_values[i])
			values[i] = p->disk_values[i];
	if (!values[0])
		values[0] = "file";
	if (!b->disk && *read_only)
		values[sr_kind_key(&sr_disk_kind, "read-only")] = *read_only;
	if (!values[name])
		values[name] = "disk";
	if (sr_kind_make(&sr_disk_kind, values, &d, &fault))
		argp_error(state, "--%s: key '%s': %s", b->disk ? "disk" : "blk-file",
			   sr_disk_kind.keys[fault.key].name, fault.text);
	if (sr_config_add(&p->config, SR_DISKS, &d, &e))
		argp_error(state, "%s", e.text);
	strcpy(b->disk_name, d.name);
	*vhost_program_value(p, SR_BLKS, "disk") = b->disk_name;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct blk *b = state->input;

	if (vhost_program_take(&b->program, key, arg, state))
		return 0;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &b->program;
		return 0;
	case OPT_DISK:
		b->disk = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected '%s', expected only options", arg);
		return 0;
	case ARGP_KEY_END:
		add_disk(b, state);
		vhost_program_settle(&b->program, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sr_cli_blk(int argc, char **argv)
{
	struct argp_child children[] = { { vhost_program_argp(), 0, NULL, 0 }, { NULL } };
	const struct argp argp = {
		.options = options, .parser = parse, .doc = doc, .children = children
	};
	struct blk b = { .disk = NULL };
	int code = SR_EXIT_USAGE;

	if (vhost_program_told_capabilities(argc, argv, capabilities))
		return SR_EXIT_OK;
	vhost_program_init(&b.program, SR_BLKS, own, SR_ARRAY_LEN(own));
	vhost_program_fill(own, SR_ARRAY_LEN(own), options + 1);
	if (!argp_parse(&argp, argc, argv, 0, NULL, &b))
		code = sr_cli_run(&b.program.config);
	sr_config_finish(&b.program.config);
	return code;
}
