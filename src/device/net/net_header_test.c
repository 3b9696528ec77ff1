/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_internal.h"

#define ALL                                                                         \
	(SR_F_VERSION_1 | SR_NET_F_CSUM | SR_NET_F_HOST_TSO4 | SR_NET_F_HOST_TSO6 | \
	 SR_NET_F_HOST_ECN | SR_NET_F_HOST_UFO | SR_NET_F_HOST_USO)

static bool parses(const struct net_hdr *h, uint64_t features, uint32_t len)
{
	struct sr_offload off;

	return net_header_parse(h, features, len, &off);
}

static void a_plain_header_carries_nothing_over(void **state)
{
	struct net_hdr h = { .hdr_len = 99, .gso_size = 3, .csum_start = 9000, .num_buffers = 7 };
	struct sr_offload off, none = { 0 };

	(void)state;
	memset(&off, 0x55, sizeof(off));
	assert_true(net_header_parse(&h, 0, 60, &off));
	assert_memory_equal(&off, &none, sizeof(off));
}

static void unknown_flags_are_ignored(void **state)
{
	struct net_hdr h = { .flags = 0xfe };
	struct sr_offload off;

	(void)state;
	assert_true(net_header_parse(&h, ALL, 60, &off));
	assert_int_equal(off.flags, 0);
}

static void a_checksum_lies_inside_the_frame_and_behind_ethernet(void **state)
{
	struct net_hdr h = { .flags = 1, .csum_start = 34, .csum_offset = 16 };

	(void)state;
	assert_true(parses(&h, ALL, 52));
	assert_false(parses(&h, ALL, 51));
	assert_false(parses(&h, ALL & ~SR_NET_F_CSUM, 1000));
	h.csum_start = 13;
	assert_false(parses(&h, ALL, 1000));
	h.csum_start = 14;
	assert_true(parses(&h, ALL, 1000));
	h.csum_start = h.csum_offset = 0xffff; /* sums past 16 bits */
	assert_false(parses(&h, ALL, SR_FRAME_MAX));
	h.csum_start = 0xfff0;
	h.csum_offset = 0x20; /* 16 in 16 bits */
	assert_false(parses(&h, ALL, 1000));
	assert_true(parses(&h, ALL, SR_FRAME_MAX));
}

static void segmentation_needs_size_checksum_and_its_feature(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t feature;
	} t[] = {
		{ 1, SR_NET_F_HOST_TSO4 },    { 4, SR_NET_F_HOST_TSO6 },
		{ 3, SR_NET_F_HOST_UFO },     { 5, SR_NET_F_HOST_USO },
		{ 0x81, SR_NET_F_HOST_TSO4 }, { 0x81, SR_NET_F_HOST_ECN },
		{ 0x84, SR_NET_F_HOST_TSO6 }, { 0x84, SR_NET_F_HOST_ECN },
	};

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(t); i++) {
		struct net_hdr h = { .flags = 1,
				     .gso_type = t[i].type,
				     .gso_size = 1448,
				     .csum_start = 34,
				     .csum_offset = 16 };

		assert_true(parses(&h, ALL, 5000));
		assert_false(parses(&h, ALL & ~t[i].feature, 5000));
		h.gso_size = 0;
		assert_false(parses(&h, ALL, 5000));
		h.gso_size = 1448;
		h.flags = 0;
		assert_false(parses(&h, ALL, 5000));
	}
}

static void types_that_do_not_exist_are_refused(void **state)
{
	(void)state;
	for (unsigned type = 1; type < 256; type++) {
		struct net_hdr h = { .flags = 1,
				     .gso_type = (uint8_t)type,
				     .gso_size = 1000,
				     .csum_start = 34,
				     .csum_offset = 16 };
		bool known = type == 1 || type == 3 || type == 4 || type == 5 || type == 0x81 ||
			     type == 0x84;

		assert_int_equal(parses(&h, ~0ULL, 5000), known);
	}
}

static void the_header_length_is_a_hint_brought_into_the_frame(void **state)
{
	struct net_hdr h = { .flags = 1, .csum_start = 34, .csum_offset = 16, .hdr_len = 0xffff };
	struct sr_offload off;

	(void)state;
	assert_true(net_header_parse(&h, ALL, 100, &off));
	assert_int_equal(off.hdr_len, 100);
	h.hdr_len = 3;
	assert_true(net_header_parse(&h, ALL, 100, &off));
	assert_int_equal(off.hdr_len, 52);
}

static void what_is_made_is_what_was_parsed(void **state)
{
	struct net_hdr h = { 1, 1, 54, 1448, 34, 16, 0 }, made;
	struct sr_offload off;

	(void)state;
	assert_true(net_header_parse(&h, ALL, 5000, &off));
	assert_true(net_header_make(&made, ALL, SR_CAN_CSUM | SR_CAN_TSO4, &off));
	assert_memory_equal(&made, &h, sizeof(h));
}

static void nothing_is_made_that_the_guest_cannot_take(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t can;
	} t[] = { { 1, SR_CAN_TSO4 },	{ 4, SR_CAN_TSO6 },
		  { 3, SR_CAN_UFO },	{ 5, SR_CAN_USO4 | SR_CAN_USO6 },
		  { 0x81, SR_CAN_ECN }, { 0, SR_CAN_CSUM } };
	struct net_hdr h, none = { 0 };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(t); i++) {
		struct sr_offload off = { 1, t[i].type, 54, 1448, 34, 16 };

		assert_true(net_header_make(&h, ALL, ~0u, &off));
		assert_false(net_header_make(&h, ALL, ~t[i].can, &off));
		assert_false(net_header_make(&h, ALL, ~(uint32_t)SR_CAN_CSUM, &off));
	}
	/* "The checksum is right" is only told to whom it may be told. */
	assert_true(net_header_make(&h, ALL, 0, &(struct sr_offload){ .flags = 2 }));
	assert_memory_equal(&h, &none, sizeof(h));
	assert_true(net_header_make(&h, ALL, 1, &(struct sr_offload){ .flags = 2 }));
	assert_int_equal(h.flags, 2);
}

static void offloads_to_a_guest_depend_on_its_checksum(void **state)
{
	(void)state;
	assert_int_equal(net_can_from(~0ULL), 0x7f);
	assert_int_equal(net_can_from(~SR_NET_F_GUEST_CSUM), 0);
	assert_int_equal(net_can_from(SR_NET_F_GUEST_CSUM | SR_NET_F_GUEST_USO6),
			 SR_CAN_CSUM | SR_CAN_USO6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_header_carries_nothing_over),
		cmocka_unit_test(unknown_flags_are_ignored),
		cmocka_unit_test(a_checksum_lies_inside_the_frame_and_behind_ethernet),
		cmocka_unit_test(segmentation_needs_size_checksum_and_its_feature),
		cmocka_unit_test(types_that_do_not_exist_are_refused),
		cmocka_unit_test(the_header_length_is_a_hint_brought_into_the_frame),
		cmocka_unit_test(what_is_made_is_what_was_parsed),
		cmocka_unit_test(nothing_is_made_that_the_guest_cannot_take),
		cmocka_unit_test(offloads_to_a_guest_depend_on_its_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
