/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables, each row at its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message.h"

#include <errno.h>
#include <slipring/vhost_user.h>

#define ALL_PROTOCOL UINT64_MAX

typedef const struct sr_vu_row *row_fn(uint32_t request);

static const struct {
	row_fn *row;
	unsigned end;
} tables[2] = { { sr_vu_front_row, SR_VU_REQUESTS }, { sr_vu_back_row, SR_VU_BACK_REQUESTS } };

/* Calls fn for every row of both tables. */
static void each_row(void (*fn)(uint32_t request, const struct sr_vu_row *row))
{
	for (unsigned t = 0; t < 2; t++)
		for (uint32_t i = 1; i < tables[t].end; i++)
			fn(i, tables[t].row(i));
}

static struct sr_vu_message message(uint32_t request, uint32_t size, unsigned nfds)
{
	struct sr_vu_message m = {
		.request = request, .flags = SR_VU_VERSION, .size = size, .nfds = nfds
	};

	for (unsigned i = 0; i < SR_VU_FDS_MAX; i++)
		m.fds[i] = -1;
	return m;
}

static void row_is_sane(uint32_t request, const struct sr_vu_row *row)
{
	(void)request;
	assert_non_null(row);
	assert_non_null(row->name);
	assert_true(row->min <= row->max && row->max <= SR_VU_PAYLOAD_MAX);
	assert_true(row->fds_min <= row->fds_max && row->fds_max <= SR_VU_FDS_MAX);
	assert_true(row->gate == SR_VU_NO_GATE || row->gate < SR_VU_PROTOCOL_BITS);
	assert_true(row->reply_min <= row->reply_max && row->reply_max <= SR_VU_PAYLOAD_MAX);
	assert_int_equal(row->payload == SR_VU_PAYLOAD_NONE && row->max > 8, 0);
	/* What is answered only on demand is refused only on demand. */
	if (row->answer == SR_VU_ANSWER_ACK)
		assert_int_equal(row->refusal, SR_VU_REFUSE_ACK);
	if (row->answer == SR_VU_ANSWER_REPLY || row->answer == SR_VU_ANSWER_FD)
		assert_int_not_equal(row->refusal, SR_VU_REFUSE_ACK);
	assert_true(row->answer == SR_VU_ANSWER_FD ? row->reply_fds == 1 : row->reply_fds == 0);
}

static void every_message_has_a_row(void **state)
{
	(void)state;
	assert_int_equal(SR_VU_REQUESTS - 1, 44);
	assert_int_equal(SR_VU_BACK_REQUESTS - 1, 10);
	assert_null(sr_vu_front_row(0));
	assert_null(sr_vu_front_row(45));
	assert_null(sr_vu_front_row(UINT32_MAX));
	assert_null(sr_vu_back_row(0));
	assert_null(sr_vu_back_row(11));
	each_row(row_is_sane);
}

static void names_are_unique(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 2; t++)
		for (uint32_t i = 1; i < tables[t].end; i++)
			for (uint32_t j = 1; j < i; j++)
				assert_string_not_equal(tables[t].row(i)->name,
							tables[t].row(j)->name);
}

static void size_is_bounded(uint32_t request, const struct sr_vu_row *row)
{
	struct sr_vu_message m = message(request, row->min, row->fds_min);
	struct sr_error e;

	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, &e), 0);
	m.size = row->max;
	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, &e), 0);
	m.size = row->max + 1u;
	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, &e), -EPROTO);
	assert_non_null(strstr(e.text, row->name));
	if (row->min == 0)
		return;
	m.size = row->min - 1u;
	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, &e), -EPROTO);
	m.size = 0;
	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, &e), -EPROTO);
}

static void payload_sizes_are_checked_at_their_bounds(void **state)
{
	(void)state;
	each_row(size_is_bounded);
}

static void fds_are_bounded(uint32_t request, const struct sr_vu_row *row)
{
	for (unsigned n = 0; n <= SR_VU_FDS_MAX; n++) {
		struct sr_vu_message m = message(request, row->min, n);
		bool fits = n >= row->fds_min && n <= row->fds_max;

		assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, NULL),
				 fits ? 0 : -EPROTO);
	}
}

static void numbers_of_fds_are_checked_at_their_bounds(void **state)
{
	(void)state;
	each_row(fds_are_bounded);
}

static void gate_is_needed(uint32_t request, const struct sr_vu_row *row)
{
	struct sr_vu_message m = message(request, row->min, row->fds_min);
	struct sr_error e;

	if (row->gate == SR_VU_NO_GATE) {
		assert_int_equal(sr_vu_check_request(&m, row, 0, NULL), 0);
		return;
	}
	assert_int_equal(sr_vu_check_request(&m, row, 1ull << row->gate, NULL), 0);
	assert_int_equal(sr_vu_check_request(&m, row, ~(1ull << row->gate), &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, sr_vhost_user_protocol_feature_name((unsigned)row->gate)));
}

static void gated_messages_need_their_feature_negotiated(void **state)
{
	(void)state;
	each_row(gate_is_needed);
}

static void flags_are_checked(uint32_t request, const struct sr_vu_row *row)
{
	static const uint32_t bad[] = { 0, 2, 3, SR_VU_REPLY_FLAGS, SR_VU_NEED_REPLY };
	struct sr_vu_message m = message(request, row->min, row->fds_min);

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		m.flags = bad[i];
		assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, NULL), -EPROTO);
	}
	m.flags = SR_VU_VERSION | SR_VU_NEED_REPLY;
	assert_int_equal(sr_vu_check_request(&m, row, ALL_PROTOCOL, NULL), 0);
}

static void version_and_reply_bit_are_checked(void **state)
{
	(void)state;
	each_row(flags_are_checked);
}

static void an_unknown_request_is_sound_but_not_served(void **state)
{
	struct sr_vu_message m = message(99, 1000, 3);
	struct sr_error e;

	(void)state;
	assert_int_equal(sr_vu_check_request(&m, NULL, ALL_PROTOCOL, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "request 99 is unknown"));
	m.flags = 0;
	assert_int_equal(sr_vu_check_request(&m, NULL, ALL_PROTOCOL, &e), -EPROTO);
}

static void replies_are_checked_exactly(void **state)
{
	const struct sr_vu_row *row = sr_vu_front_row(SR_VU_GET_FEATURES);
	struct sr_vu_message m = message(SR_VU_GET_FEATURES, 8, 0);

	(void)state;
	m.flags = SR_VU_REPLY_FLAGS;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_GET_FEATURES, row, false, NULL), 0);
	m.flags |= SR_VU_NEED_REPLY;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_GET_FEATURES, row, false, NULL), -EPROTO);
	m.flags = SR_VU_REPLY_FLAGS;
	m.size = 4;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_GET_FEATURES, row, false, NULL), -EPROTO);
	m.size = 8;
	m.nfds = 1;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_GET_FEATURES, row, false, NULL), -EPROTO);
	m.nfds = 0;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_SET_OWNER, row, false, NULL), -EPROTO);
	/* An ack is 8 bytes whatever the row's own reply is. */
	row = sr_vu_front_row(SR_VU_SET_MEM_TABLE);
	m.request = SR_VU_SET_MEM_TABLE;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_SET_MEM_TABLE, row, true, NULL), 0);
	m.size = 40;
	assert_int_equal(sr_vu_check_reply(&m, SR_VU_SET_MEM_TABLE, row, true, NULL), -EPROTO);
}

static int ring_of(struct sr_vu_message *m, unsigned rings, unsigned *index)
{
	return sr_vu_check_ring(m, sr_vu_front_row(m->request), rings, index, NULL);
}

static void a_ring_index_is_taken_whole(void **state)
{
	static const uint32_t bad[] = { 4, 0xff, 0x100, 0x10000, 0x1000000, UINT32_MAX };
	struct sr_vu_message m = message(SR_VU_SET_VRING_NUM, 8, 0);
	struct sr_vu_message a = message(SR_VU_SET_VRING_ADDR, 40, 0);
	unsigned index = 77;

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		m.p.state.index = a.p.addr.index = bad[i];
		assert_int_equal(ring_of(&m, 4, &index), -EPROTO);
		assert_int_equal(ring_of(&a, 4, &index), -EPROTO);
	}
	m.p.state.index = a.p.addr.index = 3;
	assert_int_equal(ring_of(&m, 4, &index), 1);
	assert_int_equal(index, 3);
	assert_int_equal(ring_of(&a, 4, &index), 1);
	m = message(SR_VU_SET_FEATURES, 8, 0);
	assert_int_equal(ring_of(&m, 4, &index), 0);
}

static void kick_call_and_err_have_an_fd_exactly_when_bit_8_is_clear(void **state)
{
	static const uint32_t requests[] = { SR_VU_SET_VRING_KICK, SR_VU_SET_VRING_CALL,
					     SR_VU_SET_VRING_ERR };
	unsigned index;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct sr_vu_message m = message(requests[i], 8, 1);

		m.p.u64 = 2;
		assert_int_equal(ring_of(&m, 4, &index), 1);
		assert_int_equal(index, 2);
		m.p.u64 = 2 | SR_VU_NO_FD;
		assert_int_equal(ring_of(&m, 4, &index), -EPROTO);
		m.nfds = 0;
		assert_int_equal(ring_of(&m, 4, &index), 1);
		m.p.u64 = 2;
		assert_int_equal(ring_of(&m, 4, &index), -EPROTO);
		m.nfds = 1;
		for (unsigned bit = 9; bit < 64; bit++) {
			m.p.u64 = 2 | 1ull << bit;
			assert_int_equal(ring_of(&m, 4, &index), -EPROTO);
		}
	}
}

static int table_of(uint32_t n, uint32_t size, unsigned nfds, struct sr_error *e)
{
	struct sr_vu_message m = message(SR_VU_SET_MEM_TABLE, size, nfds);

	m.p.table.n = n;
	return sr_vu_check_table(&m, e);
}

static void a_memory_table_has_room_and_an_fd_for_each_region(void **state)
{
	struct sr_error e;

	(void)state;
	for (uint32_t n = 0; n <= SR_VU_TABLE_MAX; n++) {
		assert_int_equal(table_of(n, 8 + 32 * n, n, &e), 0);
		assert_int_equal(table_of(n, 8 + 32 * n - 1, n, &e), -EPROTO);
		assert_int_equal(table_of(n, 8 + 32 * n, n + 1, &e), -EPROTO);
	}
	assert_int_equal(table_of(9, 264, 8, &e), -EPROTO);
	assert_int_equal(table_of(UINT32_MAX, 264, 8, &e), -EPROTO);
	assert_int_equal(table_of(0x08000000, 8, 0, &e), -EPROTO); /* 32 * n wraps to 0 */
	/* User-mode Linux before 6.13: room for two, one in it. */
	assert_int_equal(table_of(1, 72, 1, &e), 0);
	/* Memory that is not shared comes without an fd. */
	assert_int_equal(table_of(1, 40, 0, &e), -EPROTO);
	assert_non_null(strstr(e.text, "memory-backend-memfd,share=on"));
}

static int config_of(uint32_t offset, uint32_t size, uint32_t payload)
{
	struct sr_vu_message m = message(SR_VU_GET_CONFIG, payload, 0);

	m.p.config.offset = offset;
	m.p.config.size = size;
	return sr_vu_check_config(&m, 60, NULL);
}

static void a_configuration_range_is_inside_without_overflow(void **state)
{
	(void)state;
	assert_int_equal(config_of(0, 60, 72), 0);
	assert_int_equal(config_of(59, 1, 13), 0);
	assert_int_equal(config_of(60, 0, 12), 0);
	assert_int_equal(config_of(60, 1, 13), -EINVAL);
	assert_int_equal(config_of(0, 61, 73), -EINVAL);
	assert_int_equal(config_of(UINT32_MAX, 2, 14), -EINVAL);
	assert_int_equal(config_of(0, 60, 71), -EPROTO);
	assert_int_equal(config_of(0, UINT32_MAX, 12), -EPROTO);
}

static void an_fd_is_taken_over_once(void **state)
{
	struct sr_vu_message m = message(SR_VU_SET_LOG_FD, 0, 1);

	(void)state;
	m.fds[0] = 1000;
	assert_int_equal(sr_vu_message_take_fd(&m, 1), -1);
	assert_int_equal(sr_vu_message_take_fd(&m, 0), 1000);
	assert_int_equal(sr_vu_message_take_fd(&m, 0), -1);
}

static void protocol_features_have_names(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < SR_VU_PROTOCOL_BITS; bit++)
		assert_non_null(sr_vhost_user_protocol_feature_name(bit));
	assert_string_equal(sr_vhost_user_protocol_feature_name(3), "REPLY_ACK");
	assert_string_equal(sr_vhost_user_protocol_feature_name(22), "SHMEM");
	assert_null(sr_vhost_user_protocol_feature_name(23));
	assert_null(sr_vhost_user_protocol_feature_name(64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_has_a_row),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(payload_sizes_are_checked_at_their_bounds),
		cmocka_unit_test(numbers_of_fds_are_checked_at_their_bounds),
		cmocka_unit_test(gated_messages_need_their_feature_negotiated),
		cmocka_unit_test(version_and_reply_bit_are_checked),
		cmocka_unit_test(an_unknown_request_is_sound_but_not_served),
		cmocka_unit_test(replies_are_checked_exactly),
		cmocka_unit_test(a_ring_index_is_taken_whole),
		cmocka_unit_test(kick_call_and_err_have_an_fd_exactly_when_bit_8_is_clear),
		cmocka_unit_test(a_memory_table_has_room_and_an_fd_for_each_region),
		cmocka_unit_test(a_configuration_range_is_inside_without_overflow),
		cmocka_unit_test(an_fd_is_taken_over_once),
		cmocka_unit_test(protocol_features_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
