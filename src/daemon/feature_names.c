/* SPDX-License-Identifier: BSD-3-Clause */
#include "feature_names.h"
#include "base.h"

/* virtio 1.3, section 6; 26 and 30 as the vhost-user wire uses them. */
static const char *const of_all[] = {
	[24] = "NOTIFY_ON_EMPTY",   [26] = "LOG_ALL",		[27] = "ANY_LAYOUT",
	[28] = "INDIRECT_DESC",	    [29] = "EVENT_IDX",		[30] = "PROTOCOL_FEATURES",
	[32] = "VERSION_1",	    [33] = "ACCESS_PLATFORM",	[34] = "RING_PACKED",
	[35] = "IN_ORDER",	    [36] = "ORDER_PLATFORM",	[37] = "SR_IOV",
	[38] = "NOTIFICATION_DATA", [39] = "NOTIF_CONFIG_DATA", [40] = "RING_RESET",
	[41] = "ADMIN_VQ",
};

/* Section 5.1.3. */
static const char *const of_net[] = {
	[0] = "CSUM",
	[1] = "GUEST_CSUM",
	[2] = "CTRL_GUEST_OFFLOADS",
	[3] = "MTU",
	[5] = "MAC",
	[7] = "GUEST_TSO4",
	[8] = "GUEST_TSO6",
	[9] = "GUEST_ECN",
	[10] = "GUEST_UFO",
	[11] = "HOST_TSO4",
	[12] = "HOST_TSO6",
	[13] = "HOST_ECN",
	[14] = "HOST_UFO",
	[15] = "MRG_RXBUF",
	[16] = "STATUS",
	[17] = "CTRL_VQ",
	[18] = "CTRL_RX",
	[19] = "CTRL_VLAN",
	[20] = "CTRL_RX_EXTRA",
	[21] = "GUEST_ANNOUNCE",
	[22] = "MQ",
	[23] = "CTRL_MAC_ADDR",
	[51] = "DEVICE_STATS",
	[52] = "HASH_TUNNEL",
	[53] = "VQ_NOTF_COAL",
	[54] = "GUEST_USO4",
	[55] = "GUEST_USO6",
	[56] = "HOST_USO",
	[57] = "HASH_REPORT",
	[59] = "GUEST_HDRLEN",
	[60] = "RSS",
	[61] = "RSC_EXT",
	[62] = "STANDBY",
	[63] = "SPEED_DUPLEX",
};

/* Section 5.2.3. */
static const char *const of_blk[] = {
	[1] = "SIZE_MAX",      [2] = "SEG_MAX",	 [4] = "GEOMETRY",	[5] = "RO",
	[6] = "BLK_SIZE",      [9] = "FLUSH",	 [10] = "TOPOLOGY",	[11] = "CONFIG_WCE",
	[12] = "MQ",	       [13] = "DISCARD", [14] = "WRITE_ZEROES", [15] = "LIFETIME",
	[16] = "SECURE_ERASE", [17] = "ZONED",
};

/* Section 5.6.3. */
static const char *const of_scsi[] = {
	[0] = "INOUT",
	[1] = "HOTPLUG",
	[2] = "CHANGE",
	[3] = "T10_PI",
};

static const char *find(const char *const *own, unsigned n, unsigned bit)
{
	if (bit < SR_ARRAY_LEN(of_all) && of_all[bit])
		return of_all[bit];
	return bit < n ? own[bit] : NULL;
}

const char *sr_net_feature_name(unsigned bit)
{
	return find(of_net, SR_ARRAY_LEN(of_net), bit);
}
const char *sr_blk_feature_name(unsigned bit)
{
	return find(of_blk, SR_ARRAY_LEN(of_blk), bit);
}
const char *sr_scsi_feature_name(unsigned bit)
{
	return find(of_scsi, SR_ARRAY_LEN(of_scsi), bit);
}
