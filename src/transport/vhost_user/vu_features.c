/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about features, ownership, reset and status. */
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/vhost_user.h>
#include <slipring/virtio.h>
#include <stdio.h>

/* The transport's own part of the virtio features on this wire. */
#define WIRE_FEATURES (SR_F_PROTOCOL_FEATURES | SR_F_LOG_ALL)

static uint64_t offer(const struct sr_session *s)
{
	return s->device->ops->features(s->device) | WIRE_FEATURES;
}

static uint64_t protocol_offer(const struct sr_session *s)
{
	const struct sr_device_ops *ops = s->device->ops;
	uint64_t bits = SR_BIT(SR_VU_P_MQ) | SR_BIT(SR_VU_P_LOG_SHMFD) | SR_BIT(SR_VU_P_REPLY_ACK) |
			SR_BIT(SR_VU_P_BACKEND_REQ) | SR_BIT(SR_VU_P_RESET_DEVICE) |
			SR_BIT(SR_VU_P_CONFIGURE_MEM_SLOTS) | SR_BIT(SR_VU_P_STATUS);

	if (ops->announce)
		bits |= SR_BIT(SR_VU_P_RARP);
	if (ops->set_mtu)
		bits |= SR_BIT(SR_VU_P_MTU);
	if (ops->config_size)
		bits |= SR_BIT(SR_VU_P_CONFIG);
	if (ops->queue_drain)
		bits |= SR_BIT(SR_VU_P_INFLIGHT_SHMFD);
	return bits;
}

/* Bits that mean the same for all devices; what the others mean only the device knows. */
static const char *virtio_feature_name(unsigned bit)
{
	static const char *const names[64] = {
		[24] = "NOTIFY_ON_EMPTY",   [26] = "LOG_ALL",		[27] = "ANY_LAYOUT",
		[28] = "INDIRECT_DESC",	    [29] = "EVENT_IDX",		[30] = "PROTOCOL_FEATURES",
		[32] = "VERSION_1",	    [33] = "ACCESS_PLATFORM",	[34] = "RING_PACKED",
		[35] = "IN_ORDER",	    [36] = "ORDER_PLATFORM",	[37] = "SR_IOV",
		[38] = "NOTIFICATION_DATA", [39] = "NOTIF_CONFIG_DATA", [40] = "RING_RESET",
		[41] = "ADMIN_VQ",
	};

	return names[bit];
}

/* "REPLY_ACK, bit 12" for a mask; at most what fits. */
static void name_bits(uint64_t bits, const char *(*name)(unsigned), char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < 64 && used < size; i++) {
		const char *n = name(i);

		if (!(bits >> i & 1))
			continue;
		used += (size_t)(n ? snprintf(buf + used, size - used, "%s%s", used ? ", " : "", n)
				   : snprintf(buf + used, size - used, "%sbit %u", used ? ", " : "",
					      i));
	}
}

static int check_offered(struct sr_session *s, const char *message, uint64_t bits, uint64_t offered,
			 const char *(*name)(unsigned))
{
	char names[160];

	if (!(bits & ~offered))
		return 0;
	name_bits(bits & ~offered, name, names, sizeof(names));
	return sr_error_set(&s->error, -EPROTO,
			    "%s: feature bits 0x%" PRIx64 " (%s) not offered, expected a part of "
			    "0x%" PRIx64,
			    message, bits & ~offered, names, offered);
}

int sr_vu_get_features(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	return sr_session_reply_u64(s, m, offer(s));
}

static void enable_all(struct sr_session *s)
{
	s->enable_all = true;
	for (unsigned i = 0; i < s->nqueues; i++)
		if (s->queues[i])
			sr_vu_queue_enable(s->queues[i], true);
}

static void tell_features(struct sr_session *s)
{
	if (s->device->ops->features_set)
		s->device->ops->features_set(s->device, s->features & ~WIRE_FEATURES);
}

/* Running rings go on over a change of LOG_ALL, which is how a migration begins and ends. Any
 * other change means that a driver starts anew (User-mode Linux leaves out
 * GET_VRING_BASE): its rings wait for their next SET_VRING_KICK. */
int sr_vu_set_features(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	uint64_t bits = m->p.u64, changed = bits ^ s->features;
	int r = check_offered(s, "SET_FEATURES", bits, offer(s), virtio_feature_name);

	(void)q;
	if (r)
		return r;
	if (changed & ~WIRE_FEATURES)
		sr_vu_queues_stop(s);
	else
		sr_vu_queues_pause(s);
	s->features = bits;
	sr_session_hint_expect(s);
	tell_features(s);
	sr_mem_log_enable(s->mem, bits & SR_F_LOG_ALL);
	if (!(bits & SR_F_PROTOCOL_FEATURES))
		enable_all(s);
	return sr_vu_queues_resume(s, false, &s->error);
}

int sr_vu_get_protocol_features(struct sr_session *s, struct sr_vu_queue *q,
				struct sr_vu_message *m)
{
	(void)q;
	return sr_session_reply_u64(s, m, protocol_offer(s));
}

int sr_vu_set_protocol_features(struct sr_session *s, struct sr_vu_queue *q,
				struct sr_vu_message *m)
{
	int r = check_offered(s, "SET_PROTOCOL_FEATURES", m->p.u64, protocol_offer(s),
			      sr_vhost_user_protocol_feature_name);

	(void)q;
	if (r)
		return r;
	s->protocol = m->p.u64;
	return SR_VU_DONE;
}

/* Rings, as the text has it. QEMU and DPDK compare the number with pairs, Cloud Hypervisor with
 * rings: the larger number suits both, and a ring that we do not have is refused when it
 * is named. */
int sr_vu_get_queue_num(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	return sr_session_reply_u64(s, m, s->nqueues);
}

int sr_vu_set_owner(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)s;
	(void)q;
	(void)m;
	return SR_VU_DONE;
}

static void disable_all(struct sr_session *s)
{
	s->enable_all = false;
	for (unsigned i = 0; i < s->nqueues; i++)
		if (s->queues[i])
			sr_vu_queue_enable(s->queues[i], false);
}

int sr_vu_reset_owner(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	(void)m;
	disable_all(s);
	return SR_VU_DONE;
}

/* The session stays what it is: memory, protocol features and owner are kept. Front-ends
 * set the virtio features again; for one that does not, the device is told them once more. */
static void reset_device(struct sr_session *s)
{
	sr_vu_queues_stop(s);
	sr_vu_inflight_drop(s);
	disable_all(s);
	if (s->device->ops->reset)
		s->device->ops->reset(s->device);
	s->status = 0;
	tell_features(s);
}

int sr_vu_reset_device(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	(void)m;
	reset_device(s);
	return SR_VU_DONE;
}

int sr_vu_get_status(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	return sr_session_reply_u64(s, m, s->status);
}

int sr_vu_set_status(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	if (m->p.u64 > UINT8_MAX)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_STATUS: 0x%" PRIx64 ", expected one byte", m->p.u64);
	if (m->p.u64 == 0)
		reset_device(s);
	else
		s->status = (uint8_t)(m->p.u64 | (s->status & SR_VU_STATUS_NEEDS_RESET));
	return SR_VU_DONE;
}
