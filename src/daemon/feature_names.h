/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SR_FEATURE_NAMES_H
#define SR_FEATURE_NAMES_H

/* The name of a virtio feature bit of a network device, as in the specification without
 * VIRTIO_ and VIRTIO_NET_; NULL for a bit that has none. */
const char *sr_net_feature_name(unsigned bit);

#endif
