/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's memory and its dirty log, under rings that run. */
#include "vu_rig.h"

#include <sys/mman.h>
#include <unistd.h>

static uint64_t region_message(struct rig *r, uint32_t request, uint64_t at, uint64_t size, int fd)
{
	struct sr_vu_mem_reg m = { .region = { .gpa = RIG_GPA + at,
					       .uva = RIG_UVA + at,
					       .size = size,
					       .mmap_offset = at % RIG_MEM } };

	return rig_ask(r, request, &m, sizeof(m), &fd, fd >= 0);
}

static uint64_t set_table(struct rig *r, const struct sr_vu_mem_table *t, unsigned nfds)
{
	int fds[SR_VU_TABLE_MAX];

	for (unsigned i = 0; i < SR_VU_TABLE_MAX; i++)
		fds[i] = r->memfd;
	return rig_ask(r, SR_VU_SET_MEM_TABLE, t, SR_VU_MEM_TABLE_SIZE(t->n), fds, nfds);
}

static void a_table_sent_again_leaves_rings_running(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = rig_table();

	rig_up(r);
	for (unsigned i = 0; i < 100; i++) {
		rig_echo(r, 0, 20, true);
		assert_int_equal(set_table(r, &t, 1), 0);
		assert_int_equal(rig_count_maps(), 1);
	}
	assert_int_equal(rig_get_base(r, 0), 2000);
}

static void work_that_came_during_a_change_is_done_after_it(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = rig_table();
	struct sr_used u;

	rig_up(r);
	rig_add(r, 0, 0, 16);
	sr_drvq_publish(r->drv[0]); /* and no kick */
	assert_int_equal(set_table(r, &t, 1), 0);
	RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
}

static void a_table_without_the_running_ring_ends_the_session(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = rig_table();

	rig_up(r);
	t.regions[0].uva += RIG_MEM;
	assert_int_not_equal(set_table(r, &t, 1), 0);
	rig_expect_closed(r, "ring 0: ");
}

static void a_table_with_room_to_spare_is_taken(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = rig_table();

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_equal(rig_ask(r, SR_VU_SET_MEM_TABLE, &t, 72, &r->memfd, 1), 0);
	rig_start(r, 0, 0);
	rig_echo(r, 0, 3, true);
}

static void memory_that_is_not_shared_gets_a_hint(void **state)
{
	struct rig *r = *state;
	struct sr_vu_mem_table t = rig_table();

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_not_equal(set_table(r, &t, 0), 0);
	rig_expect_closed(r, "memory-backend-memfd,share=on");
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_not_equal(region_message(r, SR_VU_ADD_MEM_REG, 0, RIG_MEM, -1), 0);
	rig_expect_closed(r, "memory-backend-memfd,share=on");
	/* An fd that cannot be mapped. */
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_not_equal(
		rig_ask(r, SR_VU_SET_MEM_TABLE, &t, SR_VU_MEM_TABLE_SIZE(1), &r->kick[0], 1), 0);
	rig_expect_closed(r, "share=on");
}

static void hostile_tables_end_the_session(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 9; i++) {
		struct sr_vu_mem_table t = rig_table();
		unsigned nfds = 1;

		t.regions[1] = t.regions[0];
		switch (i) {
		case 0: /* overlap */
			t.n = nfds = 2;
			t.regions[1].gpa += RIG_MEM - 4096;
			t.regions[1].uva += RIG_MEM;
			break;
		case 1: /* the same */
			t.n = nfds = 2;
			break;
		case 2: /* longer than its file */
			t.regions[0].size += 4096;
			break;
		case 3: /* offset past its file */
			t.regions[0].mmap_offset = RIG_MEM;
			break;
		case 4: /* size + offset overflows */
			t.regions[0].mmap_offset = UINT64_MAX - 4095;
			break;
		case 5: /* wraps in guest-physical space */
			t.regions[0].gpa = UINT64_MAX - 4095;
			break;
		case 6: /* wraps in the front-end's space */
			t.regions[0].uva = UINT64_MAX - 4095;
			break;
		case 7:
			t.regions[0].size = 0;
			break;
		case 8:
			t.regions[0].size = UINT64_MAX;
			break;
		}
		rig_up(r);
		rig_echo(r, 0, 3, true);
		assert_int_not_equal(set_table(r, &t, nfds), 0);
		rig_expect_closed(r, "SET_MEM_TABLE: ");
	}
}

static void all_509_slots_can_be_used_and_no_more(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	/* Far from each other, so that none can be merged. */
	for (uint64_t i = 0; i < SR_MEM_REGIONS_MAX; i++)
		assert_int_equal(
			region_message(r, SR_VU_ADD_MEM_REG, i * 2 * RIG_MEM, 8192, r->memfd), 0);
	assert_int_equal(rig_count_maps(), SR_MEM_REGIONS_MAX);
	for (uint64_t i = 0; i < SR_MEM_REGIONS_MAX; i += 2)
		assert_int_equal(region_message(r, SR_VU_REM_MEM_REG, i * 2 * RIG_MEM, 8192,
						i % 4 ? r->memfd : -1),
				 0);
	assert_int_equal(rig_count_maps(), SR_MEM_REGIONS_MAX / 2);
	for (uint64_t i = 0; i < SR_MEM_REGIONS_MAX; i += 2)
		assert_int_equal(
			region_message(r, SR_VU_ADD_MEM_REG, i * 2 * RIG_MEM, 8192, r->memfd), 0);
	assert_int_not_equal(
		region_message(r, SR_VU_ADD_MEM_REG, 5000ull * RIG_MEM, 8192, r->memfd), 0);
	rig_expect_closed(r, "ADD_MEM_REG: ");
}

static void removing_what_is_not_there_ends_the_session(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	assert_int_not_equal(region_message(r, SR_VU_REM_MEM_REG, 0, RIG_MEM / 2, -1), 0);
	rig_expect_closed(r, "REM_MEM_REG: ");
}

static void regions_come_and_go_beside_a_running_ring(void **state)
{
	struct rig *r = *state;

	rig_up(r);
	for (unsigned i = 0; i < 100; i++) {
		rig_echo(r, 0, 10, true);
		assert_int_equal(region_message(r, SR_VU_ADD_MEM_REG, 2 * RIG_MEM, 4096, r->memfd),
				 0);
		rig_echo(r, 0, 10, true);
		assert_int_equal(region_message(r, SR_VU_REM_MEM_REG, 2 * RIG_MEM, 4096, -1), 0);
	}
}

static void a_ring_waits_while_its_region_is_away(void **state)
{
	struct rig *r = *state;
	struct sr_used u;

	rig_up(r);
	rig_echo(r, 0, 5, true);
	assert_int_equal(region_message(r, SR_VU_ADD_MEM_REG, 2 * RIG_MEM, 4096, r->memfd), 0);
	assert_int_equal(region_message(r, SR_VU_REM_MEM_REG, 0, RIG_MEM, -1), 0);
	assert_int_equal(rig_info(r).queues_started, 0);
	rig_add(r, 0, 0, 16);
	rig_publish(r, 0);
	assert_int_equal(region_message(r, SR_VU_ADD_MEM_REG, 4 * RIG_MEM, 4096, r->memfd), 0);
	assert_int_equal(sr_drvq_get(r->drv[0], &u, 1), 0);
	assert_int_equal(region_message(r, SR_VU_ADD_MEM_REG, 0, RIG_MEM, r->memfd), 0);
	assert_int_equal(rig_info(r).queues_started, 1);
	RIG_WAIT(sr_drvq_get(r->drv[0], &u, 1) == 1);
	assert_int_equal(rig_get_base(r, 0), 6);
}

/* ---- the dirty log ---- */

#define LOG_BYTES ((RIG_GPA + RIG_MEM) / 4096 / 8)

static bool page_is_dirty(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] >> (gpa / 4096 % 8) & 1;
}

static uint64_t set_log(struct rig *r, int fd, uint64_t size, uint64_t offset)
{
	struct sr_vu_log l = { size, offset };

	return rig_ask(r, SR_VU_SET_LOG_BASE, &l, sizeof(l), &fd, 1);
}

static uint64_t set_addr(struct rig *r, unsigned q, uint32_t flags)
{
	struct sr_vu_addr a = rig_addr(q, flags);

	return rig_ask(r, SR_VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

static uint64_t set_features(struct rig *r, uint64_t more)
{
	return rig_ask_u64(r, SR_VU_SET_FEATURES, SR_F_VERSION_1 | SR_F_PROTOCOL_FEATURES | more);
}

static void writes_to_data_and_used_ring_are_logged_during_a_migration(void **state)
{
	struct rig *r = *state;
	int file = memfd_create("slipring-log", MFD_CLOEXEC);
	uint64_t used = rig_addr(0, 0).log, data = RIG_GPA + RIG_BUFFERS + 256;
	uint8_t *log;

	assert_int_equal(ftruncate(file, (off_t)LOG_BYTES + 4096), 0);
	log = mmap(NULL, LOG_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	assert_true(log != MAP_FAILED);
	rig_up(r);
	rig_echo(r, 0, 5, true);
	assert_int_equal(set_log(r, file, LOG_BYTES, 4096), 0);
	rig_echo(r, 0, 5, true);
	assert_false(page_is_dirty(log + 4096, data));
	/* As QEMU begins: the feature, then each ring's flag. */
	assert_int_equal(set_features(r, SR_F_LOG_ALL), 0);
	assert_int_equal(set_addr(r, 0, SR_VU_ADDR_LOG), 0);
	rig_echo(r, 0, 5, true);
	assert_true(page_is_dirty(log + 4096, data));
	assert_true(page_is_dirty(log + 4096, used));
	assert_false(page_is_dirty(log + 4096, RIG_GPA + RIG_MEM - 4096));
	/* And ends. */
	assert_int_equal(set_addr(r, 0, 0), 0);
	assert_int_equal(set_features(r, 0), 0);
	memset(log, 0, LOG_BYTES + 4096);
	rig_echo(r, 0, 5, true);
	assert_false(page_is_dirty(log + 4096, data));
	assert_false(page_is_dirty(log + 4096, used));
	munmap(log, LOG_BYTES + 4096);
	close(file);
}

static void a_ring_may_start_with_its_log_flag_before_the_log_is_there(void **state)
{
	struct rig *r = *state;
	int file = memfd_create("slipring-log", MFD_CLOEXEC);
	uint8_t *log;

	assert_int_equal(ftruncate(file, (off_t)LOG_BYTES), 0);
	log = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1 | SR_F_LOG_ALL);
	rig_share(r);
	rig_describe(r, 0, 0);
	assert_int_equal(set_addr(r, 0, SR_VU_ADDR_LOG), 0);
	rig_kick_on(r, 0);
	assert_int_equal(rig_ask_state(r, SR_VU_SET_VRING_ENABLE, 0, 1), 0);
	rig_echo(r, 0, 5, true);
	assert_int_equal(set_log(r, file, LOG_BYTES, 0), 0);
	rig_echo(r, 0, 5, true);
	assert_true(page_is_dirty(log, rig_addr(0, 0).log));
	munmap(log, LOG_BYTES);
	close(file);
}

static void a_log_that_does_not_cover_the_used_ring_ends_the_session(void **state)
{
	struct rig *r = *state;
	int file = memfd_create("slipring-log", MFD_CLOEXEC);

	assert_int_equal(ftruncate(file, (off_t)LOG_BYTES), 0);
	rig_up(r);
	assert_int_equal(set_log(r, file, LOG_BYTES / 2, 0), 0);
	assert_int_equal(set_features(r, SR_F_LOG_ALL), 0);
	assert_int_not_equal(set_addr(r, 0, SR_VU_ADDR_LOG), 0);
	close(file);
	rig_expect_closed(r, "ring 0: ");
}

static void a_log_longer_than_its_file_ends_the_session(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint64_t size, offset;
	} bad[] = { { LOG_BYTES + 1, 0 },
		    { LOG_BYTES, 4096 },
		    { UINT64_MAX, 0 },
		    { 4096, UINT64_MAX - 4095 },
		    { 0, 0 } };

	for (unsigned i = 0; i < SR_ARRAY_LEN(bad); i++) {
		int file = memfd_create("slipring-log", MFD_CLOEXEC);

		assert_int_equal(ftruncate(file, (off_t)LOG_BYTES), 0);
		rig_up(r);
		assert_int_not_equal(set_log(r, file, bad[i].size, bad[i].offset), 0);
		close(file);
		rig_expect_closed(r, "SET_LOG_BASE: ");
	}
}

static void a_log_without_its_protocol_feature_ends_the_session(void **state)
{
	struct rig *r = *state;

	rig_connect(r);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_SET_LOG_BASE, 0x1000), 0);
	rig_expect_closed(r, "LOG_SHMFD");
	rig_connect(r);
	rig_negotiate(r, SR_F_VERSION_1);
	assert_int_not_equal(rig_ask_u64(r, SR_VU_SET_LOG_BASE, 0x1000), 0);
	rig_expect_closed(r, "expected 16 and 1");
}

static void the_log_eventfd_is_taken_and_closed(void **state)
{
	struct rig *r = *state;
	int fds;

	rig_up(r);
	fds = rig_count_fds();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_ask(r, SR_VU_SET_LOG_FD, NULL, 0, &r->call[0], 1), 0);
	assert_int_equal(rig_ask_u64(r, SR_VU_SET_STATUS, 1), 0); /* the last one's fd is gone */
	assert_int_equal(rig_count_fds(), fds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_table_sent_again_leaves_rings_running),
		TEST(work_that_came_during_a_change_is_done_after_it),
		TEST(a_table_without_the_running_ring_ends_the_session),
		TEST(a_table_with_room_to_spare_is_taken),
		TEST(memory_that_is_not_shared_gets_a_hint),
		TEST(hostile_tables_end_the_session),
		TEST(all_509_slots_can_be_used_and_no_more),
		TEST(removing_what_is_not_there_ends_the_session),
		TEST(regions_come_and_go_beside_a_running_ring),
		TEST(a_ring_waits_while_its_region_is_away),
		TEST(writes_to_data_and_used_ring_are_logged_during_a_migration),
		TEST(a_ring_may_start_with_its_log_flag_before_the_log_is_there),
		TEST(a_log_that_does_not_cover_the_used_ring_ends_the_session),
		TEST(a_log_longer_than_its_file_ends_the_session),
		TEST(a_log_without_its_protocol_feature_ends_the_session),
		TEST(the_log_eventfd_is_taken_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
