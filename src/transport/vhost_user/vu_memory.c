/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the guest's memory and its dirty log. Memory is not locked: every ring
 * that runs is paused around a change. */
#include "session.h"

#include <errno.h>
#include <slipring/virtio.h>

static struct sr_region region_of(const struct sr_vu_region *w, int fd)
{
	return (struct sr_region){ .gpa = w->gpa,
				   .uva = w->uva,
				   .size = w->size,
				   .mmap_offset = w->mmap_offset,
				   .fd = fd };
}

/* A table that contradicts itself is the front-end's mistake; a file that cannot be mapped
 * is most often the user's. */
static int memory_error(struct sr_session *s, const char *message, const struct sr_error *why)
{
	switch (why->code) {
	case -EINVAL:
	case -EOVERFLOW:
	case -EEXIST:
	case -ENOSPC:
	case -ENOMEM:
		return sr_error_set(&s->error, -EPROTO, "%s: %s", message, why->text);
	default:
		return sr_error_set(&s->error, -EPROTO,
				    "%s: %s; is the guest's memory shared? (QEMU: -object "
				    "memory-backend-memfd,share=on)",
				    message, why->text);
	}
}

int sr_vu_set_mem_table(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_region regions[SR_VU_TABLE_MAX];
	struct sr_error why = { 0 };
	int r = sr_vu_check_table(m, &s->error);

	(void)q;
	if (r)
		return r;
	for (unsigned i = 0; i < m->p.table.n; i++)
		regions[i] = region_of(&m->p.table.regions[i], m->fds[i]);
	sr_vu_queues_pause(s);
	if (sr_mem_set_regions(s->mem, regions, m->p.table.n, &why))
		return memory_error(s, "SET_MEM_TABLE", &why);
	return sr_vu_queues_resume(s, false, &s->error);
}

/* A front-end that changes its memory removes and adds region by region: a ring may lie for
 * some messages in none of them. It is taken up again when its region is back. */
int sr_vu_add_mem_reg(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_error why = { 0 };
	struct sr_region region;

	(void)q;
	if (m->nfds != 1)
		return sr_error_set(
			&s->error, -EPROTO,
			"ADD_MEM_REG: no file descriptor, expected 1; is the guest's memory "
			"shared? (QEMU: -object memory-backend-memfd,share=on)");
	region = region_of(&m->p.reg.region, m->fds[0]);
	sr_vu_queues_pause(s);
	if (sr_mem_add_region(s->mem, &region, &why))
		return memory_error(s, "ADD_MEM_REG", &why);
	return sr_vu_queues_resume(s, true, &s->error);
}

int sr_vu_rem_mem_reg(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_region region = region_of(&m->p.reg.region, -1);
	struct sr_error why = { 0 };

	(void)q;
	sr_vu_queues_pause(s);
	if (sr_mem_remove_region(s->mem, &region, &why))
		return sr_error_set(&s->error, -EPROTO, "REM_MEM_REG: %s", why.text);
	return sr_vu_queues_resume(s, true, &s->error);
}

int sr_vu_get_max_mem_slots(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)q;
	return sr_session_reply_u64(s, m, SR_MEM_REGIONS_MAX);
}

/* Without LOG_SHMFD there is nothing to map, and a front-end that went on would migrate a
 * guest with pages missing: the session ends. */
int sr_vu_set_log_base(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	struct sr_error why = { 0 };
	int r;

	(void)q;
	if (!(s->protocol & SR_BIT(SR_VU_P_LOG_SHMFD)))
		return sr_error_set(
			&s->error, -EPROTO,
			"SET_LOG_BASE needs protocol feature LOG_SHMFD, not negotiated");
	if (m->size != sizeof(m->p.log) || m->nfds != 1)
		return sr_error_set(&s->error, -EPROTO,
				    "SET_LOG_BASE: %u bytes of payload and %u file descriptors, "
				    "expected 16 and 1",
				    m->size, m->nfds);
	sr_vu_queues_pause(s);
	if (sr_mem_set_log(s->mem, m->fds[0], m->p.log.offset, m->p.log.size, &why))
		return sr_error_set(&s->error, -EPROTO, "SET_LOG_BASE: %s", why.text);
	r = sr_vu_queues_resume(s, false, &s->error);
	/* Always answered; QEMU reads a payload of any size, others look for a u64. */
	return r ? r : sr_session_reply_u64(s, m, 0);
}

/* An eventfd by which a back-end may say that the log has changed. Front-ends read the log when
 * they need it, so it is closed, as the text permits. */
int sr_vu_set_log_fd(struct sr_session *s, struct sr_vu_queue *q, struct sr_vu_message *m)
{
	(void)s;
	(void)q;
	(void)m;
	return SR_VU_DONE;
}
