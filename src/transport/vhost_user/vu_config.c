/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the configuration space, what only network devices can mean, and the
 * channel for our own requests. */
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <slipring/virtio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A range outside is answered with no payload, which is this message's way to say so. */
int sr_vu_get_config(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	const struct sr_device_ops *ops = s->device->ops;
	struct sr_vu_config *c = &m->p.config;
	int r = sr_vu_check_config(m, ops->config_size, &s->error);

	(void)q;
	if (r)
		return r == -EINVAL ? -EOPNOTSUPP : r;
	ops->config_read(s->device, c->offset, c->bytes, c->size);
	return sr_session_reply(s, m, c, SR_VU_CONFIG_HEADER + c->size);
}

int sr_vu_set_config(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	const struct sr_device_ops *ops = s->device->ops;
	const struct sr_vu_config *c = &m->p.config;
	int r = sr_vu_check_config(m, ops->config_size, &s->error);

	(void)q;
	if (r)
		return r == -EINVAL ? -EOPNOTSUPP : r;
	if (c->flags > 1)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_CONFIG: flags 0x%" PRIx32 ", expected 0 or 1", c->flags);
	if (!ops->config_write || ops->config_write(s->device, c->offset, c->bytes, c->size))
		return sr_error_set(&s->error, -EOPNOTSUPP,
				    "SET_CONFIG: offset %" PRIu32 " size %" PRIu32
				    " is not writable",
				    c->offset, c->size);
	return SR_VU_DONE;
}

int sr_vu_net_set_mtu(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	if (m->p.u64 > UINT16_MAX || s->device->ops->set_mtu(s->device, (uint16_t)m->p.u64))
		return sr_error_set(&s->error, -EOPNOTSUPP,
				    "NET_SET_MTU: %" PRIu64 " is not an MTU we can serve",
				    m->p.u64);
	return SR_VU_DONE;
}

int sr_vu_send_rarp(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	int r = s->device->ops->announce(s->device, m->p.bytes);

	(void)q;
	return r ? sr_error_set(&s->error, -EOPNOTSUPP, "SEND_RARP: not announced: %s",
				strerror(-r))
		 : SR_VU_DONE;
}

/* sr_vu_send never waits, so the socket's mode is of no concern. */
int sr_vu_set_backend_req_fd(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct stat st;

	(void)q;
	if (fstat(m->fds[0], &st) || !S_ISSOCK(st.st_mode))
		return sr_error_set(&s->error, -EPROTO,
				    "SET_BACKEND_REQ_FD: a file descriptor that is no socket");
	if (s->back_fd >= 0)
		close(s->back_fd);
	s->back_fd = sr_vu_message_take_fd(m, 0);
	return SR_VU_DONE;
}

/* Front-ends fetch the configuration before they start rings, and the text forbids messages to
 * them while all rings are stopped. Where the channel is full the next start says it. */
void sr_session_config_changed(struct sr_session *s)
{
	int r;

	s->config_dirty = false;
	if (s->back_fd < 0 || !(s->protocol & SR_BIT(SR_VU_P_CONFIG)))
		return;
	if (!sr_vu_queues_running(s)) {
		s->config_dirty = true;
		return;
	}
	r = sr_vu_send(s->back_fd, SR_VU_BACK_CONFIG_CHANGE, SR_VU_VERSION, NULL, 0, NULL, 0);
	if (r == -EAGAIN) {
		s->config_dirty = true;
	} else if (r) {
		sr_log(SR_LOG_WARN, s->device->name, "%s: CONFIG_CHANGE not sent: %s", s->peer,
		       strerror(-r));
		close(s->back_fd);
		s->back_fd = -1;
	}
}
