/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-net header (virtio 1.3, 5.1.6) against the offload of a frame. Both sides of
 * a frame's way trust an sr_offload without looking again, so all judging is here, on a
 * copy: a field that lies outside the frame or was not negotiated ends the frame.
 */
#include <endian.h>

#include "net_internal.h"

/* Little-endian for modern drivers, native for legacy ones; its own inverse. */
uint16_t net_u16(uint64_t features, uint16_t v)
{
	return features & SR_F_VERSION_1 ? htole16(v) : v;
}

/* The feature that allows the guest to send this type, or 0 for a type that does not exist.
 * The ECN mark makes sense on TCP only. */
static uint64_t gso_feature(uint8_t type)
{
	uint64_t ecn = type & SR_GSO_ECN ? SR_NET_F_HOST_ECN : 0;

	switch (type & ~SR_GSO_ECN) {
	case SR_GSO_TCPV4:
		return SR_NET_F_HOST_TSO4 | ecn;
	case SR_GSO_TCPV6:
		return SR_NET_F_HOST_TSO6 | ecn;
	case SR_GSO_UDP:
		return ecn ? 0 : SR_NET_F_HOST_UFO;
	case SR_GSO_UDP_L4:
		return ecn ? 0 : SR_NET_F_HOST_USO;
	default:
		return 0;
	}
}

/* `len` is the frame's length after the header. Flags that we do not know are ignored, as
 * 5.1.6.2.2 wants; DATA_VALID is one of them, because a driver may not set it: the receiver
 * is to judge for itself. hdr_len is only a hint and is brought into the frame. */
bool net_header_parse(const struct net_hdr *h, uint64_t features, uint32_t len,
		      struct sr_offload *off)
{
	uint32_t end = 0;

	*off = (struct sr_offload){ 0 };
	if (SR_LIKELY(!(h->flags & SR_OFF_NEEDS_CSUM)))
		return h->gso_type == SR_GSO_NONE; /* GSO needs NEEDS_CSUM (5.1.6.2.1) */

	off->flags = SR_OFF_NEEDS_CSUM;
	off->csum_start = net_u16(features, h->csum_start);
	off->csum_offset = net_u16(features, h->csum_offset);
	end = (uint32_t)off->csum_start + off->csum_offset + 2;
	/* A checksum written into the Ethernet header would change it after it was judged. */
	if (!(features & SR_NET_F_CSUM) || end > len || off->csum_start < SR_FRAME_MIN)
		return false;
	off->hdr_len = (uint16_t)sr_min(sr_max(net_u16(features, h->hdr_len), end),
					sr_min(len, UINT16_MAX));
	if (h->gso_type != SR_GSO_NONE) {
		uint64_t needed = gso_feature(h->gso_type);

		off->gso_type = h->gso_type;
		off->gso_size = net_u16(features, h->gso_size);
		return needed && net_has(features, needed) && off->gso_size;
	}
	return true;
}

static uint32_t gso_can(uint8_t type)
{
	uint32_t ecn = type & SR_GSO_ECN ? SR_CAN_ECN : 0;

	switch (type & ~SR_GSO_ECN) {
	case SR_GSO_TCPV4:
		return SR_CAN_TSO4 | ecn;
	case SR_GSO_TCPV6:
		return SR_CAN_TSO6 | ecn;
	case SR_GSO_UDP:
		return SR_CAN_UFO;
	default: /* which IP it is, the sender has looked at */
		return 0;
	}
}

/* All but num_buffers. False: the guest cannot take such a frame. The sender has looked at
 * `can` itself; this catches a frame that was under way when the guest changed its mind. */
bool net_header_make(struct net_hdr *h, uint64_t features, uint32_t can,
		     const struct sr_offload *off)
{
	*h = (struct net_hdr){ 0 };
	if (SR_LIKELY(!off->flags && off->gso_type == SR_GSO_NONE))
		return true;
	if (!(can & SR_CAN_CSUM))
		return !(off->flags & SR_OFF_NEEDS_CSUM) && off->gso_type == SR_GSO_NONE;
	if (off->gso_type != SR_GSO_NONE) {
		if (!net_has(can, gso_can(off->gso_type)) ||
		    (off->gso_type == SR_GSO_UDP_L4 && !(can & (SR_CAN_USO4 | SR_CAN_USO6))))
			return false;
	}
	h->flags = off->flags;
	h->gso_type = off->gso_type;
	h->hdr_len = net_u16(features, off->hdr_len);
	h->gso_size = net_u16(features, off->gso_size);
	h->csum_start = net_u16(features, off->csum_start);
	h->csum_offset = net_u16(features, off->csum_offset);
	return true;
}

/* What a guest with these GUEST_* bits takes; all of it depends on GUEST_CSUM (5.1.3.1). */
uint32_t net_can_from(uint64_t features)
{
	static const struct {
		uint64_t feature;
		uint32_t can;
	} map[] = {
		{ SR_NET_F_GUEST_TSO4, SR_CAN_TSO4 }, { SR_NET_F_GUEST_TSO6, SR_CAN_TSO6 },
		{ SR_NET_F_GUEST_ECN, SR_CAN_ECN },   { SR_NET_F_GUEST_UFO, SR_CAN_UFO },
		{ SR_NET_F_GUEST_USO4, SR_CAN_USO4 }, { SR_NET_F_GUEST_USO6, SR_CAN_USO6 },
	};
	uint32_t can = SR_CAN_CSUM;

	if (!(features & SR_NET_F_GUEST_CSUM))
		return 0;
	for (unsigned i = 0; i < SR_ARRAY_LEN(map); i++)
		if (features & map[i].feature)
			can |= map[i].can;
	return can;
}
