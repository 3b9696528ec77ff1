/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers of the virtio specification (OASIS virtio 1.3) that Slipring uses: device ids,
 * feature bits. Masks, not bit numbers.
 */
#ifndef SLIPRING_VIRTIO_H
#define SLIPRING_VIRTIO_H

#define SR_BIT(n) (1ULL << (n))

/* Device ids, section 5. */
#define SR_VIRTIO_ID_NET   1
#define SR_VIRTIO_ID_BLOCK 2
#define SR_VIRTIO_ID_RNG   4
#define SR_VIRTIO_ID_SCSI  8

/* Reserved feature bits, section 6; 26 and 30 mean this on the vhost-user wire only. */
#define SR_F_NOTIFY_ON_EMPTY   SR_BIT(24)
#define SR_F_LOG_ALL	       SR_BIT(26)
#define SR_F_ANY_LAYOUT	       SR_BIT(27)
#define SR_F_INDIRECT_DESC     SR_BIT(28)
#define SR_F_EVENT_IDX	       SR_BIT(29)
#define SR_F_PROTOCOL_FEATURES SR_BIT(30)
#define SR_F_VERSION_1	       SR_BIT(32)
#define SR_F_ACCESS_PLATFORM   SR_BIT(33)
#define SR_F_RING_PACKED       SR_BIT(34)
#define SR_F_IN_ORDER	       SR_BIT(35)
#define SR_F_ORDER_PLATFORM    SR_BIT(36)

/* What the ring room serves; every device offers these. */
#define SR_F_RING (SR_F_INDIRECT_DESC | SR_F_EVENT_IDX | SR_F_VERSION_1 | SR_F_ANY_LAYOUT)

/* Network device, section 5.1.3. */
#define SR_NET_F_CSUM		     SR_BIT(0)
#define SR_NET_F_GUEST_CSUM	     SR_BIT(1)
#define SR_NET_F_CTRL_GUEST_OFFLOADS SR_BIT(2)
#define SR_NET_F_MTU		     SR_BIT(3)
#define SR_NET_F_MAC		     SR_BIT(5)
#define SR_NET_F_GUEST_TSO4	     SR_BIT(7)
#define SR_NET_F_GUEST_TSO6	     SR_BIT(8)
#define SR_NET_F_GUEST_ECN	     SR_BIT(9)
#define SR_NET_F_GUEST_UFO	     SR_BIT(10)
#define SR_NET_F_HOST_TSO4	     SR_BIT(11)
#define SR_NET_F_HOST_TSO6	     SR_BIT(12)
#define SR_NET_F_HOST_ECN	     SR_BIT(13)
#define SR_NET_F_HOST_UFO	     SR_BIT(14)
#define SR_NET_F_MRG_RXBUF	     SR_BIT(15)
#define SR_NET_F_STATUS		     SR_BIT(16)
#define SR_NET_F_CTRL_VQ	     SR_BIT(17)
#define SR_NET_F_CTRL_RX	     SR_BIT(18)
#define SR_NET_F_CTRL_VLAN	     SR_BIT(19)
#define SR_NET_F_GUEST_ANNOUNCE	     SR_BIT(21)
#define SR_NET_F_MQ		     SR_BIT(22)
#define SR_NET_F_CTRL_MAC_ADDR	     SR_BIT(23)
#define SR_NET_F_GUEST_USO4	     SR_BIT(54)
#define SR_NET_F_GUEST_USO6	     SR_BIT(55)
#define SR_NET_F_HOST_USO	     SR_BIT(56)
#define SR_NET_F_SPEED_DUPLEX	     SR_BIT(63)

/* Block device, section 5.2.3. */
#define SR_BLK_F_SIZE_MAX     SR_BIT(1)
#define SR_BLK_F_SEG_MAX      SR_BIT(2)
#define SR_BLK_F_GEOMETRY     SR_BIT(4)
#define SR_BLK_F_RO	      SR_BIT(5)
#define SR_BLK_F_BLK_SIZE     SR_BIT(6)
#define SR_BLK_F_FLUSH	      SR_BIT(9)
#define SR_BLK_F_TOPOLOGY     SR_BIT(10)
#define SR_BLK_F_CONFIG_WCE   SR_BIT(11)
#define SR_BLK_F_MQ	      SR_BIT(12)
#define SR_BLK_F_DISCARD      SR_BIT(13)
#define SR_BLK_F_WRITE_ZEROES SR_BIT(14)
#define SR_BLK_F_LIFETIME     SR_BIT(15)
#define SR_BLK_F_SECURE_ERASE SR_BIT(16)
#define SR_BLK_F_ZONED	      SR_BIT(17)

/* SCSI host device, section 5.6.3. */
#define SR_SCSI_F_INOUT	  SR_BIT(0)
#define SR_SCSI_F_HOTPLUG SR_BIT(1)
#define SR_SCSI_F_CHANGE  SR_BIT(2)
#define SR_SCSI_F_T10_PI  SR_BIT(3)

#endif
