/* SPDX-License-Identifier: BSD-3-Clause */
/* The header before each frame of a tap against the offload of a frame. */
#include "tap_internal.h"

static bool gso_is_known(uint8_t type)
{
	switch (type & ~SR_GSO_ECN) {
	case SR_GSO_TCPV4:
	case SR_GSO_TCPV6:
		return true;
	case SR_GSO_UDP:
	case SR_GSO_UDP_L4:
		return !(type & SR_GSO_ECN);
	default:
		return false;
	}
}

/* hdr_len is only a hint, and the kernel's leaves a VLAN tag out: it is brought into the
 * frame, as virtio 1.3 5.1.6.2.2 wants it. */
bool tap_header_parse(const struct tap_header *h, uint32_t len, struct sr_offload *off)
{
	uint32_t end = (uint32_t)h->csum_start + h->csum_offset + 2;

	*off = (struct sr_offload){ .flags = h->flags & (SR_OFF_NEEDS_CSUM | SR_OFF_DATA_VALID) };
	if (!(h->flags & SR_OFF_NEEDS_CSUM))
		return h->gso_type == SR_GSO_NONE;
	if (end > len || h->csum_start < SR_FRAME_MIN)
		return false;
	off->csum_start = h->csum_start;
	off->csum_offset = h->csum_offset;
	off->hdr_len = (uint16_t)sr_min(sr_max(h->hdr_len, end), sr_min(len, UINT16_MAX));
	if (h->gso_type == SR_GSO_NONE)
		return true;
	off->gso_type = h->gso_type;
	off->gso_size = h->gso_size;
	return gso_is_known(h->gso_type) && h->gso_size;
}

/* The kernel refuses a frame whose hdr_len lies outside. */
void tap_header_make(struct tap_header *h, uint32_t len, const struct sr_offload *off)
{
	*h = (struct tap_header){ .flags = off->flags };
	if (off->flags & SR_OFF_NEEDS_CSUM) {
		h->csum_start = off->csum_start;
		h->csum_offset = off->csum_offset;
	}
	if (off->gso_type != SR_GSO_NONE) {
		h->gso_type = off->gso_type;
		h->gso_size = off->gso_size;
		h->hdr_len = (uint16_t)sr_min(off->hdr_len, len);
	}
}
