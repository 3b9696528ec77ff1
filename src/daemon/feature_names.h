/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SR_FEATURE_NAMES_H
#define SR_FEATURE_NAMES_H

/* The name of a virtio feature bit, as in the specification without VIRTIO_ and the device's
 * VIRTIO_NET_, VIRTIO_BLK_ or VIRTIO_SCSI_; NULL for a bit that has none. */
const char *sr_net_feature_name(unsigned bit);
const char *sr_blk_feature_name(unsigned bit);
const char *sr_scsi_feature_name(unsigned bit);

#endif
