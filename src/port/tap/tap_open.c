/* SPDX-License-Identifier: BSD-3-Clause */
/* From a name to an open tap interface and what it can do. */
#include "tap_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.2; the kernel takes both or none. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TSO (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define USO (TUN_F_USO4 | TUN_F_USO6)

static int attach_error(const struct sr_tap *t, const char *interface, int code, struct sr_error *e)
{
	const char *why = strerrordesc_np(code);

	if (code == EPERM)
		why = "not permitted; it needs CAP_NET_ADMIN, or a tap made for this user: ip "
		      "tuntap "
		      "add mode tap name NAME user USER";
	else if (code == EBUSY)
		why = "in use by another process";
	else if (code == EINVAL)
		why = "there is an interface of that name that is not a tap, or the name is not "
		      "allowed";
	return sr_error_set(e, -code, "tap %s: interface \"%s\": %s", t->name, interface, why);
}

/* A tap that somebody else made may be multi-queue, and then has to be opened as such. */
static int attach(struct sr_tap *t, const char *interface, struct sr_error *e)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = sizeof(struct tap_header);

	memcpy(ifr.ifr_name, interface, strlen(interface));
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0) {
		if (errno == EINVAL)
			ifr.ifr_flags |= IFF_MULTI_QUEUE;
		if (errno != EINVAL || ioctl(t->fd, TUNSETIFF, &ifr) < 0)
			return attach_error(t, interface, errno, e);
	}
	memcpy(t->interface, ifr.ifr_name, IFNAMSIZ);
	t->interface[IFNAMSIZ - 1] = 0;
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &size) < 0)
		return sr_error_set(e, -errno, "tap %s: interface \"%s\": TUNSETVNETHDRSZ: %m",
				    t->name, t->interface);
	return 0;
}

/*
 * Asks the kernel for all offloads that it knows. This says what the host's stack may send
 * to us. What it receives needs no asking: with a header before each frame, every kernel
 * takes a partial checksum, TSO and UFO, and one that knows USO takes that too.
 */
static uint32_t offloads(int fd)
{
	static const unsigned long ladder[] = { TSO | TUN_F_UFO | USO, TSO | TUN_F_UFO, TSO,
						TUN_F_CSUM };
	uint32_t can = SR_CAN_CSUM | SR_CAN_TSO4 | SR_CAN_TSO6 | SR_CAN_ECN | SR_CAN_UFO;

	for (unsigned i = 0; i < SR_ARRAY_LEN(ladder); i++) {
		if (ioctl(fd, TUNSETOFFLOAD, ladder[i]) < 0)
			continue;
		return ladder[i] & USO ? can | SR_CAN_USO4 | SR_CAN_USO6 : can;
	}
	return can;
}

int tap_open(struct sr_tap *t, const char *interface, struct sr_error *e)
{
	size_t len = strlen(interface);
	int r;

	if (len >= IFNAMSIZ)
		return sr_error_set(
			e, -EINVAL,
			"tap %s: interface \"%s\" has %zu characters; at most %d expected", t->name,
			interface, len, IFNAMSIZ - 1);
	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return sr_error_set(e, -errno, "tap %s: /dev/net/tun: %m%s", t->name,
				    errno == ENOENT ? " (is the module tun loaded?)" : "");
	r = attach(t, interface, e);
	if (r < 0)
		return r;
	atomic_store(&t->port.can, offloads(t->fd));
	return 0;
}
