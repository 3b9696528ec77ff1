/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "disk_rig.h"

#include <errno.h>
#include <stdlib.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct sr_disk *make(uint64_t size, uint32_t block)
{
	const struct sr_disk_mem_config c = { .name = "m", .size = size, .block_size = block };
	struct sr_error e;
	struct sr_disk *d = sr_disk_mem_create(&c, &e);

	if (!d)
		fail_msg("%s", e.text);
	return d;
}

static void it_does_what_every_engine_must(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t block;
	} shapes[] = { { MIB, 512 }, { MIB, 4096 }, { 9 * GIB, 0 }, { 9 * GIB + 4096, 4096 } };

	(void)state;
	for (unsigned i = 0; i < SR_ARRAY_LEN(shapes); i++) {
		struct sr_disk *d = make(shapes[i].size, shapes[i].block);

		disk_rig_check_engine(d);
		sr_disk_destroy(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_every_engine_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
